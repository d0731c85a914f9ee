//! What people do with the page: a real Chromium, the real status-api, a real PostgreSQL.

use std::time::Duration;

use api::snapshot::Snapshot;
use shared::{Failure, Status};

use crate::{
    api::Api,
    browser::{Habits, Visitor},
    live::Live,
    samples::{self, found, stale},
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn visit(snapshot: &Snapshot) -> (Live, Visitor) {
    visit_as(snapshot, &Habits::default())
}

fn visit_as(snapshot: &Snapshot, habits: &Habits) -> (Live, Visitor) {
    let site = Live::showing(snapshot);
    let visitor = Visitor::open(&site.url(), habits);
    (site, visitor)
}

/// The five, all well but git, which nobody can reach.
fn git_is_offline() -> Snapshot {
    let mut services = samples::well().services;
    services[2] = found(services[2].clone(), Status::Offline, Some(Failure::Connect), None, None);
    samples::snapshot(services)
}

/// Services like these, all offline.
fn all_offline(snapshot: Snapshot) -> Snapshot {
    let offline = |state| found(state, Status::Offline, None, None, None);
    samples::snapshot(snapshot.services.into_iter().map(offline).collect())
}

#[test]
fn the_first_view_tells_the_state_of_every_service_and_why() {
    let (_site, visitor) = visit(&samples::unwell());
    assert_eq!(visitor.eval::<String>("document.title"), "Partial Outage – asimonson.com status");
    assert_eq!(
        visitor.text("#counts").replace('\n', " "),
        "1 offline 1 timeout 1 degraded 1 unknown 1 operational"
    );
    assert_eq!(
        visitor.text("#affected"),
        "Affected: git.asimonson.com, ssh.asimonson.com, files.asimonson.com"
    );
    let states: Vec<String> =
        visitor.eval("[...document.querySelectorAll('.card .state')].map((s) => s.innerText)");
    assert_eq!(states, ["Operational", "Degraded", "Offline", "Unknown", "Timeout"]);
    assert_eq!(visitor.text("#s-files .why"), "Slower than 5 s");
    assert_eq!(visitor.text("#s-git .why"), "No connection could be made");
    assert!(visitor.text("#s-pass .why").ends_with("; it was Operational then"));
    assert_eq!(visitor.text("#s-main .last"), "HTTP 200 1 check");
    assert_eq!(visitor.text("#s-main .response dd"), "143 ms");
    assert!(!visitor.eval::<bool>("document.body.textContent.includes('secret')"), "no raw error text");
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn without_javascript_the_button_asks_for_the_page_again() {
    let (site, visitor) = visit_as(&samples::well(), &Habits { script: false, ..Habits::default() });
    site.show(&git_is_offline());
    visitor.click("#refresh button");
    visitor.eventually("the new page", "document.title.startsWith('Partial Outage')");
    assert_eq!(visitor.text("#s-git .state"), "Offline");
}

#[test]
fn what_the_browser_kept_is_never_shown_for_news() {
    let (site, visitor) = visit(&samples::well());
    visitor.refresh();
    site.show(&git_is_offline());
    visitor.refresh();
    assert_eq!(visitor.text("#s-git .state"), "Offline");

    let (site, visitor) = visit_as(&samples::well(), &Habits { script: false, ..Habits::default() });
    visitor.click("#refresh button");
    visitor.eventually("the same page", "location.href.endsWith('?') && document.readyState === 'complete'");
    site.show(&git_is_offline());
    // As long as it may be kept.
    std::thread::sleep(Duration::from_secs(1));
    visitor.click("#refresh button");
    visitor.eventually("the new page", "document.title.startsWith('Partial Outage')");
}

#[test]
fn the_button_refreshes_in_place_and_keeps_the_focus() {
    let (site, visitor) = visit(&samples::well());
    visitor.eval::<()>("void (window.untouched = document.querySelector('#s-git'))");
    site.show(&git_is_offline());
    visitor.refresh();
    assert_eq!(visitor.text("#s-git .state"), "Offline");
    assert_eq!(visitor.eval::<String>("document.title"), "Partial Outage – asimonson.com status");
    assert_eq!(visitor.text("#affected"), "Affected: git.asimonson.com");
    assert!(
        visitor.eval::<bool>("untouched === document.querySelector('#s-git')"),
        "the page was not loaded anew"
    );
    assert!(visitor.eval::<bool>("document.activeElement.matches('#refresh button')"));
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn the_page_refreshes_itself_every_five_minutes_and_keeps_scroll_and_focus() {
    let (site, visitor) = visit_as(&samples::well(), &Habits { width: 360, ..Habits::default() });
    visitor.eval::<()>("void (document.querySelector('#s-ssh a').focus(), scrollTo(0, 500))");
    visitor.eval::<()>("void (window.seen = document.elementFromPoint(180, 20).closest('.card'))");
    let place = "seen.getBoundingClientRect().top";
    let before: f64 = visitor.eval(place);
    site.show(&git_is_offline());
    visitor.wait(FIVE_MINUTES - Duration::from_secs(1));
    assert_eq!(visitor.text("#s-git .state"), "Operational", "not before its time");
    for overall in ["Partial Outage", "All Systems Operational"] {
        visitor.wait(FIVE_MINUTES);
        visitor.eventually("the new state", &format!("document.title.startsWith('{overall}')"));
        visitor.eventually("the refresh is over", "!document.querySelector('#refresh').ariaBusy");
        visitor
            .eventually("what was seen stands where it stood", &format!("Math.abs({place} - {before}) < 1"));
        assert!(visitor.eval::<bool>("document.activeElement.matches('#s-ssh a')"));
        site.show(&samples::well());
    }
}

#[test]
fn other_services_come_and_go_in_place() {
    let (site, visitor) = visit_as(&samples::many(20), &Habits { width: 360, ..Habits::default() });
    visitor.eval::<()>("document.querySelector('#refresh button').focus(), void (window.old = 1)");
    // One that stays under its heading, with nothing of the one before it in sight.
    visitor
        .eval::<()>("(window.seen = document.getElementById('s-s2')).scrollIntoView(), void scrollBy(0, 40)");
    let place = "seen.getBoundingClientRect().top";
    let before: f64 = visitor.eval(place);
    for count in [21, 3] {
        let mut services = samples::many(count).services;
        services[0] = found(services[0].clone(), Status::Timeout, None, Some(10_000), None);
        let ids: Vec<String> = services.iter().map(|state| format!("s-{}", state.service.id)).collect();
        site.show(&samples::snapshot(services));
        visitor.wait(FIVE_MINUTES);
        visitor
            .eventually("other services", &format!("document.querySelectorAll('.card').length === {count}"));
        assert_eq!(
            visitor.eval::<Vec<String>>("[...document.querySelectorAll('.card')].map((card) => card.id)"),
            ids
        );
        if count != 3 {
            let stands = format!("Math.abs({place} - {before}) < 1");
            visitor.eventually("what was seen stands where it stood", &stands);
        }
        assert_eq!(visitor.eval::<u32>("window.old"), 1, "the page was not loaded anew");
        assert!(visitor.eval::<bool>("document.activeElement.matches('#refresh button')"));
    }
    assert_eq!(
        visitor.eval::<String>("document.querySelector('#said').textContent"),
        "service-000.example.org is now Timeout."
    );
}

#[test]
fn a_page_that_cannot_reach_the_server_says_so_keeps_what_it_shows_and_recovers() {
    let (mut site, visitor) = visit(&samples::well());
    assert!(!visitor.sees("#lost"));
    site.vanish();
    visitor.wait(FIVE_MINUTES);
    visitor.eventually("the notice", "!document.querySelector('#lost').hidden");
    let as_of = visitor.text("#as-of");
    let minute = &as_of[as_of.len() - 8..as_of.len() - 3];
    assert_eq!(
        visitor.text("#lost"),
        format!(
            "The server can’t be reached. This is what it last said, at {minute}; it is asked again every 30 seconds."
        )
    );
    assert_eq!(visitor.eval::<String>("document.querySelector('#lost').role"), "alert");
    assert_eq!(visitor.text("#overall"), "All Systems Operational");
    visitor.photograph("server-away");

    site.come_back(&git_is_offline());
    visitor.wait(Duration::from_secs(30));
    visitor.eventually("the notice is gone", "document.querySelector('#lost').hidden");
    assert_eq!(visitor.text("#s-git .state"), "Offline");
}

#[test]
fn the_button_asks_a_server_that_is_away_at_once_and_never_leaves_the_page() {
    let (mut site, visitor) = visit(&samples::well());
    site.vanish();
    visitor.refresh();
    assert!(visitor.sees("#lost"));
    site.come_back(&git_is_offline());
    visitor.refresh();
    assert!(!visitor.sees("#lost"));
    assert_eq!(visitor.text("#overall"), "Partial Outage");
}

#[test]
fn a_change_of_state_is_spoken_and_nothing_else_is() {
    let (site, visitor) = visit(&samples::well());
    visitor.eval::<()>(
        "(window.spoken = [], new MutationObserver(() => spoken.push(document.querySelector('#said').textContent)) \
         .observe(document.querySelector('#said'), { childList: true, characterData: true, subtree: true }))",
    );
    assert_eq!(visitor.eval::<String>("document.querySelector('#said').role"), "status");
    let refresh = |snapshot: &Snapshot| {
        site.show(snapshot);
        visitor.refresh();
        visitor.eval::<Vec<String>>("spoken.splice(0)")
    };
    let mut slower = samples::well().services;
    slower[0] = found(slower[0].clone(), Status::Online, None, Some(987), Some(200));
    assert_eq!(refresh(&samples::snapshot(slower)), [""; 0], "other figures are no change of state");
    assert_eq!(refresh(&git_is_offline()), ["git.asimonson.com is now Offline. Partial Outage."]);
    assert_eq!(refresh(&git_is_offline()), [""; 0]);
    let mut both = git_is_offline().services;
    both[2] = samples::well().services[2].clone();
    both[3] = stale(both[3].clone());
    let said = "git.asimonson.com is now Operational. pass.asimonson.com is now Unknown. Status Unknown.";
    assert_eq!(refresh(&samples::snapshot(both)), [said]);
    assert_eq!(refresh(&all_offline(samples::well())).len(), 1);
}

#[test]
fn many_changes_at_once_are_spoken_as_a_number() {
    let (site, visitor) = visit(&samples::many(20));
    site.show(&all_offline(samples::many(20)));
    visitor.refresh();
    let said: String = visitor.eval("document.querySelector('#said').textContent");
    assert_eq!(said, "19 services changed their state. Major Outage.");
    assert!(visitor.text("#affected").ends_with(" and 12 more"));
}

#[test]
fn names_and_links_that_mean_harm_are_text() {
    let (site, visitor) = visit(&samples::hostile());
    let names: Vec<String> =
        visitor.eval("[...document.querySelectorAll('.card h3')].map((h) => h.textContent)");
    let mut expected: Vec<String> =
        samples::hostile().services.iter().map(|s| s.service.name.clone()).collect();
    let mut seen = names;
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected, "names are never cut or changed");
    site.show(&samples::hostile());
    visitor.refresh();
    let links: Vec<String> =
        visitor.eval("[...document.querySelectorAll('.link[href]')].map((a) => a.protocol)");
    assert!(links.iter().all(|protocol| protocol == "https:" || protocol == "http:"), "{links:?}");
    assert_eq!(links.len(), 5);
    assert!(
        visitor
            .eval::<bool>("[...document.querySelectorAll('.link[href]')].every((a) => a.rel === 'noopener')")
    );
    assert_eq!(visitor.eval::<usize>("document.querySelectorAll('script, img').length"), 2);
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn the_keyboard_alone_reaches_everything_and_sees_where_it_is() {
    let (site, visitor) = visit(&samples::unwell());
    let expected: usize =
        visitor.eval("document.querySelectorAll('a[href], button, select, summary, [tabindex]').length");
    let mut walked = Vec::new();
    for _ in 0..expected {
        visitor.press("Tab");
        walked.push(visitor.eval::<String>(
            "(({ activeElement: a }) => a.innerText.trim() || a.textContent.trim())(document)",
        ));
        let (outline, inside): (String, bool) = visitor.eval(
            "(({ activeElement: a }, { top, bottom } = a.getBoundingClientRect()) => \
             [getComputedStyle(a).outlineStyle, top >= 0 && bottom <= innerHeight])(document)",
        );
        assert_eq!((outline.as_str(), inside), ("solid", true), "{walked:?}");
    }
    assert_eq!(walked[..4], ["Skip to the content", "asimonson.com status", "Outages", "API"]);
    assert!(walked[4].starts_with("System"), "the themes: {walked:?}");
    assert_eq!(walked[5], "git.asimonson.com");
    assert_eq!(walked[8..10], ["Refresh", "asimonson.com"]);
    assert!(walked[10].starts_with("Visit"));

    visitor.go(&site.url());
    for _ in 0..9 {
        visitor.press("Tab");
    }
    site.show(&samples::well());
    visitor.press("Enter");
    visitor.eventually("the refresh is over", "document.title.startsWith('All Systems Operational')");
    assert!(visitor.eval::<bool>("document.activeElement.matches('#refresh button')"));
}

#[test]
fn the_focus_is_not_lost_when_the_link_that_had_it_goes() {
    let (site, visitor) = visit(&samples::unwell());
    visitor.eval::<()>("document.querySelector('#affected a').focus()");
    site.show(&samples::well());
    visitor.wait(FIVE_MINUTES);
    visitor.eventually("the refresh is over", "document.title.startsWith('All Systems Operational')");
    assert!(visitor.eval::<bool>("document.activeElement.matches('#refresh button')"));
}

#[test]
fn the_page_asks_nobody_else_and_breaks_no_rule_of_its_policy() {
    let (site, visitor) = visit(&samples::unwell());
    visitor.refresh();
    let own = site.url().replace("/status", "/");
    let requests = visitor.requests();
    assert!(requests.iter().all(|url| url.starts_with(&own)), "{requests:?}");
    assert_eq!(requests.len(), 6, "page, style, script, icon, clock, JSON: {requests:?}");
    assert_eq!(visitor.troubles(), [""; 0]);

    visitor.eval::<()>(
        "void document.head.append(Object.assign(document.createElement('style'), { textContent: 'a{}' }))",
    );
    visitor.eventually("the policy is in force", "forbidden.some((f) => f.startsWith('style-src-elem'))");
}

#[test]
fn behind_a_base_path_everything_is_found() {
    let api = Api::start(None, &["--base-path", "/monitor"]);
    let visitor = Visitor::open(&format!("{}/monitor/status", api.address), &Habits::default());
    visitor.refresh();
    assert!(!visitor.sees("#lost"));
    assert_eq!(visitor.text("#source"), "This server has no database to read from, so nothing is known.");
    let own = format!("{}/monitor/", api.address);
    assert!(visitor.requests().iter().all(|url| url.starts_with(&own)), "{:?}", visitor.requests());
    assert_eq!(visitor.troubles(), [""; 0]);

    visitor.go(&format!("{}/monitor/status/nowhere", api.address));
    assert_eq!(visitor.text("h1"), "Page not found");
    visitor.click(".button");
    visitor.eventually("the way back", "document.title.startsWith('Status Unknown')");
}
