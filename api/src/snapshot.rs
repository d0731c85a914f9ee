//! All that the page and the JSON need at one instant: conclusions drawn from facts and the time.
//! Pure: what was read, and when, comes in; nothing is read here.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, Utc};
use shared::{Service, Status};

use crate::{
    facts::{Facts, Newest, Past, Reading},
    outages::Outage,
    uptime::{Percent, Window},
};

/// All that the page and the JSON need at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The instant that the figures hold for: the last time the database was read, or the start of the api.
    pub as_of: DateTime<Utc>,
    /// The UTC day that the strip of days ends with, in days since 1970.
    pub today: i64,
    /// What stands behind the figures.
    pub source: Source,
    /// The newest check of the services shown.
    pub last_check: Option<DateTime<Utc>>,
    /// The earliest turn still to come; `None` where the monitor is silent or nothing is shown.
    pub next_check: Option<DateTime<Utc>>,
    /// The one word over all of them.
    pub overall: Overall,
    /// In the order of the services file.
    pub services: Vec<ServiceState>,
}

/// What stands behind the figures of a snapshot, worst first: the page says so in its notice.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// There is nothing to read from: no `DATABASE_URL`.
    Unconfigured,
    /// The database was never read since the start; why, in words for visitors.
    NeverRead,
    /// The database was not read for [`crate::snapshot::AWAY_AFTER`] or longer; `as_of` is the last time.
    Away,
    /// The database is read, and no prober has prepared it yet.
    Empty,
    /// The database is read, and no prober left a heartbeat for [`crate::snapshot::SILENT_AFTER`] or longer.
    Silent {
        /// The newest heartbeat, if there ever was one.
        since: Option<DateTime<Utc>>,
    },
    /// The database is read and the monitor is alive.
    Live,
}

/// What the api knows when it draws conclusions.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// There is no `DATABASE_URL`.
    Unconfigured,
    /// Nothing was read since the start, which was then.
    Nothing(DateTime<Utc>),
    /// The last reading.
    Reading(Reading),
}

/// Draws all conclusions: how the world looks at `now`, from what is known.
pub fn assemble(known: &Known, now: DateTime<Utc>) -> Snapshot {
    match known {
        Known::Unconfigured => empty(Source::Unconfigured, now),
        Known::Nothing(start) => empty(Source::NeverRead, *start),
        Known::Reading(reading) => from_reading(reading, now),
    }
}

fn empty(source: Source, as_of: DateTime<Utc>) -> Snapshot {
    Snapshot {
        as_of,
        today: day_of(as_of),
        source,
        last_check: None,
        next_check: None,
        overall: Overall::Unknown,
        services: Vec::new(),
    }
}

fn from_reading(reading: &Reading, now: DateTime<Utc>) -> Snapshot {
    let source = source(reading, now);
    // While nothing new is read, windows slide over what is at hand.
    let figures_at = if source == Source::Away { now.trunc_subsecs(3) } else { reading.read_at };
    let services: Vec<ServiceState> =
        reading.services.iter().map(|(service, facts)| state(service, facts, figures_at, now)).collect();
    let alive = !matches!(source, Source::Silent { .. });
    let statuses: Vec<Status> = services.iter().map(|state| state.status).collect();
    let next_turns = reading.services.iter().map(|(service, _)| service.next_turn(now));
    Snapshot {
        as_of: reading.read_at,
        today: day_of(figures_at),
        last_check: services.iter().filter_map(|state| Some(state.newest.as_ref()?.timestamp)).max(),
        next_check: next_turns.filter(|_| alive).min(),
        overall: Overall::of(&statuses),
        source,
        services,
    }
}

/// The number of a UTC day, in days since 1970.
pub fn day_of(instant: DateTime<Utc>) -> i64 {
    instant.timestamp().div_euclid(86_400)
}

