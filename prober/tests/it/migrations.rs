//! The schema: new, adopted, shared by many probers, and newer than the program.

use postgres::Client;
use prober::migrate::{TABLES, bring_up_to_date, is_up_to_date};
use shared::testing::{Database, ORIGINAL};

/// Its history.
const HISTORY: &str = "
    INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
    SELECT (ARRAY['main', 'files', 'git'])[1 + n % 3], now() - n * INTERVAL '2 hours',
           (ARRAY['online', 'degraded', 'timeout', 'offline', 'weird'])[1 + n % 5], n, 200
    FROM generate_series(1, 1000) n";

fn original_table(client: &mut Client) {
    client.batch_execute(&format!("{ORIGINAL} {HISTORY}")).unwrap();
}

pub(crate) fn one(client: &mut Client, query: &str) -> String {
    client
        .query_one(&format!("SELECT ({query})::text"), &[])
        .unwrap()
        .get::<_, Option<String>>(0)
        .unwrap_or_default()
}

/// Rollups are those of the raw checks, totals of these and of what retention removed.
pub(crate) fn assert_counts_are_right(client: &mut Client) {
    let wrong = "
        SELECT count(*) FROM (
            SELECT service_id, date_trunc('hour', timestamp, 'UTC') AS hour,
                   count(*) FILTER (WHERE status = 'online') AS online,
                   count(*) FILTER (WHERE status = 'degraded') AS degraded,
                   count(*) FILTER (WHERE status = 'timeout') AS timeout,
                   count(*) FILTER (WHERE status = 'offline') AS offline, count(*) AS total
            FROM service_checks GROUP BY 1, 2
        ) raw FULL JOIN (SELECT * FROM status_rollups WHERE total > 0) counted USING (service_id, hour)
        WHERE (raw.online, raw.degraded, raw.timeout, raw.offline, raw.total)
            IS DISTINCT FROM (counted.online, counted.degraded, counted.timeout, counted.offline, counted.total)";
    assert_eq!(one(client, wrong), "0", "rollups");
    let wrong = "
        SELECT count(*) FROM (
            SELECT service_id, sum(total) AS total, sum(online) AS online FROM (
                SELECT service_id, 1 AS total, (status = 'online')::int AS online FROM service_checks
                UNION ALL SELECT service_id, total, online FROM status_retired) c
            GROUP BY 1) raw
        FULL JOIN (SELECT * FROM status_totals WHERE total > 0) counted USING (service_id)
        WHERE (raw.total, raw.online) IS DISTINCT FROM (counted.total, counted.online)";
    assert_eq!(one(client, wrong), "0", "totals");
}

#[test]
fn the_table_of_the_original_is_adopted_as_it_stands() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    let content = "SELECT md5(string_agg(c::text, '' ORDER BY id)) FROM service_checks c";
    let before = one(&mut client, content);
    bring_up_to_date(&mut client).unwrap();
    assert_eq!(one(&mut client, content), before);
    assert_counts_are_right(&mut client);
    let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'service_checks'";
    assert_eq!(one(&mut client, indexes), "2", "its own index is used, not doubled");
    let columns = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
                   WHERE attrelid = 'service_checks'::regclass AND attnum > 0 AND NOT attisdropped";
    assert_eq!(one(&mut client, columns), "id service_id timestamp status response_time status_code error");
}

#[test]
fn a_small_serial_is_widened_and_its_sequence_too() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    bring_up_to_date(&mut client).unwrap();
    client
        .batch_execute("SELECT setval(pg_get_serial_sequence('service_checks', 'id'), 3000000000)")
        .unwrap();
    client
        .batch_execute("INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')")
        .unwrap();
    assert_eq!(one(&mut client, "SELECT max(id) FROM service_checks"), "3000000001");
}

