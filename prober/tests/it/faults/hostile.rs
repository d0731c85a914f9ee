//! Targets that mean harm, all kinds at once and for long, beside healthy ones: these keep their beat, what the prober
//! takes stays bounded, and of each kind is said what it is.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    process::Command,
    time::Instant,
};

use shared::testing::{apart, lay_over};

use super::*;
use crate::servers::{NO_SUCH_NAME, SERVER_FAILURE, Says, deaf, name_server_at, nobody};

/// Services of each kind.
const OF_EACH: usize = 4;
const PUBLIC: &str = "1.1.1.1";

/// Where a kind is, what else stands in the services file, and what is found there.
struct Hostile {
    url: String,
    keys: &'static str,
    status: &'static str,
    error: &'static str,
}

fn hostile(url: String, status: &'static str, error: &'static str) -> Hostile {
    Hostile { url, keys: "", status, error }
}

/// Asked by GET, so that it may send a body.
fn with_a_body(url: String) -> Hostile {
    Hostile { url, keys: "method = \"GET\"", status: "online", error: "" }
}

/// Answers with this, and then with this again and again, for as long as somebody listens.
fn endless(first: &'static [u8], then: &'static [u8], pause: Duration) -> Server {
    Server::behaving(move |_, _, wire| {
        wire.write_all(first)?;
        loop {
            wire.write_all(then)?;
            wire.flush()?;
            sleep(pause);
        }
    })
}

fn saying(answer: &'static [u8]) -> Server {
    Server::answering(move |_, _| answer.to_vec())
}

/// Does not even read what it is asked.
fn raw(answer: &'static [u8]) -> Server {
    Server::raw(move |mut stream| {
        stream.write_all(answer).ok();
        wait_for_the_end(&stream);
    })
}

fn wait_for_the_end(mut stream: &TcpStream) {
    while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
}

/// What compresses a thousandfold: a gzip stream of zeros up to where it only goes on.
const BOMB: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\x02\xff\xec\xc1\x01\x01\0\0\0\x80\x90\xfe\xaf\xee\x08\x0a";
const BLOCK: &[u8] = &[0; 4096];
const LETTERS: &[u8] = &[b'x'; 4096];
/// A handshake record, and none.
const GARBAGE: &[u8] =
    b"\x16\x03\x03\x00\x10\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef";

