//! How long the checks of a service took, over the periods that its page shows. Pure: hours come in as they were
//! counted.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use shared::Distribution;

/// What a chart of response times reaches over; its last hour or day goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
pub enum Period {
    /// 24 hours.
    #[serde(rename = "24h")]
    Day,
    /// 7 days in UTC.
    #[default]
    #[serde(rename = "7d")]
    Week,
    /// 30 days in UTC.
    #[serde(rename = "30d")]
    Month,
    /// 90 days in UTC.
    #[serde(rename = "90d")]
    Quarter,
}

impl Period {
    /// Every period, shortest first.
    pub const ALL: [Period; 4] = [Period::Day, Period::Week, Period::Month, Period::Quarter];

    /// The word in an address.
    pub const fn key(self) -> &'static str {
        match self {
            Period::Day => "24h",
            Period::Week => "7d",
            Period::Month => "30d",
            Period::Quarter => "90d",
        }
    }

    /// Its length in hours.
    pub const fn hours(self) -> i64 {
        match self {
            Period::Day => 24,
            Period::Week => 7 * 24,
            Period::Month => 30 * 24,
            Period::Quarter => 90 * 24,
        }
    }

    /// The number of its first hour, where this hour goes on.
    pub const fn begin(self, hour: i64) -> i64 {
        let end = match self {
            Period::Day => hour + 1,
            _ => (hour.div_euclid(24) + 1) * 24,
        };
        end - self.hours()
    }

    /// The hours of each stretch of it: never less than the time between two checks, where a day has room for that.
    fn step(self, interval: Duration) -> i64 {
        let least = match self {
            Period::Day => 1,
            Period::Week => 3,
            Period::Month => 12,
            Period::Quarter => 24,
        };
        let fits = |hours: &i64| Duration::from_secs(3600 * hours.unsigned_abs()) >= interval;
        [1, 2, 3, 6, 12, 24].into_iter().filter(|hours| *hours >= least).find(fits).unwrap_or(24)
    }
}

/// The checks of one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hour {
    /// Its number: whole hours since 1970 in UTC.
    pub number: i64,
    /// All of them.
    pub checks: u64,
    /// Those that were not online.
    pub failed: u64,
    /// How long they took, as far as that is known.
    pub times: Distribution,
}

/// The checks of a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stretch {
    /// All of them.
    pub checks: u64,
    /// Those that were not online.
    pub failed: u64,
    /// How long they took; `None` where none of them tells.
    pub times: Option<Times>,
}

/// How long checks took, in milliseconds: quantiles within 5 %, the ends exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Half of them took no longer.
    pub median: u32,
    /// 95 of a hundred took no longer.
    pub p95: u32,
    /// 99 of a hundred took no longer.
    pub p99: u32,
    /// The shortest.
    pub min: u32,
    /// The longest.
    pub max: u32,
}

impl Times {
    /// What a distribution tells.
    pub fn of(times: &Distribution) -> Option<Times> {
        Some(Times {
            median: times.quantile(0.5)?,
            p95: times.quantile(0.95)?,
            p99: times.quantile(0.99)?,
            min: times.min()?,
            max: times.max()?,
        })
    }
}

/// The response times of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Which period.
    pub period: Period,
    /// The number of its first hour.
    pub begin: i64,
    /// How many hours each stretch has.
    pub step: i64,
    /// Those that have a check, ascending, by their place: 0 begins at `begin`.
    pub stretches: Vec<(i64, Stretch)>,
    /// All of it.
    pub whole: Stretch,
}

impl Chart {
    /// How many stretches it has room for.
    pub const fn places(&self) -> i64 {
        self.period.hours() / self.step
    }

    /// Of a service that is checked once in this interval, from these hours of its, where the hour `now` goes on.
    pub fn of(hours: &[Hour], period: Period, now: i64, interval: Duration) -> Chart {
        let (begin, step) = (period.begin(now), period.step(interval));
        let mut sums: BTreeMap<i64, Sum> = BTreeMap::new();
        let mut whole = Sum::default();
        for hour in hours.iter().filter(|hour| (begin..begin + period.hours()).contains(&hour.number)) {
            sums.entry((hour.number - begin).div_euclid(step)).or_default().add(hour);
            whole.add(hour);
        }
        let stretches = sums.into_iter().map(|(place, sum)| (place, sum.stretch())).collect();
        Chart { period, begin, step, stretches, whole: whole.stretch() }
    }
}

