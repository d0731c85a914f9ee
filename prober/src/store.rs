//! All SQL of the prober that writes, one function each; that of the statistics, and that by which probers share the
//! services, in files beside this one. What is written when is the writer's and upkeep's.

pub mod sharing;
pub mod statistics;

use postgres::{Client, Error, types::Type};
use uuid::Uuid;

use crate::journal::Batch;

/// A wait for a lock or a statement ends by itself, so that the writer can say what is wrong and try again.
const BOUND_EVERY_WAIT: &str = "SET statement_timeout = '15s'; SET lock_timeout = '3s'; \
     SET idle_in_transaction_session_timeout = '60s'";

const ENROL: &str = "
    INSERT INTO status_probers (id, version) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version, heartbeat_at = clock_timestamp()";

// Of an earlier run, which left checks on disk: it is no sign of life.
const ENROL_EARLIER: &str = "
    INSERT INTO status_probers (id, version, heartbeat_at) VALUES ($1, $2, clock_timestamp() - INTERVAL '1 day')
    ON CONFLICT (id) DO NOTHING";

const LAST_SEQ: &str = "SELECT last_seq FROM status_probers WHERE id = $1";

// A journal that was not heard of for so long is gone for good. As long as a folder may still hold checks of it, the row
// keeps them from being recorded twice.
const FORGET_THE_GONE: &str =
    "DELETE FROM status_probers WHERE heartbeat_at < clock_timestamp() - INTERVAL '2 years'";

// One statement, so that a batch costs one way to the server and back. It waits for whoever else writes for this journal,
// and then goes by what that one left. $2: the number of the first check; $3: of the last.
const RECORD: &str = "
    WITH ledger AS (
        SELECT last_seq FROM status_probers WHERE id = $1 FOR UPDATE
    ), inserted AS (
        INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code, error)
        SELECT c.service_id, c.timestamp, c.status, c.response_time, c.status_code, c.error
        FROM ledger CROSS JOIN unnest($4::text[], $5::timestamptz[], $6::text[], $7::int[], $8::int[], $9::text[])
            WITH ORDINALITY AS c(service_id, timestamp, status, response_time, status_code, error, n)
        WHERE $2 + n - 1 > ledger.last_seq
        RETURNING 1
    ), moved AS (
        UPDATE status_probers SET last_seq = $3 WHERE id = $1 AND last_seq < $3
    )
    SELECT (SELECT count(*) FROM inserted) FROM ledger";

/// Bounds every wait of this session at the server.
///
/// # Errors
/// Those of the database.
pub fn bound_every_wait(client: &mut Client) -> Result<(), Error> {
    client.batch_execute(BOUND_EVERY_WAIT)
}

/// Enters a journal into the ledger, or finds it there; the first heartbeat of this session.
///
/// # Errors
/// Those of the database.
pub fn enrol(client: &mut Client, journal: Uuid) -> Result<(), Error> {
    client.execute_typed(ENROL, &[(&journal, Type::UUID), (&env!("CARGO_PKG_VERSION"), Type::TEXT)])?;
    client.execute_typed(FORGET_THE_GONE, &[]).map(drop)
}

/// Enters the journal of an earlier run into the ledger, or finds it there; gives the number of its last check that is
/// recorded.
///
/// # Errors
/// Those of the database.
pub fn enrol_earlier(client: &mut Client, journal: Uuid) -> Result<u64, Error> {
    client
        .execute_typed(ENROL_EARLIER, &[(&journal, Type::UUID), (&env!("CARGO_PKG_VERSION"), Type::TEXT)])?;
    let row = client.query_typed_opt(LAST_SEQ, &[(&journal, Type::UUID)])?;
    let last_seq = row.map(|row| row.try_get::<_, i64>(0)).transpose()?.unwrap_or(0);
    Ok(u64::try_from(last_seq).unwrap_or(0))
}

/// Records a batch exactly once: only checks past the ledger's `last_seq` are inserted, and it moves, in one
/// statement. A lost acknowledgement, a replay or a second connection changes nothing. Gives the number of checks
/// inserted; `None` where the ledger does not know the journal (any more).
///
/// # Errors
/// Those of the database; then nothing of the batch was recorded, or all of it and the answer was lost.
pub fn record(client: &mut Client, batch: &Batch) -> Result<Option<usize>, Error> {
    let (checks, seq) = (&batch.checks, |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX));
    let inserted = client.query_typed_opt(
        RECORD,
        &[
            (&batch.journal, Type::UUID),
            (&seq(batch.first_seq), Type::INT8),
            (&seq(batch.last_seq()), Type::INT8),
            (&column(checks, |check| check.service_id.as_str()), Type::TEXT_ARRAY),
            (&column(checks, |check| check.timestamp), Type::TIMESTAMPTZ_ARRAY),
            (&column(checks, |check| check.status.as_str()), Type::TEXT_ARRAY),
            (&column(checks, |check| check.response_time_ms), Type::INT4_ARRAY),
            (&column(checks, |check| check.status_code.map(i32::from)), Type::INT4_ARRAY),
            (&column(checks, |check| check.error.as_deref()), Type::TEXT_ARRAY),
        ],
    )?;
    let Some(row) = inserted else { return Ok(None) };
    Ok(Some(usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0)))
}

fn column<'a, R, V>(rows: &'a [R], value: impl Fn(&'a R) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn number(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
