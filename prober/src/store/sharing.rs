//! All SQL by which probers know of each other, and of the services file in force. What follows from it is `share`'s.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use postgres::{
    Client, Error, Row,
    types::{ToSql, Type},
};
use shared::Service;
use uuid::Uuid;

use super::{column, milliseconds};
use crate::share::{Members, Other};

const BEAT: &str = "
    UPDATE status_probers SET heartbeat_at = clock_timestamp(), backend = pg_backend_pid(), host = $2, fingerprint = $3,
        members = $4, members_from = $5, members_before = $6
    WHERE id = $1";

const FILE_IN_FORCE: &str = "
    SELECT f.revision, f.fingerprint, f.loaded_at, p.host
    FROM status_services_file f LEFT JOIN status_probers p ON p.id = f.loaded_by";

const MAKE_FILE: &str = "INSERT INTO status_services_file DEFAULT VALUES ON CONFLICT DO NOTHING";

// Of the last day, so that a clock which is set hides nobody. A connection that is gone tells at once that a prober has ended.
const OTHERS: &str = "
    SELECT id, fingerprint, members, members_from, members_before, heartbeat_at,
        CASE WHEN EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = p.backend)
            THEN extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 END
    FROM status_probers p
    WHERE id <> $1 AND heartbeat_at > clock_timestamp() - INTERVAL '1 day'
      AND isfinite(heartbeat_at) AND isfinite(members_from)";

const NEWEST_CHECKS: &str = "
    SELECT s.id, c.timestamp
    FROM unnest($1::text[]) s(id) CROSS JOIN LATERAL (
        SELECT timestamp FROM service_checks
        WHERE service_id = s.id AND timestamp <= clock_timestamp() + INTERVAL '1 s' AND isfinite(timestamp)
        ORDER BY timestamp DESC LIMIT 1
    ) c";

const BEATS: &str = "SELECT id::text, beat FROM status_services WHERE isfinite(beat)";

const MARK_FILE: &str = "
    UPDATE status_services_file
    SET revision = revision + 1, loaded_by = $1, loaded_at = clock_timestamp(), fingerprint = $2
    WHERE revision = $3
    RETURNING revision";

const DELETE_SERVICES: &str = "DELETE FROM status_services";

const INSERT_SERVICES: &str = "
    INSERT INTO status_services
        (id, position, name, group_name, link, interval_ms, timeout_ms, slow_after_ms, tries_take_ms, beat)
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                         $8::bigint[], $9::bigint[], $10::timestamptz[])";

/// The services file in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Grows with every change.
    pub revision: i64,
    /// `None` where no file was loaded yet, or by a program that tells none.
    pub fingerprint: Option<String>,
    /// When it was loaded, by the server's clock.
    pub loaded_at: Option<DateTime<Utc>>,
    /// The machine of the prober that loaded it.
    pub host: Option<String>,
}

/// Says that the prober is alive and by whom it goes; `false` where the ledger does not know its journal (any more).
/// `fingerprint`: of its services file, `None` once it leaves.
///
/// # Errors
/// Those of the database.
pub fn beat(
    client: &mut Client,
    journal: Uuid,
    host: &str,
    fingerprint: Option<&str>,
    members: &Members,
) -> Result<bool, Error> {
    let values: [(&(dyn ToSql + Sync), Type); 6] = [
        (&journal, Type::UUID),
        (&host, Type::TEXT),
        (&fingerprint, Type::TEXT),
        (&members.now, Type::UUID_ARRAY),
        (&members.from, Type::TIMESTAMPTZ),
        (&members.before, Type::UUID_ARRAY),
    ];
    client.execute_typed(BEAT, &values).map(|rows| rows == 1)
}

/// What the probers beside this one say of themselves.
///
/// # Errors
/// Those of the database.
pub fn others(client: &mut Client, journal: Uuid) -> Result<Vec<Other>, Error> {
    client.query_typed(OTHERS, &[(&journal, Type::UUID)])?.iter().map(other).collect()
}

