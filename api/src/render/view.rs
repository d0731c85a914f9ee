//! What the templates are given: a snapshot in the order of the page and in the words of people.
//! Pure; the sentences around the figures stand in the templates.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Datelike, Utc};
use serde::Serialize;
use shared::{Service, Status};

use super::history::{self, Spark, Strip};
use crate::{
    assets::{Asset, digest},
    facts::STRIP_DAYS,
    json,
    snapshot::{Overall, ServiceState, Snapshot, day_of},
    uptime::{Percent, Window},
    words,
};

/// With more services than this the page can be searched.
const AT_A_GLANCE: usize = 20;
/// How many affected services the banner names before it says how many more there are.
const NAMED: usize = 8;
/// Worst first, as counts are told.
const WORST_FIRST: [Status; 5] =
    [Status::Offline, Status::Timeout, Status::Degraded, Status::Unknown, Status::Online];
/// The heading over services without a group, where others have one.
const UNGROUPED: &str = "Other services";

/// What every page tells of what stands behind its figures.
#[derive(Serialize)]
pub(super) struct Frame {
    now: String,
    source: &'static str,
    silent_since: Option<Instant>,
    as_of: Instant,
    /// The name of the asset that tells the state in the tab.
    tab: String,
}

/// All that `page.html` names.
#[derive(Serialize)]
pub(super) struct Page<'a> {
    #[serde(flatten)]
    frame: Frame,
    overall: Banner,
    tally: Vec<Count>,
    affected: Vec<Affected<'a>>,
    affected_more: usize,
    last_check: Option<Instant>,
    next_check: Option<Instant>,
    total: usize,
    searchable: bool,
    pub(super) groups: Vec<Group<'a>>,
    states: [Word; 5],
    cadence: Option<String>,
    slow_after: Option<String>,
    timeout: Option<String>,
}

/// An instant, for programs and for people.
#[derive(Serialize)]
pub(super) struct Instant {
    iso: String,
    /// To the second.
    clock: String,
    minute: String,
    date: String,
    /// Whether it is of the day of the page, so that its date need not be told.
    today: bool,
}

/// The overall word, the state whose colour it bears, and its shape.
#[derive(Serialize)]
struct Banner {
    key: &'static str,
    tone: &'static str,
    icon: &'static str,
    word: &'static str,
}

#[derive(Serialize)]
pub(super) struct Word {
    key: &'static str,
    pub(super) word: &'static str,
}

#[derive(Serialize)]
struct Count {
    count: usize,
    key: &'static str,
    word: String,
}

#[derive(Serialize)]
struct Affected<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
pub(super) struct Group<'a> {
    /// Another heading has another; what is under it may come and go.
    id: String,
    heading: Option<&'a str>,
    worst: &'static str,
    tally: String,
    #[serde(skip)]
    pub(super) services: Vec<&'a ServiceState>,
}

/// What the component `card` names.
#[derive(Serialize)]
pub(super) struct Card<'a> {
    id: &'a str,
    name: &'a str,
    link: Option<Link<'a>>,
    status: Word,
    stale: bool,
    response: Option<String>,
    no_answer: bool,
    code: Option<String>,
    checks: String,
    /// When its newest check was; `None` before its first.
    checked: Option<Moment>,
    reason: Option<String>,
    last: Option<Last>,
    strip: Strip,
    figures: [Figure; 5],
    spark: Option<Spark>,
}

/// An instant as short as can be, beside many others.
#[derive(Serialize)]
struct Moment {
    iso: String,
    short: String,
}

#[derive(Serialize)]
pub(super) struct Link<'a> {
    href: &'a str,
    /// What it reads; `None` where that would repeat the name.
    text: Option<&'a str>,
}

/// What the newest check of a stale service said, and when.
#[derive(Serialize)]
struct Last {
    at: Instant,
    status: Word,
}

#[derive(Serialize)]
pub(super) struct Figure {
    label: String,
    value: Option<String>,
    tone: &'static str,
    /// Why there is no value.
    why: String,
}

