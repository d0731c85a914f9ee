//! URLs of the services file: what is asked, and what of it visitors and logs may see.

use url::Url;

use super::variables::Expanded;
use shared::{printable::is_printable, written::named};

/// The longest URL that is asked, in characters.
const LONGEST: usize = 2_000;

/// Reads an `http` or `https` URL. The error is the end of a sentence that begins with the URL as it is written.
pub(super) fn parse(expanded: &Expanded) -> Result<Url, String> {
    let text = &expanded.text;
    if text.chars().count() > LONGEST {
        return Err(format!("is longer than {LONGEST} characters; write a shorter one"));
    }
    if let Some(c) = text.chars().find(|c| c.is_whitespace() || !is_printable(*c)) {
        return Err(format!("holds {}; write it percent-encoded, or take it out", named(c)));
    }
    if scheme_end(text).is_none() {
        return Err(
            "begins with neither http:// nor https://; write it like \"https://example.com\"".to_owned()
        );
    }
    if user_is_broken(expanded) {
        return Err(
            "takes a variable with / ? # or \\ before the @; percent-encode the variable's value".to_owned()
        );
    }
    Url::parse(text).map_err(|error| format!("is not a URL: {error}; write it like \"https://example.com\""))
}

/// Whether the URL carries a user or a password.
pub(super) fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// A URL as it may be shown: as it is written, but without its user.
pub(super) fn shown(url: &Url, expanded: &Expanded) -> String {
    let text = without_user(url).to_string();
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if bare && !expanded.text.ends_with('/') { text.trim_end_matches('/').to_owned() } else { text }
}

/// The same, ending before the part behind the host (path, query or fragment) that first holds a variable: a token
/// in there is a secret as often as not. The flag tells whether anything was left out.
pub(super) fn shown_without_variables(url: &Url, expanded: &Expanded) -> (String, bool) {
    let Some(at) = first_value_behind_the_host(expanded) else { return (shown(url, expanded), false) };
    let stands_before = |mark| expanded.text.find(mark).is_none_or(|mark| at <= mark);
    let mut url = without_user(url);
    url.set_fragment(None);
    if stands_before('#') {
        url.set_query(None);
    }
    if stands_before('?') && stands_before('#') {
        url.set_path("/");
    }
    (url.to_string(), true)
}

fn without_user(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only for URLs without a host, which http and https always have.
    let _ = (url.set_username(""), url.set_password(None));
    url
}

/// Behind `http://` or `https://`; `None` where the text begins with neither.
fn scheme_end(text: &str) -> Option<usize> {
    ["http://", "https://"].into_iter().map(str::len).find(|length| {
        text.get(..*length)
            .is_some_and(|start| matches!(&*start.to_ascii_lowercase(), "http://" | "https://"))
    })
}

/// Where user, host and port end: the path, the query, the fragment, or the end of the text.
fn authority_end(text: &str) -> usize {
    let start = scheme_end(text).unwrap_or(0);
    text[start..].find(['/', '?', '#', '\\']).map_or(text.len(), |length| start + length)
}

fn first_value_behind_the_host(expanded: &Expanded) -> Option<usize> {
    let end = authority_end(&expanded.text);
    expanded.values.iter().find(|value| value.end > end).map(|value| value.start.max(end))
}

/// Whether a variable's value ends the host where the file goes on to an `@`: what was meant as a password would be
/// asked for as a name.
fn user_is_broken(Expanded { text, values }: &Expanded) -> bool {
    let (start, end) = (scheme_end(text).unwrap_or(0), authority_end(text));
    values.iter().any(|value| value.start >= start && value.contains(&end) && text[value.end..].contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::variables::expand;
    use proptest::prelude::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".to_owned()),
            "URL" => Some("https://example.com/a?b=1".to_owned()),
            "TOKEN" => Some("hunter2".to_owned()),
            "TRAIL" => Some("hunter2/?#".to_owned()),
            _ => None,
        }
    }

    fn shown_for(written: &str) -> (String, bool) {
        let expanded = expand(written, &environment).unwrap();
        shown_without_variables(&parse(&expanded).unwrap(), &expanded)
    }

    #[test]
    fn a_url_is_shown_as_it_is_written_without_its_user() {
        for (written, shown) in [
            ("https://asimonson.com", "https://asimonson.com"),
            ("https://asimonson.com/", "https://asimonson.com/"),
            ("https://me:secret@example.com:8443/a?b=1#c", "https://example.com:8443/a?b=1#c"),
            ("https://me@example.com", "https://example.com"),
            ("https://@example.com", "https://example.com"),
            ("HTTP://EXAMPLE.com:80/a%20b", "http://example.com/a%20b"),
            ("https://example.com?a", "https://example.com/?a"),
            ("https://${TOKEN}:${TOKEN}@${HOST}/a", "https://example.com/a"),
        ] {
            assert_eq!(shown_for(written), (shown.to_owned(), false), "{written}");
        }
    }

    #[test]
    fn a_url_is_not_shown_from_a_variable_behind_the_host_on() {
        for (written, shown) in [
            ("https://example.com/${TOKEN}/health", "https://example.com/"),
            ("https://example.com/health?a=1&key=${TOKEN}#b", "https://example.com/health"),
            ("https://example.com/health?a=1#${TOKEN}", "https://example.com/health?a=1"),
            ("https://example.com/health#?${TOKEN}", "https://example.com/health"),
            ("https://example.com/health#${TOKEN}?", "https://example.com/health"),
            ("https://example.com/health?#/${TOKEN}", "https://example.com/health?"),
            ("https://example.com/health${TRAIL}", "https://example.com/"),
            ("https://${HOST}/a?${TOKEN}", "https://example.com/a"),
            ("${URL}", "https://example.com/"),
        ] {
            assert_eq!(shown_for(written), (shown.to_owned(), true), "{written}");
        }
    }

    proptest! {
        #[test]
        fn the_value_of_a_variable_is_never_shown(
            before in "https://(me(:pw)?@)?example[.]com[/?#a.]{0,6}", after in "[/?#@a.%\\\\]{0,6}"
        ) {
            let written = format!("{before}${{TRAIL}}{after}");
            let expanded = expand(&written, &environment).unwrap();
            if let Ok(url) = parse(&expanded) {
                let (shown, _) = shown_without_variables(&url, &expanded);
                let in_the_host = url.host_str().is_some_and(|host| host.contains("hunter2"));
                prop_assert!(in_the_host || !shown.contains("hunter2"), "{} {}", written, shown);
            }
        }
    }
}
