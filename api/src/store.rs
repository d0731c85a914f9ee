//! All SQL that reads, one function each. What is read when is the refresher's.
//!
//! Every function runs inside one transaction, READ ONLY and REPEATABLE READ, with its bounds set inside it and
//! unnamed statements: so it works on a standby and through a transaction pooler, and sees one instant.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use postgres::{
    Client, Error, IsolationLevel, Row, Transaction,
    types::{ToSql, Type},
};
use shared::{Failure, Service, Status};

use crate::{
    facts::{Facts, Newest},
    uptime::{Counts, Edge, History, Hours, hour_of},
};

// Every statement probes indexes for a few rows in their order: to compile it takes longer than to run it, and a bitmap
// loses the order.
const BOUND_EVERY_WAIT: &str = "
    SELECT set_config('statement_timeout', '10s', true), set_config('lock_timeout', '3s', true),
           set_config('jit', 'off', true), set_config('enable_bitmapscan', 'off', true)";

// The prober's tables may lie elsewhere than this role's search path leads: until the end of the transaction it leads
// there, if they exist.
const FIND_TABLES: &str = "
    SELECT set_config('search_path', relnamespace::regnamespace::text || ', pg_temp', true)
    FROM (SELECT relnamespace FROM pg_class
          WHERE relname = 'status_services_file' AND relkind = 'r'
            AND relnamespace::regnamespace::text NOT LIKE 'pg\\_%'
          ORDER BY pg_table_is_visible(oid) DESC, oid LIMIT 1) found";

const PULSE: &str = "
    SELECT revision, heartbeat_at, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8,
           pg_relation_filenode(to_regclass('service_checks'))
    FROM (SELECT (SELECT revision FROM status_services_file) AS revision,
                 (SELECT LEAST(GREATEST(max(heartbeat_at), '0001-01-01Z'), '9999-01-01Z')
                  FROM status_probers HAVING count(*) > 0) AS heartbeat_at) AS pulse";

const SERVICES: &str = "
    SELECT id::text, name, group_name, link, interval_ms, timeout_ms, slow_after_ms, tries_take_ms,
           LEAST(GREATEST(beat, '0001-01-01Z'), '9999-01-01Z')
    FROM status_services ORDER BY position";

const REVISIONS: &str =
    "SELECT service_id::text, revision, corrected FROM status_totals WHERE service_id = ANY($1::text[])";

// $2: checks after this instant lie in the future. Hours tell where an online check is without reading those after
// it; the second hour is for the case that all online checks of the first lie in the future. A timestamp
// that no RFC 3339 time can tell counts in the sums and is never the newest.
// Words are told apart here: a row of a database without an encoding may hold bytes that nobody can send.
const FACTS: &str = "
    SELECT s.id, COALESCE(t.revision, 0), GREATEST(t.recent, '0001-01-01Z'), COALESCE(t.online, 0), COALESCE(t.total, 0),
           LEAST(GREATEST(LEAST(f.timestamp, g.hour), '0001-01-01Z'), '9999-01-01Z'), o.timestamp, u.timestamp,
           n.timestamp, n.status, n.response_time, n.status_code, n.failure
    FROM unnest($1::text[]) AS s(id)
    LEFT JOIN status_totals t ON t.service_id = s.id
    LEFT JOIN LATERAL (
        SELECT timestamp, substring(status FROM '^[a-z]*$') AS status, response_time, status_code,
               substring(error FROM '^([a-z]+)(?:[ :]|$)') AS failure
        FROM service_checks
        WHERE service_id = s.id AND timestamp <= $2 AND timestamp >= '0001-01-01Z'
        ORDER BY timestamp DESC, id DESC LIMIT 1
    ) n ON TRUE
    LEFT JOIN LATERAL (
        SELECT c.timestamp
        FROM (SELECT hour FROM status_rollups
              WHERE service_id = s.id AND hour <= $2 AND hour >= '0001-01-01Z' AND online > 0
              ORDER BY hour DESC LIMIT 2) r
        CROSS JOIN LATERAL (
            SELECT timestamp FROM service_checks
            WHERE service_id = s.id AND status = 'online' AND timestamp <= $2
              AND timestamp >= r.hour AND timestamp < r.hour + INTERVAL '1 hour'
            ORDER BY timestamp DESC LIMIT 1
        ) c
        ORDER BY c.timestamp DESC LIMIT 1
    ) o ON TRUE
    LEFT JOIN LATERAL (
        SELECT COALESCE((SELECT min(c.timestamp) FROM service_checks c
                         WHERE c.service_id = s.id AND c.timestamp >= r.hour
                           AND c.timestamp <= r.hour + INTERVAL '3599.999999 s'), r.hour) AS timestamp
        FROM status_rollups r
        WHERE r.service_id = s.id AND r.total > 0
        ORDER BY r.hour LIMIT 1
    ) f ON TRUE
    LEFT JOIN LATERAL (
        SELECT hour FROM status_retired WHERE service_id = s.id ORDER BY hour LIMIT 1
    ) g ON TRUE
    LEFT JOIN LATERAL (
        SELECT timestamp FROM service_checks
        WHERE service_id = s.id AND timestamp > $2 AND timestamp < '9999-01-01Z'
        ORDER BY timestamp LIMIT 1
    ) u ON TRUE";

