//! Upkeep beside everything else: hours are closed and old checks removed while others write, correct, read and do the
//! same.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use postgres::Client;
use prober::{
    journal::{Batch, Journal},
    migrate::bring_up_to_date,
    store::{self, statistics},
    upkeep,
};
use shared::{
    Check, Distribution, Status,
    testing::{Database, eventually},
};

use uuid::Uuid;

use crate::{
    migrations::{assert_counts_are_right, one},
    process::Setup,
    servers::Server,
};

const AGE: Duration = Duration::from_secs(91 * 86_400);

/// Five services: one that goes on, one that was never online, one that ended, one whose only newer checks lie in the
/// future, and one with a single check ten years ago.
const HISTORY: &str = "
    INSERT INTO service_checks (service_id, timestamp, status, response_time)
    SELECT 'main', now() - n * INTERVAL '1 hour' - n % 59 * INTERVAL '1 min',
           (ARRAY['online', 'online', 'online', 'degraded', 'timeout', 'weird'])[1 + n % 6], 50 + n * 37 % 400
    FROM generate_series(0, 4000) n;
    INSERT INTO service_checks (service_id, timestamp, status)
    SELECT 'never', now() - n * INTERVAL '5 hours', 'offline' FROM generate_series(0, 800) n;
    INSERT INTO service_checks (service_id, timestamp, status, response_time)
    SELECT 'ended', now() - INTERVAL '100 days' - n * INTERVAL '7 min', CASE WHEN n < 50 THEN 'offline' ELSE 'online' END, n
    FROM generate_series(0, 3000) n;
    INSERT INTO service_checks (service_id, timestamp, status, response_time)
    SELECT 'ahead', now() + INTERVAL '1 day' - n * INTERVAL '100 days', 'online', 7 FROM generate_series(0, 5) n;
    INSERT INTO service_checks (service_id, timestamp, status, response_time)
    VALUES ('rare', now() - INTERVAL '10 years', 'online', 3)";

fn go_on(_: Duration) -> bool {
    true
}

fn retire(client: &mut Client) -> usize {
    upkeep::retire(client, Utc::now(), AGE, go_on).unwrap().checks
}

fn number(client: &mut Client, query: &str) -> i64 {
    client.query_one(&format!("SELECT ({query})::bigint"), &[]).unwrap().get(0)
}

/// Totals, days, the newest checks and the newest online ones.
fn figures(client: &mut Client) -> String {
    one(
        client,
        "SELECT concat((SELECT string_agg(concat_ws(' ', service_id, online, degraded, timeout, offline, total), ',' ORDER BY service_id) FROM status_totals),
                       (SELECT string_agg(d::text, ',' ORDER BY d::text) FROM status_days d),
                       (SELECT string_agg(n::text, ',' ORDER BY n::text) FROM (
                            SELECT service_id, max(timestamp), max(timestamp) FILTER (WHERE status = 'online')
                            FROM service_checks WHERE timestamp <= now() + INTERVAL '60 s' GROUP BY 1) n))",
    )
}

/// The response times of all hours of a service and a day together.
fn response_times(client: &mut Client) -> Vec<(String, Vec<u8>)> {
    let stored = "SELECT concat(service_id, date_trunc('day', hour, 'UTC')) AS of, response_times FROM (
            SELECT service_id, hour, response_times FROM status_rollups WHERE summarised
            UNION ALL SELECT service_id, hour, response_times FROM status_retired) s
        ORDER BY of";
    let mut days: Vec<(String, Distribution)> = Vec::new();
    for row in client.query(stored, &[]).unwrap() {
        let (of, distribution): (String, _) = (row.get(0), Distribution::decode(row.get(1)).unwrap());
        match days.last_mut().filter(|(day, _)| *day == of) {
            Some((_, sum)) => sum.merge(&distribution),
            None => days.push((of, distribution)),
        }
    }
    days.into_iter().map(|(day, sum)| (day, sum.encode())).collect()
}

