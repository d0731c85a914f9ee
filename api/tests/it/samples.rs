//! Snapshots to look at: the original's five services well and unwell, many, none, and names that mean harm.

use std::{sync::Arc, time::Duration};

use api::{
    facts::{Newest, Past, Quarter, SPARK_QUARTERS, STRIP_DAYS},
    inquiries::Charts,
    outages::Outage,
    response_times::{Chart, Hour, Period},
    snapshot::{Overall, ServiceState, Snapshot, Source, day_of},
    uptime::Percent,
    uptime::hour_of,
};
use chrono::{DateTime, Utc};
use shared::{Distribution, Failure, Service, Status};

/// The instant of every sample.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-02-12T18:04:12.480Z".parse().unwrap()
}

/// `seconds` before [`now`].
pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    now() - chrono::Duration::seconds(seconds)
}

/// A snapshot of these services, told as the api would.
pub(crate) fn snapshot(services: Vec<ServiceState>) -> Snapshot {
    let statuses: Vec<Status> = services.iter().map(|state| state.status).collect();
    Snapshot {
        as_of: now(),
        today: day_of(now()),
        source: Source::Live,
        last_check: services.iter().filter_map(|state| Some(state.newest.as_ref()?.timestamp)).max(),
        next_check: services.iter().map(|state| state.service.next_turn(now())).min(),
        overall: Overall::of(&statuses),
        services,
    }
}

/// A service that is checked every two hours and was online four minutes ago.
pub(crate) fn online(id: &str, name: &str) -> ServiceState {
    ServiceState {
        service: Arc::new(Service {
            id: id.into(),
            name: name.into(),
            group: None,
            link: Some(format!("https://{name}")),
            interval: Duration::from_secs(7_200),
            timeout: Duration::from_secs(10),
            slow_after: Duration::from_secs(5),
            tries_take: Duration::from_secs(22),
            beat: ago(249),
        }),
        revision: 1,
        status: Status::Online,
        stale: false,
        newest: Some(Newest {
            timestamp: ago(249),
            status: Status::Online,
            response_time_ms: Some(143),
            status_code: Some(200),
            failure: None,
        }),
        last_online: Some(ago(249)),
        past: Arc::new(past(id)),
        uptime: [Percent::of(12, 12), Percent::of(84, 84), Percent::of(360, 360), Percent::of(1_839, 1_842)],
        total_checks: 1_842,
    }
}

/// Ninety days of twelve checks each, with the troubles of a service of this id.
pub(crate) fn past(id: &str) -> Past {
    let today = day_of(now());
    let seed = id.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let chance = |place: i64, of: u64| {
        (seed ^ place.unsigned_abs().wrapping_mul(0x9e37_79b9)).wrapping_mul(0x2545_f491) >> 7 & 0xff < of
    };
    let first = today + 1 - STRIP_DAYS;
    let mut outages = Vec::new();
    let days = (first..=today).map(|day| {
        let total = if day == today { 9 } else { 12 };
        let (degraded, offline) = (u64::from(chance(day, 8)), u64::from(chance(day + 1000, 5)) * 2);
        for (count, status) in [(degraded, Status::Degraded), (offline, Status::Offline)] {
            let at = |seconds: i64| {
                DateTime::from_timestamp(day * 86_400 + seconds, 0).expect("a day of our time")
            };
            if count > 0 {
                outages.push(Outage {
                    before: Some(at(7_200)),
                    began: at(14_400),
                    ended: at(14_400 + 7_200 * (count.cast_signed() - 1)),
                    after: Some(at(14_400 + 7_200 * count.cast_signed())),
                    checks: count,
                    status,
                    failure: Some(if count == 1 { Failure::Slow } else { Failure::Connect }),
                });
            }
        }
        (day, [total - degraded - offline, degraded, 0, offline, total])
    });
    let days = days.collect();
    let quarters = (0..SPARK_QUARTERS).map(|place| {
        let wave = 120 + seed % 200 + (place.unsigned_abs() * 37 + seed) % 29 * 2;
        let quarter = Quarter { median_ms: Some(wave), failed: u64::from(chance(place + 5000, 6)) };
        ((today + 1) * 4 - SPARK_QUARTERS + place, quarter.into())
    });
    Past { days, quarters: quarters.take(27).collect(), outages }
}

