//! What is drawn when somebody asks for it, by the real status-api over a real PostgreSQL: figures, refusals, and a
//! database that is away.

use shared::{
    Distribution,
    testing::{Cluster, Database, eventually},
};

use crate::api::{Api, check, heartbeat, publish_service};

const SERVICE: &str = "/status/services/main";

/// The api over a database in which the service `main` is published.
fn api(database: &Database) -> Api {
    let mut client = database.connect();
    publish_service(&mut client, "main", 0);
    heartbeat(&mut client, "-1 hour");
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("the service", |status| status["services"].as_array().unwrap().len() == 1);
    api
}

/// The figures in the tiles of response times: label and value.
fn tiles(page: &str) -> Vec<(String, String)> {
    let panel = page.split("id=\"response-time\"").nth(1).unwrap();
    let panel = panel.split("</section>").next().unwrap();
    let tile = |rest: &str| {
        let (label, value) = rest.split_once("</dt><dd><b>").unwrap();
        (label.to_owned(), value.split('<').next().unwrap().replace('\u{a0}', " "))
    };
    panel.split("<div><dt>").skip(1).map(tile).collect()
}

#[test]
fn the_response_times_of_a_service_are_those_that_plain_sql_finds() {
    let database = Database::migrated();
    let mut client = database.connect();
    let api = api(&database);
    // Hours that are over and summarised, and the newest ones that are not.
    client
        .execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             SELECT 'main', now() - n * INTERVAL '10 min', CASE WHEN n % 50 = 7 THEN 'offline' ELSE 'online' END,
                    CASE WHEN n % 50 = 7 THEN NULL ELSE 80 + (n * 7919 % 1000) END
             FROM generate_series(0, 12000) n",
            &[],
        )
        .unwrap();
    let hours = "SELECT hour, array(SELECT response_time FROM service_checks
                                    WHERE response_time IS NOT NULL AND timestamp >= hour AND timestamp < hour + INTERVAL '1 hour')
                 FROM status_rollups WHERE hour < date_trunc('hour', now(), 'UTC') - INTERVAL '1 hour'";
    for row in client.query(hours, &[]).unwrap() {
        let (hour, found): (chrono::DateTime<chrono::Utc>, Vec<i32>) = (row.get(0), row.get(1));
        let mut times = Distribution::default();
        found.into_iter().for_each(|ms| times.add(ms, 1));
        client
            .execute(
                "UPDATE status_rollups SET summarised = TRUE, response_times = $1 WHERE hour = $2",
                &[&times.encode(), &hour],
            )
            .unwrap();
    }
    // What is summarised is looked up no more: the page must not need it.
    api.status_when("all of them", |status| status["services"][0]["total_checks"] == 12_001);
    for (period, begin) in [
        ("24h", "date_trunc('hour', now(), 'UTC') - INTERVAL '23 hours'"),
        ("7d", "date_trunc('day', now(), 'UTC') - INTERVAL '6 days'"),
        ("30d", "date_trunc('day', now(), 'UTC') - INTERVAL '29 days'"),
        ("90d", "date_trunc('day', now(), 'UTC') - INTERVAL '89 days'"),
    ] {
        let exact = client
            .query_one(
                &format!(
                    "SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY response_time),
                            min(response_time), max(response_time)
                     FROM service_checks WHERE timestamp >= {begin}"
                ),
                &[],
            )
            .unwrap();
        let quantiles: Vec<i32> = exact.get(0);
        let page = api.get(&format!("{SERVICE}?period={period}"));
        assert_eq!(page.status, 200);
        assert!(page.body.contains(&format!("period={period}#rt\" aria-current=\"true\"")));
        let shown = tiles(&page.body);
        let labels: Vec<&str> = shown.iter().map(|(label, _)| &**label).collect();
        assert_eq!(labels, ["Median", "p95", "p99", "Shortest", "Longest"]);
        let ms = |text: &str| text.replace([',', ' '], "").trim_end_matches("ms").parse::<f64>().unwrap();
        for ((_, shown), exact) in shown.iter().zip(&quantiles) {
            let off = ms(shown) / f64::from(*exact);
            assert!((0.95..=1.05).contains(&off), "{period}: {shown} for {exact} ms");
        }
        assert_eq!(shown[3].1, format!("{} ms", exact.get::<_, i32>(1)), "{period}");
        assert_eq!(shown[4].1, format!("{} ms", api::words::grouped(exact.get::<_, i32>(2))), "{period}");
    }
    assert_eq!(api.end(), [""; 0]);
}

