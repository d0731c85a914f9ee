//! Faults under load: a hundred services are checked every second while something breaks. What their server saw is the
//! truth: each check is recorded once, as it was answered.

mod clock;
mod database;
mod process;

use std::{
    collections::HashMap,
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
    servers::Server,
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
        Load::answering_after(Duration::ZERO)
    }

    /// The server takes so long for each answer.
    fn answering_after(pause: Duration) -> Load {
        let seen: Arc<[AtomicUsize]> = (0..SERVICES).map(|_| AtomicUsize::new(0)).collect();
        let counted = Arc::clone(&seen);
        let server = Server::behaving(move |_, head, wire| {
            let service: usize = head.split([' ', '/']).nth(2).unwrap().parse().unwrap();
            let status = status_of(counted[service].fetch_add(1, Ordering::SeqCst));
            sleep(pause);
            wire.write_all(format!("HTTP/1.1 {status} Fine\r\nContent-Length: 0\r\n\r\n").as_bytes())
        });
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
        let seen = self.total() as i64;
        eventually("what was measured is recorded", || {
            // The prober makes the table.
            let is_there = count(client, "pg_tables WHERE tablename = 'service_checks'") == 1;
            is_there && count(client, "service_checks") >= seen
        });
    }

    /// After the fault: what waited is recorded, the end is in order, and nothing is lost or doubled.
    fn ends_well(&self, mut daemon: Daemon, client: &mut Client) -> Vec<String> {
        self.is_caught_up_with(client);
        assert_eq!(daemon.stop().code(), Some(0));
        daemon.logged("everything measured is recorded");
        assert_eq!(self.missing(client), [0; SERVICES]);
        daemon.rest_of_log()
    }

    /// How many checks of each service are not recorded. Nothing is recorded that was never answered, nor anything twice.
    fn missing(&self, client: &mut Client) -> Vec<usize> {
        assert!(self.server.is_left_alone());
        let recorded = recorded(client);
        let total: usize = recorded.values().map(Vec::len).sum();
        let distinct = "(SELECT DISTINCT service_id, timestamp FROM service_checks) d";
        assert_eq!(count(client, distinct), total as i64, "no two rows are equal");
        let services = self.seen().into_iter().enumerate();
        services
            .map(|(n, seen)| {
                let recorded = recorded.get(&id(n)).map_or(&[][..], Vec::as_slice);
                assert!(is_in_order(recorded, seen), "{}: of {seen} only {recorded:?}", id(n));
                seen - recorded.len()
            })
            .collect()
    }
}

/// Whether these statuses are of answers up to the last of so many, in their order. A check that came too late for its
/// answer has none.
fn is_in_order(recorded: &[Option<i32>], seen: usize) -> bool {
    let mut answers = 0..seen;
    recorded
        .iter()
        .all(|status| answers.any(|answer| status.is_none_or(|status| status == status_of(answer))))
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

/// The statuses that are recorded of each service, in the order of their recording.
fn recorded(client: &mut Client) -> HashMap<String, Vec<Option<i32>>> {
    let mut recorded: HashMap<String, Vec<Option<i32>>> = HashMap::new();
    let rows = "SELECT service_id::text, status_code FROM service_checks ORDER BY id";
    for row in client.query(rows, &[]).unwrap() {
        recorded.entry(row.get(0)).or_default().push(row.get(1));
    }
    recorded
}

/// Turns that the log says were skipped.
fn skipped(log: &[String]) -> usize {
    let turns = |line: &String| -> Option<usize> {
        line.split_once(" turns were skipped")?.0.rsplit(' ').next()?.parse().ok()
    };
    log.iter().filter_map(turns).sum()
}