#[test]
fn a_view_on_the_ids_keeps_them_narrow_and_harms_nothing() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    client.batch_execute("CREATE VIEW old_report AS SELECT id, status FROM service_checks").unwrap();
    bring_up_to_date(&mut client).unwrap();
    assert_eq!(one(&mut client, "SELECT pg_typeof(id) FROM service_checks LIMIT 1"), "integer");
    bring_up_to_date(&mut client).unwrap();
}

#[test]
fn a_new_table_has_the_seven_columns_an_index_and_big_ids() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    client
        .batch_execute("INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')")
        .unwrap();
    assert_eq!(one(&mut client, "SELECT pg_typeof(id) FROM service_checks"), "bigint");
    let index =
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'service_checks' AND indexdef LIKE '%DESC%'";
    assert!(one(&mut client, index).ends_with("(service_id, \"timestamp\" DESC)"));
    assert_counts_are_right(&mut client);
}

#[test]
fn many_probers_may_start_at_once() {
    let database = Database::empty();
    original_table(&mut database.connect());
    std::thread::scope(|scope| {
        let starts: Vec<_> =
            (0..8).map(|_| scope.spawn(|| bring_up_to_date(&mut database.connect()))).collect();
        for start in starts {
            start.join().unwrap().unwrap();
        }
    });
    assert_counts_are_right(&mut database.connect());
}

#[test]
fn every_writer_counts_whoever_it_is() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    client
        .batch_execute("SET search_path = pg_temp, public; CREATE TEMP TABLE status_totals (hostile TEXT)")
        .unwrap();
    std::thread::scope(|scope| {
        for n in 0..4i64 {
            let database = &database;
            scope.spawn(move || {
                let mut writer = database.connect();
                for _ in 0..50 {
                    let insert = "INSERT INTO service_checks (service_id, timestamp, status)
                        SELECT 's' || (random() * 20)::int, now() - random() * INTERVAL '3 hours', 'online'
                        FROM generate_series(1, 20)";
                    writer.batch_execute(insert).unwrap();
                    let correct = "UPDATE service_checks SET status = 'offline', timestamp = timestamp - INTERVAL '1 hour'
                                   WHERE id % 17 = $1 AND service_id = 's' || ($1 + 1)";
                    writer.execute(correct, &[&n]).unwrap();
                    writer.execute("DELETE FROM service_checks WHERE id % 29 = $1 AND service_id = 's' || $1", &[&n]).unwrap();
                }
            });
        }
    });
    client
        .batch_execute(
            "INSERT INTO public.service_checks (service_id, status) VALUES ('hostile path', 'online')",
        )
        .unwrap();
    let copied = "COPY (SELECT 'copied', 'online') TO STDOUT";
    drop(client.copy_out(copied).unwrap());
    let mut copy = client.copy_in("COPY public.service_checks (service_id, status) FROM STDIN").unwrap();
    std::io::Write::write_all(&mut copy, b"copied\tonline\ncopied\ttimeout\n").unwrap();
    copy.finish().unwrap();
    client.batch_execute("DROP TABLE pg_temp.status_totals; RESET search_path").unwrap();
    assert_counts_are_right(&mut client);
    client.batch_execute("TRUNCATE service_checks").unwrap();
    assert_counts_are_right(&mut client);
}

#[test]
fn a_role_that_may_only_write_checks_is_counted_too() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    let role = database.create_role();
    client
        .batch_execute(&format!(
            "GRANT INSERT ON service_checks TO {role}; GRANT USAGE ON SEQUENCE service_checks_id_seq TO {role}; SET ROLE {role};
             INSERT INTO service_checks (service_id, status) VALUES ('main', 'online'); RESET ROLE"
        ))
        .unwrap();
    assert_counts_are_right(&mut client);
}

