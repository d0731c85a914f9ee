//! A standby becomes the primary while it is read: whoever reads it and whoever looks for the primary goes on.

use shared::testing::{Cluster, eventually};

use crate::{
    api::Api,
    statistics::compare,
    together::{Prober, services_file},
};

#[test]
fn a_standby_is_promoted_under_the_api_and_the_prober_finds_the_new_primary() {
    let mut primary = Cluster::start(&["-c", "synchronous_commit=on"]);
    let database = primary.empty();
    let standby = primary.standby(&[]);
    let (first, second) = (database.url.clone(), standby.url(&database.name, "postgres"));
    let host = second.split('@').nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let either = first.replacen(":5432/", &format!(":5432,{host}/"), 1);
    assert_ne!(either, first);
    let prober = Prober::start(
        &services_file("1s", &[("main", "http://127.0.0.1:1/")]),
        &format!("{either}?target_session_attrs=read-write"),
    );
    let api = Api::start(Some(&second), &[]);
    api.status_when("the standby has a check", |status| status["services"][0]["status"] == "offline");

    primary.stop();
    prober.logged("wait in the journal; trying again");
    let mut client = standby.connect(&database.name);
    client.query("SELECT pg_promote()", &[]).unwrap();
    let count = "SELECT count(*) FROM service_checks";
    let before: i64 = client.query_one(count, &[]).unwrap().get(0);
    eventually("checks are recorded in the new primary", || {
        client.query_one(count, &[]).unwrap().get::<_, i64>(0) > before
    });
    prober.end();
    compare(&api, &mut client);
    assert_eq!(api.end(), [""; 0], "the api noticed nothing");
}
