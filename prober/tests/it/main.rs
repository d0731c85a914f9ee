//! The prober from outside: one binary, one module per subject.
#![allow(clippy::unwrap_used)]

mod canary;
mod commands;
mod config;
mod daemon;
mod faults;
mod figures;
mod journal;
mod metrics;
mod migrations;
mod probe;
mod process;
mod recording;
mod recount;
mod secured;
mod servers;
mod several;
mod systemd;
mod upkeep;
