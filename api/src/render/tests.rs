//! What the page says for each thing that can be known, and what it never says.

use std::{sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine};
use shared::{Distribution, Service, Status};

use super::*;
use crate::{
    facts::Past,
    look::Look,
    outages::Outage,
    response_times::{Chart, Hour},
    sample::{at, main, snapshot},
    snapshot::Source,
    uptime::{Percent, hour_of},
};

fn named(id: &str, name: &str, group: Option<&str>) -> ServiceState {
    let mut state = main();
    let service = Service {
        id: id.into(),
        name: name.into(),
        group: group.map(Into::into),
        link: Some(format!("https://{id}.example.org")),
        ..Service::clone(&state.service)
    };
    state.service = Arc::new(service);
    state.newest.as_mut().unwrap().response_time_ms = Some(1_043);
    state.uptime[3] = Percent::of(994, 1_000);
    state.total_checks = 1_842;
    state
}

fn site(title: &str, base_path: &str) -> Site {
    Site::new(Some(title.into()), base_path, Look::default())
}

fn page_at(base_path: &str, snapshot: &Snapshot) -> String {
    let renderer = Renderer::new(&site("Status of <us> & \"them\"", base_path)).unwrap();
    renderer.page(snapshot, at("2026-02-12T18:10:00.5Z")).unwrap()
}

fn page(snapshot: &Snapshot) -> String {
    page_at("", snapshot)
}

fn asked_at(base_path: &str, snapshot: &Snapshot, asked: &Asked) -> Option<String> {
    let renderer = Renderer::new(&site("Status of <us> & \"them\"", base_path)).unwrap();
    let now = at("2026-02-12T18:10:00.5Z");
    let hour = hour_of(now);
    let mut times = Distribution::default();
    times.add(143, 12);
    let hours = [Hour { number: hour, checks: 13, failed: 1, times }];
    let charts = Period::ALL.map(|period| Chart::of(&hours, period, hour, Duration::from_secs(60)));
    renderer.asked(snapshot, asked, Ok(&charts), now).unwrap()
}

/// Every page that tells of the first service, and the error page.
fn every_page(base_path: &str, snapshot: &Snapshot) -> Vec<String> {
    let id = || snapshot.services[0].service.id.clone();
    let began = snapshot.services[0].past.outages[0].began;
    let asked = [
        Asked::Service(id(), Period::Week),
        Asked::Outages(None, None),
        Asked::Outages(Some(id()), Some(at("2026-02-12T18:00:00Z"))),
        Asked::Outage(id(), began),
    ];
    let mut pages: Vec<String> =
        asked.iter().map(|asked| asked_at(base_path, snapshot, asked).unwrap()).collect();
    pages.push(page_at(base_path, snapshot));
    pages.push(Renderer::new(&site("Status of <us>", base_path)).unwrap().error_page(404));
    pages
}

/// With an outage that goes on.
fn failing(mut state: ServiceState) -> ServiceState {
    state.status = Status::Offline;
    let began = at("2026-02-12T16:00:00Z");
    let outage = Outage {
        before: Some(at("2026-02-12T14:00:00Z")),
        began,
        ended: began,
        after: None,
        checks: 1,
        status: Status::Offline,
        failure: None,
    };
    let days = [(snapshot(Vec::new()).today, [11, 0, 0, 1, 12])].into_iter().collect();
    state.past = Arc::new(Past { days, outages: vec![outage], ..Past::default() });
    state
}

#[test]
fn figures_are_shown_to_the_digit_and_held_to_their_units() {
    let html = page(&snapshot(vec![named("main", "asimonson.com", None)]));
    for figure in
        [">100%<", ">99.405%<", ">99.4%<", ">1,842\u{a0}checks<", ">1,043\u{a0}ms<", ">HTTP&nbsp;200<"]
    {
        assert!(html.contains(figure), "{figure} in {html}");
    }
    assert!(html.contains("title=\"No check, or less history than 30\u{a0}d\">—<"));
    assert!(html.contains(
        "<time data-as=\"clock\" datetime=\"2026-02-12T18:00:03.120Z\">18:00:03</time><small>\
         <time data-as=\"age\" datetime=\"2026-02-12T18:00:03.120Z\">12 Feb 2026</time><"
    ));
    assert!(html.contains("Every service is checked every 2\u{a0}hours."));
}

