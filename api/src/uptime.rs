//! Uptime: the share of checks that were online, over windows that end now. Pure arithmetic over counted hours
//! and the raw checks of the hours that windows begin in; it never needs the history itself.

use std::num::NonZeroU64;

use chrono::{DateTime, TimeDelta, Utc};

/// A stretch of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last 24 hours.
    Day,
    /// The last 168 hours.
    Week,
    /// The last 720 hours.
    Month,
    /// Since the first check.
    AllTime,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Window; 4] = [Window::Day, Window::Week, Window::Month, Window::AllTime];

    /// The key in the JSON.
    pub const fn key(self) -> &'static str {
        match self {
            Window::Day => "24h",
            Window::Week => "7d",
            Window::Month => "30d",
            Window::AllTime => "all_time",
        }
    }

    /// The length in hours; `None` for all time.
    pub const fn hours(self) -> Option<u32> {
        match self {
            Window::Day => Some(24),
            Window::Week => Some(168),
            Window::Month => Some(720),
            Window::AllTime => None,
        }
    }

    /// When the window begins; `None` for all time.
    pub fn begin(self, as_of: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.hours().map(|hours| as_of - TimeDelta::hours(i64::from(hours)))
    }
}

/// Counted checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that were online.
    pub online: u64,
    /// All of them.
    pub total: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.online += other.online;
        self.total += other.total;
    }

    /// The share of online checks; `None` where there was none at all.
    pub fn percent(self) -> Option<Percent> {
        let total = NonZeroU64::new(self.total)?;
        let thousandths = u128::from(self.online.min(self.total)) * 100_000 / u128::from(total.get());
        u32::try_from(thousandths).ok().map(Percent)
    }
}

/// A percentage in thousandths, 0 to 100,000, cut and never rounded: 100 % means that not one check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// `online` of `total` checks; `None` where there was no check.
    pub fn of(online: u64, total: u64) -> Option<Percent> {
        Counts { online, total }.percent()
    }

    /// 0 to 100,000.
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// 0.0 to 100.0, the JSON's figure.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// Raw checks: when each began, and whether it was online.
pub type Edges = Vec<(DateTime<Utc>, bool)>;

/// The number of an hour: whole hours since 1970 in UTC, negative before.
pub fn hour_of(instant: DateTime<Utc>) -> i64 {
    instant.timestamp().div_euclid(3600)
}

/// The checks of one service, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// All checks ever, those too that retention removed.
    pub all_time: Counts,
    /// When the first check began.
    pub first_check: Option<DateTime<Utc>>,
    /// Hours with checks, ascending, from the begin of the longest window on; later than now counts too.
    pub hours: Vec<(i64, Counts)>,
    /// The raw checks of the hours that windows begin in.
    pub edges: Edges,
}

impl History {
    /// The uptime over `window` at `as_of`: online / all checks with `timestamp > as_of - window`. `None` where
    /// there was no check, and while the first check is younger than the window.
    ///
    /// Exact while [`History::edges`] holds the raw checks of the hour that the window begins in.
    pub fn uptime(&self, window: Window, as_of: DateTime<Utc>) -> Option<Percent> {
        let Some(begin) = window.begin(as_of) else { return self.all_time.percent() };
        if self.first_check? > begin {
            return None;
        }
        let edge = hour_of(begin);
        let whole_hours = self.hours.partition_point(|(hour, _)| *hour <= edge);
        let mut counts = Counts::default();
        self.hours[whole_hours..].iter().for_each(|(_, hour)| counts.add(*hour));
        for (timestamp, online) in &self.edges {
            if *timestamp > begin && hour_of(*timestamp) == edge {
                counts.add(Counts { online: u64::from(*online), total: 1 });
            }
        }
        counts.percent()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The rule as the contract says it, over every check.
    fn slow_uptime(
        checks: &[(DateTime<Utc>, bool)],
        window: Window,
        as_of: DateTime<Utc>,
    ) -> Option<Percent> {
        let begin = window.begin(as_of).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let first = checks.iter().map(|(timestamp, _)| *timestamp).min()?;
        if window != Window::AllTime && first > begin {
            return None;
        }
        let inside: Vec<_> = checks.iter().filter(|(timestamp, _)| *timestamp > begin).collect();
        let online = inside.iter().filter(|(_, online)| *online).count() as u64;
        if inside.is_empty() {
            None
        } else {
            Some(Percent(u32::try_from(online * 100_000 / inside.len() as u64).unwrap()))
        }
    }

    fn history(checks: &[(DateTime<Utc>, bool)], as_of: DateTime<Utc>) -> History {
        let mut hours = BTreeMap::<i64, Counts>::new();
        for (timestamp, online) in checks {
            hours
                .entry(hour_of(*timestamp))
                .or_default()
                .add(Counts { online: u64::from(*online), total: 1 });
        }
        let edges: Vec<i64> =
            Window::ALL.iter().filter_map(|window| window.begin(as_of)).map(hour_of).collect();
        History {
            all_time: hours.values().fold(Counts::default(), |mut sum, hour| {
                sum.add(*hour);
                sum
            }),
            first_check: checks.iter().map(|(timestamp, _)| *timestamp).min(),
            hours: hours.into_iter().filter(|(hour, _)| *hour >= edges[2]).collect(),
            edges: checks
                .iter()
                .filter(|(timestamp, _)| edges.contains(&hour_of(*timestamp)))
                .copied()
                .collect(),
        }
    }

    #[test]
    fn a_percentage_is_cut_so_that_100_means_not_one_failed() {
        assert_eq!(Percent::of(999_999, 1_000_000).unwrap().as_f64(), 99.999);
        assert_eq!(Percent::of(1, 3).unwrap().as_f64(), 33.333);
        assert_eq!(Percent::of(7, 7).unwrap().as_f64(), 100.0);
        assert_eq!(Percent::of(0, 0), None);
    }

    #[test]
    fn a_window_shows_nothing_until_the_first_check_is_as_old_as_the_window() {
        let as_of = DateTime::from_timestamp(1_770_000_000, 0).unwrap();
        let day = |first: TimeDelta| {
            let checks = [(as_of - first, true), (as_of - TimeDelta::hours(1), true)];
            history(&checks, as_of).uptime(Window::Day, as_of)
        };
        assert_eq!(day(TimeDelta::hours(24) - TimeDelta::milliseconds(1)), None);
        assert_eq!(day(TimeDelta::hours(24)), Percent::of(1, 1));
    }

    proptest! {
        #[test]
        fn uptime_equals_the_slow_obvious_computation(
            // Close around the edges of every window as well as anywhere.
            ages_ms in prop::collection::vec(
                (prop_oneof![
                    -7_200_000i64..2_700_000_000,
                    86_390_000i64..86_410_000, 604_795_000i64..604_805_000, 2_591_990_000i64..2_592_010_000,
                    82_800_000i64..90_000_000,
                ], any::<bool>()), 0..200),
            as_of_ms in 1_700_000_000_000i64..1_700_100_000_000,
        ) {
            let as_of = DateTime::from_timestamp_millis(as_of_ms).unwrap();
            let checks: Vec<_> = ages_ms.iter().map(|(age, online)| (as_of - TimeDelta::milliseconds(*age), *online)).collect();
            let history = history(&checks, as_of);
            for window in Window::ALL {
                prop_assert_eq!(history.uptime(window, as_of), slow_uptime(&checks, window, as_of), "{:?}", window);
            }
        }
    }
}
