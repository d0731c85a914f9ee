//! `status-prober run`, from its begin to its end: signals first, then the configuration, the writer, upkeep and the daemon;
//! in the end everything measured is recorded, within bounds.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use shared::{Database, metrics::Address};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    checker::Checker,
    config,
    daemon::Daemon,
    journal::{self, Ending, Journal},
    metrics::Metrics,
    upkeep::Upkeep,
    writer::Writer,
};

/// At the end, the database has this long to take what was measured.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// Why the daemon did not start.
#[derive(Debug)]
pub enum Failed {
    /// The operator has to change something: exit code 2.
    Configuration(config::Problems),
    /// The system refused something: exit code 1.
    System(String),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// At the start only: what the configuration or the system refuses, for people.
pub fn run(
    services_file: PathBuf,
    state_dir: Option<&Path>,
    metrics_address: Option<&Address>,
) -> Result<(), Failed> {
    let system = |error: std::io::Error| Failed::System(error.to_string());
    let runtime = runtime().map_err(system)?;
    let writer = runtime.block_on(async {
        // Before anything else: a signal must find its handler.
        let signals = Signals::catch().map_err(system)?;
        let services = config::load(&services_file).map_err(Failed::Configuration)?;
        let checker = Checker::new().map_err(|error| Failed::System(error.to_string()))?;
        let metrics = Metrics::new(metrics_address.is_some());
        let (journal, writer) = start_recording(state_dir, &metrics).map_err(system)?;
        if let Some(address) = metrics_address {
            let registry = metrics.registry(Arc::clone(&journal), checker.clone());
            shared::metrics::serve(address, registry).map_err(Failed::System)?;
        }
        let upkeep = if writer.is_some() { start_upkeep().map_err(system)? } else { None };
        Ok(Daemon::new(services_file, checker, journal, writer, upkeep, metrics)
            .watch(services, signals)
            .await)
    });
    // Threads of checks that were cut off may still wait for their targets; nobody waits for them.
    runtime.shutdown_background();
    if let Some(writer) = writer? {
        report_end(writer.finish(LAST_WRITES));
    }
    Ok(())
}

/// The runtime that checks run on: one thread that never blocks, since handing a check from one to another costs more
/// than what it does there. Threads that do block are the probe's.
///
/// # Errors
/// Where the system gives no thread.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Without a database nothing is kept: nobody would ever take it.
fn start_recording(
    state_dir: Option<&Path>,
    metrics: &Metrics,
) -> std::io::Result<(Arc<Journal>, Option<Writer>)> {
    match Database::from_environment("status-prober") {
        Ok(Some(database)) => {
            log::info!("recording to {database}");
            let journal = open_journal(state_dir);
            let writer = Writer::start(database, Arc::clone(&journal), metrics.clone())?;
            return Ok((journal, Some(writer)));
        }
        Ok(None) => {
            log::warn!("DATABASE_URL is not set: services are checked and logged, and nothing is recorded");
        }
        Err(malformed) => {
            log::error!(
                "{malformed}. Services are checked and logged, and nothing is recorded until a restart"
            );
        }
    }
    Ok((Arc::new(Journal::new(journal::CAPACITY)), None))
}

/// In the state folder, or else in memory.
fn open_journal(state_dir: Option<&Path>) -> Arc<Journal> {
    let opened = state_dir
        .ok_or_else(|| "there is no state folder (--state-dir, or StateDirectory= of the unit)".to_owned())
        .and_then(|folder| Journal::open(&folder.join("journal"), journal::CAPACITY, journal::MOST_BYTES));
    opened.unwrap_or_else(|reason| {
        log::warn!("journal: {reason}. Checks that wait for the database wait in memory alone");
        Arc::new(Journal::new(journal::CAPACITY))
    })
}

/// By a way of its own, which `pg_stat_activity` shows under a name of its own: the writer never waits for an attempt
/// of upkeep to connect.
fn start_upkeep() -> std::io::Result<Option<Upkeep>> {
    Database::from_environment("status-prober upkeep").ok().flatten().map(Upkeep::start).transpose()
}

fn report_end(Ending { kept, lost }: Ending) {
    match (kept, lost) {
        (0, 0) => log::info!("everything measured is recorded"),
        (kept, 0) => log::info!("{kept} checks wait on disk, and are recorded after the next start"),
        (_, lost) => {
            log::error!("{lost} checks are lost: the database did not take them within {LAST_WRITES:?}");
        }
    }
}

/// The signals that mean something to the daemon.
pub(crate) struct Signals {
    pub(crate) reload: Signal,
    pub(crate) term: Signal,
    pub(crate) interrupt: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Signals> {
        Ok(Signals {
            reload: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}
