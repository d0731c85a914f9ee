//! Uptime: the share of checks that were online, over windows that end now. Pure arithmetic over counted hours
//! and the raw checks of the hours that windows begin in; it never needs the history itself.

use std::{cmp::Ordering, num::NonZeroU64};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::series::Series;

/// A stretch of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, ToSchema)]
pub enum Window {
    /// The last 24 hours.
    #[serde(rename = "24h")]
    Day,
    /// The last 168 hours.
    #[serde(rename = "7d")]
    Week,
    /// The last 720 hours.
    #[serde(rename = "30d")]
    Month,
    /// Since the first check.
    #[serde(rename = "all_time")]
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

/// The number of an hour: whole hours since 1970 in UTC, negative before.
pub fn hour_of(instant: DateTime<Utc>) -> i64 {
    instant.timestamp().div_euclid(3600)
}

/// The instant that the hour of this number begins at; the first of 1970 for one that no calendar has.
pub fn begin_of(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(hour.saturating_mul(3600), 0).unwrap_or_default()
}

/// Counted hours, ascending, as two counts each: all checks, and those that were not online.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hours(Series<2>);

impl Hours {
    /// The hours and their counts, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, Counts)> {
        self.0
            .iter()
            .map(|(hour, [total, failed])| (hour, Counts { online: total.saturating_sub(failed), total }))
    }

    /// These hours from `begin` on; from `since` on those of `newer` in their place.
    pub fn renewed(&self, begin: i64, since: i64, newer: &Hours) -> Hours {
        Hours(self.0.renewed(begin, since, &newer.0))
    }
}

impl FromIterator<(i64, Counts)> for Hours {
    /// The hours must ascend.
    fn from_iter<I: IntoIterator<Item = (i64, Counts)>>(hours: I) -> Hours {
        let pack = |(hour, counts): (i64, Counts)| {
            (hour, [counts.total, counts.total.saturating_sub(counts.online)])
        };
        Hours(hours.into_iter().map(pack).collect())
    }
}

/// The raw checks of an hour that windows begin in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Its number.
    pub hour: i64,
    /// Per check the milliseconds from the begin of the hour, rounded up, and in the lowest bit whether it was online.
    checks: Box<[u32]>,
}

impl Edge {
    /// The checks of an hour: when each began, and whether it was online.
    pub fn new(hour: i64, checks: impl IntoIterator<Item = (DateTime<Utc>, bool)>) -> Edge {
        let pack = |(timestamp, online): (DateTime<Utc>, bool)| {
            // Rounded up, since a window begins at a whole millisecond and what began later is inside.
            let past_ms = (timestamp.timestamp_micros() + 999).div_euclid(1000) - hour * 3_600_000;
            u32::try_from(past_ms.clamp(0, 3_600_000)).unwrap_or(0) << 1 | u32::from(online)
        };
        Edge { hour, checks: checks.into_iter().map(pack).collect() }
    }

    /// Those that began after this instant of the hour, in whole milliseconds.
    fn after(&self, begin: DateTime<Utc>) -> Counts {
        let begin_ms = begin.timestamp_millis() - self.hour * 3_600_000;
        let inside = self.checks.iter().filter(|check| i64::from(**check >> 1) > begin_ms);
        inside.fold(Counts::default(), |mut counts, check| {
            counts.add(Counts { online: u64::from(check & 1), total: 1 });
            counts
        })
    }
}

/// The checks of one service, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// All checks ever, those too that retention removed.
    pub all_time: Counts,
    /// When the first check began.
    pub first_check: Option<DateTime<Utc>>,
    /// Hours with checks, from the begin of the longest window on; later than now counts too.
    pub hours: Hours,
    /// The raw checks of hours that windows begin in, or will within the next hour.
    pub edges: Vec<Edge>,
}

