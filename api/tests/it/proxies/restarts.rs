//! The api ends and comes back, in order and by force, while visitors ask without a pause: none of them sees it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shared::testing::{eventually, free_port};

use super::{Example, caddy_locations, caddy_site, nginx_locations, nginx_site, shown};
use crate::{
    api::{Answer, Api, ask_by, client},
    sockets::Held,
};

/// What is wrong with an answer to a visitor, if anything is.
fn wrong(method: &str, answer: Result<Answer, ureq::Error>) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Some(error.to_string()),
    };
    let whole = match answer.header("content-type") {
        _ if method == "HEAD" => answer.body.is_empty(),
        "application/json" => serde_json::from_str::<serde_json::Value>(&answer.body).is_ok(),
        kind if kind.starts_with("text/html") => answer.body.ends_with("</html>\n"),
        _ => !answer.body.is_empty(),
    };
    let good = answer.status == 304 || answer.status == 200 && whole;
    (!good).then(|| format!("{} {:?} {}", answer.status, answer.headers, answer.body))
}

/// Twelve visitors ask for these in turn without a pause, on connections that they keep and on new ones. `#` is a number
/// that nobody else asks for, so that no cache has the answer; `ASSET` is one of the page's files.
fn assert_unseen(start: Example, to: &str, paths: &[&str], start_anew: impl Fn() -> Api) {
    let mut api = start_anew();
    let proxy = start(to);
    let page = proxy.get("/status").body;
    let asset = page.split('"').find(|part| part.starts_with("/status/assets/")).unwrap();
    let (over, asked, answered) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let visit = |keeps: bool| {
        let (mut by, mut tags, mut failed) = (client(), vec![String::new(); paths.len()], Vec::new());
        while !over.load(Ordering::Relaxed) {
            let n = asked.fetch_add(1, Ordering::Relaxed);
            let (round, n) = (n / paths.len(), n % paths.len());
            let url = format!(
                "{}{}",
                proxy.address,
                paths[n].replace("ASSET", asset).replace('#', &round.to_string())
            );
            let method = ["GET", "GET", "HEAD"][round % 3];
            if !keeps {
                by = client();
            }
            let answer = ask_by(&by, method, &url, &[("If-None-Match", &tags[n])]);
            if let Ok(answer) = &answer {
                answer.header("etag").clone_into(&mut tags[n]);
            }
            match wrong(method, answer) {
                None => drop(answered.fetch_add(1, Ordering::Relaxed)),
                Some(wrong) => failed.push(format!("{method} {url}: {wrong}")),
            }
        }
        failed
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..12).map(|n| scope.spawn(move || visit(n % 2 == 0))).collect();
        for signal in ["KILL", "TERM", "KILL", "TERM", "KILL", "KILL"] {
            let before = answered.load(Ordering::Relaxed);
            eventually("visitors are answered", || answered.load(Ordering::Relaxed) > before + 200);
            api.signal(signal);
            api.wait();
            api = start_anew();
        }
        over.store(true, Ordering::Relaxed);
        visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} beside {answered:?} good answers: {}", failed.len(), failed[0]);
}

const EVERYTHING: [&str; 6] =
    ["/status", "/api/status", "/status?#", "/api/status?#", "/status/outages?#", "ASSET?#"];

fn over_a_held_port(start: Example) {
    let held = Held::open();
    let port = held.tcp.local_addr().unwrap().to_string();
    assert_unseen(start, &port, &EVERYTHING, || held.start(&[]));
}

fn over_a_held_unix_socket(start: Example) {
    let held = Held::open();
    assert_unseen(start, &shown(held.folder.path(), "socket"), &EVERYTHING, || held.start(&[]));
}

#[test]
fn nginx_hides_restarts_while_systemd_holds_the_sockets() {
    over_a_held_port(nginx_locations);
    over_a_held_unix_socket(nginx_site);
}

#[test]
fn caddy_hides_restarts_while_systemd_holds_the_sockets() {
    over_a_held_port(caddy_locations);
    over_a_held_unix_socket(caddy_site);
}

/// One that listens by itself, at an address that is the same each time.
fn over_a_port_that_comes_and_goes(start: Example, paths: &[&str]) {
    let listen = format!("127.0.0.1:{}", free_port());
    assert_unseen(start, &listen, paths, || Api::start_on(&listen, None, &[]));
}

#[test]
fn nginx_shows_what_it_has_while_nobody_listens() {
    let asked_before = ["/status", "/api/status", "/status/outages"];
    over_a_port_that_comes_and_goes(nginx_locations, &asked_before);
    over_a_port_that_comes_and_goes(nginx_site, &asked_before);
}

#[test]
fn caddy_waits_while_nobody_listens() {
    over_a_port_that_comes_and_goes(caddy_locations, &EVERYTHING);
    over_a_port_that_comes_and_goes(caddy_site, &EVERYTHING);
}
