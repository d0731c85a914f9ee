//! Ids, names, groups and links: the short texts of the services file that people see.

use super::{address, section::Entry};
use shared::written::{check_length, check_line, named};

/// Of an id: the width of `service_checks.service_id`.
const LONGEST_ID: usize = 50;
/// Of a name, a group and a link, in characters.
pub(super) const LONGEST: usize = 200;

/// Reads an id: 1 to 50 of `A-Z a-z 0-9 . _ -`.
pub(super) fn id(entry: &Entry<'_>) -> Result<String, String> {
    let id = entry.string("it in quotes")?.text;
    if let Some(c) = id.chars().find(|c| !(c.is_ascii_alphanumeric() || ".-_".contains(*c))) {
        return Err(format!("holds {}; write an id of A-Z a-z 0-9 . _ -", named(c)));
    }
    match id.len() {
        0 => Err("is empty; write 1 to 50 of A-Z a-z 0-9 . _ -".to_owned()),
        1..=LONGEST_ID => Ok(id),
        length => Err(format!("has {length} characters; write at most {LONGEST_ID}")),
    }
}

/// Reads a name or a group: something to see, in any script, on one line.
pub(super) fn line(entry: &Entry<'_>) -> Result<String, String> {
    let text = entry.string("it in quotes")?.text;
    check_line(&text, LONGEST)?;
    Ok(text)
}

/// Reads what visitors follow: a URL without a user, or `false` for nothing.
pub(super) fn link(entry: &Entry<'_>) -> Result<Option<String>, String> {
    if entry.value.as_bool() == Some(false) {
        return Ok(None);
    }
    let expanded = entry.string("a URL in quotes, or false for none")?;
    let url = address::parse(&expanded)?;
    if address::has_user(&url) {
        return Err("shows a user or password to visitors; take out what stands before the @".to_owned());
    }
    let shown = address::shown(&url, &expanded);
    check_length(&shown, LONGEST)?;
    Ok(Some(shown))
}
