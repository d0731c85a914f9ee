//! What the api's figures cost with a history of any length: start-up, from a new check to new bytes, reading all
//! figures against one plain SQL pass, the rollups on disk, memory after a minute of load, and what programs ask. Prints the
//! bound beside each. Run with `cargo build --release && cargo bench -p api --bench figures -- CHECKS SERVICES BEAT_SECONDS`
//! (a million checks of 50 services, one a minute). A hundred million take about 20 GB below the temporary folder.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod api;
mod questions;

use std::{
    cell::RefCell,
    collections::HashMap,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use ::api::{
    facts::Facts,
    refresh::Known,
    store,
    uptime::{Percent, Window},
};
use chrono::{DateTime, SubsecRound, Utc};
use postgres::{Client, Row};
use shared::testing::{
    Cluster, DURABLE,
    bench::{Figures, Pairs, machine, resident_mib},
    history::{self, FILLING, History},
};

use api::{Answer, Api};

const CONNECTIONS: usize = 64;
const LOAD: Duration = Duration::from_secs(60);
const CHECKS_PER_SECOND: u32 = 50;
/// The api publishes at once, and then at most once a second.
const BETWEEN_CHECKS: Duration = Duration::from_millis(1200);
const NEW_CHECKS: u32 = 30;

/// The same figures by one pass over the history. $1: as of; $2: checks after this lie in the future.
const PLAIN_PASS: &str = "
    SELECT service_id::text, count(*), count(*) FILTER (WHERE online),
           count(*) FILTER (WHERE timestamp > $1::timestamptz - INTERVAL '24 hours'),
           count(*) FILTER (WHERE timestamp > $1::timestamptz - INTERVAL '24 hours' AND online),
           count(*) FILTER (WHERE timestamp > $1::timestamptz - INTERVAL '168 hours'),
           count(*) FILTER (WHERE timestamp > $1::timestamptz - INTERVAL '168 hours' AND online),
           count(*) FILTER (WHERE timestamp > $1::timestamptz - INTERVAL '720 hours'),
           count(*) FILTER (WHERE timestamp > $1::timestamptz - INTERVAL '720 hours' AND online),
           min(timestamp),
           max(timestamp) FILTER (WHERE timestamp <= $2::timestamptz),
           max(timestamp) FILTER (WHERE timestamp <= $2::timestamptz AND online)
    FROM (SELECT service_id, timestamp, status = 'online' AS online FROM service_checks) AS checks
    GROUP BY service_id";

/// As the prober's upkeep does after each midnight.
const PACK: &str = "SELECT status_pack(1000000)";

const SIZES: &str = "
    SELECT pg_total_relation_size('status_rollups') + pg_total_relation_size('status_packed'), pg_total_relation_size('service_checks'),
           (SELECT count(*) FROM status_rollups WHERE response_times IS NOT NULL),
           (SELECT count(*) FROM status_rollups)";

/// What is compared of one service.
#[derive(Debug, PartialEq)]
struct Shown {
    total: u64,
    uptime: [Option<Percent>; 4],
    newest: Option<DateTime<Utc>>,
    last_online: Option<DateTime<Utc>>,
}

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u32>().ok());
    let checks = numbers.next().unwrap_or(1_000_000).into();
    let services = numbers.next().unwrap_or(50);
    let beat = Duration::from_secs(numbers.next().unwrap_or(60).into());
    let history = History { checks, services, beat };
    println!("{}", machine());
    println!(
        "history: {checks} checks of {services} services, one each {beat:?}: {:.1} days",
        history.length().as_secs_f64() / 86_400.0
    );
    let (_cluster, url) = filled(&history);
    let mut client = connect(&url);
    disk(&mut client);
    all_figures(&mut client, services);
    start_up(&url, services);
    let api = Api::start(&url);
    api.wait_for_services(services);
    println!("resident, just started                         {:.1} MiB", resident_mib(api.child.id()));
    new_checks(&api, &mut client, services);
    load(&api, &mut client, services);
    questions::measure(&api, &history);
}

