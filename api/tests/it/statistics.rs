//! The figures: what the api shows equals a plain SQL computation of the contract's definitions over the raw table.

use postgres::Client;
use serde_json::{Value, json};
use shared::testing::Database;

use crate::api::{Api, check, heartbeat, publish_service};

/// The contract's definitions, word for word, over every raw row.
const PLAIN: &str = "
    SELECT count(*),
           (SELECT status FROM service_checks WHERE service_id = s.id AND timestamp <= as_of + INTERVAL '60 s'
            ORDER BY timestamp DESC, id DESC LIMIT 1),
           max(timestamp) FILTER (WHERE status = 'online' AND timestamp <= as_of + INTERVAL '60 s'),
           trunc(100.0 * count(*) FILTER (WHERE status = 'online') / count(*), 3)::float8,
           trunc(100.0 * count(*) FILTER (WHERE status = 'online' AND timestamp > as_of - INTERVAL '24 hours')
               / NULLIF(count(*) FILTER (WHERE timestamp > as_of - INTERVAL '24 hours'), 0), 3)::float8,
           trunc(100.0 * count(*) FILTER (WHERE status = 'online' AND timestamp > as_of - INTERVAL '168 hours')
               / NULLIF(count(*) FILTER (WHERE timestamp > as_of - INTERVAL '168 hours'), 0), 3)::float8,
           trunc(100.0 * count(*) FILTER (WHERE status = 'online' AND timestamp > as_of - INTERVAL '720 hours')
               / NULLIF(count(*) FILTER (WHERE timestamp > as_of - INTERVAL '720 hours'), 0), 3)::float8,
           min(timestamp) > as_of - INTERVAL '24 hours',
           min(timestamp) > as_of - INTERVAL '168 hours',
           min(timestamp) > as_of - INTERVAL '720 hours'
    FROM (SELECT $1::text AS id, $2::text::timestamptz AS as_of) s JOIN service_checks ON service_id = s.id
    GROUP BY s.id, as_of";

fn assert_equals_plain_sql(client: &mut Client, status: &Value) {
    let as_of = status["as_of"].as_str().unwrap();
    for service in status["services"].as_array().unwrap() {
        let id = service["id"].as_str().unwrap();
        let Some(row) = client.query_opt(PLAIN, &[&id, &as_of]).unwrap() else {
            assert_eq!(service["total_checks"], 0, "{id}");
            assert_eq!(
                service["uptime"],
                json!({"24h": null, "7d": null, "30d": null, "all_time": null}),
                "{id}"
            );
            continue;
        };
        assert_eq!(service["total_checks"], row.get::<_, i64>(0), "{id}");
        let word: Option<String> = row.get(1);
        let word = word.filter(|word| ["online", "degraded", "timeout", "offline"].contains(&word.as_str()));
        let shown = if service["stale"] == true { &service["last_status"] } else { &service["status"] };
        assert_eq!(shown.as_str().unwrap(), word.as_deref().unwrap_or("unknown"), "{id}");
        let online: Option<chrono::DateTime<chrono::Utc>> = row.get(2);
        let online = online.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        assert_eq!(service["last_online"].as_str(), online.as_deref(), "{id}");
        assert_eq!(service["uptime"]["all_time"], json!(row.get::<_, Option<f64>>(3)), "{id}");
        for (n, key) in ["24h", "7d", "30d"].into_iter().enumerate() {
            let too_young: bool = row.get(7 + n);
            let expected: Option<f64> = if too_young { None } else { row.get(4 + n) };
            assert_eq!(service["uptime"][key], json!(expected), "{id} {key}");
        }
    }
}

/// A services file for the five of the original, all at one address, each checked every hour.
pub(crate) fn five_services_file(url: &str) -> String {
    let services = ["main", "files", "git", "pass", "ssh"]
        .map(|id| format!("[[services]]\nid = \"{id}\"\nname = \"{id}\"\nurl = \"{url}\"\n"));
    format!("interval = \"1h\"\n{}", services.concat())
}