#[test]
fn uptime_is_coloured_at_99_95_and_90() {
    for (thousandths, class) in [
        (100_000, "online"),
        (99_000, "online"),
        (98_999, "good"),
        (95_000, "good"),
        (94_999, "degraded"),
        (90_000, "degraded"),
        (89_999, "offline"),
        (0, "offline"),
    ] {
        let mut state = named("main", "main", None);
        state.uptime[0] = Percent::of(thousandths, 100_000);
        let html = page(&snapshot(vec![state]));
        assert!(html.contains(&format!("24\u{a0}h</dt><dd class=\"{class}\"")), "{thousandths}");
    }
}

#[test]
fn what_comes_from_outside_is_escaped_wherever_it_stands() {
    let evil = "<script>alert('1')</script>\" onload=\"x {{ 7 * 7 }} {% raw %}<!-- cards -->";
    let mut state = named("main", evil, Some(evil));
    Arc::make_mut(&mut state.service).link = Some(format!("https://example.org/{evil}"));
    state.status = Status::Offline;
    for html in every_page("", &snapshot(vec![failing(state.clone())])) {
        assert!(!html.contains("<script>alert") && !html.contains("\" onload"), "{html}");
        assert!(!html.contains("<us>"), "the title too");
        assert_eq!(html.matches("{{ 7 * 7 }}").count(), html.matches("&lt;script&gt;alert").count());
    }
    let html = page(&snapshot(vec![state]));
    assert!(!html.contains(CARDS) && html.contains("&lt;!-- cards"), "the place of the cards is ours alone");
    assert!(html.contains("<bdi>&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onload=&quot;x"));
}

#[test]
fn no_link_but_to_http_and_https() {
    for link in ["javascript:alert(1)", "data:text/html,x", "vbscript:x"] {
        let mut state = named("main", "main", None);
        Arc::make_mut(&mut state.service).link = Some(link.into());
        let html = page(&snapshot(vec![state]));
        assert!(!html.contains(link), "{link}");
        assert!(html.contains("No public address"));
    }
    let html = page(&snapshot(vec![named("main", "main", None)]));
    assert!(html.contains("href=\"https://main.example.org\" rel=\"noopener\""));
}

#[test]
fn a_link_that_would_repeat_the_name_says_visit() {
    let html = page(&snapshot(vec![named("main", "main.example.org", None)]));
    assert!(html.contains(">Visit<span class=\"sr\"> <bdi>main.example.org</bdi>"));
    let html = page(&snapshot(vec![named("main", "Main", None)]));
    assert!(html.contains("<bdi>main.example.org</bdi><span aria-hidden=\"true\"> ↗"));
}

#[test]
fn headings_stand_in_the_order_of_the_file() {
    let html = page(&snapshot(vec![
        named("a", "a", Some("Web")),
        named("b", "b", None),
        named("c", "c", Some("Infra")),
        named("d", "d", Some("Web")),
    ]));
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("no {text}"));
    let order =
        [">Web<", "id=\"s-a\"", "id=\"s-d\"", ">Other services<", "id=\"s-b\"", ">Infra<", "id=\"s-c\""];
    assert!(order.map(place).is_sorted());
    assert!(html.contains("<span>2\u{a0}operational</span>"));
    let alone = page(&snapshot(vec![named("b", "b", None)]));
    assert!(
        alone.contains("class=\"sr\" id=\"services\">Services</h2>") && !alone.contains("Other services")
    );
    assert!(!alone.contains("<details") && html.matches("<details class=\"group\"").count() == 3);
}

#[test]
fn the_worst_stands_first_and_no_more_than_eight_are_named() {
    let mut services: Vec<_> = (0..12).map(|n| named(&format!("s{n}"), &format!("s{n}"), None)).collect();
    services[3].status = Status::Degraded;
    services[5..].iter_mut().for_each(|state| state.status = Status::Timeout);
    services[11].status = Status::Offline;
    let html = page(&snapshot(services));
    let affected = html.split("id=\"affected\">").nth(1).unwrap().split("</p>").next().unwrap();
    let named: Vec<&str> =
        affected.split("#s-").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(named, ["s11", "s5", "s6", "s7", "s8", "s9", "s10", "s3"]);
    assert!(!affected.contains("more"));
    assert!(html.contains("12 services: 1 offline, 6 timeout, 1 degraded, 4 operational."));

    let all: Vec<_> = (0..9)
        .map(|n| ServiceState { status: Status::Offline, ..self::named(&format!("s{n}"), "x", None) })
        .collect();
    assert!(page(&snapshot(all)).contains("</a> and 1 more</p>"));
}

