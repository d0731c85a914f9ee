//! The page and the error pages as HTML: Tera templates, compiled in and parsed once.
//! What they are given is made in `view`; what stands in the snapshot is drawn elsewhere.

mod history;
mod view;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tera::{Context, Tera};

use crate::{
    assets,
    snapshot::{ServiceState, Snapshot},
};

/// The policy under which the pages work, to the letter: no inline style, no inline script but the one that must run
/// before the first paint (`early.js`, by its hash), nothing from anywhere else.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; \
     script-src 'self' 'sha256-AdXz52b8tpb541eJqoGzC4P8vmYbBFJ5R0QLyHpFJkU='; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Tera escapes what it is given in templates whose name ends in `.html`.
const TEMPLATES: [(&str, &str); 4] = [
    ("base.html", include_str!("../templates/base.html")),
    ("error.html", include_str!("../templates/error.html")),
    ("page.html", include_str!("../templates/page.html")),
    ("parts.html", include_str!("../templates/parts.html")),
];

/// Where the cards of a group stand in `page.html`. What comes from outside is escaped, so nothing there reads so.
const CARDS: &str = "<!-- cards -->";

/// Turns snapshots into HTML.
#[derive(Debug)]
pub struct Renderer {
    tera: Tera,
}

/// What every page knows of its place.
#[derive(Debug, Clone, Serialize)]
struct Site {
    title: String,
    base: String,
    style: String,
    script: String,
    early: &'static str,
    icon: String,
}

#[derive(Serialize)]
struct ErrorPage {
    status: u16,
    heading: &'static str,
    sentence: &'static str,
}

impl Renderer {
    /// `title` heads every page. `base_path` stands before every link: empty, or like `/x`.
    ///
    /// # Errors
    /// Where a template is broken, which the tests rule out.
    pub fn new(title: &str, base_path: &str) -> Result<Renderer, tera::Error> {
        let mut tera = Tera::new();
        tera.add_raw_templates(TEMPLATES)?;
        let asset = |asset: &assets::Asset| format!("{base_path}/status/assets/{}", asset.name);
        let site = Site {
            title: title.into(),
            base: base_path.into(),
            style: asset(&assets::STYLE),
            script: asset(&assets::SCRIPT),
            early: assets::EARLY,
            icon: asset(&assets::ICON),
        };
        tera.global_context().insert("site", &site);
        Ok(Renderer { tera })
    }

    /// The status page as of `now`, the instant from which a visitor's script counts ages. Its cards are drawn one by
    /// one: all of them as one context would take many times the memory of the page.
    ///
    /// # Errors
    /// Where a template names what `view` does not give, which the tests rule out.
    pub fn page(&self, snapshot: &Snapshot, now: DateTime<Utc>) -> Result<String, tera::Error> {
        let page = view::Page::of(snapshot, now);
        let frame = self.tera.render("page.html", &Context::from_serialize(&page)?)?;
        let mut html = Vec::new();
        let mut parts = frame.split(CARDS);
        html.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
        for (group, after) in page.groups.iter().zip(parts) {
            group.services.iter().try_for_each(|state| self.card(state, snapshot.today, &mut html))?;
            html.extend_from_slice(after.as_bytes());
        }
        Ok(String::from_utf8(html)?)
    }

    fn card(&self, state: &ServiceState, today: i64, html: &mut Vec<u8>) -> Result<(), tera::Error> {
        let mut context = Context::new();
        context.insert("card", &view::Card::of(state, today));
        self.tera.render_component_to("card", &context, None, true, html)
    }

    /// A page for people who asked for what is not there: what happened, and the way back.
    pub fn error_page(&self, status: u16) -> String {
        let (heading, sentence) = explain(status);
        Context::from_serialize(&ErrorPage { status, heading, sentence })
            .and_then(|context| self.tera.render("error.html", &context))
            .unwrap_or_else(|_| format!("<!doctype html><title>{heading}</title><p>{sentence}"))
    }
}