/// A server with the history, adopted by the prober's own migrations, with the settings of one that keeps its data.
fn filled(history: &History) -> (Cluster, String) {
    let mut cluster = Cluster::start(&FILLING);
    let database = cluster.empty();
    let mut client = database.connect();
    let copied = timed(|| history.copy(&mut client, Utc::now()));
    let indexed = timed(|| history.index(&mut client));
    let adopted = timed(|| migrate(&database.url));
    history.publish(&mut client);
    (0..history.services).for_each(|n| history::add_check(&mut client, &History::id(n)));
    let packed = timed(|| drop(client.query_one(PACK, &[]).unwrap()));
    println!(
        "made in: COPY {copied:.1?}, indexes {indexed:.1?}, adoption by `status-prober migrate` {adopted:.1?}, packing {packed:.1?}"
    );
    drop(client);
    cluster.start_again_with(&[&DURABLE[..], &["-c", "wal_level=replica", "-c", "work_mem=4MB"]].concat());
    let url = cluster.url(&database.name, "postgres");
    (cluster, url)
}

fn migrate(url: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_status-api")).with_file_name("status-prober");
    assert!(program.exists(), "{} is missing: cargo build --release", program.display());
    let mut command = Command::new(program);
    command
        .arg("migrate")
        .env_clear()
        .env("DATABASE_URL", url)
        .env("RUST_LOG", "error")
        .stdout(Stdio::null());
    assert!(command.status().unwrap().success());
}

fn disk(client: &mut Client) {
    let row = client.query_one(SIZES, &[]).unwrap();
    let (rollups, checks): (i64, i64) = (row.get(0), row.get(1));
    println!(
        "statistics on disk, at most 3 % at one a minute   {:.2} % ({:.1} of {:.1} MB; {} of {} summarised)",
        100.0 * rollups as f64 / checks as f64,
        rollups as f64 / 1e6,
        checks as f64 / 1e6,
        row.get::<_, i64>(2),
        row.get::<_, i64>(3),
    );
}

/// All figures of all services as the refresher reads them, against one pass over the history.
fn all_figures(client: &mut Client, services: u32) {
    let as_of = Utc::now().trunc_subsecs(3);
    assert_eq!(by_the_refresher(client, as_of), by_plain_sql(client, as_of));
    for (processes, helpers) in [("parallel", 2), ("one process", 0)] {
        client.batch_execute(&format!("SET max_parallel_workers_per_gather = {helpers}")).unwrap();
        let client = RefCell::new(&mut *client);
        let pairs = Pairs::measure(
            5,
            || milliseconds(timed(|| drop(by_plain_sql(&mut client.borrow_mut(), as_of)))),
            || milliseconds(timed(|| drop(by_the_refresher(&mut client.borrow_mut(), as_of)))),
        );
        println!(
            "all figures, plain SQL pass ({processes}) / a first look: {:.0} x, at least 75 x at 10 million; {:.0} / {:.1} ms",
            pairs.ratio, pairs.ours, pairs.reference
        );
    }
    client.batch_execute("RESET max_parallel_workers_per_gather").unwrap();
    let mut known = Known::default();
    let mut look = |client: &mut Client| {
        timed(|| {
            store::read(client, |transaction| known.look(transaction, Utc::now().trunc_subsecs(3)))
                .map(drop)
                .unwrap();
        })
    };
    look(client);
    let client = RefCell::new(client);
    let pairs = Pairs::measure(
        5,
        || milliseconds(timed(|| drop(by_plain_sql(&mut client.borrow_mut(), as_of)))),
        || {
            let client = &mut *client.borrow_mut();
            (0..services).for_each(|n| history::add_check(client, &History::id(n)));
            milliseconds(look(client))
        },
    );
    println!(
        "all figures, plain SQL pass / a look after a check of every service: {:.0} x; {:.0} / {:.1} ms",
        pairs.ratio, pairs.ours, pairs.reference
    );
}

/// The first look of a connection: it knows nothing yet.
fn by_the_refresher(client: &mut Client, as_of: DateTime<Utc>) -> HashMap<String, Shown> {
    let read = store::read(client, |transaction| Known::default().look(transaction, as_of));
    let shown = |facts: &Facts| Shown {
        total: facts.history.all_time.total,
        uptime: facts.history.uptime(as_of),
        newest: facts.newest.as_ref().map(|newest| newest.timestamp),
        last_online: facts.last_online,
    };
    let (reading, _) = read.unwrap();
    reading.services.iter().map(|(service, facts)| (service.id.clone(), shown(facts))).collect()
}

