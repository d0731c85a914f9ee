//! Groups: closed and opened by everybody, remembered by the visitor's browser, opened by links and on paper.

use api::snapshot::Snapshot;

use crate::{
    browser::{Habits, Visitor},
    samples,
    site::Site,
};

fn visit(habits: &Habits) -> (Site, Visitor) {
    let site = Site::showing(samples::grouped());
    let visitor = Visitor::open(&site.url(), habits);
    (site, visitor)
}

fn open_groups(visitor: &Visitor) -> Vec<String> {
    visitor.eval("[...document.querySelectorAll('.group[open]')].map((group) => group.dataset.name)")
}

/// What the browser keeps, once it is this.
fn eventually_closed(visitor: &Visitor, names: &str) {
    visitor.eventually(
        "it is kept",
        &format!("JSON.stringify(JSON.parse(localStorage.status).closed) === '{names}'"),
    );
}

#[test]
fn a_group_says_its_worst_state_and_its_tally_while_it_is_closed() {
    let (_site, visitor) = visit(&Habits::default());
    visitor.click("[data-name=Websites] summary");
    assert_eq!(
        visitor.text("[data-name=Websites] summary").replace('\n', " "),
        "Websites 1 offline, 1 degraded, 1 operational"
    );
    assert_eq!(
        visitor.eval::<String>("document.querySelector('[data-name=Websites] summary h2').textContent"),
        "Websites"
    );
    assert!(visitor.sees("[data-name=Websites] summary .dot.offline") && !visitor.sees("#s-main"));
    visitor.photograph("groups-closed");
}

#[test]
fn groups_close_and_open_without_javascript() {
    let (_site, visitor) = visit(&Habits { script: false, ..Habits::default() });
    assert!(visitor.sees("#s-main"));
    visitor.click("[data-name=Websites] summary");
    assert!(!visitor.sees("#s-main") && visitor.sees("#s-ssh"));
    visitor.click("[data-name=Websites] summary");
    assert!(visitor.sees("#s-main"));
}

#[test]
fn a_closed_group_is_closed_at_the_next_visit_until_it_is_opened_again() {
    let (_site, visitor) = visit(&Habits::default());
    assert_eq!(open_groups(&visitor), ["Websites", "Infrastructure", "Other services"]);
    visitor.eval::<()>("document.querySelector('[data-name=Websites] summary').focus()");
    visitor.press("Enter");
    visitor.click("[data-name='Other services'] summary");
    eventually_closed(&visitor, r#"["Websites","Other services"]"#);
    visitor.reload();
    assert_eq!(open_groups(&visitor), ["Infrastructure"]);
    visitor.eval::<()>("document.querySelector('[data-name=Websites] summary').focus()");
    visitor.press("Enter");
    eventually_closed(&visitor, r#"["Other services"]"#);
    visitor.reload();
    assert_eq!(open_groups(&visitor), ["Websites", "Infrastructure"]);
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn a_refresh_in_place_opens_and_closes_nothing() {
    let (site, visitor) = visit(&Habits::default());
    visitor.click("[data-name=Websites] summary");
    eventually_closed(&visitor, r#"["Websites"]"#);
    let mut fewer = samples::grouped().services;
    fewer.retain(|state| state.service.group.as_deref() != Some("Websites"));
    for (services, open) in [
        (samples::grouped().services, &["Infrastructure", "Other services"][..]),
        (fewer, &["Infrastructure", "Other services"]),
        (samples::grouped().services, &["Infrastructure", "Other services"]),
    ] {
        site.show(samples::snapshot(services));
        visitor.refresh();
        assert_eq!(open_groups(&visitor), open);
    }
    visitor.click("[data-name=Websites] summary");
    eventually_closed(&visitor, "[]");
    visitor.refresh();
    assert_eq!(open_groups(&visitor).len(), 3);
}

#[test]
fn a_link_to_a_card_opens_its_group() {
    let (site, visitor) = visit(&Habits::default());
    let in_view = "(({ top, bottom }) => top >= 0 && bottom <= innerHeight)(document.querySelector('#s-git').getBoundingClientRect())";
    visitor.click("[data-name=Websites] summary");
    eventually_closed(&visitor, r#"["Websites"]"#);
    visitor.go(&format!("{}?#s-git", site.url()));
    visitor.eventually("the group is open", "document.querySelector('[data-name=Websites]').open");
    visitor.eventually("the card is in view", in_view);
    visitor.refresh();
    assert!(open_groups(&visitor).contains(&"Websites".into()), "a refresh does not close it again");

    visitor.click("[data-name=Websites] summary");
    eventually_closed(&visitor, r#"["Websites"]"#);
    visitor.reload();
    visitor.eval::<()>("document.querySelector('#affected a').focus()");
    visitor.press("Enter");
    visitor.eventually("the group is open", "document.querySelector('[data-name=Websites]').open");
    visitor.eventually("the card is in view", in_view);
    eventually_closed(&visitor, "[]");
}

#[test]
fn storage_that_is_shut_or_holds_junk_is_no_trouble() {
    let shut = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('shut') } });";
    for first in [
        shut,
        "localStorage.status = '{';",
        "localStorage.status = '7';",
        "localStorage.status = 'null';",
        "localStorage.status = '\"text\"';",
        "localStorage.status = '[[], {}]';",
        r#"localStorage.status = '{"theme": {}, "closed": 7, "only": [], "a-b": 1}';"#,
        r#"localStorage.status = '{"theme": "</script>", "closed": [null, {}], "constructor": 1}';"#,
    ] {
        let (_site, visitor) = visit(&Habits { first, ..Habits::default() });
        assert_eq!(open_groups(&visitor).len(), 3, "{first}");
        visitor.click("[data-name=Websites] summary");
        visitor.refresh();
        assert_eq!(open_groups(&visitor), ["Infrastructure", "Other services"], "{first}");
        assert_eq!(visitor.text("#last-check"), "18:00:03\n4 min ago");
        assert_eq!(visitor.troubles(), [""; 0], "{first}");
    }
}

#[test]
fn paper_shows_closed_groups_too() {
    for script in [true, false] {
        let (_site, visitor) = visit(&Habits { script, ..Habits::default() });
        visitor.click("[data-name=Websites] summary");
        assert!(!visitor.sees("#s-main"));
        visitor.print();
        assert!(visitor.sees("#s-main") && !visitor.sees("#theme"));
        visitor.photograph("printed");
    }
}

#[test]
fn a_page_without_groups_has_nothing_to_close() {
    for snapshot in [samples::well(), samples::snapshot(vec![])] {
        let snapshot: Snapshot = snapshot;
        let site = Site::showing(snapshot);
        let visitor = Visitor::open(&site.url(), &Habits::default());
        assert!(!visitor.sees("details, summary"));
    }
}
