//! The prober from outside: one binary, one module per subject.
mod config;
mod probe;
mod servers;
