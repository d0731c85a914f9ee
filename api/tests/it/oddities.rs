//! Databases and roles that are set up unlike ours: other encodings, bytes that are none, settings of a role.
//! The figures are right, and no row costs a look.

use postgres::Client;
use shared::testing::{Database, eventually, shared_cluster};

use crate::{
    api::{Api, check, heartbeat, publish_service},
    statistics::compare,
};

fn two_services(client: &mut Client) {
    heartbeat(client, "-1 hour");
    publish_service(client, "main", 0);
    publish_service(client, "git", 1);
}

#[test]
fn bytes_that_are_no_text_cost_no_look() {
    let database = shared_cluster().encoded("SQL_ASCII");
    let mut client = database.connect();
    two_services(&mut client);
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("the services", |status| status["services"][1]["id"] == "git");
    for (total, (status, error)) in (1..).zip([
        ("'online'", "NULL"),
        ("E'on\\377line'", "NULL"),
        ("'offline'", "E'dns: \\377\\376, after 1 try'"),
        // Its twentieth byte is half a letter.
        ("'offline'", "'dns: aaaaaaaaaaaaaäöü, after 1 try'"),
        ("'offline'", "E'\\344\\366\\374'"),
        ("E'\\200'", "E'\\200'"),
    ]) {
        client
            .batch_execute(&format!(
                "INSERT INTO service_checks (service_id, timestamp, status, error)
                 VALUES ('main', now() - INTERVAL '1 s', {status}, {error}),
                        (E'ma\\377in', now() - INTERVAL '1 s', {status}, {error})"
            ))
            .unwrap();
        let seen =
            api.status_when("the check", |seen| seen["services"][0]["total_checks"] == total)["services"][0]
                .clone();
        let known = ["online", "offline"].into_iter().find(|word| status == format!("'{word}'"));
        assert_eq!(seen["status"], known.unwrap_or("unknown"), "{status}");
        let class = error.contains("dns: ").then_some("dns");
        assert_eq!(seen["failure"].as_str(), class, "{error}");
    }
    check(&mut client, "git", "1 minute", "online");
    let shown = api.status_when("the other service", |seen| seen["services"][1]["total_checks"] == 1);
    assert_eq!(shown["services"][0]["uptime"]["all_time"], 16.666);
    assert_eq!(api.end(), [""; 0]);
}

#[test]
fn a_database_in_latin_1_is_read_as_what_it_means() {
    let database = shared_cluster().encoded("LATIN1");
    let mut client = database.connect();
    two_services(&mut client);
    client
        .batch_execute(
            "UPDATE status_services SET name = 'Größe', group_name = 'Straße' WHERE id = 'main';
             INSERT INTO service_checks (service_id, timestamp, status, error) VALUES
             ('main', now() - INTERVAL '2 s', 'gestört', 'ß'),
             ('main', now() - INTERVAL '1 s', 'offline', 'connect: äöüäöüäöüäöüäöüäöü, after 1 try')",
        )
        .unwrap();
    let api = Api::start(Some(&database.url), &[]);
    let seen = api.status_when("the checks", |seen| seen["services"][0]["total_checks"] == 2);
    let service = &seen["services"][0];
    assert_eq!((&service["name"], &service["group"]), (&"Größe".into(), &"Straße".into()));
    assert_eq!((&service["status"], &service["failure"]), (&"offline".into(), &"connect".into()));
    compare(&api, &mut client);
    assert_eq!(api.end(), [""; 0]);
}

#[test]
fn no_setting_of_a_role_changes_a_figure() {
    let database = Database::migrated();
    let mut client = database.connect();
    two_services(&mut client);
    client
        .batch_execute(
            "CREATE SCHEMA elsewhere;
             CREATE TABLE elsewhere.service_checks (id INT);
             CREATE TABLE elsewhere.status_services (id INT);
             CREATE VIEW elsewhere.status_totals AS SELECT 'main'::text AS service_id, 0 AS revision;
             INSERT INTO service_checks (service_id, timestamp, status, error)
             SELECT (ARRAY['main', 'git'])[1 + n % 2], now() - n * INTERVAL '1 hour' - INTERVAL '1 minute',
                    (ARRAY['online', 'online', 'offline'])[1 + n % 3], 'tls: ' || repeat('ü', 30)
             FROM generate_series(0, 1000) n",
        )
        .unwrap();
    let role = database.create_role();
    client
        .batch_execute(&format!(
            "GRANT SELECT ON ALL TABLES IN SCHEMA public, elsewhere TO {role};
             GRANT USAGE ON SCHEMA elsewhere TO {role}"
        ))
        .unwrap();
    for settings in [
        &[
            "client_encoding = 'LATIN1'",
            "TimeZone = 'Australia/Lord_Howe'",
            "DateStyle = 'German, DMY'",
            "IntervalStyle = 'sql_standard'",
            "default_transaction_isolation = 'serializable'",
            "default_transaction_deferrable = on",
            "search_path = elsewhere",
        ][..],
        &[
            "client_encoding = 'SQL_ASCII'",
            "TimeZone = '<odd>+13:59'",
            "DateStyle = 'SQL, YMD'",
            "standard_conforming_strings = off",
            "transform_null_equals = on",
            "array_nulls = off",
            "search_path = elsewhere, pg_catalog",
        ],
        &[
            "client_encoding = 'EUC_JP'",
            "row_security = off",
            "quote_all_identifiers = on",
            "plan_cache_mode = 'force_generic_plan'",
            "statement_timeout = '2s'",
            "lock_timeout = '1ms'",
            "search_path = ''",
        ],
    ] {
        client.batch_execute(&format!("ALTER ROLE {role} RESET ALL")).unwrap();
        for setting in settings {
            client.batch_execute(&format!("ALTER ROLE {role} SET {setting}")).unwrap();
        }
        let api = Api::start(Some(&database.url_of(&role)), &[]);
        eventually(&format!("it reads as a role with {settings:?}"), || api.get("/readyz").status == 200);
        compare(&api, &mut client);
        let failure = api.status()["services"][0]["failure"].clone();
        assert!(failure.is_null() || failure == "tls", "{settings:?}: {failure}");
        assert_eq!(api.end(), [""; 0], "{settings:?}");
    }
}
