//! Nothing jumps: what Chromium itself measures as layout shift, while a page loads and when it is refreshed in place.

use std::time::Duration;

use api::snapshot::{ServiceState, Snapshot, Source};
use shared::{Failure, Status};

use crate::{
    browser::{Habits, Visitor},
    samples::{self, ago, found},
    site::Site,
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Notes every shift from the first on, with the element that moved.
const WATCH: &str = "window.shifts = []; \
    window.watch = new PerformanceObserver((list) => list.getEntries().forEach(note)); \
    window.note = ({ value, sources }) => shifts.push(`${value}: ${sources.map(({ node, previousRect, currentRect }) => \
        `${node?.outerHTML?.slice(0, 80) ?? node?.parentNode?.outerHTML} ${JSON.stringify([previousRect, currentRect])}`)}`); \
    watch.observe({ type: 'layout-shift', buffered: true });";

/// Everything that has moved so far.
fn moved(visitor: &Visitor) -> Vec<String> {
    visitor.eval::<()>(
        "void (window.settled = false, requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(() => \
         (watch.takeRecords().forEach(note), window.settled = true)))))",
    );
    visitor.eventually("what was painted", "window.settled");
    visitor.eval("shifts.splice(0)")
}

fn visit(snapshot: Snapshot, width: u32, first: &'static str) -> (Site, Visitor) {
    let site = Site::showing(snapshot);
    let habits = Habits { width, first, time_zone: "America/Argentina/Buenos_Aires", ..Habits::default() };
    let visitor = Visitor::open(&site.url(), &habits);
    visitor.eval::<()>(&format!("void (() => {{ {WATCH} }})()"));
    (site, visitor)
}

#[test]
fn what_moves_is_seen() {
    let (_site, visitor) = visit(samples::well(), 1440, "");
    visitor.eval::<()>("document.querySelector('main').prepend(Object.assign(document.createElement('p'), { textContent: 'x' }))");
    assert_ne!(moved(&visitor), [""; 0]);
}

#[test]
fn nothing_moves_while_the_page_loads() {
    let chosen = "localStorage.status = '{\"theme\": \"light\", \"only\": true, \"closed\": [\"Region 1\", \"Infrastructure\"]}';";
    let silent = Snapshot { source: Source::Silent { since: Some(ago(3_000)) }, ..samples::well() };
    for (snapshot, first) in [
        (samples::well(), ""),
        (samples::unwell(), ""),
        (silent, ""),
        (samples::grouped(), chosen),
        (samples::many(50), ""),
        (samples::many(50), chosen),
        (samples::many(200), ""),
        (samples::many(200), chosen),
    ] {
        for width in [360, 1440] {
            let (_site, visitor) = visit(snapshot.clone(), width, first);
            visitor.wait(Duration::from_secs(2));
            assert_eq!(moved(&visitor), [""; 0], "{} services at {width}", snapshot.services.len());
        }
    }
}

/// Other figures and states for these; `turn` says whose.
fn changed(snapshot: &Snapshot, turn: usize) -> Snapshot {
    let states = [Status::Offline, Status::Degraded, Status::Online, Status::Timeout, Status::Online];
    let change = |(place, state): (usize, ServiceState)| match states[(place + turn) % 5] {
        Status::Online => {
            let state = found(state, Status::Online, None, Some(88), Some(204));
            ServiceState { total_checks: 1_843, ..state }
        }
        Status::Degraded => found(state, Status::Degraded, Some(Failure::Slow), Some(6_420), Some(200)),
        Status::Timeout => found(state, Status::Timeout, Some(Failure::Timeout), Some(10_000), None),
        status => found(state, status, Some(Failure::Connect), None, None),
    };
    samples::snapshot(snapshot.services.clone().into_iter().enumerate().map(change).collect())
}

/// What is affected has room for three names on a narrow screen and for a line on a wide one, or is cut at eight.
#[test]
fn nothing_moves_when_figures_and_states_change() {
    let (five, fifty, many) = (samples::well(), samples::many(50), samples::many(200));
    for (before, after) in [
        (five.clone(), changed(&five, 0)),
        (changed(&five, 0), changed(&five, 1)),
        (changed(&fifty, 0), changed(&fifty, 1)),
        (changed(&many, 0), changed(&many, 1)),
    ] {
        for width in [360, 1440] {
            let (site, visitor) = visit(before.clone(), width, "");
            moved(&visitor);
            for snapshot in [&after, &before] {
                let state = snapshot.services[0].status;
                site.show(snapshot.clone());
                visitor.wait(FIVE_MINUTES);
                visitor.eventually(
                    "the refresh",
                    &format!("document.querySelector('.card').dataset.status === '{state}'"),
                );
                assert_eq!(moved(&visitor), [""; 0], "{} services at {width}", before.services.len());
            }
        }
    }
}

#[test]
fn nothing_moves_as_ages_grow() {
    for width in [360, 1440] {
        // Without a word from the server, whose clock stands still.
        let (_site, visitor) = visit(samples::unwell(), width, "window.fetch = () => new Promise(() => {});");
        moved(&visitor);
        for time in [60, 600, 3_600, 36_000, 86_400] {
            visitor.wait(Duration::from_secs(time));
            visitor.eval::<()>("void (window.held = document.querySelector('#s-main .age').textContent)");
            visitor.wait(Duration::from_secs(61));
            visitor.eventually(
                "the ages move on",
                "document.querySelector('#s-main .age').textContent !== held || held.includes('day')",
            );
            assert_eq!(moved(&visitor), [""; 0], "after {time} seconds at {width}");
        }
    }
}

#[test]
fn the_first_paint_waits_for_no_script() {
    let site = Site::showing(samples::many(50));
    let visitor = Visitor::open(&site.at("/nowhere"), &Habits::default());
    site.keep_the_script();
    visitor.tab.navigate_to(&site.url()).expect("an answer");
    visitor.eventually(
        "all of it is painted",
        "document.querySelectorAll('.card').length === 50 && \
         performance.getEntriesByName('first-contentful-paint').length === 1",
    );
    assert_eq!(visitor.eval::<String>("document.readyState"), "interactive", "the script is still awaited");
    assert!(!visitor.eval::<bool>("'script' in document.documentElement.dataset"), "and has not run");
}