fn source(reading: &Reading, now: DateTime<Utc>) -> Source {
    let older_than =
        |instant: DateTime<Utc>, age: Duration| (now - instant).to_std().is_ok_and(|past| past >= age);
    if older_than(reading.read_at, AWAY_AFTER) {
        Source::Away
    } else if !reading.prepared {
        Source::Empty
    } else if reading.heartbeat.is_none_or(|heartbeat| older_than(heartbeat, SILENT_AFTER)) {
        Source::Silent { since: reading.heartbeat }
    } else {
        Source::Live
    }
}

fn state(
    service: &Arc<Service>,
    facts: &Facts,
    figures_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> ServiceState {
    let stale = facts
        .newest
        .as_ref()
        .is_some_and(|newest| (now - newest.timestamp).to_std().is_ok_and(|age| age > service.stale_after()));
    let status = facts.newest.as_ref().map_or(Status::Unknown, |newest| newest.status);
    ServiceState {
        service: Arc::clone(service),
        revision: facts.revision,
        status: if stale { Status::Unknown } else { status },
        stale,
        newest: facts.newest.clone(),
        last_online: facts.last_online,
        past: Arc::clone(&facts.past),
        uptime: facts.history.uptime(figures_at),
        total_checks: facts.history.all_time.total,
    }
}

/// The database counts as away after this long without a read.
pub const AWAY_AFTER: Duration = Duration::from_secs(10);
/// The monitor counts as silent after this long without a heartbeat.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);

/// One service at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceState {
    /// What visitors see of it.
    pub service: Arc<Service>,
    /// Grows with every change of its checks.
    pub revision: i64,
    /// What its newest check says; [`Status::Unknown`] while stale.
    pub status: Status,
    /// Whether the newest check is too old to say anything.
    pub stale: bool,
    /// The newest check that is not in the future.
    pub newest: Option<Newest>,
    /// When the newest online check began.
    pub last_online: Option<DateTime<Utc>>,
    /// What the page shows of its past.
    pub past: Arc<Past>,
    /// Uptime over each window, in the order of [`Window::ALL`]; `None` where the window says nothing.
    pub uptime: [Option<Percent>; 4],
    /// All checks ever.
    pub total_checks: u64,
}

impl Snapshot {
    /// The service of this id, where it is shown.
    pub fn service(&self, id: &str) -> Option<&ServiceState> {
        self.services.iter().find(|state| state.service.id == id)
    }

    /// The outages of the service of this id, or of all, each with its service; `None` where there is no such service, and
    /// where nobody knows of any, since nothing was read yet.
    pub fn outages(&self, id: Option<&str>) -> Option<impl Iterator<Item = (&ServiceState, &Outage)>> {
        let states = match id {
            _ if matches!(self.source, Source::Unconfigured | Source::NeverRead) => return None,
            Some(id) => std::slice::from_ref(self.service(id)?),
            None => &self.services,
        };
        Some(states.iter().flat_map(|state| state.past.outages.iter().map(move |outage| (state, outage))))
    }

    /// Whether the other says the same but for what the clock alone moves: `as_of`, and windows that slide.
    pub fn repeats(&self, other: &Snapshot) -> bool {
        let sources =
            |of: &Snapshot| (of.source.clone(), of.today, of.last_check, of.next_check, of.services.len());
        sources(self) == sources(other)
            && self.services.iter().zip(&other.services).all(|(state, other)| state.repeats(other))
    }
}

impl ServiceState {
    /// Whether the other says the same but for windows that slide.
    pub fn repeats(&self, other: &ServiceState) -> bool {
        let facts = |state: &ServiceState| (state.revision, state.status, state.stale, state.last_online);
        facts(self) == facts(other) && self.newest == other.newest && self.service == other.service
    }

    /// The uptime over one window.
    pub fn uptime(&self, window: Window) -> Option<Percent> {
        self.uptime[window as usize]
    }
}

