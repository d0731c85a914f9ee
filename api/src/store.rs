//! All SQL that reads, one function each. What is read when is the refresher's.
//!
//! Every function runs inside one transaction, READ ONLY and REPEATABLE READ, with its bounds set inside it and
//! unnamed statements: so it works on a standby and through a transaction pooler, and sees one instant.

pub mod checks;
pub mod counts;
pub mod hours;

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use postgres::{
    Client, Error, IsolationLevel, Row, Transaction,
    types::{ToSql, Type},
};
use shared::{Distribution, Failure, Service, Status};

use crate::{
    facts::{Facts, Newest},
    outages::Run,
    packed,
    series::Series,
    uptime::{Counts, Edge, History, Hours, begin_of, hour_of},
};

// Every statement probes indexes for a few rows in their order: to compile it takes longer than to run it, and a bitmap
// loses the order.
const BOUND_EVERY_WAIT: &str = "
    SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', '3s', true),
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
// them as arrays, which are quicker sent than rows. $3: what is packed reaches back as far as is shown; $4: response times
// of hours from this one on.
const COUNTED: &str = "
    SELECT s.id, p.until, p.hours, p.days, p.response_times, p.runs::text,
           h.hours, h.online, h.degraded, h.timeout, h.offline, h.total, h.response_times
    FROM unnest($1::text[], $2::timestamptz[]) AS s(id, since)
    LEFT JOIN LATERAL (
        SELECT p.until, p.hours, p.days, p.response_times, p.runs
        FROM status_packed p JOIN status_totals t USING (service_id)
        WHERE service_id = s.id AND p.revision >= t.corrected AND p.since <= $3 AND p.until > s.since
    ) p ON TRUE
    CROSS JOIN LATERAL (
        SELECT array_agg(LEAST(hour, '9999-01-01Z')) AS hours, array_agg(online) AS online,
               array_agg(degraded) AS degraded, array_agg(timeout) AS timeout, array_agg(offline) AS offline,
               array_agg(total) AS total,
               array_agg(CASE WHEN summarised AND hour >= $4 THEN response_times END) AS response_times
        FROM (SELECT * FROM status_rollups
              WHERE service_id = s.id AND hour >= GREATEST(s.since, p.until) AND total > 0
              ORDER BY hour) AS ascending
    ) h
    WHERE p.until IS NOT NULL OR h.hours IS NOT NULL";

// $2: the runs in hours from this one on, each of its own service; $3: of checks before this.
const RUNS: &str = "
    SELECT s.id, status_runs(s.id, s.since, $3)::text
    FROM unnest($1::text[], $2::timestamptz[]) AS s(id, since)";

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

/// What the page waits for may take this long.
pub const STATEMENT_TAKES: Duration = Duration::from_secs(10);

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
    read_within(client, STATEMENT_TAKES, look)
}

/// The same, in which no statement takes longer than this.
///
/// # Errors
/// Those of the database.
pub fn read_within<T>(
    client: &mut Client,
    longest: Duration,
    look: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut transaction =
        client.build_transaction().read_only(true).isolation_level(IsolationLevel::RepeatableRead).start()?;
    let longest = format!("{}ms", longest.as_millis());
    transaction.query_typed(BOUND_EVERY_WAIT, &[(&longest, Type::TEXT)])?;
    let seen = look(&mut transaction)?;
    transaction.commit()?;
    Ok(seen)
}

/// Leads the rest of the transaction to the prober's tables; `false` where there are none.
///
/// # Errors
/// Those of the database.
pub fn find_tables(transaction: &mut Transaction<'_>) -> Result<bool, Error> {
    Ok(transaction.query_typed_opt(FIND_TABLES, &[])?.is_some())
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
    if !find_tables(transaction)? {
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
        ..Facts::default()
    })
}

/// What is counted of a service, from the begin of an hour on.
#[derive(Debug, Default)]
pub struct Counted {
    /// Its hours.
    pub hours: Hours,
    /// Its UTC days, by the days since 1970: [`crate::facts::ByStatus`]. The first may begin before those hours.
    pub days: Series<5>,
    /// The response times of those of its hours that are summarised and lie in the last week, ascending.
    pub response_times: Vec<(i64, Distribution)>,
    /// The runs of checks that were not online, in the hours before `runs_until`.
    pub runs: Vec<Run>,
    /// The number of an hour; the first of all where none is known.
    pub runs_until: i64,
}