#[test]
fn retention_changes_no_figure_and_keeps_the_hours_of_the_newest_checks() {
    let database = Database::migrated();
    let mut client = database.connect();
    client.batch_execute(HISTORY).unwrap();
    let hours = upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap();
    assert!(hours > 4000, "{hours}");
    let (before, times_before) = (figures(&mut client), response_times(&mut client));
    let old = "SELECT count(*) FROM service_checks WHERE timestamp < date_trunc('hour', now() - INTERVAL '91 days', 'UTC')";
    let of_kept_hours = "SELECT count(*) FROM service_checks c JOIN (
            SELECT service_id, max(timestamp) AS newest, max(timestamp) FILTER (WHERE status = 'online') AS online
            FROM service_checks WHERE timestamp <= now() + INTERVAL '60 s' GROUP BY 1) n USING (service_id)
        WHERE timestamp < date_trunc('hour', now() - INTERVAL '91 days', 'UTC')
          AND date_trunc('hour', timestamp, 'UTC') IN (date_trunc('hour', newest, 'UTC'), date_trunc('hour', online, 'UTC'))";
    let (past, kept) = (number(&mut client, old), number(&mut client, of_kept_hours));
    assert!(kept > 4 && past > 4000, "{kept} of {past}");
    assert_eq!(retire(&mut client) as i64, past - kept);
    assert_eq!(number(&mut client, old), kept);
    assert_eq!(figures(&mut client), before);
    assert_eq!(response_times(&mut client), times_before);
    assert_counts_are_right(&mut client);
    assert_eq!(number(&mut client, "SELECT count(*) FROM status_rollups WHERE total = 0"), 0);
    assert_eq!(retire(&mut client), 0, "and nothing is left to remove");
}

#[test]
fn a_day_is_packed_as_soon_as_only_a_correction_can_change_it() {
    let database = Database::migrated();
    let mut client = database.connect();
    let mut packed_after = |change: &str| -> (i64, String) {
        client.batch_execute(change).unwrap();
        let packed = upkeep::pack(&mut client, go_on).unwrap();
        let rows = "SELECT string_agg(concat_ws(' ', (until AT TIME ZONE 'UTC')::date, octet_length(hours) / 12), ', ') FROM status_packed";
        (packed, client.query_one(rows, &[]).unwrap().get::<_, Option<String>>(0).unwrap_or_default())
    };
    let check = |at: &str| {
        format!(
            "INSERT INTO service_checks (service_id, timestamp, status) VALUES ('main', '{at}Z', 'online')"
        )
    };
    let was = |packed: i64, rows: &str| (packed, rows.to_owned());
    assert_eq!(packed_after("SELECT"), was(0, ""), "nobody was checked");
    assert_eq!(packed_after(&check("2026-03-01 12:00")), was(1, "2026-03-01 0"));
    assert_eq!(packed_after(&check("2026-03-01 23:59:59.999999")), was(0, "2026-03-01 0"));
    assert_eq!(
        packed_after(&check("2026-03-02 00:00")),
        was(0, "2026-03-01 0"),
        "the hour before may still get one"
    );
    assert_eq!(packed_after(&check("2026-03-01 23:30")), was(0, "2026-03-01 0"));
    assert_eq!(packed_after(&check("2026-03-02 01:00")), was(1, "2026-03-02 2"));
    assert_eq!(packed_after(&check("2026-03-02 00:30")), was(0, "2026-03-02 2"));
    assert_eq!(packed_after(&check("2026-03-01 20:30")), was(1, "2026-03-02 3"), "a correction");
    assert_eq!(packed_after(&check("2026-04-03 01:00")), was(1, "2026-04-03 2"), "32 days");
    assert_eq!(packed_after("TRUNCATE service_checks"), was(1, "2026-04-03 0"));
}