// One row a service: days that are over as the prober packed them, unless they were corrected since, and the hours after
// them as arrays, which are quicker sent than rows.
const HOURS: &str = "
    SELECT s.id, p.hours, h.hours, h.online, h.total
    FROM unnest($1::text[], $2::timestamptz[]) AS s(id, since)
    LEFT JOIN LATERAL (
        SELECT p.until, p.hours FROM status_packed p JOIN status_totals t USING (service_id)
        WHERE service_id = s.id AND p.revision >= t.corrected AND p.since <= s.since AND p.until > s.since
    ) p ON TRUE
    CROSS JOIN LATERAL (
        SELECT array_agg(LEAST(hour, '9999-01-01Z')) AS hours, array_agg(online) AS online, array_agg(total) AS total
        FROM (SELECT hour, online, total FROM status_rollups
              WHERE service_id = s.id AND hour >= GREATEST(s.since, p.until) AND total > 0
              ORDER BY hour) AS ascending
    ) h
    WHERE p.hours IS NOT NULL OR h.hours IS NOT NULL";

const EDGES: &str = "
    SELECT s.id, e.hour, c.timestamps, c.online
    FROM unnest($1::text[]) AS s(id)
    CROSS JOIN unnest($2::timestamptz[]) AS e(hour)
    CROSS JOIN LATERAL (
        SELECT array_agg(timestamp) AS timestamps, array_agg(status = 'online') AS online
        FROM service_checks
        WHERE service_id = s.id AND timestamp >= e.hour AND timestamp < e.hour + INTERVAL '1 hour'
    ) c
    WHERE c.timestamps IS NOT NULL";

const CHECKS_LIE_IN: &str = "SELECT pg_relation_filenode(to_regclass('service_checks'))";

const LISTEN: &str = "LISTEN status_changed";

/// How far in the future a check may lie and still count as newest: clocks differ.
pub const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// One transaction that reads, and sees one instant.
///
/// # Errors
/// Those of the database.
pub fn read<T>(
    client: &mut Client,
    look: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut transaction =
        client.build_transaction().read_only(true).isolation_level(IsolationLevel::RepeatableRead).start()?;
    transaction.query_typed(BOUND_EVERY_WAIT, &[])?;
    let seen = look(&mut transaction)?;
    transaction.commit()?;
    Ok(seen)
}

