//! The database in trouble, of every kind there is.

use postgres::{Client, NoTls};
use shared::testing::{Cluster, apart, eventually, free_port};

use super::*;

/// A cluster that keeps what it acknowledged when its processes are killed, and a database in it.
fn lasting(options: &[&str]) -> (Cluster, String) {
    let cluster = Cluster::start(&[&["-c", "synchronous_commit=on"], options].concat());
    let name = cluster.empty().name;
    (cluster, name)
}

/// A prober under load whose checks are recorded.
fn recording(load: &Load, cluster: &Cluster, name: &str) -> Daemon {
    let daemon = load.put_on(&cluster.url(name, "postgres"));
    load.goes_on(1);
    load.is_caught_up_with(&mut cluster.connect(name));
    daemon
}

#[test]
fn a_database_that_is_absent_at_start_gets_everything_once_it_is_there() {
    let load = Load::start();
    let (mut cluster, name) = lasting(&[]);
    let url = cluster.url(&name, "postgres");
    cluster.stop();
    let daemon = load.put_on(&url);
    daemon.logged("Checks go on, ");
    load.goes_on(2 * times());
    cluster.start_again();
    load.ends_well(daemon, &mut cluster.connect(&name));
}

/// Takes the database away under load and brings it back: while what the prober writes waits, and comes to nothing; and
/// when it is committed, and the prober has not heard of it.
fn goes_away(take: fn(&mut Cluster)) {
    let load = Load::start();
    let (mut cluster, name) = lasting(&[]);
    let daemon = recording(&load, &cluster, &name);
    for _ in 0..times() {
        for hold in [hold_by_a_lock, hold_the_acknowledgement] {
            let held = hold(cluster.connect(&name));
            take(&mut cluster);
            drop(held);
            load.goes_on(1);
            cluster.start_again();
            load.is_caught_up_with(&mut cluster.connect(&name));
        }
    }
    daemon.logged("Checks go on, ");
    load.ends_well(daemon, &mut cluster.connect(&name));
}

/// Lets the prober's next rows be committed without a word to it, until the server starts again; they are.
fn hold_the_acknowledgement(mut other: Client) -> Client {
    wait_for_each_commit(&mut other, "nobody");
    eventually("what is written waits", || waits_for_a_standby(&mut other));
    other.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").unwrap();
    other
}

/// From now on nothing is acknowledged that a standby of this name has not.
fn wait_for_each_commit(primary: &mut Client, name: &str) {
    primary.batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).unwrap();
    primary.batch_execute("SELECT pg_reload_conf()").unwrap();
}

/// Whether rows are committed, and nothing is said.
fn waits_for_a_standby(primary: &mut Client) -> bool {
    count(primary, "pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%WITH ledger%'") == 1
}

#[test]
fn a_database_whose_processes_are_all_killed_loses_and_doubles_nothing() {
    goes_away(Cluster::tear_off);
}

#[test]
fn a_database_that_stops_at_once_and_recovers_loses_and_doubles_nothing() {
    goes_away(Cluster::kill);
}

#[test]
fn a_database_that_is_restarted_loses_and_doubles_nothing() {
    goes_away(Cluster::stop);
}

#[test]
fn a_frozen_database_loses_and_doubles_nothing() {
    let load = Load::start();
    let (cluster, name) = lasting(&[]);
    let daemon = recording(&load, &cluster, &name);
    for _ in 0..times() {
        // Shorter than what is taken for a loss, and longer.
        for rounds in [1, 7] {
            let frozen = cluster.freeze();
            load.goes_on(rounds);
            drop(frozen);
            load.is_caught_up_with(&mut cluster.connect(&name));
        }
    }
    load.ends_well(daemon, &mut cluster.connect(&name));
}

#[test]
fn a_database_at_its_connection_limit_gets_everything_once_there_is_room() {
    let load = Load::start();
    let (cluster, name) = lasting(&["-c", "max_connections=10"]);
    let daemon = recording(&load, &cluster, &name);
    for _ in 0..times() {
        let mut others = vec![cluster.connect("postgres")];
        let url = cluster.url("postgres", "postgres");
        eventually("the others have every connection", || {
            let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
            let ended = others[0].query(ended, &[&name]).unwrap().len();
            others.extend(std::iter::from_fn(|| Client::connect(&url, NoTls).ok()));
            ended == 0 && others.len() >= 9
        });
        daemon.logged("too many clients already");
        load.goes_on(2);
        drop(others);
        eventually("there is room", || Client::connect(&url, NoTls).is_ok());
        load.is_caught_up_with(&mut cluster.connect(&name));
    }
    load.ends_well(daemon, &mut cluster.connect(&name));
}

