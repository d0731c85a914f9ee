//! The description of the read API: what it promises holds against random questions, a client that is made from it asks
//! everything, and people can read it.

use std::{
    env,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use shared::testing::{Database, root};
use url::Url;

use crate::{
    api::{Api, check, heartbeat, publish_service},
    browser::{Habits, Visitor},
};

/// A program of Python's, as `deploy/test` installs them.
fn python(program: &str) -> Command {
    Command::new(root().join("target/python/bin").join(program))
}

fn own(file: &str) -> PathBuf {
    root().join("api/tests/described").join(file)
}

#[track_caller]
fn assert_went_well(output: &Output) {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{}", said.join("\n"));
}

/// A service with an outage that is over and one that goes on, and one that was never checked.
fn with_outages() -> (Database, Api) {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "1 s");
    publish_service(&mut client, "main", 0);
    publish_service(&mut client, "never", 1);
    for (minutes, status) in
        [(50, "online"), (40, "offline"), (30, "timeout"), (20, "online"), (10, "degraded")]
    {
        check(&mut client, "main", &format!("{minutes} minutes"), status);
    }
    let api = Api::start(Some(&database.url), &["--title", "Tests & more"]);
    api.status_when("the checks", |status| status["services"][0]["total_checks"] == 5);
    (database, api)
}

#[test]
fn what_it_promises_holds_against_random_questions() {
    let (_database, api) = with_outages();
    let examples = if env::var_os("STATUS_TEST_LONG").is_some() { "300" } else { "25" };
    let folder = tempfile::tempdir().unwrap();
    let output = python("st")
        .arg("--config-file")
        .arg(own("schemathesis.toml"))
        .args(["run", &format!("{}/api/openapi.json", api.address), "--checks", "all", "--no-color"])
        .args(["--max-examples", examples, "--generation-deterministic"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_went_well(&output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Tested: 16") && !said.contains("failed"), "{said}");
}

#[test]
fn a_client_made_from_it_asks_everything() {
    let (_database, api) = with_outages();
    let folder = tempfile::tempdir().unwrap();
    let made = python("openapi-python-client")
        .args([
            "generate",
            "--url",
            &format!("{}/api/openapi.json", api.address),
            "--meta",
            "none",
            "--output-path",
        ])
        .arg(folder.path().join("client"))
        .output()
        .unwrap();
    assert_went_well(&made);
    let asked = python("python").arg(own("fetch.py")).arg(folder.path()).arg(&api.address).output().unwrap();
    assert_went_well(&asked);
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "asked 16 questions");
}

#[test]
fn it_is_openapi_for_programs_and_a_page_for_people() {
    let api = Api::start(None, &["--base-path", "/monitor"]);
    let document = api.get("/monitor/api/openapi.json");
    assert_eq!((document.status, document.header("content-type")), (200, "application/json"));
    let document = document.json();
    assert_eq!((&document["openapi"], &document["servers"][0]["url"]), (&"3.1.0".into(), &"/monitor".into()));
    let page = api.get("/monitor/status/api");
    assert_eq!(page.status, 200);
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.body.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(page.body.contains(&format!("id=\"shape-{name}\"")), "{name}");
        for (key, of) in schema["properties"].as_object().into_iter().flatten() {
            assert!(page.body.contains(&format!("<code>{key}</code>")), "{name} {key}");
            let says = of.to_string().contains("\"description\":\"");
            assert!(says || name.starts_with("Statuspage") || name == "Windows", "{name} {key} says nothing");
        }
    }
    for target in page.body.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(target.starts_with("i-") || page.body.contains(&format!("id=\"{target}\"")), "{target}");
    }
}

