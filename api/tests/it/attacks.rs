//! A list of attacks, each with its expected answer: whatever is sent, nothing fails, nothing is given away, and nobody
//! is led where he did not ask to go.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use shared::testing::Database;

use crate::api::{Api, check, heartbeat, publish_service};

/// An api that shows one service with an outage.
fn api(database: &Database) -> Api {
    let mut client = database.connect();
    heartbeat(&mut client, "-1 hour");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 minute", "offline");
    let api = Api::start(Some(&database.url), &["--base-path", "/x"]);
    api.status_when("the check", |status| status["services"][0]["total_checks"] == 1);
    api
}

/// All that is answered to these bytes, to the end of the connection.
fn send(api: &Api, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(api.address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // It may stop listening in the middle.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.expect("the end of the connection")),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of each answer.
fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line.split(' ').next().unwrap_or_default().parse().expect("a status")).collect()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: status.example\r\nConnection: close\r\n\r\n")
}

/// Sends each, and compares the statuses of what is answered.
fn expect(api: &Api, attacks: &[(&str, &[u16])]) {
    for (attack, expected) in attacks {
        let answer = send(api, attack.as_bytes());
        let shown: String = attack.chars().take(120).collect();
        assert_eq!(statuses(&answer), *expected, "{shown:?}: {answer}");
        let head = answer.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
        for given_away in ["server:", "x-powered-by", "set-cookie", "actix", "rust"] {
            assert!(!head.contains(given_away), "{shown:?} learns {given_away}: {head}");
        }
        assert!(!answer.contains("root:"), "{shown:?}");
    }
}

#[test]
fn no_address_leads_out_of_what_is_served() {
    let database = Database::migrated();
    let api = api(&database);
    for (path, status) in [
        ("/status/assets/../../etc/passwd", 404),
        ("/status/assets/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("/status/assets/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/status/assets/..\\..\\etc\\passwd", 404),
        ("/status/assets/..%5c..%5cetc%5cpasswd", 404),
        ("/status/assets/....//....//etc/passwd", 404),
        ("/status/assets//etc/passwd", 404),
        ("/status/assets/%00", 404),
        ("/status/assets/style.css%00.png", 404),
        ("/status/assets/%c0%ae%c0%ae/etc/passwd", 404),
        ("/x/../etc/passwd", 404),
        ("/x/status/assets/../../../etc/passwd", 404),
        ("//evil.example/status", 404),
        ("//evil.example//status/", 404),
        ("/status/services/../../healthz", 404),
        ("/status/services/%2e%2e", 404),
        ("/.git/config", 404),
        ("/.env", 404),
        ("/api/../healthz", 404),
        ("/api/status/..;/healthz", 404),
        ("/healthz/", 404),
        ("/healthz%2f", 404),
        ("/HEALTHZ", 404),
    ] {
        expect(&api, &[(&get(path), &[status])]);
    }
    assert_eq!(api.end(), [""; 0]);
}

#[test]
fn nobody_is_led_elsewhere_by_what_he_was_made_to_send() {
    let database = Database::migrated();
    let api = api(&database);
    for lines in [
        "Host: evil.example",
        "Host: status.example\r\nX-Forwarded-Host: evil.example",
        "Host: status.example\r\nForwarded: host=evil.example;proto=https;for=192.0.2.1",
        "Host: status.example\r\nX-Original-URL: /evil.example\r\nX-Rewrite-URL: /evil.example",
        "Host: status.example\r\nX-Forwarded-Prefix: //evil.example",
        "Host: status.example\r\nReferer: https://evil.example/",
        "Host: status.example\r\nOrigin: https://evil.example",
    ] {
        for path in [
            "/",
            "/status",
            "/status/",
            "/x/status",
            "/status/services/main",
            "/status/outages",
            "/api/status",
            "/nowhere",
        ] {
            let answer =
                send(&api, format!("GET {path} HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n").as_bytes());
            assert!([200, 307, 404].contains(&statuses(&answer)[0]), "{path} {lines}: {answer}");
            assert!(!answer.contains("evil"), "{path} {lines}: {answer}");
            assert!(
                !answer.to_ascii_lowercase().contains("access-control-allow-credentials"),
                "{path} {lines}"
            );
        }
    }
    for path in [
        "/status/services/%0d%0aSet-Cookie:%20a=b",
        "/%0d%0aLocation:%20https://evil.example/",
        "/status/%0aSet-Cookie:a=b/",
    ] {
        let answer = send(&api, get(path).as_bytes());
        assert_eq!(statuses(&answer), [404], "{path}");
        assert!(!answer.contains("evil") && !answer.contains("Cookie"), "{path}: {answer}");
    }
    assert_eq!(api.end(), [""; 0]);
}

#[test]
fn no_request_hides_in_another() {
    let database = Database::migrated();
    let api = api(&database);
    let hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let with = |lines: &str, body: &str| format!("GET /readyz HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n{body}");
    let chunked = format!("0\r\n\r\n{hidden}");
    for (lines, body, expected) in [
        // What is told twice, or in a way that others read otherwise.
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", chunked.as_str(), &[400][..]),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", &chunked, &[400]),
        ("Content-Length: 0\r\nContent-Length: 44", hidden, &[400]),
        ("Content-Length: 44, 0", hidden, &[400]),
        ("Content-Length: +44", hidden, &[400]),
        ("Content-Length: -1", hidden, &[400]),
        ("Content-Length: 0x2c", hidden, &[400]),
        ("Content-Length : 44", hidden, &[400]),
        ("Content-Length: 99999999999999999999", hidden, &[400]),
        ("Transfer-Encoding: xchunked", &chunked, &[400]),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &chunked, &[400]),
        ("Transfer-Encoding : chunked", &chunked, &[400]),
        ("Transfer-Encoding:\x0bchunked", &chunked, &[400]),
        ("X: y\r\n Transfer-Encoding: chunked", &chunked, &[400]),
        // A body that is as long as it says is not read, and ends the connection.
        ("Content-Length: 35", hidden, &[200]),
        // An empty one, and then a request as any other.
        ("Transfer-Encoding: chunked", &chunked, &[200, 200]),
    ] {
        expect(&api, &[(&with(lines, body), expected)]);
    }
    assert_eq!(api.end(), [""; 0]);
}