#[test]
fn a_database_whose_disk_is_full_gets_everything_once_there_is_room() {
    apart(|| {
        let load = Load::start();
        let cluster = Cluster::start_on_a_disk_of(128, &[]);
        let name = cluster.empty().name;
        let daemon = recording(&load, &cluster, &name);
        for _ in 0..times() {
            cluster.disk().fill();
            daemon.logged("No space left on device");
            load.goes_on(2);
            cluster.disk().make_room();
            load.is_caught_up_with(&mut cluster.connect(&name));
        }
        load.ends_well(daemon, &mut cluster.connect(&name));
    });
}

#[test]
fn a_table_that_somebody_locks_gets_everything_once_it_is_free() {
    let load = Load::start();
    let (cluster, name) = lasting(&[]);
    let daemon = recording(&load, &cluster, &name);
    for _ in 0..times() {
        let mut other = cluster.connect(&name);
        let mut transaction = other.transaction().unwrap();
        transaction.batch_execute("LOCK TABLE service_checks IN ACCESS EXCLUSIVE MODE").unwrap();
        daemon.logged("another session holds a lock");
        load.goes_on(2);
        transaction.rollback().unwrap();
        load.is_caught_up_with(&mut other);
    }
    load.ends_well(daemon, &mut cluster.connect(&name));
}

#[test]
fn a_synchronous_standby_that_takes_over_has_everything_once() {
    let load = Load::start();
    let (mut primary, name) = lasting(&[]);
    let standby = primary.standby(&["-c", "synchronous_commit=on"]);
    let mut watcher = primary.connect("postgres");
    wait_for_each_commit(&mut watcher, "*");
    let is_sync = "pg_stat_replication WHERE sync_state = 'sync'";
    eventually("the standby is waited for", || count(&mut watcher, is_sync) == 1);
    let host = standby.url("", "").rsplit('@').next().unwrap().trim_end_matches('/').to_owned();
    let either = primary.url(&name, "postgres").replacen(":5432/", &format!(":5432,{host}/"), 1);
    let daemon = load.put_on(&format!("{either}?target_session_attrs=read-write"));
    load.goes_on(1);
    load.is_caught_up_with(&mut standby.connect(&name));
    // The standby is sent what the prober will not hear of.
    let frozen = standby.freeze();
    let is_sent = "pg_stat_replication WHERE sent_lsn >= pg_current_wal_flush_lsn()";
    eventually("what is written waits", || {
        waits_for_a_standby(&mut watcher) && count(&mut watcher, is_sent) == 1
    });
    primary.tear_off();
    drop(frozen);
    load.goes_on(2 * times());
    let mut client = standby.connect(&name);
    eventually("the standby has what it was sent", || count(&mut client, "pg_stat_wal_receiver") == 0);
    client.query("SELECT pg_promote()", &[]).unwrap();
    load.ends_well(daemon, &mut client);
}

#[test]
fn a_password_that_is_changed_and_changed_back_costs_nothing() {
    let load = Load::start();
    let port = free_port();
    let (cluster, name) = lasting(&["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")]);
    let mut client = cluster.connect(&name);
    let owner = format!("CREATE ROLE anna LOGIN PASSWORD 'right'; ALTER DATABASE {name} OWNER TO anna");
    client.batch_execute(&owner).unwrap();
    let daemon = load.put_on(&format!("postgresql://anna:right@127.0.0.1:{port}/{name}"));
    load.goes_on(2);
    load.is_caught_up_with(&mut client);
    for _ in 0..times() {
        client.batch_execute("ALTER ROLE anna PASSWORD 'another'").unwrap();
        let held = hold_by_a_lock(cluster.connect(&name));
        client
            .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'anna'")
            .unwrap();
        drop(held);
        daemon.logged("set the right password in DATABASE_URL");
        load.goes_on(2);
        client.batch_execute("ALTER ROLE anna PASSWORD 'right'").unwrap();
        load.is_caught_up_with(&mut client);
    }
    load.ends_well(daemon, &mut client);
}