fn by_plain_sql(client: &mut Client, as_of: DateTime<Utc>) -> HashMap<String, Shown> {
    let rows = client.query(PLAIN_PASS, &[&as_of, &(as_of + store::CLOCKS_DIFFER)]).unwrap();
    rows.iter().map(|row| (row.get(0), plainly_shown(row, as_of))).collect()
}

fn plainly_shown(row: &Row, as_of: DateTime<Utc>) -> Shown {
    let count = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap();
    let first: DateTime<Utc> = row.get(9);
    let [day, week, month] =
        [(Window::Day, 3), (Window::Week, 5), (Window::Month, 7)].map(|(window, column)| {
            let old_enough = window.begin(as_of).is_some_and(|begin| first <= begin);
            Percent::of(count(column + 1), count(column)).filter(|_| old_enough)
        });
    Shown {
        total: count(1),
        uptime: [day, week, month, Percent::of(count(2), count(1))],
        newest: row.get(10),
        last_online: row.get(11),
    }
}

/// From the start of the process until it lists the services and says that it is ready.
fn start_up(url: &str, services: u32) {
    let took = (0..5).map(|_| {
        let began = Instant::now();
        Api::start(url).wait_for_services(services);
        milliseconds(began.elapsed())
    });
    println!("start-up to first snapshot, at most 1000 ms    {:.0} ms", Figures::new(took.collect()));
}

/// From just before the INSERT of one check to bytes that count it.
fn new_checks(api: &Api, client: &mut Client, services: u32) {
    let mut connection = api.connect();
    let measured = (0..NEW_CHECKS).map(|n| {
        let id = History::id(n * 7 % services);
        std::thread::sleep(BETWEEN_CHECKS);
        let before = total_checks(&connection.get("/api/status"), &id);
        let inserted = Instant::now();
        history::add_check(client, &id);
        let acknowledged = milliseconds(inserted.elapsed());
        while total_checks(&connection.get_if_new("/api/status"), &id).is_none_or(|now| Some(now) == before) {
            assert!(inserted.elapsed() < Duration::from_secs(60), "the check is not counted");
            std::thread::sleep(Duration::from_millis(1));
        }
        (milliseconds(inserted.elapsed()), acknowledged)
    });
    let (seen, acknowledged): (Vec<f64>, Vec<f64>) = measured.unzip();
    let (seen, acknowledged) = (Figures::new(seen), Figures::new(acknowledged));
    println!(
        "new check to new bytes, at most {:>4} ms        median {:.1}, p95 {:.1}, most {:.1} ms, {:.1} of it the INSERT",
        if services > 1000 { 2000 } else { 20 },
        seen.median(),
        seen.percentile(95),
        seen.most(),
        acknowledged.median()
    );
}

/// What the process weighs after a minute of requests while checks arrive.
fn load(api: &Api, client: &mut Client, services: u32) {
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = api.connect();
                while !over.load(Ordering::Relaxed) {
                    connection.get("/api/status");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let end = Instant::now() + LOAD;
        for n in (0..services).cycle().take_while(|_| Instant::now() < end) {
            history::add_check(client, &History::id(n));
            std::thread::sleep(Duration::from_secs(1) / CHECKS_PER_SECOND);
        }
        over.store(true, Ordering::Relaxed);
    });
    println!(
        "resident after {LOAD:?} of load, at most {:>3} MiB     {:.1} MiB ({} requests over {CONNECTIONS} connections)",
        if services > 1000 { 150 } else { 16 },
        resident_mib(api.child.id()),
        served.into_inner(),
    );
}

/// How many checks the JSON counts for this service; `None` where the answer has no body.
fn total_checks(answer: &Answer, id: &str) -> Option<u64> {
    let service = answer.body.split_once(&format!("\"id\":\"{id}\""))?.1;
    let count = service.split_once("\"total_checks\":")?.1;
    count.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn connect(url: &str) -> Client {
    Client::connect(url, postgres::NoTls).unwrap()
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