#[test]
fn a_new_check_is_in_the_next_page() {
    let database = Database::migrated();
    let mut client = database.connect();
    let api = api(&database);
    assert!(api.get(SERVICE).body.contains("No check yet"));
    for (n, ms) in [(1, 70), (2, 90)] {
        client
            .execute(
                "INSERT INTO service_checks (service_id, timestamp, status, response_time)
                 VALUES ('main', now(), 'online', $1)",
                &[&ms],
            )
            .unwrap();
        api.status_when("the check", |status| status["services"][0]["total_checks"] == n);
        let longest = tiles(&api.get(SERVICE).body).pop().unwrap().1;
        assert_eq!(longest, format!("{ms} ms"));
    }
}

#[test]
fn what_is_not_there_is_404_and_what_makes_no_sense_is_400() {
    let database = Database::migrated();
    let mut client = database.connect();
    let api = api(&database);
    check(&mut client, "main", "1 minute", "offline");
    check(&mut client, "gone", "1 minute", "offline");
    api.status_when("the check", |status| status["services"][0]["total_checks"] == 1);
    let outages = api.get("/status/outages").body;
    let address = outages.split("href=\"").find(|rest| rest.contains("/outages/2")).unwrap();
    let address = address.split('"').next().unwrap();
    for (path, status) in [
        (SERVICE, 200),
        (address, 200),
        ("/status/outages?service=main", 200),
        ("/status/outages?before=2026-01-01T00:00:00Z", 200),
        ("/status/services/main?unknown=1&period=90d", 200),
        ("/status/services", 404),
        ("/status/services/", 404),
        ("/status/services/gone", 404),
        ("/status/services/MAIN", 404),
        ("/status/services/main/", 404),
        ("/status/services/main/outages", 404),
        ("/status/services/main/outages/2026-01-01T00:00:00Z", 404),
        ("/status/services/main/outages/now", 404),
        ("/status/services/main/outages/9999999999999999999", 404),
        ("/status/services/%00", 404),
        ("/status/services/%F0%9F%92%A9", 404),
        ("/status/services/..%2F..%2Fetc%2Fpasswd", 404),
        ("/status/services/main'%20OR%20'1'='1", 404),
        ("/status/outages?service=gone", 404),
        ("/status/services/main?period=1y", 400),
        ("/status/services/main?period=7d&period=30d", 400),
        ("/status/outages?before=yesterday", 400),
        ("/status/outages?before=-999999999-01-01T00:00:00Z", 400),
    ] {
        let answer = api.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        let head = api.ask("HEAD", path, &[]);
        assert_eq!((head.status, head.body.as_str()), (status, ""), "{path}");
        if status == 200 {
            let known = [("If-None-Match", answer.header("etag"))];
            assert_eq!(api.ask("GET", path, &known).status, 304, "{path}");
            assert_eq!(api.ask("POST", path, &[]).status, 405, "{path}");
        }
    }
    assert_eq!(api.end(), [""; 0]);
}

#[test]
fn while_the_database_is_away_a_service_page_is_served_without_its_chart() {
    let mut cluster = Cluster::start(&[]);
    let database = cluster.empty();
    shared::testing::migrate(&mut database.connect());
    let api = api(&database);
    check(&mut database.connect(), "main", "1 minute", "online");
    api.status_when("the check", |status| status["services"][0]["total_checks"] == 1);

    let away = "The database can’t be asked for response times just now.";
    let frozen = cluster.freeze();
    assert!(served(&api).contains(away));
    drop(frozen);
    eventually("the chart is back", || served(&api).contains("<dt>Median"));
    cluster.stop();
    api.status_when("it is away", |status| status["source"] == "away");
    let page = served(&api);
    assert!(page.contains("The database can’t be read."), "the notice of every page");
    assert!(page.contains("<dt>Median") && page.contains("Operational"), "what was read is still shown");
    assert!(api.get("/status/outages").body.contains("None in 90 days."));
}

fn served(api: &Api) -> String {
    let page = api.get(SERVICE);
    assert_eq!(page.status, 200);
    page.body
}

#[test]
fn without_a_database_there_is_no_service_and_no_outage() {
    let api = Api::start(None, &[]);
    assert_eq!(api.get(SERVICE).status, 404);
    let outages = api.get("/status/outages");
    assert_eq!(outages.status, 200);
    assert!(outages.body.contains("This server has no database to read from"));
}
