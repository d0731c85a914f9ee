//! The uptime of a service over a span, and over each of its buckets.

use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::exact;
use crate::{facts::ByStatus, span::Bucket, store::counts::Counted, uptime::Percent};

/// The uptime of a service over a stretch of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Uptime)]
pub struct UptimeAnswer {
    /// The service's id.
    pub service_id: String,
    /// When it was read.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// The window that was asked for: it begins just before `from`, and a check whose clock was ahead counts although it
    /// lies after `to`. Null for a range.
    pub window: Option<String>,
    /// Whether every check was counted by its instant. False where the range begins or ends in an hour whose checks
    /// retention removed: that hour then counts as a whole.
    pub exact: bool,
    /// All of it. While the service has been checked for less than the window, its `uptime` is null.
    #[serde(flatten)]
    pub whole: UptimeBucket,
    /// Every bucket in its order, the first and the last as far as they belong to the range; empty where none were asked
    /// for.
    pub buckets: Vec<UptimeBucket>,
}

/// Checks counted by status, and the uptime that follows.
#[derive(Debug, Serialize, ToSchema)]
pub struct UptimeBucket {
    /// Checks that began then or later.
    #[schema(format = DateTime)]
    pub from: String,
    /// Checks that began before then.
    #[schema(format = DateTime)]
    pub to: String,
    /// The percentage of checks that were online, cut (not rounded) to three decimals; null where there was no check.
    #[schema(minimum = 0, maximum = 100)]
    pub uptime: Option<f64>,
    /// All checks.
    pub total: u64,
    /// Those that were online.
    pub online: u64,
    /// Those that were degraded.
    pub degraded: u64,
    /// Timeouts.
    pub timeout: u64,
    /// Those that were offline.
    pub offline: u64,
    /// Those with a status that nobody knows.
    pub unknown: u64,
}

impl UptimeBucket {
    /// Its columns.
    pub const HEADINGS: [&str; 9] =
        ["from", "to", "uptime", "total", "online", "degraded", "timeout", "offline", "unknown"];

    fn of(span: &Range<DateTime<Utc>>, counts: ByStatus) -> UptimeBucket {
        let ByStatus { online, degraded, timeout, offline, total } = counts;
        UptimeBucket {
            from: exact(span.start),
            to: exact(span.end),
            uptime: Percent::of(online, total).map(Percent::as_f64),
            total,
            online,
            degraded,
            timeout,
            offline,
            unknown: counts.unknown(),
        }
    }

    /// What was counted in each of these spans, which are buckets. What was counted after the last belongs to it.
    pub fn each(spans: &[Range<DateTime<Utc>>], counted: &Counted, bucket: Bucket) -> Vec<UptimeBucket> {
        let mut counts = vec![ByStatus::default(); spans.len()];
        for (begin, by_status) in &counted.buckets {
            let place = spans.partition_point(|span| bucket.begin(span.start) <= *begin);
            if let Some(counts) = place.checked_sub(1).and_then(|place| counts.get_mut(place)) {
                counts.add(*by_status);
            }
        }
        spans.iter().zip(counts).map(|(span, counts)| UptimeBucket::of(span, counts)).collect()
    }

    /// All that was counted in a span.
    pub fn whole(span: &Range<DateTime<Utc>>, counted: &Counted) -> UptimeBucket {
        let mut counts = ByStatus::default();
        counted.buckets.values().for_each(|by_status| counts.add(*by_status));
        UptimeBucket::of(span, counts)
    }
}
