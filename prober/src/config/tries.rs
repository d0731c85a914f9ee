//! All tries of a check must fit its interval: (retries + 1) × timeout + retries × retry_delay ≤ interval.
//! What the file writes is taken at its word, or refused; what it does not write shrinks to fit.

use std::time::Duration;

use super::{
    duration::print,
    settings::{Setting, Settings},
};

/// Below this, a default timeout says more about the way to a server than about the server: a try is given up first.
const PATIENT: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(1);

/// How a check is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tries {
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) retry_delay: Duration,
}

impl Tries {
    /// The most that all tries take.
    pub(super) fn take(&self) -> Duration {
        self.timeout * (self.retries + 1) + self.retry_delay * self.retries
    }

    /// That sum written out: `4 × 10s + 3 × 2s = 46s`.
    fn sum(&self) -> String {
        let (timeout, delay, take) = (print(self.timeout), print(self.retry_delay), print(self.take()));
        match self.retries {
            0 => timeout,
            retries => format!("{} × {timeout} + {retries} × {delay} = {take}", retries + 1),
        }
    }
}

/// The tries of a service, its defaults lowered where the interval is too short for them, in this order:
/// `retry_delay`, until all delays together take a tenth of the interval; `timeout`, to an even share of the rest,
/// but not below a second while a try can be given up; `retries`, to none. Written values are never changed: where
/// they do not fit, the error is the end of a sentence that begins with the service.
pub(super) fn fit(settings: &Settings) -> Result<Tries, String> {
    let Settings { interval, timeout, retries, retry_delay, .. } = settings;
    let asked = Tries { timeout: timeout.value, retries: retries.value, retry_delay: retry_delay.value };
    if asked.take() <= interval.value {
        return Ok(asked);
    }
    let lowered = |retries| lowered(interval.value, retries, timeout, retry_delay);
    let candidates = match retries.is_written() {
        true => vec![(lowered(asked.retries), SHORTEST)],
        false => vec![(lowered(asked.retries), PATIENT.min(asked.timeout)), (lowered(0), SHORTEST)],
    };
    let fitting = |(tries, least): (Tries, Duration)| {
        (tries.take() <= interval.value && tries.timeout >= least).then_some(tries)
    };
    candidates.into_iter().find_map(fitting).ok_or_else(|| {
        let (sum, interval) = (asked.sum(), print(interval.value));
        match asked.retries {
            0 => format!(
                "its try takes {sum}, more than its interval of {interval}; lower timeout or raise interval"
            ),
            _ => format!(
                "all tries take {sum}, more than its interval of {interval}; \
                 lower retries, timeout or retry_delay, or raise interval"
            ),
        }
    })
}

/// With a number of retries, the longest defaults that fit.
fn lowered(
    interval: Duration,
    retries: u32,
    timeout: &Setting<Duration>,
    retry_delay: &Setting<Duration>,
) -> Tries {
    let mut tries = Tries { timeout: timeout.value, retries, retry_delay: retry_delay.value };
    let delay_may_shrink = retries > 0 && !retry_delay.is_written();
    if delay_may_shrink {
        tries.retry_delay = tries.retry_delay.min(share(interval / 10, retries));
    }
    if !timeout.is_written() {
        let rest = interval.saturating_sub(tries.retry_delay * retries);
        tries.timeout = tries.timeout.min(share(rest, retries + 1));
    }
    if delay_may_shrink {
        let rest = interval.saturating_sub(tries.timeout * (retries + 1));
        tries.retry_delay = tries.retry_delay.min(share(rest, retries));
    }
    tries
}