/// The response times of a service over each period, as of [`now`]: with a slow evening, failures, and a night without
/// a check.
pub(crate) fn charts() -> Charts {
    let hour = hour_of(now());
    let hours: Vec<Hour> = (0..90 * 24)
        .filter(|ago| !(40..52).contains(ago))
        .map(|ago| {
            let mut times = Distribution::default();
            let usual = 300 + i32::try_from(ago * 37 % 180 + ago / 24 * 29 % 90).expect("small");
            times.add(usual, 40);
            times.add(usual * 2, 19);
            times.add(if (18..22).contains(&ago) { 6_900 } else { usual * 3 }, 3);
            let failed = u64::from(ago % 67 == 20);
            Hour { number: hour - ago, checks: 62, failed, times }
        })
        .collect();
    Period::ALL.map(|period| Chart::of(&hours, period, hour, Duration::from_secs(60)))
}

/// The same, found in another state.
pub(crate) fn found(
    mut state: ServiceState,
    status: Status,
    failure: Option<Failure>,
    response_time_ms: Option<i32>,
    status_code: Option<i32>,
) -> ServiceState {
    state.status = status;
    state.last_online = Some(ago(7_449));
    state.uptime =
        [Percent::of(11, 12), Percent::of(82, 84), Percent::of(356, 360), Percent::of(1_815, 1_842)];
    if let Some(newest) = &mut state.newest {
        *newest = Newest { timestamp: newest.timestamp, status, response_time_ms, status_code, failure };
    }
    state
}

/// The same, without a recent check.
pub(crate) fn stale(mut state: ServiceState) -> ServiceState {
    state.status = Status::Unknown;
    state.stale = true;
    state.last_online = Some(ago(158_652));
    state.uptime[0] = None;
    if let Some(newest) = &mut state.newest {
        newest.timestamp = ago(158_652);
    }
    state
}

/// The same, never checked.
pub(crate) fn unchecked(mut state: ServiceState) -> ServiceState {
    state.status = Status::Unknown;
    state.newest = None;
    state.last_online = None;
    state.past = Arc::default();
    state.uptime = [None; 4];
    state.total_checks = 0;
    state
}

/// The same, seen by visitors in another way.
pub(crate) fn shown(mut state: ServiceState, change: impl FnOnce(&mut Service)) -> ServiceState {
    change(Arc::make_mut(&mut state.service));
    state
}

/// The five services of the original, all well.
pub(crate) fn well() -> Snapshot {
    let mut five = [
        online("main", "asimonson.com"),
        online("files", "files.asimonson.com"),
        online("git", "git.asimonson.com"),
        online("pass", "pass.asimonson.com"),
        online("ssh", "ssh.asimonson.com"),
    ];
    for (state, (response, code)) in
        five.iter_mut().zip([(143, 200), (310, 200), (187, 200), (98, 302), (264, 401)])
    {
        if let Some(newest) = &mut state.newest {
            newest.response_time_ms = Some(response);
            newest.status_code = Some(code);
        }
    }
    snapshot(five.into())
}

/// The same five, one in each state.
pub(crate) fn unwell() -> Snapshot {
    let mut five = well().services;
    five[1] = found(five[1].clone(), Status::Degraded, Some(Failure::Slow), Some(6_420), Some(200));
    five[2] = found(five[2].clone(), Status::Offline, Some(Failure::Connect), None, None);
    five[2].uptime =
        [Percent::of(10, 12), Percent::of(80, 84), Percent::of(356, 360), Percent::of(1_815, 1_842)];
    five[3] = stale(five[3].clone());
    five[4] = found(five[4].clone(), Status::Timeout, Some(Failure::Timeout), Some(10_000), None);
    snapshot(five)
}

