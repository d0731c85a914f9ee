//! Clients that take their time, or everybody else's: each is let go, and nobody waits for them.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{api::Api, clients::listen};

/// As long as anybody is waited for here; who is let go after 20 s is so long before.
const LONG: Duration = Duration::from_secs(90);

fn connect(api: &str) -> TcpStream {
    let stream = TcpStream::connect(api.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// Everything that it says, to the end of the connection.
fn to_the_end(mut stream: &TcpStream) -> String {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => drop(other.expect("an end of the connection")),
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Sends this, then again and again one part more, until the connection ends. Gives what was answered.
fn drip(api: &str, begin: &str, part: &str) -> String {
    let stream = connect(api);
    (&stream).write_all(begin.as_bytes()).unwrap();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| to_the_end(&stream));
        let began = Instant::now();
        while !answer.is_finished() && (&stream).write_all(part.as_bytes()).is_ok() {
            assert!(began.elapsed() < LONG, "{begin:?} is listened to for ever");
            std::thread::sleep(Duration::from_millis(300));
        }
        answer.join().unwrap()
    })
}

const ASK: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n";

fn a_head_that_does_not_end(api: &str) {
    let answer = drip(api, &format!("{ASK}X-Slow: "), "x");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

fn a_second_head_that_does_not_end(api: &str) {
    let answer = drip(api, &format!("{ASK}\r\n{ASK}X-Slow: "), "x");
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
}

fn a_body_that_does_not_end(api: &str) {
    let answer = drip(api, &format!("{ASK}Content-Length: 1000000\r\n\r\n"), "x");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
}

fn a_body_in_chunks_that_does_not_end(api: &str) {
    let answer = drip(api, &format!("{ASK}Transfer-Encoding: chunked\r\n\r\n"), "1\r\nx\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
}

fn a_body_to_a_method_that_is_not_allowed(api: &str) {
    let answer = drip(api, "POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", "x");
    assert!(
        answer.starts_with("HTTP/1.1 405 ") && answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
}

fn silence(api: &str) {
    let answer = to_the_end(&connect(api));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

fn silence_after_an_answer(api: &str) {
    let stream = connect(api);
    (&stream).write_all(format!("{ASK}\r\n").as_bytes()).unwrap();
    assert!(to_the_end(&stream).ends_with("alive\n"));
}

fn a_head_of_a_megabyte(api: &str) {
    let stream = connect(api);
    // It may be refused before all of it is sent.
    (&stream).write_all(format!("{ASK}X-Long: {}\r\n\r\n", "x".repeat(1 << 20)).as_bytes()).ok();
    let answer = to_the_end(&stream);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
}

/// Asks and asks, and reads nothing.
fn a_reader_that_takes_nothing(api: &str) {
    let stream = connect(api);
    let questions = "GET /status HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let began = Instant::now();
    while (&stream).write_all(questions.as_bytes()).is_ok() {
        assert!(began.elapsed() < LONG, "it is served for ever");
    }
    let error = (&stream).write(b"x").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

#[test]
fn who_takes_too_long_is_let_go_and_nobody_waits_for_him() {
    let api = Api::start(None, &[]);
    let listener = listen(&api, &[]);
    std::thread::scope(|scope| {
        for client in [
            a_head_that_does_not_end,
            a_second_head_that_does_not_end,
            a_body_that_does_not_end,
            a_body_in_chunks_that_does_not_end,
            a_body_to_a_method_that_is_not_allowed,
            silence,
            silence_after_an_answer,
            a_head_of_a_megabyte,
            a_reader_that_takes_nothing,
        ] {
            let address = &api.address;
            scope.spawn(move || client(address));
        }
        assert_eq!(api.get("/status").status, 200);
    });
    assert!(listener.stays(), "who listens and takes what he is told stays");
    assert_eq!(api.get("/status").status, 200);
}

#[test]
fn no_answer_tells_what_serves_it() {
    let api = Api::start(None, &[]);
    for path in [
        "/status",
        "/api/status",
        "/healthz",
        "/readyz",
        "/status/assets/nothing",
        "/api/nothing",
        "/nothing",
    ] {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let answer = api.ask(method, path, &[]);
            assert!(
                answer.headers.get("server").is_none() && answer.headers.get("x-powered-by").is_none(),
                "{path}"
            );
            assert!(answer.status < 500 || path == "/readyz", "{method} {path}: {}", answer.status);
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert!(answer.header("permissions-policy").contains("camera=(), "), "{method} {path}");
        }
    }
    for nonsense in
        ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\0 HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02"]
    {
        let stream = connect(&api.address);
        (&stream).write_all(nonsense.as_bytes()).unwrap();
        let answer = to_the_end(&stream).to_lowercase();
        assert!(!answer.contains("actix") && !answer.contains("server:"), "{answer}");
    }
}
