//! What programs ask: how long each kind of question takes while others ask the same, and what the page notices of it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use shared::testing::{
    bench::{Figures, Pairs},
    history::History,
};

use crate::{api::Api, milliseconds, timed};

const ASKING: usize = 4;
const TIMES: usize = 50;
/// Requests for the page while others export, and pairs of with and without.
const PAGES: usize = 300;
const PAIRS: usize = 5;

/// How a kind of question is asked about a service, with a number of its own.
type Ask = Box<dyn Fn(&str, usize) -> String + Sync>;

fn kinds(history: &History) -> Vec<(&'static str, Ask)> {
    let length = TimeDelta::from_std(history.length()).unwrap();
    let at = move |n: usize| -> DateTime<Utc> { Utc::now() - length * (n as i32 * 7_919 % 1_000) / 1_000 };
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let range = move |n: usize| {
        let (one, other) = (at(n), at(n * 31 + 17) - TimeDelta::seconds(1));
        format!("from={}&to={}", text(one.min(other)), text(one.max(other)))
    };
    let below = |rest: &'static str| -> Ask { Box::new(move |id, _| format!("/api/services/{id}{rest}")) };
    vec![
        ("services", Box::new(|_, _| "/api/services".into())),
        ("service", below("")),
        ("checks, newest 100", below("/checks")),
        ("checks, 10,000 as CSV", below("/checks?limit=10000&format=csv")),
        (
            "checks of some instant",
            Box::new(move |id, n| format!("/api/services/{id}/checks?to={}", text(at(n)))),
        ),
        ("checks, offline ones", below("/checks?status=offline")),
        ("checks, unknown ones (none)", below("/checks?status=unknown")),
        ("uptime, 30 days", below("/uptime?window=30d")),
        ("uptime, any range", Box::new(move |id, n| format!("/api/services/{id}/uptime?{}", range(n)))),
        ("uptime, all time by month", below("/uptime?window=all_time&buckets=month")),
        ("uptime, 30 days by hour", below("/uptime?window=30d&buckets=hour")),
        ("response times, 7 days by hour", below("/response-times?window=7d&buckets=hour")),
        ("response times, all by day", below("/response-times?window=all_time&buckets=day")),
        ("outages", Box::new(|_, n| format!("/api/outages?limit=100&from=2020-01-{:02}", n % 28 + 1))),
        ("feed", Box::new(|_, _| "/status/feed.atom".into())),
        ("badge", Box::new(|id, _| format!("/status/badges/{id}/uptime.svg"))),
        ("Statuspage summary", Box::new(|_, _| "/api/v2/summary.json".into())),
    ]
}

/// Asks everything, and prints what it took.
pub(crate) fn measure(api: &Api, history: &History) {
    let kinds = kinds(history);
    println!("questions of {ASKING} at once, ms: median, p95, most, KiB");
    for (name, ask) in &kinds {
        let (took, bytes) = ask_all(api, history, ask);
        let (median, p95, most) = (took.median(), took.percentile(95), took.most());
        println!("  {name:<32} {median:>8.1} {p95:>8.1} {most:>8.1} {:>8.1}", bytes as f64 / 1024.0);
    }
    page_meanwhile(api, history);
}

fn ask_all(api: &Api, history: &History, ask: &Ask) -> (Figures, usize) {
    let (took, bytes) = (Mutex::new(Vec::new()), Mutex::new(0));
    std::thread::scope(|scope| {
        for one in 0..ASKING {
            let (took, bytes) = (&took, &bytes);
            scope.spawn(move || {
                let mut connection = api.connect();
                for n in 0..TIMES {
                    let number = n * ASKING + one;
                    let service = u32::try_from(number * 7).unwrap() % history.services;
                    let path = ask(&History::id(service), number);
                    let began = Instant::now();
                    let answer = connection.get(&path);
                    took.lock().unwrap().push(milliseconds(began.elapsed()));
                    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
                    *bytes.lock().unwrap() = answer.body.len();
                }
            });
        }
    });
    (Figures::new(took.into_inner().unwrap()), bytes.into_inner().unwrap())
}

/// The page with nobody else asking, and while others export without a pause.
fn page_meanwhile(api: &Api, history: &History) {
    let export = |n: usize| {
        let service = u32::try_from(n).unwrap() % history.services;
        format!("/api/services/{}/checks?limit=10000&format=csv", History::id(service))
    };
    let p95 = || {
        let mut connection = api.connect();
        let took =
            (0..PAGES).map(|_| milliseconds(timed(|| assert_eq!(connection.get("/status").status, 200))));
        Figures::new(took.collect()).percentile(95)
    };
    let meanwhile = || {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for one in 0..ASKING {
                let (over, export) = (&over, &export);
                scope.spawn(move || {
                    let mut connection = api.connect();
                    for n in 0.. {
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        connection.get(&export(n * ASKING + one));
                    }
                });
            }
            let figure = p95();
            over.store(true, Ordering::Relaxed);
            figure
        })
    };
    let pairs = Pairs::measure(PAIRS, meanwhile, p95);
    println!(
        "/status, p95 while {ASKING} export / alone              {:.2}; {:.2} / {:.2} ms",
        pairs.ratio, pairs.ours, pairs.reference
    );
}
