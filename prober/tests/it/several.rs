//! Several probers on one database: each service is checked by one of them, whoever comes, goes, dies, freezes or is cut
//! off. What the server saw is the truth.

mod chaos;

use std::{collections::HashMap, fmt::Write, time::Duration};

use postgres::Client;
use shared::testing::{Cluster, Database, eventually};

use crate::{
    daemon::{OK, count},
    process::{Daemon, Setup},
    servers::Server,
};

const SERVICES: usize = 12;
const HELD: &str = "probers share the services: ";

/// Services every two seconds, at one server.
fn services(server: &Server, count: usize) -> String {
    let mut text = "interval = \"2s\"\ntimeout = \"1s\"\nretries = 0\n".to_owned();
    for n in 0..count {
        let url = server.url(&format!("/{n}"));
        write!(text, "[[services]]\nid = \"s{n}\"\nname = \"{n}\"\nurl = \"{url}\"\n").unwrap();
    }
    text
}

/// Whether tests may take their time.
fn long() -> bool {
    std::env::var_os("STATUS_TEST_LONG").is_some()
}

/// How often each service was asked for.
fn asked(server: &Server) -> HashMap<String, usize> {
    let mut asked = HashMap::new();
    for head in server.requests() {
        let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        *asked.entry(path).or_default() += 1;
    }
    asked
}

/// Each is asked for this many times more.
fn see_each(server: &Server, more: usize, count: usize) {
    let before = asked(server);
    eventually("each is checked", || {
        let now = asked(server);
        (0..count).all(|n| {
            let id = n.to_string();
            now.get(&id).copied().unwrap_or(0) >= before.get(&id).copied().unwrap_or(0) + more
        })
    });
}

/// How many services this one says that it checks.
fn held(daemon: &Daemon, members: usize) -> usize {
    let line = daemon.then_logged(&format!("{members} {HELD}"));
    let of = line.split(HELD).nth(1).unwrap();
    of.split(' ').next().unwrap().parse().unwrap()
}

