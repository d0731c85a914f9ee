//! How much is served at once, within what the system allows this process.

use std::{num::NonZero, thread::available_parallelism};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections at once. An idle one takes some 12 KiB.
const CONNECTIONS: usize = 20_000;
/// Open files of everything else: the database, the journal, the sockets, and some of each worker.
const OTHER_FILES: usize = 256;

/// What is served at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Threads that serve.
    pub workers: usize,
    /// Connections of each of them. Who comes beyond waits until one ends.
    pub connections_of_a_worker: usize,
    /// Streams of changes, of all workers. The last quarter of the connections is for who asks and goes.
    pub streams: usize,
}

impl Limits {
    /// What this process may do. It raises its own limit of open files where that lies below what it needs.
    pub fn of_this_process() -> Limits {
        let workers = available_parallelism().map_or(1, NonZero::get);
        let files = open_files(CONNECTIONS + OTHER_FILES);
        let limits = Limits::within(files, workers);
        if files < CONNECTIONS + OTHER_FILES {
            log::info!(
                "{} connections at once, since {files} files may be open; {} would need {} (LimitNOFILE=, ulimit -n)",
                limits.connections_of_a_worker * workers,
                CONNECTIONS,
                CONNECTIONS + OTHER_FILES
            );
        }
        limits
    }

    fn within(files: usize, workers: usize) -> Limits {
        // Where there is next to nothing, half of it.
        let connections = files.saturating_sub(OTHER_FILES).max(files / 2).min(CONNECTIONS);
        let connections_of_a_worker = (connections / workers).max(1);
        Limits { workers, connections_of_a_worker, streams: connections * 3 / 4 }
    }
}

/// How many files may be open, once the limit is raised to `wanted` as far as the system lets it.
fn open_files(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted_here = maximum.map_or(wanted as u64, |most| most.min(wanted as u64));
    let raised = Rlimit { current: Some(wanted_here), maximum };
    let allowed = match current {
        Some(allowed) if allowed < wanted_here && setrlimit(Resource::Nofile, raised).is_ok() => wanted_here,
        Some(allowed) => allowed,
        None => wanted as u64,
    };
    usize::try_from(allowed).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_20_000_connections_and_a_quarter_of_them_is_not_for_streams() {
        let limits = Limits::within(65_536, 4);
        assert_eq!(limits, Limits { workers: 4, connections_of_a_worker: 5_000, streams: 15_000 });
    }

    #[test]
    fn there_are_no_more_connections_than_files() {
        for (files, connections) in [(1024, 768), (256, 128), (64, 32)] {
            let limits = Limits::within(files, 2);
            assert_eq!(
                (limits.connections_of_a_worker, limits.streams),
                (connections / 2, connections * 3 / 4)
            );
        }
        assert_eq!(Limits::within(0, 2).connections_of_a_worker, 1);
    }
}
