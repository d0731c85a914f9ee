//! A stretch of time that a question reaches over, and the buckets it is divided into: hours, days and months of UTC.
//! Pure.

use std::ops::Range;

use chrono::{DateTime, Datelike, Months, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::uptime::{begin_of, hour_of};

/// The longest stretch that may be asked for: ten years.
pub const LONGEST_DAYS: i64 = 3_660;
/// The most buckets of an answer.
pub const MOST_BUCKETS: usize = 10_000;

/// From an instant on, and before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub to: DateTime<Utc>,
    /// Whether what lies after it counts too: checks whose clock was ahead, where it ends now.
    pub and_later: bool,
}

/// A part of a span that has an answer of its own, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// From one full hour to the next.
    Hour,
    /// From one midnight to the next.
    Day,
    /// From the first of a month to that of the next.
    Month,
}

/// What a span is made of: whole hours, and what is left at its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The numbers of its whole hours.
    pub whole: Range<i64>,
    /// Within one hour each.
    pub edges: Vec<Range<DateTime<Utc>>>,
}

impl Span {
    /// From an instant to another.
    ///
    /// # Errors
    /// Where it makes no sense or is too long: a sentence that says what to write.
    pub fn new(from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Span, String> {
        if from >= to {
            return Err("from: must lie before `to`; where there is no `to`, before now".into());
        }
        if to - from > TimeDelta::days(LONGEST_DAYS) {
            return Err(format!(
                "from: may lie {LONGEST_DAYS} days before `to` at the most; ask for less at a time"
            ));
        }
        Ok(Span { from, to, and_later: false })
    }

    /// All time: what began with the first check, where there is one, and ends now.
    pub fn since(first: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Span {
        Span { from: first.unwrap_or(now).min(now), to: now, and_later: true }
    }

    /// Its whole hours and the rest. Where what lies after it counts too, the hours have no end.
    pub fn parts(&self) -> Parts {
        let from_next = |at: DateTime<Utc>| hour_of(at) + i64::from(begin_of(hour_of(at)) < at);
        let (first, last) = (from_next(self.from), if self.and_later { i64::MAX } else { hour_of(self.to) });
        if first > last {
            return Parts { whole: first..first, edges: vec![self.from..self.to] };
        }
        let begin = Some(self.from..begin_of(first));
        let end = (!self.and_later).then(|| begin_of(last)..self.to);
        let edges = begin.into_iter().chain(end).filter(|edge| !edge.is_empty()).collect();
        Parts { whole: first..last, edges }
    }

    /// The buckets that it touches, ascending; the first and the last as far as they belong to it.
    ///
    /// # Errors
    /// Where there are too many: a sentence that says what to write.
    pub fn buckets(&self, bucket: Bucket) -> Result<Vec<Range<DateTime<Utc>>>, String> {
        let mut buckets = Vec::new();
        let mut begin = self.from;
        while begin < self.to {
            let end = bucket.after(begin).min(self.to);
            buckets.push(begin..end);
            begin = end;
            if buckets.len() > MOST_BUCKETS {
                return Err(format!(
                    "buckets: an answer has {MOST_BUCKETS} at the most; ask for longer ones, or for a shorter time"
                ));
            }
        }
        Ok(buckets)
    }

    /// The same, begun and ended with whole hours.
    pub fn in_whole_hours(&self) -> Span {
        let whole = |at| begin_of(hour_of(at));
        let to = whole(self.to);
        let to = if to < self.to { to + TimeDelta::hours(1) } else { to };
        Span { from: whole(self.from), to, ..*self }
    }
}

impl Bucket {
    /// The word that PostgreSQL's `date_trunc` knows it by.
    pub const fn word(self) -> &'static str {
        match self {
            Bucket::Hour => "hour",
            Bucket::Day => "day",
            Bucket::Month => "month",
        }
    }

    /// When the one that this instant lies in begins.
    pub fn begin(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let midnight = at.date_naive().and_time(NaiveTime::MIN).and_utc();
        match self {
            Bucket::Hour => begin_of(hour_of(at)),
            Bucket::Day => midnight,
            Bucket::Month => midnight - TimeDelta::days(i64::from(at.day0())),
        }
    }

    /// When the next one begins.
    fn after(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let begin = self.begin(at);
        match self {
            Bucket::Hour => begin + TimeDelta::hours(1),
            Bucket::Day => begin + TimeDelta::days(1),
            Bucket::Month => begin.checked_add_months(Months::new(1)).unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Timelike;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn instants() -> impl Strategy<Value = DateTime<Utc>> {
        let near = prop_oneof![Just(0_i64), Just(1), -3_600_000_001_i64..3_600_000_001];
        (480_000_i64..481_000, near).prop_map(|(hour, micros)| {
            DateTime::from_timestamp_micros(hour * 3_600_000_000 + micros).unwrap()
        })
    }

    #[test]
    fn a_span_ends_after_it_begins_and_within_ten_years() {
        let begin = at("2026-01-01T00:00:00Z");
        assert!(Span::new(begin, begin).unwrap_err().starts_with("from: must lie before"));
        assert!(Span::new(begin, begin - TimeDelta::seconds(1)).is_err());
        assert!(Span::new(begin, begin + TimeDelta::days(LONGEST_DAYS)).is_ok());
        let longer = Span::new(begin, begin + TimeDelta::days(LONGEST_DAYS) + TimeDelta::microseconds(1));
        assert!(longer.unwrap_err().contains("3660 days"));
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let span = Span::new(at("2024-01-31T23:00:00Z"), at("2024-04-01T00:00:00Z")).unwrap();
        let ends: Vec<_> =
            span.buckets(Bucket::Month).unwrap().into_iter().map(|bucket| bucket.end).collect();
        assert_eq!(ends, ["2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z"].map(at));
    }

    #[test]
    fn too_many_buckets_are_refused_with_their_number() {
        let span = Span::new(at("2024-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")).unwrap();
        assert!(span.buckets(Bucket::Hour).unwrap_err().contains("10000 at the most"));
        assert_eq!(span.buckets(Bucket::Day).unwrap().len(), 731);
        assert_eq!(span.buckets(Bucket::Month).unwrap().len(), 24);
    }

    proptest! {
        #[test]
        fn the_parts_are_the_span_in_order_and_without_a_gap(from in instants(), to in instants()) {
            let Ok(span) = Span::new(from, to) else { return Ok(()) };
            let Parts { whole, edges } = span.parts();
            let mut parts: Vec<Range<DateTime<Utc>>> = edges.clone();
            if !whole.is_empty() {
                parts.push(begin_of(whole.start)..begin_of(whole.end));
            }
            parts.sort_by_key(|part| part.start);
            prop_assert_eq!((parts[0].start, parts.last().unwrap().end), (from, to));
            prop_assert!(parts.windows(2).all(|two| two[0].end == two[1].start));
            for edge in edges {
                prop_assert!(edge.end - edge.start < TimeDelta::hours(1));
                prop_assert_eq!(hour_of(edge.start), hour_of(edge.end - TimeDelta::microseconds(1)));
            }
        }

        #[test]
        fn buckets_are_the_span_in_order_and_begin_where_the_calendar_says(
            from in instants(), to in instants(), which in 0_usize..3,
        ) {
            let bucket = [Bucket::Hour, Bucket::Day, Bucket::Month][which];
            let Ok(span) = Span::new(from, to) else { return Ok(()) };
            let buckets = span.buckets(bucket).unwrap();
            prop_assert_eq!((buckets[0].start, buckets.last().unwrap().end), (from, to));
            prop_assert!(buckets.windows(2).all(|two| two[0].end == two[1].start));
            for begin in buckets[1..].iter().map(|bucket| bucket.start) {
                prop_assert_eq!((begin.minute(), begin.second(), begin.nanosecond()), (0, 0, 0));
                prop_assert!(bucket == Bucket::Hour || begin.hour() == 0);
                prop_assert!(bucket != Bucket::Month || begin.day() == 1);
            }
            for bucket_range in buckets {
                let next = bucket.after(bucket_range.start);
                prop_assert!(next >= bucket_range.end && (next == bucket_range.end || bucket_range.end == to));
            }
        }

        #[test]
        fn where_later_counts_too_the_hours_have_no_end(from in instants(), to in instants()) {
            let Ok(span) = Span::new(from, to) else { return Ok(()) };
            let Parts { whole, edges } = Span { and_later: true, ..span }.parts();
            prop_assert_eq!(whole.end, i64::MAX);
            let begin = begin_of(whole.start);
            prop_assert_eq!(edges, if from < begin { vec![from..begin] } else { Vec::new() });
            prop_assert!(begin - from < TimeDelta::hours(1));
        }

        #[test]
        fn whole_hours_hold_the_span_and_no_hour_more(from in instants(), to in instants()) {
            let Ok(span) = Span::new(from, to) else { return Ok(()) };
            let whole = span.in_whole_hours();
            prop_assert!(whole.from <= from && from < whole.from + TimeDelta::hours(1));
            prop_assert!(whole.to >= to && to > whole.to - TimeDelta::hours(1));
            prop_assert!(whole.parts().edges.is_empty());
        }
    }
}