impl<'a> Page<'a> {
    pub(super) fn of(frame: Frame, snapshot: &'a Snapshot) -> Page<'a> {
        let services = &snapshot.services;
        let affected = affected(services);
        let instant = |at| Instant::of(at, snapshot.today);
        Page {
            frame,
            overall: Banner::of(snapshot.overall),
            tally: tally(&services.iter().map(|state| state.status).collect::<Vec<_>>()),
            affected_more: affected.len().saturating_sub(NAMED),
            affected: affected.into_iter().take(NAMED).collect(),
            last_check: snapshot.last_check.map(instant),
            next_check: snapshot.next_check.map(instant),
            total: services.len(),
            searchable: services.len() > AT_A_GLANCE,
            groups: groups(services),
            states: [Status::Online, Status::Degraded, Status::Timeout, Status::Offline, Status::Unknown]
                .map(Word::of),
            cadence: words::cadence(services.iter().map(|state| state.service.as_ref())),
            slow_after: agreed(services.iter().map(|state| state.service.slow_after)),
            timeout: agreed(services.iter().map(|state| state.service.timeout)),
        }
    }
}

impl Frame {
    /// `icon`: that of the tab.
    pub(super) fn of(snapshot: &Snapshot, icon: &Asset, now: DateTime<Utc>) -> Frame {
        Frame {
            now: json::instant(now),
            source: json::source(&snapshot.source),
            silent_since: json::silent_since(&snapshot.source).map(|at| Instant::of(at, snapshot.today)),
            as_of: Instant::of(snapshot.as_of, snapshot.today),
            tab: icon.name.clone(),
        }
    }
}

impl Instant {
    /// `today`: the day of the page, in days since 1970.
    pub(super) fn of(at: DateTime<Utc>, today: i64) -> Instant {
        Instant {
            iso: json::instant(at),
            clock: at.format("%H:%M:%S").to_string(),
            minute: at.format("%H:%M").to_string(),
            date: at.format("%-d %b %Y").to_string(),
            today: day_of(at) == today,
        }
    }

