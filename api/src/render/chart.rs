//! A chart of response times as shapes and words; what it shows stands in its table too. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::{
    response_times::{Chart, Period, Stretch, Times},
    uptime::begin_of,
    words,
};

/// Of the drawing, which stretches to the room that it finds.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;
/// Lines above the base.
const LINES: u64 = 4;

/// A chart: `chart` of the component `chart`.
#[derive(Serialize)]
pub(super) struct Drawing {
    /// What one sees, in a sentence.
    label: String,
    over: &'static str,
    tabs: Vec<Tab>,
    /// Median, p95, p99, shortest and longest; none where nothing was measured.
    tiles: Vec<Tile>,
    /// From the top to 0.
    ys: Vec<String>,
    xs: Vec<String>,
    /// Where an upright line stands at each of `xs` but the first.
    uprights: String,
    median: String,
    p95: String,
    band: String,
    /// Where a response is too slow, if that is within the drawing.
    limit: Option<Limit>,
    /// One stroke for each stretch with a failed check.
    failed: String,
    step: String,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Tab {
    key: &'static str,
    word: &'static str,
    current: bool,
}

#[derive(Serialize)]
struct Tile {
    label: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Limit {
    path: String,
    words: String,
}

/// A stretch in the table.
#[derive(Serialize)]
struct Row {
    from: String,
    /// As the tiles.
    times: Vec<String>,
    failed: String,
    checks: String,
}

impl Drawing {
    /// Of a service that is too slow after this long.
    pub(super) fn of(chart: &Chart, slow_after: Duration) -> Drawing {
        let scale = Scale::of(chart, slow_after);
        let median = |times: Times| times.median;
        let p95 = |times: Times| times.p95;
        let slow_ms = u32::try_from(slow_after.as_millis()).unwrap_or(u32::MAX);
        let limit = (u64::from(slow_ms) <= scale.top()).then(|| Limit {
            path: format!("M0 {}h1000", scale.y(slow_ms)),
            words: format!("slow after {}", words::span(slow_after)),
        });
        let failed = chart.stretches.iter().filter(|(_, stretch)| stretch.failed > 0);
        let xs = labels(chart);
        let uprights = (1..xs.len()).map(|n| format!("M{} 0v200", short(WIDTH * n as f64 / xs.len() as f64)));
        Drawing {
            label: label(chart),
            over: over(chart.period),
            tabs: Period::ALL.map(|period| Tab::of(period, chart.period)).into(),
            tiles: chart.whole.times.map(tiles).unwrap_or_default(),
            ys: (0..=LINES).rev().map(|line| tick(line * scale.step_ms)).collect(),
            uprights: uprights.collect(),
            xs,
            median: scale.line(chart, median),
            p95: scale.line(chart, p95),
            band: scale.band(chart),
            limit,
            failed: failed.map(|(place, _)| format!("M{} 200v-12", short(scale.x(*place)))).collect(),
            step: hours(chart.step),
            rows: chart
                .stretches
                .iter()
                .rev()
                .map(|(place, stretch)| Row::of(chart, *place, *stretch))
                .collect(),
        }
    }
}

/// Where figures stand in the drawing.
struct Scale {
    places: f64,
    /// From one line to the next.
    step_ms: u64,
}

impl Scale {
    /// From nothing to above every figure; to the limit too, where figures come near.
    fn of(chart: &Chart, slow_after: Duration) -> Scale {
        let times = chart.stretches.iter().filter_map(|(_, stretch)| stretch.times);
        let most = times.map(|times| u64::from(times.p95)).max().unwrap_or(1).max(1);
        let limit = u64::try_from(slow_after.as_millis()).unwrap_or(u64::MAX);
        let most = if most.saturating_mul(2) > limit { most.max(limit) } else { most };
        Scale { places: chart.places() as f64, step_ms: round_step(most.div_ceil(LINES)) }
    }

    fn top(&self) -> u64 {
        self.step_ms.saturating_mul(LINES)
    }

    fn x(&self, place: i64) -> f64 {
        (place as f64 + 0.5) * WIDTH / self.places
    }

    fn y(&self, ms: u32) -> String {
        short(HEIGHT - f64::from(ms) * HEIGHT / self.top() as f64)
    }

    /// The runs of stretches that follow one another and tell their times.
    fn runs(chart: &Chart) -> Vec<Vec<(i64, Times)>> {
        let mut runs: Vec<Vec<(i64, Times)>> = Vec::new();
        for (place, stretch) in &chart.stretches {
            let Some(times) = stretch.times else { continue };
            match runs.last_mut().filter(|run| run.last().is_some_and(|(last, _)| last + 1 == *place)) {
                Some(run) => run.push((*place, times)),
                None => runs.push(vec![(*place, times)]),
            }
        }
        runs
    }

