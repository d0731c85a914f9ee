//! What statistics weigh and what upkeep costs: rollups on disk beside the raw table, hours closed and checks removed a
//! second, and what a writer notices of it. Run with `cargo bench -p prober --bench upkeep` (`-- DAYS HOURS` for others
//! than 60 days of 50 services a minute, and 1,000,000 hours).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use postgres::Client;
use prober::{
    journal::{Batch, Journal},
    migrate::bring_up_to_date,
    store, upkeep,
};
use shared::{
    Check, Status,
    testing::{Cluster, Database},
};

const SERVICES: u64 = 50;

fn main() {
    let numbers: Vec<i64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (days, hours) =
        (numbers.first().copied().unwrap_or(60), numbers.get(1).copied().unwrap_or(1_000_000));
    let cluster = Cluster::start(&["-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"]);
    weigh(&cluster, days);
    close(&cluster, hours);
}

fn prepare(cluster: &Cluster) -> (Database, Client) {
    let database = cluster.empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    (database, client)
}

/// A check a minute of every service, one statement a minute as a prober does, hours closed as they end.
fn weigh(cluster: &Cluster, days: i64) {
    let (database, mut client) = prepare(cluster);
    let begin = Utc::now() - TimeDelta::days(days);
    for hour in 0..days * 24 {
        let start = begin + TimeDelta::hours(hour);
        client
            .batch_execute(&format!(
                "DO $$ BEGIN FOR minute IN 0..59 LOOP
                     INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
                     SELECT 'main' || n, TIMESTAMPTZ '{start}' + minute * INTERVAL '1 min' + n * INTERVAL '20 ms',
                            CASE WHEN random() < 0.001 THEN 'degraded' ELSE 'online' END,
                            (40 + 15 * n) * exp(0.45 * (random() + random() + random() + random() - 2)), 200
                     FROM generate_series(1, {SERVICES}) n;
                     COMMIT;
                 END LOOP; END $$"
            ))
            .unwrap();
        upkeep::close_hours(&mut client, start + TimeDelta::minutes(62), |_| true).unwrap();
        upkeep::pack(&mut client, |_| true).unwrap();
    }
    let sizes = "SELECT pg_total_relation_size('service_checks'), pg_total_relation_size('status_rollups'),
                        pg_total_relation_size('status_totals') + pg_total_relation_size('status_packed'),
                        (SELECT avg(length(response_times))::float8 FROM status_rollups WHERE summarised)";
    let row = client.query_one(sizes, &[]).unwrap();
    let [raw, rollups, others]: [i64; 3] = std::array::from_fn(|n| row.get(n));
    println!(
        "{SERVICES} services, {days} days, a check a minute: service_checks {} MiB, status_rollups {} KiB, \
         status_totals and status_packed {} KiB: {:.2} %; an hour's response times are {:.1} bytes",
        raw >> 20,
        rollups >> 10,
        others >> 10,
        100.0 * (rollups + others) as f64 / raw as f64,
        row.get::<_, f64>(3)
    );
    remove(&database, days);
}

/// Half of it is removed at full speed and a quarter beside a writer, at the pace of the daemon.
fn remove(database: &Database, days: i64) {
    let mut client = database.connect();
    let age = |share: i64| Duration::from_secs(days as u64 * 86_400 * share as u64 / 4);
    let began = Instant::now();
    let removed = upkeep::retire(&mut client, Utc::now(), age(2), |_| true).unwrap().checks;
    let took = began.elapsed();
    println!(
        "retention without rests: {removed} checks in {took:.1?}, {:.0} a second",
        removed as f64 / took.as_secs_f64()
    );
    let alone = record(database, &AtomicBool::new(false), Duration::from_secs(20));
    let done = AtomicBool::new(false);
    let (beside, removed) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| record(database, &done, Duration::from_secs(600)));
        let mut longest = Duration::ZERO;
        let rest = |took: Duration| {
            longest = longest.max(took);
            std::thread::sleep(took * upkeep::RETENTION_RESTS);
            true
        };
        let removed = upkeep::retire(&mut client, Utc::now(), age(1), rest).unwrap().checks;
        done.store(true, Ordering::Relaxed);
        println!("the longest step of retention beside a writer: {longest:.1?}");
        (writer.join().unwrap(), removed)
    });
    println!(
        "batches of 500 checks of {SERVICES} services, one after the other: alone {alone}; beside retention of {removed} checks {beside}"
    );
}

/// Records batch after batch; says how long they took.
fn record(database: &Database, done: &AtomicBool, longest: Duration) -> String {
    let mut client = database.connect();
    let journal = Journal::new(1).id;
    store::enrol(&mut client, journal).unwrap();
    let (began, mut times, mut first_seq) = (Instant::now(), Vec::new(), 1);
    while !done.load(Ordering::Relaxed) && began.elapsed() < longest {
        let batch = Batch { journal, first_seq, checks: (0..500).map(check).collect() };
        first_seq += 500;
        let start = Instant::now();
        store::record(&mut client, &batch).unwrap();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |share: f64| times[(share * (times.len() - 1) as f64) as usize];
    format!("p50 {:.1?}, p99 {:.1?}, most {:.1?} of {}", at(0.5), at(0.99), at(1.0), times.len())
}

fn check(n: u64) -> Check {
    Check {
        service_id: format!("main{}", 1 + n % SERVICES),
        timestamp: Utc::now(),
        status: Status::Online,
        response_time_ms: i32::try_from(n).ok(),
        status_code: Some(200),
        error: None,
    }
}

/// An adopted history: a hundred services, four checks an hour.
fn close(cluster: &Cluster, hours: i64) {
    let (_database, mut client) = prepare(cluster);
    let began = Instant::now();
    client
        .execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             SELECT 'main' || s, now() - n * INTERVAL '15 min', 'online', (40 + 3 * s) * exp(random())
             FROM generate_series(8, $1::bigint * 4 / 100) n, generate_series(1, 100) s",
            &[&hours],
        )
        .unwrap();
    println!("a history of {} checks was written and counted in {:.1?}", hours * 4, began.elapsed());
    let (mut longest, mut steps, began) = (Duration::ZERO, 0, Instant::now());
    let now: DateTime<Utc> = Utc::now();
    let closed = upkeep::close_hours(&mut client, now, |took| {
        (longest, steps) = (longest.max(took), steps + 1);
        true
    });
    let (closed, took) = (closed.unwrap(), began.elapsed());
    println!(
        "{closed} hours closed in {took:.1?} of work and as much rest, {:.0} a second of work; {steps} steps, the longest {longest:.1?}",
        closed as f64 / took.as_secs_f64()
    );
}
