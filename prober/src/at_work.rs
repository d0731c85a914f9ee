//! The checks at work, at most one of each service. They share one thread that never blocks; a panic in one costs that
//! check alone.

use std::{
    collections::HashSet,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use shared::Check;
use tokio::task::unconstrained;

use crate::{broken::Broken, pulse::Pulse};

/// What is at work.
pub(crate) struct AtWork {
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Its services, and those that are kept from their next turn.
    busy: HashSet<Arc<str>>,
    pulse: Pulse,
    /// How often this program stood still.
    standstills: u64,
}

/// A check that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Of which service.
    pub(crate) id: Arc<str>,
    /// What came of it.
    pub(crate) outcome: Result<Check, Broken>,
    /// The standstills before it began.
    standstills: u64,
}

impl AtWork {
    /// Nothing.
    pub(crate) fn new() -> AtWork {
        AtWork {
            running: FuturesUnordered::new(),
            busy: HashSet::new(),
            pulse: Pulse::new(Instant::now()),
            standstills: 0,
        }
    }

    /// This program stood still: what is at work may have waited for us, and not for its target.
    pub(crate) fn stood_still(&mut self) {
        self.standstills += 1;
    }

    /// Begins the check of a service, which takes so long at the most; not while the service is busy.
    pub(crate) fn begin(
        &mut self,
        id: &Arc<str>,
        takes: Duration,
        check: impl Future<Output = Result<Check, Broken>> + Send + 'static,
    ) -> bool {
        if !self.busy.insert(Arc::clone(id)) {
            return false;
        }
        self.pulse.begins(takes, Instant::now());
        let (id, standstills) = (Arc::clone(id), self.standstills);
        self.running.push(Box::pin(async move {
            let outcome = AssertUnwindSafe(check).catch_unwind().await;
            let outcome = outcome.unwrap_or(Err(Broken::Panicked));
            Ended { id, outcome, standstills }
        }));
        true
    }

    /// The next that ends; `None` where none is at work. Its service is no longer busy.
    pub(crate) async fn next(&mut self) -> Option<Ended> {
        // With tokio's budget, what is ready would be asked in vain once it is spent, again and again.
        let ended = unconstrained(self.running.next()).await?;
        self.pulse.ends(Instant::now());
        self.free(&ended.id);
        Some(ended)
    }

    /// Whether this program stood still while that check was at work.
    pub(crate) fn stood_still_during(&self, ended: &Ended) -> bool {
        ended.standstills < self.standstills
    }

    /// The service has no other turn until it is free.
    pub(crate) fn keep_busy(&mut self, id: Arc<str>) {
        self.busy.insert(id);
    }

    /// The service may have its next turn.
    pub(crate) fn free(&mut self, id: &str) {
        self.busy.remove(id);
    }

    /// Whether checks end as they should.
    pub(crate) fn is_steady(&self) -> bool {
        self.pulse.is_steady(Instant::now())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Abandons them all; says how many.
    pub(crate) fn cut_off(&mut self) -> usize {
        let count = self.running.len();
        self.running.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_panic_costs_its_own_check_and_no_other() {
        let (mut at_work, ids) = (AtWork::new(), ["panics", "stops"].map(Arc::from));
        assert!(at_work.begin(&ids[0], SECOND, async { panic!("on purpose") }));
        assert!(!at_work.begin(&ids[0], SECOND, async { Err(Broken::Stopped) }), "it is busy");
        assert!(at_work.begin(&ids[1], SECOND, async { Err(Broken::Stopped) }));
        let ended = [at_work.next().await.unwrap(), at_work.next().await.unwrap()];
        assert!(matches!(ended[0].outcome, Err(Broken::Panicked)), "{ended:?}");
        assert!(matches!(ended[1].outcome, Err(Broken::Stopped)), "{ended:?}");
        assert_eq!(ended.map(|ended| ended.id), ids);
        assert!(at_work.next().await.is_none());
        assert!(at_work.begin(&ids[0], SECOND, async { Err(Broken::Stopped) }), "it has its next turn");
        assert_eq!((at_work.cut_off(), at_work.is_empty()), (1, true));
    }

    #[tokio::test]
    async fn a_standstill_is_known_of_what_was_at_work_and_of_nothing_later() {
        let (mut at_work, ids) = (AtWork::new(), ["before", "after"].map(Arc::from));
        at_work.begin(&ids[0], SECOND, async { Err(Broken::Stopped) });
        at_work.stood_still();
        at_work.begin(&ids[1], SECOND, async { Err(Broken::Stopped) });
        for (id, stood_still) in ids.iter().zip([true, false]) {
            let ended = at_work.next().await.unwrap();
            assert_eq!((&ended.id, at_work.stood_still_during(&ended)), (id, stood_still));
        }
    }
}
