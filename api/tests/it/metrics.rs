//! What a scraper reads of the api: requests by route and status, and how old what it shows is.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use shared::testing::{Database, eventually, free_port, root};

use crate::{
    api::{Api, ask, check, heartbeat, publish_service, try_to_ask},
    together::Prober,
};

fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn requests_are_counted_by_route_and_status_and_how_things_stand_is_told() {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "1 s");
    publish_service(&mut client, "main", 0);
    publish_service(&mut client, "never", 1);
    check(&mut client, "main", "1 minute", "online");
    let api = Api::start(Some(&database.url), &["--metrics-listen", "127.0.0.1:0", "--base-path", "/m"]);
    let address = api.logged("metrics on ").rsplit(' ').next().unwrap().to_owned();
    api.status_when("the check", |status| status["services"][0]["total_checks"] == 1);
    let before = ask("GET", &address, &[]);
    assert_eq!(before.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let before =
        sample(&before.body, "status_api_requests_total{route=\"/status\",status=\"200\"}").unwrap_or(0.0);
    for path in
        ["/status", "/m/status", "/m/api/services/main", "/api/services/gone", "/nowhere", "/m/nowhere"]
    {
        api.get(path);
    }
    let text = ask("GET", &address, &[]).body;
    let told = |name: &str| sample(&text, name).unwrap_or_else(|| panic!("{name}: {text}"));
    let requests = |route: &str, status: u16| {
        told(&format!("status_api_requests_total{{route=\"{route}\",status=\"{status}\"}}"))
    };
    assert_eq!(requests("/status", 200) - before, 2.0);
    assert_eq!((requests("/api/services/{id}", 200), requests("/api/services/{id}", 404)), (1.0, 1.0));
    assert_eq!(requests("none", 404), 2.0);
    assert_eq!(told("status_api_ready"), 1.0);
    assert_eq!(told("status_api_services{status=\"online\"}"), 1.0);
    assert_eq!(told("status_api_services{status=\"unknown\"}"), 1.0);
    assert_eq!(told("status_api_event_clients"), 0.0);
    assert!(told("status_api_publishing_seconds_count") >= 1.0);
    let age = chrono::Utc::now().timestamp() as f64 - told("status_api_snapshot_timestamp_seconds");
    assert!((-1.0..60.0).contains(&age), "{age}");
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("route=\"/metrics\""));
    assert_eq!(api.get("/metrics").status, 404, "visitors do not see them");
}

#[test]
fn a_database_that_is_away_is_told() {
    let api = Api::start(Some("postgresql://127.0.0.1:1/none"), &["--metrics-listen", "127.0.0.1:0"]);
    let address = api.logged("metrics on ").rsplit(' ').next().unwrap().to_owned();
    eventually("it is told", || {
        let text = ask("GET", &address, &[]).body;
        sample(&text, "status_api_database_errors_total").unwrap() >= 1.0
            && sample(&text, "status_api_ready") == Some(0.0)
    });
}

#[test]
fn each_rule_speaks_when_it_should_and_else_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let rules = root().join("deploy/prometheus/status-monitor.rules.yml");
    let tests = fs::read_to_string(root().join("api/tests/scraped/rules.test.yml")).unwrap();
    let file = folder.path().join("rules.test.yml");
    fs::write(&file, tests.replace("RULES", rules.to_str().unwrap())).unwrap();
    let output = Command::new("promtool").args(["test", "rules"]).arg(&file).output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{}", said.join("\n"));
}

/// Killed when dropped.
struct Prometheus {
    child: Child,
    address: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Prometheus {
    /// Scrapes these two each second, as the example tells it to.
    fn start(folder: &std::path::Path, prober: &str, api: &str) -> Prometheus {
        let example = fs::read_to_string(root().join("deploy/prometheus/scrape.yml")).unwrap();
        let rules = root().join("deploy/prometheus/status-monitor.rules.yml");
        let configuration = example
            .replace("status-monitor.rules.yml", rules.to_str().unwrap())
            .replace("127.0.0.1:9150", prober)
            .replace("127.0.0.1:9151", api);
        let each_second = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n";
        let file = folder.join("prometheus.yml");
        fs::write(&file, format!("{each_second}{configuration}")).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Prometheus { child, address }
    }

    fn get(&self, path: &str) -> Value {
        let answer = try_to_ask("GET", &format!("http://{}/api/v1/{path}", self.address), &[]);
        answer.map_or(Value::Null, |answer| serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }

    /// The values of an instant query.
    fn query(&self, expression: &str) -> Vec<f64> {
        let expression: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let told = self.get(&format!("query?query={expression}"));
        let results = told["data"]["result"].as_array().cloned().unwrap_or_default();
        results.iter().map(|one| one["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }
}

/// What the panels of the dashboard ask, of any time and service.
fn dashboard() -> Vec<String> {
    let text = fs::read_to_string(root().join("deploy/grafana/service-status-monitor.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let plain = |target: &Value| {
        let expression = target["expr"].as_str().unwrap();
        expression.replace("$__rate_interval", "1m").replace("$service", ".*")
    };
    targets.map(plain).collect()
}

#[test]
fn prometheus_scrapes_both_programs_and_evaluates_the_rules() {
    let database = Database::empty();
    let of = |line: String| line.rsplit(' ').next().unwrap()["http://".len()..].replace("/metrics", "");
    let api = Api::start(Some(&database.url), &["--metrics-listen", "127.0.0.1:0"]);
    let api_address = of(api.logged("metrics on "));
    let services = format!(
        "interval = \"1s\"\ntimeout = \"400ms\"\nretries = 0\n\
         [[services]]\nid = \"main\"\nname = \"main\"\nurl = \"{}/healthz\"\n\
         [[services]]\nid = \"dead\"\nname = \"dead\"\nurl = \"http://127.0.0.1:1/\"\n",
        api.address
    );
    let prober = Prober::start_with(&services, &database.url, &["--metrics-listen", "127.0.0.1:0"]);
    let prober_address = of(prober.logged("metrics on "));
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(folder.path(), &prober_address, &api_address);
    eventually("both are up", || prometheus.query("up") == [1.0, 1.0]);
    eventually("one of both is offline", || {
        let refused = prometheus.query("status_prober_checks_total{status=\"offline\",failure=\"connect\"}");
        refused.len() == 1 && prometheus.query("status_api_services{status=\"offline\"}") == [1.0]
    });
    eventually("every rule was evaluated", || {
        let groups = prometheus.get("rules");
        let rules = groups["data"]["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
        rules.len() == 9 && rules.iter().all(|rule| rule["health"] == "ok")
    });
    // A panel tells of answers that are none.
    api.get("/nowhere");
    for expression in dashboard() {
        eventually(&expression, || !prometheus.query(&expression).is_empty());
    }
    eventually("the offline one is about to be told", || {
        let alerts = prometheus.get("alerts");
        let alerts = alerts["data"]["alerts"].as_array().cloned().unwrap_or_default();
        alerts.iter().any(|alert| alert["labels"]["alertname"] == "StatusServicesAreOffline")
    });
}
