//! The past of a service as shapes and words: the strip of days, and the line of response times. Pure.

use chrono::DateTime;
use serde::Serialize;
use shared::Status;

use super::view::tone;
use crate::{
    facts::{ByStatus, Past, Quarter, SPARK_QUARTERS, STRIP_DAYS},
    outages::Outage,
    uptime::Percent,
    words,
};

const DAY_SECONDS: i64 = 86_400;
/// Days of the strip on a narrow screen.
const NARROW_DAYS: i64 = 30;
/// Of the drawing of a day: wide with the gap after it.
const DAY_WIDTH: i64 = 6;
/// Of the drawing of the line: from one quarter to the next, and high.
const QUARTER_WIDTH: i64 = 4;
const LINE_HEIGHT: f64 = 32.0;

/// The strip of days: `card.strip` of the component `card`.
#[derive(Serialize)]
pub(super) struct Strip {
    /// All of it in one sentence, for those who do not see it.
    label: String,
    /// The last day, in days since 1970.
    today: i64,
    /// How many checks each day has, a number for each run of days: `288*56 287 288*33`.
    checks: String,
    bars: Vec<Bar>,
    /// What there was, on a wide screen and on a narrow one.
    wide: String,
    narrow: String,
}

/// Days that are drawn alike: a run of days without event, or one day with one.
#[derive(Serialize)]
struct Bar {
    kind: Kind,
    path: String,
    title: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    None,
    Ok,
    Slow,
    Out,
}

/// One day of the strip.
struct Day<'a> {
    /// In days since 1970.
    number: i64,
    counts: ByStatus,
    /// Those that any of its checks belongs to.
    outages: Vec<&'a Outage>,
}

impl Strip {
    pub(super) fn of(past: &Past, today: i64, name: &str) -> Strip {
        let days = days(past, today);
        let told = told(&days);
        let label = match uptime(past, today) {
            Some(uptime) => format!("{name}, {STRIP_DAYS} days: {} uptime, {told}", words::percent(uptime)),
            None => format!("{name}, {STRIP_DAYS} days: {told}"),
        };
        let narrow = self::told(&days[days.len() - NARROW_DAYS as usize..]);
        Strip { label, today, checks: checks(&days), bars: bars(&days), wide: told, narrow }
    }
}

/// A day of the table behind the strip.
#[derive(Serialize)]
pub(super) struct DayRow {
    date: String,
    uptime: Option<String>,
    tone: &'static str,
    checks: String,
    events: String,
}

/// The days of the strip, the newest first.
pub(super) fn rows(past: &Past, today: i64) -> Vec<DayRow> {
    days(past, today).iter().rev().map(Day::row).collect()
}

/// The uptime over the days of the strip; `None` where they hold no check.
pub(super) fn uptime(past: &Past, today: i64) -> Option<Percent> {
    let shown = past.days.iter().filter(|(number, _)| (today + 1 - STRIP_DAYS..=today).contains(number));
    let (online, total) = shown.fold((0, 0), |(online, total), (_, counts)| {
        let counts = ByStatus::from(counts);
        (online + counts.online, total + counts.total)
    });
    Percent::of(online, total)
}

fn days(past: &Past, today: i64) -> Vec<Day<'_>> {
    let begin = today + 1 - STRIP_DAYS;
    let mut days: Vec<Day<'_>> = (begin..=today)
        .map(|number| Day { number, counts: ByStatus::default(), outages: Vec::new() })
        .collect();
    let place = |number: i64| usize::try_from(number - begin).ok();
    for (number, counts) in past.days.iter() {
        if let Some(day) = place(number).and_then(|place| days.get_mut(place)) {
            day.counts = counts.into();
        }
    }
    for outage in &past.outages {
        let [first, last] = [outage.began, outage.ended].map(|at| at.timestamp().div_euclid(DAY_SECONDS));
        for number in first.max(begin)..=last.min(today) {
            if let Some(day) = place(number).and_then(|place| days.get_mut(place)) {
                day.outages.push(outage);
            }
        }
    }
    days
}

