//! The life of one check.
pub mod printable;
pub mod target;
