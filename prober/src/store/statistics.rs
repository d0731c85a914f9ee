//! The SQL that keeps the statistics: summarises hours that are over, removes old checks without changing a figure, and
//! counts everything anew. Each function is one short transaction, but for the last. When they run is `upkeep`'s.
//!
//! An hour is told by the seconds from 1970 to its begin: `f64`, since hands write `-infinity` and years before Christ.

use chrono::{DateTime, Utc};
use postgres::{
    Client, Error, Row, Transaction,
    types::{ToSql, Type},
};
use shared::Distribution;

use super::column;

/// The key of the advisory lock that whoever does upkeep holds for one step: "upkeep" in ASCII.
pub const LOCK_KEY: i64 = 0x7570_6b65_6570;

const TAKE_LOCK: &str = "SELECT pg_try_advisory_xact_lock($1)";

const NOW: &str = "SELECT clock_timestamp()";

// Before any row: who empties the table locks it first and the rollups then.
const LOCK_AGAINST_TRUNCATE: &str = "LOCK TABLE service_checks IN ACCESS SHARE MODE";

// Whoever changes a check of such an hour waits for the end of the transaction, and marks the hour to be done again.
// Newest first: they are looked at most. $1: no hour after this one. Nobody waits here: what somebody else has locked
// is left for the next time.
const LOCK_OPEN_HOURS: &str = "
    SELECT service_id, extract(epoch FROM hour)::float8 FROM status_rollups
    WHERE NOT summarised AND hour <= to_timestamp($1)
    ORDER BY hour DESC LIMIT $2 FOR UPDATE SKIP LOCKED";

// The last microsecond of an hour, not the first of the next: infinity plus an hour is infinity. Grouped inside, so that
// the index leads to each hour whatever the planner knows of the table.
const RESPONSE_TIMES: &str = "
    SELECT h.n, c.response_time, c.count
    FROM unnest($1::text[], $2::float8[]) WITH ORDINALITY AS h(service_id, hour, n)
    CROSS JOIN LATERAL (
        SELECT response_time, count(*) AS count FROM service_checks
        WHERE service_id = h.service_id AND response_time IS NOT NULL
          AND timestamp BETWEEN to_timestamp(h.hour) AND to_timestamp(h.hour) + INTERVAL '3599.999999 s'
        GROUP BY response_time
    ) c";

const SUMMARISE: &str = "
    UPDATE status_rollups r SET summarised = TRUE, response_times = d.response_times
    FROM (SELECT service_id, to_timestamp(hour) AS hour, response_times
          FROM unnest($1::text[], $2::float8[], $3::bytea[]) AS u(service_id, hour, response_times)) d
    WHERE r.service_id = d.service_id AND r.hour = d.hour";

const PACK: &str = "SELECT status_pack($1)";

// One look into the index for each service, however long its history is.
const SERVICES_WITH_HOURS_BEFORE: &str = "
    SELECT t.service_id FROM status_totals t
    CROSS JOIN LATERAL (
        SELECT FROM status_rollups
        WHERE service_id = t.service_id AND hour > '-infinity' AND hour < $1
        ORDER BY hour LIMIT 1
    ) r
    ORDER BY t.service_id";

// $1 service, $2 after this hour, $3 before this one, $4 now. The hours of the newest check and of the newest online
// one stay, by the words of the api: neither lies further ahead than clocks differ.
const OLD_HOURS: &str = "
    SELECT extract(epoch FROM hour)::float8, total FROM status_rollups
    WHERE service_id = $1 AND hour > to_timestamp($2) AND hour < $3
      AND hour <> ALL (ARRAY(
          (SELECT date_trunc('hour', timestamp, 'UTC') FROM service_checks
           WHERE service_id = $1 AND timestamp <= $4 + INTERVAL '60 s'
           ORDER BY timestamp DESC LIMIT 1)
          UNION ALL
          (SELECT hour FROM (SELECT hour FROM status_rollups
                             WHERE service_id = $1 AND online > 0 AND hour <= $4 + INTERVAL '60 s'
                             ORDER BY hour DESC LIMIT 2) r
           WHERE EXISTS (SELECT FROM service_checks c
                         WHERE c.service_id = $1 AND c.status = 'online' AND c.timestamp >= r.hour
                           AND c.timestamp <= LEAST(r.hour + INTERVAL '3599.999999 s', $4 + INTERVAL '60 s'))
           ORDER BY hour DESC LIMIT 1)))
    ORDER BY hour LIMIT 200";

