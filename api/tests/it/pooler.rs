//! The api through PgBouncer in transaction mode, where every look may come over another connection that others
//! used before and will use after it.

use std::time::{Duration, Instant};

use postgres::{Client, SimpleQueryMessage};
use shared::testing::{Database, Pooler, shared_cluster, within};

use crate::{
    api::{Api, check, heartbeat, publish_service},
    statistics::compare,
};

/// What a client of the pooler finds where another has been.
fn shown(client: &mut Client, query: &str) -> String {
    let messages = client.simple_query(query).unwrap();
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap().to_owned()
}

fn a_database() -> (Database, Client) {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "-1 hour");
    publish_service(&mut client, "main", 0);
    (database, client)
}

/// For six seconds, or two minutes under `./deploy/test --long`.
#[test]
fn looks_share_pooled_connections_with_others_and_leave_nothing_there() {
    let time = Duration::from_secs(if std::env::var_os("STATUS_TEST_LONG").is_some() { 120 } else { 6 });
    let (database, mut direct) = a_database();
    direct.batch_execute(&format!("ALTER DATABASE {} SET log_statement = 'all'", database.name)).unwrap();
    for connections in [1, 2] {
        let pooler = Pooler::start(shared_cluster(), connections);
        let mut writer = pooler.connect(&database.name);
        // The one connection is woken by every change from now on, whoever uses it.
        writer.batch_execute("LISTEN status_changed").unwrap();
        let apis: Vec<Api> = (0..3).map(|_| Api::start(Some(&pooler.url(&database.name)), &[])).collect();
        let end = Instant::now() + time / 2;
        let mut status = "online";
        while Instant::now() < end {
            status = if status == "online" { "offline" } else { "online" };
            for client in [&mut writer, &mut direct] {
                // In a transaction, as the prober writes.
                let mut transaction = client.transaction().unwrap();
                transaction.batch_execute("SELECT FROM status_services_file FOR UPDATE").unwrap();
                let write =
                    format!("INSERT INTO service_checks (service_id, status) VALUES ('main', '{status}')");
                transaction.batch_execute(&write).unwrap();
                transaction.commit().unwrap();
            }
            for api in &apis {
                api.status_when("the new check", |seen| seen["services"][0]["status"] == status);
                assert_eq!(api.get("/readyz").status, 200);
            }
            for (setting, untouched) in [
                ("search_path", "\"$user\", public"),
                ("statement_timeout", "0"),
                ("lock_timeout", "0"),
                ("default_transaction_read_only", "off"),
                ("transaction_isolation", "read committed"),
            ] {
                assert_eq!(shown(&mut writer, &format!("SHOW {setting}")), untouched, "{setting}");
            }
            assert_eq!(shown(&mut writer, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
        }
        compare(&apis[0], &mut direct);
        for api in apis {
            assert_eq!(api.end(), [""; 0], "{connections} connections");
        }
    }
    // A statement with a name is the connection's, not the look's.
    let log = shared_cluster().log();
    assert!(log.contains("LOG:  execute <unnamed>: "));
    assert_eq!(log.lines().find(|line| line.contains("LOG:  execute s")), None);
}

#[test]
fn a_pooler_that_is_restarted_is_found_again() {
    let (database, mut direct) = a_database();
    let mut pooler = Pooler::start(shared_cluster(), 2);
    let api = Api::start(Some(&pooler.url(&database.name)), &[]);
    api.status_when("the service", |status| status["services"][0]["id"] == "main");
    pooler.kill();
    api.logged("database: ");
    check(&mut direct, "main", "0 s", "online");
    // By then it tries as seldom as it ever does.
    api.status_when("the database is away", |status| status["source"] == "away");
    pooler.start_again();
    within(Duration::from_secs(5), "it is back", || {
        api.status()["services"][0]["status"] == "online" && api.get("/readyz").status == 200
    });
    api.logged("database: back");
}