/// A heading and a sentence for an HTTP status.
const fn explain(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("Bad request", "The request could not be understood."),
        404 => ("Page not found", "There is nothing at this address."),
        405 => ("Method not allowed", "This address can be read and nothing else."),
        408 => ("Request too slow", "The request took too long to arrive."),
        413 | 414 | 431 => ("Request too large", "The request is longer than this server reads."),
        503 => ("Not available", "This can’t be answered just now. Please try again in a moment."),
        500..=599 => {
            ("Something went wrong", "The error is this server’s own. Please try again in a moment.")
        }
        _ => ("That did not work", "The request could not be answered."),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::prelude::{BASE64_STANDARD, Engine};
    use shared::{Service, Status};

    use super::*;
    use crate::{
        sample::{at, main, snapshot},
        snapshot::{Overall, ServiceState, Source},
        uptime::Percent,
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

    fn page_at(base_path: &str, snapshot: &Snapshot) -> String {
        let renderer = Renderer::new("Status of <us> & \"them\"", base_path).unwrap();
        renderer.page(snapshot, at("2026-02-12T18:10:00.5Z")).unwrap()
    }

    fn page(snapshot: &Snapshot) -> String {
        page_at("", snapshot)
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
        let html = page(&snapshot(vec![state]));
        assert!(!html.contains("<script>alert") && !html.contains("\" onload"), "{html}");
        assert!(!html.contains("<us>"), "the title too");
        assert!(
            !html.contains(CARDS) && html.contains("&lt;!-- cards"),
            "the place of the cards is ours alone"
        );
        assert_eq!(html.matches("{{ 7 * 7 }}").count(), html.matches("&lt;script&gt;alert").count());
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
            let html: String = overall
                .map(|overall| Snapshot { overall, ..snapshot(vec![named("main", "main", None)]) })
                .map(|snapshot| page_at(base, &snapshot))
                .concat()
                + &Renderer::new("x", base).unwrap().error_page(404);
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
            for asset in assets::all() {
                assert!(html.contains(&format!("\"{base}/status/assets/{}\"", asset.name)));
            }
        }
    }

    #[test]
    fn nothing_stands_in_the_page_that_its_policy_forbids() {
        let html = page(&snapshot(vec![named("main", "main", None)]));
        assert!(!html.contains(" style=") && !html.contains("<style"), "{html}");
        assert!(!["onload=", "onclick=", "onerror=", "javascript:"].iter().any(|code| html.contains(code)));
        assert_eq!(html.matches("<script").count(), 2);
        assert_eq!(inline_script(&html), assets::EARLY);
        assert!(html.contains("<script type=\"module\" src=\"/status/assets/status."));
    }

    fn inline_script(html: &str) -> &str {
        html.split("<script>").nth(1).unwrap().split("</script>").next().unwrap()
    }

    #[test]
    fn the_policy_names_the_script_that_stands_in_the_page_by_its_hash() {
        let error = Renderer::new("x", "").unwrap().error_page(404);
        for html in [page(&snapshot(vec![named("main", "main", None)])), error] {
            let digest = ring::digest::digest(&ring::digest::SHA256, inline_script(&html).as_bytes());
            let source = format!("script-src 'self' 'sha256-{}';", BASE64_STANDARD.encode(digest));
            assert!(CONTENT_SECURITY_POLICY.contains(&source), "write {source}");
        }
    }

    #[test]
    fn an_error_is_explained_and_leads_back() {
        let renderer = Renderer::new("<us>", "/monitor").unwrap();
        for status in [400, 404, 405, 408, 413, 418, 431, 500, 502, 503] {
            let html = renderer.error_page(status);
            assert!(html.contains(&format!("Error {status}.")), "{html}");
            assert!(html.contains("<a class=\"button\" href=\"/monitor/status\">"));
            assert!(html.contains("&lt;us&gt;") && !html.contains("<us>"));
        }
        assert!(renderer.error_page(404).contains("<title>Page not found – &lt;us&gt;</title>"));
    }
}
