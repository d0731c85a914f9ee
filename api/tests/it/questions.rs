//! The read API: what it answers equals plain SQL over the raw table, lists go on where they stopped while rows arrive,
//! and a question that makes no sense is told what to write.

use std::{env, fmt::Write as _};

use chrono::{DateTime, Utc};
use postgres::Client;
use serde_json::{Value, json};
use shared::testing::{Database, eventually};

use crate::api::{Answer, Api, ask, check, heartbeat, publish_service};

/// `main` is checked, and others are there; the api has seen all.
fn with_services() -> (Database, Client, Api) {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "1 s");
    for (position, id) in (0..).zip(["main", "files", "never"]) {
        publish_service(&mut client, id, position);
    }
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("the services", |status| status["services"].as_array().unwrap().len() == 3);
    (database, client, api)
}

/// Checks of `main` and `files` at random over a year that ends now, several at the same instant.
fn year(client: &mut Client, rows: i64) {
    client
        .batch_execute(&format!(
            "SELECT setseed(0.42);
             INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code, error)
             SELECT (ARRAY['main', 'main', 'main', 'files'])[1 + (random() * 3.99)::int % 4],
                    now() - (random() * random() * 365)::numeric(9, 3) * INTERVAL '1 day',
                    (ARRAY['online', 'online', 'online', 'online', 'degraded', 'timeout', 'offline', 'weird'])
                        [1 + (random() * 7.99)::int % 8],
                    (random() * 10000)::int, 200, CASE WHEN random() < 0.3 THEN 'status: 500' END
             FROM generate_series(1, {rows});
             ANALYZE service_checks, status_rollups"
        ))
        .unwrap();
}

fn get(api: &Api, path: &str) -> Value {
    let answer = api.get(path);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json"),
        "{path}: {}",
        answer.body
    );
    answer.json()
}

const PLAIN_UPTIME: &str = "
    SELECT trunc(100.0 * count(*) FILTER (WHERE status = 'online') / NULLIF(count(*), 0), 3)::float8, count(*),
           count(*) FILTER (WHERE status = 'online'), count(*) FILTER (WHERE status = 'degraded'),
           count(*) FILTER (WHERE status = 'timeout'), count(*) FILTER (WHERE status = 'offline'),
           count(*) FILTER (WHERE status = 'weird')
    FROM service_checks WHERE service_id = $1 AND timestamp >= $2::text::timestamptz AND timestamp < $3::text::timestamptz";

fn assert_is_plain_uptime(client: &mut Client, id: &str, told: &Value) {
    let [from, to] = ["from", "to"].map(|key| told[key].as_str().unwrap());
    let row = client.query_one(PLAIN_UPTIME, &[&id, &from, &to]).unwrap();
    assert_eq!(told["uptime"], json!(row.get::<_, Option<f64>>(0)), "{id} {told}");
    for (column, key) in (1..).zip(["total", "online", "degraded", "timeout", "offline", "unknown"]) {
        assert_eq!(told[key], row.get::<_, i64>(column), "{key}: {id} {told}");
    }
}

#[test]
fn the_uptime_of_any_range_equals_plain_sql() {
    let (_database, mut client, api) = with_services();
    let (rows, ranges) =
        if env::var_os("STATUS_TEST_LONG").is_some() { (1_000_000, 1000) } else { (20_000, 150) };
    year(&mut client, rows);
    let ranges = client
        .query(
            "SELECT (ARRAY['main', 'files'])[1 + n % 2], to_json(LEAST(a, b)) #>> '{}', to_json(GREATEST(a, b)) #>> '{}', n
             FROM (SELECT n, now() - random() * INTERVAL '370 days' AS a, now() - random() * INTERVAL '370 days' AS b
                   FROM generate_series(1, $1::int) AS n) AS ranges",
            &[&ranges],
        )
        .unwrap();
    for row in ranges {
        let (id, from, to, n): (String, String, String, i32) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        // Some within one hour, some from and to a full one.
        let from: DateTime<Utc> = from.parse().unwrap();
        let to: DateTime<Utc> = to.parse().unwrap();
        let (from, to) = match n % 5 {
            0 => (from, from + (to - from) / 9000 + chrono::TimeDelta::microseconds(1)),
            1 => (hour(from), hour(to) + chrono::TimeDelta::hours(1)),
            _ => (from, to),
        };
        let buckets = ["", "&buckets=day", "&buckets=month"][n as usize % 3];
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let told =
            get(&api, &format!("/api/services/{id}/uptime?from={}&to={}{buckets}", text(from), text(to)));
        assert_eq!((&told["exact"], &told["window"]), (&json!(true), &Value::Null));
        assert_eq!((told["from"].as_str(), told["to"].as_str()), (Some(&*text(from)), Some(&*text(to))));
        assert_is_plain_uptime(&mut client, &id, &told);
        let buckets = told["buckets"].as_array().unwrap();
        let sum: i64 = buckets.iter().map(|bucket| bucket["total"].as_i64().unwrap()).sum();
        assert!(buckets.is_empty() || told["total"] == sum, "{told}");
        for bucket in buckets.iter().step_by(1 + buckets.len() / 5) {
            assert_is_plain_uptime(&mut client, &id, bucket);
        }
    }
}

