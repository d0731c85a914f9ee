//! The schema changes while both programs run and somebody writes: from every older one to this one, to one of the
//! future that they can work with, and to one that they can't.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    thread,
    time::Duration,
};

use postgres::Client;
use shared::testing::{Database, ORIGINAL, eventually, root};

use crate::{
    api::{Api, ask},
    statistics::{compare, five_services_file},
    together::{Prober, dump, migrate_by_program, services_file, try_to_migrate},
};

/// Nothing answers there, so that every check is soon done.
const NOBODY: &str = "http://127.0.0.1:1/";

/// A writer of the original's own statement and a visitor, both at it all the time.
#[derive(Default)]
struct Load {
    ends: AtomicBool,
    written: AtomicI64,
    asked: AtomicI64,
}

impl Load {
    /// Until `work` is done; no insert fails, and every request is answered.
    fn beside(database: &Database, api: &Api, work: impl FnOnce(&Load)) -> i64 {
        let (load, address) = (Load::default(), &*api.address);
        thread::scope(|scope| {
            let threads =
                [scope.spawn(|| load.write(&mut database.connect())), scope.spawn(|| load.ask(address))];
            // However it ends, so that a failure is told.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&load)));
            load.ends.store(true, Ordering::SeqCst);
            for thread in threads {
                thread.join().unwrap();
            }
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        load.written.into_inner()
    }

    fn write(&self, client: &mut Client) {
        while !self.ends.load(Ordering::SeqCst) {
            client
                .batch_execute(
                    "INSERT INTO service_checks (service_id, status, response_time, status_code, error)
                     VALUES ('main', 'online', 143, 200, NULL)",
                )
                .unwrap();
            self.written.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn ask(&self, address: &str) {
        while !self.ends.load(Ordering::SeqCst) {
            for path in ["/status", "/api/status", "/healthz"] {
                assert_eq!(ask("GET", &format!("{address}{path}"), &[]).status, 200, "{path}");
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until both have done more.
    fn goes_on(&self) {
        for count in [&self.written, &self.asked] {
            let before = count.load(Ordering::SeqCst);
            eventually("it goes on", || count.load(Ordering::SeqCst) > before + 3);
        }
    }
}

fn number(client: &mut Client, query: &str) -> i64 {
    client.query_one(query, &[]).unwrap().get(0)
}

/// Rollups and totals, beside what plain SQL counts.
fn assert_counted(client: &mut Client) {
    let counts = "SELECT service_id, date_trunc('hour', timestamp, 'UTC') AS hour, count(*) FILTER (WHERE status = 'online') AS online,
                         count(*) FILTER (WHERE status = 'degraded') AS degraded, count(*) FILTER (WHERE status = 'timeout') AS timeout,
                         count(*) FILTER (WHERE status = 'offline') AS offline, count(*) AS total FROM service_checks GROUP BY 1, 2";
    let wrong = format!(
        "SELECT count(*) FROM ({counts}) raw
         FULL JOIN (SELECT service_id, hour, online, degraded, timeout, offline, total FROM status_rollups) counted USING (service_id, hour)
         WHERE (raw.online, raw.degraded, raw.timeout, raw.offline, raw.total)
             IS DISTINCT FROM (counted.online, counted.degraded, counted.timeout, counted.offline, counted.total)"
    );
    assert_eq!(number(client, &wrong), 0);
}

/// A database as the prober of that schema left it: the original's rows, and the migrations up to there. `history` is what
/// today's prober says of them.
fn at_schema(version: usize, history: &[[String; 4]]) -> Database {
    let database = Database::empty();
    let mut client = database.connect();
    client.batch_execute(ORIGINAL).unwrap();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             SELECT (ARRAY['main', 'files', 'git', 'pass', 'ssh', 'gone'])[1 + n % 6], now() - n * INTERVAL '7 minutes',
                    (ARRAY['online', 'online', 'online', 'degraded', 'timeout', 'offline', 'weird'])[1 + n % 7], n % 9000
             FROM generate_series(1, 10000) n",
        )
        .unwrap();
    if version > 0 {
        client
            .batch_execute(
                "CREATE TABLE status_migrations (version INT4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255),
                                                 checksum VARCHAR(255))",
            )
            .unwrap();
    }
    for [number, name, applied_on, checksum] in &history[..version] {
        let file = root().join("migrations").join(format!("{number:0>4}_{name}.sql"));
        client.batch_execute(&std::fs::read_to_string(file).unwrap()).unwrap();
        client
            .execute(
                "INSERT INTO status_migrations VALUES ($1::text::int, $2, $3, $4)",
                &[number, name, applied_on, checksum],
            )
            .unwrap();
    }
    database
}

fn history() -> Vec<[String; 4]> {
    let database = Database::empty();
    migrate_by_program(&database.url);
    let query = "SELECT version::text, name, applied_on, checksum FROM status_migrations ORDER BY version";
    let rows = database.connect().query(query, &[]).unwrap();
    rows.iter().map(|row| std::array::from_fn(|n| row.get(n))).collect()
}

#[test]
fn from_every_older_schema_the_prober_comes_to_this_one_and_nobody_is_held_up() {
    let history = history();
    thread::scope(|scope| {
        for version in 0..history.len() {
            let history = &history;
            scope.spawn(move || comes_to_this_schema(&at_schema(version, history)));
        }
    });
}

fn comes_to_this_schema(database: &Database) {
    let mut client = database.connect();
    let api = Api::start(Some(&database.url), &[]);
    let written = Load::beside(database, &api, |load| {
        load.goes_on();
        let prober = Prober::start(&format!("retries = 0\n{}", five_services_file(NOBODY)), &database.url);
        prober.logged("database: connected");
        api.status_when("every service is shown with its check", |status| {
            let services = status["services"].as_array().unwrap();
            services.len() == 5 && services[1..].iter().all(|service| service["status"] == "offline")
        });
        load.goes_on();
        prober.end();
    });
    assert_eq!(number(&mut client, "SELECT count(*) FROM service_checks"), 10_000 + 5 + written);
    assert_counted(&mut client);
    compare(&api, &mut client);
}

/// A migration of the future that only adds: a table, columns, and another way to count that does the same.
const EXPAND: &str = "
    BEGIN;
    LOCK TABLE service_checks IN SHARE ROW EXCLUSIVE MODE;
    CREATE TABLE status_incidents (service_id TEXT PRIMARY KEY, told TEXT);
    ALTER TABLE status_totals ADD COLUMN slowest INTEGER;
    ALTER TABLE status_services ADD COLUMN owner TEXT;
    CREATE FUNCTION status_count_more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER status_count_more AFTER INSERT ON service_checks EXECUTE FUNCTION status_count_more();
    INSERT INTO status_migrations
    SELECT max(version) + 1, 'incidents', '2030-01-01T00:00:00Z', '1', max(version) FROM status_migrations;
    COMMIT";

/// One that takes away what today's programs need.
const CONTRACT: &str = "
    BEGIN;
    LOCK TABLE service_checks IN SHARE ROW EXCLUSIVE MODE;
    ALTER TABLE status_totals DROP COLUMN recent CASCADE;
    INSERT INTO status_migrations
    SELECT max(version) + 1, 'contracted', '2031-01-01T00:00:00Z', '2', max(version) + 1 FROM status_migrations;
    COMMIT";

#[test]
fn both_go_on_and_start_with_a_newer_schema_that_allows_it_and_refuse_another() {
    let database = Database::empty();
    let mut client = database.connect();
    let services = services_file("1s", &[("main", NOBODY), ("git", NOBODY)]);
    let prober = Prober::start(&services, &database.url);
    prober.logged("database: connected");
    let api = Api::start(Some(&database.url), &[]);
    let shows_more = |api: &Api| {
        let total = |status: &serde_json::Value| status["services"][1]["total_checks"].as_i64().unwrap_or(0);
        let before = total(&api.status());
        api.status_when("further checks", |status| total(status) > before + 1);
    };
    let mut written = Load::beside(&database, &api, |load| {
        shows_more(&api);
        client.batch_execute(EXPAND).unwrap();
        shows_more(&api);
        load.goes_on();
    });
    prober.end();
    assert_eq!(api.end(), [""; 0]);

    // An hour that is over is still to be summarised, and a day to be packed.
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             VALUES ('git', now() - INTERVAL '50 hours', 'online', 7)",
        )
        .unwrap();
    let prober = Prober::start(&services, &database.url);
    prober.logged("it goes on, as every program can that knows version 7");
    let api = Api::start(Some(&database.url), &[]);
    written += Load::beside(&database, &api, |_| shows_more(&api));
    eventually("upkeep goes on", || {
        number(
            &mut client,
            "SELECT count(*) FROM status_rollups WHERE summarised AND response_times IS NOT NULL",
        ) == 1
    });
    assert_eq!(try_to_migrate(&database.url), Ok(()));
    prober.end();
    compare(&api, &mut client);
    assert_counted(&mut client);
    let by_hand = "SELECT count(*) FROM service_checks WHERE response_time = 143 AND service_id = 'main'";
    assert_eq!(number(&mut client, by_hand), written);

    client.batch_execute(CONTRACT).unwrap();
    let before = dump(&database.url);
    let refused = try_to_migrate(&database.url).unwrap_err();
    let line =
        "the schema is at version 9, which needs a program that knows version 9, and this status-prober";
    assert!(refused.contains(line) && refused.contains("upgrade the prober"), "{refused}");
    let prober = Prober::start(&services, &database.url);
    prober.logged("Checks go on, ");
    assert!(prober.logged(line).contains(" wait in the journal"));
    let api = Api::start(Some(&database.url), &[]);
    api.logged("too new for it (upgrade it)");
    assert_eq!((api.get("/status").status, api.get("/readyz").status), (200, 503));
    drop(prober);
    assert_eq!(dump(&database.url), before, "it is left alone");
}
