//! Names: found, not found, not found in time; and the files that say how they are looked up.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use prober::resolver::Resolver;

use super::*;
use crate::servers::{NO_SUCH_NAME, SERVER_FAILURE, Says, Server, deaf, name_server, nobody};

/// Where no name server listens, and nobody says so.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn ok(address: &str) -> Server {
    let behave =
        |_: usize, _: &str, wire: &mut dyn crate::servers::Wire| wire.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    Server::start(address.parse().unwrap(), None, behave).unwrap()
}

fn asking(name_server: SocketAddr) -> Checker {
    let _inside = RUNTIME.enter();
    Checker::with_resolver(Resolver::asking(name_server).unwrap())
}

fn found_asking(says: Says, url: &str) -> (Status, Option<u16>, Option<String>) {
    summary(RUNTIME.block_on(asking(name_server(says)).check(&target(url))).unwrap())
}

#[test]
fn a_name_is_asked_of_the_name_server() {
    let server = ok("127.0.0.1:0");
    let url = format!("http://asimonson.test:{}/", server.address.port());
    assert_eq!(found_asking(Says::Address(LOCAL), &url), online(200));
    assert!(server.requests()[0].contains(&format!("host: asimonson.test:{}\r\n", server.address.port())));
}

#[test]
fn a_name_server_that_never_answers_about_ipv6_does_not_hold_ipv4_up() {
    let server = ok("127.0.0.1:0");
    let url = format!("http://asimonson.test:{}/", server.address.port());
    assert_eq!(found_asking(Says::OnlyAddress(LOCAL), &url), online(200));
}

#[test]
fn a_name_that_does_not_exist_is_offline() {
    let error = offline("dns: no such name (asimonson.test)");
    assert_eq!(found_asking(Says::Code(NO_SUCH_NAME), "http://asimonson.test/"), error);
    assert_eq!(found("http://something.invalid/"), offline("dns: no such name (something.invalid)"));
}

#[test]
fn a_name_server_that_fails_is_offline() {
    let error = offline("dns: name server: Server Failure (asimonson.test)");
    assert_eq!(found_asking(Says::Code(SERVER_FAILURE), "http://asimonson.test/"), error);
}

#[test]
fn a_name_without_address_is_offline() {
    let error = offline("dns: the name has no address (asimonson.test)");
    assert_eq!(found_asking(Says::Code(0), "http://asimonson.test/"), error);
}

#[test]
fn only_addresses_of_the_wanted_family_are_used() {
    let checker = asking(name_server(Says::Address(LOCAL)));
    let mut target = target("http://asimonson.test/");
    target.family = Family::V6;
    let check = RUNTIME.block_on(checker.check(&target)).unwrap();
    assert_eq!(summary(check), offline("dns: no IPv6 address (asimonson.test)"));
}

#[test]
fn who_waits_for_name_servers_holds_no_place() {
    let resolver = Resolver::asking(name_server(Says::Nothing)).unwrap();
    let checker = Checker::with_places(resolver, 1, 1);
    let server = ok("127.0.0.1:0");
    let (waits, asks) = (target("http://asimonson.test/"), target(format!("http://{}/", server.address)));
    RUNTIME.block_on(async {
        tokio::select! {
            biased;
            check = checker.check_in_turn(&waits, false) => panic!("{check:?} comes first"),
            check = checker.check_in_turn(&asks, false) => assert_eq!(summary(check.unwrap()), online(200)),
        }
    });
}

#[test]
fn a_mute_name_server_is_a_timeout_of_class_dns() {
    let checker = asking(name_server(Says::Nothing));
    let target = target("http://asimonson.test/");
    let began = Instant::now();
    let check = RUNTIME.block_on(checker.check(&target)).unwrap();
    let took = began.elapsed();
    assert_eq!((check.status, check.response_time_ms), (Status::Timeout, Some(500)));
    let error = "dns: no answer about asimonson.test within 500 ms, after 1 try";
    assert_eq!(check.error.as_deref(), Some(error));
    assert!(took >= target.timeout && took < target.timeout + NOISE, "{took:?}");
}

#[test]
fn name_servers_are_asked_until_the_timeout_however_soon_they_are_given_up_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let impatient = format!("nameserver {NOWHERE}\noptions timeout:1 attempts:1\n");
    fs::write(folder.path().join("resolv.conf"), impatient).unwrap();
    let _inside = RUNTIME.enter();
    let resolver = Resolver::reading(folder.path().join("hosts"), folder.path().join("resolv.conf"));
    let mut target = target("http://asimonson.test/");
    target.timeout = Duration::from_millis(2500);
    let check = RUNTIME.block_on(Checker::with_resolver(resolver.unwrap()).check(&target)).unwrap();
    let error = "dns: no answer about asimonson.test within 2.5 s, after 1 try";
    assert_eq!((check.status, check.error.as_deref()), (Status::Timeout, Some(error)));
}

