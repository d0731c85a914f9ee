//! The wall clock set under the prober, both ways: beats go on, and are told by the new clock.

use std::{fs, path::PathBuf, time::Instant};

use super::*;

/// What lets the test set the clock of one process.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

#[test]
fn a_clock_that_is_set_forth_and_back_moves_no_beat_and_loses_nothing() {
    let Some(library) = library() else {
        println!("skipped: there is no libfaketime (Debian's package faketime)");
        return;
    };
    let load = Load::start();
    let database = Database::empty();
    let mut client = database.connect();
    let clock = load.setup.state_dir().with_extension("clock");
    fs::write(&clock, "+0").unwrap();
    let mut command = load.setup.recording(&database.url);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_CACHE_DURATION", "1");
    let began = Instant::now();
    let daemon = Daemon::start(command);
    load.goes_on(1);
    load.is_caught_up_with(&mut client);
    // The second time it is set forth, what was told before lies ahead of the time in between.
    for _ in 0..times().max(2) {
        for hours in [2, -1] {
            fs::write(&clock, format!("{hours:+}h")).unwrap();
            eventually("beats are told by the new clock", || is_off_by(hours, "beat", &mut client));
            eventually("and so are checks", || is_off_by(hours, LAST_CHECK, &mut client));
        }
    }
    let turns = began.elapsed().as_secs() as usize;
    let seen = load.seen();
    let log = load.ends_well(daemon, &mut client);
    let skipped = skipped(&log);
    assert!(
        seen.iter().all(|seen| seen + 2 + skipped >= turns && *seen <= turns + 2),
        "{turns} turns, {skipped} skipped: {seen:?}\n{}",
        log.join("\n")
    );
}

const LAST_CHECK: &str =
    "(SELECT timestamp FROM service_checks c WHERE c.service_id = s.id ORDER BY c.id DESC LIMIT 1)";

/// Whether a time of every service lies so many hours from the clock of the server, give or take a minute.
fn is_off_by(hours: i32, time: &str, client: &mut Client) -> bool {
    let off = format!("extract(epoch FROM {time} - clock_timestamp()) - {hours} * 3600");
    let all = format!("SELECT bool_and(abs({off}) < 60) FROM status_services s");
    client.query_one(&all, &[]).unwrap().get(0)
}