impl Day<'_> {
    fn kind(&self) -> Kind {
        let ByStatus { online, degraded, total, .. } = self.counts;
        match total {
            0 => Kind::None,
            total if online >= total => Kind::Ok,
            total if online + degraded >= total => Kind::Slow,
            _ => Kind::Out,
        }
    }

    fn date(&self) -> String {
        DateTime::from_timestamp(self.number * DAY_SECONDS, 0)
            .unwrap_or_default()
            .format("%a %-d %b")
            .to_string()
    }

    fn row(&self) -> DayRow {
        let ByStatus { online, total, .. } = self.counts;
        let uptime = Percent::of(online, total);
        DayRow {
            date: self.date(),
            uptime: uptime.map(words::percent),
            tone: uptime.map_or("unknown", tone),
            checks: words::grouped(total),
            events: if total == 0 { "not measured".into() } else { self.events() },
        }
    }

    /// `Thu 12 Feb: 90.322% of 217 checks, 2 outages`.
    fn words(&self) -> String {
        let date = self.date();
        let ByStatus { online, total, .. } = self.counts;
        match Percent::of(online, total) {
            None => format!("{date}: not measured"),
            Some(uptime) => {
                format!("{date}: {} of {}, {}", words::percent(uptime), words::checks(total), self.events())
            }
        }
    }

    fn events(&self) -> String {
        let slow = self.outages.iter().filter(|outage| outage.status == Status::Degraded).count();
        let out = self.outages.len() - slow;
        let counted = |count: usize, one: &str, more: &str| match count {
            0 => None,
            1 => Some(one.to_owned()),
            _ => Some(format!("{count} {more}")),
        };
        let told = [counted(out, "1 outage", "outages"), counted(slow, "degraded once", "times degraded")];
        let told: Vec<String> = told.into_iter().flatten().collect();
        match (told.is_empty(), self.kind()) {
            (false, _) => told.join(", "),
            (true, Kind::Ok) => "no outage".into(),
            // Older than the newest of a thousand.
            (true, Kind::Slow) => "many times degraded".into(),
            (true, _) => "many outages".into(),
        }
    }
}