#[test]
fn whoever_may_read_the_checks_may_read_what_is_counted() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    let role = database.create_role();
    client.batch_execute(&format!("GRANT SELECT ON service_checks TO {role}")).unwrap();
    bring_up_to_date(&mut client).unwrap();
    client
        .batch_execute(&format!(
            "SET ROLE {role}; SELECT * FROM status_totals, status_rollups, status_services, status_services_file,
             status_probers LIMIT 1; RESET ROLE"
        ))
        .unwrap();
    let late = format!("{role}_late");
    client.batch_execute(&format!("CREATE ROLE {late}; GRANT SELECT ON service_checks TO {late}")).unwrap();
    bring_up_to_date(&mut client).unwrap();
    client.batch_execute(&format!("SET ROLE {late}; SELECT 1 FROM status_totals; RESET ROLE")).unwrap();
}

#[test]
fn a_schema_newer_than_the_program_is_refused_and_left_alone() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    client
        .batch_execute("INSERT INTO status_migrations SELECT 99, 'future', applied_on, checksum FROM status_migrations LIMIT 1")
        .unwrap();
    let refused = bring_up_to_date(&mut client).unwrap_err();
    assert!(
        refused.contains("the schema is at version 99") && refused.contains("upgrade the prober"),
        "{refused}"
    );
}

#[test]
fn a_newer_schema_is_worked_with_where_each_of_its_migrations_allows_it() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    let migrated =
        "INSERT INTO status_migrations SELECT max(version) + 1, 'future', '', '', $1 FROM status_migrations";
    for expanding in [2, 7] {
        client.execute(migrated, &[&expanding]).unwrap();
        bring_up_to_date(&mut client).unwrap();
        assert_eq!(is_up_to_date(&mut client), Ok(true));
    }
    client.execute(migrated, &[&10]).unwrap();
    let refused = bring_up_to_date(&mut client).unwrap_err();
    assert!(
        refused.contains("the schema is at version 10, which needs a program that knows version 10"),
        "{refused}"
    );
    assert_eq!(is_up_to_date(&mut client), Ok(false));
}

#[test]
fn who_can_work_with_a_migration_is_said_for_those_that_were_applied_before_it_was() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    client.batch_execute("ALTER TABLE status_migrations DROP COLUMN oldest_program").unwrap();
    assert_eq!(is_up_to_date(&mut client), Ok(true));
    bring_up_to_date(&mut client).unwrap();
    let said = "SELECT string_agg(oldest_program::text, ' ' ORDER BY version) FROM status_migrations";
    assert_eq!(one(&mut client, said), "1 2 3 4 5 5 5");
}

#[test]
fn neither_a_dump_of_every_table_nor_who_holds_the_lock_keeps_a_program_from_a_schema_that_is_there() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    let mut other = database.connect();
    other.batch_execute(&format!("BEGIN; LOCK TABLE {} IN ACCESS SHARE MODE", TABLES.join(", "))).unwrap();
    bring_up_to_date(&mut client).unwrap();
    other.query("SELECT pg_advisory_lock($1)", &[&0x7374_6174_7573_i64]).unwrap();
    bring_up_to_date(&mut client).unwrap();
}

#[test]
fn who_may_make_tables_of_his_own_can_have_nothing_counted() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    let role = database.create_role();
    client
        .batch_execute(&format!(
            "SET ROLE {role}; CREATE TEMP TABLE forged (service_id TEXT, timestamp TIMESTAMPTZ, status TEXT)"
        ))
        .unwrap();
    for (kind, referencing) in [
        ("insert", "NEW TABLE AS added"),
        ("update", "NEW TABLE AS added OLD TABLE AS removed"),
        ("delete", "OLD TABLE AS removed"),
    ] {
        let hang = format!(
            "CREATE TRIGGER t AFTER {kind} ON forged REFERENCING {referencing}
             FOR EACH STATEMENT EXECUTE FUNCTION status_count_{kind}()"
        );
        let refused = client.batch_execute(&hang).unwrap_err();
        assert_eq!(refused.code(), Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE), "{kind}");
    }
    let open = "SELECT count(*) FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace AND prosecdef AND has_function_privilege(oid, 'EXECUTE')";
    assert_eq!(one(&mut client, open), "0");
}

