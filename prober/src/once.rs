//! `status-prober once`: one round now, shown and never recorded.

use std::{
    io::{IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use shared::Check;
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at},
};

use crate::{checker::Checker, output, target::Target};

/// Checks these targets at once, each as the daemon would, and gives the checks in the order of the targets.
/// On a terminal a line tells how far it is when a second has passed.
///
/// # Errors
/// Where a check could not be made, which is never the target's fault.
pub async fn round(targets: &[Arc<Target>]) -> Result<Vec<Check>, String> {
    let checker = Checker::new().map_err(|error| error.to_string())?;
    let mut running = JoinSet::new();
    for (n, target) in targets.iter().cloned().enumerate() {
        let checker = checker.clone();
        running.spawn(async move { (n, checker.check_in_turn(&target, false).await) });
    }
    let mut checks: Vec<Option<Check>> = vec![None; targets.len()];
    let mut progress = Progress::start(targets.len());
    let mut second = interval_at(Instant::now() + Duration::from_secs(1), Duration::from_millis(250));
    loop {
        tokio::select! {
            finished = running.join_next() => match finished {
                Some(finished) => {
                    let (n, outcome) = finished.map_err(|error| error.to_string())?;
                    checks[n] = Some(outcome.map_err(|broken| format!("{}: {broken}", targets[n].id))?);
                    progress.done += 1;
                }
                None => break,
            },
            _ = second.tick() => progress.show(),
        }
    }
    progress.erase();
    Ok(checks.into_iter().flatten().collect())
}

/// A line on standard error that is gone when the table comes.
struct Progress {
    all: usize,
    done: usize,
    terminal: bool,
    shown: bool,
}

impl Progress {
    fn start(all: usize) -> Progress {
        Progress { all, done: 0, terminal: std::io::stderr().is_terminal(), shown: false }
    }

    fn show(&mut self) {
        if self.terminal {
            self.shown = true;
            write!(std::io::stderr(), "{}", output::progress(self.done, self.all)).ok();
        }
    }

    fn erase(&self) {
        if self.shown {
            write!(std::io::stderr(), "{}", output::ERASE_PROGRESS).ok();
        }
    }
}
