//! What the templates of the pages of one service and of outages are given. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use shared::{Service, Status};

use super::{
    chart::Drawing,
    history::{self, DayRow, Strip},
    outage::{self, Item},
    view::{Figure, Frame, Instant, Link, Word, figures},
};
use crate::{
    facts::STRIP_DAYS,
    inquiries::{Charts, Unanswered},
    json,
    outages::Outage,
    response_times::Period,
    snapshot::{ServiceState, Snapshot},
    words,
};

/// Outages on the page of a service.
const NEWEST: usize = 10;
/// Outages on a page of nothing else.
const ON_A_PAGE: usize = 50;

/// All that `service.html` names.
#[derive(Serialize)]
pub(super) struct ServicePage<'a> {
    #[serde(flatten)]
    frame: Frame,
    id: &'a str,
    name: &'a str,
    group: Option<&'a str>,
    link: Option<Link<'a>>,
    status: Word,
    since: Since,
    reason: Option<String>,
    response: Option<String>,
    code: Option<String>,
    checks: String,
    last_check: Option<Instant>,
    next_check: Option<Instant>,
    last_online: Option<Instant>,
    cadence: Option<String>,
    figures: [Figure; 5],
    strip: Strip,
    days: Vec<DayRow>,
    period: &'static str,
    chart: Option<Drawing>,
    busy: bool,
    outages: Vec<Item<'a>>,
    more: usize,
}

/// How long it has been what it is, as far as its outages tell.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Since {
    /// Online since this check.
    Online { at: Instant },
    /// Not online since this check.
    Failing { at: Instant },
    /// Stale: its newest check is of this instant, and what it said.
    Lost { at: Instant, was: &'static str },
    /// Online, without an outage in all the days that are shown.
    Always { days: i64 },
    /// There is nothing to tell.
    Unknown,
}

impl<'a> ServicePage<'a> {
    /// `charts`: what the database said of its response times.
    pub(super) fn of(
        frame: Frame,
        snapshot: &'a Snapshot,
        state: &'a ServiceState,
        period: Period,
        charts: Result<&Charts, Unanswered>,
        now: DateTime<Utc>,
    ) -> ServicePage<'a> {
        let (service, newest) = (state.service.as_ref(), state.newest.as_ref());
        let outages = &state.past.outages;
        let instant = |at| Instant::of(at, snapshot.today);
        let chart = charts.ok().and_then(|charts| charts.iter().find(|chart| chart.period == period));
        ServicePage {
            frame,
            id: &service.id,
            name: &service.name,
            group: service.group.as_deref(),
            link: Link::of_service(service),
            status: Word::of(state.status),
            since: Since::of(state, snapshot.today),
            reason: words::reason(state),
            response: newest.and_then(|newest| newest.response_time_ms).map(words::milliseconds),
            code: newest.and_then(|newest| newest.status_code).map(|code| code.to_string()),
            checks: words::checks(state.total_checks),
            last_check: newest.map(|newest| instant(newest.timestamp)),
            next_check: snapshot.next_check.map(|_| instant(service.next_turn(now))),
            last_online: state.last_online.filter(|_| state.status != Status::Online).map(instant),
            cadence: words::cadence(std::iter::once::<&Service>(service)),
            figures: figures(state, snapshot.today),
            strip: Strip::of(&state.past, snapshot.today, &service.name),
            days: history::rows(&state.past, snapshot.today),
            period: period.key(),
            chart: chart.map(|chart| Drawing::of(chart, service.slow_after)),
            busy: matches!(charts, Err(Unanswered::Busy)),
            outages: outages
                .iter()
                .rev()
                .take(NEWEST)
                .map(|outage| Item::of(state, outage, snapshot.today, now))
                .collect(),
            more: outages.len().saturating_sub(NEWEST),
        }
    }
}