fn hour(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(at.timestamp().div_euclid(3600) * 3600, 0).unwrap()
}

#[test]
fn a_window_tells_what_the_page_tells() {
    let (_database, mut client, api) = with_services();
    year(&mut client, 20_000);
    check(&mut client, "never", "3 days", "offline");
    // Its clock is ahead.
    check(&mut client, "main", "-1 hour", "offline");
    let total: i64 = client.query_one("SELECT count(*) FROM service_checks", &[]).unwrap().get(0);
    let status = api.status_when("all checks", |status| {
        status["services"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["total_checks"].as_i64())
            .sum::<i64>()
            == total
    });
    for service in status["services"].as_array().unwrap() {
        let id = service["id"].as_str().unwrap();
        for window in ["24h", "7d", "30d", "all_time"] {
            let told = get(&api, &format!("/api/services/{id}/uptime?window={window}"));
            assert_eq!(
                (&told["uptime"], &told["window"]),
                (&service["uptime"][window], &json!(window)),
                "{id} {told}"
            );
        }
        let told = get(&api, &format!("/api/services/{id}/uptime?window=all_time&buckets=month"));
        assert_eq!(told["total"], service["total_checks"], "{id}");
        let buckets = told["buckets"].as_array().unwrap().iter();
        assert_eq!(
            buckets.map(|bucket| bucket["total"].as_i64().unwrap()).sum::<i64>(),
            told["total"],
            "{id} {told}"
        );
    }
    let young = get(&api, "/api/services/never/uptime?window=7d");
    assert_eq!((&young["uptime"], &young["total"]), (&Value::Null, &json!(1)), "{young}");
}

#[test]
fn where_retention_removed_checks_an_hour_counts_as_a_whole_and_the_answer_says_so() {
    let (_database, mut client, api) = with_services();
    client
        .batch_execute(
            "INSERT INTO status_retired (service_id, hour, online, degraded, timeout, offline, total)
             SELECT 'main', hour, 50, 4, 3, 2, 60
             FROM generate_series('2020-01-01Z'::timestamptz, '2020-01-01 09:00Z', INTERVAL '1 hour') AS hour;
             INSERT INTO service_checks (service_id, timestamp, status)
             SELECT 'main', '2020-01-01 10:00Z'::timestamptz + n * INTERVAL '1 min', 'online' FROM generate_series(0, 59) n",
        )
        .unwrap();
    let told = |from: &str, to: &str| {
        let told =
            get(&api, &format!("/api/services/main/uptime?from=2020-01-01T{from}Z&to=2020-01-01T{to}Z"));
        (told["exact"].as_bool().unwrap(), told["total"].as_u64().unwrap(), told["unknown"].as_u64().unwrap())
    };
    assert_eq!(told("00:00:00", "10:00:00"), (true, 600, 10), "whole hours are exact");
    assert_eq!(told("00:30:00", "10:00:00"), (false, 600, 10));
    assert_eq!(told("00:30:00", "10:30:00"), (false, 630, 10), "the other end is exact");
    assert_eq!(told("03:10:00", "03:20:00"), (false, 60, 1));
    assert_eq!(told("10:10:00", "10:20:00"), (true, 10, 0));
    let all = get(&api, "/api/services/main/uptime?window=all_time&buckets=day");
    assert_eq!((&all["total"], &all["from"]), (&json!(660), &json!("2020-01-01T00:00:00.000000Z")));
    let late = "INSERT INTO service_checks (service_id, timestamp, status) VALUES ('main', '2020-01-01 03:45Z', 'online')";
    client.batch_execute(late).unwrap();
    assert_eq!(
        told("03:30:00", "10:00:00"),
        (false, 421, 7),
        "one that is added to such an hour counts once"
    );
}