/// One of so many parts of a duration, rounded down to what is pleasant to read: tenths of a second from one second
/// on, else whole milliseconds.
fn share(whole: Duration, parts: u32) -> Duration {
    let ms = (whole / parts).as_millis();
    let ms = if ms >= 1_000 { ms - ms % 100 } else { ms };
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Level;
    use proptest::prelude::*;

    const S: Duration = Duration::from_secs(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn written<T>(value: T) -> Setting<T> {
        Setting { value, level: Level::Top, at: 0 }
    }

    fn every(interval: Duration) -> Settings {
        Settings { interval: written(interval), ..Settings::built_in() }
    }

    fn tries(timeout: Duration, retries: u32, retry_delay: Duration) -> Result<Tries, String> {
        Ok(Tries { timeout, retries, retry_delay })
    }

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(fit(&Settings::built_in()), tries(10 * S, 1, 2 * S));
        assert_eq!(fit(&every(22 * S)), tries(10 * S, 1, 2 * S));
    }

    #[test]
    fn defaults_shrink_delay_first_then_timeout_then_retries() {
        assert_eq!(fit(&every(20 * S)), tries(9 * S, 1, 2 * S));
        assert_eq!(fit(&every(10 * S)), tries(ms(4_500), 1, S));
        assert_eq!(fit(&every(ms(2_300))), tries(S, 1, ms(230)));
        assert_eq!(fit(&every(ms(2_200))), tries(ms(2_200), 0, 2 * S));
        assert_eq!(fit(&every(S)), tries(S, 0, 2 * S));
    }

    #[test]
    fn what_is_written_is_kept_and_the_rest_shrinks_around_it() {
        let base = || every(10 * S);
        assert_eq!(fit(&Settings { timeout: written(ms(4_900)), ..base() }), tries(ms(4_900), 1, ms(200)));
        assert_eq!(fit(&Settings { timeout: written(6 * S), ..base() }), tries(6 * S, 0, 2 * S));
        assert_eq!(fit(&Settings { retries: written(9), ..base() }), tries(ms(900), 9, ms(111)));
        assert_eq!(fit(&Settings { retry_delay: written(7 * S), ..base() }), tries(ms(1_500), 1, 7 * S));
        assert_eq!(fit(&Settings { retry_delay: written(9 * S), ..base() }), tries(10 * S, 0, 9 * S));
    }

    #[test]
    fn written_values_that_do_not_fit_are_refused_with_the_sum() {
        let settings = Settings { retries: written(3), timeout: written(10 * S), ..every(30 * S) };
        assert!(fit(&settings).unwrap_err().starts_with("all tries take 4 × 10s + 3 × 2s = 46s, more than"));
        let settings = Settings { retries: written(0), timeout: written(40 * S), ..every(30 * S) };
        assert!(fit(&settings).unwrap_err().starts_with("its try takes 40s, more than its interval of 30s"));
    }

    fn setting<T: Clone + std::fmt::Debug>(
        default: T,
        values: impl Strategy<Value = T>,
    ) -> impl Strategy<Value = Setting<T>> {
        prop_oneof![Just(Setting::built_in(default)), values.prop_map(written)]
    }

    /// The least that a service may be brought to: what is written, and next to nothing for the rest.
    fn least(settings: &Settings) -> Duration {
        let or =
            |setting: &Setting<Duration>, least| if setting.is_written() { setting.value } else { least };
        Tries {
            timeout: or(&settings.timeout, SHORTEST),
            retries: if settings.retries.is_written() { settings.retries.value } else { 0 },
            retry_delay: or(&settings.retry_delay, Duration::ZERO),
        }
        .take()
    }

    proptest! {
        #[test]
        fn shrinking_always_fits_and_only_what_can_not_fit_is_refused(
            interval in 1_000_u64..40_000,
            timeout in setting(10 * S, (1_u64..50_000).prop_map(ms)),
            retries in setting(1, 0_u32..=10),
            retry_delay in setting(2 * S, (0_u64..5_000).prop_map(ms)),
        ) {
            let settings = Settings { timeout, retries, retry_delay, ..every(ms(interval)) };
            match fit(&settings) {
                Ok(tries) => {
                    prop_assert!(tries.take() <= ms(interval));
                    prop_assert!(tries.timeout >= SHORTEST);
                    prop_assert!(!settings.timeout.is_written() || tries.timeout == settings.timeout.value);
                    prop_assert!(!settings.retries.is_written() || tries.retries == settings.retries.value);
                    prop_assert!(!settings.retry_delay.is_written() || tries.retry_delay == settings.retry_delay.value);
                    prop_assert!(tries.timeout <= settings.timeout.value && tries.retry_delay <= settings.retry_delay.value);
                }
                // The share of the delays (a tenth) is rounded to whole milliseconds: a timeout of one may be lost.
                Err(_) => prop_assert!(least(&settings) + ms(11) > ms(interval)),
            }
        }
    }
}