fn other(row: &Row) -> Result<Other, Error> {
    let age: Option<f64> = row.try_get(6)?;
    Ok(Other {
        id: row.try_get(0)?,
        fingerprint: row.try_get(1)?,
        members: Members { now: row.try_get(2)?, from: row.try_get(3)?, before: row.try_get(4)? },
        heartbeat_at: row.try_get(5)?,
        age: age.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    })
}

/// The services file in force.
///
/// # Errors
/// Those of the database.
pub fn file_in_force(client: &mut Client) -> Result<InForce, Error> {
    let mut row = client.query_typed_opt(FILE_IN_FORCE, &[])?;
    if row.is_none() {
        client.execute_typed(MAKE_FILE, &[])?;
        row = client.query_typed_opt(FILE_IN_FORCE, &[])?;
    }
    let Some(row) = row else {
        return Ok(InForce { revision: 0, fingerprint: None, loaded_at: None, host: None });
    };
    Ok(InForce {
        revision: row.try_get(0)?,
        fingerprint: row.try_get(1)?,
        loaded_at: row.try_get(2)?,
        host: row.try_get(3)?,
    })
}

/// When each of these services was checked last; those that never were are missing.
///
/// # Errors
/// Those of the database.
pub fn newest_checks(
    client: &mut Client,
    services: &[&str],
) -> Result<HashMap<String, DateTime<Utc>>, Error> {
    let rows = client.query_typed(NEWEST_CHECKS, &[(&services, Type::TEXT_ARRAY)])?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// An instant at which each of the services in force has a turn.
///
/// # Errors
/// Those of the database.
pub fn beats(client: &mut Client) -> Result<HashMap<String, DateTime<Utc>>, Error> {
    let rows = client.query_typed(BEATS, &[])?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Puts a services file in force: publishes its services, in this order, in place of those before. Gives the new revision;
/// `None` where the revision is not `seen` any more: somebody else was quicker, and nothing changed.
///
/// # Errors
/// Those of the database; then nothing changed.
pub fn publish_services(
    client: &mut Client,
    journal: Uuid,
    fingerprint: &str,
    services: &[Service],
    seen: i64,
) -> Result<Option<i64>, Error> {
    let mut transaction = client.transaction()?;
    let mark =
        [(&journal as &(dyn ToSql + Sync), Type::UUID), (&fingerprint, Type::TEXT), (&seen, Type::INT8)];
    // First, so that two probers that load a file at once take turns.
    let Some(row) = transaction.query_typed_opt(MARK_FILE, &mark)? else { return Ok(None) };
    let revision = row.try_get(0)?;
    transaction.execute_typed(DELETE_SERVICES, &[])?;
    let positions: Vec<i32> = (0..).take(services.len()).collect();
    let columns: [(&(dyn ToSql + Sync), Type); 10] = [
        (&column(services, |service| service.id.as_str()), Type::TEXT_ARRAY),
        (&positions, Type::INT4_ARRAY),
        (&column(services, |service| service.name.as_str()), Type::TEXT_ARRAY),
        (&column(services, |service| service.group.as_deref()), Type::TEXT_ARRAY),
        (&column(services, |service| service.link.as_deref()), Type::TEXT_ARRAY),
        (&column(services, |service| milliseconds(service.interval)), Type::INT8_ARRAY),
        (&column(services, |service| milliseconds(service.timeout)), Type::INT8_ARRAY),
        (&column(services, |service| milliseconds(service.slow_after)), Type::INT8_ARRAY),
        (&column(services, |service| milliseconds(service.tries_take)), Type::INT8_ARRAY),
        (&column(services, |service| service.beat), Type::TIMESTAMPTZ_ARRAY),
    ];
    transaction.execute_typed(INSERT_SERVICES, &columns)?;
    transaction.commit()?;
    Ok(Some(revision))
}
