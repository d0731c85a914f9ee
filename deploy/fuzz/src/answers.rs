//! What servers answer to a check, over a real connection.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{LazyLock, Mutex, PoisonError},
    thread,
    time::Duration,
};

use prober::{
    checker::Checker,
    target::{Family, Method, Target},
};
use shared::{Failure, Status, printable::is_printable};
use tokio::runtime::Runtime;
use url::Url;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

static CHECKER: LazyLock<Checker> = LazyLock::new(|| {
    let _inside = RUNTIME.enter();
    Checker::new().expect("a readable /etc/resolv.conf")
});

static SERVER: LazyLock<SocketAddr> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(&stream)));
    address
});

/// What the server answers to every request.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn answer(mut stream: &TcpStream) {
    let head = BufReader::new(stream).lines().map_while(Result::ok);
    head.take_while(|line| !line.is_empty()).for_each(drop);
    // Who asked may be gone.
    drop(stream.write_all(&ANSWER.lock().unwrap_or_else(PoisonError::into_inner)));
}

/// Bytes in place of an answer: there is a check, and it says what the contract has for its status. Redirects may lead
/// anywhere: libFuzzer runs where there is no network but loopback.
pub fn answers(input: &[u8]) {
    input.clone_into(&mut ANSWER.lock().unwrap_or_else(PoisonError::into_inner));
    let target = Target {
        id: "main".into(),
        name: "main".into(),
        group: None,
        link: None,
        url: Url::parse(&format!("http://{}/", *SERVER)).expect("a URL"),
        headers: Vec::new(),
        authorities: None,
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(1),
        slow_after: Duration::from_secs(1),
        retries: 0,
        retry_delay: Duration::ZERO,
        expect: vec![200..=499],
        method: Method::Head,
        family: Family::Any,
        private_redirects: false,
    };
    // Without a network no name server can be asked, which is no fault of the target.
    let Ok(check) = RUNTIME.block_on(CHECKER.check(&target)) else { return };
    let failure = check.error.as_deref().map(|error| {
        assert!(error.chars().count() <= 500 && error.chars().all(is_printable), "{error:?}");
        assert!(error.ends_with(", after 1 try"), "{error:?}");
        Failure::of_error(error).expect("a class of failure")
    });
    let code = check.status_code;
    let (has_code, has_time) = (code.is_some(), check.response_time_ms.is_some());
    match (check.status, failure) {
        (Status::Online, None) => assert!(code.is_some_and(|code| target.expects(code)) && has_time),
        (Status::Degraded, Some(Failure::Status)) => {
            assert!(code.is_some_and(|code| !target.expects(code)) && has_time);
        }
        (Status::Degraded, Some(Failure::Slow)) => assert!(has_code && has_time),
        (Status::Timeout, Some(Failure::Timeout | Failure::Dns)) => {
            assert_eq!((code, check.response_time_ms), (None, Some(1000)));
        }
        (Status::Offline, Some(Failure::Status | Failure::Slow)) => panic!("{check:?}"),
        (Status::Offline, Some(_)) => assert!(!has_code && !has_time),
        _ => panic!("{check:?}"),
    }
}
