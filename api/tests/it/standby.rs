//! The api on a hot standby: what the primary has within moments, through every conflict with recovery.

use std::time::Duration;

use postgres::{Client, error::SqlState};
use shared::testing::{Cluster, Database, eventually, shared_replication, within};

use crate::{
    api::{Api, check, heartbeat, publish_service},
    statistics::compare,
};

/// A migrated database on the primary, a connection to it, and its address on the standby once it is there.
fn replicated() -> (Database, Client, &'static Cluster, String) {
    let (primary, standby) = shared_replication();
    let database = primary.empty();
    let mut client = database.connect();
    shared::testing::migrate(&mut client);
    heartbeat(&mut client, "-1 hour");
    let url = standby.url(&database.name, "postgres");
    is_replayed(&mut client, standby);
    (database, client, standby, url)
}

fn is_replayed(primary: &mut Client, standby: &Cluster) {
    let written: String = primary.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).unwrap().get(0);
    let mut reader = standby.connect("postgres");
    eventually("the standby follows", || {
        let replayed = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
        reader.query_one(replayed, &[&written]).unwrap().get(0)
    });
}

#[test]
fn a_standby_serves_what_the_primary_has_and_follows() {
    let (database, mut client, standby, url) = replicated();
    // Such a transaction is impossible on a standby; the api's own are not such.
    let role = database.create_role();
    client
        .batch_execute(&format!(
            "ALTER ROLE {role} SET default_transaction_isolation = 'serializable';
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .unwrap();
    publish_service(&mut client, "main", 0);
    is_replayed(&mut client, standby);
    let mut reader = standby.connect(&database.name);
    let refused = reader.batch_execute("LISTEN status_changed").unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION), "{refused:?}");

    let api = Api::start(Some(&url.replacen("postgres@", &format!("{role}@"), 1)), &[]);
    for (total, status) in (1..).zip(["online", "offline", "online", "degraded", "online"]) {
        check(&mut client, "main", "0 s", status);
        within(Duration::from_secs(5), "the new check is shown", || {
            let shown = api.status()["services"][0].clone();
            shown["status"] == status && shown["total_checks"] == total
        });
    }
    publish_service(&mut client, "git", 1);
    api.status_when("a new service", |status| status["services"][1]["id"] == "git");
    compare(&api, &mut client);
    assert_eq!(api.end(), [""; 0]);
}

/// What a standby does to readers of rows that the primary removed, and of tables that it locked.
const CONFLICTS: &str = "
    SELECT (confl_snapshot + confl_lock + confl_bufferpin + confl_deadlock)::bigint
    FROM pg_stat_database_conflicts WHERE datname = $1";

#[test]
fn conflicts_with_recovery_cost_a_look_and_no_more() {
    let (database, mut client, standby, url) = replicated();
    for position in 0..20 {
        publish_service(&mut client, &format!("s{position}"), position);
    }
    // So many hours that a look takes its time.
    client
        .batch_execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time)
             SELECT 's' || n % 20, now() - n * INTERVAL '3 minutes', 'online', n % 1000 FROM generate_series(1, 14400) n",
        )
        .unwrap();
    let api = Api::start(Some(&url), &[]);
    api.status_when("the checks", |status| status["services"][19]["total_checks"] == 720);

    // In another database, where nothing is in its way.
    let mut watcher = standby.connect("postgres");
    eventually("some conflicts", || {
        client
            .batch_execute(
                "UPDATE service_checks SET response_time = response_time + 1 WHERE id % 20 = 0;
                 BEGIN; LOCK TABLE status_totals, status_rollups IN ACCESS EXCLUSIVE MODE; COMMIT",
            )
            .unwrap();
        client.batch_execute("VACUUM service_checks, status_rollups, status_totals").unwrap();
        assert_eq!(api.get("/readyz").status, 200);
        watcher.query_one(CONFLICTS, &[&database.name]).unwrap().get::<_, i64>(0) >= 5
    });
    assert_eq!(api.get("/readyz").status, 200);
    check(&mut client, "s0", "0 s", "offline");
    compare(&api, &mut client);
}

/// The process of the api's connection at the standby, and what kind of thing it waits for.
const CONNECTION: &str = "
    SELECT pid, COALESCE(wait_event_type, '') FROM pg_stat_activity
    WHERE datname = $1 AND application_name = 'status-api'";

#[test]
fn a_look_that_a_conflict_cancels_is_taken_again_over_the_same_connection() {
    let (database, mut client, standby, url) = replicated();
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 s", "online");
    let api = Api::start(Some(&url), &[]);
    api.status_when("the service", |status| status["services"][0]["status"] == "online");
    let mut watcher = standby.connect("postgres");
    let mut connection = || watcher.query_one(CONNECTION, &[&database.name]).unwrap();
    let process: i32 = connection().get(0);

    // A look waits for the totals, and has read the services' revision: in the way of who locks that.
    let mut locker = database.connect();
    locker.batch_execute("BEGIN; LOCK TABLE status_totals IN ACCESS EXCLUSIVE MODE").unwrap();
    // A commit takes the lock along to the standby.
    heartbeat(&mut client, "-1 hour");
    eventually("a look waits", || connection().get::<_, &str>(1) == "Lock");
    client.batch_execute("BEGIN; LOCK TABLE status_services_file IN ACCESS EXCLUSIVE MODE; COMMIT").unwrap();
    is_replayed(&mut client, standby);
    drop(locker);
    check(&mut client, "main", "0 s", "offline");
    api.status_when("the new check", |status| status["services"][0]["status"] == "offline");
    assert_eq!(connection().get::<_, i32>(0), process);
    eventually("it was cancelled", || {
        watcher.query_one(CONFLICTS, &[&database.name]).unwrap().get::<_, i64>(0) == 1
    });
    assert_eq!(api.end(), [""; 0]);
}
