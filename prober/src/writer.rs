//! The one thread that owns the connection: records what the journal holds, and keeps company with other
//! probers (`company`). It may hang in the database or lose it without harm to checks.

mod company;

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use postgres::{Client, Error, error::SqlState};
use shared::{Database, Service, database::explain, retry::Retry, vital};
use tokio::sync::watch;

use crate::{
    journal::{Batch, Ending, Journal},
    metrics::Metrics,
    migrate,
    standing::Recording,
    store::{self, statistics},
};
use company::Company;
pub use company::{Loaded, News};

/// Checks recorded at once: as many as wait, which is few but for the end of an outage. Then the more the quicker, since
/// several checks of a service are counted as one.
const BATCH: usize = 5000;
/// Before another try where the database will soon answer otherwise, or has no time left to.
const SHORT_PAUSE: Duration = Duration::from_millis(500);
/// At the most between two tries: what other probers took over is to be known soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that takes longer to answer nothing at all is frozen.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Checks that wait longer than this are held up.
const STUCK: Duration = Duration::from_secs(10);

/// What the rest of the prober holds of the writer.
pub struct Writer {
    journal: Arc<Journal>,
    wishes: Arc<Mutex<Wishes>>,
    news: watch::Receiver<News>,
    away: Arc<Mutex<Option<DateTime<Utc>>>>,
    thread: JoinHandle<()>,
}

/// What the daemon wishes, taken up between two batches.
#[derive(Default)]
struct Wishes {
    load: Option<Loaded>,
    retell: Option<Vec<Service>>,
    leave: Option<DateTime<Utc>>,
    look: bool,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(database: Database, journal: Arc<Journal>, metrics: Metrics) -> std::io::Result<Writer> {
        let wishes = Arc::new(Mutex::new(Wishes::default()));
        let (told, news) = watch::channel(News::default());
        let away = Arc::new(Mutex::new(None));
        let session = Session {
            database,
            journal: Arc::clone(&journal),
            wishes: Arc::clone(&wishes),
            company: Company::new(journal.id, told, metrics.clone()),
            metrics,
            away: Arc::clone(&away),
            in_hand: None,
            look_due: Instant::now(),
            retry: Retry::up_to(LONGEST_PAUSE),
        };
        let thread = vital::start("writer", move || session.run())?;
        Ok(Writer { journal, wishes, news, away, thread })
    }

    /// Puts a services file in force as soon as the database allows it.
    pub fn load(&self, loaded: Loaded) {
        self.wish(|wishes| wishes.load = Some(loaded));
    }

    /// The beats of the services in force are told by a clock that was set.
    pub fn retell(&self, services: Vec<Service>) {
        self.wish(|wishes| wishes.retell = Some(services));
    }

    /// Turns due from then on are other probers'.
    pub fn leave(&self, from: DateTime<Utc>) {
        self.wish(|wishes| wishes.leave = Some(from));
    }

    /// What other probers do is to be known at once.
    pub fn look(&self) {
        self.wish(|_| ());
    }

    /// What is known of other probers.
    pub fn news(&self) -> watch::Receiver<News> {
        self.news.clone()
    }

    fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        wish(&mut wishes);
        wishes.look = true;
        drop(wishes);
        self.journal.nudge();
    }

    /// What becomes of checks now.
    pub fn recording(&self) -> Recording {
        match *self.away.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(since) => Recording::AwaySince(since),
            None if self.journal.stuck_for() > STUCK => Recording::Stuck,
            None => Recording::Going,
        }
    }

    /// Closes the journal and waits for the last check to be recorded, for at most `patience`; not for a database that is
    /// away, where the checks are on disk. Says what became of them.
    pub fn finish(self, patience: Duration) -> Ending {
        let end = Instant::now() + patience;
        self.journal.close(end);
        while !self.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.journal.end()
    }
}

struct Session {
    database: Database,
    journal: Arc<Journal>,
    wishes: Arc<Mutex<Wishes>>,
    company: Company,
    metrics: Metrics,
    /// Since when there is no connection, once one was lost or could not be had.
    away: Arc<Mutex<Option<DateTime<Utc>>>>,
    in_hand: Option<Batch>,
    look_due: Instant,
    retry: Retry,
}

impl Session {
    /// Until the journal is closed and empty, or its end is over.
    fn run(mut self) {
        while let Err(reason) = self.connect().and_then(|client| self.serve(client)) {
            self.away().get_or_insert_with(Utc::now);
            self.metrics.connected.set(0);
            self.metrics.database_errors.inc();
            self.company.is_cut_off();
            if self.retry.is_news(&reason) {
                let waiting = self.journal.unrecorded();
                log::error!("database: {reason}. Checks go on, {waiting} wait in the journal; trying again");
            }
            self.report_lost();
            let pause = self.retry.pause();
            match self.journal.closes() {
                None => self.journal.wait_for_close(Instant::now() + pause),
                Some(end) if self.journal.is_safe() || Instant::now() >= end => return,
                Some(_) => std::thread::sleep(pause.min(SHORT_PAUSE)),
            }
        }
    }

