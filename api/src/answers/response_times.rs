//! How long the checks of a service took over a span, and over each of its buckets.

use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::Distribution;
use utoipa::ToSchema;

use super::exact;
use crate::{
    response_times::{Hour, Times},
    uptime::begin_of,
};

/// The response times of a service over a stretch of time, to the hour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResponseTimes)]
pub struct ResponseTimesAnswer {
    /// The service's id.
    pub service_id: String,
    /// When they were read.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// The window that was asked for; null for a range.
    pub window: Option<String>,
    /// All of it.
    #[serde(flatten)]
    pub whole: ResponseTimesBucket,
    /// Every bucket in its order, the first and the last as far as they belong to the range; empty where none were asked
    /// for.
    pub buckets: Vec<ResponseTimesBucket>,
}

/// How long checks took, in milliseconds: `min` and `max` exact, the quantiles within 5 %. Null where none tells.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResponseTimesBucket {
    /// From this full hour on.
    #[schema(format = DateTime)]
    pub from: String,
    /// Before this full hour.
    #[schema(format = DateTime)]
    pub to: String,
    /// All checks.
    pub total: u64,
    /// Those that tell how long they took; a timeout does, too.
    pub count: u64,
    /// The shortest.
    pub min: Option<u32>,
    /// Half of them took no longer.
    pub p50: Option<u32>,
    /// 95 of a hundred took no longer.
    pub p95: Option<u32>,
    /// 99 of a hundred took no longer.
    pub p99: Option<u32>,
    /// The longest.
    pub max: Option<u32>,
}

impl ResponseTimesBucket {
    /// Its columns.
    pub const HEADINGS: [&str; 9] = ["from", "to", "total", "count", "min", "p50", "p95", "p99", "max"];

    /// Of those of these hours, which ascend, that lie in a span of whole hours.
    pub fn of(span: &Range<DateTime<Utc>>, hours: &[Hour]) -> ResponseTimesBucket {
        let before = |instant| hours.partition_point(|hour| begin_of(hour.number) < instant);
        let inside = &hours[before(span.start)..before(span.end)];
        let mut times = Distribution::default();
        inside.iter().for_each(|hour| times.merge(&hour.times));
        let told = Times::of(&times);
        ResponseTimesBucket {
            from: exact(span.start),
            to: exact(span.end),
            total: inside.iter().map(|hour| hour.checks).sum(),
            count: times.count(),
            min: told.map(|times| times.min),
            p50: told.map(|times| times.median),
            p95: told.map(|times| times.p95),
            p99: told.map(|times| times.p99),
            max: told.map(|times| times.max),
        }
    }
}
