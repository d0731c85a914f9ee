//! What a scraper reads of the prober: every check is counted once, and how things stand is told.

use shared::testing::{Database, eventually};

use crate::{
    daemon::{OK, count},
    process::{Daemon, Setup, every_second},
    servers::{Server, nobody},
};

/// Where its log says that it is scraped.
fn address(daemon: &Daemon) -> String {
    daemon.logged("metrics on http://").rsplit(' ').next().unwrap().to_owned()
}

fn scrape(address: &str) -> String {
    let mut answer = ureq::get(address).call().unwrap();
    let kind = answer.headers().get("content-type").unwrap().to_str().unwrap();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text
}

/// The sample of this name and these labels.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn every_check_is_counted_and_how_things_stand_is_told() {
    let server = Server::saying(OK);
    let refused = format!("http://{}/", nobody());
    let setup = Setup::of(&every_second(&[("main", &server.url("/")), ("git", &refused)]));
    let database = Database::empty();
    let mut command = setup.recording(&database.url);
    command.env("STATUS_METRICS_LISTEN", "127.0.0.1:0");
    let mut daemon = Daemon::start(command);
    let address = address(&daemon);
    let mut text = String::new();
    eventually("both are counted and recorded", || {
        text = scrape(&address);
        let told = |name: &str| sample(&text, name).unwrap_or(0.0);
        told("status_prober_checks_total{service=\"main\",status=\"online\",failure=\"\"}") >= 3.0
            && told("status_prober_checks_total{service=\"git\",status=\"offline\",failure=\"connect\"}")
                >= 3.0
            && told("status_prober_checks_recorded_total") >= 6.0
            && told("status_prober_probers") == 1.0
    });
    let told = |name: &str| sample(&text, name).unwrap_or_else(|| panic!("{name}: {text}"));
    assert_eq!(told("status_prober_services"), 2.0);
    assert_eq!(told("status_prober_services_held"), 2.0);
    assert_eq!(told("status_prober_database_connected"), 1.0);
    assert_eq!(told("status_prober_turns_skipped_total"), 0.0);
    assert_eq!(told("status_prober_journal_dropped_total"), 0.0);
    assert!(told("status_prober_turn_lateness_seconds_count") >= 6.0);
    let times = told("status_prober_response_time_seconds_count{service=\"main\"}");
    assert!(
        times >= 3.0
            && times == told("status_prober_response_time_seconds_bucket{le=\"10.0\",service=\"main\"}")
    );
    assert!(told("status_prober_last_recorded_timestamp_seconds") > 1.7e9);
    assert!(told("status_prober_journal_disk_bytes") > 0.0);
    assert!(
        ["status_prober_requests_in_flight", "status_prober_requests_waiting"]
            .iter()
            .all(|name| told(name) >= 0.0)
    );
    // Who has left the file is counted no more.
    setup.replace(&every_second(&[("main", &server.url("/"))]));
    daemon.signal("HUP");
    eventually("it is forgotten", || !scrape(&address).contains("service=\"git\""));
    let recorded = sample(&scrape(&address), "status_prober_checks_recorded_total").unwrap();
    assert!(count(&mut database.connect(), "service_checks") as f64 >= recorded);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_database_that_is_away_is_told_and_nothing_is_lost() {
    let server = Server::saying(OK);
    let setup = Setup::of(&every_second(&[("main", &server.url("/"))]));
    let mut command = setup.recording("postgresql://127.0.0.1:1/none");
    command.env("STATUS_METRICS_LISTEN", "127.0.0.1:0");
    let mut daemon = Daemon::start(command);
    let address = address(&daemon);
    eventually("checks wait", || {
        let text = scrape(&address);
        let told = |name: &str| sample(&text, name).unwrap_or(0.0);
        told("status_prober_journal_checks") >= 3.0
            && told("status_prober_database_errors_total") >= 1.0
            && told("status_prober_database_connected") == 0.0
    });
    daemon.stop();
}

#[test]
fn nothing_else_is_answered_and_a_taken_address_is_said_in_one_line() {
    let server = Server::saying(OK);
    let setup = Setup::of(&every_second(&[("main", &server.url("/"))]));
    let mut command = setup.command(&["run"]);
    command.env("STATUS_METRICS_LISTEN", "127.0.0.1:0");
    let mut daemon = Daemon::start(command);
    let address = address(&daemon);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let root = address.strip_suffix("/metrics").unwrap();
    assert_eq!(agent.get(root).call().unwrap().status(), 404);
    assert_eq!(agent.post(&address).send_empty().unwrap().status(), 405);
    assert_eq!(agent.head(&address).call().unwrap().status(), 200);
    let taken = root.strip_prefix("http://").unwrap();
    let second = setup.run(&["run", "--metrics-listen", taken]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("can't be scraped on {taken}: Address already in use")), "{said}");
    let misused = setup.run(&["run", "--metrics-listen", "9150"]);
    assert_eq!(misused.status.code(), Some(2));
    daemon.stop();
}
