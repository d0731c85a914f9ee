//! Brings the schema up to date: adopts the table of the program before this one, applies `migrations/` under a
//! lock, hands the right to read on, and widens the ids where that is cheap. Safe to run again, and by many at once.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use postgres::{Client, Error, types::Type};
use refinery::{Migration, Runner};
use shared::database::explain;

/// In order; a file that was released never changes. Before each the oldest version of the schema whose programs can
/// still work once it is applied: its own where it takes something away, an older one where it only adds.
const MIGRATIONS: [(i32, &str, &str); 7] = [
    (1, "V1__service_checks", include_str!("../../migrations/0001_service_checks.sql")),
    (2, "V2__services", include_str!("../../migrations/0002_services.sql")),
    (3, "V3__statistics", include_str!("../../migrations/0003_statistics.sql")),
    (
        4,
        "V4__distributions_and_retention",
        include_str!("../../migrations/0004_distributions_and_retention.sql"),
    ),
    (5, "V5__packed_history", include_str!("../../migrations/0005_packed_history.sql")),
    (5, "V6__closed_functions", include_str!("../../migrations/0006_closed_functions.sql")),
    (5, "V7__several_probers", include_str!("../../migrations/0007_several_probers.sql")),
];
const HISTORY: &str = "status_migrations";

/// The key of the lock under which schemas are changed: "status" in ASCII.
const LOCK_KEY: i64 = 0x7374_6174_7573;

/// A table up to this size is rewritten within about a second.
const CHEAP_TO_WIDEN_BYTES: i64 = 64 << 20;

/// Ours, tables and views; the rest of the schema is somebody else's.
pub const TABLES: [&str; 9] = [
    "status_days",
    "status_migrations",
    "status_packed",
    "status_probers",
    "status_retired",
    "status_rollups",
    "status_services",
    "status_services_file",
    "status_totals",
];

/// A migration may take its time, but waits for no lock for long: a client that is idle in a transaction would hold
/// up everybody behind us.
const BOUND_LOCKS: &str = "SET lock_timeout = '5s'; SET statement_timeout = 0";

/// Another prober may be adopting a large table.
const PATIENCE_WITH_ANOTHER: Duration = Duration::from_secs(900);

// The one on the search path, or else wherever it is.
const SCHEMAS: &str = "
    SELECT relnamespace::regnamespace::text FROM pg_class c
    WHERE relname = 'service_checks' AND relkind IN ('r', 'p')
      AND relnamespace::regnamespace::text NOT LIKE 'pg\\_%'
      AND (oid = to_regclass('service_checks') OR to_regclass('service_checks') IS NULL)";

const CURRENT_SCHEMA: &str = "SELECT quote_ident(current_schema())";

// The column is younger than the table; a migration that says nothing is for its own programs alone.
const APPLIED: &str = "
    SELECT max(version), max(COALESCE((to_jsonb(m) ->> 'oldest_program')::int, version)) FROM status_migrations m";

// The table is altered only where it must be: somebody may be reading it for long (pg_dump).
const SAY_WHO_CAN_WORK: &str = "
    DO $$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_attribute
                       WHERE attrelid = 'status_migrations'::regclass AND attname = 'oldest_program') THEN
            ALTER TABLE status_migrations ADD COLUMN oldest_program INTEGER;
        END IF;
    END
    $$;
    UPDATE status_migrations m SET oldest_program = known.oldest
    FROM unnest('{{OLDEST}}'::int[]) WITH ORDINALITY AS known(oldest, version)
    WHERE m.version = known.version AND m.oldest_program IS DISTINCT FROM known.oldest";

const COLUMNS: &str = "
    SELECT attname::text, format_type(atttypid, NULL), relkind = 'p'
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE attrelid = to_regclass('service_checks') AND attnum > 0 AND NOT attisdropped";

const IN_THE_FUTURE: &str = "
    SELECT service_id::text, count(*), max(timestamp)::text FROM service_checks
    WHERE timestamp > now() + INTERVAL '60 s' GROUP BY service_id ORDER BY service_id";

