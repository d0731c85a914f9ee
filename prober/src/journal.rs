//! Checks that were measured and are not yet known to be recorded: a bounded queue in memory.
//! It never waits for the database; when full, the oldest check makes room and is counted.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use shared::Check;
use uuid::Uuid;

/// About 20 MB of checks: two hours of a thousand services, each checked every two minutes.
pub const CAPACITY: usize = 65_536;

/// The checks of one run of the prober, numbered from 1 without gaps but for those that were dropped.
#[derive(Debug)]
pub struct Journal {
    /// Tells this journal from every other in the ledger `status_probers`.
    pub id: Uuid,
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Check>,
    /// The number of the last check that came in.
    last_seq: u64,
    /// Taken out last, and not known to be recorded.
    in_hand: usize,
    /// When checks were last known to be recorded, or the first came in since.
    advanced: Option<Instant>,
    dropped: u64,
    nudged: bool,
    /// Closed; nobody waits for the database beyond this.
    closes: Option<Instant>,
}

/// Consecutive checks on their way into the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The number of the first of them.
    pub first_seq: u64,
    /// At least one.
    pub checks: Vec<Check>,
}

impl Batch {
    /// The number of the last of them.
    pub fn last_seq(&self) -> u64 {
        self.first_seq + self.checks.len() as u64 - 1
    }
}

impl Journal {
    /// An empty journal under a new id, for at most `capacity` waiting checks.
    pub fn new(capacity: usize) -> Journal {
        Journal { id: Uuid::new_v4(), capacity, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes in a measured check. Never blocks for longer than it takes to queue it.
    pub fn push(&self, check: Check) {
        let mut state = self.lock();
        if state.waiting.len() + state.in_hand == 0 {
            state.advanced = Some(Instant::now());
        }
        state.last_seq += 1;
        state.waiting.push_back(check);
        if state.waiting.len() > self.capacity {
            state.waiting.pop_front();
            state.dropped += 1;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes out up to `most` of the oldest checks; `None` where none waits. Whoever takes them keeps them until they
    /// are recorded: the next call says that they are.
    pub fn take(&self, most: usize) -> Option<Batch> {
        let mut state = self.lock();
        let first_seq = state.last_seq + 1 - state.waiting.len() as u64;
        let count = most.min(state.waiting.len());
        let checks: Vec<Check> = state.waiting.drain(..count).collect();
        state.in_hand = count;
        state.advanced = Some(Instant::now());
        (!checks.is_empty()).then_some(Batch { first_seq, checks })
    }

    /// How many checks are not known to be recorded: those that wait, and those taken last.
    pub fn unrecorded(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + state.in_hand
    }

    /// For how long none was recorded of those that are to be.
    pub fn stuck_for(&self) -> Duration {
        let state = self.lock();
        let waits = state.waiting.len() + state.in_hand > 0;
        state.advanced.filter(|_| waits).map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// How many checks were dropped since the last call.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }

    /// Wakes [`Journal::wait`] without a check.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.changed.notify_one();
    }

    /// No more checks will come, and `until` is how long the database has to take those that did.
    pub fn close(&self, until: Instant) {
        self.lock().closes = Some(until);
        self.changed.notify_one();
    }

    /// The end that [`Journal::close`] set, if it was called.
    pub fn closes(&self) -> Option<Instant> {
        self.lock().closes
    }

    /// Waits until a check waits, a nudge or the close comes, or `until`.
    pub fn wait(&self, until: Instant) {
        self.wait_while(until, |state| state.waiting.is_empty() && !state.nudged);
        self.lock().nudged = false;
    }

    /// Waits until the close comes, or `until`: the pause before another try to reach the database.
    pub fn wait_for_close(&self, until: Instant) {
        self.wait_while(until, |_| true);
    }

    fn wait_while(&self, until: Instant, idle: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        while state.closes.is_none() && idle(&state) {
            let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
            else {
                return;
            };
            (state, _) = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use shared::Status;

    use super::*;

    fn check(n: i32) -> Check {
        Check {
            service_id: "main".into(),
            timestamp: DateTime::UNIX_EPOCH,
            status: Status::Online,
            response_time_ms: Some(n),
            status_code: Some(200),
            error: None,
        }
    }

    fn numbers(batch: &Batch) -> Vec<i32> {
        batch.checks.iter().filter_map(|check| check.response_time_ms).collect()
    }

    #[test]
    fn checks_come_out_in_order_with_their_numbers() {
        let journal = Journal::new(10);
        (1..=5).for_each(|n| journal.push(check(n)));
        let first = journal.take(3).unwrap();
        assert_eq!((first.first_seq, first.last_seq(), numbers(&first)), (1, 3, vec![1, 2, 3]));
        journal.push(check(6));
        let second = journal.take(10).unwrap();
        assert_eq!((second.first_seq, second.last_seq(), numbers(&second)), (4, 6, vec![4, 5, 6]));
        assert_eq!(journal.unrecorded(), 3, "taken is not yet recorded");
        assert_eq!(
            (journal.take(10), journal.unrecorded()),
            (None, 0),
            "who asks for more has recorded them"
        );
    }

    #[test]
    fn a_full_journal_drops_the_oldest_and_counts_them() {
        let journal = Journal::new(3);
        (1..=5).for_each(|n| journal.push(check(n)));
        assert_eq!((journal.unrecorded(), journal.take_dropped(), journal.take_dropped()), (3, 2, 0));
        let batch = journal.take(10).unwrap();
        assert_eq!(
            (batch.first_seq, numbers(&batch)),
            (3, vec![3, 4, 5]),
            "the numbers of the dropped stay unused"
        );
    }

    #[test]
    fn a_wait_ends_by_a_check_a_nudge_or_the_close() {
        let never = Instant::now() + Duration::from_secs(3600);
        for wake in [|j: &Journal| j.push(check(1)), Journal::nudge, |j: &Journal| j.close(Instant::now())] {
            let journal = Journal::new(3);
            std::thread::scope(|scope| {
                scope.spawn(|| wake(&journal));
                journal.wait(never);
            });
        }
    }
}
