//! What is done with checks after they are recorded: response times of hours that are over are summarised, days
//! that are over packed, checks past an age removed without changing a figure. In short steps, on a thread and a
//! connection of its own, so that it may take its time or hang in the database without harm to recording. Nothing here
//! has to be finished: a step is done or not done, and whoever comes next goes on.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use postgres::{Client, Error};
use shared::{Database, database::explain, retry::Retry, vital};

use crate::{
    migrate,
    store::{
        self,
        statistics::{self, Recounted, Step},
    },
    writer::is_held_up,
};

const EVERY: Duration = Duration::from_secs(60);
/// A long history is left after this long, for what ended meanwhile and for what else there is to do.
const LONGEST_RUN: Duration = Duration::from_secs(600);
/// A server that takes longer to answer nothing at all is frozen.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// An hour is closed this long after its end: what was measured in it is on its way.
const CLOSED_AFTER: TimeDelta = TimeDelta::seconds(60);
/// Hours of one step: few at first, where nobody knows how long they take; then as many as fit [`STEP`].
const FIRST_HOURS: i64 = 16;
const MOST_HOURS: i64 = 1024;
/// Who changes a check of an hour that is being summarised waits as long as this, about.
const STEP: Duration = Duration::from_millis(100);
/// Checks removed by one step: who records checks of their service meanwhile waits for a part of it.
const MOST_CHECKS: i64 = 1000;
/// Services packed by one step, each of which reads three months of rollups, and the checks of hours with failed ones.
const SERVICES_AT_ONCE: i32 = 5;
/// So many times as long as a step of retention took, nobody waits for it: there is no hurry.
pub const RETENTION_RESTS: u32 = 3;

/// What the rest of the prober holds of upkeep. It goes on until the process ends.
pub struct Upkeep {
    age: Arc<Age>,
}

/// The age in force beyond which checks are removed, and whether it is another than before.
#[derive(Default)]
struct Age {
    state: Mutex<(Option<Duration>, bool)>,
    changed: Condvar,
}

impl Upkeep {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(database: Database) -> std::io::Result<Upkeep> {
        let age = Arc::new(Age::default());
        let session = Session { database, age: Arc::clone(&age), retry: Retry::default(), removed: None };
        vital::start("upkeep", move || session.run())?;
        Ok(Upkeep { age })
    }

    /// From now on, checks are removed when they are older than this; never where it is `None`.
    pub fn keep_for(&self, age: Option<Duration>) {
        self.age.set(age);
    }
}

impl Age {
    fn set(&self, age: Option<Duration>) {
        let mut state = self.lock();
        *state = (age, state.1 || state.0 != age);
        self.changed.notify_one();
    }

    /// The age, from here on not new.
    fn take(&self) -> Option<Duration> {
        let mut state = self.lock();
        state.1 = false;
        state.0
    }

