//! Servers that give no proper answer, or none in time.

use std::{
    io::Read,
    net::{Ipv4Addr, TcpStream},
    thread::sleep,
    time::Duration,
};

use super::*;
use crate::servers::{Server, deaf, nobody};

const PAUSE: Duration = Duration::from_millis(20);

fn hold(stream: TcpStream) {
    sleep(Duration::from_secs(3));
    drop(stream);
}

#[test]
fn a_silent_server_is_a_timeout() {
    let server = Server::raw(hold);
    assert_timeout(
        &target(server.url("/")),
        &format!("timeout: no answer within 500 ms ({})", server.address),
    );
}

#[test]
fn headers_that_drip_byte_by_byte_are_a_timeout() {
    let server = Server::behaving(|_, _, wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nx: ")?;
        loop {
            wire.write_all(b"y")?;
            wire.flush()?;
            sleep(PAUSE);
        }
    });
    let error = format!("timeout: headers not complete within 500 ms ({})", server.address);
    assert_timeout(&target(server.url("/")), &error);
}

#[test]
fn endless_headers_are_cut_off() {
    let server = Server::behaving(|_, _, wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            wire.write_all(b"x: y\r\n")?;
        }
    });
    let (status, code, error) = found(server.url("/"));
    assert_eq!((status, code), (Status::Offline, None));
    assert!(error.unwrap().starts_with("protocol: "));
}

#[test]
fn a_header_line_of_64_kib_is_too_long() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024));
    assert_eq!(found(Server::saying(&long).url("/")), offline("protocol: headers longer than 64 KiB"));
}

#[test]
fn endless_interim_answers_are_cut_off() {
    let server = Server::behaving(|_, _, wire| {
        loop {
            wire.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")?;
        }
    });
    assert_eq!(found(server.url("/")), offline("protocol: headers longer than 64 KiB"));
}

#[test]
fn a_reset_connection_is_offline() {
    let server = Server::raw(|mut stream| {
        // Closing with bytes unread resets the connection.
        let _ = stream.read(&mut [0]);
    });
    let error = format!("connect: connection reset ({})", server.address);
    assert_eq!(found(server.url("/")), offline(&error));
}

#[test]
fn a_connection_closed_without_an_answer_is_offline() {
    let server = Server::behaving(|_, _, _| Err(std::io::ErrorKind::Other.into()));
    let error = format!("protocol: connection closed without an answer ({})", server.address);
    assert_eq!(found(server.url("/")), offline(&error));
}

#[test]
fn a_connection_closed_within_the_headers_is_offline() {
    let server = Server::behaving(|_, _, wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nx")?;
        Err(std::io::ErrorKind::Other.into())
    });
    let error = format!("protocol: connection closed within the headers ({})", server.address);
    assert_eq!(found(server.url("/")), offline(&error));
}

#[test]
fn what_is_not_http_is_offline_and_its_bytes_stay_out_of_the_error() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 \x1b[31mred\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "HTTP/9 x\r\n\r\n",
    ] {
        let (status, code, error) = found(Server::saying(garbage).url("/"));
        assert_eq!((status, code), (Status::Offline, None), "{garbage:?}");
        let error = error.unwrap();
        assert!(error.starts_with("protocol: malformed answer: ") && !error.contains("red"), "{error}");
    }
}

#[test]
fn control_characters_in_a_header_are_no_http() {
    let answer = "HTTP/1.1 200 OK\r\nx: a\x07\x00b\r\n\r\n";
    let (status, _, error) = found(Server::saying(answer).url("/"));
    assert_eq!(status, Status::Offline);
    assert!(!error.unwrap().contains(char::is_control));
}

#[test]
fn a_refused_connection_is_offline_and_has_no_response_time() {
    let address = nobody();
    let check = check(&target(format!("http://{address}/")));
    assert_eq!(check.response_time_ms, None);
    assert_eq!(summary(check), offline(&format!("connect: connection refused ({address})")));
}

#[test]
fn a_server_that_drops_connection_attempts_is_a_timeout() {
    let (address, _listener) = deaf((Ipv4Addr::LOCALHOST, 0).into());
    let error = format!("timeout: no connection within 500 ms ({address})");
    assert_timeout(&target(format!("http://{address}/")), &error);
}

#[test]
fn an_ipv6_server_is_reached_over_ipv6() {
    let answer =
        |_: usize, _: &str, wire: &mut dyn crate::servers::Wire| wire.write_all(b"HTTP/1.1 204 x\r\n\r\n");
    let Ok(server) = Server::start("[::1]:0".parse().unwrap(), None, answer) else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    assert_eq!(found(server.url("/")), online(204));
    assert!(server.requests()[0].contains(&format!("host: [::1]:{}\r\n", server.address.port())));
    let mut target = target(server.url("/"));
    target.family = Family::V4;
    assert_eq!(summary(check(&target)), offline("dns: no IPv4 address ([::1])"));
}

#[test]
fn no_error_tells_a_secret() {
    let server = Server::saying("nonsense\r\n\r\n");
    for url in [
        format!("http://user:secret@{}/?token=secret", server.address),
        format!("http://user:secret@{}/secret?token=secret#secret", nobody()),
        "https://user:secret@something.invalid/?token=secret".to_owned(),
    ] {
        let mut target = target(url);
        target.headers.push(("x-key".into(), "secret".into()));
        let error = check(&target).error.unwrap();
        assert!(!error.contains("secret"), "{error}");
    }
}
