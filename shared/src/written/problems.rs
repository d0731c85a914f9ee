//! What is wrong with a file: every mistake at once, each one line that says where it is, what is wrong and what to
//! write instead.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// More than anybody mends in one go; a file of another kind has one in every line.
const MOST: usize = 100;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Its line, from 1; `None` where the file could not be read at all.
    pub line: Option<usize>,
    /// What is wrong and what to write instead; one printable line without secrets.
    pub text: String,
}

/// Every mistake of one file, at least one, in the order of its lines. Displayed, each is a line of its own:
/// `FILE:LINE: what is wrong; what to write instead`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    path: PathBuf,
    list: Vec<Problem>,
}

impl Problems {
    /// Sorts the mistakes of a file and leaves out repetitions: what holds for many is read once for each.
    pub fn new(path: &Path, mut list: Vec<Problem>) -> Problems {
        list.sort();
        list.dedup();
        if list.len() > MOST {
            let text = format!("has {} more mistakes; mend those above first", list.len() - MOST);
            list.truncate(MOST);
            list.push(Problem { line: None, text });
        }
        Problems { path: path.to_owned(), list }
    }

    /// The one mistake of a file that could not be read.
    pub fn of_file(path: &Path, text: String) -> Problems {
        Problems::new(path, vec![Problem { line: None, text }])
    }

    /// Each mistake as its own line, for a log that takes one line at a time.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|problem| match problem.line {
            Some(line) => format!("{}:{line}: {}", self.path.display(), problem.text),
            None => format!("{}: {}", self.path.display(), problem.text),
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Where the lines of a text begin.
#[derive(Debug)]
pub struct Lines {
    /// The byte that each line but the first begins at.
    starts: Vec<usize>,
}

impl Lines {
    /// The lines of this text.
    pub fn of(text: &str) -> Lines {
        Lines { starts: text.match_indices('\n').map(|(at, _)| at + 1).collect() }
    }

    /// The line of a byte of the text, from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.starts.partition_point(|start| *start <= at)
    }
}
