//! The life of one check.
//!
//! [`schedule`] says whose turn it is, and [`share`] whether this prober takes it or another one on the same database.
//! `daemon` begins the check, unless the last one of the service is still `at_work`. [`checker`] lets [`probe`] look up the
//! name, wait for a place, of which services that hang get only half, and ask the target once, timed and bounded;
//! [`verdict`] says whether another try is due and in the end turns the reply into a check. (A check without an answer then
//! waits until `canary` knows whether it is the service that fails or this machine.) The [`journal`] takes it in without
//! waiting and has it on disk a moment later; the [`writer`], the one thread that owns the connection, hands it from there
//! to [`store`], which records it exactly once.
//!
//! Checks that are recorded are [`upkeep`]'s: it summarises response times and removes what is past its age.
//!
//! systemd hears whether checks advance ([`pulse`]) and how things stand ([`standing`]); who scrapes them reads its
//! [`metrics`].
//!
//! [`run`] begins and ends it all; [`config`] turns the services file into targets; [`migrate`] owns the schema; [`once`]
//! makes one round for a person and records nothing.

mod at_work;
pub mod broken;
mod canary;
pub mod checker;
pub mod cli;
pub mod clock;
pub mod config;
mod daemon;
pub mod journal;
pub mod metrics;
pub mod migrate;
pub mod once;
pub mod output;
pub mod probe;
pub mod pulse;
pub mod resolver;
pub mod run;
pub mod schedule;
pub mod share;
pub mod standing;
pub mod store;
pub mod target;
pub mod upkeep;
pub mod verdict;
pub mod writer;
