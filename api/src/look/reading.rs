//! The walk over the page file: tables whose keys are taken one by one, and the mistakes found on the way.
//! What a key means is told by those who take it.

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, path::Path};

use shared::written::{Lines, Problem, quotable, unknown_key};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::KEYS;

/// A file while it is read.
pub(super) struct Reading<'a> {
    /// Where relative paths in it begin.
    pub(super) folder: &'a Path,
    text: &'a str,
    lines: Lines,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reading<'a> {
    /// A file of which nothing was read yet.
    pub(super) fn new(folder: &'a Path, text: &'a str) -> Reading<'a> {
        Reading { folder, text, lines: Lines::of(text), problems: RefCell::default() }
    }

    /// All mistakes that were found.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// Notes a mistake at a byte of the text.
    pub(super) fn refuse(&self, at: usize, text: String) {
        self.problems.borrow_mut().push(Problem { line: Some(self.lines.line(at)), text });
    }

    /// A table whose keys are to be taken; it begins at the byte `at`.
    pub(super) fn section(&'a self, at: usize, table: &'a DeTable<'a>) -> Section<'a> {
        let entry = |(key, value): (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
            let name = &**key.get_ref();
            let label = match value.get_ref().is_table() {
                true => name.to_owned(),
                false => format!("{name} = {}", quotable(self.source(value))),
            };
            (name, Entry { label, at: value.span().start, key_at: key.span().start, value, reading: self })
        };
        Section { at, entries: table.iter().map(entry).collect(), reading: self }
    }

    fn source(&self, value: &Spanned<DeValue<'_>>) -> &str {
        self.text.get(value.span()).unwrap_or_default()
    }
}

/// One table of the file.
pub(super) struct Section<'a> {
    at: usize,
    /// What was not yet taken.
    entries: BTreeMap<&'a str, Entry<'a>>,
    reading: &'a Reading<'a>,
}

impl<'a> Section<'a> {
    /// Takes a key out and reads its value; `None` where it is absent, or wrong, which is then noted.
    pub(super) fn take<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Entry<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let entry = self.entries.remove(key)?;
        entry.noted(read(&entry))
    }

    /// The same for a key that must be there; `absent` is said where it is not.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        absent: &str,
        read: impl FnOnce(&Entry<'a>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.entries.contains_key(key) {
            self.reading.refuse(self.at, absent.to_owned());
        }
        self.take(key, read)
    }

    /// Refuses what was not taken. A key of the page may have slipped below the heading of another table.
    pub(super) fn refuse_the_rest(self, known: &[&str]) {
        for (key, entry) in self.entries {
            let text = match KEYS.contains(&key) {
                true => format!("{key} belongs to the page; write it above the first line in brackets"),
                false => unknown_key(key, known),
            };
            self.reading.refuse(entry.key_at, text);
        }
    }
}

/// A value of the file, and how it is called in messages.
pub(super) struct Entry<'a> {
    /// What a message about it begins with: `title = ""`, as it is written.
    label: String,
    at: usize,
    key_at: usize,
    value: &'a Spanned<DeValue<'a>>,
    /// The file it stands in.
    pub(super) reading: &'a Reading<'a>,
}

impl<'a> Entry<'a> {
    /// A string; `instead` says what to write where it is none.
    pub(super) fn string(&self, instead: &str) -> Result<&'a str, String> {
        self.value.get_ref().as_str().ok_or_else(|| format!("is not a string; write {instead}"))
    }

    /// A table; `None` for other values.
    pub(super) fn section(&self) -> Option<Section<'a>> {
        Some(self.reading.section(self.at, self.value.get_ref().as_table()?))
    }

    /// A list of at most so many, read one by one; a mistake in one leaves the others to be read.
    pub(super) fn list<T>(
        &self,
        name: &str,
        most: usize,
        instead: &str,
        read: impl Fn(&Entry<'a>) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let values = self.value.get_ref().as_array().ok_or_else(|| instead.to_owned())?;
        if values.len() > most {
            self.reading.refuse(self.at, format!("{name} holds {}; write at most {most}", values.len()));
        }
        let element = |value: &'a Spanned<DeValue<'a>>| {
            let label = format!("{name}: {}", quotable(self.reading.source(value)));
            let at = value.span().start;
            let entry = Entry { label, at, key_at: at, value, reading: self.reading };
            entry.noted(read(&entry))
        };
        Ok(values.iter().filter_map(element).collect())
    }

    /// The result of reading this value, a mistake noted under its label.
    pub(super) fn noted<T>(&self, result: Result<T, String>) -> Option<T> {
        result.map_err(|mistake| self.reading.refuse(self.at, format!("{} {mistake}", self.label))).ok()
    }
}
