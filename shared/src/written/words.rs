//! What messages are made of: how a value, a key and a character are quoted, and what was probably meant.

use unicode_width::UnicodeWidthStr;

use crate::printable::{is_printable, printable};

/// A value as it is written, fit for one line: cut where it is long, and without the user of a URL.
pub fn quotable(source: &str) -> String {
    const LONGEST: usize = 60;
    let line = source.lines().next().unwrap_or_default();
    let whole = line.len() == source.len();
    let masked = without_user(line);
    let cut: String = printable(&masked).chars().take(LONGEST).collect();
    if whole && cut.chars().count() == masked.chars().count() { cut } else { format!("{cut}…") }
}

/// `"https://user:password@host"` becomes `"https://***@host"`; also where the scheme is missing.
fn without_user(source: &str) -> String {
    let Some(at) = source.rfind('@') else { return source.to_owned() };
    let start = source.find("://").map_or(1, |scheme| scheme + 3).min(at);
    format!("{}***{}", source.get(..start).unwrap_or_default(), &source[at..])
}

/// A character as a message shows it: itself in quotes, or its number where it can't be seen.
pub fn named(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        c if is_printable(c) && !c.is_whitespace() && c.to_string().width() > 0 => format!("'{c}'"),
        c => format!("the invisible character U+{:04X}", u32::from(c)),
    }
}

/// Refuses what can't be shown on one line, what can't be seen at all, and what is longer than people read.
///
/// # Errors
/// The end of a sentence that begins with the text.
pub fn check_line(text: &str, most: usize) -> Result<(), String> {
    if let Some(c) = text.chars().find(|c| !is_printable(*c)) {
        return Err(format!("holds {}, which can't be shown; take it out", named(c)));
    }
    if text.trim().width() == 0 {
        return Err("is empty; write what people should read".to_owned());
    }
    check_length(text, most)
}

/// Refuses what has more characters.
///
/// # Errors
/// The end of a sentence that begins with the text.
pub fn check_length(text: &str, most: usize) -> Result<(), String> {
    match text.chars().count() {
        length if length > most => Err(format!("has {length} characters; write at most {most}")),
        _ => Ok(()),
    }
}

/// What is said of a key that nobody knows.
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    let quoted = quotable(&format!("{key:?}"));
    match nearest(key, known) {
        Some(meant) => format!("unknown key {quoted}; did you mean {meant:?}?"),
        None => format!("unknown key {quoted}; write one of {}", known.join(", ")),
    }
}

/// The known key that differs least, where no more than a third of it does.
pub fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let key = key.to_lowercase().replace('-', "_");
    let distances = known.iter().map(|known| (strsim::osa_distance(&key, known), *known));
    distances.filter(|(distance, known)| *distance * 3 <= known.len()).min().map(|(_, known)| known)
}

/// What is said of text that is not TOML: of what the parser says, and the piece of the text that it says it of.
/// `example` is a value as somebody would write it in this file.
pub fn not_toml(message: &str, source: &str, example: &str) -> String {
    if message == "duplicate key" {
        return format!("{} stands here a second time; keep one of them", quotable(source));
    }
    if message.starts_with("string values must be quoted") {
        return match source.trim().is_empty() {
            true => "a key has no value; write one behind the =".to_owned(),
            false => {
                format!("a value is neither a number nor true or false; write it in quotes, like {example:?}")
            }
        };
    }
    format!("not TOML: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_value_is_one_short_line_without_passwords() {
        assert_eq!(quotable("\"2 hours\""), "\"2 hours\"");
        assert_eq!(quotable("\"https://me:secret@host/\""), "\"https://***@host/\"");
        assert_eq!(quotable("\"me:sec@ret@host\""), "\"***@host\"");
        assert_eq!(quotable("\"\"\"a\nb\"\"\""), "\"\"\"a…");
        assert_eq!(quotable(&"é".repeat(100)), format!("{}…", "é".repeat(60)));
        assert_eq!(quotable("a\u{202E}b"), "a\u{FFFD}b");
    }
}
