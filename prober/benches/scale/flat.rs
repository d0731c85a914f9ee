//! As many checks as it can make, beside wrk, which sends the same requests to the same server: pairs of both in turn.
//! A quarter more services are due each second than wrk makes requests, so every place is taken all the time.

use std::{
    io::Write as _,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use shared::testing::bench::{Figures, Pairs};
use tempfile::NamedTempFile;

use crate::{
    load::{Answer, Load, address},
    nginx::Nginx,
    program::{Program, Setting, processor_seconds_of_children},
    table::Table,
};

const PAIRS: usize = 5;
/// Of one of them in one pair.
const TURN: Duration = Duration::from_secs(8);
/// Until every service had its first turn.
const WARM_UP: Duration = Duration::from_secs(3);

const HEAD: &str = "wrk.method = 'HEAD'; wrk.headers['Connection'] = 'close'";

pub(crate) fn measure(table: &mut Table) {
    let nginx = Nginx::start();
    let services = (ask(&nginx).0 * 1.25) as usize;
    let (mut cost, mut their_cost, mut resident) = (Vec::new(), Vec::new(), 0.0);
    let ours = || {
        let (per_second, check_us, mib) = check(&nginx, services);
        println!("  {per_second:.0} checks a second, {check_us:.1} µs each, {mib:.1} MiB");
        cost.push(check_us);
        resident = f64::max(resident, mib);
        per_second
    };
    let theirs = || {
        let (per_second, request_us) = ask(&nginx);
        println!("  {per_second:.0} requests of wrk a second, {request_us:.1} µs each");
        their_cost.push(request_us);
        per_second
    };
    let pairs = Pairs::measure(PAIRS, ours, theirs);
    println!(
        "  checks a second {:.0}, requests of wrk {:.0}, {resident:.1} MiB",
        pairs.ours, pairs.reference
    );
    table.add("flat out: rate, of wrk's", "0.75", &pairs.ratio);
    let (cost, their_cost) = (Figures::new(cost), Figures::new(their_cost));
    let seen = format!("{cost:.1} µs; a request of wrk {their_cost:.1}");
    table.add("flat out: processor time a check", "80 µs", seen);
}

/// Checks a second, processor time for each in microseconds, and resident memory.
fn check(nginx: &Nginx, services: usize) -> (f64, f64, f64) {
    let load = Load {
        services,
        interval: Duration::from_secs(1),
        keys: "timeout = \"900ms\"\nslow_after = \"800ms\"\nretries = 0\n",
        answer: |_| Answer::After(0),
        ..Load::usual()
    };
    let program = Program::start(&load, nginx.port, &Setting::default());
    sleep(WARM_UP);
    let (began, requests, processor) = (Instant::now(), nginx.requests(), program.processor_seconds());
    sleep(TURN);
    let (time, requests) = (began.elapsed().as_secs_f64(), nginx.requests() - requests);
    let processor = program.processor_seconds() - processor;
    let mib = program.weight().resident_mib;
    program.end();
    (requests / time, processor * 1e6 / requests, mib)
}

/// Requests of wrk a second, and processor time for each in microseconds.
fn ask(nginx: &Nginx) -> (f64, f64) {
    let before = processor_seconds_of_children();
    let mut script = NamedTempFile::new().unwrap();
    script.write_all(HEAD.as_bytes()).unwrap();
    let output = Command::new("wrk")
        .args(["-t1", "-c64", "-d", &format!("{}s", TURN.as_secs()), "-s"])
        .arg(script.path())
        .arg(format!("http://{}:{}/", address(0), nginx.port))
        .output()
        .unwrap_or_else(|error| panic!("wrk: {error}; deploy/packages --apt wrk installs it"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")).unwrap();
    let count = said.lines().find_map(|line| line.split_once(" requests in")?.0.trim().parse::<f64>().ok());
    let processor = processor_seconds_of_children() - before;
    (rate.trim().parse().unwrap(), processor * 1e6 / count.unwrap())
}
