//! What axe-core finds wrong with a view for those who see, hear or move less: nothing, in both themes, narrow and
//! wide. It is judged as the visitor has it, by a library that comes in through the devtools; `./deploy/test`
//! installs it below `target/`.

use std::sync::LazyLock;

use api::{
    json,
    snapshot::{ServiceState, Snapshot, Source},
};
use shared::{Status, testing::root};

use crate::{
    browser::{Habits, Visitor},
    samples::{self, ago, found},
    site::Site,
};

/// Every rule that axe has on by itself, the best practices among them, and the size of what a finger must hit. What
/// it can't tell about a colour counts too: else a contrast that nobody judged would pass. (The way past the head lies
/// over the head while it has the focus; of a table that scrolls sideways, what is out of sight is judged where there is
/// room for it.)
const JUDGE: &str = r#"window.axe?.run(document, {
        resultTypes: ["violations", "incomplete"], preload: false, rules: { "target-size": { enabled: true } },
    }).then(({ violations, incomplete, passes }) => {
        const contrast = ({ id }) => id === "color-contrast";
        const unjudged = document.activeElement.matches(".skip") ? [] : incomplete.filter(contrast);
        const why = ({ any, all, none }) => [...any, ...all, ...none].map(({ message }) => message);
        const at = ({ target }) => target.flat().join(" in ");
        const inside = ({ target }) => document.querySelector(target.flat().join(" "))?.closest(".scroll");
        const aside = (node) => inside(node)?.scrollWidth > inside(node)?.clientWidth;
        const judged = unjudged.map((rule) => ({ ...rule, nodes: rule.nodes.filter((node) => !aside(node)) }));
        const faults = [...violations, ...judged].flatMap(({ id, help, nodes }) =>
            nodes.map((node) => [`${id}: ${help}`, at(node), ...why(node)].join("\n    ")));
        return { faults, contrasts: passes.some(contrast) };
    }) ?? Promise.resolve()"#;

static AXE: LazyLock<String> = LazyLock::new(|| {
    let path = root().join("target/axe/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}. These tests need axe-core: ./deploy/test installs it (or: npm install --prefix target/axe \
             --no-save axe-core)",
            path.display()
        )
    })
});

#[derive(serde::Deserialize)]
struct Verdict {
    faults: Vec<String>,
    contrasts: bool,
}

/// Judges the first page of these snapshots.
fn judge_all(snapshots: impl IntoIterator<Item = (String, Snapshot)>) {
    judge_pages(snapshots.into_iter().map(|(name, snapshot)| (name, snapshot, vec!["/status".to_owned()])));
}

/// Judges pages of these snapshots, with all that is folded in them open.
fn judge_pages(pages: impl IntoIterator<Item = (String, Snapshot, Vec<String>)>) {
    let mut tab: Option<Visitor> = None;
    for (name, snapshot, addresses) in pages {
        let site = Site::showing(snapshot);
        for address in addresses {
            let url = site.at(&address);
            let visitor = tab.get_or_insert_with(|| Visitor::open(&url, &Habits::default()));
            visitor.go(&url);
            visitor.eval::<()>(
                "void document.querySelectorAll('details').forEach((details) => (details.open = true))",
            );
            judge(&format!("{name}, {address}"), visitor);
            assert_eq!(visitor.troubles(), [""; 0], "{name}, {address}");
        }
    }
}

/// Judges what this visitor sees, in every width and theme.
fn judge(name: &str, visitor: &Visitor) {
    for width in [1440, 360] {
        visitor.resize(width, 900);
        for (theme, dark) in [("dark", true), ("light", false)] {
            visitor.prefer(dark, &[]);
            judge_sight(&format!("{name}, {width} pixels, {theme}"), visitor);
        }
    }
}

fn judge_sight(name: &str, visitor: &Visitor) {
    let verdict: Option<Verdict> = visitor.resolve(JUDGE);
    let Verdict { faults, contrasts } = verdict.unwrap_or_else(|| {
        visitor.run(&AXE);
        visitor.resolve(JUDGE)
    });
    assert!(faults.is_empty(), "{name}: axe finds\n{}", faults.join("\n"));
    assert!(contrasts, "{name}: no contrast was judged");
}

