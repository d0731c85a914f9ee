//! Whole checks: retries, and what must not touch a measurement.

use std::{
    io,
    sync::{Arc, Barrier},
    thread::sleep,
};

use chrono::Utc;
use tokio::task::JoinSet;

use super::*;
use prober::{broken::Broken, resolver::Resolver};

use crate::servers::{Says, Server, Wire, name_server, nobody};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const BAD: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

#[test]
fn a_target_that_fails_twice_and_then_answers_is_online() {
    let server = Server::answering(|count, _| if count < 2 { BAD.to_vec() } else { OK.to_vec() });
    let mut target = target(server.url("/"));
    target.retries = 5;
    assert_eq!(summary(check(&target)), online(200));
    assert_eq!(server.lines().len(), 3);
}

#[test]
fn the_last_try_is_the_result_and_the_error_counts_the_tries() {
    let server = Server::behaving(|count, _, wire| match count {
        0 => wire.write_all(BAD),
        1 => Err(io::ErrorKind::Other.into()),
        _ => wire.write_all(b"HTTP/1.1 500 x\r\n\r\n"),
    });
    let mut target = target(server.url("/"));
    target.retries = 2;
    let check = check(&target);
    assert_eq!(check.error.as_deref(), Some("status: HTTP 500, after 3 tries"));
    assert_eq!((check.status, check.status_code), (Status::Degraded, Some(500)));
    assert_eq!(server.lines().len(), 3);
}

#[test]
fn between_tries_there_is_a_pause_and_the_check_began_with_the_first() {
    let server = Server::answering(|_, _| BAD.to_vec());
    let mut target = target(server.url("/"));
    (target.retries, target.retry_delay) = (2, Duration::from_millis(150));
    let before = Utc::now();
    let (check, took) = timed_check(&target);
    assert!(took >= 2 * target.retry_delay && took < 2 * target.retry_delay + NOISE, "{took:?}");
    let began = (check.timestamp - before).num_milliseconds();
    assert!((0..200).contains(&began), "{began} ms");
    assert!(check.response_time_ms.unwrap() < 150, "of the last try alone");
}

#[test]
fn a_timeout_is_tried_again() {
    let server = Server::behaving(|count, _, wire| {
        if count == 0 {
            sleep(Duration::from_millis(700));
        }
        wire.write_all(OK)
    });
    let mut target = target(server.url("/"));
    target.retries = 1;
    assert_eq!(summary(check(&target)), online(200));
}

#[test]
fn a_slow_answer_is_not_tried_again() {
    let server = Server::behaving(|_, _, wire| {
        sleep(Duration::from_millis(60));
        wire.write_all(OK)
    });
    let mut target = target(server.url("/"));
    (target.retries, target.slow_after) = (3, Duration::from_millis(20));
    assert_eq!(check(&target).status, Status::Degraded);
    assert_eq!(server.lines().len(), 1);
}

/// One that lets a single request be on its way at a time.
fn one_at_a_time() -> Checker {
    Checker::with_places(Resolver::system().unwrap(), 1, 1)
}

/// Answers after a while.
fn slow() -> Server {
    Server::behaving(|_, _, wire| {
        sleep(Duration::from_millis(400));
        wire.write_all(OK)
    })
}

#[test]
fn waiting_for_a_place_is_neither_measured_nor_taken_from_the_timeout() {
    let (first, server) = (slow(), Server::answering(|_, _| OK.to_vec()));
    let (first, mut target) = (target(first.url("/")), target(server.url("/")));
    target.timeout = Duration::from_millis(200);
    let check = RUNTIME.block_on(async {
        let checker = one_at_a_time();
        let (before, check) =
            tokio::join!(checker.check_in_turn(&first, false), checker.check_in_turn(&target, false));
        assert!(before.unwrap().response_time_ms >= Some(400));
        check.unwrap()
    });
    assert!(check.response_time_ms.unwrap() < 150, "{check:?}");
    assert_eq!(summary(check), online(200));
}