// $2: nothing after this is removed. None where that may reach hours that are packed.
const BEFORE_REMOVING: &str = "
    SELECT revision, corrected FROM status_totals WHERE service_id = $1 AND $2 < recent - INTERVAL '34 days'";

// Rows that somebody else has locked are left for the next time: while raw rows are locked here nobody is waited for
// but who counts, as for anybody else's DELETE. The trigger subtracts what is removed.
const REMOVE_CHECKS: &str = "
    WITH removed AS (
        DELETE FROM service_checks
        WHERE ctid = ANY (ARRAY(
            SELECT c.ctid FROM unnest($2::float8[]) AS h(hour)
            CROSS JOIN LATERAL (
                SELECT ctid FROM service_checks
                WHERE service_id = $1
                  AND timestamp BETWEEN to_timestamp(h.hour) AND to_timestamp(h.hour) + INTERVAL '3599.999999 s'
                LIMIT $3 FOR UPDATE SKIP LOCKED
            ) c
            LIMIT $3))
        RETURNING timestamp, status, response_time
    )
    SELECT extract(epoch FROM date_trunc('hour', timestamp, 'UTC'))::float8 AS hour, response_time,
           count(*) FILTER (WHERE status = 'online'), count(*) FILTER (WHERE status = 'degraded'),
           count(*) FILTER (WHERE status = 'timeout'), count(*) FILTER (WHERE status = 'offline'), count(*)
    FROM removed GROUP BY hour, response_time ORDER BY hour";