/// The one word over all services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overall {
    /// Every service is online.
    Operational,
    /// Any service is offline, degraded or timed out.
    Partial,
    /// Half of the services or more are offline.
    Major,
    /// No service, or not enough known.
    Unknown,
}

impl Overall {
    /// The first rule that holds (the contract's section on status-api).
    pub fn of(statuses: &[Status]) -> Overall {
        let count = |wanted: &[Status]| statuses.iter().filter(|s| wanted.contains(s)).count();
        if statuses.is_empty() {
            Overall::Unknown
        } else if count(&[Status::Online]) == statuses.len() {
            Overall::Operational
        } else if count(&[Status::Offline]) * 2 >= statuses.len() {
            Overall::Major
        } else if count(&[Status::Offline, Status::Degraded, Status::Timeout]) > 0 {
            Overall::Partial
        } else {
            Overall::Unknown
        }
    }

    /// The words for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Overall::Operational => "All Systems Operational",
            Overall::Partial => "Partial Outage",
            Overall::Major => "Major Outage",
            Overall::Unknown => "Status Unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use Status::{Degraded, Offline, Online, Timeout, Unknown};
    use chrono::TimeDelta;

    use super::*;
    use crate::uptime::{Counts, History, hour_of};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + second, 0).unwrap()
    }

    /// Every minute, one try of 10 s: stale after 3 min 10 s.
    fn service() -> Arc<Service> {
        Arc::new(Service {
            id: "main".into(),
            name: "main".into(),
            group: None,
            link: None,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            slow_after: Duration::from_secs(5),
            tries_take: Duration::from_secs(10),
            beat: at(0),
        })
    }

    fn reading(newest: Option<Status>) -> Reading {
        let newest = newest.map(|status| Newest {
            timestamp: at(0),
            status,
            response_time_ms: Some(143),
            status_code: Some(200),
            failure: None,
        });
        let facts = Facts { newest, ..Facts::default() };
        Reading {
            read_at: at(0),
            prepared: true,
            heartbeat: Some(at(0)),
            services: vec![(service(), Arc::new(facts))],
        }
    }

    fn look(reading: &Reading, second: i64) -> Snapshot {
        assemble(&Known::Reading(reading.clone()), at(second))
    }

    #[test]
    fn the_overall_word_is_the_first_rule_that_holds() {
        for (statuses, expected) in [
            (vec![], Overall::Unknown),
            (vec![Online, Online], Overall::Operational),
            (vec![Offline, Online], Overall::Major),
            (vec![Offline, Online, Unknown], Overall::Partial),
            (vec![Offline, Unknown], Overall::Major),
            (vec![Degraded, Online], Overall::Partial),
            (vec![Timeout, Timeout], Overall::Partial),
            (vec![Unknown, Online], Overall::Unknown),
            (vec![Unknown], Overall::Unknown),
        ] {
            assert_eq!(Overall::of(&statuses), expected, "{statuses:?}");
        }
    }

    #[test]
    fn a_service_is_stale_only_when_its_patience_is_over() {
        let reading = reading(Some(Online));
        let fresh = &look(&reading, 190).services[0];
        assert_eq!((fresh.stale, fresh.status), (false, Online));
        let stale = &look(&reading, 191).services[0];
        assert_eq!((stale.stale, stale.status), (true, Unknown));
        assert_eq!(stale.newest.as_ref().unwrap().status, Online, "what it was is kept");
    }

    #[test]
    fn a_service_without_a_check_is_unknown_and_not_stale() {
        let never = &look(&reading(None), 100_000).services[0];
        assert_eq!((never.stale, never.status, never.total_checks), (false, Unknown, 0));
    }

    #[test]
    fn nothing_is_green_without_a_recent_check_behind_it() {
        let mut reading = reading(Some(Online));
        assert_eq!(look(&reading, 5).overall, Overall::Operational);
        reading.read_at = at(100_000);
        assert_eq!(look(&reading, 100_000).overall, Overall::Unknown);
    }

    #[test]
    fn the_source_says_what_stands_behind_the_figures() {
        let mut reading = reading(Some(Online));
        assert_eq!(look(&reading, 9).source, Source::Live);
        assert_eq!(look(&reading, 10).source, Source::Away);
        assert_eq!(look(&reading, 10).as_of, at(0), "as of the last time the database was read");
        reading.read_at = at(60);
        assert_eq!(look(&reading, 59).source, Source::Live);
        assert_eq!(look(&reading, 60).source, Source::Silent { since: Some(at(0)) });
        reading.heartbeat = None;
        assert_eq!(look(&reading, 60).source, Source::Silent { since: None });
        reading.prepared = false;
        assert_eq!(look(&reading, 60).source, Source::Empty);
        assert_eq!(assemble(&Known::Unconfigured, at(0)).source, Source::Unconfigured);
        assert_eq!(assemble(&Known::Nothing(at(0)), at(0)).source, Source::NeverRead);
    }

    #[test]
    fn windows_stand_still_at_the_last_read_while_it_is_fresh_and_slide_on_while_the_database_is_away() {
        let mut reading = reading(Some(Online));
        let hour = hour_of(at(0));
        let counts = |online, total| Counts { online, total };
        let history = History {
            all_time: counts(3, 4),
            first_check: Some(at(-100 * 86_400)),
            hours: [(hour - 23, counts(0, 1)), (hour - 2, counts(1, 1))].into_iter().collect(),
            edges: Vec::new(),
        };
        reading.services[0].1 = Arc::new(Facts { history, ..Facts::default() });
        let day = |second| look(&reading, second).services[0].uptime(Window::Day);
        assert_eq!(day(9), Percent::of(1, 2));
        assert_eq!(day(3 * 3600), Percent::of(1, 1), "the failure is older than a day now");
        assert_eq!(day(48 * 3600), None);
        assert_eq!(look(&reading, 48 * 3600).as_of, at(0), "and still as of the last read");
    }

    #[test]
    fn a_snapshot_repeats_another_where_only_the_clock_moved_windows() {
        let mut reading = reading(Some(Online));
        let shown = look(&reading, 0);
        reading.read_at = at(5);
        let later = look(&reading, 5);
        assert!(later.repeats(&shown) && later != shown);
        let in_between = Known::Reading(reading.clone());
        let at_nanosecond = |n: i64| assemble(&in_between, at(5) + TimeDelta::nanoseconds(n));
        assert!((1..5).all(|n| at_nanosecond(n * 1_234_567).repeats(&shown)), "the next turn is when it was");
        for second in [60, 191] {
            reading.heartbeat = Some(at(second));
            assert!(!look(&reading, second).repeats(&shown), "the next turn, then stale");
        }
        let changes: [fn(&mut Facts); 3] = [
            |facts| facts.revision += 1,
            |facts| facts.last_online = Some(at(0)),
            |facts| facts.newest.as_mut().unwrap().status = Offline,
        ];
        for change in changes {
            let mut changed = reading.clone();
            change(Arc::make_mut(&mut changed.services[0].1));
            assert!(!look(&changed, 5).repeats(&shown));
        }
        Arc::make_mut(&mut reading.services[0].0).name = "other".into();
        assert!(!look(&reading, 5).repeats(&shown));
    }

    #[test]
    fn the_next_check_is_the_earliest_turn_to_come_while_somebody_takes_turns() {
        let mut reading = reading(None);
        let mut later = Service::clone(&service());
        later.beat = at(30);
        reading.services.push((Arc::new(later), Arc::default()));
        assert_eq!(look(&reading, 0).next_check, Some(at(30)));
        assert_eq!(look(&reading, 30).next_check, Some(at(60)));
        reading.heartbeat = Some(at(0) - TimeDelta::seconds(60));
        assert_eq!(look(&reading, 0).next_check, None, "nobody is there to take it");
    }
}
