//! `status-prober recount`: wrong statistics become right, in one piece, beside everybody.

use postgres::Client;
use prober::{migrate::bring_up_to_date, upkeep};
use shared::testing::{Database, eventually};

use crate::{
    migrations::{assert_counts_are_right, one},
    process::Setup,
    servers::Server,
};

/// Checks that no trigger counted, as a restore of the data alone leaves them.
const RESTORE: &str = "
    ALTER TABLE service_checks DISABLE TRIGGER USER;
    TRUNCATE service_checks, status_rollups, status_totals;
    INSERT INTO status_totals (service_id, online, degraded, timeout, offline, total, revision)
    VALUES ('gone', 9, 0, 0, 0, 9, 41);
    INSERT INTO status_packed VALUES ('main', 41, '2025-12-01Z', '2026-01-01Z', '', '', '', '[]');
    COPY service_checks (service_id, timestamp, status, response_time) FROM PROGRAM
        'for n in $(seq 1000); do echo \"main,2026-01-01 $((n % 24)):10Z,online,$n\"; echo \"git,2026-01-02 10:00Z,offline,\"; done' CSV;
    ALTER TABLE service_checks ENABLE TRIGGER USER";

fn prepared() -> (Database, Client) {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    (database, client)
}

fn recount(setup: &Setup, database: &Database) -> (Option<i32>, String, String) {
    let output = setup.command(&["recount"]).env("DATABASE_URL", &database.url).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn setup() -> Setup {
    Setup::every_second(&[("main", "http://localhost/")])
}

#[test]
fn after_a_restore_of_the_data_alone_a_recount_makes_every_figure_right() {
    let (database, mut client) = prepared();
    client.batch_execute("LISTEN status_changed").unwrap();
    client.batch_execute(RESTORE).unwrap();
    assert_eq!(one(&mut client, "SELECT count(*) FROM status_rollups"), "0");
    let (code, said, complaints) = recount(&setup(), &database);
    assert_eq!(code, Some(0), "{complaints}");
    assert!(
        said.starts_with("Counted 2000 checks of 2 services anew in ") && said.ends_with(" s.\n"),
        "{said}"
    );
    assert_counts_are_right(&mut client);
    assert_eq!(one(&mut client, "SELECT count(*) FROM status_packed"), "0", "nobody knows how old it is");
    let totals = "SELECT string_agg(concat_ws(' ', service_id, online, offline, total), ', ' ORDER BY service_id) FROM status_totals";
    assert_eq!(one(&mut client, totals), "git 0 1000 1000, gone 0 0 0, main 1000 0 1000");
    assert_eq!(
        one(
            &mut client,
            "SELECT concat_ws(' ', revision, corrected) FROM status_totals WHERE service_id = 'gone'"
        ),
        "42 42"
    );
    let mut told = client.notifications();
    let notification = postgres::fallible_iterator::FallibleIterator::next(
        &mut told.timeout_iter(std::time::Duration::from_secs(60)),
    );
    assert_eq!(notification.unwrap().unwrap().channel(), "status_changed");
}

#[test]
fn a_recount_tells_readers_about_every_service_and_summarises_anew() {
    let (database, mut client) = prepared();
    client
        .batch_execute("INSERT INTO service_checks (service_id, timestamp, status, response_time)
                        SELECT 's' || n % 3, now() - n * INTERVAL '1 hour', 'online', n FROM generate_series(2, 200) n")
        .unwrap();
    let now = chrono::Utc::now();
    upkeep::close_hours(&mut client, now, |_| true).unwrap();
    let revisions = "SELECT min(revision) FROM status_totals WHERE revision = corrected OR corrected = 0";
    let before: i64 = one(&mut client, revisions).parse().unwrap();
    assert_eq!(recount(&setup(), &database).0, Some(0));
    let read_again = "SELECT count(*) FROM status_totals WHERE revision = corrected AND revision > $1";
    assert_eq!(client.query_one(read_again, &[&before]).unwrap().get::<_, i64>(0), 3);
    assert_eq!(upkeep::close_hours(&mut client, now, |_| true).unwrap(), 199);
    assert_counts_are_right(&mut client);
}

#[test]
fn what_retention_removed_still_counts_after_a_recount() {
    let (database, mut client) = prepared();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status)
                        SELECT 'main', now() - n * INTERVAL '1 day', 'online' FROM generate_series(0, 199) n",
        )
        .unwrap();
    let age = std::time::Duration::from_secs(91 * 86_400);
    assert!(upkeep::retire(&mut client, chrono::Utc::now(), age, |_| true).unwrap().checks > 100);
    let figures = "SELECT concat((SELECT total FROM status_totals), (SELECT string_agg(d::text, ',' ORDER BY day) FROM status_days d),
                                 (SELECT string_agg(r::text, ',' ORDER BY hour) FROM status_retired r))";
    let before = one(&mut client, figures);
    assert_eq!(recount(&setup(), &database).0, Some(0));
    assert_eq!(one(&mut client, figures), before);
    assert_counts_are_right(&mut client);
}

