//! `/api/status`: what a snapshot says, for programs. The contract's keys in the contract's order, every key
//! present, null where unknown; what is ours beyond the contract is marked so.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    snapshot::{Overall, ServiceState, Snapshot, Source},
    uptime::{Percent, Window},
    words,
};

/// The answer of `/api/status` in UTF-8.
pub fn status(snapshot: &Snapshot) -> Vec<u8> {
    written(&Answer::of(snapshot))
}

/// What an event tells of a change: the answer of `/api/status` with the services alone that changed, in one line. Where
/// others are shown than before, `complete` says that it has all of them.
pub fn change(snapshot: &Snapshot, before: &Snapshot) -> Vec<u8> {
    let ids = |snapshot: &Snapshot| {
        snapshot.services.iter().map(|state| state.service.id.clone()).collect::<Vec<_>>()
    };
    let complete = ids(snapshot) != ids(before);
    let mut answer = Answer::of(snapshot);
    if !complete {
        let changed =
            snapshot.services.iter().zip(&before.services).filter(|(state, before)| !state.repeats(before));
        answer.services = changed.map(|(state, _)| Service::of(state)).collect();
    }
    written(&Change { complete, answer })
}

/// The answer of `/api/services` in UTF-8.
pub fn services(snapshot: &Snapshot) -> Vec<u8> {
    let services = snapshot.services.iter().map(Service::of).collect();
    written(&Services { as_of: instant(snapshot.as_of), source: source(&snapshot.source), services })
}

/// The answer of `/api/services/{id}` in UTF-8; `None` where there is no such service.
pub fn service(snapshot: &Snapshot, id: &str) -> Option<Vec<u8>> {
    let answer = OneService {
        as_of: instant(snapshot.as_of),
        source: source(&snapshot.source),
        service: Service::of(snapshot.service(id)?),
    };
    Some(written(&answer))
}

/// An answer in UTF-8.
pub fn written(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("strings and numbers always serialise")
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
struct Change<'a> {
    complete: bool,
    #[serde(flatten)]
    answer: Answer<'a>,
}

/// How all services stand.
#[derive(Serialize, ToSchema)]
#[schema(as = Overview)]
pub struct Answer<'a> {
    /// The newest check of the services shown.
    #[schema(format = DateTime)]
    last_check: Option<String>,
    /// The earliest turn still to come; null while the monitor is silent.
    #[schema(format = DateTime)]
    next_check: Option<String>,
    /// The instant that the figures hold for.
    #[schema(format = DateTime)]
    as_of: String,
    /// The one word over all services.
    #[schema(value_type = OverallWord)]
    overall: &'static str,
    /// What stands behind the figures.
    #[schema(value_type = SourceWord)]
    source: &'static str,
    /// The newest heartbeat of a silent monitor.
    #[schema(format = DateTime)]
    silent_since: Option<String>,
    /// In the order of the page.
    services: Vec<Service<'a>>,
}

/// All services, as `/api/status` has them.
#[derive(Serialize, ToSchema)]
pub struct Services<'a> {
    /// The instant that the figures hold for.
    #[schema(format = DateTime)]
    as_of: String,
    /// What stands behind the figures.
    #[schema(value_type = SourceWord)]
    source: &'static str,
    /// In the order of the page.
    services: Vec<Service<'a>>,
}

/// A service, as `/api/status` has it.
#[derive(Serialize, ToSchema)]
pub struct OneService<'a> {
    /// The instant that the figures hold for.
    #[schema(format = DateTime)]
    as_of: String,
    /// What stands behind the figures.
    #[schema(value_type = SourceWord)]
    source: &'static str,
    #[serde(flatten)]
    service: Service<'a>,
}

/// The one word over all services: `operational` where each is online; `major` where half of them or more are offline;
/// `partial` where any is offline, degraded or timed out; else `unknown`.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "it describes what the function `overall` writes")]
pub enum OverallWord {
    /// Every service is online.
    Operational,
    /// Any is offline, degraded or timed out.
    Partial,
    /// Half of them or more are offline.
    Major,
    /// There is none, or not enough is known.
    Unknown,
}

/// What stands behind the figures: a monitor that is alive (`live`) or left no sign of life for a minute (`silent`); a
/// database that no prober has prepared (`empty`), that was not read for ten seconds (`away`) or never since the start
/// (`never_read`), or none at all (`unconfigured`).
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "it describes what the function `source` writes")]
pub enum SourceWord {
    /// The database is read and the monitor is alive.
    Live,
    /// No prober left a sign of life for a minute.
    Silent,
    /// No prober has prepared the database yet.
    Empty,
    /// The database was not read for ten seconds.
    Away,
    /// It was not read since the start.
    NeverRead,
    /// There is none.
    Unconfigured,
}

