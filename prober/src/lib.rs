//! The life of one check.
pub mod config;
pub mod output;
pub mod printable;
pub mod target;
