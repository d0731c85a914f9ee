//! The life of one check.
pub mod checker;
pub mod printable;
pub mod probe;
pub mod resolver;
pub mod target;
pub mod verdict;
