//! `/api/status`: what a snapshot says, for programs. The contract's keys in the contract's order, every key
//! present, null where unknown; what is ours beyond the contract is marked so.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::{
    assets,
    snapshot::{Overall, ServiceState, Snapshot, Source},
    uptime::{Percent, Window},
    words,
};

/// The answer of `/api/status` in UTF-8.
pub fn status(snapshot: &Snapshot) -> Vec<u8> {
    serde_json::to_vec(&Answer::of(snapshot)).expect("strings and numbers always serialise")
}

/// An instant as everywhere in the JSON and the page: RFC 3339 in UTC with milliseconds.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An address that may be followed: `http` or `https`, else `None`.
pub fn followable(link: &str) -> Option<&str> {
    let starts = |scheme: &str| link.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    (starts("https://") || starts("http://")).then_some(link)
}

#[derive(Serialize)]
struct Answer<'a> {
    last_check: Option<String>,
    next_check: Option<String>,
    as_of: String,
    /// Ours: `operational`, `partial`, `major` or `unknown`.
    overall: &'static str,
    /// Ours: `live`, `silent`, `empty`, `away`, `never_read` or `unconfigured`.
    source: &'static str,
    /// Ours: the newest heartbeat of a silent monitor.
    silent_since: Option<String>,
    /// Ours: another whenever a page drawn from an earlier answer could not be brought up to date in place.
    layout: String,
    services: Vec<Service<'a>>,
}

#[derive(Serialize)]
struct Service<'a> {
    id: &'a str,
    name: &'a str,
    url: Option<&'a str>,
    status: &'static str,
    response_time: Option<i32>,
    status_code: Option<i32>,
    last_online: Option<String>,
    uptime: Uptime,
    total_checks: u64,
    stale: bool,
    /// Ours: the heading it stands under.
    group: Option<&'a str>,
    /// Ours: when the newest check began.
    last_check: Option<String>,
    /// The newest check's word, stale or not.
    last_status: Option<&'static str>,
    /// Ours: the newest check's class of failure.
    failure: Option<&'static str>,
    /// Ours: the same in words for people.
    reason: Option<String>,
    /// Ours: seconds from one check to the next.
    interval: f64,
}

#[derive(Serialize)]
struct Uptime {
    #[serde(rename = "24h")]
    day: Option<f64>,
    #[serde(rename = "7d")]
    week: Option<f64>,
    #[serde(rename = "30d")]
    month: Option<f64>,
    all_time: Option<f64>,
}

impl<'a> Answer<'a> {
    fn of(snapshot: &'a Snapshot) -> Answer<'a> {
        Answer {
            last_check: snapshot.last_check.map(instant),
            next_check: snapshot.next_check.map(instant),
            as_of: instant(snapshot.as_of),
            overall: overall(snapshot.overall),
            source: source(&snapshot.source),
            silent_since: silent_since(&snapshot.source).map(instant),
            layout: layout(snapshot),
            services: snapshot.services.iter().map(Service::of).collect(),
        }
    }
}

impl<'a> Service<'a> {
    fn of(state: &'a ServiceState) -> Service<'a> {
        let (service, newest) = (&state.service, state.newest.as_ref());
        let uptime = |window| state.uptime(window).map(Percent::as_f64);
        Service {
            id: &service.id,
            name: &service.name,
            url: service.link.as_deref().and_then(followable),
            status: state.status.as_str(),
            response_time: newest.and_then(|newest| newest.response_time_ms),
            status_code: newest.and_then(|newest| newest.status_code),
            last_online: state.last_online.map(instant),
            uptime: Uptime {
                day: uptime(Window::Day),
                week: uptime(Window::Week),
                month: uptime(Window::Month),
                all_time: uptime(Window::AllTime),
            },
            total_checks: state.total_checks,
            stale: state.stale,
            group: service.group.as_deref(),
            last_check: newest.map(|newest| instant(newest.timestamp)),
            last_status: newest.map(|newest| newest.status.as_str()),
            failure: newest.and_then(|newest| newest.failure).map(shared::Failure::as_str),
            reason: words::reason(state),
            interval: service.interval.as_secs_f64(),
        }
    }
}

/// Tells apart what the page shows beside figures: which services in which order, under which names, links and
/// headings, checked how often and how strictly, and by which version of the page.
pub fn layout(snapshot: &Snapshot) -> String {
    let mut parts = vec![assets::STYLE.name.clone(), assets::SCRIPT.name.clone()];
    parts.extend(snapshot.services.iter().map(|state| {
        let shared::Service { id, name, link, group, interval, timeout, slow_after, .. } =
            state.service.as_ref();
        format!("{:?}", (id, name, link, group, interval, timeout, slow_after))
    }));
    assets::digest(parts.join("\n").as_bytes())
}

/// The word of an overall state in the JSON and in class names.
pub const fn overall(overall: Overall) -> &'static str {
    match overall {
        Overall::Operational => "operational",
        Overall::Partial => "partial",
        Overall::Major => "major",
        Overall::Unknown => "unknown",
    }
}

/// The word of a source in the JSON.
pub const fn source(source: &Source) -> &'static str {
    match source {
        Source::Unconfigured => "unconfigured",
        Source::NeverRead => "never_read",
        Source::Away => "away",
        Source::Empty => "empty",
        Source::Silent { .. } => "silent",
        Source::Live => "live",
    }
}

/// Since when the monitor is silent, where it is and was ever heard.
pub const fn silent_since(source: &Source) -> Option<DateTime<Utc>> {
    match source {
        Source::Silent { since } => *since,
        _ => None,
    }
}
