//! The life of one check.
pub mod target;
