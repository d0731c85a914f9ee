//! The prober from outside: one binary, one module per subject.
mod probe;
mod servers;
