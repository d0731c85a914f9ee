//! Ten thousand pages that listen to one api: what they weigh, how soon all of them hear of a change, what that costs,
//! and how soon their streams end with the api.

use std::{
    collections::HashSet,
    fs,
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread::sleep,
    time::{Duration, Instant},
};

use shared::testing::{
    Cluster,
    bench::{Figures, resident_mib},
    history::History,
};

use crate::{
    served::Served,
    stream::{self, Heard, What},
};

const LISTENERS: usize = 10_000;
const SERVICES: u32 = 50;
const CHANGES: u32 = 10;
const BETWEEN_CHANGES: Duration = Duration::from_secs(2);
/// All of them may take this long; else something is lost.
const PATIENCE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(20);

/// A check of every service in one statement.
const CHECK_ALL: &str = "
    INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
    SELECT id, clock_timestamp(), 'online', 143, 200 FROM unnest($1::text[]) AS id";

pub(crate) fn measure(cluster: &Cluster) {
    allow_open_files(LISTENERS + 500);
    let mut served = Served::start(cluster, SERVICES);
    let process = served.process.id();
    let without = resident_mib(process);
    let (tell, heard) = channel();
    let began = Instant::now();
    let address = served.address.trim_start_matches("http://").parse().unwrap();
    let runtime = stream::connect(address, LISTENERS, &tell);
    all_heard(&heard, |what| assert_eq!(*what, What::Hello));
    println!(
        "\n{LISTENERS} listeners, {SERVICES} services; all of them connected in {:.1?}",
        began.elapsed()
    );
    weighed("resident with them", process, without);

    let idle = served.processor_seconds();
    sleep(IDLE);
    let idle = (served.processor_seconds() - idle) / IDLE.as_secs_f64();
    println!("  processor of the api while nothing changes   {:.1} ms a second", idle * 1e3);
    changes(&mut served, &heard, idle);
    weighed(&format!("resident after {CHANGES} changes"), process, without);

    let ids: Vec<String> = (0..SERVICES).map(History::id).collect();
    let began = Instant::now();
    served.client.execute(CHECK_ALL, &[&ids]).unwrap();
    let (first, last) = of_one_change(&heard, began, &mut HashSet::new());
    println!("  all {SERVICES} services at once: first {first:.0} ms, last {last:.0} ms");
    weighed("resident after that", process, without);

    let began = Instant::now();
    served.terminate();
    let ends = all_heard(&heard, |what| assert_eq!(*what, What::Ended));
    let last = milliseconds(began, *ends.iter().max().unwrap());
    let code = served.process.wait().unwrap();
    println!(
        "  SIGTERM to the end of the last stream        {last:.0} ms; {code} after {:.0?}",
        began.elapsed()
    );
    drop(runtime);
}

/// Writes changes, one after the other, and prints when they were heard.
fn changes(served: &mut Served, heard: &Receiver<Heard>, idle: f64) {
    let (started, before) = (Instant::now(), served.processor_seconds());
    let mut told = HashSet::new();
    let fans: Vec<(f64, f64)> = (0..CHANGES)
        .map(|n| {
            let began = Instant::now();
            served.add_check(n % SERVICES);
            let fan = of_one_change(heard, began, &mut told);
            sleep(BETWEEN_CHANGES);
            fan
        })
        .collect();
    let spent = served.processor_seconds() - before - idle * started.elapsed().as_secs_f64();
    let figures = |of: fn(&(f64, f64)) -> f64| Figures::new(fans.iter().map(of).collect());
    println!("  from the INSERT to the first who heard it    {:.1} ms", figures(|fan| fan.0));
    println!("  from the INSERT to the last who heard it     {:.0} ms", figures(|fan| fan.1));
    println!("  from the first to the last                   {:.0} ms", figures(|fan| fan.1 - fan.0));
    println!("  processor of the api for one change          {:.0} ms", spent * 1e3 / f64::from(CHANGES));
    println!("  every one of {LISTENERS} heard every one of {CHANGES} changes");
}

/// First and last who heard it, in milliseconds; it is the same change for all, and a new one.
fn of_one_change(heard: &Receiver<Heard>, began: Instant, told: &mut HashSet<String>) -> (f64, f64) {
    let mut ids = HashSet::new();
    let at = all_heard(heard, |what| match what {
        What::Change(id) => drop(ids.insert(id.clone())),
        other => panic!("{other:?} instead of a change"),
    });
    assert_eq!(ids.len(), 1, "one event for one change: {ids:?}");
    assert!(ids.into_iter().all(|id| told.insert(id)), "a new change");
    (milliseconds(began, *at.iter().min().unwrap()), milliseconds(began, *at.iter().max().unwrap()))
}

/// Hears each of the listeners once, and when.
fn all_heard(heard: &Receiver<Heard>, mut check: impl FnMut(&What)) -> Vec<Instant> {
    let mut at = vec![None; LISTENERS];
    for n in 0..LISTENERS {
        let heard =
            heard.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("only {n} of {LISTENERS} heard it"));
        check(&heard.what);
        assert_eq!(at[heard.listener].replace(heard.at), None, "listener {} twice", heard.listener);
    }
    at.into_iter().flatten().collect()
}

fn weighed(what: &str, process: u32, without: f64) {
    let with = resident_mib(process);
    let each = (with - without) * 1024.0 / LISTENERS as f64;
    println!("  {what:<44} {with:.1} MiB (without {without:.1}): {each:.1} KiB each");
}

fn milliseconds(began: Instant, at: Instant) -> f64 {
    at.duration_since(began).as_secs_f64() * 1e3
}

/// Raises what this process and the api, which it starts, may open, as far as the system lets it.
fn allow_open_files(count: usize) {
    let process = std::process::id().to_string();
    if open_files() < count {
        let wanted = format!("--nofile={count}:");
        Command::new("prlimit").args(["--pid", &process, &wanted]).status().ok();
    }
    let allowed = open_files();
    assert!(allowed >= count, "{allowed} files may be open, {count} have to be: ulimit -n {count}");
}

fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}