/// Services like these, all of them found so.
fn all(snapshot: Snapshot, status: Status) -> Snapshot {
    let change = |state: ServiceState| found(state, status, None, None, None);
    samples::snapshot(snapshot.services.into_iter().map(change).collect())
}

#[test]
fn every_state_of_the_services_is_accessible() {
    let snapshots = [
        ("well", samples::well()),
        ("unwell", samples::unwell()),
        ("groups", samples::grouped()),
        ("hostile", samples::hostile()),
        ("all offline", all(samples::well(), Status::Offline)),
        ("all unknown", all(samples::well(), Status::Unknown)),
    ];
    judge_all(snapshots.map(|(name, snapshot)| (name.to_owned(), snapshot)));
}

#[test]
fn the_pages_of_services_and_of_outages_are_accessible() {
    let outage = |snapshot: &Snapshot| {
        let state = &snapshot.services[0];
        let began = state.past.outages.last().map(|outage| json::instant(outage.began)).unwrap_or_default();
        format!("/status/services/{}/outages/{began}", state.service.id)
    };
    let pages = |name: &str, snapshot: Snapshot, below: &[&str]| {
        let mut addresses: Vec<String> = below.iter().map(|below| format!("/status{below}")).collect();
        addresses.push(outage(&snapshot));
        (name.to_owned(), snapshot, addresses)
    };
    judge_pages([
        pages(
            "groups",
            samples::grouped(),
            &["/services/files", "/services/pass", "/services/matrix", "/outages", "/api"],
        ),
        pages("hostile", samples::hostile(), &["/services/f-g?period=90d", "/outages?service=a"]),
    ]);
    let nothing = samples::none(Source::Empty);
    judge_pages([("none".to_owned(), nothing, vec!["/status/outages".to_owned()])]);
}

#[test]
fn every_notice_of_the_source_is_accessible() {
    let sources = [
        Source::Silent { since: Some(ago(400_000)) },
        Source::Silent { since: None },
        Source::Away,
        Source::Empty,
        Source::NeverRead,
        Source::Unconfigured,
    ];
    judge_all(sources.into_iter().flat_map(|source| {
        let one = Snapshot { source: source.clone(), next_check: None, ..samples::many(1) };
        [(format!("{source:?} and a service"), one), (format!("{source:?}"), samples::none(source))]
    }));
}

#[test]
fn one_service_and_hundreds_are_accessible() {
    judge_all([1, 50, 200].map(|count| (format!("{count} services"), samples::many(count))));
}

#[test]
fn it_is_accessible_without_javascript_and_where_nothing_is() {
    let site = Site::showing(samples::unwell());
    let without = Habits { script: false, ..Habits::default() };
    judge("without script", &Visitor::open(&site.at("/status"), &without));
    judge("error page", &Visitor::open(&site.at("/nowhere"), &Habits::default()));
}

#[test]
fn it_stays_accessible_while_it_is_used() {
    let site = Site::showing(samples::unwell());
    let visitor = Visitor::open(&site.at("/status"), &Habits::default());
    visitor.press("Tab");
    judge("the way past the head", &visitor);
    visitor.eval::<()>("document.querySelector('#d-git').focus()");
    visitor.press("ArrowLeft");
    assert!(visitor.sees("#s-git .told"));
    judge("a day told", &visitor);
    visitor.eval::<()>("document.querySelector('#s-main .link').focus()");
    judge("a link focused", &visitor);
    visitor.eval::<()>("void (window.fetch = () => Promise.reject(new TypeError('away')))");
    visitor.refresh();
    assert!(visitor.sees("#lost"));
    judge("the server lost", &visitor);
    visitor.eval::<()>("void (window.fetch = () => new Promise(() => {}))");
    visitor.click("#refresh button");
    visitor.eventually("it asks", "document.querySelector('#refresh').ariaBusy === 'true'");
    judge("a refresh under way", &visitor);
}

#[test]
fn it_is_accessible_by_the_colours_and_contrasts_that_visitors_choose() {
    let site = Site::showing(samples::unwell());
    let visitor = Visitor::open(&site.at("/status"), &Habits::default());
    for choice in
        [("forced-colors", "active"), ("prefers-contrast", "more"), ("prefers-reduced-motion", "reduce")]
    {
        for dark in [true, false] {
            visitor.prefer(dark, &[choice]);
            judge_sight(&format!("{choice:?}, dark: {dark}"), &visitor);
        }
    }
}