impl History {
    /// The uptime over each window at `as_of`, a whole millisecond, in the order of [`Window::ALL`]: online / all checks
    /// with `timestamp > as_of - window`. `None` where there was no check, and while the first check is younger than
    /// the window.
    ///
    /// Exact while [`History::edges`] holds the hour that the window begins in; else that hour is left out, so that
    /// the window is short of up to an hour at its far end.
    pub fn uptime(&self, as_of: DateTime<Utc>) -> [Option<Percent>; 4] {
        let mut counts = [Counts::default(); 4];
        let begins = Window::ALL.map(|window| window.begin(as_of));
        for (hour, counted) in self.hours.iter() {
            for (begin, counts) in begins.into_iter().zip(&mut counts) {
                let Some(begin) = begin else { continue };
                match hour.cmp(&hour_of(begin)) {
                    Ordering::Less => {}
                    Ordering::Greater => counts.add(counted),
                    Ordering::Equal => {
                        if let Some(edge) = self.edges.iter().find(|edge| edge.hour == hour) {
                            counts.add(edge.after(begin));
                        }
                    }
                }
            }
        }
        let old_enough = |begin| self.first_check.is_some_and(|first| first <= begin);
        std::array::from_fn(|n| match begins[n] {
            None => self.all_time.percent(),
            Some(begin) => counts[n].percent().filter(|_| old_enough(begin)),
        })
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

    fn hours(checks: &[(DateTime<Utc>, bool)]) -> BTreeMap<i64, Counts> {
        let mut hours = BTreeMap::<i64, Counts>::new();
        for (timestamp, online) in checks {
            let one = Counts { online: u64::from(*online), total: 1 };
            hours.entry(hour_of(*timestamp)).or_default().add(one);
        }
        hours
    }

    fn history(checks: &[(DateTime<Utc>, bool)], as_of: DateTime<Utc>) -> History {
        let hours = hours(checks);
        let edges: Vec<i64> =
            Window::ALL.iter().filter_map(|window| window.begin(as_of)).map(hour_of).collect();
        let raw =
            |hour: i64| checks.iter().copied().filter(move |(timestamp, _)| hour_of(*timestamp) == hour);
        History {
            all_time: hours.values().fold(Counts::default(), |mut sum, hour| {
                sum.add(*hour);
                sum
            }),
            first_check: checks.iter().map(|(timestamp, _)| *timestamp).min(),
            hours: hours.into_iter().filter(|(hour, _)| *hour >= edges[2]).collect(),
            edges: edges.iter().map(|hour| Edge::new(*hour, raw(*hour))).collect(),
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
            history(&checks, as_of).uptime(as_of)[0]
        };
        assert_eq!(day(TimeDelta::hours(24) - TimeDelta::milliseconds(1)), None);
        assert_eq!(day(TimeDelta::hours(24)), Percent::of(1, 1));
    }

    #[test]
    fn a_window_whose_first_hour_is_not_at_hand_leaves_it_out() {
        let as_of = DateTime::from_timestamp(1_770_000_000 / 3600 * 3600 + 1800, 0).unwrap();
        let at = |minutes: i64| as_of - TimeDelta::hours(24) + TimeDelta::minutes(minutes);
        let checks = [(at(-60 * 24), true), (at(5), false), (at(6), false), (at(40), true), (at(50), false)];
        let mut history = history(&checks, as_of);
        assert_eq!(history.uptime(as_of)[0], Percent::of(1, 4));
        history.edges.clear();
        assert_eq!(history.uptime(as_of)[0], Percent::of(1, 2));
    }

    proptest! {
        #[test]
        fn packed_hours_are_what_they_were(
            hours in prop::collection::btree_map(any::<i64>(), (any::<u64>(), any::<u64>()), 0..50),
        ) {
            let counts = |(a, b): (u64, u64)| Counts { online: a.min(b), total: a.max(b) };
            let plain: Vec<_> = hours.into_iter().map(|(hour, pair)| (hour, counts(pair))).collect();
            let packed: Hours = plain.iter().copied().collect();
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), plain);
        }

        #[test]
        fn uptime_equals_the_slow_obvious_computation(
            // Close around the edges of every window as well as anywhere.
            ages_us in prop::collection::vec(
                (prop_oneof![
                    -7_200_000_000i64..2_700_000_000_000,
                    86_390_000_000i64..86_410_000_000, 604_795_000_000i64..604_805_000_000,
                    2_591_990_000_000i64..2_592_010_000_000, 82_800_000_000i64..90_000_000_000,
                    86_399_997_000i64..86_400_003_000,
                ], any::<bool>()), 0..200),
            as_of_ms in 1_700_000_000_000i64..1_700_100_000_000,
        ) {
            let as_of = DateTime::from_timestamp_millis(as_of_ms).unwrap();
            let checks: Vec<_> = ages_us.iter().map(|(age, online)| (as_of - TimeDelta::microseconds(*age), *online)).collect();
            let uptime = history(&checks, as_of).uptime(as_of);
            prop_assert_eq!(uptime, Window::ALL.map(|window| slow_uptime(&checks, window, as_of)));
        }
    }
}
