//! Counted checks of one service within a span, exact where raw checks are, and to the hour where retention removed them.

use std::{collections::BTreeMap, ops::Range};

use chrono::{DateTime, Utc};
use postgres::{
    Error, Row, Transaction,
    types::{Timestamp, Type},
};

use super::count;
use crate::{
    facts::ByStatus,
    span::{Bucket, Parts, Span},
    uptime::{begin_of, hour_of},
};

// Each check is in one of both: what retention removes, it moves. $2 and $3: the first hour and the last. One range a
// statement, here and in `RAW`: the planner sees how short it is. Of ranges that come as rows it expects a two-hundredth of
// all checks, and reads the whole table for them.
const COUNTED: &str = "
    SELECT GREATEST(LEAST(date_trunc($4, hour, 'UTC'), '9999-01-01Z'), '0001-01-01Z'), sum(online)::bigint,
           sum(degraded)::bigint, sum(timeout)::bigint, sum(offline)::bigint, sum(total)::bigint
    FROM (
        SELECT hour, online, degraded, timeout, offline, total FROM status_rollups
        WHERE service_id = $1 AND hour >= $2 AND hour <= $3
        UNION ALL
        SELECT hour, online, degraded, timeout, offline, total FROM status_retired
        WHERE service_id = $1 AND hour >= $2 AND hour <= $3
    ) counted
    GROUP BY 1 HAVING sum(total) > 0";

const RAW: &str = "
    SELECT count(*) FILTER (WHERE status = 'online'), count(*) FILTER (WHERE status = 'degraded'),
           count(*) FILTER (WHERE status = 'timeout'), count(*) FILTER (WHERE status = 'offline'), count(*)
    FROM service_checks WHERE service_id = $1 AND timestamp >= $2 AND timestamp < $3";

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
    let mut counted = Counted::default();
    let Some(span) = span else {
        let all = (Timestamp::NegInfinity, Timestamp::PosInfinity);
        counted.add_hours(transaction, service_id, all, bucket)?;
        return Ok(counted);
    };
    let Parts { whole, edges } = span.parts();
    if !whole.is_empty() {
        let last = if whole.end < i64::MAX { hour(whole.end - 1) } else { Timestamp::PosInfinity };
        counted.add_hours(transaction, service_id, (hour(whole.start), last), bucket)?;
    }
    let hours: Vec<DateTime<Utc>> = edges.iter().map(|edge| begin_of(hour_of(edge.start))).collect();
    let retired = retired(transaction, service_id, &hours)?;
    for at in &retired {
        let hour = Timestamp::Value(*at);
        counted.add_hours(transaction, service_id, (hour, hour), bucket)?;
    }
    for (edge, _) in edges.iter().zip(&hours).filter(|(_, hour)| !retired.contains(hour)) {
        counted.add_checks(transaction, service_id, edge, bucket)?;
    }
    counted.to_the_hour = !retired.is_empty();
    Ok(counted)
}

/// The begin of an hour, or what lies before or after all of them.
type At = Timestamp<DateTime<Utc>>;

fn hour(number: i64) -> At {
    Timestamp::Value(begin_of(number))
}

impl Counted {
    /// What is counted of the hours from the first to the last.
    fn add_hours(
        &mut self,
        transaction: &mut Transaction<'_>,
        service_id: &str,
        (first, last): (At, At),
        bucket: Bucket,
    ) -> Result<(), Error> {
        let rows = transaction.query_typed(
            COUNTED,
            &[
                (&service_id, Type::TEXT),
                (&first, Type::TIMESTAMPTZ),
                (&last, Type::TIMESTAMPTZ),
                (&bucket.word(), Type::TEXT),
            ],
        )?;
        for row in &rows {
            self.add(row.try_get(0)?, by_status(row, 1)?);
        }
        Ok(())
    }

    /// The checks themselves of a part of an hour.
    fn add_checks(
        &mut self,
        transaction: &mut Transaction<'_>,
        service_id: &str,
        part: &Range<DateTime<Utc>>,
        bucket: Bucket,
    ) -> Result<(), Error> {
        let row = transaction.query_typed_one(
            RAW,
            &[(&service_id, Type::TEXT), (&part.start, Type::TIMESTAMPTZ), (&part.end, Type::TIMESTAMPTZ)],
        )?;
        self.add(bucket.begin(part.start), by_status(&row, 0)?);
        Ok(())
    }

    fn add(&mut self, bucket: DateTime<Utc>, counts: ByStatus) {
        self.buckets.entry(bucket).or_default().add(counts);
    }
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

fn by_status(row: &Row, first_column: usize) -> Result<ByStatus, Error> {
    let stored = |column| Ok::<u64, Error>(count(row.try_get(first_column + column)?));
    Ok(ByStatus {
        online: stored(0)?,
        degraded: stored(1)?,
        timeout: stored(2)?,
        offline: stored(3)?,
        total: stored(4)?,
    })
}
