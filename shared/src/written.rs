//! Files that people write: read within a bound, every mistake told at once with its line and what to write instead.
//! What stands in such a file is its reader's business; here are the words that all of them use.

pub mod file;
mod problems;
mod words;

pub use problems::{Lines, Problem, Problems};
pub use words::{check_length, check_line, named, nearest, not_toml, quotable, unknown_key};