/// What tells whether anything changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pulse {
    /// Grows with every change of the services in force.
    pub services_revision: i64,
    /// The newest heartbeat of any prober and how old it is, both by the database's clock.
    pub heartbeat: Option<(DateTime<Utc>, TimeDelta)>,
    /// The file that the checks lie in: another one when the table was rewritten.
    pub checks_lie_in: Option<u32>,
}

/// The pulse; `None` where no prober has prepared the database yet.
///
/// # Errors
/// Those of the database.
pub fn pulse(transaction: &mut Transaction<'_>) -> Result<Option<Pulse>, Error> {
    if transaction.query_typed_opt(FIND_TABLES, &[])?.is_none() {
        return Ok(None);
    }
    let row = transaction.query_typed_one(PULSE, &[])?;
    let age = |seconds: f64| TimeDelta::microseconds((seconds.max(0.0) * 1e6) as i64);
    Ok(Some(Pulse {
        services_revision: row.try_get::<_, Option<i64>>(0)?.unwrap_or(0),
        heartbeat: row.try_get::<_, Option<_>>(1)?.zip(row.try_get::<_, Option<f64>>(2)?.map(age)),
        checks_lie_in: row.try_get(3)?,
    }))
}

/// The file that the checks lie in by now, not as of the begin of the transaction: who waited for a table that was
/// rewritten meanwhile found it empty.
///
/// # Errors
/// Those of the database.
pub fn checks_lie_in(transaction: &mut Transaction<'_>) -> Result<Option<u32>, Error> {
    transaction.query_typed_one(CHECKS_LIE_IN, &[])?.try_get(0)
}

/// The services in force, in the order of the page.
///
/// # Errors
/// Those of the database.
pub fn services(transaction: &mut Transaction<'_>) -> Result<Vec<Arc<Service>>, Error> {
    transaction.query_typed(SERVICES, &[])?.iter().map(|row| service(row).map(Arc::new)).collect()
}

fn service(row: &Row) -> Result<Service, Error> {
    let milliseconds = |column| {
        row.try_get::<_, i64>(column).map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    };
    Ok(Service {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        group: row.try_get(2)?,
        link: row.try_get(3)?,
        interval: milliseconds(4)?,
        timeout: milliseconds(5)?,
        slow_after: milliseconds(6)?,
        tries_take: milliseconds(7)?,
        beat: row.try_get(8)?,
    })
}

/// How a service's checks changed: `corrected` is the newest revision that reached back beyond its recent hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revision {
    /// Grows with every change.
    pub revision: i64,
    /// At most `revision`.
    pub corrected: i64,
}

/// The revision of each of these services that ever had a check.
///
/// # Errors
/// Those of the database.
pub fn revisions(
    transaction: &mut Transaction<'_>,
    ids: &[&str],
) -> Result<HashMap<String, Revision>, Error> {
    let rows = transaction.query_typed(REVISIONS, &[(&ids, Type::TEXT_ARRAY)])?;
    let revision = |row: &Row| Ok(Revision { revision: row.try_get(1)?, corrected: row.try_get(2)? });
    rows.iter().map(|row| Ok((row.try_get(0)?, revision(row)?))).collect()
}

/// What is known of these services at `as_of`, but for the hours and the edges of their histories.
///
/// # Errors
/// Those of the database.
pub fn facts(
    transaction: &mut Transaction<'_>,
    ids: &[&str],
    as_of: DateTime<Utc>,
) -> Result<Vec<(String, Facts)>, Error> {
    let now = as_of + CLOCKS_DIFFER;
    let rows = transaction.query_typed(FACTS, &[(&ids, Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)])?;
    rows.iter().map(|row| Ok((row.try_get(0)?, facts_of(row)?))).collect()
}

