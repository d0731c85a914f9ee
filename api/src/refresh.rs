//! The one thread that owns the read-only connection: it looks whenever something is said to have changed, and each
//! second whether anything did; reads only what changed, and hands each reading on. It may hang in the database or
//! lose it: nobody waits for it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::{Range, RangeInclusive},
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use postgres::{Client, Error, Transaction, error::SqlState, fallible_iterator::FallibleIterator};
use shared::{Database, Distribution, Service, database::explain, retry::Retry};

use crate::{
    facts::{Facts, Past, Quarter, Reading, SPARK_QUARTERS, STRIP_DAYS},
    outages::{self, Run},
    series::Series,
    store::{self, Revision},
    uptime::{Counts, Hours, Window, hour_of},
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A server that takes longer to answer nothing at all is frozen.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// A standby cancels a look that is in its way; the next one rarely is.
const TRIES: u32 = 5;
/// The hours of the shortest and of the longest window.
const SHORTEST_HOURS: i64 = 24;
const LONGEST_HOURS: i64 = 720;
/// Services read by one statement: bounds its time and memory.
const SERVICES_AT_ONCE: usize = 200;
/// Services whose failed checks are read by one statement: there may be many.
const UNWELL_AT_ONCE: usize = 5;
/// Runs of failed checks that are kept of a service, the newest.
const MOST_RUNS: usize = 1000;
/// Services per look whose next edges are read before the hour turns, so that nobody waits when it does.
const AHEAD_AT_ONCE: usize = 20;

/// What the refresher has to say.
#[derive(Debug)]
pub enum News {
    /// A look at the database.
    Read(Reading),
    /// Why there was none: a line for the operator.
    Failed(String),
}

/// Reads for ever; ends when nobody listens any more.
pub fn run(database: &Database, news: &Sender<News>) {
    let mut retry = Retry::up_to(Duration::from_secs(2));
    loop {
        let lost = match database.connect() {
            Ok(client) => follow(client, news, &mut retry),
            Err(reason) => Some(reason),
        };
        let Some(reason) = lost else { return };
        if retry.is_news(&reason) {
            log::error!("database: {reason}. The last figures are served; trying again");
        }
        if news.send(News::Failed(reason)).is_err() {
            return;
        }
        std::thread::sleep(retry.pause());
    }
}

/// Follows one connection until it fails (the reason) or nobody listens (`None`).
fn follow(mut client: Client, news: &Sender<News>, retry: &mut Retry) -> Option<String> {
    let mut known = Known::default();
    let hints = store::listen(&mut client).is_ok();
    let mut woken = false;
    loop {
        let began = Instant::now();
        let (reading, changed) = match look(&mut client, &mut known) {
            Err(error) => return Some(explain(&error)),
            Ok(seen) => seen,
        };
        news.send(News::Read(reading)).ok()?;
        if retry.recovered() {
            log::info!("database: back");
        }
        // What changes after a quiet time is read at once, what goes on changing each second. Who was woken rests too,
        // whatever it found: anybody may wake it, as often as he likes.
        let awake = changed || woken || !hints;
        match wait(&mut client, LOOK_EVERY.saturating_sub(began.elapsed()), awake) {
            Ok(told) => woken = told,
            Err(error) => return Some(explain(&error)),
        }
    }
}

/// Rests so long; who was not awake is woken by a word of a change. Gives whether it was.
fn wait(client: &mut Client, rest: Duration, awake: bool) -> Result<bool, Error> {
    if awake {
        std::thread::sleep(rest);
        return Ok(false);
    }
    Ok(client.notifications().timeout_iter(rest).next()?.is_some())
}

/// One look, and whether it saw a change.
fn look(client: &mut Client, known: &mut Known) -> Result<(Reading, bool), Error> {
    client.is_valid(SIGN_OF_LIFE)?;
    // What was said up to here is seen by this look.
    while client.notifications().iter().next()?.is_some() {}
    let mut tries = 1;
    loop {
        // Whole milliseconds, so that the figures are exact at the instant that is shown.
        let as_of = Utc::now().trunc_subsecs(3);
        let seen = store::read(client, |transaction| {
            let seen = known.look(transaction, as_of)?;
            Ok((seen, store::checks_lie_in(transaction)? == known.checks_lie_in))
        });
        match seen {
            Err(error) if tries < TRIES && is_in_the_way(&error) => {}
            Err(error) => return Err(error),
            Ok((seen, same)) if same || tries >= TRIES => return Ok(seen),
            // The table was rewritten while this look waited for it: what it read of it may be nothing.
            Ok(_) => *known = Known::default(),
        }
        tries += 1;
    }
}

/// Whether the server ended a look for the sake of something else, and the connection is good.
fn is_in_the_way(error: &Error) -> bool {
    const SIGNS: [SqlState; 2] = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| SIGNS.contains(code))
}