#[test]
fn old_checks_that_retention_removes_are_no_correction_but_those_that_were_packed_are() {
    let database = Database::migrated();
    let mut client = database.connect();
    for (id, days) in [("ends", 200), ("ends", 190), ("goes on", 200), ("goes on", 0)] {
        let check = "INSERT INTO service_checks (service_id, timestamp, status) VALUES ($1, now() - $2 * INTERVAL '1 day', 'online')";
        client.execute(check, &[&id, &f64::from(days)]).unwrap();
    }
    upkeep::pack(&mut client, go_on).unwrap();
    assert_eq!(retire(&mut client), 2);
    let corrected = "SELECT string_agg(service_id, ', ') FROM status_totals WHERE corrected = revision";
    assert_eq!(one(&mut client, corrected), "ends");
}

#[test]
fn what_is_added_to_a_retired_hour_counts_and_is_retired_too() {
    let database = Database::migrated();
    let mut client = database.connect();
    client.batch_execute(HISTORY).unwrap();
    retire(&mut client);
    let total = "SELECT sum(total) FROM status_totals";
    let before = number(&mut client, total);
    let add = "INSERT INTO service_checks (service_id, timestamp, status, response_time)
               SELECT 'main', now() - INTERVAL '150 days', 'online', n FROM generate_series(1, 50) n";
    client.batch_execute(add).unwrap();
    assert_eq!(number(&mut client, total), before + 50);
    let seen = figures(&mut client);
    assert_eq!(retire(&mut client), 50);
    assert_eq!(figures(&mut client), seen);
    assert_counts_are_right(&mut client);
    client.batch_execute("DELETE FROM service_checks WHERE service_id = 'main'").unwrap();
    assert_counts_are_right(&mut client);
    client.batch_execute("TRUNCATE service_checks").unwrap();
    assert_counts_are_right(&mut client);
    assert_eq!(number(&mut client, total), number(&mut client, "SELECT sum(total) FROM status_retired"));
}

#[test]
fn more_checks_than_a_step_removes_in_one_hour_are_removed_in_several() {
    let database = Database::migrated();
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             SELECT 'main', TIMESTAMPTZ '2020-01-01 00:00Z' + n * INTERVAL '700 ms', 'online', n FROM generate_series(0, 5000) n;
             INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')",
        )
        .unwrap();
    upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap();
    let (before, times) = (figures(&mut client), response_times(&mut client));
    let mut steps = 0;
    let removed = upkeep::retire(&mut client, Utc::now(), AGE, |_| {
        steps += 1;
        true
    })
    .unwrap();
    assert_eq!((removed.checks, removed.services, removed.all), (5001, 1, true));
    assert!(steps > 2, "{steps}");
    assert_eq!((figures(&mut client), response_times(&mut client)), (before, times));
}

#[test]
fn a_check_that_somebody_holds_is_left_for_the_next_time_and_not_waited_for() {
    let database = Database::migrated();
    let mut client = database.connect();
    client.batch_execute(HISTORY).unwrap();
    client.batch_execute("SET lock_timeout = '2s'").unwrap();
    let figures_before = figures(&mut client);
    let mut other = database.connect();
    let mut holding = other.transaction().unwrap();
    let hold = "SELECT 1 FROM service_checks WHERE service_id = 'main' AND timestamp < now() - INTERVAL '150 days' FOR UPDATE";
    let held = holding.query(hold, &[]).unwrap().len();
    assert!(held > 100 && retire(&mut client) > 0);
    assert_eq!(figures(&mut client), figures_before);
    holding.rollback().unwrap();
    assert_eq!(retire(&mut client), held);
    assert_eq!(figures(&mut client), figures_before);
}

#[test]
fn where_somebody_else_does_upkeep_nobody_waits_for_him() {
    let database = Database::migrated();
    let mut client = database.connect();
    client.batch_execute(HISTORY).unwrap();
    let mut other = database.connect();
    let mut working = other.transaction().unwrap();
    working.query("SELECT pg_advisory_xact_lock($1)", &[&statistics::LOCK_KEY]).unwrap();
    assert_eq!(upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap(), 0);
    let removed = upkeep::retire(&mut client, Utc::now(), AGE, go_on).unwrap();
    assert_eq!((removed.checks, removed.all), (0, false));
    working.commit().unwrap();
    assert!(upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap() > 0);
    assert!(retire(&mut client) > 0);
}

