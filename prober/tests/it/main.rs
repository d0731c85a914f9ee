//! The prober from outside: one binary, one module per subject.
#![allow(clippy::unwrap_used)]

mod commands;
mod config;
mod daemon;
mod migrations;
mod probe;
mod process;
mod recording;
mod secured;
mod servers;