#[test]
fn a_table_of_somebody_else_is_refused_and_left_alone() {
    let database = Database::empty();
    let mut client = database.connect();
    client.batch_execute("CREATE TABLE service_checks (id TEXT, service_id TEXT, status TEXT)").unwrap();
    let refused = bring_up_to_date(&mut client).unwrap_err();
    assert!(refused.contains("id is text and must be integer; timestamp is missing;"), "{refused}");
    assert_eq!(one(&mut client, "SELECT count(*) FROM pg_class WHERE relname LIKE 'status\\_%'"), "0");
}

#[test]
fn somebody_who_does_not_own_the_table_is_told_what_to_do() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    let role = database.create_role();
    client
        .batch_execute(&format!(
            "GRANT ALL ON SCHEMA public TO {role}; GRANT SELECT, INSERT ON service_checks TO {role}"
        ))
        .unwrap();
    client.batch_execute(&format!("SET ROLE {role}")).unwrap();
    let refused = bring_up_to_date(&mut client).unwrap_err();
    assert!(
        refused.contains("permission denied for table service_checks; run deploy/roles.sql"),
        "{refused}"
    );
}

#[test]
fn a_failed_migration_leaves_nothing_behind() {
    let database = Database::empty();
    let mut client = database.connect();
    client.batch_execute("CREATE TABLE status_totals (somebody_elses TEXT)").unwrap();
    bring_up_to_date(&mut client).unwrap_err();
    assert_eq!(one(&mut client, "SELECT to_regclass('service_checks')"), "");
    client.batch_execute("DROP TABLE status_totals").unwrap();
    bring_up_to_date(&mut client).unwrap();
}

#[test]
fn tables_of_others_are_not_given_to_readers_of_the_checks() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    let role = database.create_role();
    client
        .batch_execute(&format!(
            "CREATE TABLE status_users (email TEXT, password TEXT); GRANT SELECT ON service_checks TO {role}"
        ))
        .unwrap();
    bring_up_to_date(&mut client).unwrap();
    client.batch_execute(&format!("SET ROLE {role}")).unwrap();
    client.batch_execute("SELECT * FROM status_totals").unwrap();
    client.batch_execute("SELECT * FROM status_users").unwrap_err();
}

#[test]
fn every_table_that_a_migration_makes_is_known_as_ours_here_and_in_roles_sql() {
    let database = Database::empty();
    let mut client = database.connect();
    bring_up_to_date(&mut client).unwrap();
    let made = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
                WHERE relkind IN ('r', 'v') AND relnamespace = 'public'::regnamespace AND relname <> 'service_checks'";
    assert_eq!(one(&mut client, made), TABLES.join(" "));
    let roles = std::fs::read_to_string(shared::testing::root().join("deploy/roles.sql")).unwrap();
    for table in TABLES {
        assert!(roles.contains(&format!("'{table}'")), "{table}");
    }
    let functions =
        client.query("SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace", &[]);
    for function in functions.unwrap() {
        let name: String = function.get(0);
        assert!(roles.contains(&format!("'{name}'")), "{name}");
    }
}

#[test]
fn a_reader_that_is_idle_in_a_transaction_holds_up_nobody() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    let mut idle = database.connect();
    let mut reading = idle.transaction().unwrap();
    reading.query("SELECT count(*) FROM service_checks", &[]).unwrap();
    bring_up_to_date(&mut client).unwrap();
    assert_eq!(one(&mut client, "SELECT pg_typeof(id) FROM service_checks LIMIT 1"), "integer", "not now");
    assert_counts_are_right(&mut client);
    reading.rollback().unwrap();
    bring_up_to_date(&mut client).unwrap();
    assert_eq!(one(&mut client, "SELECT pg_typeof(id) FROM service_checks LIMIT 1"), "bigint");
}

