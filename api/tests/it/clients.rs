//! Whose streams are too many: by the address that a client can't choose.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use shared::testing::eventually;

use crate::api::Api;

/// One that listens, over a connection of its own.
pub(crate) struct Stream {
    pub(crate) status: String,
    pub(crate) head: Vec<String>,
    reader: BufReader<TcpStream>,
}

impl Stream {
    /// Whether it goes on for longer than a client that takes nothing is borne: a sign of life comes every 8 s.
    pub(crate) fn stays(self) -> bool {
        self.reader.lines().map_while(Result::ok).filter(|line| line == ":").take(4).count() == 4
    }
}

/// Asks for the changes and reads what is said at first.
pub(crate) fn listen(api: &Api, headers: &[(&str, &str)]) -> Stream {
    listen_over(TcpStream::connect(api.address.trim_start_matches("http://")).unwrap(), headers)
}

/// The same over a connection to the api, or to a proxy before it.
pub(crate) fn listen_over(mut stream: TcpStream, headers: &[(&str, &str)]) -> Stream {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let host = stream.peer_addr().unwrap();
    write!(stream, "GET /api/status/events HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let head: Vec<_> =
        reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    Stream { status: head[0].clone(), head: head[1..].to_vec(), reader }
}

pub(crate) fn is_served(stream: &Stream) -> bool {
    stream.status == "HTTP/1.1 200 OK"
}

/// An api that may have few files open, and so few connections.
fn cramped(files: usize) -> Api {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
    command.args([env!("CARGO_BIN_EXE_status-api"), "--listen", "127.0.0.1:0"]).env_clear();
    Api::of(command.stdin(Stdio::null()))
}

pub(crate) const OF_A_CLIENT: usize = api::clients::STREAMS_OF_A_CLIENT;

#[test]
fn a_client_behind_a_trusted_proxy_has_so_many_streams_and_others_have_theirs() {
    let api = Api::start(None, &[]);
    let of = |client: &str| listen(&api, &[("X-Forwarded-For", client)]);
    // What he claims himself stands left of what the proxy saw.
    let mut his: Vec<_> = (0..OF_A_CLIENT).map(|n| of(&format!("198.51.100.{n}, 203.0.113.9"))).collect();
    assert!(his.iter().all(is_served));
    let refused = of("203.0.113.9");
    assert_eq!(refused.status, "HTTP/1.1 503 Service Unavailable");
    assert!(refused.head.iter().any(|line| line.to_lowercase() == "retry-after: 60"), "{:?}", refused.head);
    let forged = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("Forwarded", "for=198.51.100.1"),
        ("X-Real-IP", "198.51.100.1"),
    ];
    assert!(!is_served(&listen(&api, &forged)));
    assert!(is_served(&of("203.0.113.10")) && is_served(&listen(&api, &[])));
    his.pop();
    eventually("who ended makes room", || is_served(&of("203.0.113.9")));
    assert_eq!(api.get("/status").status, 200);
}

#[test]
fn what_a_client_says_without_a_trusted_proxy_is_powerless() {
    let api = Api::start(None, &["--trusted-proxies", "192.0.2.0/24"]);
    let of = |n: usize| listen(&api, &[("X-Forwarded-For", &format!("203.0.113.{}", n % 250))]);
    let his: Vec<_> = (0..OF_A_CLIENT).map(of).collect();
    assert!(his.iter().all(is_served));
    assert!(!is_served(&listen(&api, &[("X-Forwarded-For", "198.51.100.1")])));
    assert!(!is_served(&listen(&api, &[("X-Forwarded-For", "192.0.2.1")])));
    assert!(!is_served(&listen(&api, &[("Forwarded", "for=198.51.100.1")])));
}

#[test]
fn streams_leave_a_quarter_of_the_connections_to_those_who_ask_and_go() {
    let api = cramped(700);
    // 444 connections, since 256 files are for the rest.
    api.logged("connections at once, since 700 files may be open");
    let streams: Vec<_> = (0..334).map(|_| listen(&api, &[])).collect();
    assert_eq!(streams.iter().filter(|stream| is_served(stream)).count(), 333);
    assert_eq!(api.get("/status").status, 200);
}

#[test]
fn more_connections_than_it_may_have_wait_and_are_served_when_others_go() {
    let api = cramped(300);
    let address = api.address.trim_start_matches("http://");
    let idle: Vec<_> = (0..400).map(|_| TcpStream::connect(address).unwrap()).collect();
    // Not one of them says anything, and none of them goes by itself.
    eventually("there is room again", || {
        let answer = crate::api::try_to_ask("GET", &format!("{}/status", api.address), &[]);
        answer.is_ok_and(|answer| answer.status == 200)
    });
    drop(idle);
}

#[test]
fn networks_that_are_none_are_refused_with_advice() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_status-api"));
    let output = command.args(["--trusted-proxies", "localhost"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("like 127.0.0.0/8,::1"));
}
