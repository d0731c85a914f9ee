//! Faults under load: a hundred services are checked every second while something breaks. What their server saw is the
//! truth: each check is recorded once, as it was answered.

mod clock;
mod database;
mod hostile;
mod network;
mod process;

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use postgres::Client;
use shared::testing::{Database, eventually};

use crate::{
    daemon::count,
    process::{Daemon, Setup},
    servers::{Server, Wire},
};

const SERVICES: usize = 100;

/// Whether tests may take their time.
fn long() -> bool {
    std::env::var_os("STATUS_TEST_LONG").is_some()
}

/// How often a fault comes.
fn times() -> usize {
    if long() { 10 } else { 1 }
}

/// Services, each checked every second without a retry, and the server that sees every check.
struct Load {
    setup: Setup,
    server: Server,
    /// How often each service was asked for.
    seen: Arc<[AtomicUsize]>,
}

impl Load {
    fn start() -> Load {
        Load::of(Ipv4Addr::LOCALHOST, Duration::ZERO)
    }

    /// The server is asked at this address, which the machine may not have yet, and takes so long for each answer.
    fn of(address: Ipv4Addr, pause: Duration) -> Load {
        let seen: Arc<[AtomicUsize]> = (0..SERVICES).map(|_| AtomicUsize::new(0)).collect();
        let counted = Arc::clone(&seen);
        let behave = move |_: usize, head: &str, wire: &mut dyn Wire| {
            let service: usize = head.split([' ', '/']).nth(2).unwrap().parse().unwrap();
            let status = status_of(counted[service].fetch_add(1, Ordering::SeqCst));
            sleep(pause);
            wire.write_all(format!("HTTP/1.1 {status} Fine\r\nContent-Length: 0\r\n\r\n").as_bytes())
        };
        let listens = if address.is_loopback() { address } else { Ipv4Addr::UNSPECIFIED };
        let mut server = Server::start((listens, 0).into(), None, behave).unwrap();
        server.address.set_ip(address.into());
        let setup = Setup::of(&services(&server));
        Load { setup, server, seen }
    }

    /// Starts the prober, with a folder for its journal.
    fn put_on(&self, database_url: &str) -> Daemon {
        self.setup.start_with_state(database_url)
    }

    fn seen(&self) -> Vec<usize> {
        self.seen.iter().map(|seen| seen.load(Ordering::SeqCst)).collect()
    }

    fn total(&self) -> usize {
        self.seen().iter().sum()
    }

    /// Waits until every service was asked for so many times more.
    fn goes_on(&self, rounds: usize) {
        let before = self.seen();
        eventually("every service is checked", || {
            self.seen().iter().zip(&before).all(|(now, before)| *now >= before + rounds)
        });
    }

    /// Waits until all that was seen up to now is recorded.
    fn is_caught_up_with(&self, client: &mut Client) {
        let seen = self.total();
        eventually("what was measured is recorded", || rows(client) >= seen);
    }

    /// After the fault: what waited is recorded, the end is in order, and nothing is lost or doubled.
    fn ends_well(&self, mut daemon: Daemon, client: &mut Client) -> Vec<String> {
        let (seen, spoiled) = (self.total(), |log: &[String]| counted(log, SPOILED));
        eventually("what was measured is recorded", || rows(client) + spoiled(&daemon.log_so_far()) >= seen);
        assert_eq!(daemon.stop().code(), Some(0));
        daemon.logged("everything measured is recorded");
        let log = daemon.rest_of_log();
        let missing = self.missing(client);
        assert_eq!(missing.iter().sum::<usize>(), spoiled(&log), "{missing:?}");
        log
    }

    /// How many checks of each service are not recorded. Nothing is recorded that was never answered, nor anything twice.
    fn missing(&self, client: &mut Client) -> Vec<usize> {
        assert!(self.server.is_left_alone());
        let distinct = "(SELECT DISTINCT service_id, timestamp FROM service_checks) d";
        assert_eq!(count(client, distinct), count(client, "service_checks"), "no two rows are equal");
        let recorded = recorded(client);
        let services = self.seen().into_iter().enumerate();
        services
            .map(|(n, seen)| recorded.get(&id(n)).map_or(seen, |recorded| recorded.missing_of(seen)))
            .collect()
    }
}

/// How many checks are recorded; the prober makes the table.
fn rows(client: &mut Client) -> usize {
    let is_there = count(client, "pg_tables WHERE tablename = 'service_checks'") == 1;
    if is_there { count(client, "service_checks") as usize } else { 0 }
}

/// What is recorded of a service.
#[derive(Debug, Default)]
struct Recorded {
    /// The statuses of its answers, in the order of their recording.
    answers: Vec<i32>,
    /// Checks that reached the server, or may have, and got no answer in time.
    late: usize,
}

impl Recorded {
    /// How many of so many requests are not recorded.
    fn missing_of(&self, seen: usize) -> usize {
        let mut answered = 0..seen;
        let in_order = self.answers.iter().all(|status| answered.any(|answer| *status == status_of(answer)));
        assert!(in_order, "not what {seen} requests were answered: {self:?}");
        (seen - self.answers.len()).saturating_sub(self.late)
    }
}

/// Tells the answers that a service gives, one after the other, apart.
fn status_of(answer: usize) -> i32 {
    200 + i32::try_from(answer % 100).unwrap()
}

fn id(service: usize) -> String {
    format!("s{service}")
}

fn services(server: &Server) -> String {
    let service = |n| {
        let (id, url) = (id(n), server.url(&format!("/{n}")));
        format!("[[services]]\nid = \"{id}\"\nname = \"{id}\"\nurl = \"{url}\"\n")
    };
    let head = "interval = \"1s\"\ntimeout = \"900ms\"\nretries = 0\n";
    head.to_owned() + &(0..SERVICES).map(service).collect::<String>()
}

/// What is recorded of each service.
fn recorded(client: &mut Client) -> HashMap<String, Recorded> {
    // Without those that say themselves that they never came as far as to the server.
    let rows = "SELECT service_id::text, status_code FROM service_checks
                WHERE error IS NULL OR error !~ '^(dns: |connect: |timeout: no connection)' ORDER BY id";
    let mut all: HashMap<String, Recorded> = HashMap::new();
    for row in client.query(rows, &[]).unwrap() {
        let service = all.entry(row.get(0)).or_default();
        match row.get(1) {
            Some(status) => service.answers.push(status),
            None => service.late += 1,
        }
    }
    all
}

/// Lets the prober's next rows wait for as long as the result lives; they wait already.
fn hold_by_a_lock(mut other: Client) -> Client {
    other.batch_execute("BEGIN; LOCK TABLE service_checks IN ACCESS EXCLUSIVE MODE").unwrap();
    let waiting =
        "pg_locks WHERE relation = 'service_checks'::regclass AND mode = 'RowExclusiveLock' AND NOT granted";
    eventually("what is written waits", || count(&mut other, waiting) > 0);
    other
}

/// What is said of checks during which the prober stood still.
const SPOILED: &str = " checks that did not go well are not recorded";

/// Turns that the log says were skipped.
fn skipped(log: &[String]) -> usize {
    counted(log, " turns were skipped")
}

/// The sum of what stands before these words in the lines that have them.
fn counted(log: &[String], words: &str) -> usize {
    let count =
        |line: &String| -> Option<usize> { line.split_once(words)?.0.rsplit(' ').next()?.parse().ok() };
    log.iter().filter_map(count).sum()
}
