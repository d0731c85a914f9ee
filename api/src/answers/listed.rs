//! Checks of a service, and the services themselves as rows.

use serde::Serialize;
use shared::{Failure, Status};
use utoipa::ToSchema;

use super::exact;
use crate::{json::Service, snapshot::ServiceState, store::checks::Recorded};

/// Recorded checks of a service, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checks)]
pub struct ChecksAnswer {
    /// The service's id.
    pub service_id: String,
    /// When they were read.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// Newest first: by the highest timestamp, then the highest id.
    pub checks: Vec<CheckRow>,
    /// Where the next answer goes on; null where there are no more. New checks do not shift it.
    pub next_cursor: Option<String>,
}

/// A recorded check.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckRow {
    /// Its number in the database.
    pub id: i64,
    /// When its first try began.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// What it found; `unknown` for a word that nobody knows.
    #[schema(value_type = Status)]
    pub status: &'static str,
    /// Milliseconds of its last try; the timeout where nothing answered in time, null where nothing answered.
    pub response_time: Option<i32>,
    /// The final HTTP status; null where there was none.
    pub status_code: Option<i32>,
    /// The class of failure; null where it was online, or nothing tells.
    #[schema(value_type = Option<Failure>)]
    pub failure: Option<&'static str>,
}

impl CheckRow {
    /// Its columns.
    pub const HEADINGS: [&str; 6] = ["id", "timestamp", "status", "response_time", "status_code", "failure"];

    /// Of a row that was read.
    pub fn of(check: &Recorded) -> CheckRow {
        CheckRow {
            id: check.id,
            timestamp: exact(check.timestamp),
            status: check.status.as_str(),
            response_time: check.response_time_ms,
            status_code: check.status_code,
            failure: check.failure.map(Failure::as_str),
        }
    }
}

/// A service in one row: what its JSON says, flat.
#[derive(Debug, Serialize)]
pub struct ServiceRow<'a> {
    id: &'a str,
    name: &'a str,
    group: Option<&'a str>,
    url: Option<&'a str>,
    status: &'static str,
    stale: bool,
    last_status: Option<&'static str>,
    failure: Option<&'static str>,
    last_check: Option<String>,
    last_online: Option<String>,
    response_time: Option<i32>,
    status_code: Option<i32>,
    uptime_24h: Option<f64>,
    uptime_7d: Option<f64>,
    uptime_30d: Option<f64>,
    uptime_all_time: Option<f64>,
    total_checks: u64,
    interval: f64,
}

impl<'a> ServiceRow<'a> {
    /// Its columns.
    pub const HEADINGS: [&'static str; 18] = [
        "id",
        "name",
        "group",
        "url",
        "status",
        "stale",
        "last_status",
        "failure",
        "last_check",
        "last_online",
        "response_time",
        "status_code",
        "uptime_24h",
        "uptime_7d",
        "uptime_30d",
        "uptime_all_time",
        "total_checks",
        "interval",
    ];

    /// Of a service as it stands.
    pub fn of(state: &'a ServiceState) -> ServiceRow<'a> {
        let service = Service::of(state);
        ServiceRow {
            id: service.id,
            name: service.name,
            group: service.group,
            url: service.url,
            status: service.status,
            stale: service.stale,
            last_status: service.last_status,
            failure: service.failure,
            last_check: service.last_check,
            last_online: service.last_online,
            response_time: service.response_time,
            status_code: service.status_code,
            uptime_24h: service.uptime.day,
            uptime_7d: service.uptime.week,
            uptime_30d: service.uptime.month,
            uptime_all_time: service.uptime.all_time,
            total_checks: service.total_checks,
            interval: service.interval,
        }
    }
}
