//! The hours of one service, and how long its checks took in each.

use std::ops::Range;

use chrono::{DateTime, Utc};
use postgres::{Error, Row, Transaction, types::Type};
use shared::Distribution;

use super::count;
use crate::{
    response_times::Hour,
    uptime::{begin_of, hour_of},
};

// $4: response times of hours that are not summarised yet are read from the checks, from this hour on: the newest few,
// and of each no more than anybody checks in an hour. What retention removed lies apart.
const HOURS: &str = "
    SELECT r.hour, r.total, r.online, CASE WHEN r.summarised THEN r.response_times END, c.response_times
    FROM status_rollups r
    CROSS JOIN LATERAL (
        SELECT array_agg(response_time) AS response_times
        FROM (SELECT response_time FROM service_checks
              WHERE NOT r.summarised AND r.hour >= $4
                AND service_id = r.service_id AND timestamp >= r.hour AND timestamp < r.hour + INTERVAL '1 hour'
                AND response_time IS NOT NULL
              ORDER BY timestamp DESC LIMIT 7200) newest
    ) c
    WHERE r.service_id = $1 AND r.hour >= $2 AND r.hour < $3 AND r.total > 0
    UNION ALL
    SELECT hour, total, online, response_times, NULL FROM status_retired
    WHERE service_id = $1 AND hour >= $2 AND hour < $3 AND total > 0
    ORDER BY 1";

/// Hours that are over for so long and still not summarised have no response times here.
const OPEN_HOURS: i64 = 3;

/// The hours of a service that have checks, ascending, of these numbers. One that retention removed checks of may come
/// several times. `now` is in the hour that goes on.
///
/// # Errors
/// Those of the database.
pub fn hours(
    transaction: &mut Transaction<'_>,
    service_id: &str,
    numbers: &Range<i64>,
    now: DateTime<Utc>,
) -> Result<Vec<Hour>, Error> {
    let open = begin_of(hour_of(now) + 1 - OPEN_HOURS);
    let rows = transaction.query_typed(
        HOURS,
        &[
            (&service_id, Type::TEXT),
            (&begin_of(numbers.start), Type::TIMESTAMPTZ),
            (&begin_of(numbers.end), Type::TIMESTAMPTZ),
            (&open, Type::TIMESTAMPTZ),
        ],
    )?;
    rows.iter().map(hour).collect()
}

fn hour(row: &Row) -> Result<Hour, Error> {
    let [checks, online] = [row.try_get::<_, i32>(1)?, row.try_get(2)?].map(|stored| count(stored.into()));
    let summarised = row.try_get::<_, Option<&[u8]>>(3)?.and_then(|bytes| Distribution::decode(bytes).ok());
    let mut times = summarised.unwrap_or_default();
    for ms in row.try_get::<_, Option<Vec<i32>>>(4)?.unwrap_or_default() {
        times.add(ms, 1);
    }
    Ok(Hour { number: hour_of(row.try_get(0)?), checks, failed: checks.saturating_sub(online), times })
}
