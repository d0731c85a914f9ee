//! The public half cannot write, by construction: a role with SELECT is all it needs and all it should have.

use std::process::Command;

use shared::testing::{Cluster, Database, eventually, root};

use crate::{
    api::{Api, check, heartbeat, publish_service},
    together::{Prober, migrate_by_program},
};

#[test]
fn a_role_with_select_only_is_enough() {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "1 s");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 minute", "online");
    let role = database.create_role();
    let api = Api::start(Some(&database.url_of(&role)), &[]);
    let refused = api.logged("permission denied");
    assert!(refused.contains("deploy/roles.sql"), "it says what to do: {refused}");
    assert_eq!(api.get("/readyz").status, 503);
    client.batch_execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).unwrap();
    eventually("it reads", || api.get("/readyz").status == 200);
    api.status_when("the service", |status| status["services"][0]["status"] == "online");
}

#[test]
fn such_a_role_can_write_nothing() {
    let database = Database::migrated();
    let role = database.create_role();
    database
        .connect()
        .batch_execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
        .unwrap();
    let mut reader = postgres::Client::connect(&database.url_of(&role), postgres::NoTls).unwrap();
    for write in [
        "INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')",
        "UPDATE service_checks SET status = 'online'",
        "DELETE FROM service_checks",
        "TRUNCATE service_checks",
        "UPDATE status_totals SET total = 0",
        "DELETE FROM status_rollups",
        "DELETE FROM status_services",
        "INSERT INTO status_probers (id, version) VALUES (gen_random_uuid(), 'x')",
        "DROP TABLE service_checks",
    ] {
        let refused = reader.batch_execute(write).unwrap_err();
        assert_eq!(refused.code(), Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE), "{write}");
    }
}

#[test]
fn tables_off_the_search_path_of_the_reader_are_found() {
    let database = Database::empty();
    let mut client = database.connect();
    client.batch_execute("CREATE SCHEMA monitor; SET search_path = monitor").unwrap();
    shared::testing::migrate(&mut client);
    heartbeat(&mut client, "1 s");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 minute", "online");
    let role = database.create_role();
    let rights = format!(
        "GRANT USAGE ON SCHEMA monitor TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA monitor TO {role}"
    );
    client.batch_execute(&rights).unwrap();
    let api = Api::start(Some(&database.url_of(&role)), &[]);
    api.status_when("the service", |status| status["services"][0]["status"] == "online");
}

/// Runs `deploy/roles.sql` as an operator does.
pub(crate) fn apply_roles(url: &str) {
    let output =
        Command::new("psql").arg(url).arg("-Xqf").arg(root().join("deploy/roles.sql")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_roles_of_deploy_are_enough_and_no_more() {
    // Roles belong to the whole server, so this needs one of its own.
    let cluster = Cluster::start(&[]);
    let database = cluster.empty();
    let url = |user: &str| cluster.url(&database.name, user);
    let mut somebody = cluster.connect(&database.name);
    somebody.batch_execute("CREATE TABLE status_users (password TEXT)").unwrap();
    apply_roles(&url("postgres"));
    migrate_by_program(&url("status_prober"));
    apply_roles(&url("postgres"));
    let _prober = Prober::start(
        "[[services]]\nid = \"main\"\nname = \"main\"\nurl = \"http://127.0.0.1:9/\"\nretries = 0\n",
        &url("status_prober"),
    );
    let api = Api::start(Some(&url("status_api")), &[]);
    api.status_when("the check is shown", |status| status["services"][0]["status"] == "offline");
    let mut reader = postgres::Client::connect(&url("status_api"), postgres::NoTls).unwrap();
    for refused in [
        "INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')",
        "DELETE FROM status_totals",
        "SET default_transaction_read_only = off; UPDATE status_services SET name = ''",
        "SET default_transaction_read_only = off; CREATE TABLE mine ()",
        "SET default_transaction_read_only = off; CREATE TEMP TABLE mine ()",
        "SELECT * FROM status_users",
    ] {
        reader.batch_execute(refused).unwrap_err();
    }
}
