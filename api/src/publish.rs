//! The one thread that draws conclusions and renders them: once per change, never per visitor. It owns no
//! connection, so a database that hangs or is away stops no clock: services go stale all the same.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    body::Body,
    events::Events,
    json,
    metrics::Metrics,
    refresh::News,
    render::Renderer,
    snapshot::{AWAY_AFTER, Known, Snapshot, assemble},
    watchdog::Beat,
};

/// How often the clock alone may change what is shown.
const TICK: Duration = Duration::from_secs(1);
/// Figures that nothing changed are shown as of a newer instant this often: twice what the contract asks.
const RENEW_AFTER: TimeDelta = TimeDelta::seconds(30);
/// A proxy may give up a stream that nothing comes on for ten seconds.
const TELL_AT_LEAST_EVERY: Duration = Duration::from_secs(8);

/// What visitors get: rendered and compressed, ready to be sent.
#[derive(Debug, Clone)]
pub struct Published {
    /// The page.
    pub page: Body,
    /// The JSON of `/api/status`.
    pub status: Body,
    /// The instant that both are as of, as they tell it.
    pub as_of: String,
    /// What all of it says.
    pub snapshot: Arc<Snapshot>,
}

/// Where the publisher puts what the routes hand out; no lock is held on either side.
#[derive(Debug)]
pub struct Latest {
    /// Tells those who listen of each change.
    pub events: Events,
    /// What is counted of it, and of requests.
    pub metrics: Metrics,
    published: ArcSwap<Published>,
    readiness: Mutex<Readiness>,
}

#[derive(Debug, Clone)]
struct Readiness {
    last_read: Option<Instant>,
    reason: String,
}

impl Latest {
    /// What visitors get now.
    pub fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// Whether the database was read lately.
    ///
    /// # Errors
    /// The reason why not.
    pub fn ready(&self) -> Result<(), String> {
        let readiness = self.readiness.lock().unwrap_or_else(PoisonError::into_inner);
        match readiness.last_read {
            Some(at) if at.elapsed() < AWAY_AFTER => Ok(()),
            Some(at) => Err(format!(
                "the database was not read for {} s: {}",
                at.elapsed().as_secs(),
                readiness.reason
            )),
            None => Err(readiness.reason.clone()),
        }
    }

    /// How things stand, in a line for the operator.
    pub fn standing(&self) -> String {
        let published = self.published.load();
        let some = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let services = some(published.snapshot.services.len(), "service");
        // Of an instant in RFC 3339, the time of the day.
        let time = published.as_of.get(11..19).unwrap_or(&published.as_of);
        let pages = some(self.events.listeners(), "page");
        let standing = format!("serving {services} as of {time} UTC; {pages} listening");
        match self.ready() {
            Ok(()) => standing,
            Err(reason) => format!("not ready: {reason}; {standing}"),
        }
    }

    fn is_ready(&self, readiness: Readiness) {
        *self.readiness.lock().unwrap_or_else(PoisonError::into_inner) = readiness;
    }
}

/// Publishes what is known from reading to reading and from second to second.
pub struct Publisher {
    renderer: Arc<Renderer>,
    known: Known,
    readiness: Readiness,
    shown: Arc<Snapshot>,
    shown_at: DateTime<Utc>,
    told_at: Instant,
    latest: Arc<Latest>,
}

impl Publisher {
    /// Publishes what is known before the first reading.
    ///
    /// # Errors
    /// Where the page can't be rendered.
    pub fn new(renderer: Arc<Renderer>, known: Known) -> Result<Publisher, String> {
        let now = Utc::now();
        let shown = Arc::new(assemble(&known, now));
        let reason = match known {
            Known::Unconfigured => "DATABASE_URL is not set",
            _ => "the database was not read yet",
        };
        let readiness = Readiness { last_read: None, reason: reason.into() };
        let latest = Latest {
            events: Events::default(),
            metrics: Metrics::default(),
            published: ArcSwap::from_pointee(render(&renderer, &shown, now)?),
            readiness: Mutex::new(readiness.clone()),
        };
        Ok(Publisher {
            renderer,
            readiness,
            known,
            shown,
            shown_at: now,
            told_at: Instant::now(),
            latest: Arc::new(latest),
        })
    }

    /// Where the routes find it.
    pub fn latest(&self) -> Arc<Latest> {
        Arc::clone(&self.latest)
    }

    /// Publishes until the refresher ends, and leaves a beat at least each second.
    pub fn run(mut self, news: &Receiver<News>, beat: &Beat) {
        loop {
            beat.now();
            if !self.listen(news) {
                return;
            }
            self.publish(Utc::now());
            // Not before what was read is what visitors get.
            self.latest.is_ready(self.readiness.clone());
        }
    }