const KEEP_COUNTS: &str = "
    WITH kept AS (
        INSERT INTO status_retired
            (service_id, hour, online, degraded, timeout, offline, total, response_times)
        SELECT $1, to_timestamp(hour), online, degraded, timeout, offline, total, response_times
        FROM unnest($2::float8[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bytea[])
            AS u(hour, online, degraded, timeout, offline, total, response_times)
        RETURNING online, degraded, timeout, offline, total
    )
    UPDATE status_totals t SET
        online = t.online + k.online, degraded = t.degraded + k.degraded, timeout = t.timeout + k.timeout,
        offline = t.offline + k.offline, total = t.total + k.total,
        -- No correction: nothing that anybody still shows by the hour. But somebody else's in between is.
        corrected = CASE WHEN t.revision = $9 + 1 THEN $10 ELSE t.corrected END
    FROM (SELECT sum(online) AS online, sum(degraded) AS degraded, sum(timeout) AS timeout, sum(offline) AS offline,
                 sum(total) AS total FROM kept) k
    WHERE t.service_id = $1";

// Nobody is waited for here either: the total may not be locked, where nothing was removed.
const FORGET_EMPTY_HOURS: &str = "
    DELETE FROM status_rollups
    WHERE ctid = ANY (ARRAY(
        SELECT r.ctid FROM unnest($2::float8[]) AS h(hour)
        JOIN status_rollups r ON r.service_id = $1 AND r.hour = to_timestamp(h.hour)
        WHERE r.total = 0
        FOR UPDATE OF r SKIP LOCKED))";

// Writers wait, not readers.
const LOCK_OUT_WRITERS: &str = "LOCK TABLE service_checks IN SHARE ROW EXCLUSIVE MODE";

// What a session of another role does is not for everybody to see: then its process alone is named.
const IN_THE_WAY: &str = "
    SELECT string_agg(format('process %s (%s)', pid, concat_ws(', ', usename, NULLIF(application_name, ''), state,
               'for ' || date_trunc('second', clock_timestamp() - xact_start))), ', ')
    FROM pg_stat_activity JOIN (
        SELECT DISTINCT pid FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()
        WHERE granted AND relation = 'service_checks'::regclass AND pid <> pg_backend_pid()
          AND mode NOT IN ('AccessShareLock', 'RowShareLock')
    ) l USING (pid)";

const FORGET_ROLLUPS: &str = "DELETE FROM status_packed; DELETE FROM status_rollups";

const COUNT_HOURS: &str = "
    INSERT INTO status_rollups (service_id, hour, online, degraded, timeout, offline, total)
    SELECT service_id, date_trunc('hour', timestamp, 'UTC') AS hour,
           count(*) FILTER (WHERE status = 'online'), count(*) FILTER (WHERE status = 'degraded'),
           count(*) FILTER (WHERE status = 'timeout'), count(*) FILTER (WHERE status = 'offline'), count(*)
    FROM service_checks
    GROUP BY service_id, hour ORDER BY service_id, hour";

// A service that has a total and no check any more is counted too: as nothing.
const COUNT_TOTALS: &str = "
    INSERT INTO status_totals AS t (service_id, online, degraded, timeout, offline, total)
    SELECT service_id, sum(online), sum(degraded), sum(timeout), sum(offline), sum(total)
    FROM (SELECT service_id, online, degraded, timeout, offline, total FROM status_rollups
          UNION ALL SELECT service_id, online, degraded, timeout, offline, total FROM status_retired
          UNION ALL SELECT service_id, 0, 0, 0, 0, 0 FROM status_totals) counted
    GROUP BY service_id ORDER BY service_id
    ON CONFLICT (service_id) DO UPDATE SET
        online = EXCLUDED.online, degraded = EXCLUDED.degraded, timeout = EXCLUDED.timeout,
        offline = EXCLUDED.offline, total = EXCLUDED.total,
        revision = t.revision + 1, corrected = t.revision + 1";

const NOT_COUNTED: &str = "
    SELECT string_agg(upper(kind), ', ') FROM unnest('{insert,update,delete,truncate}'::text[]) AS kind
    WHERE NOT EXISTS (SELECT FROM pg_trigger
                      WHERE tgrelid = 'service_checks'::regclass AND tgname = 'status_count_' || kind
                        AND tgenabled IN ('O', 'A'))";

// As the migrations made them. Only where one is missing or off: who reads should not wait.
const PUT_TRIGGERS_BACK: &str = "
    DO $$
    DECLARE
        kind TEXT;
        referencing TEXT;
        enabled TEXT;
    BEGIN
        FOR kind, referencing IN VALUES
            ('insert', 'REFERENCING NEW TABLE AS added'), ('delete', 'REFERENCING OLD TABLE AS removed'),
            ('update', 'REFERENCING NEW TABLE AS added OLD TABLE AS removed'), ('truncate', '')
        LOOP
            SELECT tgenabled INTO enabled FROM pg_trigger
            WHERE tgrelid = 'service_checks'::regclass AND tgname = 'status_count_' || kind;
            IF NOT FOUND THEN
                EXECUTE format('CREATE TRIGGER status_count_%1$s AFTER %1$s ON service_checks %2$s
                                FOR EACH STATEMENT EXECUTE FUNCTION status_count_%1$s()', kind, referencing);
            ELSIF enabled NOT IN ('O', 'A') THEN
                EXECUTE format('ALTER TABLE service_checks ENABLE TRIGGER status_count_%s', kind);
            END IF;
        END LOOP;
    END
    $$";

// A restore of the checks alone leaves the sequence behind their ids, and they would be given twice.
const MOVE_IDS_ON: &str = "
    SELECT setval(sequence, highest)
    FROM (SELECT pg_get_serial_sequence('service_checks', 'id')::regclass AS sequence,
                 (SELECT max(id) FROM service_checks) AS highest) AS ids
    WHERE highest > COALESCE(pg_sequence_last_value(sequence), 0)";

const SAY_SO: &str = "SELECT pg_notify('status_changed', '')";

const COUNTED: &str = "
    SELECT COALESCE(sum(total), 0)::bigint, count(DISTINCT service_id) FROM status_rollups";

/// How one step of upkeep ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<T> {
    /// This was done.
    Did(T),
    /// There is nothing (more) to do.
    Nothing,
    /// Somebody else does upkeep just now.
    Elsewhere,
}

/// Hours of which one step summarised the response times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Closed {
    /// How many.
    pub hours: usize,
    /// The oldest of them.
    pub oldest: f64,
}

/// The checks that one step removed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retired {
    /// How many.
    pub checks: usize,
    /// Go on after this hour.
    pub after: f64,
}

/// The clock of the database.
///
/// # Errors
/// Those of the database.
pub fn now(client: &mut Client) -> Result<DateTime<Utc>, Error> {
    client.query_typed_one(NOW, &[])?.try_get(0)
}

/// Summarises the response times of at most `most` hours that are not newer than `newest`, the newest of them first.
/// An hour that somebody changes meanwhile stays unsummarised.
///
/// # Errors
/// Those of the database; then nothing changed.
pub fn close_hours(client: &mut Client, newest: f64, most: i64) -> Result<Step<Closed>, Error> {
    let mut transaction = client.transaction()?;
    if !take_lock(&mut transaction)? {
        return Ok(Step::Elsewhere);
    }
    transaction.batch_execute(LOCK_AGAINST_TRUNCATE)?;
    let open = transaction.query_typed(LOCK_OPEN_HOURS, &[(&newest, Type::FLOAT8), (&most, Type::INT8)])?;
    let services = open.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&str>, _>>()?;
    let hours = open.iter().map(|row| row.try_get(1)).collect::<Result<Vec<f64>, _>>()?;
    let Some(oldest) = hours.last().copied() else { return Ok(Step::Nothing) };
    let response_times = column(&response_times(&mut transaction, &services, &hours)?, Distribution::encode);
    transaction.execute_typed(
        SUMMARISE,
        &[(&services, Type::TEXT_ARRAY), (&hours, Type::FLOAT8_ARRAY), (&response_times, Type::BYTEA_ARRAY)],
    )?;
    transaction.commit()?;
    Ok(Step::Did(Closed { hours: hours.len(), oldest }))
}

