//! Text from outside made fit to store and to show: nothing in it moves the cursor, breaks the line or turns the
//! reading direction. Right-to-left scripts are text like any other. Escaping is left to where it is shown.

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

/// `text` on one line: runs of whitespace and control characters become one space, other characters that
/// can't be seen (or that turn the direction of what follows) go, and it is cut to `most` characters.
pub fn one_line(text: &str, most: usize) -> String {
    let mut line = String::with_capacity(text.len().min(4 * most));
    let mut gap = false;
    let mut length = 0;
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            gap = length > 0;
            continue;
        }
        if is_invisible(character) {
            continue;
        }
        let grows_by = if gap { 2 } else { 1 };
        if length + grows_by > most {
            break;
        }
        if gap {
            line.push(' ');
        }
        line.push(character);
        length += grows_by;
        gap = false;
    }
    line
}

/// Format characters (Unicode's Cf and relatives), variation selectors, blank letters, private use and
/// noncharacters: nothing to see, or something to deceive with.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
        || u32::from(character) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn line_breaks_and_escapes_become_single_spaces() {
        assert_eq!(one_line("\u{1b}[31mred\r\n\t text\0 ", 100), "[31mred text");
    }

    #[test]
    fn characters_that_turn_the_text_around_or_hide_are_dropped() {
        assert_eq!(
            one_line("a\u{202e}b\u{2066}c\u{feff}d\u{200b}e\u{ad}f\u{2029}g\u{e0041}", 100),
            "abcdef g"
        );
    }

    #[test]
    fn letters_of_every_script_stay() {
        assert_eq!(one_line("Zürich Ω 東京 עברית 🙂", 100), "Zürich Ω 東京 עברית 🙂");
    }

    #[test]
    fn a_cut_counts_characters_and_leaves_no_space_at_the_end() {
        assert_eq!(one_line("éé éé", 3), "éé");
        assert_eq!(one_line("éé éé", 4), "éé é");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_one_short_visible_line_comes_out(text in any::<String>(), most in 0usize..60) {
            let line = one_line(&text, most);
            prop_assert!(line.chars().count() <= most);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(!line.contains("  ") && line.trim() == line);
            prop_assert_eq!(one_line(&line, most), line.clone());
        }
    }
}
