//! Which form of a content a client wants: `Accept-Encoding` as of RFC 9110, 12.5.3. Pure.

/// A form in which a content travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// As of RFC 1952.
    Gzip,
    /// As of RFC 7932.
    Brotli,
}

impl Encoding {
    /// Its name in `Content-Encoding`, where it is an encoding at all.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Brotli => Some("br"),
        }
    }
}

/// How much a client likes each form, in thousandths; 0 is "never", `None` is "did not say".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    identity: Option<u16>,
    gzip: Option<u16>,
    brotli: Option<u16>,
    /// `*`: every form it did not name.
    others: Option<u16>,
}

impl Accepted {
    /// What the fields of a request say, in their order. A form with a weight that nobody can read is not named.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a str>) -> Accepted {
        let mut accepted = Accepted::default();
        for element in fields.into_iter().flat_map(|field| field.split(',')) {
            let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
            let Some(weight) = weight(parameters) else { continue };
            if let Some(form) = accepted.named(name.trim()) {
                *form = Some(weight);
            }
        }
        accepted
    }

    fn named(&mut self, name: &str) -> Option<&mut Option<u16>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match () {
            () if is("br") => Some(&mut self.brotli),
            () if is("gzip") || is("x-gzip") => Some(&mut self.gzip),
            () if is("identity") => Some(&mut self.identity),
            () if name == "*" => Some(&mut self.others),
            () => None,
        }
    }

    /// How much it likes this one. What it did not name is not wanted, but for the identity: that is the last resort
    /// unless it says otherwise.
    pub fn weight(&self, encoding: Encoding) -> u16 {
        let (named, else_) = match encoding {
            Encoding::Identity => (self.identity, 1),
            Encoding::Gzip => (self.gzip, 0),
            Encoding::Brotli => (self.brotli, 0),
        };
        named.or(self.others).unwrap_or(else_)
    }
}

/// `q=0.5` in thousandths; 1,000 where there is none.
fn weight(parameters: &str) -> Option<u16> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(1_000);
    }
    let number = parameters.strip_prefix("q=").or(parameters.strip_prefix("Q="))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "0" if digits => format!("{fraction:0<3}").parse().ok(),
        "1" if digits && fraction.bytes().all(|byte| byte == b'0') => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weights of identity, gzip and brotli.
    fn weights(fields: &[&str]) -> [u16; 3] {
        let accepted = Accepted::of(fields.iter().copied());
        [Encoding::Identity, Encoding::Gzip, Encoding::Brotli].map(|encoding| accepted.weight(encoding))
    }

    #[test]
    fn every_form_has_the_weight_that_the_client_gives_it() {
        for (fields, expected) in [
            (&[][..], [1, 0, 0]),
            (&[""], [1, 0, 0]),
            (&["gzip, deflate, br, zstd"], [1, 1_000, 1_000]),
            (&["gzip", "br"], [1, 1_000, 1_000]),
            (&["gzip;q=0.5, br;q=0.25, identity;q=0.125"], [125, 500, 250]),
            (&["GZIP ; q=0.5,\tBr;Q=1.000"], [1, 500, 1_000]),
            (&["x-gzip"], [1, 1_000, 0]),
            (&["*"], [1_000, 1_000, 1_000]),
            (&["*;q=0"], [0, 0, 0]),
            (&["gzip, *;q=0"], [0, 1_000, 0]),
            (&["*;q=0.3, br;q=0"], [300, 300, 0]),
            (&["identity;q=0"], [0, 0, 0]),
            (&["identity"], [1_000, 0, 0]),
            (&["gzip;q=0"], [1, 0, 0]),
            (&["brotli, gzipped, deflate"], [1, 0, 0]),
        ] {
            assert_eq!(weights(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_weight_is_a_number_from_0_to_1_of_three_decimals() {
        for (parameters, expected) in [
            ("", Some(1_000)),
            (" q=0.5 ", Some(500)),
            ("q=0", Some(0)),
            ("q=0.", Some(0)),
            ("q=0.001", Some(1)),
            ("q=1", Some(1_000)),
            ("q=1.00", Some(1_000)),
            ("q=1.001", None),
            ("q=0.0001", None),
            ("q=2", None),
            ("q=-1", None),
            ("q=.5", None),
            ("q=0.+5", None),
            ("q=", None),
            ("level=9", None),
        ] {
            assert_eq!(weight(parameters), expected, "{parameters:?}");
        }
    }
}
