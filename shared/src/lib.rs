//! What the prober and the api both build on, and the project's words.
//!
//! | word | means |
//! | --- | --- |
//! | Service | what visitors see: a name, a link, a place on the page ([`Service`]) |
//! | Target | a service as the prober must check it (`prober::target`) |
//! | Check | one recorded observation of a service ([`Check`]) |
//! | Status | what a check found: online, degraded, timeout, offline; or unknown ([`Status`]) |
//! | Failure | why a check was not online ([`Failure`]) |
//! | Uptime | online checks / all checks over a Window (`api::uptime`) |
//! | Rollup | the counted checks of one service and one hour (`migrations/`) |
//! | Distribution | how long the checks of a rollup took ([`Distribution`]) |
//! | Snapshot | all that the page and the JSON need at one instant (`api::snapshot`) |
//! | Journal | checks that were measured and are not yet known to be recorded (`prober::journal`) |
//! | stale | a service without a recent check |
//! | silent | a monitor without a recent heartbeat |

pub mod check;
pub mod database;
pub mod distribution;
pub mod logging;
pub mod metrics;
pub mod printable;
pub mod retry;
pub mod service;
pub mod systemd;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trust;
pub mod vital;
pub mod written;

pub use check::{Check, Failure, Status};
pub use database::Database;
pub use distribution::Distribution;
pub use service::{Service, next_on_beat};
