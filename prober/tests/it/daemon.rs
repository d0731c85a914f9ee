//! The daemon against real servers and a real PostgreSQL: what is measured is recorded, through loss, reload and end.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use shared::testing::{Cluster, Database, eventually, free_port};

use crate::{
    process::{Setup, every_second},
    servers::Server,
};

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

pub(crate) fn count(client: &mut postgres::Client, of: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {of}"), &[]).unwrap().get(0)
}

#[test]
fn a_check_is_recorded_as_it_was_measured_and_the_services_are_published() {
    let server = Server::saying(OK);
    let database = Database::empty();
    let setup = Setup::of(&format!(
        "interval = \"1h\"\n[[services]]\nid = \"main\"\nname = \"Haupt\"\ngroup = \"Web\"\nurl = \"{}\"\n
         link = \"https://example.org\"\n[[services]]\nid = \"git\"\nname = \"git\"\nurl = \"{}\"\nlink = false\n",
        server.url("/"),
        server.url("/secret-path")
    ));
    let mut daemon = setup.start(Some(&database.url));
    daemon.logged("git: unknown -> online");
    assert_eq!(daemon.stop().code(), Some(0));
    let mut client = database.connect();
    let row = client
        .query_one("SELECT status, status_code, error, response_time >= 0, age(now(), timestamp) < '1 min' FROM service_checks WHERE service_id = 'main'", &[])
        .unwrap();
    assert_eq!(
        (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)),
        ("online", 200, None::<&str>, true, true)
    );
    let services = client
        .query("SELECT id::text, name, group_name, link, interval_ms, tries_take_ms FROM status_services ORDER BY position", &[])
        .unwrap();
    let shown: Vec<(&str, &str, Option<&str>, Option<&str>)> =
        services.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert_eq!(
        shown,
        [("main", "Haupt", Some("Web"), Some("https://example.org")), ("git", "git", None, None)]
    );
    assert_eq!((services[0].get::<_, i64>(4), services[0].get::<_, i64>(5)), (3_600_000, 22_000));
    let leaked: String =
        client.query_one("SELECT string_agg(s::text, '') FROM status_services s", &[]).unwrap().get(0);
    assert!(!leaked.contains("secret-path"), "the probed URL is not stored");
}

#[test]
fn without_a_database_it_checks_and_says_that_nothing_is_recorded() {
    let server = Server::saying(OK);
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let mut daemon = setup.start(None);
    daemon.logged("DATABASE_URL is not set");
    daemon.logged("main: unknown -> online");
    eventually("turns go on", || server.requests().len() >= 3);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_change_of_state_is_one_line() {
    let server =
        Server::answering(|n, _| if n < 2 { OK.into() } else { b"HTTP/1.1 503 No\r\n\r\n".to_vec() });
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let mut daemon = setup.start(None);
    let line = daemon.logged("main: online -> degraded");
    assert!(line.contains("status: HTTP 503, after 1 try"), "{line}");
    eventually("it stays so", || server.requests().len() >= 5);
    daemon.stop();
    let lines = daemon.rest_of_log();
    assert_eq!(lines.iter().filter(|line| line.contains("main: ")).count(), 2, "{lines:#?}");
}

#[test]
fn every_check_that_the_server_saw_is_recorded_once_through_a_lost_database() {
    let server = Server::saying(OK);
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let url = cluster.url(&name, "postgres");
    let setup =
        Setup::every_second(&[("a", &server.url("/a")), ("b", &server.url("/b")), ("c", &server.url("/c"))]);
    let mut daemon = setup.start(Some(&url));
    eventually("some are recorded", || server.requests().len() >= 6);
    cluster.stop();
    let at_the_loss = server.requests().len();
    daemon.logged("Checks go on");
    eventually("checks go on", || server.requests().len() >= at_the_loss + 6);
    cluster.start_again();
    let mut client = cluster.connect(&name);
    eventually("what waited is recorded", || count(&mut client, "service_checks") > at_the_loss as i64 + 6);
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(count(&mut client, "service_checks"), server.requests().len() as i64);
    assert_eq!(
        count(&mut client, "(SELECT DISTINCT service_id, timestamp FROM service_checks) d"),
        server.requests().len() as i64
    );
}

#[test]
fn a_database_that_is_away_at_start_is_waited_for_and_loses_nothing() {
    let server = Server::saying(OK);
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let url = cluster.url(&name, "postgres");
    cluster.stop();
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let mut daemon = setup.start(Some(&url));
    daemon.logged("database: ");
    eventually("checks go on", || server.requests().len() >= 3);
    cluster.start_again();
    let mut client = cluster.connect(&name);
    daemon.logged("database: connected");
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(count(&mut client, "service_checks"), server.requests().len() as i64);
}

#[test]
fn a_wrong_password_and_a_missing_database_are_said_with_what_to_do() {
    let port = free_port();
    let cluster = Cluster::start(&["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")]);
    cluster.connect("postgres").batch_execute("CREATE ROLE anna LOGIN PASSWORD 'right'").unwrap();
    let setup = Setup::every_second(&[("main", "http://127.0.0.1:9/")]);
    for (place, said) in [
        ("anna:s3cret@127.0.0.1/postgres", "set the right password in DATABASE_URL"),
        ("anna:right@127.0.0.1/nowhere", "create the database (createdb)"),
        ("anna:right@127.0.0.1/postgres", "run deploy/roles.sql"),
        ("anna:right@db.invalid/postgres", "the host's name is not known"),
    ] {
        let (server, database) = place.rsplit_once('/').unwrap();
        let mut daemon = setup.start(Some(&format!("postgresql://{server}:{port}/{database}")));
        daemon.logged(said);
        daemon.logged("main: unknown -> ");
        assert_eq!(daemon.stop().code(), Some(0), "it went on checking");
        let log = daemon.rest_of_log().join("\n");
        assert!(!log.contains("s3cret") && !log.contains("right@"), "{log}");
    }
}

