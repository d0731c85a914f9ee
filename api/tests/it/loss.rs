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
fn what_a_database_url_holds_reaches_nobody_raw_and_a_password_with_an_at_sign_in_no_part() {
    let url = Database::empty().url;
    for control in [format!("{url}%1B%5B31m%07"), "postgresql:///db%1B?host=/tmp/%07nowhere".into()] {
        let api = Api::start(Some(&control), &[]);
        let said =
            api.logged("database: ") + &api.logged("reading from ") + api.get("/readyz").body.trim_end();
        assert!(!said.contains(char::is_control), "{said:?}");
    }
    for secret in ["p@s3cret@127.0.0.1:1/db", "p@%2Fs3cret@127.0.0.1:1/db"] {
        let api = Api::start(Some(&format!("postgresql://anna:{secret}")), &[]);
        let said = api.logged("DATABASE_URL is malformed; write ") + &api.get("/readyz").body;
        assert!(!said.contains("s3cret"), "{said}");
    }
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
