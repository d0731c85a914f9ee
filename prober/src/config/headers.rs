//! `headers`: what is sent to a service beyond the usual. Values are secrets as often as not: no message shows them.

use url::Url;

use super::{address, section::Entry, unknown};
use shared::written::quotable;

/// Those that say how a message is framed or a connection kept (RFC 9110, section 7.6.1; RFC 9112, section 6).
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads the table of headers; each mistake is noted where it stands.
pub(super) fn read(entry: &Entry<'_>) -> Result<Vec<(String, String)>, String> {
    let instead = "is not a table; write headers = { Name = \"value\" }";
    let table = entry.value.as_table().ok_or_else(|| instead.to_owned())?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, mut header) in entry.reading.section(entry.at, table).entries {
        header.label = format!("headers: {}", quotable(&format!("{name:?}")));
        let twice = headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if let Some(value) = header.noted(field_name(name, twice).and_then(|()| field_value(&header))) {
            headers.push((name.to_owned(), value));
        }
    }
    Ok(headers)
}

/// Refuses two ways of saying who asks.
pub(super) fn agree(headers: &[(String, String)], url: &Url) -> Result<(), String> {
    let authorized = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match authorized && address::has_user(url) {
        true => Err("has a user in its url and an Authorization header; write one of them".to_owned()),
        false => Ok(()),
    }
}

/// A token of RFC 9110, section 5.6.2, that is not the connection's own business.
fn field_name(name: &str, twice: bool) -> Result<(), String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        return Err("is no name of a header; write letters, digits and hyphens".to_owned());
    }
    if unknown::is_known(name) {
        return Err("is a key of the service and no header; write it above [services.headers]".to_owned());
    }
    if OF_THE_CONNECTION.contains(&&*name.to_ascii_lowercase()) {
        return Err("belongs to the connection and is set by the prober; take it out".to_owned());
    }
    if twice { Err("is set twice in other letters; keep one of them".to_owned()) } else { Ok(()) }
}

/// Visible ASCII, spaces and tabs: RFC 9110, section 5.5, allows little more.
fn field_value(header: &Entry<'_>) -> Result<String, String> {
    let value = header.string("its value in quotes")?.text;
    match value.chars().all(|c| c == '\t' || c == ' ' || c.is_ascii_graphic()) {
        true => Ok(value),
        false => Err("has a value with characters other than ASCII, or a line end; take them out".to_owned()),
    }
}
