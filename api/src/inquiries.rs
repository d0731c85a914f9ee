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
use postgres::Client;
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
    /// The database can't be read, or is too slow.
    Away,
}

/// Where questions are asked.
#[derive(Debug)]
pub struct Inquiries {
    queue: Option<SyncSender<Inquiry>>,
}

/// What somebody wants to know of a service.
#[derive(Debug)]
struct Inquiry {
    service: Arc<Service>,
    /// That of the service's checks: what is known as of it is good.
    revision: i64,
    answer: oneshot::Sender<Result<Arc<Charts>, Unanswered>>,
}

impl Inquiries {
    /// Where there is no database, nothing has an answer.
    pub fn unanswered() -> Inquiries {
        Inquiries { queue: None }
    }

    /// Starts the thread that answers.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(database: Database) -> io::Result<Inquiries> {
        let (queue, asked) = sync_channel(MOST_WAITING);
        vital::start("inquirer", move || Reader::new(database).answer(&asked))?;
        Ok(Inquiries { queue: Some(queue) })
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
        let queue = self.queue.as_ref().ok_or(Unanswered::Away)?;
        let (answer, told) = oneshot::channel();
        queue.try_send(Inquiry { service, revision, answer }).map_err(|refused| match refused {
            TrySendError::Full(_) => Unanswered::Busy,
            TrySendError::Disconnected(_) => Unanswered::Away,
        })?;
        match timeout(PATIENCE, told).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Unanswered::Away),
        }
    }
}

/// The thread's own: the connection, and what it read lately.
struct Reader {
    database: Database,
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
    fn new(database: Database) -> Reader {
        Reader { database, client: None, retry: Retry::default(), rests_until: None, kept: HashMap::new() }
    }

    /// Answers until nobody can ask any more.
    fn answer(mut self, asked: &Receiver<Inquiry>) {
        loop {
            match asked.recv_timeout(IDLE) {
                // Who has gone needs no answer, and those who wait behind him get theirs sooner.
                Ok(Inquiry { answer, .. }) if answer.is_closed() => {}
                Ok(Inquiry { service, revision, answer }) => {
                    drop(answer.send(self.charts(&service, revision, Utc::now())));
                }
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
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return Err(Unanswered::Away);
        }
        match self.read(service, now) {
            Ok(charts) => {
                self.rests_until = None;
                if self.retry.recovered() {
                    log::info!("database: charts are read again");
                }
                if self.kept.len() >= MOST_KEPT {
                    self.kept.clear();
                }
                let kept = Kept { service: Arc::clone(service), revision, hour, charts: Arc::clone(&charts) };
                self.kept.insert(service.id.clone(), kept);
                Ok(charts)
            }
            Err(reason) => {
                self.client = None;
                self.rests_until = Some(Instant::now() + self.retry.pause());
                if self.retry.is_news(&reason) {
                    log::warn!("database: charts can't be read: {reason}. Pages are served without them");
                }
                Err(Unanswered::Away)
            }
        }
    }

    fn read(&mut self, service: &Service, now: DateTime<Utc>) -> Result<Arc<Charts>, String> {
        let lost = |client: &mut Client| client.is_valid(SIGN_OF_LIFE).is_err();
        if self.client.as_mut().is_some_and(lost) {
            self.client = None;
        }
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(self.database.connect()?),
        };
        let hour = hour_of(now);
        let since = Period::Quarter.begin(hour);
        let hours = store::read(client, |transaction| {
            store::find_tables(transaction)?;
            store::hours::hours(transaction, &service.id, since, now)
        });
        let hours = hours.map_err(|error| explain(&error))?;
        Ok(Arc::new(Period::ALL.map(|period| Chart::of(&hours, period, hour, service.interval))))
    }
}