fn bars(days: &[Day<'_>]) -> Vec<Bar> {
    let alike = |one: &Day<'_>, next: &Day<'_>| {
        one.kind() == next.kind() && matches!(next.kind(), Kind::Ok | Kind::None)
    };
    let mut place = 0;
    let mut bar = |run: &[Day<'_>]| {
        let (x, width) = (place * DAY_WIDTH, run.len() as i64 * DAY_WIDTH - 2);
        place += run.len() as i64;
        let kind = run[0].kind();
        let path = match kind {
            Kind::None => format!("M{x} 26h{width}"),
            Kind::Ok => format!("M{x} 16h{width}"),
            Kind::Slow => format!("M{} 4v24", x + 2),
            Kind::Out => format!("M{} 0v32", x + 2),
        };
        let title = match kind {
            Kind::None => "Not measured".into(),
            Kind::Ok => "100% on these days, no outage".into(),
            Kind::Slow | Kind::Out => run[0].words(),
        };
        Bar { kind, path, title }
    };
    days.chunk_by(alike).map(&mut bar).collect()
}

fn checks(days: &[Day<'_>]) -> String {
    let told = |run: &[Day<'_>]| match (run[0].counts.total, run.len()) {
        (total, 1) => total.to_string(),
        (total, days) => format!("{total}*{days}"),
    };
    let runs = days.chunk_by(|one, next| one.counts.total == next.counts.total);
    runs.map(told).collect::<Vec<_>>().join(" ")
}

/// `2 outage days, 1 slow day`.
fn told(days: &[Day<'_>]) -> String {
    let count = |kind: Kind| days.iter().filter(|day| day.kind() == kind).count();
    let told = |count: usize, what: &str| {
        (count > 0).then(|| format!("{count}\u{a0}{what}{}", if count == 1 { "" } else { "s" }))
    };
    if count(Kind::None) == days.len() {
        return "nothing measured".into();
    }
    let told: Vec<String> = [told(count(Kind::Out), "outage day"), told(count(Kind::Slow), "slow day")]
        .into_iter()
        .flatten()
        .collect();
    if told.is_empty() { "no outage".into() } else { told.join(", ") }
}

/// `card.spark` of the component `card`: the median response time of each quarter of a day, of a week.
#[derive(Serialize)]
pub(super) struct Spark {
    label: String,
    line: String,
    /// The end of the line, where data goes on to the last quarter but one.
    tip: Option<String>,
    /// One stroke for each quarter with a failed check.
    failed: String,
}

impl Spark {
    /// `None` where nothing was measured.
    pub(super) fn of(past: &Past, today: i64) -> Option<Spark> {
        let begin = (today + 1) * 4 - SPARK_QUARTERS;
        let shown: Vec<(i64, Quarter)> = past
            .quarters
            .iter()
            .filter(|(number, _)| (begin..begin + SPARK_QUARTERS).contains(number))
            .map(|(number, quarter)| (number - begin, quarter.into()))
            .collect();
        let points: Vec<(i64, u64)> =
            shown.iter().filter_map(|(place, quarter)| Some((*place, quarter.median_ms?))).collect();
        let mut sorted: Vec<u64> = points.iter().map(|(_, ms)| *ms).collect();
        sorted.sort_unstable();
        let (least, usual, most) = (*sorted.first()?, sorted[sorted.len() / 2] as f64, *sorted.last()?);
        // Never tighter than that, so that noise does not look like news.
        let (low, high) = ((least as f64).min(0.8 * usual), (most as f64).max(1.3 * usual).max(1.0));
        let y =
            |ms: u64| (LINE_HEIGHT - 2.0 - (ms as f64 - low) / (high - low) * (LINE_HEIGHT - 4.0)).round();
        let mut line = String::new();
        let mut last = None;
        for (place, ms) in &points {
            let pen = if last == Some(place - 1) { 'L' } else { 'M' };
            line += &format!("{pen}{} {}", place * QUARTER_WIDTH, y(*ms));
            last = Some(*place);
        }
        let failed = shown.iter().filter(|(_, quarter)| quarter.failed > 0);
        let failed = failed.map(|(place, _)| format!("M{} 32v-7", place * QUARTER_WIDTH)).collect();
        let tip = points.last().filter(|(place, _)| place + 2 >= SPARK_QUARTERS);
        Some(Spark {
            label: format!(
                "Response time, 7 days: {} to {}",
                words::grouped(least),
                words::milliseconds(i32::try_from(most).unwrap_or(i32::MAX))
            ),
            line,
            tip: tip.map(|(place, ms)| format!("M{} {}h0", place * QUARTER_WIDTH, y(*ms))),
            failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;

    const TODAY: i64 = 20_496;

    fn past(days: impl IntoIterator<Item = (i64, [u64; 5])>) -> Past {
        Past { days: days.into_iter().collect(), ..Past::default() }
    }

    fn at(day: i64, hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(day * DAY_SECONDS + hour * 3600, 0).unwrap()
    }

    fn outage(began: DateTime<Utc>, ended: DateTime<Utc>, status: Status) -> Outage {
        Outage { before: None, began, ended, after: None, checks: 1, status, failure: None }
    }

    #[test]
    fn days_alike_are_one_stroke_and_a_day_with_an_event_is_one_of_its_own() {
        let mut past = past([
            (TODAY - 3, [12, 0, 0, 0, 12]),
            (TODAY - 2, [11, 1, 0, 0, 12]),
            (TODAY - 1, [10, 1, 0, 1, 12]),
            (TODAY, [9, 0, 0, 0, 9]),
        ]);
        past.outages = vec![
            outage(at(TODAY - 2, 4), at(TODAY - 2, 4), Status::Degraded),
            outage(at(TODAY - 1, 4), at(TODAY - 1, 6), Status::Offline),
        ];
        let history = Strip::of(&past, TODAY, "main");
        let bars: Vec<(&str, &str)> =
            history.bars.iter().map(|bar| (bar.path.as_str(), bar.title.as_str())).collect();
        assert_eq!(
            bars,
            [
                ("M0 26h514", "Not measured"),
                ("M516 16h4", "100% on these days, no outage"),
                ("M524 4v24", "Tue 10 Feb: 91.666% of 12\u{a0}checks, degraded once"),
                ("M530 0v32", "Wed 11 Feb: 83.333% of 12\u{a0}checks, 1 outage"),
                ("M534 16h4", "100% on these days, no outage"),
            ]
        );
        assert_eq!(history.checks, "0*86 12*3 9");
        assert_eq!(history.wide, "1\u{a0}outage day, 1\u{a0}slow day");
        assert_eq!(history.label, "main, 90 days: 93.333% uptime, 1\u{a0}outage day, 1\u{a0}slow day");
    }

    #[test]
    fn an_outage_is_told_on_each_day_that_it_has_a_check_on() {
        let mut past = past((TODAY - 4..=TODAY).map(|day| (day, [0, 0, 0, 12, 12])));
        past.outages = vec![outage(at(TODAY - 4, 0), at(TODAY - 1, 23), Status::Offline)];
        past.outages.push(outage(at(TODAY - 1, 23), at(TODAY, 1), Status::Timeout));
        let days = days(&past, TODAY);
        let told: Vec<String> = days[85..].iter().map(Day::events).collect();
        assert_eq!(told, ["1 outage", "1 outage", "1 outage", "2 outages", "1 outage"]);
    }

    #[test]
    fn a_day_whose_outages_are_too_many_to_know_is_no_day_without() {
        let days = past([(TODAY - 1, [1, 0, 0, 1, 2]), (TODAY, [1, 1, 0, 0, 2])]);
        let days = self::days(&days, TODAY);
        assert_eq!([days[88].events(), days[89].events()], ["many outages", "many times degraded"]);
    }

    #[test]
    fn ninety_days_without_a_check_have_no_uptime() {
        let history = Strip::of(&Past::default(), TODAY, "new");
        assert_eq!((history.bars.len(), &*history.wide), (1, "nothing measured"));
        assert_eq!(history.label, "new, 90 days: nothing measured");
        let old = past([(TODAY - 90, [1, 0, 0, 0, 1]), (TODAY + 1, [1, 0, 0, 0, 1])]);
        assert_eq!(uptime(&old, TODAY), None, "nothing beyond either end");
        assert!(old.reaches_back(TODAY) && !past([(TODAY - 88, [1; 5])]).reaches_back(TODAY));
    }

    #[test]
    fn the_line_is_broken_where_nothing_was_measured_and_never_magnifies_noise() {
        let begin = (TODAY + 1) * 4 - SPARK_QUARTERS;
        let quarter =
            |place: i64, ms: Option<u64>, failed| (begin + place, Quarter { median_ms: ms, failed }.into());
        let quarters = [
            quarter(0, Some(100), 0),
            quarter(1, Some(101), 2),
            quarter(3, Some(99), 0),
            quarter(5, None, 1),
            quarter(26, Some(100), 0),
        ];
        let past = Past { quarters: quarters.into_iter().collect(), ..Past::default() };
        let spark = Spark::of(&past, TODAY).unwrap();
        assert_eq!(spark.line, "M0 19L4 18M12 19M104 19");
        assert_eq!(spark.failed, "M4 32v-7M20 32v-7");
        assert_eq!(spark.tip.as_deref(), Some("M104 19h0"));
        assert_eq!(spark.label, "Response time, 7 days: 99 to 101\u{a0}ms");
        assert!(Spark::of(&Past::default(), TODAY).is_none());
        let zero = Past { quarters: [quarter(0, Some(0), 0)].into_iter().collect(), ..Past::default() };
        assert_eq!(Spark::of(&zero, TODAY).unwrap().line, "M0 30", "nothing is divided by nothing");
    }

    proptest! {
        #[test]
        fn every_day_is_drawn_once_as_what_it_was(
            days in prop::collection::btree_map(TODAY - 95..TODAY + 3, (0..4_u64, 0..3_u64, 0..2_u64, 0..2_u64, 0..2_u64), 0..95),
        ) {
            let counts = |&(online, degraded, timeout, offline, other): &(u64, u64, u64, u64, u64)| {
                [online, degraded, timeout, offline, online + degraded + timeout + offline + other]
            };
            let past = past(days.iter().map(|(day, of)| (*day, counts(of))));
            let mut drawn: Vec<Kind> = Vec::new();
            for bar in bars(&self::days(&past, TODAY)) {
                let days = match bar.kind {
                    Kind::Slow | Kind::Out => 1,
                    _ => (bar.path.split('h').nth(1).unwrap().parse::<usize>().unwrap() + 2) / 6,
                };
                let x: usize = bar.path[1..].split(' ').next().unwrap().parse().unwrap();
                prop_assert_eq!(x / 6, drawn.len());
                drawn.extend(std::iter::repeat_n(bar.kind, days));
            }
            let expected: Vec<Kind> = (TODAY - 89..=TODAY).map(|day| match days.get(&day) {
                None | Some((0, 0, 0, 0, 0)) => Kind::None,
                Some((_, 0, 0, 0, 0)) => Kind::Ok,
                Some((_, _, 0, 0, 0)) => Kind::Slow,
                Some(_) => Kind::Out,
            }).collect();
            prop_assert!(drawn == expected);
        }
    }
}
