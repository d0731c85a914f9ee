//! More services than one sees at a glance: the search, and problems alone.

use api::snapshot::{ServiceState, Snapshot};
use shared::Status;

use crate::{
    browser::{Habits, Visitor},
    samples::{self, found, online, shown},
    site::Site,
};

/// 40 services in five groups; of each eight or nine, some unwell.
fn visit(habits: &Habits) -> (Site, Visitor) {
    let site = Site::showing(samples::many(40));
    let visitor = Visitor::open(&site.url(), habits);
    (site, visitor)
}

/// The cards that are shown.
fn cards(visitor: &Visitor) -> Vec<String> {
    visitor.eval(
        "[...document.querySelectorAll('.card')].filter((card) => card.checkVisibility({ contentVisibilityAuto: true })) \
         .map((card) => card.id)",
    )
}

fn groups(visitor: &Visitor) -> Vec<String> {
    visitor.eval(
        "[...document.querySelectorAll('.group')].filter((group) => group.getClientRects().length) \
         .map((group) => group.dataset.name)",
    )
}

/// Puts this into the search, by the keyboard.
fn search(visitor: &Visitor, text: &str) {
    visitor.eval::<()>("document.querySelector('#search').focus()");
    visitor.press("Escape");
    assert_eq!(visitor.eval::<String>("document.querySelector('#search').value"), "");
    visitor.write(text);
}

fn problems() -> Vec<String> {
    let services = samples::many(40).services;
    let unwell = services.iter().filter(|state| state.status != Status::Online);
    unwell.map(|state| format!("s-{}", state.service.id)).collect()
}

#[test]
fn there_is_a_search_with_more_than_twenty_services_and_script() {
    for (count, script, there) in [(20, true, false), (21, true, true), (21, false, false)] {
        let site = Site::showing(samples::many(count));
        let visitor = Visitor::open(&site.url(), &Habits { script, ..Habits::default() });
        let visible =
            "document.querySelector('#search')?.checkVisibility({ visibilityProperty: true }) ?? false";
        assert_eq!(visitor.eval::<bool>(visible), there, "{count} services, script: {script}");
    }
}

