//! Every way to write that is known, tried by the api's role as `deploy/roles.sql` makes it.

use postgres::{Client, NoTls, error::SqlState};
use shared::testing::Cluster;

use crate::{
    rights::apply_roles,
    together::{dump, migrate_by_program},
};

const REFUSED: [&str; 60] = [
    "INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')",
    "UPDATE service_checks SET status = 'online'",
    "DELETE FROM service_checks",
    "TRUNCATE service_checks",
    "MERGE INTO service_checks c USING status_totals t ON t.service_id = c.service_id WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM service_checks RETURNING *) SELECT * FROM gone",
    "COPY service_checks FROM STDIN",
    "COPY service_checks FROM '/etc/passwd'",
    "COPY service_checks TO '/tmp/checks'",
    "COPY service_checks TO PROGRAM 'cat'",
    "COPY service_checks FROM PROGRAM 'echo'",
    "SELECT FROM service_checks FOR UPDATE",
    "SELECT FROM status_totals FOR KEY SHARE",
    "BEGIN; LOCK TABLE service_checks IN SHARE MODE",
    "UPDATE status_totals SET total = 0",
    "DELETE FROM status_rollups",
    "DELETE FROM status_retired",
    "DELETE FROM status_packed",
    "DELETE FROM status_services",
    "UPDATE status_services_file SET revision = 0",
    "UPDATE status_probers SET heartbeat_at = now()",
    "DELETE FROM status_migrations",
    "SELECT setval('service_checks_id_seq', 1)",
    "SELECT nextval('service_checks_id_seq')",
    "ALTER SEQUENCE service_checks_id_seq RESTART",
    "SELECT status_pack(5)",
    "SELECT status_count_truncate()",
    "CREATE TABLE mine ()",
    "CREATE TABLE mine AS SELECT * FROM service_checks",
    "CREATE TEMP TABLE mine ()",
    "SELECT 1 INTO TEMP mine",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE SEQUENCE mine",
    "CREATE TYPE mine AS (n INT)",
    "CREATE FUNCTION mine() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.mine() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "CREATE DATABASE mine",
    "CREATE ROLE mine",
    "CREATE PUBLICATION mine",
    "CREATE TRIGGER mine AFTER INSERT ON service_checks EXECUTE FUNCTION status_count_insert()",
    "CREATE RULE mine AS ON INSERT TO service_checks DO INSTEAD NOTHING",
    "CREATE INDEX ON service_checks (status)",
    "ALTER TABLE service_checks DISABLE TRIGGER USER",
    "ALTER TABLE service_checks OWNER TO status_api",
    "ALTER FUNCTION status_pack RESET ALL",
    "ALTER DATABASE status SET search_path = evil",
    "ALTER SYSTEM SET fsync = off",
    "COMMENT ON TABLE service_checks IS 'mine'",
    "DROP TABLE service_checks",
    "DROP FUNCTION status_pack",
    "REINDEX TABLE service_checks",
    "SET ROLE status_prober",
    "GRANT status_prober TO status_api",
    "ALTER ROLE status_prober PASSWORD 'mine'",
    "SET session_replication_role = replica",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'mine')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
];

/// What nobody can be refused; SECURITY.md says what comes of it.
const LEFT: [&str; 6] = [
    "LISTEN status_changed",
    "NOTIFY status_changed",
    "SELECT pg_advisory_lock(1)",
    "SET statement_timeout = 0",
    "ALTER ROLE status_api PASSWORD 'other'",
    "ALTER ROLE status_api SET statement_timeout = 0",
];

#[test]
fn the_role_of_the_api_finds_no_way_to_write() {
    // Roles belong to the whole server, so this needs one of its own.
    let cluster = Cluster::start(&[]);
    cluster.connect("postgres").batch_execute("CREATE DATABASE status TEMPLATE template0").unwrap();
    let (url, mut owner) = (cluster.url("status", "postgres"), cluster.connect("status"));
    apply_roles(&url);
    migrate_by_program(&cluster.url("status", "status_prober"));
    owner
        .batch_execute("INSERT INTO service_checks (service_id, status) SELECT 'main', 'online' FROM generate_series(1, 9)")
        .unwrap();
    let before = dump(&url);

    let mut reader = Client::connect(&cluster.url("status", "status_api"), NoTls).unwrap();
    reader.batch_execute("SET default_transaction_read_only = off").unwrap();
    let mut ways = Vec::new();
    for way in REFUSED {
        let refused = reader.batch_execute(way).expect_err(way);
        ways.extend(
            (refused.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE))
                .then(|| format!("{way}: {refused:?}")),
        );
        reader.batch_execute("ROLLBACK").unwrap();
    }
    assert_eq!(ways, [""; 0], "these were refused for another reason");
    // These two are refused with a warning.
    reader.batch_execute("GRANT SELECT ON service_checks TO PUBLIC; ANALYZE service_checks").unwrap();
    assert_eq!(dump(&url), before, "nothing changed");
    for way in LEFT {
        reader.batch_execute(&format!("BEGIN; {way}; ROLLBACK")).unwrap();
    }

    let rights =
        "SELECT concat(rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, ' ', rolconnlimit)
                  FROM pg_roles WHERE rolname IN ('status_api', 'status_prober') ORDER BY rolname";
    let rights: Vec<String> = owner.query(rights, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(rights, ["fffff 75", "fffff -1"]);
    owner.batch_execute("ALTER ROLE status_api CONNECTION LIMIT 3").unwrap();
    apply_roles(&url);
    let limit = "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'status_api'";
    assert_eq!(owner.query_one(limit, &[]).unwrap().get::<_, i32>(0), 3, "what somebody chose stays");
}
