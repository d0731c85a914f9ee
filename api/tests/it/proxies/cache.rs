//! What nginx keeps, and for how long it hands that out: as the api says, in place of errors too, and changes never.

use shared::testing::{Database, eventually, within};

use super::{Proxy, at, nginx_locations, nginx_site};
use crate::api::{Answer, Api, heartbeat, publish_service};

fn get_as(proxy: &Proxy, form: &str, tag: &str) -> Answer {
    proxy.ask("GET", "/status", &[("Accept-Encoding", form), ("If-None-Match", tag)])
}

#[test]
fn a_cache_keeps_every_form_and_knows_its_tag() {
    let api = Api::start(None, &[]);
    let proxy = nginx_locations(at(&api));
    for (form, coding) in [("gzip", "gzip"), ("br", "br"), ("identity", "")] {
        let kept = get_as(&proxy, form, "");
        assert_eq!((kept.status, kept.header("content-encoding")), (200, coding));
        assert!(String::from_utf8(kept.content()).unwrap().contains("</html>"), "{form}");
        let known = get_as(&proxy, form, kept.header("etag"));
        assert_eq!((known.status, known.header("etag")), (304, kept.header("etag")), "{form}");
        eventually("an answer that is not asked of the api", || {
            get_as(&proxy, form, "").header("x-cache") == "HIT"
        });
    }
}

#[test]
fn a_cache_hands_out_what_is_older_while_the_api_is_slow() {
    let api = Api::start(None, &[]);
    for proxy in [nginx_locations(at(&api)), nginx_site(at(&api))] {
        assert_eq!(get_as(&proxy, "gzip", "").status, 200);
        api.signal("STOP");
        eventually("an older answer while the api is asked", || {
            let answer = get_as(&proxy, "gzip", "");
            assert_eq!((answer.status, answer.header("content-encoding")), (200, "gzip"));
            ["STALE", "UPDATING"].contains(&answer.header("x-cache"))
        });
        api.signal("CONT");
    }
}

#[test]
fn a_cache_hands_out_what_is_older_in_place_of_an_error_and_then_does_not() {
    let api = Api::start(None, &[]);
    let proxies = [nginx_locations(at(&api)), nginx_site(at(&api))];
    for proxy in &proxies {
        assert_eq!(get_as(proxy, "br", "").status, 200);
    }
    drop(api);
    for proxy in &proxies {
        eventually("an older answer", || {
            let answer = get_as(proxy, "br", "");
            assert_eq!((answer.status, answer.header("content-encoding")), (200, "br"));
            answer.header("x-cache") == "STALE"
        });
    }
    if std::env::var_os("STATUS_TEST_LONG").is_some() {
        for proxy in &proxies {
            let over = || get_as(proxy, "br", "").status == 502;
            within(std::time::Duration::from_secs(90), "a page too old to be shown", over);
        }
    }
}

#[test]
fn what_a_cache_hands_out_is_the_new_within_moments() {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "-1 hour");
    let api = Api::start(Some(&database.url), &[]);
    for (n, proxy) in (0..).zip([nginx_locations(at(&api)), nginx_site(at(&api))]) {
        let services = || proxy.get("/api/status").json()["services"].as_array().map(Vec::len);
        services();
        publish_service(&mut client, &format!("service-{n}"), n);
        eventually("the new service", || services() == usize::try_from(n + 1).ok());
    }
}