impl Since {
    fn of(state: &ServiceState, today: i64) -> Since {
        let Some(newest) = &state.newest else { return Since::Unknown };
        let instant = |at| Instant::of(at, today);
        let last = state.past.outages.last();
        match (state.status, last) {
            _ if state.stale => {
                Since::Lost { at: instant(newest.timestamp), was: words::state(newest.status) }
            }
            (Status::Online, Some(Outage { after: Some(after), .. })) => {
                Since::Online { at: instant(*after) }
            }
            (Status::Online, None) if state.past.reaches_back(today) => Since::Always { days: STRIP_DAYS },
            (Status::Online, _) => Since::Unknown,
            (_, Some(Outage { began, after: None, .. })) => Since::Failing { at: instant(*began) },
            _ => Since::Unknown,
        }
    }
}

/// All that `outages.html` names.
#[derive(Serialize)]
pub(super) struct OutagesPage<'a> {
    #[serde(flatten)]
    frame: Frame,
    days: i64,
    /// The service that they are of; `None` for all.
    id: Option<&'a str>,
    name: Option<&'a str>,
    until: Option<Instant>,
    /// What the page's own address ends with.
    query: String,
    outages: Vec<Item<'a>>,
    total: usize,
    /// Those that began before this are on the next page.
    older: Option<String>,
    /// Outages that go on.
    ongoing: usize,
}

impl<'a> OutagesPage<'a> {
    /// Those of one service, or of all; those that began before `until`, where it is told, newest first.
    pub(super) fn of(
        frame: Frame,
        snapshot: &'a Snapshot,
        only: Option<&'a ServiceState>,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> OutagesPage<'a> {
        let states =
            snapshot.services.iter().filter(|state| only.is_none_or(|only| std::ptr::eq(only, *state)));
        let all = states.flat_map(|state| state.past.outages.iter().map(move |outage| (state, outage)));
        let mut outages: Vec<(&ServiceState, &Outage)> = all.collect();
        let total = outages.len();
        let goes_on = |(state, outage): &&(&ServiceState, &Outage)| outage.after.is_none() && !state.stale;
        let ongoing = outages.iter().filter(goes_on).count();
        outages.retain(|(_, outage)| until.is_none_or(|until| outage.began < until));
        outages.sort_by_key(|(_, outage)| std::cmp::Reverse(outage.began));
        let older = cut(&mut outages);
        OutagesPage {
            frame,
            days: STRIP_DAYS,
            id: only.map(|state| state.service.id.as_str()),
            name: only.map(|state| state.service.name.as_str()),
            until: until.map(|at| Instant::of(at, snapshot.today)),
            query: query(only.map(|state| &*state.service.id), until),
            outages: outages
                .into_iter()
                .map(|(state, outage)| Item::of(state, outage, snapshot.today, now))
                .collect(),
            total,
            older,
            ongoing,
        }
    }
}

fn query(id: Option<&str>, until: Option<DateTime<Utc>>) -> String {
    let parts =
        [id.map(|id| format!("service={id}")), until.map(|at| format!("before={}", json::instant(at)))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

/// Leaves those of one page, and all that began with the last of them; gives where the next one begins, if there is one.
fn cut(outages: &mut Vec<(&ServiceState, &Outage)>) -> Option<String> {
    // An address tells milliseconds.
    let ms = |outage: &Outage| outage.began.timestamp_millis();
    let last = ms(outages.get(ON_A_PAGE - 1)?.1);
    let end = outages.iter().position(|(_, outage)| ms(outage) < last)?;
    outages.truncate(end);
    outages.last().map(|(_, outage)| outage::key(outage))
}

/// All that `outage.html` names.
#[derive(Serialize)]
pub(super) struct OutagePage<'a> {
    #[serde(flatten)]
    frame: Frame,
    summary: String,
    word: &'static str,
    outage: Item<'a>,
}

impl<'a> OutagePage<'a> {
    /// The outage that has a check at this instant, or nearly; `None` where there is none.
    pub(super) fn of(
        frame: Frame,
        snapshot: &'a Snapshot,
        state: &'a ServiceState,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<OutagePage<'a>> {
        // The address tells milliseconds, the database microseconds.
        let holds = |outage: &&Outage| outage.began < at + TimeDelta::milliseconds(1) && at <= outage.ended;
        let outage = Item::of(state, state.past.outages.iter().find(holds)?, snapshot.today, now);
        Some(OutagePage { frame, summary: outage.summary(), word: outage.word(), outage })
    }
}
