//! How snapshots look: exact figures, times and sources, widths, themes. A site without a database behind it shows
//! them, because the real api can't stand still at one instant.

use std::time::Duration;

use api::{
    snapshot::{ServiceState, Snapshot, Source},
    uptime::Percent,
};
use shared::{Failure, Status};

use crate::{
    browser::{Habits, Visitor},
    samples::{self, ago, found, stale},
    site::Site,
};

const FIVE_MINUTES: std::time::Duration = std::time::Duration::from_secs(300);

fn visit(snapshot: Snapshot) -> (Site, Visitor) {
    visit_as(snapshot, &Habits::default())
}

fn visit_as(snapshot: Snapshot, habits: &Habits) -> (Site, Visitor) {
    let site = Site::showing(snapshot);
    let visitor = Visitor::open(&site.url(), habits);
    (site, visitor)
}

#[test]
fn every_figure_is_shown_to_the_digit() {
    let (_site, visitor) = visit(samples::unwell());
    assert_eq!(visitor.text("#s-pass .why"), "No data since 10 Feb 2026, 22:00; it was Operational then");
    assert_eq!(visitor.text("#s-main .last"), "HTTP 200 1,842 checks");
    assert_eq!(visitor.text("#s-main .response dd"), "143 ms");
    assert_eq!(visitor.text("#s-main .figures div:nth-child(5) dd"), "99.837%");
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
        old.refresh();
        let new = Visitor::open(&site.url(), &Habits::default());
        let (old, new) = (old.eval::<Vec<String>>(seen), new.eval::<Vec<String>>(seen));
        assert_eq!(old.len(), new.len());
        old.iter().zip(&new).for_each(|(old, new)| assert_eq!(old, new));
    }
    assert_eq!(old.troubles(), [""; 0]);
}

#[test]
fn each_day_of_a_strip_is_told_in_words_by_keyboard_mouse_and_finger() {
    for (width, first) in [(1440, "Sat 15 Nov"), (360, "Wed 14 Jan")] {
        let (_site, visitor) = visit_as(samples::well(), &Habits { width, ..Habits::default() });
        let told = || visitor.eval::<Option<String>>("document.querySelector('.told')?.textContent");
        let value = || visitor.eval::<String>("document.querySelector('#d-main').ariaValueText");
        visitor.eval::<()>("document.querySelector('#d-main').focus()");
        assert!(value().starts_with("Thu 12 Feb: "), "{}", value());
        for (key, day) in [
            ("ArrowLeft", "Wed 11 Feb"),
            ("Home", first),
            ("ArrowLeft", first),
            ("End", "Thu 12 Feb"),
            ("ArrowRight", "Thu 12 Feb"),
        ] {
            visitor.press(key);
            assert!(value().starts_with(&format!("{day}: ")), "{key}: {}", value());
            assert_eq!(told(), Some(value()));
            assert!(!visitor.sees("#s-main .axis") && visitor.sees("#s-main .mark"));
        }
        visitor.press("ArrowLeft");
        let before = value();
        visitor.wait(FIVE_MINUTES);
        visitor.eventually("the refresh is over", "!document.querySelector('#refresh').ariaBusy");
        assert_eq!((value(), told()), (before.clone(), Some(before)), "a refresh changes nothing of that");
        visitor.eval::<()>("document.activeElement.blur()");
        assert_eq!(told(), None);
        assert!(visitor.sees("#s-main .axis"));

        visitor.click("#d-git");
        let clicked = told().unwrap();
        assert_eq!(visitor.eval::<String>("document.querySelector('#s-git .told').textContent"), clicked);
        visitor.click("#overall");
        assert_eq!(told(), None);
        assert_eq!(visitor.troubles(), [""; 0]);
    }
}

#[test]
fn a_day_with_an_event_is_told_as_its_bar_is() {
    let (_site, visitor) = visit(samples::many(40));
    let bars: Vec<Vec<String>> = visitor.eval(
        "[...document.querySelectorAll('.strip')].map((strip) => [...strip.querySelectorAll('.b-slow, .b-out')].map((b) => b.textContent))",
    );
    assert!(bars.iter().flatten().count() > 40);
    let told: Vec<Vec<String>> = visitor.eval(
        "[...document.querySelectorAll('.strip')].map((strip) => { \
           strip.focus(); \
           const said = [strip.ariaValueText]; \
           for (let day = 1; day < 90; day++) { \
             strip.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true, cancelable: true })); \
             said.unshift(strip.ariaValueText); \
           } \
           return said.filter((words) => !words.includes('100% of')); \
         })",
    );
    assert_eq!(told, bars);
}

