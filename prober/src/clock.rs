//! The wall clock and the monotonic one: beats are kept on the second and told by the first. Pure: both times come in.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

/// A wall clock that moved more than this against the monotonic one was set, or the machine slept.
const STEP: Duration = Duration::from_millis(500);

/// Both clocks at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    pub(crate) wall: DateTime<Utc>,
    pub(crate) monotonic: Instant,
}

impl Clock {
    /// Both clocks, read at the same moment; the wall clock to the microsecond, as databases keep it.
    pub fn new(wall: DateTime<Utc>, monotonic: Instant) -> Clock {
        Clock { wall: wall.trunc_subsecs(6), monotonic }
    }

    /// Both clocks now.
    pub fn now() -> Clock {
        Clock::new(Utc::now(), Instant::now())
    }

    /// The wall clock's time at an instant, before or after.
    pub fn at(&self, instant: Instant) -> DateTime<Utc> {
        let at = self.wall + instant.saturating_duration_since(self.monotonic)
            - self.monotonic.saturating_duration_since(instant);
        at.trunc_subsecs(6)
    }

    /// The instant of a time of the wall clock; `None` where the monotonic one can't tell it.
    pub fn instant(&self, at: DateTime<Utc>) -> Option<Instant> {
        let ahead = (at - self.wall).to_std().unwrap_or_default();
        let ago = (self.wall - at).to_std().unwrap_or_default();
        self.monotonic.checked_add(ahead)?.checked_sub(ago)
    }

    /// The time that passed until then, by whichever clock saw more of it: the monotonic one stands still while the machine
    /// sleeps.
    pub fn passed_until(&self, now: Clock) -> Duration {
        let by_wall = (now.wall - self.wall).to_std().unwrap_or_default();
        by_wall.max(now.monotonic.saturating_duration_since(self.monotonic))
    }

    /// How far the wall clock was set since, in either direction; `None` for what clocks drift by themselves.
    pub fn step_until(&self, now: Clock) -> Option<Duration> {
        let off = (now.wall - self.at(now.monotonic)).abs().to_std().unwrap_or_default();
        (off > STEP).then_some(off)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn instants_before_and_after_have_their_wall_time() {
        let clock = Clock::now();
        let minute = Duration::from_secs(60);
        assert_eq!(clock.at(clock.monotonic + minute), clock.wall + minute);
        assert_eq!(clock.at(clock.monotonic - minute), clock.wall - minute);
        for at in [clock.monotonic + minute, clock.monotonic, clock.monotonic - minute] {
            assert_eq!(clock.instant(clock.at(at)), Some(at));
        }
    }

    #[test]
    fn a_step_is_told_from_time_that_passes_and_from_drift() {
        let start = Clock::now();
        let later = |passed: u64, set_ms: i64| {
            let passed = Duration::from_secs(passed);
            Clock::new(start.wall + passed + TimeDelta::milliseconds(set_ms), start.monotonic + passed)
        };
        for drift in [0, 499, -499] {
            assert_eq!(start.step_until(later(3600, drift)), None);
        }
        assert_eq!(start.step_until(later(10, 7_200_000)), Some(Duration::from_secs(7200)));
        assert_eq!(start.step_until(later(10, -1_000)), Some(Duration::from_secs(1)));
    }
}
