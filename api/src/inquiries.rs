//! Questions that the snapshot does not answer, put to the database one at a time: a plain thread of its own owns the
//! connection and may hang in it. Who asks waits within a bound, or hears at once that too many do.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use postgres::{Client, Error, Transaction, error::SqlState};
use shared::{Database, Service, database::explain, retry::Retry, vital};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    response_times::{Chart, Period},
    store,
    uptime::hour_of,
};

/// Those who wait at once; one more is refused.
const MOST_WAITING: usize = 64;
/// Who asks waits no longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A server that takes longer to answer nothing at all is frozen.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// A connection that nobody needs for so long is given back.
const IDLE: Duration = Duration::from_secs(60);
/// Services whose charts are at hand: some 15 KB each.
const MOST_KEPT: usize = 256;

/// The response times of a service over each period, in the order of [`Period::ALL`].
pub type Charts = [Chart; 4];

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// Too many ask.
    Busy,
    /// The database can't be read.
    Away,
    /// It would take the database too long.
    TooLong,
    /// No prober has prepared the database yet.
    Empty,
}

/// Where questions are asked.
#[derive(Debug)]
pub struct Inquiries {
    queue: Option<SyncSender<Question>>,
}

/// What somebody wants to know; dropped where nobody can be told any more.
type Question = Box<dyn FnOnce(&mut Reader) + Send>;

impl Inquiries {
    /// Where there is no database, nothing has an answer.
    pub fn unanswered() -> Inquiries {
        Inquiries { queue: None }
    }

    /// Starts the thread of this name that answers; `what` it reads, in words for the operator.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(database: Database, thread: &'static str, what: &'static str) -> io::Result<Inquiries> {
        let (queue, asked) = sync_channel(MOST_WAITING);
        vital::start(thread, move || Reader::new(database, what).answer(&asked))?;
        Ok(Inquiries { queue: Some(queue) })
    }

    /// What `look` reads in one transaction, as `draw` makes of it, both on the thread.
    ///
    /// # Errors
    /// Why there is no answer, after three seconds at the latest.
    pub async fn ask<Seen, Drawn: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Transaction<'_>) -> Result<Seen, Error> + Send + 'static,
        draw: impl FnOnce(Seen) -> Drawn + Send + 'static,
    ) -> Result<Drawn, Unanswered> {
        self.put(|reader| reader.read(PATIENCE, look).map(draw)).await
    }

    /// The response times of a service whose checks are at this revision.
    ///
    /// # Errors
    /// Why there is no answer, after three seconds at the latest.
    pub async fn response_times(
        &self,
        service: Arc<Service>,
        revision: i64,
    ) -> Result<Arc<Charts>, Unanswered> {
        self.put(move |reader| reader.charts(&service, revision, Utc::now())).await
    }

    async fn put<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, Unanswered> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let queue = self.queue.as_ref().ok_or(Unanswered::Away)?;
        let (answer, told) = oneshot::channel();
        let question = Box::new(move |reader: &mut Reader| {
            // Who has gone needs no answer, and those who wait behind him get theirs sooner.
            if !answer.is_closed() {
                drop(answer.send(question(reader)));
            }
        });
        queue.try_send(question).map_err(|refused| match refused {
            TrySendError::Full(_) => Unanswered::Busy,
            TrySendError::Disconnected(_) => Unanswered::Away,
        })?;
        match timeout(PATIENCE, told).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Unanswered::Away),
            Err(_) => Err(Unanswered::TooLong),
        }
    }
}

/// The bounds of a statement were reached, or somebody held what it needs for too long.
fn is_too_long(error: &Error) -> bool {
    [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE].iter().any(|sign| error.code() == Some(sign))
}

/// The thread's own: the connection, and what it read lately.
struct Reader {
    database: Database,
    what: &'static str,
    client: Option<Client>,
    retry: Retry,
    /// Not before this is a lost server tried again.
    rests_until: Option<Instant>,
    kept: HashMap<String, Kept>,
}

/// The charts of a service, good as of its checks' revision and for an hour.
struct Kept {
    service: Arc<Service>,
    revision: i64,
    hour: i64,
    charts: Arc<Charts>,
}

impl Reader {
    fn new(database: Database, what: &'static str) -> Reader {
        Reader {
            database,
            what,
            client: None,
            retry: Retry::default(),
            rests_until: None,
            kept: HashMap::new(),
        }
    }

    /// Answers until nobody can ask any more.
    fn answer(mut self, asked: &Receiver<Question>) {
        loop {
            match asked.recv_timeout(IDLE) {
                Ok(question) => question(&mut self),
                Err(RecvTimeoutError::Timeout) => self.client = None,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn charts(
        &mut self,
        service: &Arc<Service>,
        revision: i64,
        now: DateTime<Utc>,
    ) -> Result<Arc<Charts>, Unanswered> {
        let hour = hour_of(now);
        let good = |kept: &&Kept| kept.revision == revision && kept.hour == hour && kept.service == *service;
        if let Some(kept) = self.kept.get(&service.id).filter(good) {
            return Ok(Arc::clone(&kept.charts));
        }
        let since = Period::Quarter.begin(hour);
        // Who asked may have gone by then; who asks next has it at once.
        let hours = self.read(store::STATEMENT_TAKES, |transaction| {
            store::hours::hours(transaction, &service.id, &(since..hour + 1), now)
        })?;
        let charts = Arc::new(Period::ALL.map(|period| Chart::of(&hours, period, hour, service.interval)));
        if self.kept.len() >= MOST_KEPT {
            self.kept.clear();
        }
        let kept = Kept { service: Arc::clone(service), revision, hour, charts: Arc::clone(&charts) };
        self.kept.insert(service.id.clone(), kept);
        Ok(charts)
    }

    fn read<T>(
        &mut self,
        longest: Duration,
        look: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Unanswered> {
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return Err(Unanswered::Away);
        }
        let reason = match self.try_to_read(longest, look) {
            Ok(seen) => {
                self.rests_until = None;
                if self.retry.recovered() {
                    log::info!("database: {} can be read again", self.what);
                }
                return seen;
            }
            Err(reason) => reason,
        };
        self.client = None;
        self.rests_until = Some(Instant::now() + self.retry.pause());
        if self.retry.is_news(&reason) {
            log::warn!("database: {} can't be read: {reason}", self.what);
        }
        Err(Unanswered::Away)
    }

    /// What is seen, or why the server can't be asked just now.
    fn try_to_read<T>(
        &mut self,
        longest: Duration,
        look: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error>,
    ) -> Result<Result<T, Unanswered>, String> {
        let lost = |client: &mut Client| client.is_valid(SIGN_OF_LIFE).is_err();
        if self.client.as_mut().is_some_and(lost) {
            self.client = None;
        }
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(self.database.connect()?),
        };
        let seen = store::read_within(client, longest, |transaction| {
            if store::find_tables(transaction)? { look(transaction).map(Some) } else { Ok(None) }
        });
        match seen {
            Ok(seen) => Ok(seen.ok_or(Unanswered::Empty)),
            // The connection is good, and others may have their answers.
            Err(error) if is_too_long(&error) => Ok(Err(Unanswered::TooLong)),
            Err(error) => Err(explain(&error)),
        }
    }
}