fn facts_of(row: &Row) -> Result<Facts, Error> {
    let newest = match row.try_get::<_, Option<DateTime<Utc>>>(8)? {
        None => None,
        Some(timestamp) => Some(Newest {
            timestamp,
            status: Status::from_word(row.try_get::<_, Option<&str>>(9)?.unwrap_or_default()),
            response_time_ms: row.try_get(10)?,
            status_code: row.try_get(11)?,
            failure: row.try_get::<_, Option<&str>>(12)?.and_then(Failure::of_error),
        }),
    };
    let history = History {
        all_time: Counts { online: count(row.try_get(3)?), total: count(row.try_get(4)?) },
        first_check: row.try_get(5)?,
        ..History::default()
    };
    Ok(Facts {
        revision: row.try_get(1)?,
        recent: row.try_get::<_, Option<DateTime<Utc>>>(2)?.map_or(0, hour_of),
        history,
        newest,
        last_online: row.try_get(6)?,
        upcoming: row.try_get(7)?,
    })
}

/// The counted hours of each of these services from the begin of the hour of that number on; none where there is none.
///
/// # Errors
/// Those of the database.
pub fn hours(
    transaction: &mut Transaction<'_>,
    ids: &[&str],
    since: &[i64],
) -> Result<HashMap<String, Hours>, Error> {
    let since: Vec<DateTime<Utc>> = since.iter().map(|hour| begin_of(*hour)).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&ids, Type::TEXT_ARRAY), (&since, Type::TIMESTAMPTZ_ARRAY)];
    let rows = transaction.query_typed(HOURS, &parameters)?;
    rows.iter().map(|row| Ok((row.try_get(0)?, hours_of(row)?))).collect()
}

fn hours_of(row: &Row) -> Result<Hours, Error> {
    let packed = row.try_get::<_, Option<&[u8]>>(1)?.unwrap_or_default();
    let hours = row.try_get::<_, Option<Vec<DateTime<Utc>>>>(2)?.unwrap_or_default();
    let online = row.try_get::<_, Option<Vec<i32>>>(3)?.unwrap_or_default();
    let total = row.try_get::<_, Option<Vec<i32>>>(4)?.unwrap_or_default();
    let counts =
        |(online, total): (i32, i32)| Counts { online: count(online.into()), total: count(total.into()) };
    let newer = hours.into_iter().map(hour_of).zip(online.into_iter().zip(total).map(counts));
    let (packed, _) = packed.as_chunks::<4>();
    let (packed, _) = packed.as_chunks::<3>();
    let older = packed.iter().map(|hour| {
        let [hour, online, total] = hour.map(i32::from_be_bytes);
        (i64::from(hour), counts((online, total)))
    });
    Ok(older.chain(newer).collect())
}

/// The raw checks of hours of these numbers, by service; none where there is none.
///
/// # Errors
/// Those of the database.
pub fn edges(
    transaction: &mut Transaction<'_>,
    ids: &[&str],
    hours: &[i64],
) -> Result<HashMap<String, Vec<Edge>>, Error> {
    let hours: Vec<DateTime<Utc>> = hours.iter().map(|hour| begin_of(*hour)).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&ids, Type::TEXT_ARRAY), (&hours, Type::TIMESTAMPTZ_ARRAY)];
    let mut edges: HashMap<String, Vec<Edge>> = HashMap::new();
    for row in transaction.query_typed(EDGES, &parameters)? {
        let (timestamps, online): (Vec<DateTime<Utc>>, Vec<bool>) = (row.try_get(2)?, row.try_get(3)?);
        let edge = Edge::new(hour_of(row.try_get(1)?), timestamps.into_iter().zip(online));
        edges.entry(row.try_get(0)?).or_default().push(edge);
    }
    Ok(edges)
}

/// Asks to be told of changes. A standby refuses, and behind a transaction pooler nobody is told: it is a hint.
///
/// # Errors
/// Those of the database; the connection remains good.
pub fn listen(client: &mut Client) -> Result<(), Error> {
    client.query_typed(LISTEN, &[]).map(drop)
}

fn begin_of(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(hour.saturating_mul(3600), 0).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Counts never go below zero, but for rows that somebody wrote into the rollups by hand.
fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
