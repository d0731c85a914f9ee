//! The prober itself in trouble: killed, ended, misled and suspended at full load.

use std::{fs, sync::Barrier};

use super::*;
use crate::servers::deaf;

/// A database of the shared cluster, and a connection to it.
fn database() -> (Database, Client) {
    let database = Database::empty();
    let client = database.connect();
    (database, client)
}

#[test]
fn killed_while_it_writes_it_loses_a_moment_and_doubles_nothing() {
    let load = Load::start();
    let (database, mut client) = database();
    // In memory, where the system has such a folder: what a disk takes for a flush is no part of this.
    let state_dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let put_on = || {
        let mut command = load.setup.command(&["run", "--state-dir", state_dir.path().to_str().unwrap()]);
        command.env("DATABASE_URL", &database.url);
        Daemon::start(command)
    };
    let mut daemon = put_on();
    for _ in 0..times() {
        load.goes_on(2);
        daemon.kill();
        daemon = put_on();
        load.goes_on(1);
        load.is_caught_up_with(&mut client);
        // The server goes on with what it was sent, and the next prober has the same on disk.
        let mut other = database.connect();
        other.batch_execute("BEGIN; SELECT FROM status_probers FOR UPDATE").unwrap();
        eventually("what is written waits", || !waiting(&mut client).is_empty());
        let of_the_killed = waiting(&mut client);
        daemon.kill();
        daemon = put_on();
        eventually("the next one waits too", || {
            waiting(&mut client).iter().any(|session| !of_the_killed.contains(session))
        });
        drop(other);
    }
    load.goes_on(1);
    assert_eq!(daemon.stop().code(), Some(0));
    daemon.logged("everything measured is recorded");
    let missing = load.missing(&mut client);
    // What was at work, and what came in the fifth of a second since the last flush: the last checks of some services.
    let kills = 2 * times();
    assert!(missing.iter().all(|missing| *missing <= kills), "{missing:?}");
    let all: usize = missing.iter().sum();
    assert!(all <= kills * SERVICES / 4, "{all} in {kills} kills: {missing:?}");
}