#[test]
fn sighup_loads_the_file_anew_and_a_bad_file_changes_nothing() {
    let server = Server::saying(OK);
    let database = Database::empty();
    let setup = Setup::every_second(&[("a", &server.url("/a"))]);
    let mut daemon = setup.start(Some(&database.url));
    daemon.logged("a: unknown -> online");
    setup.replace("[[services]]\nid = 7\n");
    daemon.signal("HUP");
    daemon.logged("services.toml:2: ");
    daemon.logged("reload refused: the services stay as they were");
    let before = server.requests().len();
    eventually("a is checked all the same", || server.requests().len() > before + 1);
    setup.replace(&every_second(&[("b", &server.url("/b")), ("a", &server.url("/a"))]));
    daemon.signal("HUP");
    daemon.logged("b: unknown -> online");
    let mut client = database.connect();
    eventually("the order of the file is published", || {
        let rows = client.query("SELECT id::text FROM status_services ORDER BY position", &[]).unwrap();
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<String>() == "ba"
    });
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(
        count(&mut client, "service_checks"),
        server.requests().len() as i64,
        "no turn was doubled or lost"
    );
}

#[test]
fn a_check_that_is_cut_off_by_the_end_is_not_recorded_as_a_failure() {
    let silent = Server::raw(|stream| {
        std::io::Read::read(&mut &stream, &mut [0; 1024]).ok();
        std::thread::park();
    });
    let database = Database::empty();
    let setup = Setup::of(&format!(
        "interval = \"1h\"\ntimeout = \"10m\"\nretries = 0\n[[services]]\nid = \"silent\"\nname = \"silent\"\nurl = \"{}\"\n",
        silent.url("/")
    ));
    let mut daemon = setup.start(Some(&database.url));
    daemon.logged("database: connected");
    eventually("it is asked", || silent.accepted() > 0);
    assert_eq!(daemon.stop().code(), Some(0));
    daemon.logged("1 checks were still at work and are cut off, unrecorded");
    assert_eq!(count(&mut database.connect(), "service_checks"), 0);
}

