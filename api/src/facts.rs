//! What was read from the database, without a conclusion: the input of `snapshot::assemble`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use shared::{Failure, Service, Status};

use crate::uptime::History;

/// All that is known of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Grows with every change of the service's checks; 0 where there never was one.
    pub revision: i64,
    /// The number of the newest hour that a change of its checks began in.
    pub recent: i64,
    /// The counted checks.
    pub history: History,
    /// The newest check that was not in the future when this was read.
    pub newest: Option<Newest>,
    /// The newest of those that were online.
    pub last_online: Option<DateTime<Utc>>,
    /// The earliest check that was too far in the future: when its time comes, [`Facts::newest`] is another.
    pub upcoming: Option<DateTime<Utc>>,
}

/// The newest check of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// When its first try began.
    pub timestamp: DateTime<Utc>,
    /// What it found.
    pub status: Status,
    /// Whole milliseconds.
    pub response_time_ms: Option<i32>,
    /// The final HTTP status.
    pub status_code: Option<i32>,
    /// Why it was not online, where the row says so in the prober's words.
    pub failure: Option<Failure>,
}

/// What one look at the database gave. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When the look was taken, in whole milliseconds by this machine's clock.
    pub read_at: DateTime<Utc>,
    /// Whether a prober has prepared the database.
    pub prepared: bool,
    /// The newest heartbeat of any prober, by this machine's clock.
    pub heartbeat: Option<DateTime<Utc>>,
    /// The services in force, in the order of the page, and what is known of each.
    pub services: Vec<(Arc<Service>, Arc<Facts>)>,
}