#[test]
fn an_hour_that_changes_is_left_open_and_closed_again() {
    let database = Database::migrated();
    let mut client = database.connect();
    let hour = "2026-01-05 10:00Z";
    let add = format!(
        "INSERT INTO service_checks (service_id, timestamp, status, response_time)
                       VALUES ('a', '{hour}', 'online', 10)"
    );
    client.batch_execute(&format!("{add}, ('b', '{hour}', 'online', 20)")).unwrap();
    let now: DateTime<Utc> = "2026-01-05T11:00:59Z".parse().unwrap();
    assert_eq!(upkeep::close_hours(&mut client, now, go_on).unwrap(), 0, "over for less than a minute");
    let now = now + Duration::from_secs(1);
    let mut other = database.connect();
    let mut writing = other.transaction().unwrap();
    writing.batch_execute(&add).unwrap();
    assert_eq!(upkeep::close_hours(&mut client, now, go_on).unwrap(), 1, "nobody waits for a writer");
    writing.commit().unwrap();
    assert_eq!(upkeep::close_hours(&mut client, now, go_on).unwrap(), 1);
    assert_eq!(upkeep::close_hours(&mut client, now, go_on).unwrap(), 0);
    client.batch_execute("UPDATE service_checks SET response_time = 30 WHERE service_id = 'b'").unwrap();
    assert_eq!(upkeep::close_hours(&mut client, now, go_on).unwrap(), 1);
    let stored = client.query("SELECT response_times FROM status_rollups ORDER BY service_id", &[]).unwrap();
    let found = stored.iter().map(|row| Distribution::decode(row.get(0)).unwrap());
    assert_eq!(
        found.map(|d| (d.min(), d.max(), d.count())).collect::<Vec<_>>(),
        [(Some(10), Some(10), 2), (Some(30), Some(30), 1)]
    );
}

#[test]
fn who_changes_a_check_while_its_hour_is_closed_marks_it_to_be_done_again() {
    let database = Database::migrated();
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             SELECT 's' || n % 20, TIMESTAMPTZ '2026-01-01 00:00Z' + n * INTERVAL '1 min', 'online', n FROM generate_series(1, 10000) n",
        )
        .unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (database, done) = (&database, &done);
        for n in 0..2_i64 {
            scope.spawn(move || {
                let mut writer = database.connect();
                let change = "UPDATE service_checks SET response_time = response_time + 1 WHERE id % 2 = $1 AND id % 97 = $2";
                for round in 0..60_i64 {
                    writer.execute(change, &[&n, &(round % 97)]).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        for _ in 0..2 {
            scope.spawn(move || {
                let mut client = database.connect();
                while !done.load(Ordering::Relaxed) {
                    upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap();
                }
            });
        }
    });
    upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap();
    let rows = client
        .query(
            "SELECT r.response_times, array_agg(c.response_time) FROM status_rollups r JOIN service_checks c
                 ON c.service_id = r.service_id AND date_trunc('hour', timestamp, 'UTC') = hour
             GROUP BY r.service_id, r.hour, r.response_times",
            &[],
        )
        .unwrap();
    for row in rows {
        let mut expected = Distribution::default();
        row.get::<_, Vec<i32>>(1).iter().for_each(|ms| expected.add(*ms, 1));
        assert_eq!(Distribution::decode(row.get(0)), Ok(expected));
    }
}

#[test]
fn checks_of_all_times_neither_jam_nor_keep_upkeep_busy() {
    let database = Database::migrated();
    let mut client = database.connect();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time) VALUES
                 ('main', '-infinity', 'online', 1), ('main', '-infinity', 'offline', 3), ('main', '4713-01-01 12:00Z BC', 'online', 5),
                 ('main', '1999-12-31 23:59:60Z', 'online', 6), ('main', now(), 'online', 7), ('main', '294276-12-31 23:59Z', 'online', 8),
                 ('main', 'infinity', 'online', 9)",
        )
        .unwrap();
    assert_eq!(upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap(), 3);
    assert_eq!(upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap(), 0);
    let first: Vec<u8> = client
        .query_one("SELECT response_times FROM status_rollups WHERE hour = '-infinity'", &[])
        .unwrap()
        .get(0);
    assert_eq!(Distribution::decode(&first).unwrap().max(), Some(3));
    assert_eq!(retire(&mut client), 2, "the age of infinity can't be told");
    assert_eq!(retire(&mut client), 0);
    assert_counts_are_right(&mut client);
}