    /// Waits, but not beyond a change; gives whether there was none.
    fn rest(&self, pause: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, pause, |(_, changed)| !*changed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.1
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Duration>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Session {
    database: Database,
    age: Arc<Age>,
    retry: Retry,
    /// Everything before this is removed that was to be.
    removed: Option<DateTime<Utc>>,
}

impl Session {
    fn run(mut self) {
        loop {
            // Why it can't connect is the writer's to say.
            let failed = match self.connect() {
                Ok(Some(client)) => self.serve(client).err().map(|error| explain(&error)),
                Ok(None) | Err(_) => None,
            };
            if let Some(reason) = failed.filter(|reason| self.retry.is_news(reason)) {
                log::warn!("upkeep: {reason}. Checks are recorded; trying again");
            }
            thread::sleep(self.retry.pause());
        }
    }

    /// `None` while the schema is not (yet) what this program knows.
    fn connect(&self) -> Result<Option<Client>, String> {
        let mut client = self.database.connect()?;
        if !migrate::is_up_to_date(&mut client)? {
            return Ok(None);
        }
        store::bound_every_wait(&mut client).map_err(|error| explain(&error))?;
        Ok(Some(client))
    }

    fn serve(&mut self, mut client: Client) -> Result<(), Error> {
        loop {
            client.is_valid(SIGN_OF_LIFE)?;
            match self.work(&mut client) {
                Ok(()) => drop(self.retry.recovered()),
                Err(error) if is_held_up(&error) => {
                    let reason = explain(&error);
                    if self.retry.is_news(&reason) {
                        log::warn!("upkeep: {reason}. Checks are recorded; trying again in a minute");
                    }
                }
                Err(error) => return Err(error),
            }
            self.age.rest(EVERY);
        }
    }

    fn work(&mut self, client: &mut Client) -> Result<(), Error> {
        // A clock that is ahead must not remove anything early.
        let now = Utc::now().min(statistics::now(client)?);
        let end = Instant::now() + LONGEST_RUN;
        let hours = close_hours(client, now, |took| self.age.rest(took) && Instant::now() < end)?;
        log::debug!("the response times of {hours} hours are summarised");
        let end = Instant::now() + LONGEST_RUN;
        pack(client, |took| self.age.rest(took) && Instant::now() < end)?;
        let Some(age) = self.age.take() else { return Ok(()) };
        let cutoff = cutoff(now, age);
        if self.removed != Some(cutoff) {
            let end = Instant::now() + LONGEST_RUN;
            let rest = |took| self.age.rest(took * RETENTION_RESTS) && Instant::now() < end;
            let retired = retire(client, now, age, rest)?;
            report(&retired, cutoff);
            self.removed = retired.all.then_some(cutoff);
        }
        Ok(())
    }
}

/// Summarises the response times of every hour that is over at `now`. `rest` is told how long each step took and says
/// whether to go on. Gives the number of hours; none where somebody else is at it.
///
/// # Errors
/// Those of the database.
pub fn close_hours(
    client: &mut Client,
    now: DateTime<Utc>,
    mut rest: impl FnMut(Duration) -> bool,
) -> Result<usize, Error> {
    let mut newest = start_of_hour(now - CLOSED_AFTER - TimeDelta::hours(1)).timestamp() as f64;
    let (mut hours, mut most) = (0, FIRST_HOURS);
    loop {
        let began = Instant::now();
        let Step::Did(closed) = statistics::close_hours(client, newest, most)? else { return Ok(hours) };
        hours += closed.hours;
        let took = began.elapsed();
        if (closed.hours as i64) < most || !rest(took) {
            return Ok(hours);
        }
        newest = closed.oldest;
        most = if took < STEP / 2 { (most * 2).min(MOST_HOURS) } else { most };
        most = if took > STEP { (most / 2).max(1) } else { most };
    }
}

/// Packs the hours of every service that has a new day or was corrected since, for who begins to read. `rest` is told
/// how long each step took and says whether to go on. Gives the number of services.
///
/// # Errors
/// Those of the database.
pub fn pack(client: &mut Client, mut rest: impl FnMut(Duration) -> bool) -> Result<i64, Error> {
    let mut services = 0;
    loop {
        let began = Instant::now();
        let Step::Did(packed) = statistics::pack(client, SERVICES_AT_ONCE)? else { return Ok(services) };
        services += packed;
        if packed < SERVICES_AT_ONCE.into() || !rest(began.elapsed()) {
            return Ok(services);
        }
    }
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// How many checks.
    pub checks: usize,
    /// Of how many services.
    pub services: usize,
    /// Whether that is all there was to remove.
    pub all: bool,
}

/// Removes the checks of whole hours that ended before `now - age`, but for the hours of a service's newest check and
/// its newest online check; their counts and response times stay. `rest` is told how long each step took and says
/// whether to go on.
///
/// # Errors
/// Those of the database.
pub fn retire(
    client: &mut Client,
    now: DateTime<Utc>,
    age: Duration,
    mut rest: impl FnMut(Duration) -> bool,
) -> Result<Removed, Error> {
    let cutoff = cutoff(now, age);
    let mut removed = Removed { checks: 0, services: 0, all: true };
    for service in statistics::services_with_hours_before(client, cutoff)? {
        let (mut after, mut checks) = (f64::NEG_INFINITY, 0);
        while removed.all {
            let began = Instant::now();
            match statistics::retire(client, &service, after, cutoff, now, MOST_CHECKS)? {
                Step::Elsewhere => removed.all = false,
                Step::Nothing => break,
                Step::Did(step) => {
                    (after, checks) = (step.after, checks + step.checks);
                    removed.all = rest(began.elapsed());
                }
            }
        }
        removed.checks += checks;
        removed.services += usize::from(checks > 0);
    }
    Ok(removed)
}

/// Brings the schema up to date and counts all checks anew: see [`statistics::recount`].
///
/// # Errors
/// One line for people; then nothing was counted anew. Where a lock is in the way for 5 s, it says whose.
pub fn recount(client: &mut Client) -> Result<Recounted, String> {
    migrate::bring_up_to_date(client)?;
    statistics::recount(client).map_err(|error| {
        let reason = format!("counting anew: {}", explain(&error));
        let held_by = is_held_up(&error).then(|| statistics::in_the_way(client).ok().flatten()).flatten();
        held_by.map_or(reason.clone(), |who| format!("{reason}. In the way: {who}"))
    })
}

/// Hours before this one are past the age.
fn cutoff(now: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    start_of_hour(now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC))
}

fn start_of_hour(instant: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(instant.timestamp().div_euclid(3600) * 3600, 0).unwrap_or(instant)
}

fn report(removed: &Removed, cutoff: DateTime<Utc>) {
    if removed.checks > 0 {
        log::info!(
            "retention: {} checks of {} services from before {} are removed; their counts stay",
            removed.checks,
            removed.services,
            cutoff.to_rfc3339_opts(SecondsFormat::Secs, true)
        );
    }
}
