//! What was measured outlives the prober: killed, ended without a database, on a disk that is full or not there. What the
//! server saw is the truth.

use std::{fmt::Write, fs, os::unix::fs::MetadataExt, process::Command};

use shared::testing::{Cluster, Database, eventually};

use crate::{
    daemon::{OK, count},
    process::{Daemon, Setup, every_second},
    servers::Server,
};

const NOWHERE: &str = "postgresql://u@127.0.0.1:9/db";
const DISTINCT: &str = "(SELECT DISTINCT service_id, timestamp FROM service_checks) d";

/// Four services, each checked every second.
fn four(server: &Server) -> Setup {
    let urls = ["a", "b", "c", "d"].map(|id| (id, server.url(&format!("/{id}"))));
    Setup::every_second(&urls.each_ref().map(|(id, url)| (*id, url.as_str())))
}

fn see_more(server: &Server, more: usize) {
    let before = server.requests().len();
    eventually("checks go on", || server.requests().len() >= before + more);
}

/// The files of the journal.
fn files(setup: &Setup) -> usize {
    let names = fs::read_dir(setup.state_dir().join("journal")).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|name| name.extension().is_some()).count()
}

#[test]
fn killed_again_and_again_with_and_without_the_database_it_loses_a_moment_and_doubles_nothing() {
    let server = Server::saying(OK);
    let setup = four(&server);
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let url = cluster.url(&name, "postgres");
    let rounds = if std::env::var_os("STATUS_TEST_LONG").is_some() { 30 } else { 3 };
    for round in 0..rounds {
        let mut daemon = setup.start_with_state(&url);
        see_more(&server, 6 + round % 5);
        cluster.stop();
        daemon.logged("Checks go on, ");
        see_more(&server, 9);
        daemon.kill();
        let mut daemon = setup.start_with_state(&url);
        see_more(&server, 5);
        daemon.kill();
        cluster.start_again();
    }
    let mut daemon = setup.start_with_state(&url);
    daemon.logged("database: connected; ");
    assert_eq!(daemon.stop().code(), Some(0));
    let mut client = cluster.connect(&name);
    let (seen, recorded) = (server.requests().len() as i64, count(&mut client, "service_checks"));
    // In flight, and of one flush, are no more than the four services of a beat.
    let missing = 2 * rounds as i64 * 2 * 4;
    assert!(recorded <= seen && recorded >= seen - missing, "{recorded} of {seen}");
    assert_eq!(count(&mut client, DISTINCT), recorded);
    assert_eq!(files(&setup), 0, "all is recorded");
}

#[test]
fn without_a_database_it_ends_at_once_and_the_next_run_records_what_waits() {
    let server = Server::saying(OK);
    let setup = four(&server);
    let mut daemon = setup.start_with_state(NOWHERE);
    daemon.logged("d: unknown -> online");
    assert_eq!(daemon.stop().code(), Some(0));
    let seen = server.requests().len();
    daemon.logged(&format!("{seen} checks wait on disk, and are recorded after the next start"));
    let database = Database::empty();
    setup.replace(&every_second(&[("other", &server.url("/other"))]));
    let mut daemon = setup.start_with_state(&database.url);
    let mut client = database.connect();
    daemon.logged("database: connected; ");
    daemon.logged("other: unknown -> online");
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(count(&mut client, "service_checks"), server.requests().len() as i64);
    let alive = "status_probers WHERE heartbeat_at > clock_timestamp() - INTERVAL '1 hour'";
    assert_eq!((count(&mut client, "status_probers"), count(&mut client, alive)), (2, 1));
}

#[test]
fn where_the_folder_can_not_be_used_it_says_so_and_checks_wait_in_memory() {
    let server = Server::saying(OK);
    let setup = four(&server);
    fs::write(setup.state_dir(), "a file").unwrap();
    let daemon = setup.start_with_state(NOWHERE);
    daemon.logged("Checks that wait for the database wait in memory alone");
    daemon.logged("d: unknown -> online");
    drop(daemon);
    fs::remove_file(setup.state_dir()).unwrap();

    let first = setup.start_with_state(NOWHERE);
    first.logged("d: unknown -> online");
    let database = Database::empty();
    let mut second = setup.start_with_state(&database.url);
    second.logged("another prober keeps its checks there");
    second.logged("d: unknown -> online");
    assert_eq!(second.stop().code(), Some(0));
    assert!(count(&mut database.connect(), "service_checks") >= 4);
}

/// With a disk of 64 KiB for its journal, in a mount namespace of its own; `first` is done there before.
fn start_on_a_small_disk(setup: &Setup, url: &str, first: &str) -> Daemon {
    let run = setup.command(&["run"]);
    let is_root = fs::metadata(&setup.services).unwrap().uid() == 0;
    let mut command = Command::new("unshare");
    command
        .args(if is_root { &["--mount"][..] } else { &["--map-root-user", "--mount"] })
        .args(["sh", "-c"])
        .arg(format!("mkdir -p \"$0\" && mount -t tmpfs -o size=64k none \"$0\" && {first} exec \"$@\""))
        .arg(setup.state_dir())
        .arg(run.get_program())
        .args(run.get_args())
        .arg("--state-dir")
        .arg(setup.state_dir())
        .env("DATABASE_URL", url);
    Daemon::start(command)
}

#[test]
fn a_full_disk_costs_nothing_while_there_is_memory_and_is_used_again() {
    let server = Server::saying(OK);
    let mut text = "interval = \"1s\"\ntimeout = \"500ms\"\nretries = 0\n".to_owned();
    for n in 0..60 {
        let url = server.url(&format!("/{n}"));
        write!(text, "[[services]]\nid = \"s{n}\"\nname = \"s{n}\"\nurl = \"{url}\"\n").unwrap();
    }
    let setup = Setup::of(&text);
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let url = cluster.url(&name, "postgres");
    cluster.stop();
    let mut daemon = start_on_a_small_disk(&setup, &url, "");
    daemon.logged("takes no checks: No space left on device");
    see_more(&server, 100);
    cluster.start_again();
    daemon.logged("takes checks again");
    see_more(&server, 100);
    assert_eq!(daemon.stop().code(), Some(0));
    daemon.logged("everything measured is recorded");
    let mut client = cluster.connect(&name);
    let seen = server.requests().len() as i64;
    assert_eq!((count(&mut client, "service_checks"), count(&mut client, DISTINCT)), (seen, seen));
}

#[test]
fn a_disk_that_is_full_from_the_begin_is_not_littered_and_is_used_once_there_is_room() {
    let server = Server::saying(OK);
    let setup = four(&server);
    let mut daemon =
        start_on_a_small_disk(&setup, NOWHERE, "{ cat /dev/zero >\"$0/filler\" || true; } 2>&- &&");
    daemon.logged("takes no checks: No space left on device");
    see_more(&server, 12);
    // As the prober sees it.
    let there = format!("/proc/{}/root{}", daemon.process(), setup.state_dir().display());
    let journal = || fs::read_dir(format!("{there}/journal")).unwrap().count();
    eventually("between two tries nothing is left", || journal() == 0);
    fs::remove_file(format!("{there}/filler")).unwrap();
    daemon.logged("takes checks again");
    eventually("they are there", || journal() == 1);
    assert_eq!(daemon.stop().code(), Some(0));
    daemon.logged("checks wait on disk, and are recorded after the next start");
}
