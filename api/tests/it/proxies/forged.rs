//! What clients say of themselves is powerless behind the proxies, and so is what hides one request in another.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use tokio::{net::TcpSocket, runtime};

use super::{Example, at, caddy_locations, nginx_locations, shown};
use crate::{
    api::Api,
    clients::{OF_A_CLIENT, Stream, is_served, listen_over},
};

/// A connection from an address of this machine.
fn connect(from: &str, port: u16) -> TcpStream {
    let runtime = runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let socket = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap().into_std().unwrap()
    });
    socket.set_nonblocking(false).unwrap();
    socket
}

fn assert_counts_true_addresses(start: Example, listen: &str) {
    // The clients here are of this machine too, and no proxies.
    let api = Api::start_on(listen, None, &["--trusted-proxies", "127.0.0.1"]);
    let proxy = start(at(&api));
    let of = |client: &str, n: usize| -> Stream {
        let forged = format!("203.0.113.{}", n % 250);
        let forwarded = format!("for={forged};proto=https;host=evil.example");
        let headers = [
            ("X-Forwarded-For", forged.as_str()),
            ("X-Real-IP", &forged),
            ("Forwarded", &forwarded),
            ("X-Forwarded-Proto", "gopher"),
            ("X-Forwarded-Host", "evil.example"),
        ];
        listen_over(connect(client, proxy.port()), &headers)
    };
    let his: Vec<_> = (0..OF_A_CLIENT).map(|n| of("127.0.0.2", n)).collect();
    assert!(his.iter().all(is_served));
    let refused = of("127.0.0.2", OF_A_CLIENT);
    assert_eq!(refused.status, "HTTP/1.1 503 Service Unavailable", "{}", proxy.address);
    assert!(
        is_served(&of("127.0.0.3", 0)) && is_served(&listen_over(connect("127.0.0.4", proxy.port()), &[]))
    );

    for name in ["X-Forwarded-Host", "Host", "X-Forwarded-Prefix"] {
        for path in ["/status", "/status/", "/api/status"] {
            let answer = proxy.ask("GET", path, &[(name, "evil.example"), ("X-Forwarded-Proto", "gopher")]);
            let said = format!("{:?} {}", answer.headers, answer.body);
            assert!(!said.contains("evil") && !said.contains("gopher"), "{name} {path}: {said}");
        }
    }
}

#[test]
fn a_client_behind_nginx_is_who_he_is() {
    assert_counts_true_addresses(nginx_locations, "127.0.0.1:0");
}

#[test]
fn a_client_behind_caddy_is_who_he_is() {
    assert_counts_true_addresses(caddy_locations, "127.0.0.1:0");
}

#[test]
fn a_client_is_who_he_is_over_a_unix_socket() {
    for start in [nginx_locations, caddy_locations] {
        let folder = tempfile::tempdir().unwrap();
        assert_counts_true_addresses(start, &format!("unix:{}", shown(folder.path(), "socket")));
    }
}

/// All that is answered to these bytes, to the end of the connection, and the status of each answer.
fn send(port: u16, bytes: &str) -> (Vec<u16>, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // It may stop listening in the middle, and end by a reset.
    stream.write_all(bytes.as_bytes()).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let statuses = answer.split("HTTP/1.1 ").skip(1).map(|line| line[..3].parse().unwrap()).collect();
    (statuses, answer)
}

/// 48 bytes.
const HIDDEN: &str = "GET /status/hidden HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const LAST: &str = "GET /status/last HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

const REFUSED: &[u16] = &[400];
/// The body is one, whatever stands in it.
const READ: &[u16] = &[200, 404];
/// What is told in two ways may be read in one, if it is handed on so: then there was no body, and what follows is a
/// request of its own, no more hidden than the last.
const SPLIT: &[u16] = &[200, 404, 404];

fn assert_nothing_hides(start: Example) {
    let api = Api::start(None, &[]);
    let proxy = start(at(&api));
    let mut asked = 0;
    let empty = format!("0\r\n\r\n{HIDDEN}");
    let chunk = format!("30\r\n{HIDDEN}\r\n0\r\n\r\n");
    for (lines, body, expected) in [
        ("Content-Length: 48", HIDDEN, READ),
        ("Transfer-Encoding: chunked", &chunk, READ),
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", &empty, SPLIT),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", &empty, SPLIT),
        ("X: y\r\n Content-Length: 48", HIDDEN, SPLIT),
        ("X: y\r\n Transfer-Encoding: chunked", HIDDEN, SPLIT),
        ("X: y\n\tContent-Length: 48", HIDDEN, SPLIT),
        ("Content-Length: 0\r\nContent-Length: 48", HIDDEN, REFUSED),
        ("Content-Length: 48\r\nContent-Length: 0", HIDDEN, REFUSED),
        ("Content-Length: 48, 0", HIDDEN, REFUSED),
        ("Content-Length: +48", HIDDEN, REFUSED),
        ("Content-Length: -1", HIDDEN, REFUSED),
        ("Content-Length: 0x30", HIDDEN, REFUSED),
        ("Content-Length : 48", HIDDEN, REFUSED),
        ("Content-Length: 99999999999999999999", HIDDEN, REFUSED),
        ("Transfer-Encoding: xchunked", &empty, REFUSED),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &empty, REFUSED),
        ("Transfer-Encoding : chunked", &empty, REFUSED),
        ("Transfer-Encoding:\x0bchunked", &empty, REFUSED),
    ] {
        let (statuses, answer) = send(
            proxy.port(),
            &format!("GET /api/status?x HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n\r\n{body}{LAST}"),
        );
        // 501: a coding that the proxy does not know (RFC 9112, 6.1).
        let refused = matches!(statuses[..], [400 | 501]) && expected != READ;
        assert!(refused || statuses == expected, "{lines:?}: {answer}");
        // Whoever comes next, over whatever connections there are to the api.
        for _ in 0..3 {
            asked += 1;
            let next = proxy.get(&format!("/api/status?{asked}"));
            assert!(next.status == 200 && next.json()["services"].is_array(), "{lines:?}: {next:?}");
        }
    }
}

#[test]
fn nothing_hides_in_a_request_through_nginx() {
    assert_nothing_hides(nginx_locations);
}

#[test]
fn nothing_hides_in_a_request_through_caddy() {
    assert_nothing_hides(caddy_locations);
}