    /// Hears all there is to hear, or waits for it within bounds; `false` where nobody will speak again. Only the newest
    /// matters where rendering takes longer than reading.
    fn listen(&mut self, news: &Receiver<News>) -> bool {
        match news.recv_timeout(self.patience(Utc::now())) {
            Ok(news) => self.hear(news),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        news.try_iter().for_each(|news| self.hear(news));
        true
    }

    /// Until the clock may have changed what is shown: a tick, or less where the database is about to count as away.
    fn patience(&self, now: DateTime<Utc>) -> Duration {
        let Known::Reading(reading) = &self.known else { return TICK };
        let age = (now - reading.read_at).to_std().unwrap_or_default();
        match AWAY_AFTER.saturating_sub(age) {
            Duration::ZERO => TICK,
            left => left.min(TICK),
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Read(reading) => {
                let last_read = Some(Instant::now());
                self.readiness = Readiness { last_read, reason: "it does not answer".into() };
                self.known = Known::Reading(reading);
            }
            News::Failed(reason) => {
                self.latest.metrics.database_errors.inc();
                self.readiness.reason = reason;
            }
        }
    }

    fn publish(&mut self, now: DateTime<Utc>) {
        if self.told_at.elapsed() >= TELL_AT_LEAST_EVERY {
            self.latest.events.keep_alive();
            self.told_at = Instant::now();
        }
        let snapshot = Arc::new(assemble(&self.known, now));
        if !is_news(&snapshot, &self.shown, now - self.shown_at) {
            return;
        }
        let began = Instant::now();
        match render(&self.renderer, &snapshot, now) {
            Ok(published) => {
                self.latest.metrics.published(snapshot.as_of, began.elapsed());
                let as_of = published.as_of.clone();
                self.latest.published.store(Arc::new(published));
                if !snapshot.repeats(&self.shown) && self.latest.events.listeners() > 0 {
                    self.latest.events.tell(&as_of, &json::change(&snapshot, &self.shown));
                    self.told_at = Instant::now();
                }
                self.shown = snapshot;
                self.shown_at = now;
            }
            Err(reason) => log::error!("the page can't be rendered, the last one is served: {reason}"),
        }
    }
}

/// Whether it says anything new, or what only the clock moved after long enough (or by a clock that was set back).
fn is_news(snapshot: &Snapshot, shown: &Snapshot, age: TimeDelta) -> bool {
    let old = !(TimeDelta::zero()..RENEW_AFTER).contains(&age);
    !snapshot.repeats(shown) || old && snapshot != shown
}

fn render(renderer: &Renderer, snapshot: &Arc<Snapshot>, now: DateTime<Utc>) -> Result<Published, String> {
    let began = Instant::now();
    let page = Body::new(renderer.page(snapshot, now).map_err(|error| error.to_string())?);
    let status = Body::new(json::status(snapshot));
    log::debug!("{} services rendered and compressed in {:?}", snapshot.services.len(), began.elapsed());
    Ok(Published { page, status, as_of: json::instant(snapshot.as_of), snapshot: Arc::clone(snapshot) })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{facts::Reading, look::Look, site::Site};

    #[test]
    fn readings_that_piled_up_are_one_publish_of_the_newest() {
        let site = Site::new(None, "", Look::default());
        let renderer = Arc::new(Renderer::new(&site).unwrap());
        let mut publisher = Publisher::new(renderer, Known::Nothing(Utc::now())).unwrap();
        let (tell, told) = mpsc::channel();
        let newest = Utc::now();
        for seconds in (0..50).rev() {
            let read_at = newest - TimeDelta::seconds(seconds);
            let reading = Reading { read_at, prepared: true, heartbeat: None, services: Vec::new() };
            tell.send(News::Read(reading)).unwrap();
        }
        assert!(publisher.listen(&told));
        assert!(matches!(&publisher.known, Known::Reading(reading) if reading.read_at == newest));
        assert!(told.try_recv().is_err(), "nothing waits to be published");
        drop(tell);
        assert!(!publisher.listen(&told));
    }

    fn snapshot(second: i64) -> Snapshot {
        assemble(&Known::Nothing(DateTime::from_timestamp(second, 0).unwrap()), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_same_is_published_again_only_as_of_an_instant_that_is_worth_showing() {
        let (shown, later) = (snapshot(1000), snapshot(1001));
        assert!(!is_news(&later, &shown, TimeDelta::milliseconds(29_999)));
        assert!(is_news(&later, &shown, TimeDelta::seconds(30)));
        assert!(is_news(&later, &shown, TimeDelta::seconds(-1)), "the clock was set back");
        assert!(!is_news(&shown, &shown, TimeDelta::seconds(30)), "not a word is new");
    }

    #[test]
    fn a_change_is_published_at_once() {
        let shown = snapshot(1000);
        let changed = Snapshot { last_check: Some(DateTime::UNIX_EPOCH), ..snapshot(1000) };
        assert!(is_news(&changed, &shown, TimeDelta::zero()));
    }
}
