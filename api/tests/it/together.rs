//! Both programs over one database, as a person runs them: adoption of the original's table, kills, rights.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use shared::testing::{Database, Log, ORIGINAL, eventually};
use tempfile::TempDir;

use crate::{
    api::Api,
    statistics::{compare, five_services_file},
};

/// The status-prober that was built beside this status-api.
pub(crate) struct Prober {
    child: Child,
    log: Log,
    _folder: TempDir,
}

pub(crate) fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_status-api")).with_file_name("status-prober");
    assert!(path.exists(), "{} is missing: run the tests of the whole workspace", path.display());
    path
}

impl Prober {
    pub(crate) fn start(services: &str, database_url: &str) -> Prober {
        Prober::start_with(services, database_url, &[])
    }

    /// The same, told more.
    pub(crate) fn start_with(services: &str, database_url: &str, arguments: &[&str]) -> Prober {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("services.toml");
        std::fs::write(&file, services).unwrap();
        let mut child = Command::new(program())
            .args(["run", "--config"])
            .arg(file)
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", database_url)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        Prober { child, log, _folder: folder }
    }

    /// The first line of its log that contains `text`.
    pub(crate) fn logged(&self, text: &str) -> String {
        self.log.line_with(text)
    }

    /// Ends it in order, with everything recorded; gives its log.
    pub(crate) fn end(mut self) -> Vec<String> {
        Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(self.child.wait().unwrap().success());
        self.log.to_the_end()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn migrate_by_program(database_url: &str) {
    assert_eq!(try_to_migrate(database_url), Ok(()));
}

/// What it complains about, where it does.
pub(crate) fn try_to_migrate(database_url: &str) -> Result<(), String> {
    let output = Command::new(program())
        .arg("migrate")
        .env_clear()
        .env("DATABASE_URL", database_url)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// All that a database holds.
pub(crate) fn dump(url: &str) -> Vec<String> {
    let output = Command::new("pg_dump").arg(url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Newer ones frame it with a word made up each time.
    let lines =
        text.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.map(str::to_owned).collect()
}

/// A server that answers every request with 200 and counts them.
fn counting_server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                count.fetch_add(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
            }
        }
    });
    (url, seen)
}

pub(crate) fn services_file(interval: &str, services: &[(&str, &str)]) -> String {
    let mut text = format!("interval = \"{interval}\"\ntimeout = \"500ms\"\nretries = 0\n");
    for (id, url) in services {
        write!(text, "[[services]]\nid = \"{id}\"\nname = \"{id}\"\nurl = \"{url}\"\n").unwrap();
    }
    text
}

#[test]
fn a_hundred_thousand_rows_of_the_original_are_adopted_and_every_figure_equals_plain_sql() {
    let database = Database::empty();
    let mut client = database.connect();
    client.batch_execute(ORIGINAL).unwrap();
    client
        .batch_execute(
            "SELECT setseed(0.7);
             INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code, error)
             SELECT (ARRAY['main', 'files', 'git', 'pass', 'ssh', 'gone'])[1 + n % 6],
                    now() - (n / 6) * INTERVAL '40 minutes' - random() * INTERVAL '1 hour',
                    CASE WHEN random() < 0.97 THEN 'online'
                         ELSE (ARRAY['degraded', 'timeout', 'offline', 'nobody knows'])[1 + (random() * 3.99)::int % 4] END,
                    (random() * 9000)::int, 200, NULL
             FROM generate_series(1, 100000) n",
        )
        .unwrap();
    migrate_by_program(&database.url);
    let (url, _) = counting_server();
    let _prober = Prober::start(&five_services_file(&url), &database.url);
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("every service has a fresh check", |status| {
        let services = status["services"].as_array().unwrap();
        services.len() == 5
            && services.iter().all(|service| service["status"] == "online" && service["stale"] == false)
    });
    compare(&api, &mut client);
    let status = api.status();
    assert!(status["services"].as_array().unwrap().iter().all(|service| service["uptime"]["30d"].is_f64()));
}

