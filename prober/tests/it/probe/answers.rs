//! HTTP answers, good and bad.

use std::{thread::sleep, time::Duration};

use prober::target::Method;
use shared::Status;

use super::*;
use crate::servers::Server;

fn empty(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
}

#[test]
fn statuses_from_200_to_499_are_online_by_default() {
    for status in [200, 204, 206, 300, 304, 400, 401, 403, 404, 410, 429, 499] {
        assert_eq!(found(Server::saying(&empty(&format!("{status} Word"))).url("/")), online(status));
    }
}

#[test]
fn statuses_from_500_are_degraded_by_default() {
    for status in [500, 502, 503, 599] {
        let server = Server::saying(&empty(&format!("{status} Word")));
        assert_eq!(found(server.url("/")), degraded(status, &format!("status: HTTP {status}")));
    }
}

#[test]
fn expect_says_which_statuses_are_online() {
    let mut target = target(Server::saying(&empty("404 Not Found")).url("/"));
    target.expect = vec![200..=299];
    assert_eq!(summary(check(&target)), degraded(404, "status: HTTP 404"));
}

#[test]
fn a_head_request_says_who_asks_and_that_nobody_waits_for_more() {
    let server = Server::saying(&empty("200 OK"));
    check(&target(server.url("/a/b?c=d#fragment")));
    let head = server.requests().remove(0);
    assert!(head.starts_with("HEAD /a/b?c=d HTTP/1.1\r\n"), "{head}");
    let agent = concat!("user-agent: status-prober/", env!("CARGO_PKG_VERSION"), "\r\n");
    for line in [&format!("host: {}\r\n", server.address), agent, "accept: */*\r\n", "connection: close\r\n"]
    {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("authorization"));
}

#[test]
fn custom_headers_weigh_more_than_ours() {
    let server = Server::saying(&empty("200 OK"));
    let mut target = target(server.url("/").replace("http://", "http://us%20er:p%40ss@"));
    for (name, value) in [("User-Agent", "mine"), ("Host", "virtual.example"), ("X-Two", "1"), ("X-Two", "2")]
    {
        target.headers.push((name.into(), value.into()));
    }
    check(&target);
    let head = server.requests().remove(0);
    assert!(head.contains("user-agent: mine\r\n") && !head.contains("status-prober"), "{head}");
    assert!(head.contains("host: virtual.example\r\n") && !head.contains("127.0.0.1"), "{head}");
    assert!(head.contains("x-two: 1\r\nx-two: 2\r\n"), "{head}");
    assert!(head.contains("authorization: Basic dXMgZXI6cEBzcw==\r\n"), "{head}");
}

#[test]
fn an_authorization_of_the_users_own_weighs_more_than_userinfo() {
    let server = Server::saying(&empty("200 OK"));
    let mut target = target(server.url("/").replace("http://", "http://user:pass@"));
    target.headers.push(("Authorization".into(), "Bearer token".into()));
    check(&target);
    let head = server.requests().remove(0);
    assert_eq!(head.matches("authorization: ").count(), 1, "{head}");
    assert!(head.contains("authorization: Bearer token\r\n"), "{head}");
}

#[test]
fn a_header_of_the_users_own_may_be_long() {
    let server = Server::saying(&empty("200 OK"));
    let mut target = target(server.url("/"));
    target.headers.push(("cookie".into(), "c".repeat(20_000)));
    assert_eq!(summary(check(&target)), online(200));
    assert!(server.requests()[0].contains(&"c".repeat(20_000)));
}

#[test]
fn head_answered_405_or_501_is_asked_again_as_get() {
    for refusal in ["405 Method Not Allowed", "501 Not Implemented"] {
        let refusal = empty(refusal);
        let server = Server::answering(move |_, head| {
            let answer = if head.starts_with("HEAD") { refusal.clone() } else { empty("200 OK") };
            answer.into_bytes()
        });
        assert_eq!(found(server.url("/x")), online(200));
        assert_eq!(server.lines(), ["HEAD /x", "GET /x"]);
    }
}

#[test]
fn get_begins_anew_at_the_first_url() {
    let server = Server::answering(|_, head| {
        let answer = match head.split(' ').take(2).collect::<Vec<_>>()[..] {
            [_, "/"] => "HTTP/1.1 302 Found\r\nlocation: /inner\r\ncontent-length: 0\r\n\r\n".to_owned(),
            ["HEAD", _] => empty("405 Method Not Allowed"),
            _ => empty("200 OK"),
        };
        answer.into_bytes()
    });
    assert_eq!(found(server.url("/")), online(200));
    assert_eq!(server.lines(), ["HEAD /", "HEAD /inner", "GET /", "GET /inner"]);
}