#[test]
fn a_service_is_never_checked_twice_at_once() {
    let silent = Server::raw(|stream| {
        std::io::Read::read(&mut &stream, &mut [0; 1024]).ok();
        std::thread::park();
    });
    let server = Server::saying(OK);
    let file = |interval: &str, barrier: &str| {
        format!(
            "timeout = \"30s\"\nretries = 0\n[[services]]\nid = \"silent\"\nname = \"silent\"\nurl = \"{}\"\n
             interval = \"{interval}\"\n[[services]]\nid = \"{barrier}\"\nname = \"b\"\nurl = \"{}\"\n",
            silent.url("/"),
            server.url("/")
        )
    };
    let setup = Setup::of(&file("1h", "first"));
    let daemon = setup.start(None);
    daemon.logged("first: unknown -> online");
    // Another interval is another beat, which begins at once: the last check is still at work.
    setup.replace(&file("2h", "second"));
    daemon.signal("HUP");
    daemon.logged("second: unknown -> online");
    assert_eq!(silent.accepted(), 1);
    daemon.logged("1 turns were skipped");
}

#[test]
fn services_that_hang_take_half_of_the_places_and_the_others_keep_their_turns() {
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, peak) = (Arc::clone(&open), Arc::clone(&most));
    let hanging = Server::raw(move |stream| {
        peak.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        while std::io::Read::read(&mut &stream, &mut [0; 1024]).is_ok_and(|read| read > 0) {}
        count.fetch_sub(1, Ordering::SeqCst);
    });
    let server = Server::saying(OK);
    let mut text = format!(
        "interval = \"4s\"\ntimeout = \"3s\"\nretries = 0\n\
         [[services]]\nid = \"well\"\nname = \"well\"\ninterval = \"1s\"\ntimeout = \"900ms\"\nurl = \"{}\"\n",
        server.url("/")
    );
    for n in 0..900 {
        let url = hanging.url(&format!("/{n}"));
        write!(text, "[[services]]\nid = \"h{n}\"\nname = \"h{n}\"\nurl = \"{url}\"\n").unwrap();
    }
    let setup = Setup::of(&text);
    let mut daemon = setup.start(None);
    daemon.logged("h899: unknown -> timeout");
    eventually("the first round is over", || hanging.accepted() >= 900 + 300);
    most.store(0, Ordering::SeqCst);
    let before = server.requests().len();
    eventually("further rounds", || hanging.accepted() >= 900 + 300 + 1500);
    // A connection is closed a moment before this server hears of it.
    let most = most.load(Ordering::SeqCst);
    assert!(most <= 600, "{most} at once; without a bound they are {}", 900 * 3 / 4);
    // At 512 in three seconds, 1500 take nine.
    let turns = server.requests().len() - before;
    assert!(turns >= 3, "{turns} turns of the one that is well");
    daemon.signal("KILL");
    daemon.wait();
}

#[test]
fn what_waits_at_the_end_without_a_database_is_counted_in_the_log() {
    let server = Server::saying(OK);
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let mut daemon = setup.start(Some("postgresql://u@127.0.0.1:9/db"));
    daemon.logged("main: unknown -> online");
    assert_eq!(daemon.stop().code(), Some(0));
    let log = daemon.rest_of_log().join("\n");
    let lost =
        format!("{} checks are lost: the database did not take them within 10s", server.requests().len());
    assert!(log.contains(&lost), "{lost}: {log}");
}

#[test]
fn a_database_that_restarts_at_the_end_still_gets_everything() {
    let server = Server::saying(OK);
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let mut daemon = setup.start(Some(&cluster.url(&name, "postgres")));
    daemon.logged("database: connected");
    cluster.stop();
    let at_the_loss = server.requests().len();
    eventually("something waits", || server.requests().len() > at_the_loss + 1);
    daemon.signal("TERM");
    daemon.logged("SIGTERM");
    cluster.start_again();
    assert_eq!(daemon.wait().code(), Some(0));
    daemon.logged("everything measured is recorded");
    assert_eq!(count(&mut cluster.connect(&name), "service_checks"), server.requests().len() as i64);
}