#[test]
fn retention_removes_old_checks_and_no_figure_changes_but_by_what_is_measured() {
    let database = Database::empty();
    let mut client = database.connect();
    client.batch_execute(ORIGINAL).unwrap();
    // The last service was last online long before what retention removes.
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             SELECT (ARRAY['main', 'files', 'git', 'pass', 'ssh'])[1 + n % 5],
                    date_trunc('second', now()) - INTERVAL '1 day' - (n / 5) * INTERVAL '3 hours',
                    CASE WHEN n % 5 = 4 AND n < 6000 OR n % 7 = 0 THEN 'offline' ELSE 'online' END, n % 900
             FROM generate_series(0, 9999) n",
        )
        .unwrap();
    migrate_by_program(&database.url);
    let figures = |status: &Value| -> Vec<Value> {
        let shown = |service: &Value| {
            json!([
                service["id"],
                service["total_checks"],
                service["uptime"]["all_time"],
                service["last_online"]
            ])
        };
        status["services"].as_array().unwrap().iter().map(shown).collect()
    };
    let count = |client: &mut postgres::Client| -> i64 {
        let old = "SELECT count(*) FROM service_checks WHERE timestamp < now() - INTERVAL '92 days'";
        client.query_one(old, &[]).unwrap().get(0)
    };
    // Nothing answers there, so the prober adds an offline check to each service and no other changes a figure.
    let services = format!("retries = 0\n{}", five_services_file("http://127.0.0.1:1"));
    let first = Prober::start(&services, &database.url);
    let api = Api::start(Some(&database.url), &[]);
    let checked = |status: &Value| {
        let services = status["services"].as_array().unwrap();
        services.len() == 5 && services.iter().all(|service| service["total_checks"] == 2001)
    };
    let before = api.status_when("every service has its fresh check", checked);
    drop(first);
    // The server notices a moment later, and till then its upkeep holds what the next one's needs.
    let left = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'status-prober%'";
    eventually("it is gone", || client.query_one(left, &[]).unwrap().get::<_, i64>(0) == 0);
    assert!(count(&mut client) > 5000);

    let _second = Prober::start(&format!("retention = \"91d\"\n{services}"), &database.url);
    eventually("old checks are gone, but the last online one of a service", || count(&mut client) <= 5);
    let after = api.status_when("the second fresh check", |status| {
        let services = status["services"].as_array().unwrap();
        services.iter().all(|service| service["total_checks"] == 2002)
    });
    for (before, after) in figures(&before).into_iter().zip(figures(&after)) {
        assert_eq!((&before[0], &before[3]), (&after[0], &after[3]));
        let online = |figures: &Value| figures[2].as_f64().unwrap() * figures[1].as_f64().unwrap() / 100.0;
        assert_eq!(online(&before).round(), online(&after).round(), "{before} {after}");
    }
    let kept: i64 = client.query_one("SELECT sum(total)::bigint FROM status_days", &[]).unwrap().get(0);
    assert_eq!(kept, 5 * 2002);
}

#[test]
fn either_may_be_killed_and_the_other_does_not_notice() {
    let (url, seen) = counting_server();
    let database = Database::empty();
    let services = services_file("1s", &[("main", &url)]);
    let prober = Prober::start(&services, &database.url);
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("it is online", |status| status["services"][0]["status"] == "online");

    drop(api);
    let before = seen.load(Ordering::SeqCst);
    eventually("checks go on", || seen.load(Ordering::SeqCst) > before + 2);
    let api = Api::start(Some(&database.url), &[]);
    let status = api.status_when("it is back", |status| status["services"][0]["status"] == "online");
    assert!(status["services"][0]["total_checks"].as_i64().unwrap() > i64::try_from(before).unwrap());

    drop(prober);
    assert_eq!(api.get("/status").status, 200);
    assert_eq!(api.get("/readyz").status, 200);
    let stale = api.status_when("it is stale and not green", |status| status["services"][0]["stale"] == true);
    assert_eq!(
        (&stale["services"][0]["status"], &stale["services"][0]["last_status"]),
        (&"unknown".into(), &"online".into())
    );
    let _prober = Prober::start(&services, &database.url);
    api.status_when("it is online again", |status| status["services"][0]["status"] == "online");
}

