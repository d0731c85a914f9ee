//! The short texts of the page file that people see.

use shared::written::{check_length, check_line};

use super::reading::Entry;

const LONGEST_TITLE: usize = 200;
const LONGEST_FOOTER: usize = 500;
const MOST_LINES: usize = 6;
/// Of what a link reads.
const LONGEST_NAME: usize = 60;

/// Reads the title.
pub(super) fn title(entry: &Entry<'_>) -> Result<String, String> {
    line(entry, LONGEST_TITLE)
}

/// Reads what a link reads.
pub(super) fn name(entry: &Entry<'_>) -> Result<String, String> {
    line(entry, LONGEST_NAME)
}

/// Reads the lines at the foot of the page, without those that are empty.
pub(super) fn footer(entry: &Entry<'_>) -> Result<Vec<String>, String> {
    let text = entry.string("it in quotes, three on each side where it has several lines")?.trim();
    check_length(text, LONGEST_FOOTER)?;
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.iter().try_for_each(|line| check_line(line, LONGEST_FOOTER))?;
    match lines.len() {
        0..=MOST_LINES => Ok(lines.into_iter().map(Into::into).collect()),
        count => Err(format!("has {count} lines; write at most {MOST_LINES}")),
    }
}

fn line(entry: &Entry<'_>, most: usize) -> Result<String, String> {
    let text = entry.string("it in quotes")?;
    check_line(text, most)?;
    Ok(text.trim().to_owned())
}
