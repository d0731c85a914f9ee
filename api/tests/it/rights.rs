//! The public half cannot write, by construction: a role with SELECT is all it needs and all it should have.

use shared::testing::{Database, eventually};

use crate::api::{Api, check, heartbeat, publish_service};

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
