//! Outages, newest first.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{Failure, Status};
use utoipa::ToSchema;

use super::exact;
use crate::{
    cursor::Cursor,
    json::{self, SourceWord, instant},
    outages::{Outage, least},
    query::OfOutages,
    snapshot::{ServiceState, Snapshot},
};

/// Outages of ninety days, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outages)]
pub struct OutagesAnswer {
    /// The instant that they are as of.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// What stands behind them.
    #[schema(value_type = SourceWord)]
    pub source: &'static str,
    /// By their begin, newest first; those of one instant by their service's id.
    pub outages: Vec<OutageRow>,
    /// Where the next answer goes on; null where there are no more.
    pub next_cursor: Option<String>,
}

/// An outage: a run of checks that were not online.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outage)]
pub struct OutageRow {
    /// The service's id.
    pub service_id: String,
    /// The service's name.
    pub name: String,
    /// The worst status of its checks.
    #[schema(value_type = Status)]
    pub status: &'static str,
    /// The first class of failure that a check of it tells; null where none does.
    #[schema(value_type = Option<Failure>)]
    pub failure: Option<&'static str>,
    /// The last online check before it, after which it began; null where none is known.
    #[schema(format = DateTime)]
    pub online_before: Option<String>,
    /// Its first check.
    #[schema(format = DateTime)]
    pub began: String,
    /// Its last check so far.
    #[schema(format = DateTime)]
    pub last_failed: String,
    /// The first online check after it, by which it had ended; null while no check says so.
    #[schema(format = DateTime)]
    pub ended: Option<String>,
    /// How many checks it has.
    pub checks: u64,
    /// Where people read of it: a path on this server.
    pub page: String,
}

impl OutageRow {
    /// Its columns.
    pub const HEADINGS: [&str; 10] = [
        "service_id",
        "name",
        "status",
        "failure",
        "online_before",
        "began",
        "last_failed",
        "ended",
        "checks",
        "page",
    ];

    fn of(state: &ServiceState, outage: &Outage, base_path: &str) -> OutageRow {
        let id = &state.service.id;
        OutageRow {
            service_id: id.clone(),
            name: state.service.name.clone(),
            status: outage.status.as_str(),
            failure: outage.failure.map(Failure::as_str),
            online_before: outage.before.map(exact),
            began: exact(outage.began),
            last_failed: exact(outage.ended),
            ended: outage.after.map(exact),
            checks: outage.checks,
            page: format!("{base_path}{}", outage.path(id)),
        }
    }
}

impl OutagesAnswer {
    /// Those that are asked for; `None` where there is no such service.
    pub fn of(snapshot: &Snapshot, of: &OfOutages, base_path: &str) -> Option<OutagesAnswer> {
        let after = of.cursor.as_ref().map(|cursor| (Reverse(cursor.at), cursor.key.as_str()));
        let is_wanted = |one: &(&ServiceState, &Outage)| {
            of.to.is_none_or(|to| one.1.began < to.0)
                && of.from.is_none_or(|from| one.1.after.is_none_or(|after| after > from.0))
                && after.is_none_or(|after| place(one) > after)
        };
        let limit = usize::from(of.limit.0);
        let every = snapshot.outages(of.service.as_deref())?.filter(is_wanted);
        let mut wanted = least(every, limit + 1, place);
        let more = wanted.len() > limit;
        wanted.truncate(limit);
        let last = wanted.last().filter(|_| more);
        let next_cursor = last.map(|(state, outage)| {
            Cursor::new(&of.question(), outage.began, state.service.id.as_str()).encode()
        });
        let outages = wanted.iter().map(|(state, outage)| OutageRow::of(state, outage, base_path)).collect();
        let (as_of, source) = (instant(snapshot.as_of), json::source(&snapshot.source));
        Some(OutagesAnswer { as_of, source, outages, next_cursor })
    }
}

/// In the list: the newest first, then by the service's id.
fn place<'a>(one: &(&'a ServiceState, &'a Outage)) -> (Reverse<DateTime<Utc>>, &'a str) {
    (Reverse(one.1.began), &one.0.service.id)
}
