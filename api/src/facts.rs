//! What was read from the database, without a conclusion: the input of `snapshot::assemble`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use shared::{Failure, Service, Status};

use crate::{outages::Outage, series::Series, uptime::History};

/// All that is known of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Grows with every change of the service's checks; 0 where there never was one.
    pub revision: i64,
    /// The number of the newest hour that a change of its checks began in.
    pub recent: i64,
    /// The counted checks.
    pub history: History,
    /// What the page shows of the past beside uptime.
    pub past: Arc<Past>,
    /// The newest check that was not in the future when this was read.
    pub newest: Option<Newest>,
    /// The newest of those that were online.
    pub last_online: Option<DateTime<Utc>>,
    /// The earliest check that was too far in the future: when its time comes, [`Facts::newest`] is another.
    pub upcoming: Option<DateTime<Utc>>,
}

/// What the page shows of a service's past beside uptime.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The UTC days with checks, by the days since 1970, of the last [`STRIP_DAYS`]: [`ByStatus`].
    pub days: Series<5>,
    /// The quarters of UTC days with checks, by their number since 1970, of the last [`SPARK_QUARTERS`]: [`Quarter`].
    pub quarters: Series<2>,
    /// The outages of these days, ascending; the newest of a thousand runs.
    pub outages: Vec<Outage>,
}

impl Past {
    /// Whether the first day of a strip that ends with `today` was measured.
    pub fn reaches_back(&self, today: i64) -> bool {
        self.days.iter().next().is_some_and(|(first, _)| first <= today + 1 - STRIP_DAYS)
    }
}

/// Days that the strip shows, today among them.
pub const STRIP_DAYS: i64 = 90;
/// Quarters of a day that the line of response times shows.
pub const SPARK_QUARTERS: i64 = 28;

/// The checks of a quarter of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarter {
    /// Their median response time in milliseconds, of the hours that are over; within 5 %.
    pub median_ms: Option<u64>,
    /// Those that were not online.
    pub failed: u64,
}

impl From<[u64; 2]> for Quarter {
    fn from([median_and_one, failed]: [u64; 2]) -> Quarter {
        Quarter { median_ms: median_and_one.checked_sub(1), failed }
    }
}

impl From<Quarter> for [u64; 2] {
    fn from(quarter: Quarter) -> [u64; 2] {
        [quarter.median_ms.map_or(0, |ms| ms + 1), quarter.failed]
    }
}

/// Checks counted by status; the last is all of them, those with a status that nobody knows too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByStatus {
    /// Online checks.
    pub online: u64,
    /// Degraded ones.
    pub degraded: u64,
    /// Timeouts.
    pub timeout: u64,
    /// Offline ones.
    pub offline: u64,
    /// All of them.
    pub total: u64,
}

impl ByStatus {
    /// Counts these too.
    pub fn add(&mut self, other: ByStatus) {
        self.online += other.online;
        self.degraded += other.degraded;
        self.timeout += other.timeout;
        self.offline += other.offline;
        self.total += other.total;
    }

    /// Those with a status that nobody knows.
    pub fn unknown(&self) -> u64 {
        self.total.saturating_sub(self.online + self.degraded + self.timeout + self.offline)
    }
}

impl From<[u64; 5]> for ByStatus {
    fn from([online, degraded, timeout, offline, total]: [u64; 5]) -> ByStatus {
        ByStatus { online, degraded, timeout, offline, total }
    }
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