const GRANT_TO_READERS: &str = "
    DO $$
    DECLARE
        reader TEXT;
        relation TEXT;
    BEGIN
        FOR reader, relation IN
            SELECT DISTINCT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END, c.oid::regclass::text
            FROM pg_class checks, aclexplode(checks.relacl) acl, pg_class c
            WHERE checks.oid = 'service_checks'::regclass AND acl.privilege_type = 'SELECT'
              AND acl.grantee <> c.relowner
              AND c.relnamespace = checks.relnamespace AND c.relkind IN ('r', 'v') AND c.relname = ANY('{{OURS}}')
              AND pg_has_role(c.relowner, 'USAGE')
              AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) held
                              WHERE held.grantee = acl.grantee AND held.privilege_type = 'SELECT')
        LOOP
            EXECUTE format('GRANT SELECT ON %s TO %s', relation, reader);
        END LOOP;
    END
    $$";

// Asks the catalogue alone: somebody may hold the table for long.
const ARE_IDS_NARROW: &str = "
    SELECT FROM pg_attribute
    WHERE attrelid = 'service_checks'::regclass AND attname = 'id' AND atttypid = 'int4'::regtype";

const NARROW_IDS: &str = "
    SELECT pg_table_size(c.oid), COALESCE((SELECT max(id) FROM service_checks), 0)::bigint,
           COALESCE(pg_get_serial_sequence('service_checks', 'id'), '')
    FROM pg_class c WHERE c.oid = 'service_checks'::regclass";

/// Brings the schema up to date. Leaves the session as it found it but for its `search_path`, which then begins
/// with the schema of `service_checks`.
///
/// # Errors
/// One line for people: a schema that this program is too old for, a table that is not what it should be, or what the
/// database said.
pub fn bring_up_to_date(client: &mut Client) -> Result<(), String> {
    let failed = |what: &'static str| move |error: Error| format!("{what}: {}", explain(&error));
    client.batch_execute(BOUND_LOCKS).map_err(failed("setting bounds"))?;
    let schema = find_schema(client).map_err(failed("finding the schema"))??;
    client
        .batch_execute(&format!("SET search_path = {schema}, pg_temp"))
        .map_err(failed("choosing the schema"))?;
    if !take_lock(client)? {
        return Ok(());
    }
    let changed = change(client);
    // An unlock that fails means that the session is gone, and the lock with it.
    client.query_typed("SELECT pg_advisory_unlock($1)", &[(&LOCK_KEY, Type::INT8)]).ok();
    changed
}

/// Whether the schema is the one that this program knows, or a newer one that it can work with; changes nothing but the
/// session's `search_path`, as [`bring_up_to_date`] does.
///
/// # Errors
/// One line for people.
pub fn is_up_to_date(client: &mut Client) -> Result<bool, String> {
    let failed = |error: Error| format!("looking at the schema: {}", explain(&error));
    let schema = find_schema(client).map_err(failed)??;
    client.batch_execute(&format!("SET search_path = {schema}, pg_temp")).map_err(failed)?;
    can_work(client).map_err(failed)
}

fn can_work(client: &mut Client) -> Result<bool, Error> {
    Ok(applied(client)?
        .is_some_and(|applied| applied.version >= known() && applied.oldest_program <= known()))
}

/// Where `service_checks` is; there may be no other of that name.
fn find_schema(client: &mut Client) -> Result<Result<String, String>, Error> {
    let rows = client.query_typed(SCHEMAS, &[])?;
    let found = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    Ok(match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            client.query_typed_one(CURRENT_SCHEMA, &[])?.try_get::<_, Option<String>>(0)?.ok_or_else(|| {
                "no schema of the search_path exists: create one, or set search_path for this role".into()
            })
        }
        several => Err(format!(
            "there is a table service_checks in each of these schemas: {}; name the right one in this role's search_path",
            several.join(", ")
        )),
    })
}