#[test]
fn a_page_of_another_kind_is_kept_fresh_too() {
    let site = Site::showing(samples::grouped());
    let visitor = Visitor::open(&site.at("/status/services/git?period=30d"), &Habits::default());
    assert!(!visitor.sees(".card, .group, #search"));
    visitor.click("#days summary");
    visitor.eval::<()>("document.querySelector('.strip').focus()");
    assert!(visitor.text(".told").starts_with("Thu 12 Feb: "));
    let well = samples::snapshot(
        samples::grouped()
            .services
            .into_iter()
            .map(|s| found(s, Status::Online, None, Some(7), Some(200)))
            .collect(),
    );
    site.show(well);
    visitor.wait(FIVE_MINUTES);
    visitor.eventually("the refresh", "document.title.startsWith('Operational: git')");
    assert!(visitor.eval::<bool>("document.querySelector('#days').open"), "what was opened stays open");
    assert!(visitor.text(".told").starts_with("Thu 12 Feb: "));
    assert_eq!(visitor.text("#said"), "Operational.");
    let own = "/status/services/git?period=30d";
    let asked = visitor.requests().iter().filter(|url| url.ends_with(own)).count();
    assert_eq!(asked, 3, "the page, its clock, and the page again");
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn every_card_says_how_old_its_newest_check_is() {
    let (_site, visitor) = visit(samples::grouped());
    let ages = || {
        visitor
            .eval::<Vec<String>>("[...document.querySelectorAll('.card .age')].map((age) => age.innerText)")
    };
    let ages = || ages().iter().map(|age| age.replace(['\u{a0}', '\n'], " ")).collect::<Vec<_>>();
    let [four, stale] = ["Checked 4 min ago", "Checked 1 day 20 h ago"];
    assert_eq!(ages(), [four, four, four, stale, four, four, ""]);
    visitor.wait(Duration::from_secs(240));
    visitor.eventually(
        "they move on",
        "document.querySelector('#s-main .age').innerText.endsWith('8\\u00a0min ago')",
    );
    assert_eq!(
        visitor.eval::<String>("document.querySelector('#s-main .age time').title"),
        "12 Feb 2026, 18:00:03 UTC"
    );

    let (_site, visitor) = visit_as(samples::unwell(), &Habits { script: false, ..Habits::default() });
    assert!(visitor.text("#s-main .age").ends_with("18:00 UTC"));
    assert!(visitor.text("#s-pass .age").ends_with("10 Feb, 22:00"));
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
fn a_page_that_was_drawn_hours_ago_counts_ages_from_now() {
    let site = Site::drawn_at(samples::well(), ago(10_000));
    let visitor = Visitor::open(&site.url(), &Habits::default());
    visitor.eventually("the age", "document.querySelector('#last-check small').innerText.startsWith('4')");
    assert_eq!(visitor.text("#next-check"), "20:00:03\nin 1 h 55 min");
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
fn the_main_views_are_photographed() {
    // The path of the README's screenshot, where it is to be taken anew.
    let readme = std::env::var_os("README_SCREENSHOT");
    let views = [
        ("well", samples::well()),
        ("unwell", samples::unwell()),
        ("groups", samples::grouped()),
        ("hostile", samples::hostile()),
        ("none", samples::none(Source::Empty)),
        ("200-services", samples::many(200)),
    ];
    for (name, snapshot) in views {
        let (_site, visitor) = visit(snapshot);
        for (width, dark) in
            [(360, true), (360, false), (768, true), (768, false), (1440, true), (1440, false)]
        {
            visitor.resize(width, 900);
            visitor.prefer(dark, &[]);
            let theme = if dark { "dark" } else { "light" };
            let photograph = visitor.photograph(&format!("{name}-{width}-{theme}"));
            if let Some(path) = readme.as_ref().filter(|_| (name, width, dark) == ("unwell", 1440, true)) {
                std::fs::copy(photograph, path).expect("a path to write the screenshot to");
            }
        }
    }
}