#[test]
fn a_writer_that_is_idle_in_a_transaction_is_waited_for_with_a_bound() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    let mut idle = database.connect();
    let mut writing = idle.transaction().unwrap();
    writing
        .batch_execute("INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')")
        .unwrap();
    let refused = bring_up_to_date(&mut client).unwrap_err();
    assert!(refused.contains("another session holds a lock on the table"), "{refused}");
    writing.commit().unwrap();
    bring_up_to_date(&mut client).unwrap();
    assert_counts_are_right(&mut client);
}

#[test]
fn a_timeout_of_the_database_does_not_stop_a_long_adoption() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    client
        .batch_execute(&format!("ALTER DATABASE {} SET statement_timeout = '20ms'", database.name))
        .unwrap();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status)
             SELECT 'main', now() - n * INTERVAL '1 min', 'online' FROM generate_series(1, 100000) n",
        )
        .unwrap();
    bring_up_to_date(&mut database.connect()).unwrap();
    assert_counts_are_right(&mut client);
}

#[test]
fn the_table_is_found_in_whatever_schema_it_is() {
    let database = Database::empty();
    let mut client = database.connect();
    client
        .batch_execute(&format!(
            "CREATE SCHEMA site; SET search_path = site; {ORIGINAL} {HISTORY}; RESET search_path"
        ))
        .unwrap();
    bring_up_to_date(&mut client).unwrap();
    assert_eq!(one(&mut client, "SELECT to_regclass('public.service_checks')"), "", "there is no second one");
    assert_eq!(one(&mut client, "SELECT sum(total) FROM site.status_totals"), "1000");
    let mut other = database.connect();
    other
        .batch_execute(&format!(
            "CREATE SCHEMA copy; SET search_path = copy; {ORIGINAL} {HISTORY}; RESET search_path"
        ))
        .unwrap();
    let refused = bring_up_to_date(&mut other).unwrap_err();
    assert!(refused.contains("service_checks in each of these schemas: "), "{refused}");
}

#[test]
fn further_columns_and_long_ids_of_an_adopted_table_do_no_harm() {
    let database = Database::empty();
    let mut client = database.connect();
    original_table(&mut client);
    client
        .batch_execute(
            "ALTER TABLE service_checks ADD COLUMN hour INTEGER, ADD COLUMN sign TEXT, ADD COLUMN online BOOLEAN,
             ADD COLUMN service INTEGER, ADD COLUMN since INTEGER, ADD COLUMN until INTEGER, ADD COLUMN before INTEGER,
             ADD COLUMN run INTEGER, ADD COLUMN failure INTEGER, ADD COLUMN ends_the_hour INTEGER,
             ALTER COLUMN service_id TYPE TEXT;
             INSERT INTO service_checks (service_id, status) VALUES (repeat('x', 60), 'online')",
        )
        .unwrap();
    bring_up_to_date(&mut client).unwrap();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, status, hour) VALUES (repeat('y', 60), 'online', 3);
             UPDATE service_checks SET hour = 4 WHERE id % 2 = 0; DELETE FROM service_checks WHERE id % 3 = 0",
        )
        .unwrap();
    client
        .batch_execute("INSERT INTO service_checks (service_id, timestamp, status, error) VALUES ('y', now(), 'offline', 'dns: no')")
        .unwrap();
    let runs = "SELECT status_runs('y', now() - INTERVAL '1 day', now() + INTERVAL '1 s') #>> '{0,6}'";
    assert_eq!(one(&mut client, runs), "dns");
    assert_counts_are_right(&mut client);
}

#[test]
fn a_partitioned_table_is_refused_since_its_partitions_would_not_be_counted() {
    let database = Database::empty();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TABLE service_checks (
                 id BIGSERIAL, service_id VARCHAR(50) NOT NULL, timestamp TIMESTAMPTZ NOT NULL DEFAULT NOW(),
                 status VARCHAR(20) NOT NULL, response_time INTEGER, status_code INTEGER, error TEXT
             ) PARTITION BY RANGE (timestamp)",
        )
        .unwrap();
    let refused = bring_up_to_date(&mut client).unwrap_err();
    assert!(refused.contains("is partitioned and can't be adopted"), "{refused}");
}
