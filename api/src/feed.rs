//! Outages as an Atom feed (RFC 4287), for people who would rather be told. An entry keeps its id for ever and is updated
//! once, when its outage ends. Pure.

use std::cmp::Reverse;

use atom_syndication::{Content, Entry, Feed, FixedDateTime, Generator, Link, Person, Text};
use chrono::{DateTime, NaiveTime, Utc};
use shared::printable::printable;

use crate::{
    outages::{Outage, least},
    site::Site,
    snapshot::{ServiceState, Snapshot},
    words,
};

/// The newest of them.
const MOST_ENTRIES: usize = 50;

/// The feed of the service of this id, or of all of them, in UTF-8; `None` where there is no such service, or
/// nothing was read yet.
pub fn atom(snapshot: &Snapshot, id: Option<&str>, site: &Site) -> Option<Vec<u8>> {
    let name = id.and_then(|id| snapshot.service(id)).map(|state| state.service.name.as_str());
    let newest = |one: &(&ServiceState, &Outage)| Reverse((updated(one.1), one.1.began));
    let outages = least(snapshot.outages(id)?, MOST_ENTRIES, newest);
    let of = name.map(|name| format!("{name} – ")).unwrap_or_default();
    let (path, page) = match id {
        Some(id) => (format!("/status/services/{id}/feed.atom"), format!("/status/services/{id}")),
        None => ("/status/feed.atom".into(), "/status".into()),
    };
    let newest = outages.first().map(|(_, outage)| updated(outage));
    // Where nothing ever happened, the day tells that it is looked after.
    let today = snapshot.as_of.date_naive().and_time(NaiveTime::MIN).and_utc();
    let feed = Feed {
        title: text(&format!("{of}Outages – {}", site.title)),
        id: urn(site.id(&path)),
        updated: fixed(newest.unwrap_or(today)),
        authors: vec![Person { name: clean(&site.title), ..Person::default() }],
        generator: Some(Generator {
            value: "Service Status Monitor".into(),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            uri: None,
        }),
        links: vec![
            link("self", "application/atom+xml", site.address(&path)),
            link("alternate", "text/html", site.address(&page)),
        ],
        entries: outages.into_iter().map(|(state, outage)| entry(state, outage, site)).collect(),
        lang: Some("en".into()),
        ..Feed::default()
    };
    Some(feed.to_string().into_bytes())
}

/// What is known of it changed last then: it began, or ended.
fn updated(outage: &Outage) -> DateTime<Utc> {
    outage.after.unwrap_or(outage.began)
}

fn entry(state: &ServiceState, outage: &Outage, site: &Site) -> Entry {
    let service = &state.service;
    let cause = words::cause(outage.status, outage.failure, None, service);
    let state_word = words::state(outage.status).to_lowercase();
    let (title, sentence) = match outage.after {
        Some(after) => (
            format!("{} was {state_word}", service.name),
            format!(
                "{cause}. Failed from {} to {}; online again by {}.",
                words::second_in_utc(outage.began),
                words::second_in_utc(outage.ended),
                words::second_in_utc(after)
            ),
        ),
        None => (
            format!("{} is {state_word}", service.name),
            format!("{cause}. Failing since {}.", words::second_in_utc(outage.began)),
        ),
    };
    Entry {
        title: text(&title),
        id: urn(site.id_of(&service.id, outage)),
        updated: fixed(updated(outage)),
        published: Some(fixed(outage.began)),
        links: vec![link("alternate", "text/html", site.address(&outage.path(&service.id)))],
        content: Some(Content {
            value: Some(clean(&sentence)),
            content_type: Some("text".into()),
            ..Content::default()
        }),
        ..Entry::default()
    }
}

/// No character that XML has no place for.
fn clean(text: &str) -> String {
    printable(text).into_owned()
}

fn text(value: &str) -> Text {
    Text::plain(clean(value))
}

fn link(rel: &str, mime_type: &str, href: String) -> Link {
    Link { rel: rel.into(), mime_type: Some(mime_type.into()), href, ..Link::default() }
}

fn urn(id: uuid::Uuid) -> String {
    id.urn().to_string()
}

fn fixed(at: DateTime<Utc>) -> FixedDateTime {
    at.fixed_offset()
}