#[test]
fn every_source_is_told_in_words() {
    let since = Some(at("2026-02-12T17:14:12Z"));
    for (source, words) in [
        (Source::Unconfigured, Some("no database to read from")),
        (Source::NeverRead, Some("nothing is known yet")),
        (
            Source::Away,
            Some(
                "This is what it said at <time data-as=\"moment\" datetime=\"2026-02-12T18:10:00.000Z\">18:10<span class=\"unscripted\"> UTC</span></time>",
            ),
        ),
        (Source::Empty, Some("No monitor has ever written")),
        (
            Source::Silent { since },
            Some(
                "silent since <time data-as=\"moment\" datetime=\"2026-02-12T17:14:12.000Z\">17:14<span class=\"unscripted\"> UTC</span></time>",
            ),
        ),
        (Source::Silent { since: None }, Some("never been heard of")),
        (Source::Live, None),
    ] {
        for services in [vec![], vec![named("main", "main", None)]] {
            let html = page(&Snapshot { source: source.clone(), ..snapshot(services) });
            let notice = html.split("id=\"source\"").nth(1).unwrap().split("</p>").next().unwrap();
            assert_eq!(notice.starts_with(" hidden>"), words.is_none(), "{notice}");
            assert!(words.is_none_or(|words| notice.contains(words)), "{notice}");
        }
    }
}

#[test]
fn a_stale_service_says_since_when_and_what_it_was() {
    let stale = ServiceState { status: Status::Unknown, stale: true, ..named("main", "main", None) };
    let html = page(&snapshot(vec![stale]));
    assert!(html.contains("card unknown stale"));
    let since = ">18:00<span class=\"unscripted\"> UTC</span></time>; it was Operational then</p>";
    assert!(html.contains(since));
}

#[test]
fn every_card_says_when_it_was_checked() {
    let html = page(&snapshot(vec![named("main", "main", None)]));
    assert!(
        html.contains("<time data-as=\"age\" datetime=\"2026-02-12T18:00:03.120Z\">18:00 UTC</time></p>")
    );
    for (checked, words) in [
        ("2026-02-12T00:00:00Z", ">00:00 UTC<"),
        ("2026-02-11T23:59:59Z", ">11 Feb, 23:59<"),
        ("2025-02-12T18:00:00Z", ">12 Feb 2025, 18:00<"),
    ] {
        let mut state = named("main", "main", None);
        state.newest.as_mut().unwrap().timestamp = at(checked);
        assert!(page(&snapshot(vec![state])).contains(words), "{words}");
    }
    let unchecked = ServiceState { newest: None, ..named("main", "main", None) };
    assert!(page(&snapshot(vec![unchecked])).contains("<p class=\"age\"></p>"));
}

#[test]
fn more_than_twenty_services_can_be_searched() {
    for (count, searchable) in [(0, false), (20, false), (21, true)] {
        let services = (0..count).map(|n| named(&format!("s{n}"), "x", None)).collect();
        assert_eq!(page(&snapshot(services)).contains("id=\"search\""), searchable, "{count}");
    }
}

#[test]
fn every_link_of_our_own_carries_the_base_path() {
    for base in ["", "/monitor"] {
        let overall = [Overall::Operational, Overall::Partial, Overall::Major, Overall::Unknown];
        let every_state = overall
            .map(|overall| Snapshot { overall, ..snapshot(vec![failing(named("main", "main", None))]) });
        let html = every_state.map(|snapshot| every_page(base, &snapshot).concat()).concat();
        let own = html
            .split(" href=\"")
            .chain(html.split(" src=\""))
            .chain(html.split(" action=\""))
            .filter(|rest| rest.starts_with('/'));
        for link in own {
            assert!(
                link.starts_with(&format!("{base}/status"))
                    || link.starts_with(&format!("{base}/api/status\"")),
                "{}",
                &link[..40]
            );
        }
        for asset in site("x", base).assets.all() {
            assert!(html.contains(&format!("\"{base}/status/assets/{}\"", asset.name)));
        }
    }
}

#[test]
fn nothing_stands_in_the_page_that_its_policy_forbids() {
    for html in every_page("", &snapshot(vec![failing(named("main", "main", None))])) {
        assert!(!html.contains(" style=") && !html.contains("<style"), "{html}");
        assert!(!["onload=", "onclick=", "onerror=", "javascript:"].iter().any(|code| html.contains(code)));
        assert_eq!(inline_script(&html), assets::EARLY);
        if !html.contains("Error 404.") {
            assert_eq!(html.matches("<script").count(), 2);
            assert!(html.contains("<script type=\"module\" src=\"/status/assets/status."));
        }
    }
}

