//! All that the page and the JSON need at one instant: conclusions drawn from facts and the time.
//! Pure: what was read, and when, comes in; nothing is read here.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use shared::{Failure, Service, Status};

use crate::uptime::{Percent, Window};

/// All that the page and the JSON need at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The instant that the figures hold for: the last time the database was read, or the start of the api.
    pub as_of: DateTime<Utc>,
    /// What stands behind the figures.
    pub source: Source,
    /// The newest check of the services shown.
    pub last_check: Option<DateTime<Utc>>,
    /// The earliest turn still to come; `None` where the monitor is silent or nothing is shown.
    pub next_check: Option<DateTime<Utc>>,
    /// The one word over all of them.
    pub overall: Overall,
    /// In the order of the services file.
    pub services: Vec<ServiceState>,
}

/// What stands behind the figures of a snapshot, worst first: the page says so in its notice.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// There is nothing to read from: no `DATABASE_URL`.
    Unconfigured,
    /// The database was never read since the start; why, in words for visitors.
    NeverRead,
    /// The database was not read for [`crate::snapshot::AWAY_AFTER`] or longer; `as_of` is the last time.
    Away,
    /// The database is read, and no prober has prepared it yet.
    Empty,
    /// The database is read, and no prober left a heartbeat for [`crate::snapshot::SILENT_AFTER`] or longer.
    Silent {
        /// The newest heartbeat, if there ever was one.
        since: Option<DateTime<Utc>>,
    },
    /// The database is read and the monitor is alive.
    Live,
}

/// The database counts as away after this long without a read.
pub const AWAY_AFTER: Duration = Duration::from_secs(10);
/// The monitor counts as silent after this long without a heartbeat.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);

/// One service at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceState {
    /// What visitors see of it.
    pub service: Arc<Service>,
    /// What its newest check says; [`Status::Unknown`] while stale.
    pub status: Status,
    /// Whether the newest check is too old to say anything.
    pub stale: bool,
    /// The newest check that is not in the future.
    pub newest: Option<Newest>,
    /// When the newest online check began.
    pub last_online: Option<DateTime<Utc>>,
    /// Uptime over each window, in the order of [`Window::ALL`]; `None` where the window says nothing.
    pub uptime: [Option<Percent>; 4],
    /// All checks ever.
    pub total_checks: u64,
}

impl ServiceState {
    /// The uptime over one window.
    pub fn uptime(&self, window: Window) -> Option<Percent> {
        self.uptime[window as usize]
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

/// The one word over all services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overall {
    /// Every service is online.
    Operational,
    /// Any service is offline, degraded or timed out.
    Partial,
    /// Half of the services or more are offline.
    Major,
    /// No service, or not enough known.
    Unknown,
}

impl Overall {
    /// The first rule that holds (the contract's section on status-api).
    pub fn of(statuses: &[Status]) -> Overall {
        let count = |wanted: &[Status]| statuses.iter().filter(|s| wanted.contains(s)).count();
        if statuses.is_empty() {
            Overall::Unknown
        } else if count(&[Status::Online]) == statuses.len() {
            Overall::Operational
        } else if count(&[Status::Offline]) * 2 >= statuses.len() {
            Overall::Major
        } else if count(&[Status::Offline, Status::Degraded, Status::Timeout]) > 0 {
            Overall::Partial
        } else {
            Overall::Unknown
        }
    }

    /// The words for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Overall::Operational => "All Systems Operational",
            Overall::Partial => "Partial Outage",
            Overall::Major => "Major Outage",
            Overall::Unknown => "Status Unknown",
        }
    }
}
