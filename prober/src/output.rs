//! What people read on a terminal or in a pipe: the plan of `check-config`, the results of `once`. Text only; which
//! stream it goes to and whether that is a terminal is the caller's to know.

mod plan;
mod round;
mod table;

pub use plan::write_plan;
pub use round::{ERASE_PROGRESS, progress, write_round, write_round_json};

/// What the stream can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are wanted: a terminal, and no `NO_COLOR`.
    pub colour: bool,
    /// Columns of the terminal, at which long errors are cut; `None` in a pipe, where nothing is cut and status words
    /// stand without shapes.
    pub width: Option<usize>,
}
