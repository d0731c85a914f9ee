//! What is not TOML, in one line each, with a word about what people mean most often.

use toml::de::Error;

use super::section::{Reading, quotable};

/// Notes one mistake of the parser where it stands.
pub(super) fn refuse(reading: &Reading<'_>, error: &Error) {
    let span = error.span().unwrap_or(0..0);
    let source = reading.text.get(span.clone()).unwrap_or_default();
    reading.refuse(span.start, explained(error.message(), source));
}

fn explained(message: &str, source: &str) -> String {
    if message == "duplicate key" {
        return format!("{} stands here a second time; keep one of them", quotable(source));
    }
    if message.starts_with("string values must be quoted") {
        return match source.trim().is_empty() {
            true => "a key has no value; write one behind the =".to_owned(),
            false => {
                "a value is neither a number nor true or false; write it in quotes, like \"2h\"".to_owned()
            }
        };
    }
    format!("not TOML: {message}")
}