#[test]
fn there_is_no_page_of_what_is_not_there() {
    let snapshot = snapshot(vec![failing(named("main", "main", None)), named("b", "b", None)]);
    let began = snapshot.services[0].past.outages[0].began;
    let later = began + chrono::TimeDelta::milliseconds(1);
    for nothing in [
        Asked::Service("other".into(), Period::Day),
        Asked::Outages(Some("other".into()), None),
        Asked::Outage("main".into(), later),
        Asked::Outage("main".into(), began - chrono::TimeDelta::milliseconds(2)),
        Asked::Outage("b".into(), began),
    ] {
        assert_eq!(asked_at("", &snapshot, &nothing), None, "{nothing:?}");
    }
}

#[test]
fn a_service_page_tells_since_when_and_why() {
    let told = |state: ServiceState| {
        let html = asked_at("", &snapshot(vec![state]), &Asked::Service("main".into(), Period::Day)).unwrap();
        let text = html.split("class=\"explain\">").nth(1).unwrap().split("</p>").next().unwrap();
        let plain: Vec<&str> = text.split('<').map(|part| part.split('>').next_back().unwrap()).collect();
        plain.concat()
    };
    let failing = failing(named("main", "main", None));
    let offline = |mut state: ServiceState| {
        state.newest.as_mut().unwrap().status = Status::Offline;
        state
    };
    assert_eq!(
        told(offline(failing.clone())),
        "It could not be reached, since 16:00 UTC. Last online at 18:00 UTC."
    );
    let stale = ServiceState { stale: true, status: Status::Unknown, ..offline(failing.clone()) };
    assert!(told(stale).starts_with("No data since 18:00 UTC; it was Offline then."));
    let mut back = ServiceState { status: Status::Online, ..failing };
    Arc::make_mut(&mut back.past).outages[0].after = Some(at("2026-02-12T18:00:00Z"));
    assert_eq!(told(back.clone()), "Online since 18:00 UTC.");
    let days = (0..90).map(|n| (snapshot(Vec::new()).today - 89 + n, [1, 0, 0, 0, 1])).collect();
    back.past = Arc::new(Past { days, ..Past::default() });
    assert_eq!(told(back.clone()), "No outage in 90 days.");
    back.past = Arc::default();
    assert_eq!(told(back.clone()), "", "nothing is known");
    let never = ServiceState { newest: None, last_online: None, status: Status::Unknown, ..back };
    assert_eq!(told(never), "No check yet; the first is due at 20:00 UTC.");
}

#[test]
fn outages_are_told_newest_first_a_page_at_a_time_and_each_once() {
    let mut state = failing(named("main", "main", None));
    let first = at("2026-01-01T00:00:00Z");
    let outages = (0..120).map(|n| {
        // Some begin at the same instant, for an address.
        let began = first + chrono::TimeDelta::microseconds((n - n % 3) * 3_600_000_000 + n);
        Outage { began, ended: began, ..state.past.outages[0].clone() }
    });
    Arc::make_mut(&mut state.past).outages = outages.collect();
    let snapshot = snapshot(vec![state]);
    let (mut told, mut until) = (Vec::new(), None);
    loop {
        let html = asked_at("", &snapshot, &Asked::Outages(None, until)).unwrap();
        let keys: Vec<String> =
            html.split("/outages/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        assert!((1..=52).contains(&keys.len()), "{}", keys.len());
        told.extend(keys);
        let Some(older) = html.split("before=").find(|rest| rest.contains(">Older<")) else { break };
        until = Some(at(older.split('"').next().unwrap()));
    }
    assert_eq!(told.len(), 120);
    assert!(told.is_sorted_by(|a, b| a >= b));
}

fn inline_script(html: &str) -> &str {
    html.split("<script>").nth(1).unwrap().split("</script>").next().unwrap()
}

#[test]
fn the_policy_names_the_script_that_stands_in_the_page_by_its_hash() {
    let policy = site("x", "").policy;
    for html in every_page("", &snapshot(vec![failing(named("main", "main", None))])) {
        let digest = ring::digest::digest(&ring::digest::SHA256, inline_script(&html).as_bytes());
        let source = format!("script-src 'self' 'sha256-{}';", BASE64_STANDARD.encode(digest));
        assert!(policy.to_str().unwrap().contains(&source), "write {source}");
    }
}

#[test]
fn an_error_is_explained_and_leads_back() {
    let renderer = Renderer::new(&site("<us>", "/monitor")).unwrap();
    for status in [400, 404, 405, 408, 413, 418, 431, 500, 502, 503] {
        let html = renderer.error_page(status);
        assert!(html.contains(&format!("Error {status}.")), "{html}");
        assert!(html.contains("<a class=\"button\" href=\"/monitor/status\">"));
        assert!(html.contains("&lt;us&gt;") && !html.contains("<us>"));
    }
    assert!(renderer.error_page(404).contains("<title>Page not found – &lt;us&gt;</title>"));
}
