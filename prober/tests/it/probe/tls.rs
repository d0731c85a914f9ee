//! TLS: real handshakes, good and bad certificates.

use std::{thread::sleep, time::Duration};

use rustls::HandshakeKind;

use super::*;
use crate::servers::{Identity, Server};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn found_trusting(server: &Server, identity: &Identity) -> (Status, Option<u16>, Option<String>) {
    let mut target = target(server.https_url("/"));
    target.timeout = Duration::from_secs(2);
    target.slow_after = Duration::from_secs(2);
    target.authorities = Some(identity.authorities.clone());
    summary(check(&target))
}

#[test]
fn a_certificate_of_the_targets_own_authority_is_good() {
    let identity = Identity::issued("127.0.0.1", 2999);
    let server = Server::secured(&identity, OK);
    assert_eq!(found_trusting(&server, &identity), online(200));
    assert!(server.is_left_alone());
}

#[test]
fn every_handshake_is_a_full_one() {
    let identity = Identity::issued("127.0.0.1", 2999);
    let server = Server::secured(&identity, OK);
    for _ in 0..3 {
        found_trusting(&server, &identity);
    }
    assert!(server.is_left_alone());
    assert_eq!(server.handshakes(), [Some(HandshakeKind::Full); 3]);
}

#[test]
fn an_authority_nobody_knows_is_refused() {
    let server = Server::secured(&Identity::issued("127.0.0.1", 2999), OK);
    let other = Identity::issued("127.0.0.1", 2999);
    let error = format!("tls: certificate self-signed or from an unknown issuer ({})", server.address);
    assert_eq!(found_trusting(&server, &other), offline(&error));
    assert_eq!(found(server.https_url("/")), offline(&error), "the system does not know it either");
    assert!(server.requests().is_empty(), "nothing was asked of a stranger");
}

#[test]
fn a_self_signed_certificate_is_refused() {
    let server = Server::secured(&Identity::self_signed("127.0.0.1"), OK);
    let error = format!("tls: certificate self-signed or from an unknown issuer ({})", server.address);
    assert_eq!(found(server.https_url("/")), offline(&error));
}

#[test]
fn a_self_signed_certificate_may_be_its_own_authority() {
    let identity = Identity::self_signed("127.0.0.1");
    let server = Server::secured(&identity, OK);
    assert_eq!(found_trusting(&server, &identity), online(200));
}

#[test]
fn a_certificate_that_is_its_own_authority_is_good_only_where_it_is_listed_and_fits() {
    let identity = Identity::its_own_authority("127.0.0.1", 2999);
    let server = Server::secured(&identity, OK);
    assert_eq!(found_trusting(&server, &identity), online(200));
    let error = "tls: certificate is its own authority (ca_file may name it, if it is meant)";
    let error = format!("{error} ({})", server.address);
    assert_eq!(found(server.https_url("/")), offline(&error));
    assert_eq!(found_trusting(&server, &Identity::its_own_authority("127.0.0.1", 2999)), offline(&error));

    let elsewhere = Identity::its_own_authority("other.example", 2999);
    let server = Server::secured(&elsewhere, OK);
    let error = format!("tls: certificate not valid for 127.0.0.1 ({})", server.address);
    assert_eq!(found_trusting(&server, &elsewhere), offline(&error));

    let expired = Identity::its_own_authority("127.0.0.1", 2020);
    let server = Server::secured(&expired, OK);
    let error = format!("tls: certificate expired on 2020-12-31 ({})", server.address);
    assert_eq!(found_trusting(&server, &expired), offline(&error));
}

#[test]
fn an_expired_certificate_is_refused() {
    let identity = Identity::issued("127.0.0.1", 2020);
    let server = Server::secured(&identity, OK);
    let error = format!("tls: certificate expired on 2020-12-31 ({})", server.address);
    assert_eq!(found_trusting(&server, &identity), offline(&error));
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let identity = Identity::issued("other.example", 2999);
    let server = Server::secured(&identity, OK);
    let error = format!("tls: certificate not valid for 127.0.0.1 ({})", server.address);
    assert_eq!(found_trusting(&server, &identity), offline(&error));
}

#[test]
fn plain_text_on_a_tls_port_is_a_tls_failure() {
    let server = Server::raw(|mut stream| {
        use std::io::{Read, Write};
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 2048]);
    });
    let error = format!("tls: the server does not speak TLS ({})", server.address);
    assert_eq!(found(server.https_url("/")), offline(&error));
}

#[test]
fn tls_on_a_plain_port_is_not_http() {
    let server = Server::secured(&Identity::issued("127.0.0.1", 2999), OK);
    let (status, code, error) = found(server.url("/"));
    assert_eq!((status, code), (Status::Offline, None));
    let error = error.unwrap();
    assert!(error.starts_with("protocol: ") || error.starts_with("connect: connection reset"), "{error}");
}

#[test]
fn a_server_silent_within_the_handshake_is_a_timeout() {
    let server = Server::raw(|stream| {
        sleep(Duration::from_secs(3));
        drop(stream);
    });
    let error = format!("timeout: TLS handshake not finished within 500 ms ({})", server.address);
    assert_timeout(&target(server.https_url("/")), &error);
}

#[test]
fn a_connection_closed_within_the_handshake_is_a_tls_failure() {
    let server = Server::raw(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
    });
    let error = format!("tls: connection closed within the handshake ({})", server.address);
    assert_eq!(found(server.https_url("/")), offline(&error));
}