/// Those of each of these hours, in their order.
fn response_times(
    transaction: &mut Transaction<'_>,
    services: &[&str],
    hours: &[f64],
) -> Result<Vec<Distribution>, Error> {
    let mut distributions = vec![Distribution::default(); hours.len()];
    let keys: [(&(dyn ToSql + Sync), Type); 2] =
        [(&services, Type::TEXT_ARRAY), (&hours, Type::FLOAT8_ARRAY)];
    for row in transaction.query_typed(RESPONSE_TIMES, &keys)? {
        let n = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
        if let Some(distribution) = distributions.get_mut(n.wrapping_sub(1)) {
            distribution.add(row.try_get(1)?, count(&row, 2)?);
        }
    }
    Ok(distributions)
}

/// Packs the hours of at most `most` services that have a new day or were corrected; gives how many it packed.
///
/// # Errors
/// Those of the database; then nothing changed.
pub fn pack(client: &mut Client, most: i32) -> Result<Step<i64>, Error> {
    let mut transaction = client.transaction()?;
    if !take_lock(&mut transaction)? {
        return Ok(Step::Elsewhere);
    }
    let packed = transaction.query_typed_one(PACK, &[(&most, Type::INT4)])?.try_get(0)?;
    transaction.commit()?;
    Ok(Step::Did(packed))
}