/// No more than 128 begin at the same moment; each of these is answered once all are there.
#[test]
fn those_that_wait_for_their_target_make_room_for_others() {
    const CHECKS: usize = 300;
    let all = Barrier::new(CHECKS);
    let server = Server::behaving(move |_, _, wire| {
        all.wait();
        wire.write_all(OK)
    });
    let mut target = target(server.url("/"));
    (target.timeout, target.slow_after) = (Duration::from_secs(30), Duration::from_secs(30));
    let target = Arc::new(target);
    let checks = RUNTIME.block_on(async {
        let check = |target: Arc<Target>| async move { CHECKER.check_in_turn(&target, false).await.unwrap() };
        let mut checks: JoinSet<Check> = (0..CHECKS).map(|_| check(Arc::clone(&target))).collect();
        let mut done = Vec::new();
        while let Some(check) = checks.join_next().await {
            done.push(check.unwrap());
        }
        done
    });
    assert!(checks.iter().all(|check| check.status_code == Some(200)), "{checks:?}");
}

#[test]
fn a_dropped_check_asks_nothing_any_more() {
    let (first, server) = (slow(), Server::answering(|_, _| OK.to_vec()));
    let (first, dropped, after) =
        (target(first.url("/")), target(server.url("/dropped")), target(server.url("/")));
    RUNTIME.block_on(async {
        let checker = one_at_a_time();
        let drop_it = async {
            let check = checker.check_in_turn(&dropped, false);
            assert!(tokio::time::timeout(Duration::from_millis(100), check).await.is_err());
            checker.check_in_turn(&after, false).await.unwrap()
        };
        tokio::join!(checker.check_in_turn(&first, false), drop_it).0.unwrap();
    });
    assert_eq!(server.lines(), ["HEAD /"]);
}

#[test]
fn no_request_begins_after_the_close() {
    let (first, server) = (slow(), Server::answering(|_, _| OK.to_vec()));
    let (first, target) = (target(first.url("/")), target(server.url("/")));
    RUNTIME.block_on(async {
        let checker = one_at_a_time();
        let close = async { checker.close() };
        let (first, waits, ()) =
            tokio::join!(checker.check_in_turn(&first, false), checker.check_in_turn(&target, false), close);
        assert_eq!(first.unwrap().status_code, Some(200));
        assert!(matches!(waits, Err(Broken::Stopped)), "{waits:?}");
        let late = checker.check_in_turn(&target, true).await;
        assert!(matches!(late, Err(Broken::Stopped)), "{late:?}");
    });
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_check_dropped_on_its_way_comes_to_nothing_and_leaves_no_connection() {
    let hang = |_: usize, _: &str, wire: &mut dyn Wire| wire.read(&mut [0]).map(|_| ());
    let server = Server::behaving(hang);
    let target = target(server.url("/"));
    RUNTIME.block_on(async {
        let check = tokio::time::timeout(Duration::from_millis(100), CHECKER.check(&target)).await;
        assert!(check.is_err());
    });
    assert_eq!(server.accepted(), 1);
    assert!(server.is_left_alone(), "at the latest at the timeout");
}

#[test]
fn many_checks_at_once_are_measured_as_one_alone() {
    let server = Arc::new(Server::behaving(|_, _, wire| {
        sleep(Duration::from_millis(100));
        wire.write_all(OK)
    }));
    let target = Arc::new(target(server.url("/")));
    let checks = RUNTIME.block_on(async {
        let checks: Vec<_> = (0..50)
            .map(|_| {
                let target = target.clone();
                tokio::spawn(async move { CHECKER.check(&target).await.unwrap() })
            })
            .collect();
        let mut done = Vec::new();
        for check in checks {
            done.push(check.await.unwrap());
        }
        done
    });
    assert!(checks.iter().all(|check| check.status == Status::Online), "{checks:?}");
    assert!(checks.iter().all(|check| check.response_time_ms >= Some(100)));
}

/// Descriptors are the process's: used up in a child that runs this test alone.
#[test]
fn a_machine_out_of_descriptors_says_nothing_about_the_target() {
    const STARVED: &str = "PROBER_TEST_STARVED";
    let name = "probe::tries::a_machine_out_of_descriptors_says_nothing_about_the_target";
    if std::env::var_os(STARVED).is_none() {
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg(name)
            .env(STARVED, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let _inside = RUNTIME.enter();
    let checker = Checker::with_resolver(Resolver::asking(name_server(Says::Nothing)).unwrap());
    RUNTIME.block_on(checker.check(&target(format!("http://{}/", nobody())))).unwrap();
    let _all: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    for url in ["http://127.0.0.1:9/", "http://asimonson.test/"] {
        let broken = RUNTIME.block_on(checker.check(&target(url))).unwrap_err();
        assert!(matches!(broken, Broken::OutOfResources(_)), "{url}: {broken}");
    }
}