/// How a service stands.
#[derive(Serialize, ToSchema)]
pub struct Service<'a> {
    /// 1 to 50 letters, digits, dots, underscores and hyphens.
    pub(crate) id: &'a str,
    /// What people call it.
    pub(crate) name: &'a str,
    /// Where people find it.
    pub(crate) url: Option<&'a str>,
    /// What its newest check found; `unknown` where none is recent enough.
    #[schema(value_type = shared::Status)]
    pub(crate) status: &'static str,
    /// Milliseconds of the newest check.
    pub(crate) response_time: Option<i32>,
    /// The HTTP status of the newest check.
    pub(crate) status_code: Option<i32>,
    /// The newest check that was online.
    #[schema(format = DateTime)]
    pub(crate) last_online: Option<String>,
    /// Percentages of online checks over windows that end at `as_of`.
    pub(crate) uptime: Uptime,
    /// All checks ever.
    pub(crate) total_checks: u64,
    /// Whether the newest check is too old to say anything.
    pub(crate) stale: bool,
    /// The heading it stands under.
    pub(crate) group: Option<&'a str>,
    /// When the newest check began.
    #[schema(format = DateTime)]
    pub(crate) last_check: Option<String>,
    /// The newest check's word, stale or not.
    #[schema(value_type = Option<shared::Status>)]
    pub(crate) last_status: Option<&'static str>,
    /// The newest check's class of failure.
    #[schema(value_type = Option<shared::Failure>)]
    pub(crate) failure: Option<&'static str>,
    /// The same in words for people.
    reason: Option<String>,
    /// Seconds from one check to the next.
    pub(crate) interval: f64,
}

/// Percentages of online checks, cut (not rounded) to three decimals; null where a window holds no check, and while the
/// first check is younger than the window.
#[derive(Serialize, ToSchema)]
#[schema(as = Windows)]
pub struct Uptime {
    #[serde(rename = "24h")]
    pub(crate) day: Option<f64>,
    #[serde(rename = "7d")]
    pub(crate) week: Option<f64>,
    #[serde(rename = "30d")]
    pub(crate) month: Option<f64>,
    pub(crate) all_time: Option<f64>,
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
            services: snapshot.services.iter().map(Service::of).collect(),
        }
    }
}

impl<'a> Service<'a> {
    pub(crate) fn of(state: &'a ServiceState) -> Service<'a> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared::{Failure, Status};

    use super::*;
    use crate::sample::{main, snapshot};

    fn text(snapshot: &Snapshot) -> String {
        String::from_utf8(status(snapshot)).unwrap()
    }

    #[test]
    fn the_example_of_the_contract_is_answered_to_the_byte() {
        let snapshot = snapshot(vec![main()]);
        let expected = concat!(
            r#"{"last_check":"2026-02-12T18:00:03.120Z","next_check":"2026-02-12T20:00:03.120Z","#,
            r#""as_of":"2026-02-12T18:10:00.000Z","overall":"operational","source":"live","silent_since":null,"#,
            r#""services":[{"id":"main","name":"asimonson.com","url":"https://asimonson.com","#,
            r#""status":"online","response_time":143,"status_code":200,"last_online":"2026-02-12T18:00:03.120Z","#,
            r#""uptime":{"24h":100.0,"7d":99.405,"30d":null,"all_time":99.871},"total_checks":412,"stale":false,"#,
            r#""group":null,"last_check":"2026-02-12T18:00:03.120Z","last_status":"online","failure":null,"#,
            r#""reason":null,"interval":7200.0}]}"#,
        );
        assert_eq!(text(&snapshot), expected);
    }

    #[test]
    fn what_is_unknown_is_null_and_every_key_is_there() {
        let never = ServiceState {
            status: Status::Unknown,
            newest: None,
            last_online: None,
            uptime: [None; 4],
            total_checks: 0,
            ..main()
        };
        let nothing = Snapshot {
            source: Source::Silent { since: None },
            last_check: None,
            next_check: None,
            ..snapshot(vec![never])
        };
        let answer: serde_json::Value = serde_json::from_str(&text(&nothing)).unwrap();
        let service = &answer["services"][0];
        let nulls =
            ["response_time", "status_code", "last_online", "last_check", "last_status", "failure", "reason"];
        assert!(nulls.iter().all(|key| service.get(*key) == Some(&serde_json::Value::Null)), "{service}");
        assert!(service["uptime"].as_object().unwrap().values().all(serde_json::Value::is_null));
        assert!(["last_check", "next_check", "silent_since"].iter().all(|key| answer[*key].is_null()));
        assert_eq!(answer["source"], "silent");
    }

    #[test]
    fn a_stale_service_keeps_its_old_word() {
        let mut stale = ServiceState { status: Status::Unknown, stale: true, ..main() };
        stale.newest.as_mut().unwrap().failure = Some(Failure::Slow);
        let answer: serde_json::Value = serde_json::from_str(&text(&snapshot(vec![stale]))).unwrap();
        let service = &answer["services"][0];
        assert_eq!((&service["status"], &service["last_status"]), (&"unknown".into(), &"online".into()));
        assert_eq!((&service["stale"], &service["failure"]), (&true.into(), &"slow".into()));
    }

    #[test]
    fn only_http_and_https_may_be_followed() {
        for link in ["https://a.example", "http://a.example/", "HTTPS://A.example"] {
            assert_eq!(followable(link), Some(link));
        }
        for link in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//a.example",
            "ftp://a",
            " https://a",
            "",
            "httpſ://a",
        ] {
            assert_eq!(followable(link), None, "{link}");
            let mut state = main();
            Arc::make_mut(&mut state.service).link = Some(link.into());
            assert!(text(&snapshot(vec![state])).contains("\"url\":null"), "{link}");
        }
    }
}
