//! What systemd is told by a running prober, what ends its patience, and what the journal reads.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    process::Stdio,
    time::Duration,
};

use shared::testing::{
    Cluster, Database, eventually,
    systemd::{Halted, Notified},
};

use crate::{
    process::{Daemon, Setup, every_second},
    servers::Server,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// With a watchdog that waits for a second and a half.
fn start(setup: &Setup, notified: &Notified, database_url: Option<&str>) -> Daemon {
    let mut command = setup.command(&["run"]);
    command.env("NOTIFY_SOCKET", notified.path()).env("WATCHDOG_USEC", "1500000");
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    Daemon::start(command)
}

#[test]
fn it_is_told_when_the_prober_is_ready_reloads_and_ends() {
    let server = Server::saying(OK);
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let notified = Notified::listen();
    let mut daemon = start(&setup, &notified, None);
    let unrecorded = "; nothing is recorded: no DATABASE_URL\n";
    assert_eq!(notified.next(), format!("READY=1\nSTATUS=1 service: 1 not checked yet{unrecorded}"));
    notified.next_with(&format!("STATUS=1 service: 1 online{unrecorded}"));
    notified.next_with("WATCHDOG=1");
    setup.replace(&every_second(&[("main", &server.url("/")), ("git", "http://127.0.0.1:9/")]));
    daemon.signal("HUP");
    assert!(notified.next_with("RELOADING=1").starts_with("RELOADING=1\nMONOTONIC_USEC="));
    let ready = notified.next_with("READY=1");
    assert_eq!(ready, format!("READY=1\nSTATUS=2 services: 1 online, 1 not checked yet{unrecorded}"));
    notified.next_with(&format!("STATUS=2 services: 1 online, 1 offline{unrecorded}"));
    assert_eq!(daemon.stop().code(), Some(0));
    notified.next_with("STOPPING=1");
}

#[test]
fn without_a_watchdog_nothing_is_fed() {
    let server = Server::saying(OK);
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let notified = Notified::listen();
    let mut command = setup.command(&["run"]);
    command.env("NOTIFY_SOCKET", notified.path());
    let _daemon = Daemon::start(command);
    notified.next_with("1 online");
    notified.silence("WATCHDOG", Duration::from_secs(2));
}

#[test]
fn a_schedule_that_stands_still_feeds_no_watchdog_though_the_heartbeat_goes_on() {
    let server = Server::saying(OK);
    let database = Database::empty();
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let notified = Notified::listen();
    let daemon = start(&setup, &notified, Some(&database.url));
    daemon.logged("database: connected");
    notified.next_with("WATCHDOG=1");
    // The thread of the schedule's loop alone, which bears the name of the program.
    let halted = Halted::threads(daemon.process(), "status-prober");
    notified.silence("WATCHDOG", Duration::from_secs(4));
    let mut client = database.connect();
    let heartbeat = "SELECT max(heartbeat_at)::text FROM status_probers";
    let before: String = client.query_one(heartbeat, &[]).unwrap().get(0);
    eventually("the writer lives", || client.query_one(heartbeat, &[]).unwrap().get::<_, String>(0) > before);
    drop(halted);
    notified.next_with("WATCHDOG=1");
}

#[test]
fn a_frozen_database_feeds_the_watchdog_and_is_said() {
    let server = Server::saying(OK);
    let cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let notified = Notified::listen();
    let daemon = start(&setup, &notified, Some(&cluster.url(&name, "postgres")));
    daemon.logged("database: connected");
    notified.next_with("STATUS=1 service: 1 online\n");
    let frozen = cluster.freeze();
    let status = notified.next_with(" in the journal: ");
    assert!(status.starts_with("STATUS=1 service: 1 online; "), "{status}");
    notified.next_with("WATCHDOG=1");
    notified.next_with("WATCHDOG=1");
    drop(frozen);
    notified.next_with("STATUS=1 service: 1 online\n");
}

#[test]
fn a_database_that_is_away_is_said_with_since_when_until_it_is_back() {
    let server = Server::saying(OK);
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let notified = Notified::listen();
    let daemon = start(&setup, &notified, Some(&cluster.url(&name, "postgres")));
    daemon.logged("database: connected");
    cluster.stop();
    let status = notified.next_with(" in the journal: database away since ");
    assert!(status.ends_with(" UTC\n"), "{status}");
    cluster.start_again();
    notified.next_with("STATUS=1 service: 1 online\n");
}

#[test]
fn no_port_is_listened_on() {
    let server = Server::saying(OK);
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let daemon = setup.start(None);
    daemon.logged("main: unknown -> online");
    let process = format!("/proc/{}", daemon.process());
    let links = fs::read_dir(format!("{process}/fd")).unwrap();
    let open: Vec<_> = links.flatten().filter_map(|link| fs::read_link(link.path()).ok()).collect();
    for table in ["tcp", "tcp6"] {
        let sockets = fs::read_to_string(format!("{process}/net/{table}")).unwrap();
        for socket in sockets.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>()) {
            let (state, inode) = (socket[3], socket[9]);
            let listens = state == "0A" && open.contains(&format!("socket:[{inode}]").into());
            assert!(!listens, "{socket:?}");
        }
    }
}

/// What it says at first on a stream that the journal reads, or that only its parent's was.
fn first_line(of_the_journal: bool) -> String {
    let setup = Setup::every_second(&[("main", "http://127.0.0.1:9/")]);
    let (reader, writer) = std::io::pipe().unwrap();
    let end = File::from(OwnedFd::from(writer.try_clone().unwrap())).metadata().unwrap();
    let inode = if of_the_journal { end.ino() } else { end.ino() + 1 };
    let mut command = setup.command(&["run"]);
    command
        .env("JOURNAL_STREAM", format!("{}:{inode}", end.dev()))
        .stderr(Stdio::from(OwnedFd::from(writer)));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

#[test]
fn lines_for_the_journal_carry_their_priority_and_others_their_time() {
    let line = first_line(true);
    assert!(line.starts_with("<4>DATABASE_URL is not set"), "{line}");
    let line = first_line(false);
    assert!(line.contains("WARN  DATABASE_URL is not set") && line.starts_with("20"), "{line}");
}