#[test]
fn the_lookup_is_part_of_the_response_time() {
    let server = ok("127.0.0.1:0");
    let checker = asking(name_server(Says::AddressLate(LOCAL, Duration::from_millis(120))));
    let mut target = target(format!("http://asimonson.test:{}/", server.address.port()));
    target.family = Family::V4;
    let check = RUNTIME.block_on(checker.check(&target)).unwrap();
    assert!((120..300).contains(&check.response_time_ms.unwrap()), "{check:?}");
}

#[test]
fn lookups_are_part_of_the_timeout_of_redirects_too() {
    let server =
        Server::answering(|_, _| b"HTTP/1.1 302 Found\r\nlocation: http://mute.test/\r\n\r\n".to_vec());
    let checker = asking(name_server(Says::Nothing));
    let check = RUNTIME.block_on(checker.check(&target(server.url("/")))).unwrap();
    assert_eq!(check.error.as_deref(), Some("dns: no answer about mute.test within 500 ms, after 1 try"));
}

/// A checker that reads these hosts and asks nobody.
fn reading(folder: &Path, hosts: &str) -> Checker {
    fs::write(folder.join("hosts"), hosts).unwrap();
    fs::write(folder.join("resolv.conf"), format!("nameserver {NOWHERE}\n")).unwrap();
    let _inside = RUNTIME.enter();
    Checker::with_resolver(Resolver::reading(folder.join("hosts"), folder.join("resolv.conf")).unwrap())
}

#[test]
fn a_refused_first_address_does_not_hide_a_working_second() {
    let server = ok("127.0.0.2:0");
    let folder = tempfile::tempdir().unwrap();
    let checker = reading(folder.path(), "127.0.0.3 many.test\n127.0.0.2 many.test\n");
    let url = format!("http://MANY.test:{}/", server.address.port());
    assert_eq!(summary(RUNTIME.block_on(checker.check(&target(url))).unwrap()), online(200));
}

#[test]
fn a_first_address_that_never_answers_leaves_time_for_a_second() {
    let server = ok("127.0.0.2:0");
    let port = server.address.port();
    let _deaf = deaf(([127, 0, 0, 3], port).into());
    let folder = tempfile::tempdir().unwrap();
    let checker = reading(folder.path(), "127.0.0.3 many.test\n127.0.0.2 many.test\n");
    let check = RUNTIME.block_on(checker.check(&target(format!("http://many.test:{port}/")))).unwrap();
    assert!((250..400).contains(&check.response_time_ms.unwrap()), "{check:?}");
    assert_eq!(check.status_code, Some(200));
}

#[test]
fn where_all_addresses_refuse_the_first_is_named() {
    let port = nobody().port();
    let folder = tempfile::tempdir().unwrap();
    let checker = reading(folder.path(), "127.0.0.3 many.test\n127.0.0.2 many.test\n127.0.0.1 many.test\n");
    let check = RUNTIME.block_on(checker.check(&target(format!("http://many.test:{port}/")))).unwrap();
    let error = format!("connect: connection refused (127.0.0.3:{port}), nor at 2 other addresses");
    assert_eq!(summary(check), offline(&error));
}

#[test]
fn the_hosts_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 moved.test\n").unwrap();
    fs::write(folder.path().join("resolv.conf"), format!("nameserver {NOWHERE}\n")).unwrap();
    let _inside = RUNTIME.enter();
    let resolver = Resolver::reading(hosts.clone(), folder.path().join("resolv.conf")).unwrap();
    let lookup = || RUNTIME.block_on(resolver.lookup(url::Host::Domain("moved.test"), Family::Any)).unwrap();
    assert_eq!(lookup(), [LOCAL]);
    fs::write(&hosts, "::1 moved.test\n127.0.0.9 moved.test\n").unwrap();
    let until = Instant::now() + Duration::from_secs(4);
    while lookup() == [LOCAL] {
        assert!(Instant::now() < until, "the change is not seen");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(lookup(), [IpAddr::from([127, 0, 0, 9]), Ipv6Addr::LOCALHOST.into()], "IPv4 first");
}

#[test]
fn names_with_an_underscore_are_asked_for_like_any_other() {
    let server = ok("127.0.0.1:0");
    let url = format!("http://my_host.asimonson.test:{}/", server.address.port());
    assert_eq!(found_asking(Says::Address(LOCAL), &url), online(200));
}
