//! Changes told as they happen: what an event holds, whom it reaches, and that streams end with the api.

use std::{
    io::{BufRead, BufReader},
    time::Duration,
};

use serde_json::Value;
use shared::testing::Database;

use crate::{
    api::{Api, check, heartbeat, publish_service},
    browser::{Habits, Visitor},
    live::Live,
    samples,
};

/// One who listens.
pub(crate) struct Listener(std::io::Lines<BufReader<ureq::BodyReader<'static>>>);

/// One event as it was told.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    id: String,
    pub(crate) data: Value,
}

impl Listener {
    fn of(api: &Api) -> Listener {
        Listener::at(&api.address).unwrap()
    }

    /// Of an api, or of a proxy before it.
    pub(crate) fn at(address: &str) -> Result<Listener, ureq::Error> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(120)))
            .tls_config(ureq::tls::TlsConfig::builder().disable_verification(true).build())
            .build()
            .into();
        let answer = agent.get(format!("{address}/api/status/events")).call()?;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
        assert_eq!(header("cache-control").as_deref(), Some("no-store"));
        Ok(Listener(BufReader::new(answer.into_body().into_reader()).lines()))
    }

    /// Waits for as many signs of life, one every 8 s. Whether they came.
    pub(crate) fn hears_signs_of_life(&mut self, number: usize) -> bool {
        self.0.by_ref().map_while(Result::ok).filter(|line| line == ":").take(number).count() == number
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        for line in self.0.by_ref() {
            let Ok(line) = line else { return None };
            match line.split_once(':') {
                Some(("event", name)) => name.trim().clone_into(&mut event.name),
                Some(("id", id)) => id.trim().clone_into(&mut event.id),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                None if !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
        None
    }
}

pub(crate) fn two_services() -> (Database, postgres::Client, Api) {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "-1 hour");
    publish_service(&mut client, "main", 0);
    publish_service(&mut client, "git", 1);
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("both services", |status| status["services"].as_array().map(Vec::len) == Some(2));
    (database, client, api)
}

#[test]
fn an_event_tells_the_services_that_changed_as_the_status_does() {
    let (_database, mut client, api) = two_services();
    let mut listener = Listener::of(&api);
    let hello = listener.next().unwrap();
    assert_eq!(hello.name, "hello");
    check(&mut client, "git", "0 s", "offline");
    let change = listener.next().unwrap();
    assert_eq!(change.name, "change");
    let status = api.status();
    assert_eq!(change.data["complete"], false);
    assert_eq!(change.data["services"].as_array().map(Vec::len), Some(1));
    assert_eq!(change.data["services"][0], status["services"][1]);
    assert_eq!(change.data["overall"], status["overall"]);
    assert_eq!(change.id, change.data["as_of"].as_str().unwrap());
    assert!(change.id > hello.id, "{} {}", change.id, hello.id);
    assert_eq!(change.data["services"][0]["last_status"], "offline");

    client.batch_execute("DELETE FROM status_services WHERE id = 'main'; UPDATE status_services_file SET revision = revision + 1").unwrap();
    let fewer = listener.next().unwrap();
    assert_eq!(
        (fewer.data["complete"].clone(), fewer.data["services"].as_array().map(Vec::len)),
        (true.into(), Some(1))
    );
}

#[test]
fn changes_that_come_at_once_are_merged() {
    let (_database, mut client, api) = two_services();
    let mut listener = Listener::of(&api);
    listener.next().unwrap();
    for n in 0..40 {
        check(&mut client, ["main", "git"][n % 2], &format!("{} s", 40 - n), "online");
    }
    let mut events = 0;
    loop {
        let event = listener.next().unwrap();
        events += 1;
        assert!(events < 20, "one a second at most");
        if api.status()["services"].as_array().unwrap().iter().all(|service| service["total_checks"] == 20)
            && event.id == api.status()["as_of"].as_str().unwrap()
        {
            break;
        }
    }
}

#[test]
fn streams_end_with_the_api_and_without_delay_for_it() {
    let (_database, _client, mut api) = two_services();
    let mut listeners: Vec<Listener> = (0..20).map(|_| Listener::of(&api)).collect();
    for listener in &mut listeners {
        assert_eq!(listener.next().unwrap().name, "hello");
    }
    api.signal("TERM");
    for listener in &mut listeners {
        assert!(listener.next().is_none());
    }
    assert!(api.wait().success());
}

#[test]
fn a_head_request_is_answered_at_once() {
    let (_database, _client, api) = two_services();
    let answer = api.ask("HEAD", "/api/status/events", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    assert_eq!(answer.header("x-accel-buffering"), "no");
}

#[test]
fn a_page_shows_what_changed_without_being_asked() {
    let live = Live::showing(&samples::well());
    let visitor = Visitor::open(&live.url(), &Habits { live: true, ..Habits::default() });
    visitor.eval::<()>("void (window.untouched = document.querySelector('#s-git'))");
    live.show(&samples::unwell());
    visitor.eventually("the change", "document.querySelector('#s-git .state').textContent === 'Offline'");
    assert!(visitor.eval::<bool>("untouched === document.querySelector('#s-git')"));
    visitor.eventually("the title", "document.title.startsWith('Partial Outage')");
    live.show(&samples::well());
    visitor.eventually("the change back", "document.title.startsWith('All Systems Operational')");
    assert_eq!(visitor.troubles(), [""; 0]);
}