#[test]
fn what_is_no_request_is_refused() {
    let database = Database::migrated();
    let api = api(&database);
    let long = "a".repeat(200_000);
    let (long_path, long_line) =
        (format!("/{long}"), format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"));
    let many_lines = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(5_000));
    expect(
        &api,
        &[
            ("", &[]),
            ("\r\n\r\n", &[]),
            ("\0\0\0\0\r\n\r\n", &[400]),
            ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n", &[400]),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", &[400]),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400]),
            ("GET /status\r\n\r\n", &[400]),
            ("GET /status HTTP/9.9\r\nHost: x\r\n\r\n", &[400]),
            ("GET  /status HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
            ("G\u{e4}T /status HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
            ("GET /st\0atus HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
            ("GET /status HTTP/1.1\r\nHo st: x\r\n\r\n", &[400]),
            ("GET /status HTTP/1.1\r\nX: a\0b\r\n\r\n", &[400]),
            ("GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
            ("CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[405]),
            ("TRACE /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[405]),
            ("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[404]),
            ("BREW /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[405]),
            (
                "GET /status HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
                &[200],
            ),
            (
                "GET /status HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
                &[100, 200],
            ),
            ("GET /status HTTP/1.1\r\nHost: x\r\nRange: bytes=0-,0-,0-\r\nConnection: close\r\n\r\n", &[200]),
            (
                "GET /status HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=,,;;q=9e9\r\nConnection: close\r\n\r\n",
                &[200],
            ),
            (
                "GET /status HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"\"\"\"\"\r\nConnection: close\r\n\r\n",
                &[200],
            ),
            (&get(&long_path), &[431]),
            (&long_line, &[431]),
            (&many_lines, &[431]),
        ],
    );
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in [
            "/status",
            "/api/status",
            "/api/status/events",
            "/status/services/main",
            "/status/outages",
            "/healthz",
            "/",
        ] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b");
            expect(&api, &[(&request, &[405])]);
        }
    }
    assert_eq!(api.end(), [""; 0]);
}

#[test]
fn no_script_and_no_sql_comes_in_by_an_address() {
    let database = Database::migrated();
    let api = api(&database);
    let scripts = [
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "%22onload=%22alert(1)",
        "javascript:alert(1)",
        "%7B%7B7*7%7D%7D",
        "%F0%9F%92%A9",
    ];
    let sqls = [
        "'%20OR%20'1'='1",
        "main';DROP%20TABLE%20service_checks;--",
        "$1",
        "main%00",
        "%27%22%5C",
        "main'%20UNION%20SELECT%20version()--",
    ];
    for bad in scripts.into_iter().chain(sqls) {
        for (path, status) in [
            (format!("/{bad}"), 404),
            (format!("/status/{bad}"), 404),
            (format!("/status/assets/{bad}"), 404),
            (format!("/status/services/{bad}"), 404),
            (format!("/status/services/main/outages/{bad}"), 404),
            (format!("/status/services/main?period={bad}"), 400),
            (format!("/status/services/main?{bad}=7d"), 200),
            (format!("/status/outages?service={bad}"), 404),
            (format!("/status/outages?before={bad}"), 400),
            (format!("/api/{bad}"), 404),
            (format!("/api/status?{bad}"), 200),
            (format!("/status?{bad}"), 200),
        ] {
            let answer = send(&api, get(&path).as_bytes());
            assert_eq!(statuses(&answer), [status], "{path}: {answer}");
            for echo in ["alert(1)", "7*7", "DROP", "PostgreSQL", "syntax"] {
                let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                assert!(!body.contains(echo), "{path} echoes {echo}: {body}");
            }
        }
    }
    let mut client = database.connect();
    let checks: i64 = client.query_one("SELECT count(*) FROM service_checks", &[]).unwrap().get(0);
    assert_eq!(checks, 1);
    assert_eq!(api.end(), [""; 0]);
}