/// All checks that a list has, page by page; more of them come meanwhile.
fn all_pages(api: &Api, path: &str, mut between: impl FnMut()) -> Vec<Value> {
    let mut checks = Vec::new();
    let mut cursor = String::new();
    loop {
        let told = get(api, &format!("{path}{cursor}"));
        checks.extend(told["checks"].as_array().unwrap().iter().cloned());
        let Some(next) = told["next_cursor"].as_str() else { return checks };
        cursor = format!("&cursor={next}");
        between();
    }
}

#[test]
fn a_list_of_checks_goes_on_where_it_stopped_while_rows_arrive() {
    let (_database, mut client, api) = with_services();
    year(&mut client, 3_000);
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status)
             SELECT 'main', '2026-01-01Z', 'online' FROM generate_series(1, 50)",
        )
        .unwrap();
    for filter in [
        "",
        "status=offline,timeout&",
        "status=unknown&",
        "from=2026-01-01&",
        "to=2026-01-01T00:00:00.000001Z&",
    ] {
        let expected: Vec<i64> = client
            .query(
                "SELECT id::bigint FROM service_checks
                 WHERE service_id = 'main'
                   AND (NOT $1 OR status IN ('offline', 'timeout')) AND (NOT $2 OR status = 'weird')
                   AND (NOT $3 OR timestamp >= '2026-01-01Z') AND (NOT $4 OR timestamp <= '2026-01-01Z')
                 ORDER BY timestamp DESC, id DESC",
                &[
                    &filter.contains("offline"),
                    &filter.contains("unknown"),
                    &filter.contains("from"),
                    &filter.contains("to="),
                ],
            )
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert!(expected.len() > 40, "{filter}");
        let path = format!("/api/services/main/checks?{filter}limit=37");
        let told = all_pages(&api, &path, || check(&mut client, "main", "0 s", "offline"));
        let ids: Vec<i64> = told.iter().map(|check| check["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{filter}");
        client
            .execute("DELETE FROM service_checks WHERE timestamp > now() - INTERVAL '1 minute'", &[])
            .unwrap();
    }
}

#[test]
fn csv_has_the_rows_of_the_json_and_links_to_the_next() {
    let (_database, mut client, api) = with_services();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code, error) VALUES
             ('main', '2026-01-01 00:00:00.123456Z', 'online', 143, 200, NULL),
             ('main', '2026-01-01 01:00Z', 'offline', NULL, NULL, 'connect: 10.0.0.7 refused, after 2 tries')",
        )
        .unwrap();
    let answer = api.get("/api/services/main/checks?format=csv&limit=1&to=2027-01-01");
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(
        answer.body.split_once("\r\n").unwrap(),
        (
            "id,timestamp,status,response_time,status_code,failure",
            "2,2026-01-01T01:00:00.000000Z,offline,,,connect\r\n"
        )
    );
    let link = answer.header("link");
    let next = link.strip_prefix("<").and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).unwrap();
    let rest = api.get(&format!("/api/services/main/checks{next}"));
    assert_eq!(
        rest.body,
        "id,timestamp,status,response_time,status_code,failure\r\n1,2026-01-01T00:00:00.123456Z,online,143,200,\r\n"
    );
    assert_eq!(rest.header("link"), "", "there are no more");
    let services = api.get("/api/services?format=csv").body;
    let mut lines = services.lines();
    assert!(lines.next().unwrap().starts_with("id,name,group,url,status,stale,"));
    assert_eq!(lines.count(), 3);
}

#[test]
fn response_times_are_told_by_hour_day_and_month_within_five_percent() {
    let (_database, mut client, api) = with_services();
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             SELECT 'main', date_trunc('hour', now(), 'UTC') - INTERVAL '1 hour' + n * INTERVAL '1 s', 'online', n
             FROM generate_series(1, 1000) AS n;
             INSERT INTO service_checks (service_id, timestamp, status)
             VALUES ('main', date_trunc('hour', now(), 'UTC') - INTERVAL '1 hour', 'offline')",
        )
        .unwrap();
    for buckets in ["hour", "day", "month"] {
        let told = get(&api, &format!("/api/services/main/response-times?window=24h&buckets={buckets}"));
        for of in
            [&told, told["buckets"].as_array().unwrap().iter().find(|bucket| bucket["total"] != 0).unwrap()]
        {
            assert_eq!((&of["total"], &of["count"]), (&json!(1001), &json!(1000)), "{of}");
            assert_eq!((&of["min"], &of["max"]), (&json!(1), &json!(1000)));
            for (key, exact) in [("p50", 500.0), ("p95", 950.0), ("p99", 990.0)] {
                let told = of[key].as_f64().unwrap();
                assert!((told - exact).abs() <= exact * 0.05 + 1.0, "{key}: {told}");
            }
        }
    }
    let told = get(&api, "/api/services/main/response-times?window=all_time");
    assert_eq!((&told["count"], &told["buckets"]), (&json!(1000), &json!([])));
    let told = get(&api, "/api/services/never/response-times?window=7d&buckets=day");
    assert_eq!((&told["count"], &told["p50"]), (&json!(0), &Value::Null));
    assert_eq!(told["buckets"].as_array().unwrap().len(), 8, "seven days touch eight");
}

