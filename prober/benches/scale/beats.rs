//! Ten thousand services on their beats: over HTTP, over HTTPS, and with a tenth of them hanging.

use std::time::{Duration, Instant};

use crate::{
    load::{Answer, Load},
    program::{Program, Said, Setting, Weight},
    secured,
    seen::Kept,
    table::{Table, quantile},
    target::Target,
};

/// Six turns of every service, and a bit.
const TIME: Duration = Duration::from_secs(65);

pub(crate) fn measure(table: &mut Table) {
    let load = Load::usual();
    let target = Target::start(load.services, None);
    let (weight, kept, said) = run(&load, &target, &Setting::default(), TIME, 0..load.services);
    show(table, "10,000 every 10 s", (&kept, &said), ["5 ms", "25 ms"]);
    show_weight(table, "10,000 every 10 s", weight, "40 MiB");
}

pub(crate) fn measure_secured(table: &mut Table) {
    let load = Load { scheme: "https", ..Load::usual() };
    let folder = tempfile::tempdir().unwrap();
    let (config, trusted) = secured::identity(folder.path());
    let target = Target::start(load.services, Some(&config));
    let setting = Setting { trusted: Some(trusted), ..Setting::default() };
    let (weight, kept, said) = run(&load, &target, &setting, TIME, 0..load.services);
    show(table, "10,000 every 10 s over HTTPS", (&kept, &said), ["5 ms", "25 ms"]);
    show_weight(table, "10,000 every 10 s over HTTPS", weight, "60 MiB");
}

/// With the timeout and the retries that a services file has which says nothing of them.
pub(crate) fn measure_hanging(table: &mut Table) {
    let load = Load {
        interval: Duration::from_secs(60),
        keys: "",
        answer: |service| if service % 10 == 9 { Answer::Never } else { Answer::After(0) },
        ..Load::usual()
    };
    let target = Target::start(load.services, None);
    let time = Duration::from_secs(185);
    let (weight, kept, said) = run(&load, &target, &Setting::default(), time, load.healthy());
    show(table, "10,000 every 60 s, a tenth hanging", (&kept, &said), ["100 ms", "-"]);
    show_weight(table, "10,000 every 60 s, a tenth hanging", weight, "-");
}

fn run(
    load: &Load,
    target: &Target,
    setting: &Setting,
    time: Duration,
    services: impl Iterator<Item = usize>,
) -> (Weight, Kept, Said) {
    let program = Program::start(load, target.port, setting);
    let weight = program.watch(time, || ());
    let end = Instant::now();
    let processor = program.processor_seconds();
    let kept = target.seen.kept(load, services, end);
    let count = target.seen.count();
    println!("  {count} requests, {:.0} µs of processor time each", processor * 1e6 / count as f64);
    (weight, kept, program.end())
}

/// Of the services that are to keep their beat.
pub(crate) fn show(table: &mut Table, what: &str, (kept, said): (&Kept, &Said), late: [&str; 2]) {
    let Kept { due, missed, doubled, .. } = kept;
    let turns = format!("{missed} missed, {doubled} doubled of {due}; {} skipped in its log", said.skipped());
    table.add(&format!("{what}: turns"), "none missed", turns);
    for (share, name, aim) in [(0.5, "p50", "-"), (0.99, "p99", late[0]), (0.999, "p99.9", late[1])] {
        table.add(&format!("{what}: late at {name}"), aim, format!("{:.1} ms", quantile(&kept.late, share)));
    }
    let at = |share| quantile(&kept.later, share);
    println!(
        "  after the first turn of each: {:.1} / {:.1} / {:.1} ms at p99 / p99.9 / the most",
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

fn show_weight(table: &mut Table, what: &str, weight: Weight, aim: &str) {
    let Weight { resident_mib, threads, descriptors } = weight;
    let seen = format!("{resident_mib:.1} MiB; {threads} threads, {descriptors} descriptors");
    table.add(&format!("{what}: resident"), aim, seen);
}
