//! The life of one check.
pub mod config;
pub mod printable;
pub mod target;