#[test]
fn get_has_what_head_left_of_the_timeout_and_a_response_time_of_its_own() {
    let server = Server::behaving(|_, head, wire| {
        let get = head.starts_with("GET");
        sleep(Duration::from_millis(if get { 60 } else { 200 }));
        wire.write_all(empty(if get { "200 OK" } else { "405 No" }).as_bytes())
    });
    let check = check(&target(server.url("/")));
    assert!((60..200).contains(&check.response_time_ms.unwrap()), "{check:?}");

    let server = Server::behaving(|_, head, wire| {
        sleep(Duration::from_millis(300));
        wire.write_all(empty(if head.starts_with("GET") { "200 OK" } else { "405 No" }).as_bytes())
    });
    let error = format!("timeout: no answer within 500 ms ({})", server.address);
    assert_timeout(&target(server.url("/")), &error);
}

#[test]
fn get_answered_405_is_final() {
    let server = Server::saying(&empty("405 Method Not Allowed"));
    let mut target = target(server.url("/"));
    target.method = Method::Get;
    assert_eq!(summary(check(&target)), online(405));
    assert_eq!(server.lines(), ["GET /"]);
}

#[test]
fn the_response_time_is_the_servers_delay() {
    let server = Server::behaving(|_, _, wire| {
        sleep(Duration::from_millis(120));
        wire.write_all(empty("200 OK").as_bytes())
    });
    let check = check(&target(server.url("/")));
    let measured = check.response_time_ms.unwrap();
    assert!((120..200).contains(&measured), "{measured} ms");
    assert_eq!(summary(check), online(200));
}

#[test]
fn a_slow_answer_is_degraded() {
    let server = Server::behaving(|_, _, wire| {
        sleep(Duration::from_millis(150));
        wire.write_all(empty("200 OK").as_bytes())
    });
    let mut target = target(server.url("/"));
    target.slow_after = Duration::from_millis(100);
    let check = check(&target);
    let measured = check.response_time_ms.unwrap();
    assert!((150..400).contains(&measured), "{measured} ms");
    assert_eq!(summary(check), degraded(200, &format!("slow: {measured} ms, more than 100 ms")));
}

#[test]
fn an_endless_body_is_not_downloaded() {
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = written.clone();
    let server = Server::behaving(move |_, _, wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            wire.write_all(&[b'x'; 4096])?;
            count.fetch_add(4096, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let mut target = target(server.url("/"));
    target.method = Method::Get;
    let (check, took) = timed_check(&target);
    assert_eq!(summary(check), online(200));
    assert!(took < NOISE, "{took:?}");
    assert!(server.is_left_alone());
    let written = written.load(std::sync::atomic::Ordering::Relaxed);
    assert!(written < 16 << 20, "{written} bytes are more than sockets hold");
}

#[test]
fn interim_answers_are_not_the_final_one() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    assert_eq!(
        found(Server::saying(&format!("{interim}{interim}{}", empty("204 No Content"))).url("/")),
        online(204)
    );
}

#[test]
fn bytes_that_are_not_utf8_in_headers_do_no_harm() {
    let answer = b"HTTP/1.1 200 \xff\xfe\r\nx: \xc3\x28\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(found(Server::answering(|_, _| answer.to_vec()).url("/")), online(200));
}

#[test]
fn headers_may_be_far_longer_than_our_first_buffer() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(40_000));
    assert_eq!(found(Server::saying(&long).url("/")), online(200));
}

#[test]
fn no_connection_is_left_open_after_a_check() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n");
    for _ in 0..3 {
        check(&target(server.url("/")));
    }
    assert!(server.is_left_alone());
    assert_eq!(server.accepted(), 3, "a fresh connection every time");
}

#[test]
fn a_proxy_in_the_environment_is_nothing_to_us() {
    // The environment is the process's: set for a child that runs one test of this binary.
    let proxy = Server::saying(&empty("502 Bad Gateway"));
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["probe::answers::the_response_time_is_the_servers_delay", "--exact"])
        .env("http_proxy", proxy.url("/"))
        .env("HTTP_PROXY", proxy.url("/"))
        .env("ALL_PROXY", proxy.url("/"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(proxy.accepted(), 0);
}

#[test]
fn the_status_word_is_what_the_table_says() {
    let check = check(&target(Server::saying(&empty("200 OK")).url("/")));
    assert_eq!((check.service_id.as_str(), check.status), ("main", Status::Online));
}