#[test]
fn a_prober_that_was_killed_comes_back_and_nothing_is_doubled() {
    let server = Server::saying(OK);
    let database = Database::empty();
    let setup = Setup::every_second(&[("a", &server.url("/a")), ("b", &server.url("/b"))]);
    let mut client = database.connect();
    for round in 0..3 {
        let mut daemon = setup.start(Some(&database.url));
        daemon.logged("b: unknown -> online");
        let target = (round + 1) * 4;
        eventually("they are recorded", || server.requests().len() >= target);
        daemon.kill();
    }
    let mut last = setup.start(Some(&database.url));
    last.logged("b: unknown -> online");
    assert_eq!(last.stop().code(), Some(0));
    let (seen, recorded) = (server.requests().len() as i64, count(&mut client, "service_checks"));
    assert!(
        recorded <= seen && recorded >= seen - 3 * 4,
        "{recorded} of {seen}: at most what was in flight is missing"
    );
    assert_eq!(count(&mut client, "(SELECT DISTINCT service_id, timestamp FROM service_checks) d"), recorded);
}

#[test]
fn a_heartbeat_is_left_and_the_next_turn_is_published() {
    let server = Server::saying(OK);
    let database = Database::empty();
    let setup =
        Setup::of(&format!("[[services]]\nid = \"main\"\nname = \"main\"\nurl = \"{}\"\n", server.url("/")));
    let daemon = setup.start(Some(&database.url));
    daemon.logged("main: unknown -> online");
    daemon.logged("database: connected");
    let mut client = database.connect();
    eventually("the check is recorded", || count(&mut client, "service_checks") == 1);
    let recent = "status_probers WHERE heartbeat_at > clock_timestamp() - INTERVAL '1 min'";
    assert_eq!(count(&mut client, recent), 1);
    let on_the_beat =
        "status_services s, service_checks c WHERE abs(extract(epoch FROM s.beat - c.timestamp)) < 60";
    assert_eq!(count(&mut client, on_the_beat), 1, "the first check was at its beat");
}

#[test]
fn who_starts_while_somebody_holds_the_table_leaves_a_heartbeat_and_publishes_the_services() {
    let server = Server::saying(OK);
    let database = Database::empty();
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    assert!(setup.command(&["migrate"]).env("DATABASE_URL", &database.url).status().unwrap().success());
    let mut other = database.connect();
    let mut transaction = other.transaction().unwrap();
    transaction.batch_execute("LOCK TABLE service_checks IN ACCESS EXCLUSIVE MODE").unwrap();
    let mut daemon = setup.start(Some(&database.url));
    daemon.logged("database: connected");
    let mut client = database.connect();
    eventually("the services are published", || count(&mut client, "status_services") == 1);
    assert_eq!(count(&mut client, "status_probers WHERE fingerprint IS NOT NULL"), 1);
    daemon.logged("another session holds a lock");
    transaction.rollback().unwrap();
    eventually("what waited is recorded", || count(&mut client, "service_checks") > 0);
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(count(&mut client, "service_checks"), server.requests().len() as i64);
}

#[test]
fn a_lock_of_somebody_else_stops_neither_checks_nor_the_heartbeat_nor_the_connection() {
    let server = Server::saying(OK);
    let database = Database::empty();
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let mut daemon = setup.start(Some(&database.url));
    daemon.logged("database: connected");
    let mut client = database.connect();
    eventually("a check is recorded", || count(&mut client, "service_checks") > 0);
    let mut other = database.connect();
    let mut transaction = other.transaction().unwrap();
    transaction
        .batch_execute("UPDATE service_checks SET error = 'mended' WHERE service_id = 'main'")
        .unwrap();
    daemon.logged("another session holds a lock");
    let heartbeat = "SELECT max(heartbeat_at)::text FROM status_probers";
    let before: String = client.query_one(heartbeat, &[]).unwrap().get(0);
    eventually("the heartbeat goes on", || {
        client.query_one(heartbeat, &[]).unwrap().get::<_, String>(0) > before
    });
    transaction.rollback().unwrap();
    let waited = server.requests().len() as i64;
    eventually("what waited is recorded", || count(&mut client, "service_checks") > waited);
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(count(&mut client, "service_checks"), server.requests().len() as i64);
    let log = daemon.rest_of_log();
    assert_eq!(log.iter().filter(|line| line.contains("database: connected")).count(), 1, "{log:#?}");
}
