//! A service as visitors see it: the row of `status_services` that the prober publishes and the api reads.
//! The probed URL, headers and certificates are the prober's alone and never leave its configuration.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

/// A service in force, as visitors see it. Its place in the list is its place on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// 1 to 50 of `A-Z a-z 0-9 . _ -`, unique.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The heading it stands under, if any.
    pub group: Option<String>,
    /// What visitors follow, an `http` or `https` URL without userinfo; `None` where there is nothing to follow.
    pub link: Option<String>,
    /// From one turn to the next.
    pub interval: Duration,
    /// The bound of one try.
    pub timeout: Duration,
    /// A response slower than this is degraded.
    pub slow_after: Duration,
    /// The most that all tries of one check may take, delays between them included.
    pub tries_take: Duration,
    /// An instant at which one of its turns is due; the others lie whole intervals before and after it.
    pub beat: DateTime<Utc>,
}

impl Service {
    /// From this age on a newest check is too old to say anything (the contract's rule of freshness):
    /// min(3 intervals, interval + 10 min), plus the time its tries may take.
    pub fn stale_after(&self) -> Duration {
        let patience = (self.interval.saturating_mul(3)).min(self.interval + Duration::from_secs(600));
        patience + self.tries_take
    }

    /// The first turn after `now`, to the microsecond.
    pub fn next_turn(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        next_on_beat(self.beat, self.interval, now)
    }
}

/// The first instant after `now` that lies whole intervals before or after `beat`, to the microsecond.
pub fn next_on_beat(beat: DateTime<Utc>, interval: Duration, now: DateTime<Utc>) -> DateTime<Utc> {
    let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX).max(1);
    let now = now.trunc_subsecs(6);
    let since_turn = now.timestamp_micros().saturating_sub(beat.timestamp_micros()).rem_euclid(interval);
    now + chrono::Duration::microseconds(interval - since_turn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn service(interval_ms: u64, beat_ms: i64) -> Service {
        Service {
            id: "main".into(),
            name: "main".into(),
            group: None,
            link: None,
            interval: Duration::from_millis(interval_ms),
            timeout: Duration::from_secs(10),
            slow_after: Duration::from_secs(5),
            tries_take: Duration::from_secs(22),
            beat: DateTime::from_timestamp_millis(beat_ms).unwrap(),
        }
    }

    #[test]
    fn patience_is_three_intervals_or_ten_minutes_more_than_one_and_the_tries() {
        assert_eq!(service(10_000, 0).stale_after(), Duration::from_secs(30 + 22));
        assert_eq!(service(300_000, 0).stale_after(), Duration::from_secs(900 + 22));
        assert_eq!(service(7_200_000, 0).stale_after(), Duration::from_secs(7_200 + 600 + 22));
    }

    proptest! {
        #[test]
        fn the_next_turn_is_the_first_of_all_turns_after_now(
            interval in 1u64..100_000, beat in -10_000_000i64..10_000_000,
            now in -10_000_000_000_000i64..10_000_000_000_000
        ) {
            let service = service(interval, beat);
            let now = DateTime::from_timestamp_nanos(now);
            let next = service.next_turn(now);
            let step = chrono::Duration::milliseconds(i64::try_from(interval).unwrap());
            prop_assert!(next > now && next - step <= now);
            let since_beat = (next - service.beat).num_nanoseconds().unwrap();
            prop_assert_eq!(since_beat % (i64::try_from(interval).unwrap() * 1_000_000), 0, "on the beat");
        }
    }
}
