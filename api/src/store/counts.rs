//! Counted checks of one service within a span, exact where raw checks are, and to the hour where retention removed them.

use std::{collections::BTreeMap, ops::Range};

use chrono::{DateTime, Utc};
use postgres::{Error, Row, Transaction, types::Type};

use super::count;
use crate::{
    facts::ByStatus,
    span::{Bucket, Parts, Span},
    uptime::{begin_of, hour_of},
};

// Each check is in one of both: what retention removes, it moves.
const COUNTED: &str = "
    SELECT GREATEST(LEAST(date_trunc($4, hour, 'UTC'), '9999-01-01Z'), '0001-01-01Z'), sum(online)::bigint,
           sum(degraded)::bigint, sum(timeout)::bigint, sum(offline)::bigint, sum(total)::bigint
    FROM unnest($2::timestamptz[], $3::timestamptz[]) AS s(since, until)
    CROSS JOIN LATERAL (
        SELECT hour, online, degraded, timeout, offline, total FROM status_rollups
        WHERE service_id = $1 AND hour >= COALESCE(s.since, '-infinity') AND (hour < s.until OR s.until IS NULL)
        UNION ALL
        SELECT hour, online, degraded, timeout, offline, total FROM status_retired
        WHERE service_id = $1 AND hour >= COALESCE(s.since, '-infinity') AND (hour < s.until OR s.until IS NULL)
    ) counted
    GROUP BY 1 HAVING sum(total) > 0 ORDER BY 1";

const RAW: &str = "
    SELECT s.since, count(*) FILTER (WHERE status = 'online'), count(*) FILTER (WHERE status = 'degraded'),
           count(*) FILTER (WHERE status = 'timeout'), count(*) FILTER (WHERE status = 'offline'), count(*)
    FROM unnest($2::timestamptz[], $3::timestamptz[]) AS s(since, until)
    JOIN service_checks ON service_id = $1 AND timestamp >= s.since AND timestamp < s.until
    GROUP BY 1";

const RETIRED: &str = "
    SELECT DISTINCT hour FROM status_retired WHERE service_id = $1 AND hour = ANY($2) AND total > 0";

// Of a check that retention removed, the hour is known.
const FIRST: &str = "
    SELECT GREATEST(min(first), '0001-01-01Z') FROM (
        (SELECT COALESCE((SELECT min(timestamp) FROM service_checks
                          WHERE service_id = $1 AND timestamp >= r.hour AND timestamp <= r.hour + INTERVAL '3599.999999 s'),
                         r.hour) AS first
         FROM status_rollups r WHERE service_id = $1 AND total > 0 ORDER BY hour LIMIT 1)
        UNION ALL
        (SELECT hour FROM status_retired WHERE service_id = $1 ORDER BY hour LIMIT 1)) AS firsts";

/// Checks counted by status.
#[derive(Debug, Default)]
pub struct Counted {
    /// By the begin of the bucket that they lie in, ascending: an hour, a day or a month.
    pub buckets: BTreeMap<DateTime<Utc>, ByStatus>,
    /// Whether an hour at an end counts as a whole, since retention removed its checks.
    pub to_the_hour: bool,
}

/// When the first check of this service began, to the hour where retention removed it; `None` where there was none.
///
/// # Errors
/// Those of the database.
pub fn first_check(
    transaction: &mut Transaction<'_>,
    service_id: &str,
) -> Result<Option<DateTime<Utc>>, Error> {
    transaction.query_typed_one(FIRST, &[(&service_id, Type::TEXT)])?.try_get(0)
}

/// The checks of a service within a span; of all time where there is none.
///
/// # Errors
/// Those of the database.
pub fn counted(
    transaction: &mut Transaction<'_>,
    service_id: &str,
    span: Option<Span>,
    bucket: Bucket,
) -> Result<Counted, Error> {
    let Some(span) = span else {
        let buckets = whole_hours(transaction, service_id, &[(None, None)], bucket)?;
        return Ok(Counted { buckets, to_the_hour: false });
    };
    let Parts { whole, edges } = span.parts();
    let hours: Vec<DateTime<Utc>> = edges.iter().map(|edge| begin_of(hour_of(edge.start))).collect();
    let retired = retired(transaction, service_id, &hours)?;
    let is_retired = |hour: &DateTime<Utc>| retired.contains(hour);
    let mut ranges: Vec<_> =
        retired.iter().map(|hour| (Some(*hour), Some(begin_of(hour_of(*hour) + 1)))).collect();
    if !whole.is_empty() {
        ranges.push((Some(begin_of(whole.start)), (whole.end < i64::MAX).then(|| begin_of(whole.end))));
    }
    let mut buckets = whole_hours(transaction, service_id, &ranges, bucket)?;
    let raw: Vec<Range<DateTime<Utc>>> =
        edges.into_iter().zip(&hours).filter(|(_, hour)| !is_retired(hour)).map(|(edge, _)| edge).collect();
    for (since, counts) in raw_checks(transaction, service_id, &raw)? {
        buckets.entry(bucket.begin(since)).or_default().add(counts);
    }
    Ok(Counted { buckets, to_the_hour: !retired.is_empty() })
}

type Bounds = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

fn whole_hours(
    transaction: &mut Transaction<'_>,
    service_id: &str,
    ranges: &[Bounds],
    bucket: Bucket,
) -> Result<BTreeMap<DateTime<Utc>, ByStatus>, Error> {
    let (since, until): (Vec<_>, Vec<_>) = ranges.iter().copied().unzip();
    let rows = transaction.query_typed(
        COUNTED,
        &[
            (&service_id, Type::TEXT),
            (&since, Type::TIMESTAMPTZ_ARRAY),
            (&until, Type::TIMESTAMPTZ_ARRAY),
            (&bucket.word(), Type::TEXT),
        ],
    )?;
    rows.iter().map(|row| Ok((row.try_get(0)?, by_status(row)?))).collect()
}

fn raw_checks(
    transaction: &mut Transaction<'_>,
    service_id: &str,
    ranges: &[Range<DateTime<Utc>>],
) -> Result<Vec<(DateTime<Utc>, ByStatus)>, Error> {
    let (since, until): (Vec<_>, Vec<_>) = ranges.iter().map(|range| (range.start, range.end)).unzip();
    let rows = transaction.query_typed(
        RAW,
        &[(&service_id, Type::TEXT), (&since, Type::TIMESTAMPTZ_ARRAY), (&until, Type::TIMESTAMPTZ_ARRAY)],
    )?;
    rows.iter().map(|row| Ok((row.try_get(0)?, by_status(row)?))).collect()
}

fn retired(
    transaction: &mut Transaction<'_>,
    service_id: &str,
    hours: &[DateTime<Utc>],
) -> Result<Vec<DateTime<Utc>>, Error> {
    let rows =
        transaction.query_typed(RETIRED, &[(&service_id, Type::TEXT), (&hours, Type::TIMESTAMPTZ_ARRAY)])?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

fn by_status(row: &Row) -> Result<ByStatus, Error> {
    let stored = |column| Ok::<u64, Error>(count(row.try_get(column)?));
    Ok(ByStatus {
        online: stored(1)?,
        degraded: stored(2)?,
        timeout: stored(3)?,
        offline: stored(4)?,
        total: stored(5)?,
    })
}
