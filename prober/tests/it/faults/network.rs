//! The network in trouble: name servers that fall silent or are gone, and links that are cut, at either end.

use std::{fs, net::IpAddr, process::Command, sync::atomic::AtomicBool};

use shared::testing::{apart, lay_over};

use super::*;
use crate::servers::{Says, name_server_at};

/// Of every service the last check is of such a kind.
fn all_are(client: &mut Client, services: &str, kind: &str) -> bool {
    let all = format!(
        "SELECT coalesce(bool_and({kind}), false) FROM (SELECT DISTINCT ON (service_id) * FROM service_checks
         WHERE {services} ORDER BY service_id, id DESC) last"
    );
    client.query_one(&all, &[]).unwrap().get(0)
}

/// Where no name server is.
const NOBODY: &str = "127.0.0.99";
const BY_NAME: &str = "service_id ~ '[13579]$'";
const BY_ADDRESS: &str = "service_id ~ '[02468]$'";

#[test]
fn dead_name_servers_cost_names_alone_and_only_as_long_as_they_are_dead() {
    apart(|| {
        let load = Load::start();
        let silent = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&silent);
        let says = move |_: &str| match switch.load(Ordering::SeqCst) {
            true => Says::Nothing,
            false => Says::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        };
        name_server_at(([127, 0, 0, 1], 53).into(), says).unwrap();
        let resolv_conf = load.setup.services.with_file_name("resolv.conf");
        fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
        lay_over(&resolv_conf, "/etc/resolv.conf");
        let by_name = |text: String, n: usize| {
            let path = format!("/{n}\"");
            text.replace(
                &load.server.url(&path),
                &format!("http://{}.test:{}{path}", id(n), load.server.address.port()),
            )
        };
        load.setup.replace(&(1..SERVICES).step_by(2).fold(services(&load.server), by_name));
        let database = Database::empty();
        let mut client = database.connect();
        let daemon = load.put_on(&database.url);
        load.goes_on(1);
        load.is_caught_up_with(&mut client);

        let no_answer = "error LIKE 'dns: no answer about %'";
        for _ in 0..times() {
            silent.store(true, Ordering::SeqCst);
            eventually("the name server is silent", || all_are(&mut client, BY_NAME, no_answer));
            silent.store(false, Ordering::SeqCst);
            eventually("names are found again", || all_are(&mut client, BY_NAME, "status = 'online'"));
            fs::write(&resolv_conf, format!("nameserver {NOBODY}\n")).unwrap();
            eventually("nobody is there to ask", || all_are(&mut client, BY_NAME, no_answer));
            fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
            eventually("names are found again", || all_are(&mut client, BY_NAME, "status = 'online'"));
        }
        load.ends_well(daemon, &mut client);
        // But for what a busy machine makes late.
        let harmed =
            count(&mut client, "service_checks WHERE status <> 'online' AND error NOT LIKE 'dns: %'");
        assert!(harmed <= load.total() as i64 / 100, "{harmed} failed for another reason");
        let by_address = format!("service_checks WHERE {BY_ADDRESS} AND error LIKE 'dns: %'");
        assert_eq!(count(&mut client, &by_address), 0);
    });
}

const THERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

#[test]
fn a_network_that_is_absent_cut_and_healed_costs_the_checks_of_that_time_alone() {
    apart(|| {
        let load = Load::of(THERE, Duration::ZERO);
        let database = Database::empty();
        let mut client = database.connect();
        // In another network than its targets.
        let daemon = apart(|| load.put_on(&database.url)).unwrap();
        let here = |arguments: &str| {
            let network = format!("--net=/proc/{}/ns/net", daemon.process());
            done(Command::new("nsenter").args([&network, "ip"]).args(arguments.split(' ')));
        };
        let there = |arguments: &str| done(Command::new("ip").args(arguments.split(' ')));
        daemon.logged("database: connected");
        eventually("there is no network", || all_are(&mut client, "true", "status = 'offline'"));
        there(&format!("link add there type veth peer name here netns {}", daemon.process()));
        there(&format!("address add {THERE}/24 dev there"));
        there("link set there up");
        here("address add 10.9.0.1/24 dev here");
        here("link set here up");
        load.goes_on(1);

        for _ in 0..times() {
            here("link set here down");
            eventually("the network is cut", || {
                all_are(&mut client, "true", "error LIKE 'connect: network unreachable%'")
            });
            here("link set here up");
            load.goes_on(1);
            there("link set there down");
            eventually("nobody answers", || all_are(&mut client, "true", "status IN ('timeout', 'offline')"));
            there("link set there up");
            load.goes_on(1);
        }
        load.is_caught_up_with(&mut client);
        eventually("all is well", || all_are(&mut client, "true", "status = 'online'"));
        load.ends_well(daemon, &mut client);
    });
}

fn done(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
