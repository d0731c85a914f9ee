//! How to lose a server and come back: pauses that grow and scatter, complaints that do not flood the log.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// The state between one loss and the next.
#[derive(Debug)]
pub struct Retry {
    pause: Duration,
    longest_pause: Duration,
    complaint: Option<(String, Instant)>,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry::up_to(LONGEST_PAUSE)
    }
}

impl Retry {
    /// Pauses grow to this, instead of 30 s: who reads only costs the server little, and is missed when it is late.
    pub fn up_to(longest_pause: Duration) -> Retry {
        Retry { pause: FIRST_PAUSE.min(longest_pause), longest_pause, complaint: None }
    }

    /// Whether the reason of a loss is worth a line: at once, when it changes, and once a minute while it lasts.
    pub fn is_news(&mut self, reason: &str) -> bool {
        let known =
            self.complaint.as_ref().is_some_and(|(last, at)| last == reason && at.elapsed() < COMPLAIN_EVERY);
        if !known {
            self.complaint = Some((reason.to_owned(), Instant::now()));
        }
        !known
    }

    /// The pause before the next try, from 125 ms: doubled each time up to the longest, half to all of it by chance, so
    /// that many programs do not come back as one.
    pub fn pause(&mut self) -> Duration {
        let chance = u32::try_from(RandomState::new().hash_one(0u8) % 1024).unwrap_or(0);
        let pause = self.pause / 2 + self.pause / 2 * chance / 1024;
        self.pause = (self.pause * 2).min(self.longest_pause);
        pause
    }

    /// The server works again; `true` where a complaint stood.
    pub fn recovered(&mut self) -> bool {
        self.pause = FIRST_PAUSE.min(self.longest_pause);
        self.complaint.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute_and_begin_anew_after_a_recovery() {
        let mut retry = Retry::default();
        let pauses: Vec<Duration> = (0..20).map(|_| retry.pause()).collect();
        assert!(pauses[0] <= FIRST_PAUSE && pauses[0] >= FIRST_PAUSE / 2);
        assert!(pauses[7..].iter().all(|pause| *pause >= LONGEST_PAUSE / 2 && *pause <= LONGEST_PAUSE));
        retry.recovered();
        assert!(retry.pause() <= FIRST_PAUSE);
    }

    #[test]
    fn pauses_stay_below_the_longest_that_was_asked_for() {
        for longest in [Duration::from_secs(2), Duration::from_millis(100)] {
            let mut retry = Retry::up_to(longest);
            let pauses: Vec<Duration> = (0..20).map(|_| retry.pause()).collect();
            assert!(pauses.iter().all(|pause| *pause <= longest), "{pauses:?}");
            assert!(pauses[7..].iter().all(|pause| *pause >= longest / 2), "{pauses:?}");
            retry.recovered();
            assert!(retry.pause() <= longest);
        }
    }

    #[test]
    fn a_reason_is_said_once_until_it_changes_or_the_server_recovered() {
        let mut retry = Retry::default();
        assert!(!retry.recovered());
        assert!(retry.is_news("refused"));
        assert!(!retry.is_news("refused"));
        assert!(retry.is_news("wrong password"));
        assert!(retry.recovered());
        assert!(retry.is_news("wrong password"));
    }
}