#[test]
fn a_rollup_without_checks_is_met_once_and_not_for_ever() {
    let database = Database::migrated();
    let mut client = database.connect();
    client
        .batch_execute(&format!(
            "{HISTORY}; ALTER TABLE service_checks DISABLE TRIGGER USER;
             DELETE FROM service_checks WHERE service_id = 'main' AND timestamp < now() - INTERVAL '100 days';
             ALTER TABLE service_checks ENABLE TRIGGER USER"
        ))
        .unwrap();
    upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap();
    retire(&mut client);
    assert_eq!(retire(&mut client), 0);
}

fn batch(journal: Uuid, first: u64, services: u64) -> Batch {
    let check = |n: u64| Check {
        service_id: format!("s{}", n % services),
        timestamp: Utc::now() - Duration::from_secs(n * 7919 % (200 * 86_400)),
        status: if n.is_multiple_of(10) { Status::Offline } else { Status::Online },
        response_time_ms: i32::try_from(n % 500).ok(),
        status_code: None,
        error: None,
    };
    Batch { journal, first_seq: first, checks: (first..first + 100).map(check).collect() }
}

#[test]
fn writers_correctors_readers_and_upkeep_lose_no_count_and_never_deadlock() {
    let database = Database::migrated();
    let mut client = database.connect();
    let done = AtomicBool::new(false);
    let recorded: u64 = std::thread::scope(|scope| {
        let (database, done) = (&database, &done);
        let correctors: Vec<_> = (0..2_i64)
            .map(|n| {
                scope.spawn(move || {
                    let mut client = database.connect();
                    let mut deleted = 0;
                    for round in 0..40_i64 {
                        let insert = "INSERT INTO service_checks (service_id, timestamp, status, response_time)
                            SELECT 's' || (random() * 20)::int, now() - random() * INTERVAL '200 days', 'online', 5
                            FROM generate_series(1, 30) ORDER BY random()";
                        client.execute(insert, &[]).unwrap();
                        let correct = "UPDATE service_checks SET status = 'degraded', timestamp = timestamp - INTERVAL '50 min',
                                           service_id = 's' || (random() * 20)::int WHERE id % 2 = $1 AND id % 13 = $2";
                        client.execute(correct, &[&n, &(round % 13)]).unwrap();
                        let delete = "DELETE FROM service_checks WHERE id % 2 = $1 AND id % 29 = $2";
                        deleted += client.execute(delete, &[&n, &(round % 29)]).unwrap();
                    }
                    40 * 30 - deleted as i64
                })
            })
            .collect();
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    let mut client = database.connect();
                    let journal = Journal::new(1).id;
                    store::enrol(&mut client, journal).unwrap();
                    for n in 0..60 {
                        store::record(&mut client, &batch(journal, 1 + n * 100, 20)).unwrap();
                    }
                    60 * 100
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(move || {
                let mut client = database.connect();
                while !done.load(Ordering::Relaxed) {
                    upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap();
                    retire(&mut client);
                }
            });
        }
        scope.spawn(move || {
            let mut client = database.connect();
            let between = "SELECT (SELECT COALESCE(sum(total), 0) FROM status_totals) = (SELECT COALESCE(sum(total), 0) FROM status_days)
                AND (SELECT COALESCE(sum(total), 0) FROM status_totals)
                  = (SELECT count(*) FROM service_checks) + (SELECT COALESCE(sum(total), 0) FROM status_retired)";
            while !done.load(Ordering::Relaxed) {
                assert!(client.query_one(between, &[]).unwrap().get::<_, bool>(0), "nothing in between is seen");
            }
        });
        let corrected: i64 = correctors.into_iter().map(|thread| thread.join().unwrap()).sum();
        let written: i64 = writers.into_iter().map(|thread| thread.join().unwrap()).sum();
        done.store(true, Ordering::Relaxed);
        (corrected + written) as u64
    });
    retire(&mut client);
    assert_counts_are_right(&mut client);
    assert_eq!(number(&mut client, "SELECT sum(total) FROM status_totals") as u64, recorded);
    assert!(number(&mut client, "SELECT sum(total) FROM status_retired") > 1000);
}

