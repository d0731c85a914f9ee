//! The walk over the TOML: sections whose keys are taken out one by one, and the mistakes found on the way.
//! What a key means is told by those who take it; here is where it stands and how it is quoted.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    authorities::Certificates,
    settings::{Level, Setting},
    variables::{self, Environment, Expanded},
};
use shared::written::{Lines, Problem, quotable};

/// A file while it is read: its text, and every mistake found so far.
pub(super) struct Reading<'a> {
    /// The folder that relative paths in the file begin at.
    pub(super) folder: &'a Path,
    /// All of the file.
    pub(super) text: &'a str,
    lines: Lines,
    /// The variables that strings may name.
    pub(super) environment: &'a Environment<'a>,
    /// What the files hold that were read on the way, each once.
    pub(super) certificates: RefCell<HashMap<PathBuf, Certificates>>,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reading<'a> {
    /// A file of which nothing was read yet.
    pub(super) fn new(folder: &'a Path, text: &'a str, environment: &'a Environment<'a>) -> Reading<'a> {
        Reading {
            folder,
            text,
            lines: Lines::of(text),
            environment,
            certificates: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// All mistakes that were found.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// Notes a mistake at a byte of the text.
    pub(super) fn refuse(&self, at: usize, text: String) {
        self.problems.borrow_mut().push(Problem { line: Some(self.line(at)), text });
    }

    /// How many mistakes were found so far.
    pub(super) fn mistakes(&self) -> usize {
        self.problems.borrow().len()
    }

    /// The line of a byte of the text, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.line(at)
    }

    /// A table whose keys are to be taken; it stands at the byte `at`.
    pub(super) fn section(&'a self, at: usize, table: &'a DeTable<'a>) -> Section<'a> {
        let entry = |(key, value): (&'a Spanned<Cow<'a, str>>, _)| {
            let name = &**key.get_ref();
            let entry = self.entry(value, |source| label(name, value, source));
            (name, Entry { key_at: key.span().start, ..entry })
        };
        Section { at, entries: table.iter().map(entry).collect(), reading: self }
    }

    /// A value without a key of its own; it is called by what it is made of in the file.
    fn entry(&'a self, value: &'a Spanned<DeValue<'a>>, label: impl Fn(&str) -> String) -> Entry<'a> {
        let at = value.span().start;
        let label = label(self.text.get(value.span()).unwrap_or_default());
        Entry { label, at, key_at: at, value: value.get_ref(), reading: self }
    }
}

/// One table of the file; what is left of it at the end nobody knows.
pub(super) struct Section<'a> {
    /// The byte its heading begins at.
    pub(super) at: usize,
    /// What was not yet taken.
    pub(super) entries: BTreeMap<&'a str, Entry<'a>>,
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

    /// The same for a key that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        example: &str,
        read: impl FnOnce(&Entry<'a>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.entries.contains_key(key) {
            self.reading.refuse(self.at, format!("this service has no {key}; write {key} = \"{example}\""));
        }
        self.take(key, read)
    }

    /// The same for a key that has an inherited value where it is absent.
    pub(super) fn setting<T: Clone>(
        &mut self,
        key: &str,
        level: Level,
        inherited: &Setting<T>,
        read: impl FnOnce(&Entry<'a>) -> Result<T, String>,
    ) -> Setting<T> {
        let at = self.entries.get(key).map_or(0, |entry| entry.at);
        let written = self.take(key, read).map(|value| Setting { value, level, at });
        written.unwrap_or_else(|| inherited.clone())
    }
}

/// A value of the file, and how it is called in messages.
pub(super) struct Entry<'a> {
    /// What a message about it begins with: `interval = "2 hours"`, as it is written, never expanded.
    pub(super) label: String,
    /// The byte it begins at.
    pub(super) at: usize,
    /// The byte its key begins at.
    pub(super) key_at: usize,
    /// What it is in TOML.
    pub(super) value: &'a DeValue<'a>,
    /// The file it stands in.
    pub(super) reading: &'a Reading<'a>,
}

impl<'a> Entry<'a> {
    /// A string with its variables replaced; `instead` says what to write where it is none.
    pub(super) fn string(&self, instead: &str) -> Result<Expanded, String> {
        let written = self.value.as_str().ok_or_else(|| format!("is not a string; write {instead}"))?;
        variables::expand(written, self.reading.environment)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, String> {
        self.value
            .as_bool()
            .ok_or_else(|| "is neither true nor false; write one of them, without quotes".to_owned())
    }

    /// The result of reading this value, a mistake noted under its label.
    pub(super) fn noted<T>(&self, result: Result<T, String>) -> Option<T> {
        result.map_err(|mistake| self.reading.refuse(self.at, format!("{} {mistake}", self.label))).ok()
    }

    /// The elements of a list, each an entry of its own that is called by the list's name; `None` for other values.
    pub(super) fn elements(&self, name: &str) -> Option<Vec<Entry<'a>>> {
        let label = |source: &str| format!("{name}: {}", quotable(source));
        Some(self.value.as_array()?.iter().map(|element| self.reading.entry(element, label)).collect())
    }
}

/// A key with its value; without it where it is a table, or where it may hold secrets.
fn label(key: &str, value: &Spanned<DeValue<'_>>, source: &str) -> String {
    match value.get_ref().is_table() || key == "headers" {
        true => key.to_owned(),
        false => format!("{key} = {}", quotable(source)),
    }
}