/// The sessions whose rows wait for somebody else.
fn waiting(client: &mut Client) -> Vec<i32> {
    let sessions = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                    AND wait_event_type = 'Lock' AND query LIKE '%WITH ledger%'";
    client.query(sessions, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn sigterm_at_full_load_records_everything_that_was_measured() {
    for _ in 0..times() {
        // So some thirty checks are under way at any time.
        let load = Load::of(Ipv4Addr::LOCALHOST, Duration::from_millis(300));
        let (database, mut client) = database();
        let daemon = load.put_on(&database.url);
        load.goes_on(2);
        load.ends_well(daemon, &mut client);
    }
}

#[test]
fn sighup_with_a_bad_file_at_full_load_changes_nothing() {
    let load = Load::start();
    let (database, mut client) = database();
    let daemon = load.put_on(&database.url);
    load.goes_on(1);
    load.is_caught_up_with(&mut client);
    let mut published = || -> String {
        let all =
            "SELECT (SELECT string_agg(s::text, '|' ORDER BY position) FROM status_services s) || revision
                   FROM status_services_file";
        client.query_one(all, &[]).unwrap().get(0)
    };
    let before = published();
    let good = fs::read_to_string(&load.setup.services).unwrap();
    for _ in 0..times() {
        for bad in ["", &good[..good.len() / 2], &good.replace("1s", "1 sec")] {
            load.setup.replace(bad);
            daemon.signal("HUP");
            load.goes_on(1);
        }
    }
    fs::remove_file(&load.setup.services).unwrap();
    daemon.signal("HUP");
    load.goes_on(1);
    assert_eq!(published(), before);
    let log = load.ends_well(daemon, &mut client);
    let refused = log.iter().filter(|line| line.contains("reload refused: ")).count();
    assert_eq!(refused, 3 * times() + 1, "{log:#?}");
    // No turn was lost: each service had as many as the others.
    let seen = load.seen();
    let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
    assert!(most - least <= 1 + skipped(&log), "{seen:?}");
}

#[test]
fn suspended_for_several_turns_it_skips_and_counts_them_and_keeps_the_beat() {
    let pause = 5 * times();
    let load = Load::start();
    let (database, mut client) = database();
    let daemon = load.put_on(&database.url);
    load.goes_on(2);
    daemon.freeze();
    sleep(Duration::from_secs(pause as u64));
    let before = load.seen();
    daemon.thaw();
    load.goes_on(2);
    let after: Vec<usize> = load.seen().iter().zip(&before).map(|(now, before)| now - before).collect();
    assert!(after.iter().all(|turns| *turns <= 2 + pause / 2), "no burst: {after:?}");
    daemon.logged(" turns were skipped");
    let log = load.ends_well(daemon, &mut client);
    let counted = skipped(&log);
    assert!(counted >= (pause - 1) * SERVICES, "{counted}");
    let taken = load.total() as i64;
    let turns: i64 = client.query_one(TURNS_UP_TO_THE_LAST, &[]).unwrap().get(0);
    let off = (turns - taken - counted as i64).unsigned_abs() as usize;
    // A busy machine may begin the first or the last check of some services in the turn after.
    assert!(off <= SERVICES / 2, "of {turns} turns {taken} were taken and {counted} counted as skipped");
    let late: f64 = client.query_one(LATENESS_OF_THE_LAST, &[]).unwrap().get(0);
    assert!(
        late < 0.125,
        "of the last checks a quarter lies up to {late} s after the beat: as if there were none"
    );
}

const TURNS_UP_TO_THE_LAST: &str = "
    SELECT sum(turns)::bigint FROM (
        SELECT round(extract(epoch FROM max(timestamp) - min(timestamp))) + 1 AS turns
        FROM service_checks GROUP BY service_id) s";

const LATENESS_OF_THE_LAST: &str = "
    SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY extract(epoch FROM last - beat)::float8 -
        floor(extract(epoch FROM last - beat)::float8))
    FROM status_services s
    JOIN (SELECT service_id, max(timestamp) AS last FROM service_checks GROUP BY service_id) c
    ON c.service_id = s.id";

/// Stopped and continued, the system gives up a wait for a connection that is bounded in time (signal(7)).
#[test]
fn frozen_while_it_connects_it_goes_on_to_connect() {
    let (address, full) = deaf((Ipv4Addr::LOCALHOST, 0).into());
    let setup = Setup::of(&format!(
        "interval = \"60s\"\ntimeout = \"30s\"\nretries = 0\n\
         [[services]]\nid = \"main\"\nname = \"main\"\nurl = \"http://{address}/\"\n"
    ));
    let daemon = setup.start(None);
    let to_it = format!(":{:04X} 02 ", address.port());
    eventually("it connects", || fs::read_to_string("/proc/net/tcp").unwrap().contains(&to_it));
    daemon.freeze();
    daemon.thaw();
    // Only now there is an answer to the next attempt of its own.
    drop(full);
    let said = daemon.logged("main: unknown -> ");
    assert!(said.contains("connect: connection refused"), "{said}");
}

#[test]
fn what_a_standstill_spoils_is_not_held_against_the_service() {
    let (came, let_go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
    let (asked, answers) = (Arc::clone(&came), Arc::clone(&let_go));
    // The first answer is there before its time is up, and is not read in time.
    let server = Server::behaving(move |_, _, wire| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            answers.wait();
        }
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let setup = Setup::of(&format!(
        "interval = \"4s\"\ntimeout = \"3s\"\nretries = 0\n\
         [[services]]\nid = \"main\"\nname = \"main\"\nurl = \"{}\"\n",
        server.url("/")
    ));
    let mut daemon = setup.start(None);
    eventually("it is asked", || came.load(Ordering::SeqCst) == 1);
    daemon.freeze();
    let_go.wait();
    sleep(Duration::from_secs(5));
    daemon.thaw();
    daemon.logged("main: unknown -> online");
    assert_eq!(daemon.stop().code(), Some(0));
    daemon.logged(
        "1 checks that did not go well are not recorded: this program, or the machine, stood still meanwhile",
    );
    let log = daemon.rest_of_log();
    assert!(!log.iter().any(|line| line.contains("timeout")), "{log:#?}");
}