    fn line(&self, chart: &Chart, of: impl Fn(Times) -> u32) -> String {
        let run = |run: Vec<(i64, Times)>| {
            let points = run.iter().map(|(place, times)| (self.x(*place), self.y(of(*times))));
            // One alone is a dot.
            polyline(points) + if run.len() == 1 { "h0" } else { "" }
        };
        Scale::runs(chart).into_iter().map(run).collect()
    }

    /// Between the median and p95.
    fn band(&self, chart: &Chart) -> String {
        let area = |run: Vec<(i64, Times)>| {
            let upper = run.iter().map(|(place, times)| (self.x(*place), self.y(times.p95)));
            let lower = run.iter().rev().map(|(place, times)| (self.x(*place), self.y(times.median)));
            polyline(upper.chain(lower)) + "z"
        };
        Scale::runs(chart).into_iter().filter(|run| run.len() > 1).map(area).collect()
    }
}

fn polyline(points: impl Iterator<Item = (f64, String)>) -> String {
    let mut path = String::new();
    for (n, (x, y)) in points.enumerate() {
        path += &format!("{}{} {y}", if n == 0 { 'M' } else { 'L' }, short(x));
    }
    path
}

/// To a tenth, without a padding zero.
fn short(number: f64) -> String {
    let tenths = (number * 10.0).round() / 10.0;
    tenths.to_string()
}

/// The first of 1, 2, 2.5 and 5 times a power of ten that is not less.
fn round_step(least_ms: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        let steps =
            [Some(power), power.checked_mul(2), (power >= 10).then_some(power / 2 * 5), power.checked_mul(5)];
        if let Some(step) = steps.into_iter().flatten().find(|step| *step >= least_ms) {
            return step;
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return least_ms,
        }
    }
}

fn tick(ms: u64) -> String {
    if ms == 0 { "0".into() } else { words::span(Duration::from_millis(ms)) }
}

/// As many as there is room for, each at the begin of as long a part of the period.
fn labels(chart: &Chart) -> Vec<String> {
    let (parts, format) = match chart.period {
        Period::Day => (6, "%H:%M"),
        Period::Week => (7, "%a %-d"),
        Period::Month | Period::Quarter => (6, "%-d %b"),
    };
    let hours = chart.period.hours() / parts;
    (0..parts).map(|part| begin_of(chart.begin + part * hours).format(format).to_string()).collect()
}

fn label(chart: &Chart) -> String {
    let times: Vec<Times> = chart.stretches.iter().filter_map(|(_, stretch)| stretch.times).collect();
    let medians = times.iter().map(|times| times.median);
    let (Some(least), Some(most)) = (medians.clone().min(), medians.max()) else {
        return format!("No response times over {}.", over(chart.period));
    };
    let p95 = times.iter().map(|times| times.p95).max().unwrap_or(most);
    let failed = match chart.whole.failed {
        0 => "no failed check".into(),
        1 => "1 failed check".into(),
        failed => format!("{} failed checks", words::grouped(failed)),
    };
    format!(
        "Response times over {} in steps of {}: median from {} to {}, 95th percentile up to {}; {failed}. \
         The table below has every figure.",
        over(chart.period),
        hours(chart.step),
        words::grouped(least),
        milliseconds(most),
        milliseconds(p95),
    )
}

const fn over(period: Period) -> &'static str {
    match period {
        Period::Day => "24 hours",
        Period::Week => "7 days",
        Period::Month => "30 days",
        Period::Quarter => "90 days",
    }
}

fn hours(step: i64) -> String {
    match step {
        1 => "1 hour".into(),
        24 => "1 day".into(),
        step => format!("{step} hours"),
    }
}

fn milliseconds(ms: u32) -> String {
    words::milliseconds(i32::try_from(ms).unwrap_or(i32::MAX))
}

fn tiles(Times { median, p95, p99, min, max }: Times) -> Vec<Tile> {
    let named = [("Median", median), ("p95", p95), ("p99", p99), ("Shortest", min), ("Longest", max)];
    named.map(|(label, ms)| Tile { label, value: milliseconds(ms) }).into()
}

impl Tab {
    fn of(period: Period, current: Period) -> Tab {
        let word = match period {
            Period::Day => "24\u{a0}h",
            Period::Week => "7\u{a0}d",
            Period::Month => "30\u{a0}d",
            Period::Quarter => "90\u{a0}d",
        };
        Tab { key: period.key(), word, current: period == current }
    }
}

