//! Recorded checks of one service, newest first.

use chrono::{DateTime, Utc};
use postgres::{
    Error, Row, Transaction,
    types::{ToSql, Type},
};
use shared::{Failure, Status};

// Bytes that no encoding vouches for reach nobody as text, and what an error says beyond its class is the operator's.
macro_rules! columns {
    () => {
        "id::bigint, timestamp, substring(status FROM '^[a-z]*$'), response_time, status_code,
         substring(error FROM '^([a-z]+)(?:[ :]|$)')"
    };
}

// $2 and $3: from this instant on, before that one; $4 and $5: after this one in the order. Instants that RFC 3339 can't
// tell are nobody's.
const CHECKS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM service_checks
    WHERE service_id = $1 AND timestamp >= COALESCE($2, '0001-01-01Z') AND timestamp < COALESCE($3, '9999-01-01Z')
      AND timestamp <= COALESCE($4, '9999-01-01Z') AND (timestamp < $4 OR id < $5)
    ORDER BY timestamp DESC, id DESC LIMIT $6"
);

// $7: of these statuses; a word that nobody knows is `unknown`. The hours that have one tell where they are, so that what
// lies between costs nothing.
const CHECKS_OF_STATUSES: &str = concat!(
    "SELECT c.* FROM (
        SELECT hour FROM status_rollups
        WHERE service_id = $1 AND hour >= date_trunc('hour', COALESCE($2, '0001-01-01Z'), 'UTC')
          AND hour < COALESCE($3, '9999-01-01Z') AND hour <= COALESCE($4, '9999-01-01Z')
          AND (online > 0 AND 'online' = ANY($7) OR degraded > 0 AND 'degraded' = ANY($7)
               OR timeout > 0 AND 'timeout' = ANY($7) OR offline > 0 AND 'offline' = ANY($7)
               OR total > online + degraded + timeout + offline AND 'unknown' = ANY($7))
        ORDER BY hour DESC
    ) h CROSS JOIN LATERAL (
        SELECT ",
    columns!(),
    " FROM service_checks
        WHERE service_id = $1 AND timestamp >= GREATEST(h.hour, $2)
          AND timestamp < LEAST(h.hour + INTERVAL '1 hour', $3)
          AND timestamp <= COALESCE($4, '9999-01-01Z') AND (timestamp < $4 OR id < $5)
          AND CASE WHEN status IN ('online', 'degraded', 'timeout', 'offline') THEN status ELSE 'unknown' END = ANY($7)
        ORDER BY timestamp DESC, id DESC
    ) c ORDER BY h.hour DESC, c.timestamp DESC, c.id DESC LIMIT $6"
);

/// A recorded check, as its row tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number in the database.
    pub id: i64,
    /// When its first try began.
    pub timestamp: DateTime<Utc>,
    /// What it found.
    pub status: Status,
    /// Whole milliseconds.
    pub response_time_ms: Option<i32>,
    /// The final HTTP status.
    pub status_code: Option<i32>,
    /// Why it was not online, where the row says so in the prober's words.
    pub failure: Option<Failure>,
}

/// Which checks, in the order of the newest first.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Of the service of this id.
    pub service_id: &'a str,
    /// That began then or later.
    pub from: Option<DateTime<Utc>>,
    /// That began before then.
    pub to: Option<DateTime<Utc>>,
    /// That come after the one of this instant and number.
    pub after: Option<(DateTime<Utc>, i64)>,
    /// Of these statuses; `None` for all.
    pub statuses: Option<&'a [Status]>,
    /// How many at the most.
    pub limit: i64,
}

/// The newest checks of those that are wanted.
///
/// # Errors
/// Those of the database.
pub fn checks(transaction: &mut Transaction<'_>, wanted: &Wanted<'_>) -> Result<Vec<Recorded>, Error> {
    let (at, id) = (wanted.after.map(|(at, _)| at), wanted.after.map_or(i64::MAX, |(_, id)| id));
    let words: Option<Vec<&str>> =
        wanted.statuses.map(|statuses| statuses.iter().map(|status| status.as_str()).collect());
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
        (&wanted.service_id, Type::TEXT),
        (&wanted.from, Type::TIMESTAMPTZ),
        (&wanted.to, Type::TIMESTAMPTZ),
        (&at, Type::TIMESTAMPTZ),
        (&id, Type::INT8),
        (&wanted.limit, Type::INT8),
    ];
    let statement = match &words {
        None => CHECKS,
        Some(words) => {
            parameters.push((words, Type::TEXT_ARRAY));
            CHECKS_OF_STATUSES
        }
    };
    transaction.query_typed(statement, &parameters)?.iter().map(recorded).collect()
}

fn recorded(row: &Row) -> Result<Recorded, Error> {
    Ok(Recorded {
        id: row.try_get(0)?,
        timestamp: row.try_get(1)?,
        status: Status::from_word(row.try_get::<_, Option<&str>>(2)?.unwrap_or_default()),
        response_time_ms: row.try_get(3)?,
        status_code: row.try_get(4)?,
        failure: row.try_get::<_, Option<&str>>(5)?.and_then(Failure::of_error),
    })
}