#[test]
fn outages_are_listed_newest_first_and_page_by_page() {
    let (_database, mut client, api) = with_services();
    for (age, status) in [
        (60, "online"),
        (50, "offline"),
        (49, "timeout"),
        (40, "online"),
        (30, "degraded"),
        (20, "online"),
        (10, "offline"),
    ] {
        check(&mut client, "main", &format!("{age} minutes"), status);
        check(&mut client, "files", &format!("{age} minutes 30 s"), status);
    }
    api.status_when("the checks", |status| status["services"][1]["total_checks"] == 7);
    let all = get(&api, "/api/outages");
    let all = all["outages"].as_array().unwrap();
    let keys: Vec<(&str, &str)> = all
        .iter()
        .map(|one| (one["service_id"].as_str().unwrap(), one["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        keys,
        [
            ("main", "offline"),
            ("files", "offline"),
            ("main", "degraded"),
            ("files", "degraded"),
            ("main", "offline"),
            ("files", "offline")
        ]
    );
    assert_eq!((&all[0]["ended"], &all[0]["checks"]), (&Value::Null, &json!(1)));
    assert_eq!(all[4]["checks"], 2);
    let page = all[4]["page"].as_str().unwrap();
    assert_eq!(api.get(page).status, 200, "{page}");
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let told = get(&api, &format!("/api/outages?limit=1{cursor}"));
        paged.extend(told["outages"].as_array().unwrap().clone());
        let Some(next) = told["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&paged, all);
    let of_main = get(&api, "/api/outages?service=main&limit=10000");
    assert_eq!(of_main["outages"].as_array().unwrap().len(), 3);
    let began = all[0]["began"].as_str().unwrap();
    let still = get(&api, &format!("/api/outages?from={began}"));
    assert_eq!(still["outages"].as_array().unwrap().len(), 2, "what ended before is left out");
}

#[track_caller]
fn assert_is_problem(answer: &Answer, status: u16, words: &str) {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, "application/problem+json"),
        "{}",
        answer.body
    );
    let problem = answer.json();
    assert_eq!((&problem["type"], &problem["status"]), (&json!("about:blank"), &json!(status)));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(words), "{detail}");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[test]
fn a_question_that_makes_no_sense_is_told_what_to_write() {
    let (_database, mut client, api) = with_services();
    check(&mut client, "main", "1 minute", "online");
    check(&mut client, "main", "2 minutes", "online");
    let list = get(&api, "/api/services/main/checks?limit=1");
    let cursor = list["next_cursor"].as_str().unwrap();
    let long = "x".repeat(5_000);
    for (path, status, words) in [
        ("/api/services?sort=name", 400, "unknown field `sort`"),
        ("/api/services/main?x=1", 400, "unknown field `x`"),
        ("/api/services/gone", 404, "/api/services lists"),
        ("/api/services/ma%69n%00", 404, "no service of this id"),
        ("/api/services/%2e%2e/checks", 404, ""),
        ("/api/services/main%2Fchecks", 404, ""),
        ("/api/services/MAIN/checks", 404, "no service of this id"),
        ("/api/services/main/", 404, "nothing at this address"),
        ("/api/services/main/checks?limit=-1", 400, "limit: write a whole number from 1 to 10000"),
        ("/api/services/main/checks?limit=1&limit=1", 400, "duplicate field `limit`"),
        ("/api/services/main/checks?from=2026-01-02&to=2026-01-01", 400, "from: must lie before"),
        ("/api/services/main/checks?cursor=%00", 400, "cursor: write the `next_cursor`"),
        (&format!("/api/services/main/checks?cursor={long}"), 400, "cursor: write"),
        (&format!("/api/services/files/checks?cursor={cursor}"), 400, "cursor: it belongs to another list"),
        (
            &format!("/api/services/main/checks?status=online&cursor={cursor}"),
            400,
            "cursor: it belongs to another",
        ),
        (&format!("/api/outages?cursor={cursor}"), 400, "cursor: it belongs to another list"),
        ("/api/services/main/uptime?from=1026-01-01&to=2026-01-01", 400, "3660 days"),
        ("/api/services/main/uptime?window=5000d", 400, "window: write hours"),
        ("/api/services/main/uptime?window=3660d&buckets=hour", 400, "buckets: an answer has 10000"),
        ("/api/services/main/uptime?buckets=week", 400, "expected one of `hour`, `day`, `month`"),
        ("/api/services/main/uptime?window=1d&from=2026-01-01", 400, "window: leave it out"),
        ("/api/outages?service=gone", 404, "no service of this id"),
        ("/api/nothing", 404, "/api/openapi.json"),
    ] {
        assert_is_problem(&api.get(path), status, words);
    }
    let accept = |accept: &str, path: &str| api.ask("GET", path, &[("accept", accept)]);
    assert_is_problem(&accept("image/png", "/api/services"), 406, "application/json alone");
    assert_is_problem(&accept("application/json", "/api/services?format=csv"), 406, "text/csv alone");
    assert_is_problem(&accept("application/json;q=0", "/api/services"), 406, "application/json alone");
    for fine in ["", "*/*", "text/html, application/*;q=0.1", "nonsense", ";;;,,,", "application/json;q=x"] {
        assert_eq!(accept(fine, "/api/services").status, 200, "{fine}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = api.ask(method, "/api/services/main/checks", &[]);
        assert_is_problem(&answer, 405, "read-only");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
    }
}

#[test]
fn without_a_database_every_question_is_told_so() {
    let api = Api::start(None, &[]);
    for path in [
        "/api/services/main",
        "/api/services/main/checks",
        "/api/services/main/uptime",
        "/api/outages?service=main",
    ] {
        let answer = api.get(path);
        assert_is_problem(&answer, 503, "The database was not read yet");
        assert!(answer.header("retry-after").parse::<u32>().is_ok());
    }
    let services = get(&api, "/api/services");
    assert_eq!((&services["services"], &services["source"]), (&json!([]), &json!("unconfigured")));
}

#[test]
fn answers_are_known_again_by_their_tag_and_head_has_no_body() {
    let (_database, mut client, api) = with_services();
    check(&mut client, "main", "1 minute", "online");
    for path in
        ["/api/services", "/api/services/main/response-times?from=2026-01-01&to=2026-01-02&format=csv"]
    {
        let answer = api.get(path);
        let tag = answer.header("etag");
        assert!(answer.header("cache-control").starts_with("public, max-age="), "{path}");
        let again = api.ask("GET", path, &[("if-none-match", tag)]);
        assert!(again.status == 304 || path == "/api/services", "{path}");
        let head = api.ask("HEAD", path, &[]);
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}");
        let mut text = String::new();
        write!(text, "{}", head.header("content-length")).unwrap();
        assert!(text.parse::<usize>().unwrap() > 0, "{path}");
    }
    let options = api.ask(
        "OPTIONS",
        "/api/services",
        &[("origin", "https://example.org"), ("access-control-request-method", "GET")],
    );
    assert_eq!((options.status, options.header("access-control-allow-methods")), (204, "GET, HEAD"));
    assert_eq!(options.header("access-control-allow-origin"), "*");
}

#[test]
fn a_queue_of_questions_that_hang_is_told_so_and_the_page_does_not_notice() {
    let (database, mut client, api) = with_services();
    check(&mut client, "main", "1 minute", "online");
    api.status_when("the check", |status| status["services"][0]["total_checks"] == 1);
    let mut locker = database.connect();
    locker.batch_execute("BEGIN; LOCK TABLE service_checks IN ACCESS EXCLUSIVE MODE").unwrap();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let url = format!("{}/api/services/main/checks", api.address);
        let ask = |_| {
            let url = url.clone();
            scope.spawn(move || ask("GET", &url, &[]))
        };
        let asked: Vec<_> = (0..90).map(ask).collect();
        for _ in 0..20 {
            assert_eq!(api.get("/status").status, 200);
        }
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    answers.iter().for_each(|answer| assert_is_problem(answer, 503, ""));
    let detail = |answer: &Answer| answer.json()["detail"].as_str().unwrap().to_owned();
    let busy = answers.iter().filter(|answer| detail(answer).starts_with("Too many ask")).count();
    assert!((20..90).contains(&busy), "{busy} of 90: one is asked, 64 wait");
    assert!(answers.iter().all(|answer| answer.header("retry-after").parse::<u32>().is_ok()));
    drop(locker);
    eventually("all is answered again", || api.get("/api/services/main/checks").status == 200);
}
