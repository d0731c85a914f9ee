//! Durations as the services file writes them: whole numbers with units, the larger unit first, each at most once:
//! `2h`, `500ms`, `1m30s`. Which durations a key allows is the key's business (see [`within`]).

use std::{ops::RangeInclusive, time::Duration};

/// From the largest to the smallest, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration of whole milliseconds. The error is the end of a sentence that begins with the text.
pub fn parse(text: &str) -> Result<Duration, String> {
    read(text).map(Duration::from_millis).ok_or_else(|| complaint(text).to_owned())
}

/// Writes a duration so that [`parse`] reads it back: `1m30s`. Parts of a millisecond are left out.
pub fn print(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit, length) in UNITS.map(|(unit, length)| (unit, u128::from(length))) {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Refuses a duration outside of `bounds`; the error is the end of a sentence like that of [`parse`].
pub fn within(duration: Duration, bounds: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let (least, most) = (print(*bounds.start()), print(*bounds.end()));
    if duration.is_zero() && !bounds.contains(&duration) {
        return Err(format!("is zero; write at least \"{least}\""));
    }
    if duration < *bounds.start() {
        return Err(format!("is too short; write at least \"{least}\""));
    }
    if duration > *bounds.end() {
        return Err(format!("is too long; write at most \"{most}\""));
    }
    Ok(duration)
}

/// The milliseconds of a text, as many as fit; `None` where it is not a duration.
fn read(text: &str) -> Option<u64> {
    let mut smaller_units = UNITS.iter();
    let mut total = 0_u64;
    let mut rest = Some(text).filter(|text| !text.is_empty())?;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (name, next) = behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
        let (_, length) = smaller_units.find(|(unit, _)| *unit == name)?;
        total = total.saturating_add(amount(number)?.saturating_mul(*length));
        rest = next;
    }
    Some(total)
}

/// A number of digits only; one too long for the type is as much as fits, so that it is found too long, not malformed.
fn amount(number: &str) -> Option<u64> {
    (!number.is_empty()).then(|| number.parse().unwrap_or(u64::MAX))
}

/// What is wrong with a text that [`read`] refused.
fn complaint(text: &str) -> &'static str {
    if text.strip_prefix('-').is_some_and(|rest| read(rest).is_some() || is_number(rest)) {
        "is negative; write it without the minus, like \"90s\""
    } else if text.contains('.') && read(&text.replacen('.', "", 1)).is_some() {
        "is a fraction; write whole numbers, like \"1m30s\" or \"500ms\""
    } else if is_number(text) {
        "has no unit; write one of ms, s, m, h, d behind the number, like \"90s\""
    } else {
        "is not a duration; write a number and a unit, like \"2h\", \"90s\" or \"1m30s\""
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_sums_of_whole_units() {
        for (text, ms) in [
            ("2h", 7_200_000),
            ("10s", 10_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1d", 86_400_000),
            ("90m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
            ("0h5s", 5_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_number_too_large_to_count_is_too_long_and_not_malformed() {
        let bounds = Duration::ZERO..=Duration::from_secs(366 * 86_400);
        // The first two would come round to a few hours in 64 bits.
        for text in ["213503982335d", "213503982334d24h", "99999999999999999999999d1h"] {
            let said = parse(text).and_then(|endless| within(endless, &bounds));
            assert_eq!(said.unwrap_err(), "is too long; write at most \"366d\"", "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_told_by_its_kind() {
        for (kind, texts) in [
            ("is negative", &["-5s", "-5", "-1h30m"][..]),
            ("is a fraction", &["1.5h", "0.5s"][..]),
            ("has no unit", &["30", "0", "1.5"][..]),
            (
                "is not a duration",
                &["", "2 hours", "h", "1m 30s", "30s1m", "1s1s", "2H", "1y", "∞", "1..5h", "+1s"][..],
            ),
        ] {
            for text in texts {
                assert!(parse(text).unwrap_err().starts_with(kind), "{text}: {:?}", parse(text));
            }
        }
    }

    #[test]
    fn bounds_belong_to_the_range() {
        let bounds = Duration::from_secs(1)..=Duration::from_secs(60);
        for (ms, found) in [(0, "is zero"), (999, "is too short"), (60_001, "is too long")] {
            assert!(within(Duration::from_millis(ms), &bounds).unwrap_err().starts_with(found));
        }
        for ms in [1_000, 60_000] {
            assert!(within(Duration::from_millis(ms), &bounds).is_ok());
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(ms in any::<u64>()) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&print(duration)), Ok(duration));
        }

        #[test]
        fn no_text_is_too_strange(text in "[-0-9smhd. ]{0,12}|.{0,20}") {
            let _ = parse(&text);
        }
    }
}