/// Waits until the api has seen everything that was written so far, then compares.
pub(crate) fn compare(api: &Api, client: &mut Client) {
    let total: i64 = client
        .query_one(
            "SELECT count(*) FROM service_checks WHERE service_id IN (SELECT id FROM status_services)",
            &[],
        )
        .unwrap()
        .get(0);
    let written = chrono::Utc::now();
    let status = api.status_when("it has counted everything", |status| {
        let as_of = chrono::DateTime::parse_from_rfc3339(status["as_of"].as_str().unwrap()).unwrap();
        let services = status["services"].as_array().unwrap();
        let counted: i64 = services.iter().filter_map(|service| service["total_checks"].as_i64()).sum();
        // A correction may leave the count as it was: then wait for figures that are surely newer.
        counted == total && as_of > written
    });
    assert_equals_plain_sql(client, &status);
}

fn mixed_history(client: &mut Client, rows: i64) {
    client
        .batch_execute(&format!(
            "SELECT setseed(0.42);
             INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
             SELECT (ARRAY['main', 'files', 'git', 'pass', 'gone'])[1 + (random() * 4.99)::int % 5],
                    now() - random() * INTERVAL '60 days',
                    (ARRAY['online', 'online', 'online', 'online', 'degraded', 'timeout', 'offline', 'weird', 'ONLINE'])
                        [1 + (random() * 8.99)::int % 9],
                    (random() * 10000)::int, 200
             FROM generate_series(1, {rows})"
        ))
        .unwrap();
}

fn five_services() -> (Database, Client, Api) {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "1 s");
    for (position, id) in (0..).zip(["main", "files", "git", "pass", "ssh"]) {
        publish_service(&mut client, id, position);
    }
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("the services", |status| status["services"].as_array().unwrap().len() == 5);
    (database, client, api)
}

#[test]
fn every_figure_equals_plain_sql_after_every_kind_of_correction() {
    let (_database, mut client, api) = five_services();
    mixed_history(&mut client, 20_000);
    compare(&api, &mut client);
    for correction in [
        "UPDATE service_checks SET status = 'online' WHERE id % 7 = 0",
        "DELETE FROM service_checks WHERE id % 5 = 0",
        "UPDATE service_checks SET timestamp = timestamp - INTERVAL '3 hours', service_id = 'git' WHERE id % 11 = 0",
        "INSERT INTO service_checks (service_id, timestamp, status) VALUES ('ssh', now() - INTERVAL '10 years', 'offline')",
        "DELETE FROM service_checks WHERE service_id = 'main'",
        "WITH moved AS (DELETE FROM service_checks WHERE service_id = 'files' RETURNING *)
         INSERT INTO service_checks SELECT id, 'main', timestamp, status, response_time, status_code, error FROM moved",
        "TRUNCATE service_checks",
        "INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')",
    ] {
        client.batch_execute(correction).unwrap();
        compare(&api, &mut client);
    }
}

#[test]
fn checks_in_the_future_count_and_are_never_the_newest() {
    let (_database, mut client, api) = five_services();
    check(&mut client, "main", "1 hour", "degraded");
    check(&mut client, "main", "-2 hours", "online");
    check(&mut client, "main", "-10 years", "online");
    check(&mut client, "git", "-30 s", "online");
    check(&mut client, "files", "-2 days", "online");
    check(&mut client, "pass", "2 hours", "online");
    check(&mut client, "pass", "-2 minutes", "online");
    compare(&api, &mut client);
    let status = api.status();
    assert_eq!(status["services"][0]["status"], "degraded");
    assert_eq!(status["services"][0]["uptime"]["all_time"], 66.666);
    assert_eq!(status["services"][1]["status"], "unknown", "it has none yet");
    assert_eq!(status["services"][2]["status"], "online", "half a minute is within what clocks differ");
}