    pub(super) fn minute_in_utc(&self) -> String {
        format!("{}, {} UTC", self.date, self.minute)
    }
}

impl Moment {
    /// To the minute, with as much of its date as differs from that of `today`, in days since 1970.
    fn of(at: DateTime<Utc>, today: i64) -> Moment {
        let this_year = |today: DateTime<Utc>| today.year() == at.year();
        let this_year = DateTime::from_timestamp(today * 86_400, 0).is_some_and(this_year);
        let form = match (day_of(at) == today, this_year) {
            (true, _) => "%H:%M UTC",
            (false, true) => "%-d %b, %H:%M",
            (false, false) => "%-d %b %Y, %H:%M",
        };
        Moment { iso: json::instant(at), short: at.format(form).to_string() }
    }
}

impl Banner {
    fn of(overall: Overall) -> Banner {
        let (tone, icon) = match overall {
            Overall::Operational => ("online", "online"),
            Overall::Partial => ("degraded", "partial"),
            Overall::Major => ("offline", "offline"),
            Overall::Unknown => ("unknown", "unknown"),
        };
        Banner { key: json::overall(overall), tone, icon, word: overall.as_str() }
    }
}

impl Word {
    pub(super) fn of(status: Status) -> Word {
        Word { key: status.as_str(), word: words::state(status) }
    }
}

impl<'a> Card<'a> {
    pub(super) fn of(state: &'a ServiceState, today: i64) -> Card<'a> {
        let (service, newest) = (state.service.as_ref(), state.newest.as_ref());
        Card {
            id: &service.id,
            name: &service.name,
            link: Link::of_service(service),
            status: Word::of(state.status),
            stale: state.stale,
            response: newest.and_then(|newest| newest.response_time_ms).map(words::milliseconds),
            no_answer: newest.is_some_and(|newest| {
                newest.status_code.is_none() && matches!(newest.status, Status::Offline | Status::Timeout)
            }),
            // As text, since a template takes the number 0 for nothing.
            code: newest.and_then(|newest| newest.status_code).map(|code| code.to_string()),
            checks: words::checks(state.total_checks),
            checked: newest.map(|newest| Moment::of(newest.timestamp, today)),
            reason: words::reason(state),
            last: newest.filter(|_| state.stale).map(|newest| Last {
                at: Instant::of(newest.timestamp, today),
                status: Word::of(newest.status),
            }),
            strip: Strip::of(&state.past, today, &service.name),
            figures: figures(state, today),
            spark: Spark::of(&state.past, today),
        }
    }
}

impl<'a> Link<'a> {
    /// `None` where it has none that may be followed.
    pub(super) fn of_service(service: &'a Service) -> Option<Link<'a>> {
        let href = service.link.as_deref().and_then(json::followable);
        href.map(|href| Link::of(href, &service.name))
    }

    fn of(href: &'a str, name: &str) -> Link<'a> {
        let (_, text) = href.split_once("//").unwrap_or(("", href));
        let text = text.strip_suffix('/').unwrap_or(text);
        Link { href, text: (text != name && href != name).then_some(text) }
    }
}

/// Uptime over each window, and before all time that over the days of the strip.
pub(super) fn figures(state: &ServiceState, today: i64) -> [Figure; 5] {
    let strip = history::uptime(&state.past, today).filter(|_| state.past.reaches_back(today));
    let of = |window| Figure::of(label(window), state.uptime(window), why_unknown(window));
    let days = format!("{STRIP_DAYS}\u{a0}d");
    let why = format!("No check, or less history than {days}");
    [of(Window::Day), of(Window::Week), of(Window::Month), Figure::of(days, strip, why), of(Window::AllTime)]
}

impl Figure {
    fn of(label: String, uptime: Option<Percent>, why: String) -> Figure {
        let value = uptime.map(words::percent);
        Figure { label, value, tone: uptime.map_or("unknown", tone), why }
    }
}

/// The class of an uptime: coloured at 99, 95 and 90 %.
pub(super) fn tone(uptime: Percent) -> &'static str {
    match uptime.thousandths() {
        99_000.. => "online",
        95_000.. => "good",
        90_000.. => "degraded",
        _ => "offline",
    }
}

fn label(window: Window) -> String {
    match window {
        Window::Day => "24\u{a0}h".into(),
        Window::Week => "7\u{a0}d".into(),
        Window::Month => "30\u{a0}d".into(),
        Window::AllTime => "All\u{a0}time".into(),
    }
}

fn why_unknown(window: Window) -> String {
    match window {
        Window::AllTime => "No check yet".into(),
        sliding => format!("No check, or less history than {}", label(sliding)),
    }
}

/// How many services are in each state that occurs, worst first.
fn tally(statuses: &[Status]) -> Vec<Count> {
    WORST_FIRST
        .into_iter()
        .map(|wanted| Count {
            count: statuses.iter().filter(|status| **status == wanted).count(),
            key: wanted.as_str(),
            word: words::state(wanted).to_lowercase(),
        })
        .filter(|count| count.count > 0)
        .collect()
}

/// The services that are not well, worst first, else in the order of the file.
fn affected(services: &[ServiceState]) -> Vec<Affected<'_>> {
    WORST_FIRST[..3]
        .iter()
        .flat_map(|status| services.iter().filter(move |state| state.status == *status))
        .map(|state| Affected { id: &state.service.id, name: &state.service.name })
        .collect()
}

/// The services under their headings, which stand in the order of the first service that bears them.
fn groups(services: &[ServiceState]) -> Vec<Group<'_>> {
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    let mut named: Vec<(Option<&str>, Vec<&ServiceState>)> = Vec::new();
    for state in services {
        let name = state.service.group.as_deref();
        let place = *places.entry(name).or_insert(named.len());
        if place == named.len() {
            named.push((name, Vec::new()));
        }
        named[place].1.push(state);
    }
    let alone = places.len() == 1;
    named.into_iter().map(|(name, of_group)| Group::of(name, alone, of_group)).collect()
}

impl<'a> Group<'a> {
    /// `alone`: there is no other group.
    fn of(name: Option<&'a str>, alone: bool, services: Vec<&'a ServiceState>) -> Group<'a> {
        let counts = tally(&services.iter().map(|state| state.status).collect::<Vec<_>>());
        let told = counts.iter().map(|count| format!("{}\u{a0}{}", count.count, count.word));
        Group {
            id: digest(name.unwrap_or_default().as_bytes()),
            heading: name.or((!alone).then_some(UNGROUPED)),
            worst: counts.first().map_or("unknown", |count| count.key),
            tally: told.collect::<Vec<_>>().join(", "),
            services,
        }
    }
}

/// A length that all agree on, in words.
fn agreed(mut lengths: impl Iterator<Item = Duration>) -> Option<String> {
    let first = lengths.next()?;
    lengths.all(|length| length == first).then(|| words::span(first))
}
