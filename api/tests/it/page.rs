//! The page in a real Chromium.

use std::time::Duration;

use api::{
    snapshot::{ServiceState, Snapshot, Source},
    uptime::Percent,
};
use shared::{Failure, Status};

use crate::{
    browser::{Habits, Visitor},
    samples::{self, ago, found, now, stale},
    site::Site,
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn visit(snapshot: Snapshot) -> (Site, Visitor) {
    visit_as(snapshot, &Habits::default())
}

fn visit_as(snapshot: Snapshot, habits: &Habits) -> (Site, Visitor) {
    let site = Site::showing(snapshot);
    let visitor = Visitor::open(&site.url(), habits);
    (site, visitor)
}

fn refresh_by_hand(visitor: &Visitor) {
    visitor.click("#refresh button");
    visitor.eventually("the refresh is over", "!document.querySelector('#refresh').ariaBusy");
}

/// The five, all well but git, which nobody can reach.
fn git_is_offline() -> Snapshot {
    let mut services = samples::well().services;
    services[2] = found(services[2].clone(), Status::Offline, Some(Failure::Connect), None, None);
    samples::snapshot(services)
}

#[test]
fn the_first_view_tells_the_state_of_every_service_in_words() {
    let (_site, visitor) = visit(samples::unwell());
    assert_eq!(visitor.eval::<String>("document.title"), "Partial Outage – asimonson.com status");
    assert_eq!(visitor.text("#overall"), "Partial Outage");
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
    assert_eq!(visitor.text("#s-pass .why"), "No data since 10 Feb 2026, 22:00; it was Operational then");
    assert_eq!(visitor.text("#s-main .last"), "HTTP 200 1,842 checks");
    assert_eq!(visitor.text("#s-main .response dd"), "143 ms");
    assert_eq!(visitor.text("#s-main [data-window=all_time]"), "99.837%");
    assert_eq!(
        visitor.text(".bottom p"),
        "Every service is checked every 2 hours. This page refreshes itself every 5 minutes."
    );
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn without_javascript_the_page_is_complete_and_in_utc() {
    let habits = Habits { script: false, time_zone: "America/New_York", ..Habits::default() };
    let (_site, visitor) = visit_as(samples::unwell(), &habits);
    assert_eq!(visitor.text("#overall"), "Partial Outage");
    assert_eq!(visitor.text("#last-check"), "18:00:03\n12 Feb 2026");
    assert_eq!(visitor.text("#next-check"), "20:00:03\n12 Feb 2026");
    assert_eq!(visitor.text(".asof"), "As of 12 Feb 2026, 18:04:12. All times are in UTC.");
    assert_eq!(visitor.text("#s-pass .why"), "No data since 10 Feb 2026, 22:00 UTC; it was Operational then");
    assert_eq!(visitor.text("#s-git .why"), "No connection could be made");
    assert_eq!(
        visitor.text(".bottom p"),
        "Every service is checked every 2 hours. Refresh shows the newest checks."
    );
    visitor.photograph("no-javascript");
}

#[test]
fn without_javascript_the_button_asks_for_the_page_again() {
    let (site, visitor) = visit_as(samples::well(), &Habits { script: false, ..Habits::default() });
    site.show(git_is_offline());
    visitor.click("#refresh button");
    visitor.eventually("the new page", "document.title.startsWith('Partial Outage')");
    assert_eq!(visitor.text("#s-git .state"), "Offline");
}

#[test]
fn the_button_refreshes_in_place_and_keeps_the_focus() {
    let (site, visitor) = visit(samples::well());
    visitor.eval::<()>("void (window.untouched = document.querySelector('#s-git'))");
    site.show(git_is_offline());
    visitor.click("#refresh button");
    visitor.eventually("git is offline", "document.querySelector('#s-git .state').innerText === 'Offline'");
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
    let (site, visitor) = visit_as(samples::well(), &Habits { width: 360, ..Habits::default() });
    visitor.eval::<()>("void (document.querySelector('#s-ssh a').focus(), scrollTo(0, 500))");
    visitor.eval::<()>("void (window.seen = document.elementFromPoint(180, 20).closest('.card'))");
    let place = "seen.getBoundingClientRect().top";
    let before: f64 = visitor.eval(place);
    site.show(git_is_offline());
    visitor.wait(FIVE_MINUTES - Duration::from_secs(1));
    assert_eq!(visitor.text("#s-git .state"), "Operational", "not before its time");
    for overall in ["Partial Outage", "All Systems Operational"] {
        visitor.wait(FIVE_MINUTES);
        visitor.eventually("the new state", &format!("document.title.startsWith('{overall}')"));
        visitor.eventually("the refresh is over", "!document.querySelector('#refresh').ariaBusy");
        visitor
            .eventually("what was seen stands where it stood", &format!("Math.abs({place} - {before}) < 1"));
        assert!(visitor.eval::<bool>("document.activeElement.matches('#s-ssh a')"));
        site.show(samples::well());
    }
}

#[test]
fn a_page_refreshed_in_place_is_the_page_that_a_new_visitor_gets() {
    let sources = [
        Source::Silent { since: Some(ago(400_000)) },
        Source::Silent { since: Some(ago(400)) },
        Source::Silent { since: None },
        Source::Away,
        Source::Unconfigured,
        Source::NeverRead,
        Source::Empty,
    ];
    let mut views: Vec<Snapshot> = sources
        .into_iter()
        .map(|source| Snapshot { source, next_check: None, ..samples::grouped() })
        .collect();
    let changes: [fn(ServiceState) -> ServiceState; 7] = [
        |state| state,
        |state| found(state, Status::Online, None, Some(0), Some(204)),
        |state| found(state, Status::Offline, Some(Failure::Tls), None, None),
        |state| found(state, Status::Timeout, None, Some(10_000), None),
        |state| found(state, Status::Unknown, None, None, None),
        samples::unchecked,
        |state| ServiceState { total_checks: 1, uptime: [Percent::of(89, 90); 4], ..stale(state) },
    ];
    views.extend(
        changes
            .map(|change| samples::snapshot(samples::grouped().services.into_iter().map(change).collect())),
    );
    let seen = "[document.title, ...[...document.querySelectorAll('.card, .tally, #hero, #as-of, #source:not([hidden])')]\
                .map((e) => e.outerHTML.replace(/<small>.*?<.small>/g, ''))]";
    let (site, old) = visit(samples::grouped());
    for view in views {
        site.show(view);
        refresh_by_hand(&old);
        let new = Visitor::open(&site.url(), &Habits::default());
        let (old, new) = (old.eval::<Vec<String>>(seen), new.eval::<Vec<String>>(seen));
        assert_eq!(old.len(), new.len());
        old.iter().zip(&new).for_each(|(old, new)| assert_eq!(old, new));
    }
    assert_eq!(old.troubles(), [""; 0]);
}

#[test]
fn other_services_bring_the_page_anew_in_the_same_place() {
    let (site, visitor) = visit_as(samples::many(20), &Habits { width: 360, ..Habits::default() });
    visitor.eval::<()>(
        "document.querySelector('#refresh button').focus(), void (scrollTo(0, 700), (window.old = 1))",
    );
    let mut services = samples::many(21).services;
    services[0] = found(services[0].clone(), Status::Timeout, None, Some(10_000), None);
    site.show(samples::snapshot(services));
    visitor.wait(FIVE_MINUTES);
    visitor.eventually("the page is new", "!window.old && document.readyState === 'complete'");
    visitor.eventually("the script has run", "!!document.querySelector('#said').textContent");
    assert_eq!(visitor.eval::<usize>("document.querySelectorAll('.card').length"), 21);
    assert_eq!(visitor.eval::<f64>("scrollY"), 700.0);
    assert!(visitor.eval::<bool>("document.activeElement.matches('#refresh button')"));
    assert_eq!(
        visitor.eval::<String>("document.querySelector('#said').textContent"),
        "service-000.example.org is now Timeout."
    );
}

#[test]
fn a_page_that_cannot_reach_the_server_says_so_and_keeps_what_it_shows() {
    let (site, visitor) = visit(samples::well());
    assert!(!visitor.sees("#lost"));
    site.vanish();
    visitor.wait(FIVE_MINUTES);
    visitor.eventually("the notice", "!document.querySelector('#lost').hidden");
    assert_eq!(
        visitor.text("#lost"),
        "The server can’t be reached. This is what it last said, at 18:04; it is asked again every 30 seconds."
    );
    assert_eq!(visitor.eval::<String>("document.querySelector('#lost').role"), "alert");
    assert_eq!(visitor.text("#overall"), "All Systems Operational");
    visitor.photograph("server-away");
    visitor.wait(Duration::from_secs(30));
    visitor.eventually("it was asked again", "!document.querySelector('#refresh').ariaBusy");
    assert_eq!(visitor.text("#lost time"), "18:04", "when it was heard last, not when it was asked");

    site.show(git_is_offline());
    visitor.wait(Duration::from_secs(30));
    visitor.eventually("the notice is gone", "document.querySelector('#lost').hidden");
    assert_eq!(visitor.text("#s-git .state"), "Offline");
}

#[test]
fn the_button_asks_a_server_that_is_away_at_once_and_never_leaves_the_page() {
    let (site, visitor) = visit(samples::well());
    site.vanish();
    visitor.click("#refresh button");
    visitor.eventually("the notice", "!document.querySelector('#lost').hidden");
    site.show(git_is_offline());
    visitor.click("#refresh button");
    visitor.eventually("the notice is gone", "document.querySelector('#lost').hidden");
    assert_eq!(visitor.text("#overall"), "Partial Outage");
}

#[test]
fn a_change_of_state_is_spoken_and_nothing_else_is() {
    let (site, visitor) = visit(samples::well());
    visitor.eval::<()>(
        "(window.spoken = [], new MutationObserver(() => spoken.push(document.querySelector('#said').textContent)) \
         .observe(document.querySelector('#said'), { childList: true, characterData: true, subtree: true }))",
    );
    assert_eq!(visitor.eval::<String>("document.querySelector('#said').role"), "status");
    let refresh = |snapshot: Snapshot| {
        site.show(snapshot);
        refresh_by_hand(&visitor);
        visitor.eval::<Vec<String>>("spoken.splice(0)")
    };
    let mut later = samples::well();
    later.as_of = now() + chrono::Duration::seconds(300);
    later.services[0].total_checks += 1;
    assert_eq!(refresh(later), [""; 0], "other figures are no change of state");
    assert_eq!(refresh(git_is_offline()), ["git.asimonson.com is now Offline. Partial Outage."]);
    assert_eq!(refresh(git_is_offline()), [""; 0]);
    let mut both = git_is_offline().services;
    both[2] = samples::well().services[2].clone();
    both[3] = stale(both[3].clone());
    let said = "git.asimonson.com is now Operational. pass.asimonson.com is now Unknown. Status Unknown.";
    assert_eq!(refresh(samples::snapshot(both)), [said]);
    let all =
        samples::well().services.into_iter().map(|s| found(s, Status::Offline, None, None, None)).collect();
    assert_eq!(refresh(samples::snapshot(all)).len(), 1);
}

#[test]
fn many_changes_at_once_are_spoken_as_a_number() {
    let (site, visitor) = visit(samples::many(20));
    let all =
        samples::many(20).services.into_iter().map(|s| found(s, Status::Offline, None, None, None)).collect();
    site.show(samples::snapshot(all));
    visitor.click("#refresh button");
    visitor.eventually("it is said", "!!document.querySelector('#said').textContent");
    let said: String = visitor.eval("document.querySelector('#said').textContent");
    assert_eq!(said, "19 services changed their state. Major Outage.");
    assert!(visitor.text("#affected").ends_with(" and 12 more"));
}

#[test]
fn a_silent_monitor_is_told_at_once_and_since_when() {
    let (_site, visitor) = visit(samples::behind(Source::Silent { since: Some(ago(3_000)) }));
    assert_eq!(
        visitor.text("#source"),
        "The monitor has been silent since 17:14. Nothing here is newer than that."
    );
    assert_eq!(visitor.text("#next-check"), "—\nnot known");
    visitor.photograph("silent");
}

#[test]
fn every_source_without_services_has_its_words_and_is_never_green() {
    let sources = [
        (Source::Unconfigured, "This server has no database to read from, so nothing is known."),
        (
            Source::NeverRead,
            "The database can’t be read, so nothing is known yet. This server goes on trying.",
        ),
        (Source::Empty, "No monitor has ever written to the database, so there is nothing to show yet."),
        (Source::Away, "The database can’t be read. This is what it said at 18:04."),
        (Source::Live, ""),
    ];
    for (source, words) in sources {
        let (_site, visitor) = visit(samples::none(source));
        assert_eq!(visitor.text("#overall"), "Status Unknown");
        assert_eq!(visitor.sees("#source"), !words.is_empty());
        assert_eq!(visitor.text("#source"), words);
        assert_eq!(
            visitor.text(".nothing"),
            "No services yet. They appear here as soon as the monitor reports them."
        );
        assert!(!visitor.sees("#hero .online, .card"));
    }
}

#[test]
fn no_width_scrolls_sideways_whatever_the_names() {
    for snapshot in [samples::unwell(), samples::hostile(), samples::grouped(), samples::none(Source::Empty)]
    {
        let (_site, visitor) = visit(snapshot);
        for width in [320, 360, 414, 639, 640, 759, 760, 1239, 1240, 1440] {
            visitor.resize(width, 900);
            let outside: Vec<String> = visitor.eval(
                "[...document.querySelectorAll('body *:not(.sr, .sr *, .skip)')] \
                 .filter((e) => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 0.5) \
                 .map((e) => e.outerHTML.slice(0, 80))",
            );
            assert_eq!(outside, [""; 0], "at {width} pixels");
            assert!(
                visitor.eval::<bool>("document.documentElement.scrollWidth <= innerWidth"),
                "{width} pixels"
            );
        }
    }
}

#[test]
fn names_and_links_that_mean_harm_are_text() {
    let (site, visitor) = visit(samples::hostile());
    let names: Vec<String> =
        visitor.eval("[...document.querySelectorAll('.card h3')].map((h) => h.textContent)");
    let mut expected: Vec<String> =
        samples::hostile().services.iter().map(|s| s.service.name.clone()).collect();
    let mut seen = names.clone();
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected, "names are never cut or changed");
    site.show(samples::hostile());
    refresh_by_hand(&visitor);
    let links: Vec<String> =
        visitor.eval("[...document.querySelectorAll('.link[href]')].map((a) => a.protocol)");
    assert!(links.iter().all(|protocol| protocol == "https:" || protocol == "http:"), "{links:?}");
    assert_eq!(links.len(), 5);
    assert!(
        visitor
            .eval::<bool>("[...document.querySelectorAll('.link[href]')].every((a) => a.rel === 'noopener')")
    );
    assert_eq!(visitor.eval::<usize>("document.querySelectorAll('script, img').length"), 1);
    assert_eq!(visitor.troubles(), [""; 0]);
    visitor.photograph("hostile-1440-dark");
}

#[test]
fn a_visitors_wrong_clock_changes_no_age() {
    for clock_off_ms in [-3 * 86_400_000, 0, 400 * 86_400_000] {
        let (_site, visitor) = visit_as(samples::well(), &Habits { clock_off_ms, ..Habits::default() });
        assert_eq!(visitor.text("#last-check"), "18:00:03\n4 min ago");
        assert_eq!(visitor.text("#next-check"), "20:00:03\nin 1 h 55 min");
        visitor.wait(Duration::from_secs(240));
        visitor.eventually(
            "the ages move on",
            "document.querySelector('#last-check small').innerText.startsWith('8') && \
             document.querySelector('#next-check small').innerText.startsWith('in 1\\u00a0h 51')",
        );
    }
}

#[test]
fn times_are_in_the_visitors_zone_and_the_page_says_which() {
    let habits = Habits { time_zone: "Australia/Adelaide", ..Habits::default() };
    let (_site, visitor) = visit_as(samples::unwell(), &habits);
    assert_eq!(visitor.text("#last-check time"), "04:30:03");
    assert_eq!(
        visitor.text(".asof"),
        "As of 13 Feb 2026, 04:34:12. All times are in your time zone, Australia/Adelaide (GMT+10:30)."
    );
    assert_eq!(visitor.text("#s-pass .why"), "No data since 11 Feb 2026, 08:30; it was Operational then");
    let title: String = visitor.eval("document.querySelector('#last-check time').title");
    assert_eq!(title, "13 Feb 2026, 04:30:03 GMT+10:30");
}

#[test]
fn the_keyboard_alone_reaches_everything_and_sees_where_it_is() {
    let (site, visitor) = visit(samples::unwell());
    let expected: usize = visitor.eval("document.querySelectorAll('a[href], button').length");
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
    assert_eq!(walked[..4], ["Skip to the content", "asimonson.com status", "JSON", "git.asimonson.com"]);
    assert_eq!(walked[6], "Refresh");
    assert!(walked[7].starts_with("Visit"));

    visitor.go(&site.url());
    for _ in 0..7 {
        visitor.press("Tab");
    }
    site.show(samples::well());
    visitor.press("Enter");
    visitor.eventually("the refresh is over", "document.title.startsWith('All Systems Operational')");
    assert!(visitor.eval::<bool>("document.activeElement.matches('#refresh button')"));
}

#[test]
fn the_focus_is_not_lost_when_the_link_that_had_it_goes() {
    let (site, visitor) = visit(samples::unwell());
    visitor.eval::<()>("document.querySelector('#affected a').focus()");
    site.show(samples::well());
    visitor.wait(FIVE_MINUTES);
    visitor.eventually("the refresh is over", "document.title.startsWith('All Systems Operational')");
    assert!(visitor.eval::<bool>("document.activeElement.matches('#refresh button')"));
}

#[test]
fn both_themes_follow_the_visitors_system_without_a_reload() {
    let (_site, visitor) = visit(samples::unwell());
    let background = "getComputedStyle(document.documentElement).backgroundColor";
    assert_eq!(visitor.eval::<String>(background), "rgb(10, 13, 22)");
    visitor.prefer(false, &[]);
    assert_eq!(visitor.eval::<String>(background), "rgb(244, 246, 250)");
}

#[test]
fn nothing_moves_for_those_who_prefer_that() {
    let moving = "[...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e); \
                  return parseFloat(s.transitionDuration) || s.animationName !== 'none'; }).length";
    let (_site, visitor) = visit(samples::unwell());
    assert!(visitor.eval::<usize>(moving) > 0, "links fade for the others");
    visitor.prefer(true, &[("prefers-reduced-motion", "reduce")]);
    visitor.eval::<()>("void (document.querySelector('#refresh').ariaBusy = 'true')");
    assert_eq!(visitor.eval::<usize>(moving), 0);
}

#[test]
fn states_keep_their_shapes_where_colours_are_forced() {
    let (_site, visitor) = visit(samples::unwell());
    visitor.prefer(true, &[("forced-colors", "active")]);
    let colours: Vec<String> =
        visitor.eval("[...document.querySelectorAll('.card .dot')].map((d) => getComputedStyle(d).color)");
    assert!(colours.iter().all(|colour| *colour == colours[0]), "one colour for all: {colours:?}");
    let shapes: Vec<String> = visitor.eval(
        "[...new Set([...document.querySelectorAll('.card .dot use')].map((u) => u.getAttribute('href')))]",
    );
    assert_eq!(shapes.len(), 5, "five shapes for five states");
    visitor.photograph("forced-colours");
}

#[test]
fn the_page_asks_nobody_else_and_breaks_no_rule_of_its_policy() {
    let (site, visitor) = visit(samples::grouped());
    refresh_by_hand(&visitor);
    let own = site.url().replace("/status", "/");
    let requests = visitor.requests();
    assert!(requests.iter().all(|url| url.starts_with(&own)), "{requests:?}");
    assert_eq!(requests.len(), 5, "page, style, script, icon, JSON: {requests:?}");
    assert_eq!(visitor.troubles(), [""; 0]);

    visitor.eval::<()>(
        "void document.head.append(Object.assign(document.createElement('style'), { textContent: 'a{}' }))",
    );
    visitor.eventually("the policy is in force", "forbidden.some((f) => f.startsWith('style-src-elem'))");
}

#[test]
fn the_main_views_are_photographed() {
    let views = [
        ("well", samples::well()),
        ("unwell", samples::unwell()),
        ("groups", samples::grouped()),
        ("hostile", samples::hostile()),
        ("none", samples::none(Source::Empty)),
        ("200-services", samples::many(200)),
    ];
    for (name, snapshot) in views {
        for width in [360, 768, 1440] {
            let (_site, visitor) = visit_as(snapshot.clone(), &Habits { width, ..Habits::default() });
            visitor.photograph(&format!("{name}-{width}-dark"));
            visitor.prefer(false, &[]);
            visitor.photograph(&format!("{name}-{width}-light"));
        }
    }
}