#[test]
fn probers_wait_for_a_recount_and_lose_nothing() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (database, mut client) = prepared();
    client.batch_execute(RESTORE).unwrap();
    let running = Setup::every_second(&[("main", &server.url("/")), ("git", &server.url("/"))]);
    let mut daemon = running.start(Some(&database.url));
    daemon.logged("git: unknown -> online");
    for rounds in 1..=3 {
        assert_eq!(recount(&setup(), &database).0, Some(0));
        eventually("checks go on", || server.requests().len() >= rounds * 4);
    }
    assert_eq!(daemon.stop().code(), Some(0));
    let recorded = one(&mut client, "SELECT count(*) - 2000 FROM service_checks");
    assert_eq!(recorded, server.requests().len().to_string());
    assert_counts_are_right(&mut client);
}

#[test]
fn without_the_triggers_that_count_nothing_is_recorded_until_a_recount_puts_them_back() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (database, mut client) = prepared();
    let running = Setup::every_second(&[("main", &server.url("/"))]);
    let mut daemon = running.start(Some(&database.url));
    daemon.then_logged("database: connected");
    for (spoil, kinds) in [
        ("DROP TRIGGER status_count_insert ON service_checks", "INSERT"),
        ("ALTER TABLE service_checks DISABLE TRIGGER USER", "INSERT, UPDATE, DELETE, TRUNCATE"),
    ] {
        client.batch_execute(spoil).unwrap();
        let said = format!("the triggers of service_checks that count are gone or off ({kinds})");
        daemon.then_logged(&said);
        let recorded = one(&mut client, "SELECT count(*) FROM service_checks");
        let seen = server.requests().len();
        eventually("checks go on", || server.requests().len() >= seen + 2);
        assert_eq!(one(&mut client, "SELECT count(*) FROM service_checks"), recorded);
        assert_eq!(recount(&setup(), &database).0, Some(0));
        daemon.then_logged("database: connected; ");
        assert_counts_are_right(&mut client);
    }
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(one(&mut client, "SELECT count(*) FROM service_checks"), server.requests().len().to_string());
    assert_counts_are_right(&mut client);
}

#[test]
fn who_is_in_the_way_of_a_recount_is_named() {
    let (database, mut client) = prepared();
    let mut other = database.connect();
    let mut writing = other.transaction().unwrap();
    writing.batch_execute("SET application_name = 'a nightly import'; INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')").unwrap();
    let (code, said, complaints) = recount(&setup(), &database);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(complaints.contains("(postgres, a nightly import, idle in transaction, for 0"), "{complaints}");
    writing.commit().unwrap();
    assert_counts_are_right(&mut client);
}

#[test]
fn a_recount_brings_an_empty_database_up_to_date_and_needs_one() {
    let database = Database::empty();
    let (code, said, _) = recount(&setup(), &database);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("Counted 0 checks of 0 services anew in "), "{said}");
    let unset = setup().run(&["recount"]);
    assert_eq!(unset.status.code(), Some(2));
    let help = setup().run(&["recount", "--help"]);
    assert!(String::from_utf8(help.stdout).unwrap().contains("Count all checks anew"));
}