/// What is counted of each of these services, from the begin of the hour of that number on: the first of a UTC day. None
/// where there is nothing. `month` and `week` are the hours that the longest window and the response times begin in.
///
/// # Errors
/// Those of the database.
pub fn counted(
    transaction: &mut Transaction<'_>,
    ids: &[&str],
    since: &[i64],
    month: i64,
    week: i64,
) -> Result<HashMap<String, Counted>, Error> {
    let since: Vec<DateTime<Utc>> = since.iter().map(|hour| begin_of(*hour)).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&ids, Type::TEXT_ARRAY),
        (&since, Type::TIMESTAMPTZ_ARRAY),
        (&begin_of(month), Type::TIMESTAMPTZ),
        (&begin_of(week), Type::TIMESTAMPTZ),
    ];
    let rows = transaction.query_typed(COUNTED, &parameters)?;
    rows.iter().map(|row| Ok((row.try_get(0)?, counted_of(row)?))).collect()
}

fn counted_of(row: &Row) -> Result<Counted, Error> {
    let bytes = |column| row.try_get::<_, Option<&[u8]>>(column).map(Option::unwrap_or_default);
    let newer = newer_hours(row)?;
    let times = row.try_get::<_, Option<Vec<Option<&[u8]>>>>(12)?.unwrap_or_default();
    let newer_times = newer.iter().zip(times);
    let newer_times =
        newer_times.filter_map(|((hour, _), bytes)| Some((*hour, Distribution::decode(bytes?).ok()?)));
    let counts = |[online, .., total]: [u64; 5]| Counts { online, total };
    let older = packed::rows(bytes(2)?).map(|(hour, [online, total])| (hour, Counts { online, total }));
    Ok(Counted {
        hours: older.chain(newer.iter().map(|(hour, by_status)| (*hour, counts(*by_status)))).collect(),
        days: with_hours(packed::rows(bytes(3)?).collect(), &newer),
        response_times: packed::response_times(bytes(4)?).into_iter().chain(newer_times).collect(),
        runs: packed::runs(row.try_get::<_, Option<&str>>(5)?.unwrap_or("[]")),
        runs_until: row.try_get::<_, Option<DateTime<Utc>>>(1)?.map_or(i64::MIN, hour_of),
    })
}

/// The hours that are not packed, and their checks by status.
fn newer_hours(row: &Row) -> Result<Vec<(i64, [u64; 5])>, Error> {
    let hours = row.try_get::<_, Option<Vec<DateTime<Utc>>>>(6)?.unwrap_or_default();
    let mut newer: Vec<(i64, [u64; 5])> = hours.into_iter().map(|hour| (hour_of(hour), [0; 5])).collect();
    for status in 0..5 {
        let counts = row.try_get::<_, Option<Vec<i32>>>(7 + status)?.unwrap_or_default();
        newer
            .iter_mut()
            .zip(counts)
            .for_each(|((_, by_status), stored)| by_status[status] = count(stored.into()));
    }
    Ok(newer)
}

/// Days that are packed, and those of the hours after them.
fn with_hours(mut days: Vec<(i64, [u64; 5])>, hours: &[(i64, [u64; 5])]) -> Series<5> {
    for (hour, counts) in hours {
        let day = hour.div_euclid(24);
        match days.last_mut().filter(|(last, _)| *last == day) {
            Some((_, sum)) => sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
            None => days.push((day, *counts)),
        }
    }
    days.into_iter().collect()
}

/// The runs of checks that were not online, of checks before `until`, in the hours of each of these services from that
/// number on.
///
/// # Errors
/// Those of the database.
pub fn runs(
    transaction: &mut Transaction<'_>,
    ids: &[&str],
    since: &[i64],
    until: DateTime<Utc>,
) -> Result<Vec<(String, Vec<Run>)>, Error> {
    let since: Vec<DateTime<Utc>> = since.iter().map(|hour| begin_of(*hour)).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&ids, Type::TEXT_ARRAY), (&since, Type::TIMESTAMPTZ_ARRAY), (&until, Type::TIMESTAMPTZ)];
    let rows = transaction.query_typed(RUNS, &parameters)?;
    rows.iter().map(|row| Ok((row.try_get(0)?, packed::runs(row.try_get(1)?)))).collect()
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

/// Counts never go below zero, but for rows that somebody wrote into the rollups by hand.
fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