/// Services under headings, new ones, slow ones, quick ones, and one without an address.
pub(crate) fn grouped() -> Snapshot {
    let mut services = unwell().services;
    for state in &mut services[..3] {
        *state = shown(state.clone(), |service| service.group = Some("Websites".into()));
    }
    for state in &mut services[3..] {
        *state = shown(state.clone(), |service| service.group = Some("Infrastructure".into()));
    }
    let backup = shown(online("backup", "Backup"), |service| {
        service.link = None;
        service.interval = Duration::from_secs(10);
    });
    services.push(ServiceState { uptime: [Percent::of(19, 19), None, None, Percent::of(19, 19)], ..backup });
    services.push(unchecked(online("matrix", "matrix.example.org")));
    snapshot(services)
}

/// `count` services in five headings, most of them well.
pub(crate) fn many(count: usize) -> Snapshot {
    let services = (0..count)
        .map(|n| {
            let state = shown(online(&format!("s{n}"), &format!("service-{n:03}.example.org")), |service| {
                service.group = Some(format!("Region {}", n * 5 / count + 1));
            });
            match n % 17 {
                3 => found(state, Status::Offline, Some(Failure::Dns), None, None),
                8 => found(state, Status::Degraded, Some(Failure::Status), Some(88), Some(503)),
                _ => state,
            }
        })
        .collect();
    snapshot(services)
}

/// Names and links that are long, run the other way, or would be code.
pub(crate) fn hostile() -> Snapshot {
    let names = [
        "<script>alert('name')</script>".to_owned(),
        "\"><img src=x onerror=alert(1)> ' & {{ 7*7 }} {% raw %}".to_owned(),
        "خدمة البريد الإلكتروني والتقويم والمهام المشتركة".to_owned(),
        "W".repeat(200),
        "Package mirror, documentation and knowledge base for the northern region (read-only replica behind the \
         corporate proxy, IPv6 only, pkg-mirror-eu-north-1b-replica-000017) with some more words to reach 200"
            .to_owned(),
        "Z\u{351}\u{36b}\u{343}a\u{337}\u{321}lgo \u{202e}evil\u{202c} 👩‍👩‍👧‍👦🏳️‍🌈 e\u{301}".to_owned(),
        "javascript:alert(1)".to_owned(),
        "__proto__".to_owned(),
    ];
    let links = [
        Some("https://example.org/?q=\"><script>alert(2)</script>&a='b'".to_owned()),
        Some(format!("https://example.org/{}", "a".repeat(200))),
        Some("https://xn--mgbh0fb.example/%D8%A7".to_owned()),
        Some(format!("http://{}.example.org/", "w".repeat(60))),
        None,
        Some("https://example.org/👩‍👩‍👧‍👦".to_owned()),
        Some("javascript:alert(3)".to_owned()),
        Some("data:text/html,<script>alert(4)</script>".to_owned()),
    ];
    let ids = ["a", "b.c", "d_e", "f-g", "h", "constructor", "toString", "__proto__"];
    let services = (0..ids.len())
        .map(|n| {
            let state = shown(online(ids[n], &names[n]), |service| {
                service.link.clone_from(&links[n]);
                service.group = (n > 2).then(|| names[n % 2].clone());
            });
            match n {
                0 | 3 => found(state, Status::Offline, Some(Failure::Tls), None, None),
                4 => stale(state),
                5 => found(state, Status::Timeout, None, Some(10_000), None),
                6 => unchecked(state),
                _ => state,
            }
        })
        .collect();
    snapshot(services)
}

/// No service, and this behind it.
pub(crate) fn none(source: Source) -> Snapshot {
    let next_check = None;
    Snapshot { source, next_check, ..snapshot(Vec::new()) }
}

/// The five, and this behind them.
pub(crate) fn behind(source: Source) -> Snapshot {
    Snapshot { source, next_check: None, ..unwell() }
}
