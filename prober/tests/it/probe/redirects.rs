//! Redirects: how many, where to, and what goes along.

use super::*;
use crate::servers::Server;

fn redirect(status: u16, location: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

fn ok() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()
}

/// Redirects from /n to /n-1, with a body that nobody needs, and answers /0.
fn countdown(status: u16) -> Server {
    Server::answering(move |_, head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path.trim_start_matches('/').parse::<u32>() {
            Ok(0) | Err(_) => ok(),
            Ok(n) => redirect(status, &format!("/{}", n - 1)),
        }
    })
}

#[test]
fn ten_redirects_are_followed() {
    let server = countdown(301);
    assert_eq!(found(server.url("/10")), online(200));
    assert_eq!(server.lines().len(), 11);
    assert!(server.lines().iter().all(|line| line.starts_with("HEAD ")));
}

#[test]
fn the_eleventh_redirect_is_too_many() {
    let server = countdown(301);
    assert_eq!(found(server.url("/11")), offline("redirect: more than 10"));
    assert_eq!(server.lines().len(), 11);
}

#[test]
fn a_loop_ends() {
    let server = Server::answering(|_, _| redirect(308, "/again"));
    assert_eq!(found(server.url("/")), offline("redirect: more than 10"));
}

#[test]
fn every_hop_is_a_fresh_connection() {
    let server = countdown(302);
    check(&target(server.url("/3")));
    assert_eq!(server.accepted(), 4);
}

#[test]
fn a_redirect_without_a_location_that_means_something_is_final() {
    for answer in [
        b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nlocation: /\xff\r\ncontent-length: 0\r\n\r\n".to_vec(),
        redirect(302, ""),
        redirect(302, "http://[::1"),
        redirect(300, "/elsewhere"),
        redirect(304, "/elsewhere"),
    ] {
        let status = String::from_utf8_lossy(&answer)[9..12].parse().unwrap();
        let server = Server::answering(move |_, _| answer.clone());
        assert_eq!(found(server.url("/")), online(status));
        assert_eq!(server.lines().len(), 1);
    }
}

#[test]
fn a_redirect_to_a_file_is_refused() {
    for (location, scheme) in
        [("file:///etc/passwd", "file"), ("ftp://127.0.0.1/", "ftp"), ("data:,x", "data")]
    {
        let server = Server::answering(move |_, _| redirect(302, location));
        assert_eq!(found(server.url("/")), offline(&format!("redirect: refused: it leads to {scheme}:")));
    }
}

#[test]
fn custom_headers_and_credentials_stay_within_the_origin() {
    let elsewhere = Server::answering(|_, _| ok());
    let away = elsewhere.url("/away");
    let server = Server::answering(move |_, head| match head.split(' ').nth(1) {
        Some("/start") => redirect(302, "/same"),
        _ => redirect(307, &away),
    });
    let mut target = target(server.url("/start").replace("http://", "http://user:pass@"));
    target.headers.push(("x-key".into(), "secret".into()));
    assert_eq!(summary(check(&target)), online(200));
    for head in server.requests() {
        assert!(
            head.contains("x-key: secret\r\n") && head.contains("authorization: Basic dXNlcjpwYXNz"),
            "{head}"
        );
    }
    let head = elsewhere.requests().remove(0);
    assert!(
        head.starts_with("HEAD /away ") && head.contains(&format!("host: {}", elsewhere.address)),
        "{head}"
    );
    assert!(!head.contains("secret") && !head.contains("authorization"), "{head}");
}

#[test]
fn credentials_in_a_location_are_not_used() {
    let server = Server::answering(|count, head| {
        let host = head.split("host: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
        if count == 0 { redirect(302, &format!("http://evil:evil@{host}/x")) } else { ok() }
    });
    assert_eq!(found(server.url("/")), online(200));
    assert!(!server.requests()[1].contains("authorization"));
}

#[test]
fn redirects_count_in_the_response_time_and_share_one_timeout() {
    let slow = |pause: u64| {
        Server::behaving(move |count, _, wire| {
            std::thread::sleep(Duration::from_millis(pause));
            wire.write_all(&if count < 2 { redirect(302, "/x") } else { ok() })
        })
    };
    let quick = check(&target(slow(50).url("/")));
    assert!((150..400).contains(&quick.response_time_ms.unwrap()), "{quick:?}");
    let server = slow(200);
    let error = format!("timeout: no answer within 500 ms ({})", server.address);
    assert_timeout(&target(server.url("/")), &error);
}

#[test]
fn a_hop_that_fails_says_where() {
    let nobody = crate::servers::nobody();
    let server = Server::answering(move |_, _| redirect(302, &format!("http://{nobody}/?token=x")));
    assert_eq!(found(server.url("/")), offline(&format!("connect: connection refused ({nobody})")));
}