    fn connect(&mut self) -> Result<Client, String> {
        let mut client = self.database.connect()?;
        migrate::bring_up_to_date(&mut client)?;
        store::bound_every_wait(&mut client).map_err(|error| explain(&error))?;
        self.enrol(&mut client).map_err(|error| explain(&error))?;
        *self.away() = None;
        self.metrics.connected.set(1);
        log::info!("database: connected; {} checks wait in the journal", self.journal.unrecorded());
        Ok(client)
    }

    fn away(&self) -> MutexGuard<'_, Option<DateTime<Utc>>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enrol(&self, client: &mut Client) -> Result<(), Error> {
        store::enrol(client, self.journal.id)?;
        for earlier in self.journal.earlier() {
            let recorded = store::enrol_earlier(client, earlier)?;
            self.journal.recorded(earlier, recorded);
        }
        Ok(())
    }

    fn serve(&mut self, mut client: Client) -> Result<(), String> {
        let failed = |error: Error| format!("writing: {}", explain(&error));
        self.company.is_back();
        self.look_due = Instant::now();
        loop {
            let closes = self.journal.closes();
            if let Some(end) = closes {
                self.journal.wait_for_the_disk(end);
            }
            client.is_valid(SIGN_OF_LIFE).map_err(failed)?;
            self.take_wishes();
            if Instant::now() >= self.look_due {
                refuse_what_nobody_counts(&mut client)?;
            }
            self.look(&mut client).map_err(failed)?;
            match (self.record_all(&mut client), closes) {
                (Ok(()), Some(_)) => return Ok(()),
                (Ok(()), None) => {
                    self.retry.recovered();
                    self.report_lost();
                    self.journal.wait(self.look_due);
                }
                (Err(error), Some(end)) if Instant::now() >= end => return Err(failed(error)),
                (Err(error), _) if is_held_up(&error) => self.wait_for_others(&failed(error)),
                (Err(error), _) => return Err(failed(error)),
            }
        }
    }

    /// The connection is good and the heartbeat goes on; what was measured waits.
    fn wait_for_others(&mut self, reason: &str) {
        self.metrics.database_errors.inc();
        if self.retry.is_news(reason) {
            log::warn!("database: {reason}. {} checks wait in the journal", self.journal.unrecorded());
        }
        std::thread::sleep(SHORT_PAUSE);
    }

    fn record_all(&mut self, client: &mut Client) -> Result<(), Error> {
        while self.record(client)? {
            self.take_wishes();
            self.look(client)?;
        }
        Ok(())
    }

    /// Looks at what other probers do, if it is time; however much there is to record.
    fn look(&mut self, client: &mut Client) -> Result<(), Error> {
        if Instant::now() >= self.look_due {
            self.look_due = Instant::now() + self.company.look(client)?;
        }
        Ok(())
    }

    fn take_wishes(&mut self) {
        let Wishes { load, retell, leave, look } =
            mem::take(&mut *self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        load.into_iter().for_each(|loaded| self.company.load(loaded));
        retell.into_iter().for_each(|services| self.company.retell(services));
        leave.into_iter().for_each(|from| self.company.leave(from));
        if look {
            self.look_due = Instant::now();
        }
    }

    /// Records one batch; `false` where there was none.
    fn record(&mut self, client: &mut Client) -> Result<bool, Error> {
        if self.in_hand.is_none() {
            self.in_hand = self.journal.take(BATCH);
        }
        let Some(batch) = &self.in_hand else { return Ok(false) };
        match store::record(client, batch)? {
            Some(_) => {
                self.metrics.recorded(batch.checks.len());
                self.in_hand = None;
            }
            None => self.enrol(client)?,
        }
        Ok(true)
    }

    fn report_lost(&self) {
        let (dropped, spoiled) = self.journal.take_lost();
        self.metrics.dropped.inc_by(dropped);
        self.metrics.spoiled.inc_by(spoiled);
        if dropped > 0 {
            log::error!("{dropped} checks were dropped unrecorded: the journal was full");
        }
        if spoiled > 0 {
            log::error!(
                "{spoiled} checks of the journal are lost: what stands on disk is not what was written"
            );
        }
    }
}

/// Checks that no trigger counts would make every figure wrong: they wait.
fn refuse_what_nobody_counts(client: &mut Client) -> Result<(), String> {
    match statistics::not_counted(client).map_err(|error| explain(&error))? {
        None => Ok(()),
        Some(kinds) => Err(format!(
            "the triggers of service_checks that count are gone or off ({kinds}), so nothing is recorded until \
             `status-prober recount` has put them back and counted anew"
        )),
    }
}

/// Whether somebody else's transaction is in the way: a lock that lasts, a deadlock, or a statement that waited.
pub(crate) fn is_held_up(error: &Error) -> bool {
    const SIGNS: [SqlState; 3] =
        [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::QUERY_CANCELED];
    error.code().is_some_and(|code| SIGNS.contains(code))
}