#[test]
fn a_table_that_is_emptied_meanwhile_deadlocks_with_nobody() {
    let database = Database::migrated();
    let mut client = database.connect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (database, done) = (&database, &done);
        scope.spawn(move || {
            let mut client = database.connect();
            while !done.load(Ordering::Relaxed) {
                upkeep::close_hours(&mut client, Utc::now(), go_on).unwrap();
                retire(&mut client);
            }
        });
        let mut writer = database.connect();
        for _ in 0..10 {
            writer.batch_execute(HISTORY).unwrap();
            writer.batch_execute("TRUNCATE service_checks").unwrap();
            statistics::recount(&mut writer).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_counts_are_right(&mut client);
}

#[test]
fn a_hostile_search_path_counts_into_our_tables_by_our_functions() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    client
        .batch_execute(
            "CREATE SCHEMA hostile; SET search_path = hostile, pg_catalog, public;
             CREATE TABLE hostile.status_totals (LIKE public.status_totals INCLUDING ALL);
             CREATE TABLE hostile.status_rollups (LIKE public.status_rollups INCLUDING ALL);
             CREATE TEMP TABLE status_retired (LIKE public.status_retired);
             CREATE FUNCTION hostile.date_trunc(TEXT, TIMESTAMPTZ, TEXT) RETURNS TIMESTAMPTZ LANGUAGE SQL AS $$ SELECT now() $$;
             CREATE FUNCTION hostile.pg_notify(TEXT, TEXT) RETURNS VOID LANGUAGE plpgsql AS $$ BEGIN RAISE 'hostile'; END $$;
             CREATE FUNCTION hostile.clock_timestamp() RETURNS TIMESTAMPTZ LANGUAGE SQL AS $$ SELECT TIMESTAMPTZ 'infinity' $$;
             CREATE AGGREGATE hostile.sum(BIGINT) (SFUNC = int8mul, STYPE = BIGINT, INITCOND = '7');
             CREATE AGGREGATE hostile.sum(INTEGER) (SFUNC = int4mul, STYPE = INTEGER, INITCOND = '7')",
        )
        .unwrap();
    client
        .batch_execute(
            "INSERT INTO public.service_checks (service_id, timestamp, status) VALUES
                 ('main', '2026-01-01 10:30Z', 'online'), ('main', '2026-01-01 10:40Z', 'online'), ('main', '2026-01-02 10:40Z', 'online');
             UPDATE public.service_checks SET status = 'offline' WHERE timestamp = '2026-01-01 10:40Z';
             DELETE FROM public.service_checks WHERE timestamp = '2026-01-02 10:40Z'",
        )
        .unwrap();
    let mut ours = database.connect();
    assert_counts_are_right(&mut ours);
    assert_eq!(number(&mut ours, "SELECT total FROM status_totals"), 2);
    assert_eq!(number(&mut ours, "SELECT count(*) FROM hostile.status_totals"), 0);
    client.batch_execute("TRUNCATE public.service_checks").unwrap();
    assert_eq!(number(&mut ours, "SELECT total FROM status_totals"), 0);
}

