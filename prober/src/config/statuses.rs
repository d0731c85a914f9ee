//! `expect`: the HTTP statuses that are online, written as numbers and ranges, `200-299,401`.

use std::ops::RangeInclusive;

/// What RFC 9110, section 15, calls a status code; 6xx and above are nobody's.
const STATUSES: RangeInclusive<u16> = 100..=599;

/// Reads numbers and ranges between commas. The error is the end of a sentence that begins with the text.
pub(super) fn parse(text: &str) -> Result<Vec<RangeInclusive<u16>>, String> {
    text.split(',').map(|part| range(part.trim())).collect()
}

/// Writes ranges so that [`parse`] reads them back.
pub(crate) fn print(ranges: &[RangeInclusive<u16>]) -> String {
    let texts = ranges.iter().map(|range| match (range.start(), range.end()) {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

fn range(part: &str) -> Result<RangeInclusive<u16>, String> {
    let (from, to) = part.split_once('-').unwrap_or((part, part));
    let (from, to) = (status(from)?, status(to)?);
    if from > to {
        return Err(
            "has a range that runs backwards; write the smaller status first, like \"200-299\"".to_owned()
        );
    }
    Ok(from..=to)
}

fn status(text: &str) -> Result<u16, String> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(
            "is not a list of HTTP statuses; write numbers and ranges, like \"200-299,401\"".to_owned()
        );
    }
    let known = digits.parse().ok().filter(|status| STATUSES.contains(status));
    known.ok_or_else(|| "names a status that HTTP does not have; write 100 to 599".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read_and_written_back() {
        for (text, ranges) in [
            ("200-499", vec![200..=499]),
            ("200-299,401", vec![200..=299, 401..=401]),
            ("100,599", vec![100..=100, 599..=599]),
        ] {
            assert_eq!(parse(text), Ok(ranges.clone()));
            assert_eq!(print(&ranges), text);
        }
    }

    #[test]
    fn spaces_do_not_matter() {
        assert_eq!(parse(" 200 - 299 , 401 "), parse("200-299,401"));
    }

    #[test]
    fn each_mistake_has_its_own_message() {
        for text in ["", ",", "200,", "2xx", "-200", "200-", "200-299-300", "٢٠٠", "200;201"] {
            assert!(parse(text).unwrap_err().starts_with("is not a list"), "{text}");
        }
        for text in ["99", "600", "0", "200-999", "99999999999"] {
            assert!(parse(text).unwrap_err().starts_with("names a status"), "{text}");
        }
        assert!(parse("299-200").unwrap_err().starts_with("has a range that runs backwards"));
    }
}
