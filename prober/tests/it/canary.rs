//! A failure of the monitor's own network is nobody else's: what canaries decide, from outside.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use shared::testing::{Database, eventually};

use crate::{
    daemon::{OK, count},
    process::{Setup, every_second},
    servers::Server,
};

const NOBODY: &str = "http://127.0.0.1:9/";

/// A server that answers, but for while the switch is off.
fn canary() -> (Server, Arc<AtomicBool>) {
    let answers = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&answers);
    let server = Server::raw(move |mut stream| {
        drop(stream.read(&mut [0; 1024]));
        if answers.load(Ordering::SeqCst) {
            stream.write_all(b"HTTP/1.1 500 Whatever\r\n\r\n").ok();
        }
    });
    (server, switch)
}

fn setup(canaries: &[&str], server: &Server) -> Setup {
    let services = every_second(&[("dead", NOBODY), ("well", &server.url("/"))]);
    Setup::of(&format!("canary = {canaries:?}\n{services}"))
}

#[test]
fn while_no_canary_answers_failures_are_withheld_and_answers_are_not() {
    let ((one, one_answers), (other, _)) = (canary(), canary());
    let server = Server::saying(OK);
    let setup = setup(&[&one.url("/"), &other.url("/")], &server);
    let database = Database::empty();
    let mut daemon = setup.start(Some(&database.url));
    daemon.logged("no canary answers: ");
    eventually("turns go on", || one.accepted() >= 3 && server.requests().len() >= 3);
    let mut client = database.connect();
    eventually("answers are recorded", || {
        count(&mut client, "service_checks WHERE service_id = 'well'") >= 3
    });
    assert_eq!(count(&mut client, "service_checks WHERE service_id = 'dead'"), 0);

    one_answers.store(true, Ordering::SeqCst);
    let line = daemon.logged("a canary answers again; ");
    let withheld: usize = line.split_once("; ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(withheld >= 2, "{line}");
    eventually("failures count", || {
        count(&mut client, "service_checks WHERE service_id = 'dead' AND status = 'offline'") >= 2
    });
    one_answers.store(false, Ordering::SeqCst);
    daemon.logged("no canary answers: ");
    assert_eq!(daemon.stop().code(), Some(0));
    let log = daemon.rest_of_log();
    assert!(log.iter().any(|line| line.contains("checks without an answer were not recorded")), "{log:#?}");
    assert_eq!(log.iter().filter(|line| line.contains("dead: ")).count(), 1, "{log:#?}");
}

#[test]
fn nobody_is_asked_while_all_is_well_and_a_reload_brings_canaries() {
    let (one, one_answers) = canary();
    one_answers.store(true, Ordering::SeqCst);
    let server = Server::saying(OK);
    let setup =
        Setup::of(&format!("canary = [{:?}]\n{}", one.url("/"), every_second(&[("well", &server.url("/"))])));
    let daemon = setup.start(None);
    daemon.logged("well: unknown -> online");
    eventually("turns go on", || server.requests().len() >= 3);
    assert_eq!(one.accepted(), 0);
    setup.replace(&format!("canary = [{:?}]\n{}", one.url("/"), every_second(&[("dead", NOBODY)])));
    daemon.signal("HUP");
    daemon.logged("dead: unknown -> offline");
    assert!(one.accepted() > 0);
}
