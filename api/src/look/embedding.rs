//! `frame_ancestors`: whose pages may show the status page within them, in the words of the policy that allows it
//! (CSP Level 3, 6.4.2; a host-source is a scheme, a host and a port here, never a path).

use std::{fmt, str::FromStr};

use url::{Host, Url};

use super::reading::Entry;

const INSTEAD: &str = "write one like \"https://www.example.com\", or \"'self'\" or \"*\"";

/// A site that may embed the page: always one word of a policy, since nothing but a page file makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads one origin.
pub(super) fn read(entry: &Entry<'_>) -> Result<Origin, String> {
    parse(entry.string("it in quotes, like \"https://www.example.com\"")?)
}

impl FromStr for Origin {
    type Err = String;

    /// Of one site; neither of `*` nor of `'self'`.
    fn from_str(text: &str) -> Result<Origin, String> {
        let is_one = |origin: &Origin| origin.0.starts_with("http") && !origin.0.contains('*');
        let origin = parse(text).ok().filter(is_one);
        origin.ok_or_else(|| "write the scheme and the host alone, like https://status.example.org".into())
    }
}

fn parse(text: &str) -> Result<Origin, String> {
    match text {
        // Anybody may: there is nothing on the page that a stranger's frame could make people do.
        "*" | "'self'" => return Ok(Origin(text.to_owned())),
        "self" => return Err("lacks its quotes; write \"'self'\"".to_owned()),
        "none" | "'none'" => return Err("is what an empty list means; write frame_ancestors = []".to_owned()),
        _ => {}
    }
    let url = Url::parse(text).map_err(|_| format!("is not an origin; {INSTEAD}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("begins with neither http:// nor https://; {INSTEAD}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("holds a user; {INSTEAD}"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "goes on behind the host; write the origin alone, as in \"https://www.example.com\"".to_owned()
        );
    }
    match url.host() {
        Some(Host::Ipv6(_)) => {
            Err("is an IPv6 address, which no policy can name; write a host name".to_owned())
        }
        Some(Host::Domain(host)) if !is_a_name(host) => Err(format!("has a host that is no name; {INSTEAD}")),
        // In ASCII and without a port that the scheme implies, as browsers compare it.
        _ => Ok(Origin(url.origin().ascii_serialization())),
    }
}

/// Letters, digits, hyphens and dots; every name below another is `*.` and that one.
fn is_a_name(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    host.split('.').all(|label| !label.is_empty() && label.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_compare_it() {
        for (written, kept) in [
            ("https://www.example.com", "https://www.example.com"),
            ("HTTPS://WWW.Example.com:443/", "https://www.example.com"),
            ("http://localhost:8081", "http://localhost:8081"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("https://*.example.com", "https://*.example.com"),
            ("https://münchen.example", "https://xn--mnchen-3ya.example"),
            ("'self'", "'self'"),
            ("*", "*"),
        ] {
            assert_eq!(parse(written).map(|origin| origin.to_string()).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn where_visitors_find_a_server_is_one_origin() {
        assert_eq!(
            "https://Status.example.org/".parse::<Origin>(),
            Ok(Origin("https://status.example.org".into()))
        );
        for bad in
            ["", "*", "'self'", "https://*.example.org", "status.example.org", "https://a.example/status"]
        {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_would_end_the_word_or_the_policy_is_refused() {
        for bad in [
            "",
            " ",
            "'unsafe-inline'",
            "example.com",
            "https:",
            "https://",
            "https://*",
            "https://a.*.b",
            "https://*.*.b",
            "https://a;script-src *",
            "https://a;b",
            "https://a,b",
            "https://a'b",
            "https://a b",
            "https://a.b/c",
            "https://a.b/?c",
            "https://a.b/#c",
            "https://me@a.b",
            "https://[::1]:8080",
            "https://a.b:*",
            "https://a\r\nX: y",
            "data:",
            "javascript:x",
            "* *",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_origin_is_one_word_of_a_policy(
            text in "https?://[ -~]{0,20}|https?://[*]?[.a-z;,' ]{0,20}(:[0-9*]{0,3})?/?|\\PC{0,20}|.{0,20}"
        ) {
            if let Ok(Origin(word)) = parse(&text) {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.*:/".contains(c);
                prop_assert!(word == "'self'" || (!word.is_empty() && word.chars().all(plain)), "{:?}", word);
            }
        }
    }
}