#[test]
fn cards_are_found_by_name_link_id_and_group_as_one_types() {
    let (site, visitor) = visit(&Habits::default());
    let mut services = samples::many(40).services;
    services[5] = shown(online("odd-id", "Mail"), |service| {
        service.link = Some("https://post.example.net/".into());
        service.group = Some("Region 1".into());
    });
    site.show(samples::snapshot(services));
    visitor.refresh();
    for (text, expected) in [
        ("mail", &["s-odd-id"][..]),
        ("POST.exa", &["s-odd-id"]),
        (" odd-id ", &["s-odd-id"]),
        (
            "service-01",
            &["s-s10", "s-s11", "s-s12", "s-s13", "s-s14", "s-s15", "s-s16", "s-s17", "s-s18", "s-s19"],
        ),
        ("region 5", &["s-s32", "s-s33", "s-s34", "s-s35", "s-s36", "s-s37", "s-s38", "s-s39"]),
        ("operational", &[]),
        ("100%", &[]),
    ] {
        search(&visitor, text);
        assert_eq!(cards(&visitor), expected, "{text}");
        let told = if expected.is_empty() {
            "No service matches".to_owned()
        } else {
            format!("{} of 40 services", expected.len())
        };
        assert_eq!(visitor.text("#found"), told);
    }
    assert_eq!(groups(&visitor), [""; 0], "empty groups vanish");
    assert_eq!(visitor.eval::<String>("document.querySelector('#found').role"), "status");
    visitor.photograph("search-without-result");
    visitor.press("Escape");
    assert_eq!((cards(&visitor).len(), groups(&visitor).len()), (40, 5));
    assert_eq!(visitor.text("#found"), "40 of 40 services");
    search(&visitor, "region 3");
    assert_eq!(groups(&visitor), ["Region 3"]);
    visitor.photograph("search");
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn what_is_found_in_a_closed_group_is_seen_and_the_group_stays_closed_after() {
    let (_site, visitor) = visit(&Habits::default());
    visitor.click("[data-name='Region 1'] summary");
    assert_eq!(cards(&visitor).len(), 32);
    search(&visitor, "service-003");
    assert_eq!(cards(&visitor), ["s-s3"]);
    visitor.press("Escape");
    assert_eq!(cards(&visitor).len(), 32);
}

#[test]
fn only_problems_hides_what_is_online_and_is_remembered() {
    for width in [360, 1440] {
        let (site, visitor) = visit(&Habits { width, ..Habits::default() });
        visitor.eval::<()>("document.querySelector('#only').focus()");
        visitor.write(" ");
        assert_eq!(cards(&visitor), problems());
        assert_eq!(visitor.text("#found"), "5 of 40 services");
        let mut services = samples::many(40).services;
        services[37] = online("s37", "service-037.example.org");
        services[37] = shown(services[37].clone(), |service| service.group = Some("Region 5".into()));
        site.show(samples::snapshot(services));
        visitor.refresh();
        assert_eq!(groups(&visitor), ["Region 1", "Region 2", "Region 3", "Region 4"], "none in the fifth");
        site.show(samples::many(40));
        visitor.refresh();
        visitor.photograph(&format!("only-problems-{width}"));
        visitor.reload();
        assert_eq!(cards(&visitor), problems());
        assert!(visitor.eval::<bool>("document.querySelector('#only').checked"));

        site.show(samples::well());
        visitor.refresh();
        assert_eq!(cards(&visitor).len(), 5, "few services are all shown");
        assert!(!visitor.sees("#only"));
        site.show(samples::many(40));
        visitor.refresh();
        assert_eq!(cards(&visitor), problems());
        assert!(visitor.eval::<bool>("document.querySelector('#only').checked"));

        visitor.click("#only");
        assert_eq!(cards(&visitor).len(), 40);
        visitor.reload();
        assert_eq!(cards(&visitor).len(), 40);
    }
}

#[test]
fn nobody_has_a_problem_when_all_is_well() {
    let online = |state: ServiceState| found(state, Status::Online, None, Some(9), Some(200));
    let all = samples::many(40).services.into_iter().map(online).collect();
    let site = Site::showing(samples::snapshot(all));
    let visitor = Visitor::open(&site.url(), &Habits::default());
    visitor.click("#only");
    assert_eq!(visitor.text("#found"), "No service matches");
    assert_eq!((cards(&visitor), groups(&visitor)), (vec![], vec![]));
}

#[test]
fn a_refresh_keeps_the_search_and_what_arrives_is_searched_too() {
    let (site, visitor) = visit(&Habits::default());
    search(&visitor, "service-01");
    site.show(Snapshot { services: samples::many(60).services, ..samples::many(40) });
    visitor.wait(std::time::Duration::from_secs(300));
    visitor.eventually("the new ones", "document.querySelectorAll('.card').length === 60");
    assert_eq!(cards(&visitor).len(), 10);
    assert_eq!(visitor.text("#found"), "10 of 60 services");
    assert!(visitor.eval::<bool>("document.activeElement.matches('#search')"));
    assert_eq!(visitor.eval::<String>("document.querySelector('#search').value"), "service-01");
    visitor.press("Escape");

    visitor.click("#only");
    let mut services = samples::many(40).services;
    services[0] = found(services[0].clone(), Status::Timeout, None, Some(10_000), None);
    services[3] = found(services[3].clone(), Status::Online, None, Some(100), Some(200));
    site.show(samples::snapshot(services));
    visitor.refresh();
    assert_eq!(cards(&visitor), ["s-s0", "s-s8", "s-s20", "s-s25", "s-s37"]);
}

#[test]
fn the_focus_is_not_lost_with_a_card_that_is_a_problem_no_more() {
    let (site, visitor) = visit(&Habits::default());
    visitor.click("#only");
    visitor.eval::<()>("document.querySelector('#s-s3 a').focus()");
    let mut services = samples::many(40).services;
    services[3] = found(services[3].clone(), Status::Online, None, Some(100), Some(200));
    site.show(samples::snapshot(services));
    visitor.wait(std::time::Duration::from_secs(300));
    visitor.eventually("the button has it", "document.activeElement.matches('#again')");
}

#[test]
fn a_link_leads_to_a_card_whatever_hides_it() {
    let (site, visitor) = visit(&Habits::default());
    search(&visitor, "nothing of that name");
    visitor.eval::<()>("document.querySelector('#affected a').click()");
    visitor.eventually("the card is there", "document.querySelector('#s-s3').checkVisibility()");
    visitor.click("#only");
    visitor.go(&format!("{}?#s-s5", site.url()));
    visitor.eventually("the card is there", "document.querySelector('#s-s5').checkVisibility()");
    assert_eq!(cards(&visitor).len(), problems().len() + 1);
}

#[test]
fn a_stroke_is_a_stroke_where_one_writes() {
    let (_site, visitor) = visit(&Habits::default());
    search(&visitor, "a/b");
    assert_eq!(visitor.eval::<String>("document.querySelector('#search').value"), "a/b");
}
