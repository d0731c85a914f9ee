//! The contract's example as a snapshot, for the tests of what is made of one.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use shared::{Service, Status};

use crate::{
    facts::Newest,
    snapshot::{Overall, ServiceState, Snapshot, Source, day_of},
    uptime::Percent,
};

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// One service that is online, checked every two hours.
pub(crate) fn main() -> ServiceState {
    let timestamp = at("2026-02-12T18:00:03.120Z");
    let service = Service {
        id: "main".into(),
        name: "asimonson.com".into(),
        group: None,
        link: Some("https://asimonson.com".into()),
        interval: Duration::from_secs(7_200),
        timeout: Duration::from_secs(10),
        slow_after: Duration::from_secs(5),
        tries_take: Duration::from_secs(22),
        beat: timestamp,
    };
    ServiceState {
        service: Arc::new(service),
        revision: 1,
        status: Status::Online,
        stale: false,
        newest: Some(Newest {
            timestamp,
            status: Status::Online,
            response_time_ms: Some(143),
            status_code: Some(200),
            failure: None,
        }),
        last_online: Some(timestamp),
        past: Arc::default(),
        uptime: [Percent::of(1, 1), Percent::of(99_405, 100_000), None, Percent::of(99_871, 100_000)],
        total_checks: 412,
    }
}

pub(crate) fn snapshot(services: Vec<ServiceState>) -> Snapshot {
    Snapshot {
        as_of: at("2026-02-12T18:10:00Z"),
        today: day_of(at("2026-02-12T18:10:00Z")),
        source: Source::Live,
        last_check: Some(at("2026-02-12T18:00:03.120Z")),
        next_check: Some(at("2026-02-12T20:00:03.120Z")),
        overall: Overall::Operational,
        services,
    }
}