/// At random moments, 4 times, or 60 times under `./deploy/test --long`.
#[test]
fn killed_at_any_time_both_come_back_to_the_right_state_and_nothing_is_doubled() {
    let rounds = if std::env::var_os("STATUS_TEST_LONG").is_some() { 60 } else { 4 };
    let (url, seen) = counting_server();
    let database = Database::empty();
    let services: Vec<(String, &str)> = (0..10).map(|n| (format!("s{n}"), &*url)).collect();
    let services: Vec<(&str, &str)> = services.iter().map(|(id, url)| (&**id, *url)).collect();
    let services = services_file("1s", &services);
    for round in 0..rounds {
        let moment = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), round) % 1500;
        let _prober = Prober::start(&services, &database.url);
        let api = (round % 2 == 0).then(|| Api::start(Some(&database.url), &[]));
        std::thread::sleep(Duration::from_millis(moment));
        drop(api);
    }
    let prober = Prober::start(&services, &database.url);
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("every service is online", |status| {
        let services = status["services"].as_array().unwrap();
        services.len() == 10 && services.iter().all(|service| service["status"] == "online")
    });
    let mut client = database.connect();
    drop(prober);
    compare(&api, &mut client);
    let row =
        client.query_one("SELECT count(*), count(DISTINCT (service_id, timestamp)) FROM service_checks", &[]);
    let (recorded, distinct): (i64, i64) = row.map(|row| (row.get(0), row.get(1))).unwrap();
    assert_eq!(recorded, distinct);
    assert!(recorded <= i64::try_from(seen.load(Ordering::SeqCst)).unwrap(), "no check that was never made");
}

#[test]
fn a_reader_of_the_original_table_serves_before_and_after_the_migration() {
    let database = Database::empty();
    let mut client = database.connect();
    client.batch_execute(ORIGINAL).unwrap();
    let role = database.create_role();
    client.batch_execute(&format!("GRANT SELECT ON service_checks TO {role}")).unwrap();
    let api = Api::start(Some(&database.url_of(&role)), &[]);
    eventually("it reads the database", || api.get("/readyz").status == 200);
    assert_eq!(api.status()["source"], "empty");
    let (url, _) = counting_server();
    let _prober = Prober::start(&services_file("1h", &[("main", &url)]), &database.url);
    api.status_when("it reads what the migration made", |status| status["services"][0]["status"] == "online");
    let mut reader = postgres::Client::connect(&database.url_of(&role), postgres::NoTls).unwrap();
    for table in ["service_checks", "status_totals", "status_rollups", "status_services", "status_probers"] {
        reader.batch_execute(&format!("DELETE FROM {table}")).unwrap_err();
    }
}

#[test]
fn a_service_taken_out_of_the_file_leaves_the_page_and_keeps_its_history() {
    let (url, _) = counting_server();
    let database = Database::empty();
    let both = Prober::start(&services_file("1h", &[("main", &url), ("git", &url)]), &database.url);
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("both are online", |status| {
        status["services"].as_array().unwrap().iter().filter(|service| service["status"] == "online").count()
            == 2
    });
    drop(both);
    let _one = Prober::start(&services_file("1h", &[("git", &url)]), &database.url);
    api.status_when("one left", |status| status["services"].as_array().unwrap().len() == 1);
    let rows =
        database.connect().query_one("SELECT count(*) FROM service_checks WHERE service_id = 'main'", &[]);
    assert_eq!(rows.unwrap().get::<_, i64>(0), 1);
}