#[test]
fn a_check_of_the_future_becomes_the_newest_when_its_time_comes() {
    let (_database, mut client, api) = five_services();
    check(&mut client, "main", "1 minute", "online");
    check(&mut client, "main", "-62 s", "offline");
    api.status_when("the check of now", |status| status["services"][0]["status"] == "online");
    api.status_when("the check that was in the future", |status| {
        status["services"][0]["status"] == "offline"
    });
}

#[test]
fn what_the_columns_allow_breaks_nothing() {
    let (_database, mut client, api) = five_services();
    client
        .batch_execute("INSERT INTO service_checks (service_id, timestamp, status) VALUES ('git', '4714-11-24Z BC', 'online')")
        .unwrap();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code, error) VALUES
             ('main', 'infinity', 'online', NULL, NULL, NULL),
             ('main', '-infinity', 'online', -2147483648, -1, ''),
             ('main', '294276-01-01Z', 'offline', 2147483647, 2147483647, repeat('x', 100000)),
             ('main', '4713-01-01 BC', 'timeout', 0, 0, E'\\x01\\x1b'),
             ('main', now() - INTERVAL '1 s', '', NULL, NULL, '<script>'),
             ('git', '-infinity', 'online', NULL, NULL, NULL),
             ('git', '4000-01-01 BC', 'online', NULL, NULL, NULL),
             ('ssh', now() - INTERVAL '1 s', 'online', 0, 0, NULL),
             ('files', 'infinity', 'online', NULL, NULL, NULL),
             ('pass', '294276-12-31 23:30Z', 'online', NULL, NULL, NULL),
             ('', now(), 'online', NULL, NULL, NULL),
             (repeat('é', 50), now(), repeat('é', 20), NULL, NULL, NULL)",
        )
        .unwrap();
    let status = api.status_when("all are counted", |status| status["services"][0]["total_checks"] == 5);
    assert_eq!(status["services"][0]["status"], "unknown", "a status nobody knows");
    assert_eq!(status["services"][0]["uptime"]["all_time"], 40.0);
    assert_eq!(status["services"][2]["total_checks"], 3);
    assert_eq!(status["services"][2]["last_online"], Value::Null, "a time that RFC 3339 can't tell is none");
    let page = api.get("/status").body.replace("&nbsp;", " ").replace('\u{a0}', " ");
    assert!(page.contains("HTTP 0<") && page.contains("0 ms"), "zero is a number");
    for service in [1, 3] {
        assert_eq!(status["services"][service]["total_checks"], 1);
        assert_eq!(status["services"][service]["status"], "unknown");
    }
    assert_eq!(api.get("/status").status, 200);
}

#[test]
fn services_leave_and_come_back_with_their_history() {
    let (_database, mut client, api) = five_services();
    check(&mut client, "git", "1 minute", "online");
    api.status_when("the check", |status| status["services"][2]["total_checks"] == 1);
    client.batch_execute("DELETE FROM status_services WHERE id = 'git'; UPDATE status_services_file SET revision = revision + 1").unwrap();
    api.status_when("it left", |status| status["services"].as_array().unwrap().len() == 4);
    publish_service(&mut client, "git", 9);
    let back = api.status_when("it is back", |status| status["services"].as_array().unwrap().len() == 5);
    assert_eq!(
        (&back["services"][4]["id"], &back["services"][4]["total_checks"]),
        (&json!("git"), &json!(1))
    );
}

#[test]
fn of_two_checks_at_one_instant_the_higher_id_is_the_newer() {
    let (_database, mut client, api) = five_services();
    client
        .batch_execute(
            "INSERT INTO service_checks (id, service_id, timestamp, status) VALUES
             (1000, 'main', date_trunc('minute', now()), 'offline'), (900, 'main', date_trunc('minute', now()), 'online'),
             (900000, 'git', date_trunc('minute', now()), 'online'), (910000, 'git', date_trunc('minute', now()), 'offline')",
        )
        .unwrap();
    let status = api.status_when("all are counted", |status| status["services"][2]["total_checks"] == 2);
    assert_eq!(
        (&status["services"][0]["status"], &status["services"][2]["status"]),
        (&json!("offline"), &json!("offline"))
    );
}
