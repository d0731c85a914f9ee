//! Text from outside made fit for one line of a terminal, a log or a page: nothing in it moves the cursor, breaks
//! the line or turns the reading direction. Right-to-left scripts are text like any other.

use std::borrow::Cow;

/// Whether a character may stand in a line: no control character, no line or paragraph separator, none of the
/// invisible characters that reorder what stands around them (Unicode UAX #9, explicit formatting).
pub fn is_printable(c: char) -> bool {
    let reorders = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let breaks_the_line = matches!(c, '\u{2028}' | '\u{2029}');
    let is_no_text = matches!(c, '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}');
    !(c.is_control() || reorders || breaks_the_line || is_no_text)
}

/// The same text with U+FFFD for every character that may not stand in a line.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_printable(c) { c } else { '\u{FFFD}' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_every_direction_and_joined_emoji_are_printable() {
        for text in
            ["asimonson.com", "حالة الخدمة", "שלום", "状態", "e\u{301}", "👩\u{200D}💻", "می\u{200C}خواهم"]
        {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn what_moves_breaks_or_reorders_a_line_is_replaced() {
        for c in [
            '\0', '\n', '\r', '\t', '\u{1b}', '\u{7f}', '\u{9b}', '\u{2028}', '\u{202E}', '\u{2066}',
            '\u{FEFF}',
        ] {
            assert_eq!(printable(&format!("a{c}b")), "a\u{FFFD}b");
        }
    }
}
