//! Columns that stay aligned whatever is in them: wide and combining characters are counted as a terminal shows them,
//! right-to-left text does not turn what follows it, and nothing moves the cursor.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::Style;
use shared::printable::printable;

const GAP: usize = 2;
/// Cut to less than this, the last column says nothing any more: better to let the terminal wrap it.
const LEAST_CUT: usize = 20;
/// Ends a right-to-left run without being seen (UAX #9), so that the numbers after it stay in their columns.
const LEFT_TO_RIGHT_MARK: char = '\u{200E}';

/// Which edge of its column a cell stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Left,
    Right,
}

/// How a cell stands out where colours are wanted, as the number of its ANSI code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain = 0,
    Faint = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// A text and its tone.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell on one line, whatever the text holds.
    pub(super) fn new(text: &str, tone: Tone) -> Cell {
        Cell { text: printable(text).into_owned(), tone }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::new(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::from(&*text)
    }
}

/// Writes rows under their headings, two spaces between columns, the last column cut at the terminal's edge.
pub(super) fn write<const N: usize>(
    headings: [(&str, Edge); N],
    rows: &[[Cell; N]],
    style: Style,
    out: &mut impl Write,
) -> io::Result<()> {
    let head = headings.map(|(text, _)| Cell::new(text, Tone::Faint));
    let lines: Vec<_> = std::iter::once(&head).chain(rows).collect();
    let mut columns = headings.map(|(_, edge)| (edge, 0));
    for (column, (_, width)) in columns.iter_mut().enumerate() {
        *width = lines.iter().map(|row| row[column].text.width()).max().unwrap_or(0);
    }
    lines.into_iter().try_for_each(|row| writeln!(out, "{}", line(row, &columns, style)))
}

fn line(row: &[Cell], columns: &[(Edge, usize)], style: Style) -> String {
    let mut line = String::new();
    let (mut used, mut pending) = (0, 0);
    for (place, (cell, (edge, width))) in row.iter().zip(columns).enumerate() {
        let last = place + 1 == row.len();
        let text = if last {
            cut(&cell.text, style.width.map(|all| all.saturating_sub(used)))
        } else {
            cell.text.clone()
        };
        let padding = width - cell.text.width();
        if *edge == Edge::Right {
            pending += padding;
        }
        if !text.is_empty() {
            line.extend(std::iter::repeat_n(' ', std::mem::take(&mut pending)));
            line.push_str(&toned(&text, cell.tone, style));
        }
        pending += GAP + if *edge == Edge::Left { padding } else { 0 };
        used += width + GAP;
    }
    line
}

fn toned(text: &str, tone: Tone, style: Style) -> String {
    let mark =
        if text.chars().any(is_right_to_left) { LEFT_TO_RIGHT_MARK.to_string() } else { String::new() };
    match style.colour && tone != Tone::Plain {
        true => format!("\x1b[{}m{text}{mark}\x1b[0m", tone as u8),
        false => format!("{text}{mark}"),
    }
}

/// The text where there is room for it, else as much of it as there is, and an ellipsis.
fn cut(text: &str, room: Option<usize>) -> String {
    let Some(room) = room.filter(|room| (LEAST_CUT..text.width()).contains(room)) else {
        return text.to_owned();
    };
    let ends = text.char_indices().map(|(end, _)| end);
    let end = ends.take_while(|end| text[..*end].width() < room).last().unwrap_or(0);
    format!("{}…", &text[..end])
}

/// The blocks of Hebrew, Arabic and their neighbours.
fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'
        | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Style = Style { colour: false, width: None };

    fn written(rows: &[[Cell; 3]], style: Style) -> String {
        let mut out = Vec::new();
        write([("name", Edge::Left), ("time", Edge::Right), ("error", Edge::Left)], rows, style, &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    fn row(name: &str, time: &str, error: &str) -> [Cell; 3] {
        [name.into(), time.into(), error.into()]
    }

    #[test]
    fn columns_stay_aligned_whatever_the_script() {
        let rows = [
            row("plain", "1 ms", ""),
            row("状態", "20 ms", "x"),
            row("e\u{301}te\u{301}", "300 ms", ""),
            row("👩\u{200D}💻", "", "y"),
        ];
        let expected = "name     time  error\nplain    1 ms\n状態    20 ms  x\ne\u{301}te\u{301}    300 ms\n\
                        👩\u{200D}💻             y\n";
        assert_eq!(written(&rows, PIPE), expected);
    }

    #[test]
    fn what_follows_right_to_left_text_stays_where_it_is() {
        assert!(written(&[row("שלום", "1 ms", "")], PIPE).contains("שלום\u{200E}  1 ms"));
    }

    #[test]
    fn nothing_in_a_cell_reaches_the_terminal_as_a_command() {
        assert!(!written(&[row("a\x1b[2J\nb", "", "")], PIPE).contains('\x1b'));
        assert_eq!(written(&[row("a\x1b[2J\nb", "", "")], PIPE).lines().count(), 2);
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let rows = [[Cell::new("up", Tone::Green), "1 ms".into(), "".into()], row("other", "20 ms", "")];
        let colourful = written(&rows, Style { colour: true, width: None });
        let plain = colourful.replace("\x1b[32m", "").replace("\x1b[2m", "").replace("\x1b[0m", "");
        assert_eq!(plain, written(&rows, PIPE));
        assert!(colourful.contains("\x1b[32mup\x1b[0m      1 ms"));
    }

    #[test]
    fn the_last_column_ends_at_the_edge_of_the_terminal() {
        let error = "dns: no such name as this one, after 2 tries";
        let narrow = written(&[row("main", "1 ms", error)], Style { colour: false, width: Some(40) });
        assert!(narrow.lines().all(|line| line.width() <= 40), "{narrow}");
        assert!(narrow.contains("dns: no such name as this o…\n"), "{narrow}");
        let tiny = written(&[row("main", "1 ms", error)], Style { colour: false, width: Some(15) });
        assert!(tiny.contains(error));
    }

    #[test]
    fn a_wide_character_is_not_cut_in_two() {
        assert_eq!(cut(&"状".repeat(20), Some(20)), format!("{}…", "状".repeat(9)));
    }
}