/// The services with checks in hours before `cutoff`, or nearly so: what is to stay is for [`retire`] to tell.
///
/// # Errors
/// Those of the database.
pub fn services_with_hours_before(client: &mut Client, cutoff: DateTime<Utc>) -> Result<Vec<String>, Error> {
    let rows = client.query_typed(SERVICES_WITH_HOURS_BEFORE, &[(&cutoff, Type::TIMESTAMPTZ)])?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Removes at most `most` checks of the oldest hours of a service, those after the hour `after` and before `cutoff`, and
/// keeps their counts and response times: no figure changes. The hours of the newest check and of the newest online
/// check at `now` stay.
///
/// # Errors
/// Those of the database; then nothing changed.
pub fn retire(
    client: &mut Client,
    service: &str,
    after: f64,
    cutoff: DateTime<Utc>,
    now: DateTime<Utc>,
    most: i64,
) -> Result<Step<Retired>, Error> {
    let mut transaction = client.transaction()?;
    if !take_lock(&mut transaction)? {
        return Ok(Step::Elsewhere);
    }
    let service_of = (&service as &(dyn ToSql + Sync), Type::TEXT);
    let old = transaction.query_typed(
        OLD_HOURS,
        &[
            service_of.clone(),
            (&after, Type::FLOAT8),
            (&cutoff, Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )?;
    let hours = first_hours(&old, most)?;
    let Some(last) = hours.last() else { return Ok(Step::Nothing) };
    let hours_of = (&hours as &(dyn ToSql + Sync), Type::FLOAT8_ARRAY);
    let before = transaction
        .query_typed_opt(BEFORE_REMOVING, &[service_of.clone(), (&cutoff, Type::TIMESTAMPTZ)])?
        .map_or(Ok((None, None)), |row| Ok::<_, Error>((row.try_get(0)?, row.try_get(1)?)))?;
    let removed = transaction
        .query_typed(REMOVE_CHECKS, &[service_of.clone(), hours_of.clone(), (&most, Type::INT8)])?;
    let kept = kept(&removed)?;
    if !kept.is_empty() {
        keep_counts(&mut transaction, service, &kept, before)?;
    }
    transaction.execute_typed(FORGET_EMPTY_HOURS, &[service_of, hours_of])?;
    transaction.commit()?;
    let checks: i64 = kept.iter().map(|hour| hour.counts[TOTAL]).sum();
    // There may be more of the same hours.
    let after = if checks >= most { after } else { *last };
    Ok(Step::Did(Retired { checks: usize::try_from(checks).unwrap_or(0), after }))
}

/// As many of the oldest hours as hold `most` checks, at least one.
fn first_hours(old: &[Row], most: i64) -> Result<Vec<f64>, Error> {
    let mut hours = Vec::new();
    let mut checks = 0;
    for row in old {
        checks += i64::from(row.try_get::<_, i32>(1)?);
        if checks > most && !hours.is_empty() {
            break;
        }
        hours.push(row.try_get(0)?);
    }
    Ok(hours)
}

/// What is kept of the checks of one hour.
struct Kept {
    hour: f64,
    /// Online, degraded, timeout, offline, and all.
    counts: [i64; 5],
    response_times: Distribution,
}

const TOTAL: usize = 4;

fn kept(removed: &[Row]) -> Result<Vec<Kept>, Error> {
    let mut kept: Vec<Kept> = Vec::new();
    for row in removed {
        let hour: f64 = row.try_get(0)?;
        if kept.last().is_none_or(|last| last.hour != hour) {
            kept.push(Kept { hour, counts: [0; 5], response_times: Distribution::default() });
        }
        let Some(this) = kept.last_mut() else { continue };
        for (n, sum) in this.counts.iter_mut().enumerate() {
            *sum += row.try_get::<_, i64>(2 + n)?;
        }
        if let Some(response_time) = row.try_get(1)? {
            this.response_times.add(response_time, count(row, 2 + TOTAL)?);
        }
    }
    Ok(kept)
}

/// `before` are the revision of the total and its last correction before the checks were removed.
fn keep_counts(
    transaction: &mut Transaction<'_>,
    service: &str,
    kept: &[Kept],
    before: (Option<i64>, Option<i64>),
) -> Result<(), Error> {
    let counts: [Vec<i64>; 5] = std::array::from_fn(|n| column(kept, |hour| hour.counts[n]));
    let response_times = column(kept, |hour| hour.response_times.encode());
    let hours = column(kept, |hour| hour.hour);
    let mut values: Vec<(&(dyn ToSql + Sync), Type)> =
        vec![(&service, Type::TEXT), (&hours, Type::FLOAT8_ARRAY)];
    values.extend(counts.iter().map(|column| (column as &(dyn ToSql + Sync), Type::INT8_ARRAY)));
    values.push((&response_times, Type::BYTEA_ARRAY));
    values.extend([(&before.0 as &(dyn ToSql + Sync), Type::INT8), (&before.1, Type::INT8)]);
    transaction.execute_typed(KEEP_COUNTS, &values).map(drop)
}

/// What [`recount`] counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recounted {
    /// Raw checks.
    pub checks: i64,
    /// The services that they are of.
    pub services: i64,
}

/// Rebuilds rollups and totals from the raw checks and what retention kept of others, in one transaction that writers
/// wait for and readers do not, puts the triggers back that count, and lets new ids begin after those that are there;
/// readers are told. Response times are summarised anew afterwards, by upkeep.
///
/// # Errors
/// Those of the database; then nothing changed.
pub fn recount(client: &mut Client) -> Result<Recounted, Error> {
    let mut transaction = client.transaction()?;
    for step in
        [LOCK_OUT_WRITERS, PUT_TRIGGERS_BACK, FORGET_ROLLUPS, COUNT_HOURS, COUNT_TOTALS, MOVE_IDS_ON, SAY_SO]
    {
        transaction.batch_execute(step)?;
    }
    let counted = transaction.query_typed_one(COUNTED, &[])?;
    let counted = Recounted { checks: counted.try_get(0)?, services: counted.try_get(1)? };
    transaction.commit()?;
    Ok(counted)
}

/// The kinds of change to the checks that no trigger counts, in words; `None` where all are.
///
/// # Errors
/// Those of the database.
pub fn not_counted(client: &mut Client) -> Result<Option<String>, Error> {
    client.query_typed_one(NOT_COUNTED, &[])?.try_get(0)
}

/// The sessions that hold a lock on the checks which keeps [`recount`] waiting; `None` where there is none.
///
/// # Errors
/// Those of the database.
pub fn in_the_way(client: &mut Client) -> Result<Option<String>, Error> {
    client.query_typed_one(IN_THE_WAY, &[])?.try_get(0)
}

fn take_lock(transaction: &mut Transaction<'_>) -> Result<bool, Error> {
    transaction.query_typed_one(TAKE_LOCK, &[(&LOCK_KEY, Type::INT8)])?.try_get(0)
}

fn count(row: &Row, column: usize) -> Result<u64, Error> {
    row.try_get::<_, i64>(column).map(super::number)
}
