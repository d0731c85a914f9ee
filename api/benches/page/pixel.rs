//! From a row inserted to a changed pixel: a page is open in Chromium, a check is written, and the browser says when a
//! frame that shows it was painted. Row and frame are told by the same clock, that of the machine.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{scope, sleep},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use postgres::{Client, NoTls};
use shared::testing::{
    Cluster,
    bench::Figures,
    history::{History, add_check},
};

use crate::{
    browser::{Habits, Visitor},
    served::Served,
};

const SERVICES: u32 = 50;
const CHANGES: u32 = 40;
/// Between the checks of all the other services, where there are any.
const BEAT: Duration = Duration::from_millis(20);

const INSERT: &str = "
    INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
    VALUES ($1, clock_timestamp(), $2, 143, 200)";

/// The instant of the second frame after the card says so: the first of them was painted before.
const PAINTED: &str = "void (window.painted = new Promise((done) => {
    const observer = new MutationObserver(() => {
        if (document.getElementById('s-ID').dataset.status !== 'STATUS') return;
        observer.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => done(Date.now())));
    });
    observer.observe(document.documentElement, { subtree: true, childList: true, attributes: true, characterData: true });
}))";

pub(crate) fn measure(cluster: &Cluster) {
    let mut served = Served::start(cluster, SERVICES);
    let visitor = Visitor::open(&served.page(), &Habits { live: true, ..Habits::default() });
    visitor.eventually("it listens", "performance.getEntriesByType('resource').length > 2");
    println!(
        "from just before the INSERT to a painted frame, {SERVICES} services, {CHANGES} changes (aim: 1500 ms)"
    );
    told("nothing else is written", &mut served.client, &visitor);
    let (url, over) = (served.url.clone(), AtomicBool::new(false));
    scope(|scope| {
        scope.spawn(|| write_beside(&url, &over));
        told("while 50 checks a second arrive", &mut served.client, &visitor);
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(visitor.troubles(), [""; 0]);
}

fn told(what: &str, client: &mut Client, visitor: &Visitor) {
    let measured: Vec<(f64, f64)> = (0..CHANGES).map(|n| change(n, client, visitor)).collect();
    let figures = |of: fn(&(f64, f64)) -> f64| Figures::new(measured.iter().map(of).collect());
    let (seen, committed) = (figures(|m| m.0), figures(|m| m.1));
    println!(
        "  {what:<32} median {:.0}, p95 {:.0}, most {:.0} ms; {:.1} of it to the commit",
        seen.median(),
        seen.percentile(95),
        seen.most(),
        committed.median()
    );
}

/// Milliseconds to the painted frame, and to the commit.
fn change(n: u32, client: &mut Client, visitor: &Visitor) -> (f64, f64) {
    // The api publishes once a second at most: a change meets every part of that second.
    sleep(Duration::from_millis(1_000 + u64::from(n * 7 % 10) * 100));
    let (id, status) = (History::id(0), if n.is_multiple_of(2) { "offline" } else { "online" });
    visitor.eval::<()>(&PAINTED.replace("ID", &id).replace("STATUS", status));
    let inserted = wall_clock_ms();
    client.execute(INSERT, &[&id, &status]).unwrap();
    let committed = wall_clock_ms();
    let painted: f64 = visitor.resolve("painted");
    (painted - inserted, committed - inserted)
}

fn wall_clock_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3
}

/// Fifty checks a second of all the other services.
fn write_beside(url: &str, over: &AtomicBool) {
    let mut client = Client::connect(url, NoTls).unwrap();
    for n in (1..SERVICES).cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
        add_check(&mut client, &History::id(n));
        sleep(BEAT);
    }
}
