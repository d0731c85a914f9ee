//! What is not TOML, in one line each, with a word about what people mean most often.

use toml::de::Error;

use super::section::Reading;
use shared::written::not_toml;

/// Notes one mistake of the parser where it stands.
pub(super) fn refuse(reading: &Reading<'_>, error: &Error) {
    let span = error.span().unwrap_or(0..0);
    let source = reading.text.get(span.clone()).unwrap_or_default();
    reading.refuse(span.start, not_toml(error.message(), source, "2h"));
}
