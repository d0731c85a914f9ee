//! Whether checks advance: while some are at work, one must end within the time that the longest may take. Pure: the
//! time comes in.

use std::time::{Duration, Instant};

/// Waiting for a thread, and a machine with more to do than it can.
const GRACE: Duration = Duration::from_secs(30);

/// What is known of the checks at work.
#[derive(Debug)]
pub struct Pulse {
    at_work: usize,
    /// When one ended last, or the first of them began.
    advanced: Instant,
    /// The longest that one of them may take.
    longest: Duration,
}

impl Pulse {
    /// No check is at work.
    pub fn new(now: Instant) -> Pulse {
        Pulse { at_work: 0, advanced: now, longest: Duration::ZERO }
    }

    /// A check began whose tries may take so long.
    pub fn begins(&mut self, tries_take: Duration, now: Instant) {
        if self.at_work == 0 {
            (self.advanced, self.longest) = (now, Duration::ZERO);
        }
        self.at_work += 1;
        self.longest = self.longest.max(tries_take);
    }

    /// A check ended, however.
    pub fn ends(&mut self, now: Instant) {
        self.at_work = self.at_work.saturating_sub(1);
        self.advanced = now;
    }

    /// Whether nothing is at work that should have ended. Many may wait for a thread meanwhile: those that have one
    /// give it up in time.
    pub fn is_steady(&self, now: Instant) -> bool {
        self.at_work == 0 || now.saturating_duration_since(self.advanced) <= self.longest + GRACE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn with_nothing_to_do_it_is_steady_for_ever() {
        let now = Instant::now();
        let mut pulse = Pulse::new(now);
        assert!(pulse.is_steady(now + SECOND * 1_000_000));
        pulse.begins(SECOND, now);
        pulse.ends(now);
        assert!(pulse.is_steady(now + SECOND * 1_000_000));
    }

    #[test]
    fn a_check_that_does_not_end_in_its_time_is_a_standstill() {
        let now = Instant::now();
        let mut pulse = Pulse::new(now);
        let begun = now + SECOND * 1000;
        pulse.begins(SECOND * 22, begun);
        assert!(pulse.is_steady(begun + SECOND * 22 + GRACE));
        assert!(!pulse.is_steady(begun + SECOND * 23 + GRACE));
        pulse.ends(begun + SECOND * 60);
        assert!(pulse.is_steady(begun + SECOND * 1000));
    }

    #[test]
    fn while_others_end_who_waits_is_patient() {
        let begun = Instant::now();
        let mut pulse = Pulse::new(begun);
        (0..5000).for_each(|_| pulse.begins(SECOND * 10, begun));
        for n in 1..5000 {
            let now = begun + SECOND * 10 * n;
            assert!(pulse.is_steady(now));
            pulse.ends(now);
        }
        assert!(!pulse.is_steady(begun + SECOND * 10 * 5001 + GRACE), "the last one never ends");
    }

    #[test]
    fn the_longest_counts_only_while_it_may_be_at_work() {
        let now = Instant::now();
        let mut pulse = Pulse::new(now);
        pulse.begins(SECOND * 600, now);
        pulse.begins(SECOND, now);
        assert!(pulse.is_steady(now + SECOND * 600));
        pulse.ends(now);
        pulse.ends(now);
        pulse.begins(SECOND, now);
        assert!(!pulse.is_steady(now + SECOND * 2 + GRACE));
    }
}