/// Kinds that answer something, but nothing that is HTTP and in time.
fn that_answer_badly() -> Vec<Hostile> {
    let (at_once, slowly) = (Duration::ZERO, Duration::from_millis(50));
    let long_line =
        Server::answering(|_, _| format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 16)).into());
    let too_long = "protocol: headers longer than 64 KiB%";
    let malformed = "protocol: malformed answer: %";
    vec![
        hostile(
            endless(b"HTTP/1.1 200 OK\r\nx: ", b"y", slowly).url("/"),
            "timeout",
            "timeout: headers not complete within %",
        ),
        hostile(endless(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", at_once).url("/"), "offline", "protocol: %"),
        hostile(endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", at_once).url("/"), "offline", too_long),
        hostile(long_line.url("/"), "offline", too_long),
        hostile(saying(b"SSH-2.0-OpenSSH_9.2\r\n").url("/"), "offline", malformed),
        hostile(saying(b"HTTP/1.1 200 \x1b[31mred\r\n\r\n").url("/"), "offline", malformed),
        hostile(saying(b"HTTP/1.1 200 OK\r\nx: a\x07\x00b\r\n\r\n").url("/"), "offline", malformed),
        hostile(
            saying(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n").url("/"),
            "offline",
            "redirect: refused: it leads to file:%",
        ),
        hostile(
            saying(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n").url("/"),
            "offline",
            "redirect: more than 10%",
        ),
        hostile(saying(b"HTTP/1.1 503 No\r\n\r\n").url("/"), "degraded", "status: HTTP 503%"),
        hostile(
            raw(b"HTTP/1.1 400 Bad Request\r\n\r\n").https_url("/"),
            "offline",
            "tls: the server does not speak TLS%",
        ),
        hostile(raw(GARBAGE).https_url("/"), "offline", "tls: %"),
    ]
}

/// Kinds that say nothing, or break off.
fn that_fall_silent() -> Vec<Hostile> {
    let silent = Server::raw(|stream| wait_for_the_end(&stream));
    let resets = Server::raw(|mut stream| drop(stream.read(&mut [0])));
    let closes = Server::behaving(|_, _, _| Err(io::ErrorKind::Other.into()));
    let breaks_off = Server::behaving(|_, _, wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nx")?;
        Err(io::ErrorKind::Other.into())
    });
    vec![
        hostile(silent.url("/"), "timeout", "timeout: no answer within %"),
        hostile(silent.https_url("/"), "timeout", "timeout: TLS handshake not finished within %"),
        hostile(resets.url("/"), "offline", "connect: connection reset%"),
        hostile(closes.url("/"), "offline", "protocol: connection closed without an answer%"),
        hostile(breaks_off.url("/"), "offline", "protocol: connection closed within the headers%"),
        hostile(format!("http://{}/", nobody()), "offline", "connect: connection refused%"),
    ]
}

/// Kinds that answer, and would do harm to who reads on.
fn that_answer_too_much() -> Vec<Hostile> {
    let at_once = Duration::ZERO;
    vec![
        with_a_body(endless(b"HTTP/1.1 200 OK\r\n\r\n", LETTERS, at_once).url("/")),
        with_a_body(endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", LETTERS, at_once).url("/")),
        with_a_body(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nx").url("/")),
        with_a_body(
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", LETTERS, at_once)
                .url("/"),
        ),
        with_a_body(endless(BOMB, BLOCK, at_once).url("/")),
        hostile(
            saying(b"HTTP/1.1 200 \xff\xfe\r\nx: \xc3\x28\r\nContent-Length: 0\r\n\r\n").url("/"),
            "online",
            "",
        ),
    ]
}

/// Names, and the way out of the public into the private, for who is apart.
fn by_name() -> Vec<Hostile> {
    let healthy = Server::answering(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let behave = |_: usize, _: &str, wire: &mut dyn Wire| {
        wire.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n")
    };
    let public: SocketAddr = format!("{PUBLIC}:80").parse().unwrap();
    let within = Server::start(public, None, behave).unwrap();
    let at = |name: &str| format!("http://{name}.test:{}/", healthy.address.port());
    vec![
        hostile(at("unknown"), "offline", "dns: no such name (unknown.test)%"),
        hostile(at("nowhere"), "offline", "dns: the name has no address (nowhere.test)%"),
        hostile(at("failing"), "offline", "dns: name server: Server Failure%"),
        hostile(at("mute"), "timeout", "dns: no answer about mute.test within %"),
        hostile(at("late"), "timeout", "dns: no answer about late.test within %"),
        hostile(at("slow"), "online", ""),
        hostile(
            at("hundred"),
            "offline",
            "connect: connection refused (127.0.1.%), nor at 3 other addresses%",
        ),
        hostile(within.url("/"), "offline", "redirect: refused: it leads into a private network (10.0.0.1)%"),
    ]
}

fn says(name: &str) -> Says {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match name {
        "nowhere.test" => Says::Code(0),
        "failing.test" => Says::Code(SERVER_FAILURE),
        "mute.test" => Says::Nothing,
        "late.test" => Says::AddressLate(here, Duration::from_secs(2)),
        "slow.test" => Says::AddressLate(here, Duration::from_millis(300)),
        "hundred.test" => Says::HundredAddresses,
        _ => Says::Code(NO_SUCH_NAME),
    }
}

#[test]
fn hostile_targets_of_all_kinds_at_once_harm_neither_healthy_ones_nor_the_prober() {
    let with_names = apart(|| {
        let ip = Command::new("ip").args(["address", "add", &format!("{PUBLIC}/32"), "dev", "lo"]).status();
        assert!(ip.unwrap().success());
        name_server_at(([127, 0, 0, 1], 53).into(), says).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let resolv_conf = folder.path().join("resolv.conf");
        fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
        lay_over(&resolv_conf, "/etc/resolv.conf");
        are_endured(by_name());
    });
    if with_names.is_none() {
        are_endured(Vec::new());
    }
}

fn are_endured(others: Vec<Hostile>) {
    let (address, _deaf) = deaf((Ipv4Addr::LOCALHOST, 0).into());
    let deaf = hostile(format!("http://{address}/"), "timeout", "timeout: no connection within %");
    let kinds = [that_answer_badly(), that_fall_silent(), that_answer_too_much(), vec![deaf], others];
    let kinds = kinds.into_iter().flatten().collect::<Vec<_>>();
    let load = Load::start();
    load.setup.replace(&(services(&load.server) + &file(&kinds)));
    let database = Database::empty();
    let mut client = database.connect();
    let daemon = load.put_on(&database.url);
    load.goes_on(1);
    let (before, began) = (load.total(), Instant::now());
    let rounds = if long() { 100 } else { 1 };
    for _ in 0..rounds {
        load.goes_on(6);
        is_bounded(&daemon, kinds.len());
    }
    let (turns, taken) = (began.elapsed().as_secs() as usize * SERVICES, load.total() - before);
    assert!(taken * 10 >= turns * 9, "healthy ones had {taken} of {turns} turns");
    load.ends_well(daemon, &mut client);
    let failed = count(&mut client, "service_checks WHERE service_id LIKE 's%' AND status <> 'online'");
    assert!(failed <= load.total() as i64 / 100, "{failed} checks of healthy ones failed");
    let unprintable = count(&mut client, "service_checks WHERE error ~ '[[:cntrl:]]' OR length(error) > 500");
    assert_eq!(unprintable, 0);
    kinds.iter().enumerate().for_each(|(n, kind)| is_known_for_what_it_is(n, kind, &mut client));
}

fn file(kinds: &[Hostile]) -> String {
    let mut text = String::new();
    for (n, Hostile { url, keys, .. }) in kinds.iter().enumerate() {
        for m in 0..OF_EACH {
            let id = format!("h{n}-{m}");
            write!(text, "[[services]]\nid = \"{id}\"\nname = \"{id}\"\nurl = \"{url}\"\n{keys}\n").unwrap();
        }
    }
    text
}

/// A thread for each check at most, and memory that has to do with their number and not with what they send.
fn is_bounded(daemon: &Daemon, kinds: usize) {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.process())).unwrap();
    let number = |key: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let threads = number("Threads:");
    assert!(threads <= SERVICES + kinds * OF_EACH + 30, "{threads} threads");
    let kib = number("VmHWM:");
    assert!(kib <= 64 << 10, "{kib} KiB");
}

fn is_known_for_what_it_is(n: usize, kind: &Hostile, client: &mut Client) {
    let all = "SELECT count(*), count(*) FILTER (WHERE status = $2 AND coalesce(error, '') LIKE $3),
               string_agg(DISTINCT status || ' ' || coalesce(error, ''), '|')
               FROM service_checks WHERE service_id LIKE $1";
    let row = client.query_one(all, &[&format!("h{n}-%"), &kind.status, &kind.error]).unwrap();
    let (checks, as_expected, found): (i64, i64, &str) = (row.get(0), row.get(1), row.get(2));
    let at_least = 4 * OF_EACH as i64;
    // But for what a busy machine makes late.
    let is_known = checks >= at_least && as_expected * 10 >= checks * 9;
    assert!(is_known, "{} {}: {as_expected} of {checks}, and {found}", kind.status, kind.error);
}