/// What a reader of feeds sees: id, title, updated and link of each entry.
fn entries(feed: &[u8]) -> Vec<[String; 4]> {
    let mut reader = python("python")
        .arg(own("subscribe.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(feed).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert_went_well(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split('\t').map(Into::into).collect::<Vec<_>>().try_into().expect("four parts"))
        .collect()
}

#[test]
fn a_reader_of_feeds_sees_each_outage_once_and_hears_when_it_ends() {
    let (database, api) = with_outages();
    let feed = api.get("/status/feed.atom");
    assert_eq!((feed.status, feed.header("content-type")), (200, "application/atom+xml"));
    let before = entries(&feed.bytes);
    assert_eq!(before.len(), 2);
    assert_eq!(
        (before[0][1].as_str(), before[1][1].as_str()),
        ("main.example.org is degraded", "main.example.org was offline")
    );
    assert_eq!(api.get(&before[0][3]).status, 200, "people read of it at {}", before[0][3]);
    for page in ["/status", "/status/outages", "/status/services/main"] {
        let html = api.get(page).body;
        assert!(
            html.contains("type=\"application/atom+xml\" href=\"/status/feed.atom\""),
            "{page} leads there"
        );
    }
    assert_eq!(entries(&api.get("/status/services/main/feed.atom").bytes), before);
    assert_eq!(entries(&api.get("/status/services/never/feed.atom").bytes).len(), 0);
    assert_eq!(api.get("/status/services/gone/feed.atom").status, 404);
    check(&mut database.connect(), "main", "0 s", "online");
    api.status_when("the end", |status| status["services"][0]["status"] == "online");
    let after = entries(&api.get("/status/feed.atom").bytes);
    assert_eq!(after[0][0], before[0][0], "the id stays");
    assert_eq!(after[0][1], "main.example.org was degraded");
    assert!(after[0][2] > before[0][2], "{} {}", after[0][2], before[0][2]);
    assert_eq!(after[1], before[1]);
}

#[test]
fn links_of_a_feed_lead_to_the_origin_that_was_told() {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "1 s");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 minute", "offline");
    let api =
        Api::start(Some(&database.url), &["--origin", "https://status.example.org", "--base-path", "/m"]);
    api.status_when("the check", |status| status["services"][0]["total_checks"] == 1);
    let links = entries(&api.get("/status/feed.atom").bytes);
    assert!(
        links[0][3].starts_with("https://status.example.org/m/status/services/main/outages/"),
        "{links:?}"
    );
    let summary = api.get("/api/v2/summary.json").json();
    assert_eq!(summary["page"]["url"], "https://status.example.org/m/status");
}

#[test]
fn clients_of_a_statuspage_find_its_words() {
    let (_database, api) = with_outages();
    let summary = api.get("/api/v2/summary.json").json();
    let words: Vec<&str> =
        summary["components"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["degraded_performance", "degraded_performance"], "what is unknown is not operational");
    assert_eq!(summary["status"]["indicator"], "minor");
    assert_eq!(summary["incidents"].as_array().unwrap().len(), 1);
    assert_eq!(summary["incidents"][0]["incident_updates"][0]["status"], "investigating");
    assert_eq!(summary["page"]["name"], "Tests & more");
    for (path, key) in [("status", "status"), ("components", "components")] {
        let answer = api.get(&format!("/api/v2/{path}.json")).json();
        assert_eq!((&answer[key], &answer["page"]["id"]), (&summary[key], &summary["page"]["id"]), "{path}");
    }
    assert_eq!(summary["scheduled_maintenances"], Value::Array(Vec::new()));
}

/// In pixels, of each text: what the badge gives it, and what the browser takes for it when left alone.
const WIDTHS: &str = r#"[...document.querySelectorAll("text")].map((text) => {
    const given = text.textLength.baseVal.value;
    text.removeAttribute("textLength");
    return [text.textContent, given, text.getComputedTextLength()];
})"#;

/// In the font that stands in for Verdana here; a badge is drawn without letters drawn apart or pressed together.
#[test]
fn a_badge_gives_its_letters_the_room_that_they_take() {
    let (_database, api) = with_outages();
    let visitor = Visitor::open(&format!("{}/status", api.address), &Habits::default());
    let [one, other]: [String; 2] = [('!'..='O').collect(), ('P'..='~').collect()];
    for label in [
        "status",
        "response time",
        "https://example.org/a?b=c&d=e",
        "WWWWWW",
        "iiiiii",
        &one,
        &other,
        "Öffnungszeiten",
    ] {
        let badge = format!("{}/status/badges/main/uptime.svg", api.address);
        let badge = Url::parse_with_params(&badge, [("window", "all_time"), ("label", label)]).unwrap();
        visitor.go(badge.as_str());
        let texts: Vec<(String, f64, f64)> = visitor.eval(WIDTHS);
        let [(shown, ..), (message, ..)] = texts.as_slice() else { panic!("{badge} has {texts:?}") };
        assert_eq!((shown.as_str(), message.as_str()), (label, "40%"));
        for (text, given, taken) in texts {
            assert!((given - taken).abs() <= 1.0 + taken / 50.0, "{text}: {given} for {taken}");
        }
    }
}

#[test]
fn badges_are_pictures_and_tell_shields_the_same() {
    let (_database, api) = with_outages();
    for (path, message) in [
        ("main/status", "degraded"),
        ("main/uptime", "unknown"),
        ("main/response-time", "143\u{a0}ms"),
        ("never/status", "unknown"),
        ("status", "partial outage"),
    ] {
        let svg = api.get(&format!("/status/badges/{path}.svg"));
        assert_eq!((svg.status, svg.header("content-type")), (200, "image/svg+xml"), "{path}");
        roxmltree::Document::parse(&svg.body).unwrap();
        assert!(svg.body.contains(&format!("{message}</text>")), "{path}: {}", svg.body);
        let shield = api.get(&format!("/status/badges/{path}.json")).json();
        assert_eq!((&shield["schemaVersion"], &shield["message"]), (&1.into(), &message.into()), "{path}");
    }
    let hostile = api.get("/status/badges/status.svg?label=%3Cscript%3E%22%26%27");
    let document = roxmltree::Document::parse(&hostile.body).unwrap();
    let texts: Vec<_> = document.descendants().filter(|node| node.has_tag_name("text")).collect();
    assert_eq!(texts[0].text(), Some("<script>\"&'"));
    let window = api.get("/status/badges/main/uptime.json?window=all_time").json();
    assert_eq!((&window["label"], &window["message"]), (&"uptime".into(), &"40%".into()));
    for (path, status) in [
        ("gone/status.svg", 404),
        ("main/speed.svg", 404),
        ("main/status.svg?window=7d", 400),
        ("main/uptime.svg?window=8d", 400),
        ("main/status.svg?label=", 400),
        ("main/status.svg?label=%0A", 400),
        ("main/status.svg?style=plastic", 400),
    ] {
        let answer = api.get(&format!("/status/badges/{path}"));
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "application/problem+json"),
            "{path}"
        );
    }
}