/// What was read so far by this connection.
#[derive(Default)]
pub struct Known {
    services_revision: Option<i64>,
    checks_lie_in: Option<u32>,
    /// The newest heartbeat by the database's clock and by this machine's.
    heartbeat: Option<(DateTime<Utc>, DateTime<Utc>)>,
    services: Vec<Arc<Service>>,
    watched: HashMap<String, Watched>,
}

/// What is known of one service.
#[derive(Default)]
struct Watched {
    facts: Arc<Facts>,
    /// The hour of `as_of` when they were read.
    read_in: i64,
    /// Ascending; what its outages are made of.
    runs: Vec<Run>,
    /// The hours of `as_of` for which the facts hold the edges of every window.
    edges_for: Option<RangeInclusive<i64>>,
}

impl Watched {
    /// The runs of hours in which nothing changed, `packed` ones among them; the hour from which on they are to be read;
    /// and whether that is one whose last run is known, but not for sure how it ended.
    fn kept_runs(&self, packed: &[Run], unchanged: &Range<i64>, packed_until: i64) -> (Vec<Run>, i64, bool) {
        let hour = |run: &Run| hour_of(run.began);
        let known = self.runs.iter().filter(|run| unchanged.contains(&hour(run)));
        let packed = packed.iter().filter(|run| hour(run) >= unchanged.end);
        let mut runs: Vec<Run> = known.chain(packed).cloned().collect();
        // What ended it, if anything did, may be another check by now.
        let open = |run: &&Run| run.after.is_none_or(|after| hour_of(after) >= unchanged.end);
        let open = runs.last().filter(open).map(hour);
        let from = open.unwrap_or(unchanged.end.max(packed_until));
        runs.retain(|run| hour(run) < from);
        (runs, from, open.is_some())
    }

    fn has_edges_for(&self, hour: i64) -> bool {
        self.edges_for.as_ref().is_some_and(|hours| hours.contains(&hour))
    }
}

impl Known {
    /// Brings what is known up to this instant; gives it, and whether anything had changed.
    ///
    /// # Errors
    /// Those of the database; what is known is good for another look.
    pub fn look(
        &mut self,
        transaction: &mut Transaction<'_>,
        as_of: DateTime<Utc>,
    ) -> Result<(Reading, bool), Error> {
        let Some(pulse) = store::pulse(transaction)? else {
            *self = Known::default();
            return Ok((self.reading(as_of, false, None), false));
        };
        self.checks_lie_in = pulse.checks_lie_in;
        let reloaded = self.services_revision != Some(pulse.services_revision);
        if reloaded {
            self.services = store::services(transaction)?;
            let shown: HashSet<&str> = self.services.iter().map(|service| service.id.as_str()).collect();
            self.watched.retain(|id, _| shown.contains(id.as_str()));
            self.services_revision = Some(pulse.services_revision);
        }
        let changed = self.read_changed(transaction, as_of)?;
        // The first look has enough to read.
        if !reloaded {
            self.read_ahead(transaction, hour_of(as_of))?;
        }
        self.heartbeat = pulse.heartbeat.map(|(at, age)| self.heard(at, as_of - age));
        let heartbeat = self.heartbeat.map(|(_, by_our_clock)| by_our_clock);
        Ok((self.reading(as_of, true, heartbeat), reloaded || changed))
    }

    /// A heartbeat by both clocks. The same one seems to come a moment earlier or later from look to look, by the way
    /// to the database: then it is when it was.
    fn heard(&self, at: DateTime<Utc>, by_our_clock: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let same = |(known, instant): &(DateTime<Utc>, DateTime<Utc>)| {
            *known == at && (*instant - by_our_clock).abs() < TimeDelta::seconds(1)
        };
        self.heartbeat.filter(same).unwrap_or((at, by_our_clock))
    }