#[test]
fn hours_and_days_are_those_of_utc_wherever_the_writer_and_the_reader_are() {
    let database = Database::migrated();
    // Over the days on which clocks go forth and back there, one of them by half an hour.
    let write = "INSERT INTO service_checks (service_id, timestamp, status, response_time)
        SELECT $1::text, TIMESTAMPTZ '2026-03-07 00:00Z' + n * INTERVAL '10 min', 'online', n % 100 FROM generate_series(0, 5000) n
        UNION ALL SELECT $1::text, TIMESTAMPTZ '2026-09-30 00:00Z' + n * INTERVAL '10 min', 'online', n % 100 FROM generate_series(0, 6000) n";
    let read = "SELECT md5(string_agg(concat_ws(' ', extract(epoch FROM day), total), ',' ORDER BY day)) FROM status_days WHERE service_id = $1";
    let hours = "SELECT md5(string_agg(concat_ws(' ', extract(epoch FROM hour), total, response_times), ',' ORDER BY hour))
                 FROM status_rollups WHERE service_id = $1";
    let mut seen = Vec::new();
    for zone in ["UTC", "Australia/Lord_Howe", "America/New_York", "Asia/Kolkata"] {
        let mut client = database.connect();
        client.batch_execute(&format!("SET TimeZone = '{zone}'")).unwrap();
        client.execute(write, &[&zone]).unwrap();
        upkeep::close_hours(&mut client, "2027-01-01T00:00:00Z".parse().unwrap(), go_on).unwrap();
        let of =
            |client: &mut Client, query: &str| client.query_one(query, &[&zone]).unwrap().get::<_, String>(0);
        seen.push((of(&mut client, read), of(&mut client, hours)));
        let now = "2026-09-01T00:00:00Z".parse().unwrap();
        upkeep::retire(&mut client, now, AGE, go_on).unwrap();
        assert_eq!(of(&mut client, read), seen[0].0, "{zone}");
        assert_counts_are_right(&mut client);
    }
    assert!(seen.iter().all(|figures| *figures == seen[0]), "{seen:?}");
    let days = "SELECT count(*) FROM status_days WHERE total NOT IN (144, 105, 97) OR extract(epoch FROM day)::bigint % 86400 <> 0";
    assert_eq!(number(&mut database.connect(), days), 0, "all days have 24 hours, but for the last");
}

#[test]
fn the_daemon_closes_hours_and_removes_what_a_reload_says_is_past_its_age() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    client.batch_execute(HISTORY).unwrap();
    let services = format!("[[services]]\nid = \"main\"\nname = \"main\"\nurl = \"{}\"\n", server.url("/"));
    let setup = Setup::of(&services);
    let mut daemon = setup.start(Some(&database.url));
    eventually("all hours that are over are closed", || {
        number(
            &mut client,
            "SELECT count(*) FROM status_rollups WHERE NOT summarised AND hour < now() - INTERVAL '61 min'",
        ) == 0
    });
    assert_eq!(number(&mut client, "SELECT count(*) FROM status_retired"), 0, "forever is for ever");
    setup.replace(&format!("retention = \"120d\"\n{services}"));
    daemon.signal("HUP");
    let said = daemon.logged("retention: ");
    assert!(
        said.contains("checks of 3 services from before 20")
            && said.ends_with(":00:00Z are removed; their counts stay"),
        "{said}"
    );
    let oldest = "SELECT min(timestamp) >= date_trunc('hour', now() - INTERVAL '120 days', 'UTC') FROM service_checks WHERE service_id = 'main'";
    assert_eq!(one(&mut client, oldest), "true");
    setup.replace(&format!("retention = \"91d\"\n{services}"));
    daemon.signal("HUP");
    eventually("a further reload", || one(&mut client, &oldest.replace("120", "91")) == "true");
    assert_counts_are_right(&mut client);
    assert_eq!(daemon.stop().code(), Some(0));
    let said = daemon.rest_of_log();
    assert!(!said.iter().any(|line| line.contains("upkeep")), "{said:#?}");
}