impl Row {
    fn of(chart: &Chart, place: i64, stretch: Stretch) -> Row {
        let from = begin_of(chart.begin + place * chart.step);
        let format = if chart.step % 24 == 0 { "%a %-d %b" } else { "%a %-d %b, %H:%M" };
        let times = stretch.times.map_or_else(
            || vec!["—".to_owned(); 5],
            |times| tiles(times).into_iter().map(|tile| tile.value).collect(),
        );
        Row {
            from: from.format(format).to_string(),
            times,
            failed: words::grouped(stretch.failed),
            checks: words::grouped(stretch.checks),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 18:00 on Thu 12 Feb 2026.
    const NOW: i64 = 20_496 * 24 + 18;
    const SLOW: Duration = Duration::from_secs(5);

    fn times(median: u32, p95: u32) -> Option<Times> {
        Some(Times { median, p95, p99: p95, min: median, max: p95 })
    }

    fn chart(stretches: Vec<(i64, Stretch)>) -> Chart {
        let period = Period::Week;
        let whole = Stretch { checks: 9, failed: 1, times: times(120, 800) };
        Chart { period, begin: period.begin(NOW), step: 24, stretches, whole }
    }

    fn stretch(median: u32, p95: u32, failed: u64) -> Stretch {
        Stretch { checks: 3, failed, times: times(median, p95) }
    }

    #[test]
    fn lines_are_broken_where_nothing_was_measured_and_one_alone_is_a_dot() {
        let silent = Stretch { checks: 1, failed: 1, times: None };
        let drawn = Drawing::of(
            &chart(vec![
                (0, stretch(100, 200, 0)),
                (1, stretch(200, 400, 0)),
                (2, silent),
                (4, stretch(300, 800, 2)),
            ]),
            SLOW,
        );
        assert_eq!(drawn.ys, ["800\u{a0}ms", "600\u{a0}ms", "400\u{a0}ms", "200\u{a0}ms", "0"]);
        assert_eq!(drawn.median, "M71.4 175L214.3 150M642.9 125h0");
        assert_eq!(drawn.p95, "M71.4 150L214.3 100M642.9 0h0");
        assert_eq!(drawn.band, "M71.4 150L214.3 100L214.3 150L71.4 175z");
        assert_eq!(drawn.failed, "M357.1 200v-12M642.9 200v-12");
        assert!(drawn.limit.is_none(), "5 s are far above");
        assert_eq!(drawn.xs, ["Fri 6", "Sat 7", "Sun 8", "Mon 9", "Tue 10", "Wed 11", "Thu 12"]);
        assert_eq!(
            drawn.label,
            "Response times over 7 days in steps of 1 day: median from 100 to 300\u{a0}ms, 95th percentile up to \
             800\u{a0}ms; 1 failed check. The table below has every figure."
        );
        let rows: Vec<(&str, &str, &str)> =
            drawn.rows.iter().map(|row| (&*row.from, &*row.times[1], &*row.failed)).collect();
        assert_eq!(
            rows,
            [
                ("Tue 10 Feb", "800\u{a0}ms", "2"),
                ("Sun 8 Feb", "—", "1"),
                ("Sat 7 Feb", "400\u{a0}ms", "0"),
                ("Fri 6 Feb", "200\u{a0}ms", "0")
            ]
        );
    }

    #[test]
    fn the_limit_is_shown_where_figures_come_near_it() {
        let drawn = |p95| Drawing::of(&chart(vec![(0, stretch(100, p95, 0))]), SLOW);
        assert!(drawn(2_500).limit.is_none());
        let near = drawn(2_501).limit.unwrap();
        assert_eq!((&*near.path, &*near.words), ("M0 75h1000", "slow after 5\u{a0}s"));
        assert_eq!(drawn(10_000).limit.unwrap().path, "M0 100h1000");
    }

    #[test]
    fn what_was_not_measured_is_said_and_divides_nothing_by_nothing() {
        let drawn = Drawing::of(&Chart { whole: Stretch::default(), ..chart(Vec::new()) }, SLOW);
        assert_eq!((drawn.label.as_str(), drawn.tiles.len()), ("No response times over 7 days.", 0));
        let zero = Drawing::of(&chart(vec![(0, stretch(0, 0, 0))]), Duration::ZERO);
        assert_eq!(zero.median, "M71.4 200h0");
    }

    proptest! {
        #[test]
        fn every_figure_lies_within_the_drawing(most in 1_u32..i32::MAX as u32, slow_ms in 1_u64..100_000) {
            let chart = chart(vec![(0, stretch(1, most, 0)), (6, stretch(most, most, 0))]);
            let scale = Scale::of(&chart, Duration::from_millis(slow_ms));
            prop_assert!(scale.top() >= u64::from(most), "{} {most}", scale.top());
            prop_assert!(scale.top() <= 4 * u64::from(most).max(slow_ms).max(4), "not far above");
            for ms in [0, 1, most] {
                let y: f64 = scale.y(ms).parse().unwrap();
                prop_assert!((0.0..=200.0).contains(&y));
            }
        }
    }
}