    fn read_changed(
        &mut self,
        transaction: &mut Transaction<'_>,
        as_of: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let services = self.services.clone();
        let ids: Vec<&str> = services.iter().map(|service| service.id.as_str()).collect();
        let revisions = store::revisions(transaction, &ids)?;
        let (mut recent, mut all) = (Vec::new(), Vec::new());
        for id in ids {
            match self.to_read(id, revisions.get(id).copied().unwrap_or_default(), as_of) {
                Some(Extent::All) => all.push(id),
                Some(Extent::Recent) => recent.push(id),
                None => {}
            }
        }
        for ids in recent.chunks(SERVICES_AT_ONCE) {
            self.read(transaction, ids, as_of)?;
        }
        for ids in all.chunks(SERVICES_AT_ONCE) {
            self.watched.extend(ids.iter().map(|id| ((*id).to_owned(), Watched::default())));
            self.read(transaction, ids, as_of)?;
            let hour = hour_of(as_of);
            self.read_edges(transaction, ids, hour..=hour)?;
        }
        Ok(!recent.is_empty() || !all.is_empty())
    }

    /// How much of a service there is to read again.
    fn to_read(&self, id: &str, now: Revision, as_of: DateTime<Utc>) -> Option<Extent> {
        let Some(watched) = self.watched.get(id) else { return Some(Extent::All) };
        let (known, upcoming, hour) = (watched.facts.revision, watched.facts.upcoming, hour_of(as_of));
        let latest = as_of + store::CLOCKS_DIFFER;
        let newest = watched.facts.newest.as_ref().map(|newest| newest.timestamp);
        // A check of the future whose time has come, or whose time is yet to come again: the clock was set back.
        let shifted = upcoming.is_some_and(|at| at <= latest) || newest.is_some_and(|at| at > latest);
        let changed = now.revision != known || shifted;
        // What is recent for a service that is rarely checked may lie where a window begins.
        let reaches_edges = watched.facts.recent - 1 <= hour + 1 - SHORTEST_HOURS;
        let corrected = now.revision < known || now.corrected > known || changed && reaches_edges;
        if corrected || !watched.has_edges_for(hour) {
            Some(Extent::All)
        } else {
            changed.then_some(Extent::Recent)
        }
    }

    /// Reads what is known of these services again, but for edges, and what no change can have reached since.
    fn read(
        &mut self,
        transaction: &mut Transaction<'_>,
        ids: &[&str],
        as_of: DateTime<Utc>,
    ) -> Result<(), Error> {
        let shown = Shown::at(as_of);
        // Whole days, since days are told by their hours.
        let since: Vec<i64> = ids.iter().map(|id| start_of_day(self.unchanged_until(id, shown))).collect();
        let mut counted = store::counted(transaction, ids, &since, shown.month, shown.quarter * 6)?;
        let facts = store::facts(transaction, ids, as_of)?;
        let (mut kept, mut unwell) = (HashMap::new(), Vec::new());
        for id in ids {
            let (Some(watched), counted) =
                (self.watched.get(*id), counted.entry((*id).to_owned()).or_default())
            else {
                continue;
            };
            let unchanged = shown.day * 24..self.unchanged_until(id, shown);
            let (runs, from, open) = watched.kept_runs(&counted.runs, &unchanged, counted.runs_until);
            let failed = |(hour, counts): (i64, Counts)| hour >= from && counts.online < counts.total;
            if open || counted.hours.iter().any(failed) {
                unwell.push((*id, from));
            }
            kept.insert(*id, runs);
        }
        let mut newer = read_runs(transaction, &unwell, as_of + store::CLOCKS_DIFFER)?;
        // From here on nothing can fail: a service is known as it was, or as it is.
        let since: HashMap<&str, i64> = ids.iter().copied().zip(since).collect();
        for (id, mut facts) in facts {
            let (Some(watched), Some(counted)) = (self.watched.get_mut(&id), counted.remove(&id)) else {
                continue;
            };
            let since = since.get(id.as_str()).copied().unwrap_or_default();
            watched.runs = kept.remove(id.as_str()).unwrap_or_default();
            watched.runs.extend(newer.remove(&id).unwrap_or_default());
            let too_many = watched.runs.len().saturating_sub(MOST_RUNS);
            watched.runs.drain(..too_many);
            let (before, quarters) = (&watched.facts, quarters(&counted.hours, &counted.response_times));
            facts.history.hours = before.history.hours.renewed(shown.month, since, &counted.hours);
            facts.history.edges.clone_from(&before.history.edges);
            facts.past = Arc::new(Past {
                days: before.past.days.renewed(shown.day, since.div_euclid(24), &counted.days),
                quarters: before.past.quarters.renewed(shown.quarter, since.div_euclid(6), &quarters),
                outages: outages::of(&watched.runs),
            });
            watched.facts = Arc::new(facts);
            watched.read_in = hour_of(as_of);
        }
        Ok(())
    }

