//! The pages of one service and of outages: how they look and what they say, over snapshots that stand still.

use api::outages::Outage;
use shared::{Failure, Status};

use crate::{
    browser::{Habits, Visitor},
    samples::{self, ago},
    site::Site,
};

/// The five, one in each state; files has been degraded for two hours.
fn site() -> Site {
    let mut snapshot = samples::unwell();
    let files = &mut snapshot.services[1];
    let past = std::sync::Arc::make_mut(&mut files.past);
    past.outages.push(Outage {
        before: Some(ago(14_649)),
        began: ago(7_449),
        ended: ago(249),
        after: None,
        checks: 2,
        status: Status::Degraded,
        failure: Some(Failure::Slow),
    });
    Site::showing(snapshot)
}

fn open(site: &Site, below: &str, habits: &Habits) -> Visitor {
    Visitor::open(&site.at(below), habits)
}

#[test]
fn a_service_page_tells_its_state_its_figures_and_its_outages() {
    let site = site();
    let visitor = open(&site, "/status/services/files", &Habits::default());
    assert_eq!(
        visitor.eval::<String>("document.title"),
        "Degraded: files.asimonson.com – asimonson.com status"
    );
    assert_eq!(visitor.text("#overall"), "Degraded");
    assert_eq!(visitor.text(".explain"), "Slower than 5 s, since 16:00. Last online at 16:00.");
    assert_eq!(visitor.text("#last-check"), "18:00:03\n4 min ago");
    assert_eq!(visitor.text("#next-check"), "20:00:03\nin 1 h 55 min");
    assert_eq!(
        visitor.text(".outages li:first-child").replace('\n', " "),
        "Degraded Slower than 5 s 2 checks between 14:00 and 16:00 ongoing 2 h 4 min so far"
    );
    visitor.photograph("service");
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn the_main_pages_are_photographed() {
    let site = site();
    for (name, below) in [
        ("service", "/status/services/files"),
        ("service-day", "/status/services/git?period=24h"),
        ("outages", "/status/outages"),
        ("outages-of-one", "/status/outages?service=git"),
        ("api", "/status/api"),
    ] {
        let visitor = open(&site, below, &Habits::default());
        for (width, dark) in
            [(360, true), (360, false), (768, true), (768, false), (1440, true), (1440, false)]
        {
            visitor.resize(width, 900);
            visitor.prefer(dark, &[]);
            let theme = if dark { "dark" } else { "light" };
            visitor.photograph(&format!("{name}-{width}-{theme}"));
        }
        assert_eq!(visitor.troubles(), [""; 0]);
    }
}
