//! `links`: where people may go from the page.

use serde::Serialize;
use shared::{printable::is_printable, written::named};
use url::Url;

use super::{
    reading::{Entry, Section},
    text,
};

const KEYS: [&str; 2] = ["text", "href"];
const LONGEST: usize = 2_000;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it reads; one printable line.
    pub text: String,
    /// An `http`, `https` or `mailto` URL, in ASCII.
    pub href: String,
}

/// Reads one link. What is wrong within it is noted there, and leaves an empty one.
pub(super) fn read(entry: &Entry<'_>) -> Result<Link, String> {
    let instead = "is not a link; write { text = \"Contact\", href = \"https://example.com\" }";
    let mut section: Section<'_> = entry.section().ok_or_else(|| instead.to_owned())?;
    let text = section.required("text", "this link has no text; write text = \"Contact\"", text::name);
    let absent = "this link has no href; write href = \"https://example.com\"";
    let href = section.required("href", absent, |entry| href(entry.string("a URL in quotes")?));
    section.refuse_the_rest(&KEYS);
    Ok(Link { text: text.unwrap_or_default(), href: href.unwrap_or_default() })
}

fn href(text: &str) -> Result<String, String> {
    if let Some(c) = text.chars().find(|c| c.is_whitespace() || !is_printable(*c)) {
        return Err(format!("holds {}; write it percent-encoded, or take it out", named(c)));
    }
    let instead = "write one like \"https://example.com\" or \"mailto:help@example.com\"";
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}; {instead}"))?;
    match url.scheme() {
        "mailto" if !url.path().contains('@') => return Err(format!("names no mail address; {instead}")),
        "mailto" | "http" | "https" => {}
        other => return Err(format!("begins with {other}:, which no link here may; {instead}")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("shows a user or password to visitors; take out what stands before the @".to_owned());
    }
    match url.as_str().len() {
        0..=LONGEST => Ok(url.into()),
        _ => Err(format!("is longer than {LONGEST} characters; write a shorter one")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_is_to_the_web_or_to_a_mail_address() {
        for (written, kept) in [
            ("https://example.com", "https://example.com/"),
            ("HTTP://Example.com/a?b=1#c", "http://example.com/a?b=1#c"),
            ("https://münchen.example/ü", "https://xn--mnchen-3ya.example/%C3%BC"),
            ("mailto:help@example.com?subject=Status", "mailto:help@example.com?subject=Status"),
        ] {
            assert_eq!(href(written).as_deref(), Ok(kept));
        }
        for bad in
            ["javascript:alert(1)", "JaVaScript:alert(1)", "data:text/html,x", "vbscript:x", "//a.b", "/a"]
        {
            assert!(href(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_link_breaks_out_of_an_attribute_or_runs_a_script(
            text in "(https?|mailto|javascript|data):(//)?[ -~]{0,30}|\\PC{0,30}|.{0,30}"
        ) {
            if let Ok(href) = href(&text) {
                prop_assert!(href.chars().all(|c| c.is_ascii_graphic()), "{}", href);
                let web = href.starts_with("http://") || href.starts_with("https://");
                prop_assert!(web || href.starts_with("mailto:"), "{}", href);
            }
        }
    }
}