    /// The number of the hour before which nothing of a service can have changed since it was read.
    fn unchanged_until(&self, id: &str, shown: Shown) -> i64 {
        let begin = shown.day * 24;
        // What lay in the future then was left out.
        let unchanged = |watched: &Watched| begin.max((watched.facts.recent - 1).min(watched.read_in));
        self.watched.get(id).map_or(begin, unchanged)
    }

    /// Reads the edges of windows for the next hour, of some services whose are not at hand.
    fn read_ahead(&mut self, transaction: &mut Transaction<'_>, hour: i64) -> Result<(), Error> {
        let services = self.services.clone();
        let lacks = |id: &&str| self.watched.get(*id).is_some_and(|watched| !watched.has_edges_for(hour + 1));
        let ids: Vec<&str> =
            services.iter().map(|service| service.id.as_str()).filter(lacks).take(AHEAD_AT_ONCE).collect();
        if ids.is_empty() { Ok(()) } else { self.read_edges(transaction, &ids, hour..=hour + 1) }
    }

    /// Puts the edges for these hours of `as_of` at hand, and those for others away.
    fn read_edges(
        &mut self,
        transaction: &mut Transaction<'_>,
        ids: &[&str],
        hours: RangeInclusive<i64>,
    ) -> Result<(), Error> {
        let windows = Window::ALL.iter().filter_map(|window| window.hours());
        let edges: Vec<i64> =
            windows.flat_map(|length| hours.clone().map(move |hour| hour - i64::from(length))).collect();
        let mut read = store::edges(transaction, ids, &edges)?;
        for id in ids {
            if let Some(watched) = self.watched.get_mut(*id) {
                Arc::make_mut(&mut watched.facts).history.edges = read.remove(*id).unwrap_or_default();
                watched.edges_for = Some(hours.clone());
            }
        }
        Ok(())
    }

    fn reading(&self, read_at: DateTime<Utc>, prepared: bool, heartbeat: Option<DateTime<Utc>>) -> Reading {
        let facts = |id: &str| self.watched.get(id).map(|watched| Arc::clone(&watched.facts));
        let with_facts =
            |service: &Arc<Service>| (Arc::clone(service), facts(&service.id).unwrap_or_default());
        Reading { read_at, prepared, heartbeat, services: self.services.iter().map(with_facts).collect() }
    }
}

/// What a page that is drawn at an instant shows of the past: where it begins.
#[derive(Debug, Clone, Copy)]
struct Shown {
    /// The first hour of the longest window.
    month: i64,
    /// The first day of the strip.
    day: i64,
    /// The first quarter of a day with response times.
    quarter: i64,
}

impl Shown {
    fn at(as_of: DateTime<Utc>) -> Shown {
        let hour = hour_of(as_of);
        Shown {
            month: hour - LONGEST_HOURS,
            day: hour.div_euclid(24) + 1 - STRIP_DAYS,
            quarter: hour.div_euclid(6) + 1 - SPARK_QUARTERS,
        }
    }
}

fn start_of_day(hour: i64) -> i64 {
    hour.div_euclid(24) * 24
}

/// The runs of failed checks of these services, each from an hour on.
fn read_runs(
    transaction: &mut Transaction<'_>,
    unwell: &[(&str, i64)],
    until: DateTime<Utc>,
) -> Result<HashMap<String, Vec<Run>>, Error> {
    let mut read = HashMap::new();
    for some in unwell.chunks(UNWELL_AT_ONCE) {
        let (ids, since): (Vec<&str>, Vec<i64>) = some.iter().copied().unzip();
        read.extend(store::runs(transaction, &ids, &since, until)?);
    }
    Ok(read)
}

/// The quarters of days that these hours, and their response times, are of.
fn quarters(hours: &Hours, response_times: &[(i64, Distribution)]) -> Series<2> {
    let mut quarters: BTreeMap<i64, (Distribution, u64)> = BTreeMap::new();
    for (hour, counts) in hours.iter() {
        quarters.entry(hour.div_euclid(6)).or_default().1 += counts.total - counts.online.min(counts.total);
    }
    for (hour, times) in response_times {
        quarters.entry(hour.div_euclid(6)).or_default().0.merge(times);
    }
    let summed = |(number, (times, failed)): (i64, (Distribution, u64))| {
        (number, Quarter { median_ms: times.quantile(0.5).map(Into::into), failed }.into())
    };
    quarters.into_iter().map(summed).collect()
}

/// How much of a service is read.
enum Extent {
    /// What new checks change.
    Recent,
    /// What corrections may change too.
    All,
}

#[cfg(test)]
// A test writes what is read.
#[allow(clippy::disallowed_methods)]
mod tests;