/// Turns that more than one check was recorded of. A check may be late, but not until the next one is due.
fn doubled(client: &mut Client) -> Vec<String> {
    let turn = "floor((extract(epoch FROM timestamp - beat)::float8 + 0.001) / 2)";
    let query = format!(
        "SELECT concat_ws(' ', service_id, beat, 'at', string_agg(timestamp::text, ', ' ORDER BY timestamp))
         FROM service_checks JOIN status_services s ON s.id = service_id
         GROUP BY service_id, beat, {turn} HAVING count(*) > 1"
    );
    client.query(&query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn all_recorded(client: &mut Client, server: &Server) {
    assert_eq!(count(client, "service_checks"), server.requests().len() as i64);
}

#[test]
fn two_share_the_services_and_who_is_ended_leaves_his_to_the_other() {
    let server = Server::saying(OK);
    let setup = Setup::of(&services(&server, SERVICES));
    let database = Database::empty();
    let mut first = setup.start(Some(&database.url));
    first.logged("s11: unknown -> online");
    let mut second = setup.start(Some(&database.url));
    let shares = [held(&first, 2), held(&second, 2)];
    assert_eq!(shares[0] + shares[1], SERVICES, "{shares:?}");
    see_each(&server, 3, SERVICES);
    assert_eq!(first.stop().code(), Some(0));
    second.logged("no other prober is there: all 12 services are checked here");
    see_each(&server, 2, SERVICES);
    assert_eq!(second.stop().code(), Some(0));
    let mut client = database.connect();
    assert_eq!(doubled(&mut client), [""; 0]);
    all_recorded(&mut client, &server);
}

#[test]
fn who_is_killed_is_replaced_and_who_is_frozen_finds_his_substitute() {
    let server = Server::saying(OK);
    let setup = Setup::of(&services(&server, SERVICES));
    let database = Database::empty();
    let mut first = setup.start(Some(&database.url));
    first.logged("s11: unknown -> online");
    let second = setup.start(Some(&database.url));
    let mut third = setup.start(Some(&database.url));
    held(&second, 3);
    third.kill();
    held(&second, 2);
    second.freeze();
    first.then_logged("no other prober is there: all 12");
    see_each(&server, 2, SERVICES);
    second.thaw();
    held(&first, 2);
    see_each(&server, 3, SERVICES);
    first.stop();
    let mut second = second;
    second.stop();
    let mut client = database.connect();
    assert_eq!(doubled(&mut client), [""; 0]);
    // What the one that was killed had not recorded.
    let missing = server.requests().len() as i64 - count(&mut client, "service_checks");
    assert!((0..=4).contains(&missing), "{missing}");
}

#[test]
fn who_can_not_reach_the_database_goes_on_with_his_share_alone() {
    let server = Server::saying(OK);
    let mut cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let url = cluster.url(&name, "postgres");
    let setup = Setup::of(&services(&server, SERVICES));
    let mut first = setup.start(Some(&url));
    first.logged("s11: unknown -> online");
    let mut second = setup.start(Some(&url));
    let shares = [held(&first, 2), held(&second, 2)];
    assert_eq!(shares[0] + shares[1], SERVICES);
    cluster.stop();
    first.then_logged("Checks go on, ");
    second.then_logged("Checks go on, ");
    see_each(&server, 4, SERVICES);
    cluster.start_again();
    first.then_logged("database: connected");
    second.then_logged("database: connected");
    see_each(&server, 2, SERVICES);
    first.stop();
    second.stop();
    let mut client = cluster.connect(&name);
    all_recorded(&mut client, &server);
    assert_eq!(doubled(&mut client), [""; 0]);
}

#[test]
fn the_file_loaded_last_is_in_force_and_who_has_another_checks_nothing_until_they_agree() {
    let server = Server::saying(OK);
    let (old, new) = (services(&server, 4), services(&server, 5));
    let (setup, other) = (Setup::of(&old), Setup::of(&old));
    let database = Database::empty();
    let mut first = setup.start(Some(&database.url));
    first.logged("s3: unknown -> online");
    let mut second = other.start(Some(&database.url));
    assert_eq!(held(&first, 2) + held(&second, 2), 4);
    other.replace(&new);
    second.signal("HUP");
    let line = first.logged("another services file is in force: that of the prober on ");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(line.contains(host.trim()) && line.contains(", loaded at 20"), "{line}");
    see_each(&server, 2, 5);
    let mut client = database.connect();
    assert_eq!(count(&mut client, "status_services"), 5);
    setup.replace(&new);
    first.signal("HUP");
    first.logged("the services files agree again: checks go on");
    held(&first, 2);
    see_each(&server, 2, 5);
    first.stop();
    second.stop();
    assert_eq!(count(&mut client, "status_services"), 5);
    assert_eq!(doubled(&mut client), [""; 0]);
    all_recorded(&mut client, &server);
}

#[test]
fn a_second_prober_keeps_the_beats_of_the_first() {
    let server = Server::saying(OK);
    let setup = Setup::of(&services(&server, SERVICES));
    let database = Database::empty();
    let mut first = setup.start(Some(&database.url));
    first.logged("s11: unknown -> online");
    let mut client = database.connect();
    let beats = "SELECT string_agg(beat::text, ' ' ORDER BY id) FROM status_services";
    let before: String = client.query_one(beats, &[]).unwrap().get(0);
    let mut second = setup.start(Some(&database.url));
    held(&second, 2);
    first.stop();
    second.logged("no other prober is there");
    see_each(&server, 3, SERVICES);
    second.stop();
    assert_eq!(client.query_one(beats, &[]).unwrap().get::<_, String>(0), before);
    let off = "SELECT max(abs(extract(epoch FROM timestamp - beat)::float8 - 2 * round(extract(epoch FROM timestamp - beat)::float8 / 2)))
               FROM service_checks JOIN status_services s ON s.id = service_id";
    let off: f64 = client.query_one(off, &[]).unwrap().get(0);
    assert!(off < Duration::from_millis(600).as_secs_f64(), "{off}");
}