#[derive(Default)]
struct Sum {
    checks: u64,
    failed: u64,
    times: Distribution,
}

impl Sum {
    fn add(&mut self, hour: &Hour) {
        self.checks += hour.checks;
        self.failed += hour.failed;
        self.times.merge(&hour.times);
    }

    fn stretch(&self) -> Stretch {
        Stretch { checks: self.checks, failed: self.failed, times: Times::of(&self.times) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 18:00 of a day.
    const NOW: i64 = 20_496 * 24 + 18;

    fn hour(number: i64, failed: u64, times_ms: &[i32]) -> Hour {
        let mut times = Distribution::default();
        times_ms.iter().for_each(|ms| times.add(*ms, 1));
        Hour { number, checks: times_ms.len() as u64, failed, times }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_day_is_the_last_24_hours_and_the_others_are_whole_days_of_utc() {
        assert_eq!(Period::Day.begin(NOW), NOW - 23);
        assert_eq!(Period::Week.begin(NOW), (20_496 - 6) * 24);
        assert_eq!(Period::Week.begin(20_496 * 24), (20_496 - 6) * 24, "from its first hour on");
        assert_eq!(Period::Month.begin(NOW), (20_496 - 29) * 24);
        assert_eq!(Period::Quarter.begin(NOW), (20_496 - 89) * 24);
        assert_eq!(Period::Week.begin(-1), -7 * 24, "before 1970 too");
    }

    #[test]
    fn a_stretch_is_as_long_as_the_time_between_checks() {
        for (period, interval, step) in [
            (Period::Day, 10, 1),
            (Period::Day, 3_600, 1),
            (Period::Day, 3_601, 2),
            (Period::Day, 7_200, 2),
            (Period::Week, 10, 3),
            (Period::Week, 14_400, 6),
            (Period::Month, 10, 12),
            (Period::Quarter, 10, 24),
            (Period::Day, 1_000_000, 24),
        ] {
            assert_eq!(period.step(seconds(interval)), step, "{period:?} {interval}");
            assert_eq!(period.hours() % step, 0);
        }
    }

    #[test]
    fn a_key_is_what_an_address_says() {
        for period in Period::ALL {
            let read: Period = serde_json::from_value(period.key().into()).unwrap();
            assert_eq!(read, period);
        }
    }

    #[test]
    fn checks_without_a_response_time_count_and_have_no_times() {
        let silent = Hour { times: Distribution::default(), ..hour(NOW, 3, &[1, 2, 3]) };
        let chart = Chart::of(&[silent], Period::Day, NOW, seconds(10));
        let stretch = Stretch { checks: 3, failed: 3, times: None };
        assert_eq!((chart.stretches, chart.whole), (vec![(23, stretch)], stretch));
    }

    proptest! {
        #[test]
        fn every_stretch_is_the_sum_of_its_hours(
            hours in prop::collection::btree_map(NOW - 100 * 24..NOW + 30, (0_u64..3, prop::collection::vec(0..30_000, 1..4)), 0..60),
            which in 0_usize..4, interval in 1_u64..200_000,
        ) {
            let hours: Vec<Hour> = hours.iter().map(|(number, (failed, ms))| hour(*number, *failed, ms)).collect();
            let chart = Chart::of(&hours, Period::ALL[which], NOW, seconds(interval));
            let of = |begin: i64, end: i64| {
                let of: Vec<&Hour> = hours.iter().filter(|hour| (begin..end).contains(&hour.number)).collect();
                let mut times = Distribution::default();
                of.iter().for_each(|hour| times.merge(&hour.times));
                (!of.is_empty()).then(|| Stretch {
                    checks: of.iter().map(|hour| hour.checks).sum(),
                    failed: of.iter().map(|hour| hour.failed).sum(),
                    times: Times::of(&times),
                })
            };
            for place in 0..chart.places() {
                let begin = chart.begin + place * chart.step;
                let drawn = chart.stretches.iter().find(|(at, _)| *at == place).map(|(_, stretch)| *stretch);
                prop_assert_eq!(drawn, of(begin, begin + chart.step));
            }
            prop_assert!(chart.stretches.iter().all(|(place, _)| (0..chart.places()).contains(place)));
            prop_assert_eq!(chart.whole, of(chart.begin, chart.begin + chart.period.hours()).unwrap_or_default());
        }
    }
}
