//! Every start and loss condition: the api goes on serving and says what stands behind its figures.

use shared::testing::{Cluster, Database, eventually};

use crate::api::{Api, check, heartbeat, publish_service};

#[test]
fn without_a_database_url_the_page_is_served_and_says_so() {
    let api = Api::start(None, &[]);
    assert_eq!(api.get("/healthz").status, 200);
    let ready = api.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: DATABASE_URL is not set\n"));
    let page = api.get("/status");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Status Unknown"));
    let status = api.status();
    assert_eq!(status["services"].as_array().unwrap().len(), 0);
    assert_eq!(status["last_check"], serde_json::Value::Null);
}

#[test]
fn a_malformed_database_url_is_explained_without_a_part_of_it() {
    let api = Api::start(Some("postgresql//anna:s3cret@db/status"), &[]);
    assert_eq!(api.get("/status").status, 200);
    let reason = api.get("/readyz");
    assert_eq!(reason.status, 503);
    assert!(!reason.body.contains("s3cret"));
}

#[test]
fn an_empty_database_is_served_and_filled_without_a_restart() {
    let database = Database::empty();
    let api = Api::start(Some(&database.url), &[]);
    eventually("the database is read", || api.get("/readyz").status == 200);
    assert!(api.get("/status").body.contains("Status Unknown"));
    let mut client = database.connect();
    shared::testing::migrate(&mut client);
    heartbeat(&mut client, "1 s");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 s", "online");
    api.status_when("the service", |status| status["services"][0]["status"] == "online");
}

#[test]
fn a_database_that_is_away_at_start_is_waited_for() {
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let url = cluster.url(&name, "postgres");
    cluster.stop();
    let api = Api::start(Some(&url), &[]);
    let said = api.logged("database: ");
    assert!(said.contains("The last figures are served; trying again"), "{said}");
    assert_eq!(api.get("/status").status, 200);
    assert_eq!(api.get("/readyz").status, 503);
    cluster.start_again();
    eventually("the database is read", || api.get("/readyz").status == 200);
}

#[test]
fn a_database_that_goes_away_leaves_the_last_figures_and_as_of_when() {
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let mut client = cluster.connect(&name);
    shared::testing::migrate(&mut client);
    heartbeat(&mut client, "0 s");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 s", "online");
    drop(client);
    let api = Api::start(Some(&cluster.url(&name, "postgres")), &[]);
    api.status_when("the service", |status| status["services"][0]["status"] == "online");
    cluster.stop();
    let away = api.status_when("it says that the database is away", |status| status["source"] == "away");
    assert_eq!(away["services"][0]["status"], "online", "the figures stay");
    assert_eq!(api.get("/readyz").status, 503);
    assert_eq!(api.get("/healthz").status, 200);
    assert!(
        api.get("/status").body.contains(&away["as_of"].as_str().unwrap()[11..16]),
        "the page says as of when"
    );
    cluster.start_again();
    api.status_when("it is back", |status| status["source"] != "away" && status["as_of"] != away["as_of"]);
    eventually("ready again", || api.get("/readyz").status == 200);
}

#[test]
fn a_frozen_database_is_noticed_and_services_still_grow_stale() {
    let cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let mut client = cluster.connect(&name);
    shared::testing::migrate(&mut client);
    heartbeat(&mut client, "0 s");
    publish_service(&mut client, "main", 0);
    // Every second, tries of 1 s: stale after 4 s.
    client.batch_execute("UPDATE status_services SET interval_ms = 1000, tries_take_ms = 9000").unwrap();
    check(&mut client, "main", "0 s", "online");
    drop(client);
    let api = Api::start(Some(&cluster.url(&name, "postgres")), &[]);
    api.status_when("the service", |status| status["services"][0]["status"] == "online");
    let frozen = Frozen::freeze(cluster.postmaster());
    let away = api.status_when("away and stale", |status| {
        status["source"] == "away" && status["services"][0]["stale"] == true
    });
    assert_eq!(away["services"][0]["last_status"], "online");
    drop(frozen);
    api.status_when("it is back", |status| status["source"] != "away");
}

#[test]
fn a_silent_monitor_is_said_at_once() {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "50 s");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "50 s", "online");
    let api = Api::start(Some(&database.url), &[]);
    let live = api.status_when("the service", |status| status["services"][0]["status"] == "online");
    assert_eq!(live["source"], "live");
    let silent = api.status_when("silence", |status| status["source"] == "silent");
    assert_eq!(silent["next_check"], serde_json::Value::Null);
    assert!(api.get("/status").body.contains("silent"));
    heartbeat(&mut client, "0 s");
    api.status_when("the monitor is heard", |status| status["source"] == "live");
}

/// Every process of a server, stopped until this is dropped.
struct Frozen(Vec<String>);

impl Frozen {
    fn freeze(postmaster: u32) -> Frozen {
        let children =
            std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
        let mut processes = vec![postmaster.to_string()];
        processes.extend(children.split_whitespace().map(str::to_owned));
        let frozen = Frozen(processes);
        frozen.signal("STOP");
        frozen
    }

    fn signal(&self, name: &str) {
        std::process::Command::new("kill").args(["-s", name]).args(&self.0).status().unwrap();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}