/// `false` where there is no need: who holds the lock keeps nobody from a schema that is as it should be.
fn take_lock(client: &mut Client) -> Result<bool, String> {
    let failed = |error: Error| format!("waiting for the lock of the schema: {}", explain(&error));
    let end = Instant::now() + PATIENCE_WITH_ANOTHER;
    let mut said = false;
    loop {
        let taken = client.query_typed_one("SELECT pg_try_advisory_lock($1)", &[(&LOCK_KEY, Type::INT8)]);
        if taken.and_then(|row| row.try_get::<_, bool>(0)).map_err(failed)? {
            return Ok(true);
        }
        if can_work(client).map_err(failed)? {
            return Ok(false);
        }
        if Instant::now() > end {
            return Err(
                "another prober has been bringing the schema up to date for 15 minutes: see pg_locks".into(),
            );
        }
        if !std::mem::replace(&mut said, true) {
            log::info!("another prober is bringing the schema up to date; waiting for it");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn change(client: &mut Client) -> Result<(), String> {
    let failed = |error: Error| format!("bringing the schema up to date: {}", explain(&error));
    let (columns, partitioned) = existing_columns(client).map_err(failed)?;
    if partitioned {
        return Err(
            "the table service_checks is partitioned and can't be adopted: what is written into a partition \
                    would not be counted. Copy it into a plain table of that name"
                .into(),
        );
    }
    let adopting = !columns.is_empty() && applied(client).map_err(failed)?.is_none();
    check_columns(&columns)?;
    apply(client)?;
    client
        .batch_execute(&GRANT_TO_READERS.replace("{{OURS}}", &format!("{{{}}}", TABLES.join(","))))
        .map_err(failed)?;
    widen_ids(client).map_err(failed)?;
    if adopting { report_the_future(client).map_err(failed) } else { Ok(()) }
}

/// The columns of the table and their types, none where there is no table; and whether it is partitioned.
fn existing_columns(client: &mut Client) -> Result<(Vec<(String, String)>, bool), Error> {
    let rows = client.query_typed(COLUMNS, &[])?;
    let partitioned = rows.first().map_or(Ok(false), |row| row.try_get(2))?;
    let columns =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, Error>>()?;
    Ok((columns, partitioned))
}

/// A table of that name which lacks what is needed is somebody else's, and is left alone.
fn check_columns(columns: &[(String, String)]) -> Result<(), String> {
    const NEEDED: [(&str, &[&str]); 7] = [
        ("id", &["integer", "bigint"]),
        ("service_id", &["character varying", "text"]),
        ("timestamp", &["timestamp with time zone"]),
        ("status", &["character varying", "text"]),
        ("response_time", &["integer"]),
        ("status_code", &["integer"]),
        ("error", &["text"]),
    ];
    if columns.is_empty() {
        return Ok(());
    }
    let mut wrong = String::new();
    for (name, types) in NEEDED {
        match columns.iter().find(|(column, _)| column == name) {
            Some((_, kind)) if types.contains(&kind.as_str()) => {}
            Some((_, kind)) => write!(wrong, " {name} is {kind} and must be {};", types[0]).unwrap_or(()),
            None => write!(wrong, " {name} is missing;").unwrap_or(()),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the table service_checks can't be adopted:{wrong} alter or rename it, or name another database in DATABASE_URL"
    ))
}

/// How far the schema is.
struct Applied {
    version: i32,
    /// A program that knows this version, or a newer one, can work with it.
    oldest_program: i32,
}

/// `None` before the first migration.
fn applied(client: &mut Client) -> Result<Option<Applied>, Error> {
    let exists = "SELECT to_regclass($1) IS NOT NULL";
    if !client.query_typed_one(exists, &[(&HISTORY, Type::TEXT)])?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let row = client.query_typed_one(APPLIED, &[])?;
    let (version, oldest): (Option<i32>, Option<i32>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(version.zip(oldest).map(|(version, oldest_program)| Applied { version, oldest_program }))
}

/// The version of the schema that this program makes.
fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn apply(client: &mut Client) -> Result<(), String> {
    let failed = |error: Error| format!("bringing the schema up to date: {}", explain(&error));
    let (known, this) = (known(), env!("CARGO_PKG_VERSION"));
    match applied(client).map_err(failed)? {
        Some(Applied { version, oldest_program }) if oldest_program > known => {
            return Err(format!(
                "the schema is at version {version}, which needs a program that knows version {oldest_program}, and \
                 this status-prober {this} knows it up to {known}: upgrade the prober (the checks that are there stay \
                 as they are)"
            ));
        }
        Some(Applied { version, oldest_program }) if version > known => {
            log::info!(
                "the schema is at version {version}, and this status-prober {this} knows it up to {known}: it goes on, \
                 as every program can that knows version {oldest_program}"
            );
            return Ok(());
        }
        Some(Applied { version, .. }) if version == known => {}
        applied => {
            let from = applied.map_or(0, |applied| applied.version);
            log::info!("bringing the schema from version {from} to {known}");
            run_migrations(client)?;
        }
    }
    let oldest = MIGRATIONS.map(|(oldest, ..)| oldest.to_string()).join(",");
    client.batch_execute(&SAY_WHO_CAN_WORK.replace("{{OLDEST}}", &format!("{{{oldest}}}"))).map_err(failed)
}

fn run_migrations(client: &mut Client) -> Result<(), String> {
    let migrations: Vec<Migration> = MIGRATIONS
        .iter()
        .map(|(_, name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    // All or nothing: refinery by itself would commit a migration before its entry in the history.
    let mut runner = Runner::new(&migrations).set_grouped(true);
    runner.set_migration_table_name(HISTORY);
    runner
        .run(client)
        .map(drop)
        .map_err(|error| format!("bringing the schema up to date: {}", explain_refinery(&error)))
}

fn explain_refinery(error: &refinery::Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<Error>() {
            return explain(error);
        }
        cause = inner.source();
    }
    error.to_string()
}

/// The program before this one numbered its rows with 31 bits. The rewrite locks readers out, so only a small table
/// is widened here; for another the log says how.
fn widen_ids(client: &mut Client) -> Result<(), Error> {
    // Readers wait behind us while we wait for one of them.
    const WAIT_BRIEFLY: &str = "SET lock_timeout = '1s'";
    const WIDEN: &str = "ALTER TABLE service_checks ALTER COLUMN id TYPE BIGINT";
    if client.query_typed_opt(ARE_IDS_NARROW, &[])?.is_none() {
        return Ok(());
    }
    let row = client.query_typed_one(NARROW_IDS, &[])?;
    let (bytes, highest, sequence): (i64, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let widen_sequence =
        if sequence.is_empty() { String::new() } else { format!("ALTER SEQUENCE {sequence} AS BIGINT") };
    let refused = if bytes <= CHEAP_TO_WIDEN_BYTES {
        match client.batch_execute(&format!("{WAIT_BRIEFLY}; {WIDEN}; {widen_sequence}")) {
            Ok(()) => {
                log::info!("service_checks.id is now BIGINT");
                return Ok(());
            }
            Err(error) => explain(&error),
        }
    } else {
        format!("the table has {} MB and would be locked while it is rewritten", bytes >> 20)
    };
    log::warn!(
        "service_checks.id is INTEGER and ends at 2147483647; {highest} is reached. It was not widened: {refused}. \
         Before then, at a quiet time, run: {WIDEN}; {widen_sequence};"
    );
    Ok(())
}

fn report_the_future(client: &mut Client) -> Result<(), Error> {
    for row in client.query_typed(IN_THE_FUTURE, &[])? {
        let (service, count, newest): (String, i64, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        log::warn!(
            "{count} adopted checks of {service} lie in the future, up to {newest}: the program before this one wrote \
             local time as if it were UTC. They count; to correct them, update their timestamps"
        );
    }
    Ok(())
}
