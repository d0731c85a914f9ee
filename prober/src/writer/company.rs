//! The writer's dealings with other probers on the same database: says by whom this one goes, hears it of the others, puts
//! its services file in force, and tells the daemon what follows. Whose which turn is, `share` decides.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use postgres::{Client, Error};
use shared::{Service, retry::Retry};
use tokio::sync::watch;
use uuid::Uuid;

use super::is_held_up;
use crate::{
    clock::Clock,
    metrics::Metrics,
    share::{EVERY, Gain, Looked, Share, Sharing},
    store::{
        self,
        sharing::{self, InForce},
    },
};

/// While a service waits for another prober to let it go.
const SOON: Duration = Duration::from_secs(1);
/// More changes while one looks are seen to by the next look.
const LOOKS_AT_ONCE: usize = 4;

/// What the writer knows of other probers, as the daemon is told.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// When it looked last, or could not.
    pub heard: Option<Instant>,
    /// The turns that are this prober's; `None` where that was never known: all of them.
    pub share: Option<Arc<Share>>,
    /// An instant of each beat, where another prober sets them.
    pub beats: Option<Arc<HashMap<String, DateTime<Utc>>>>,
    /// Whose services file is in force, where it is not ours; for people.
    pub others_file: Option<String>,
}

/// A services file to be put in force.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// In the order of the page.
    pub services: Vec<Service>,
    /// That of the file.
    pub fingerprint: String,
}

#[derive(Debug)]
pub(super) struct Company {
    me: Uuid,
    metrics: Metrics,
    host: String,
    sharing: Sharing,
    loaded: Option<Loaded>,
    /// It is to be published.
    is_due: bool,
    /// The last revision under which our file was in force.
    revision: i64,
    /// The revision whose beats are kept here.
    beats_of: i64,
    has_left: bool,
    complaint: Retry,
    /// How many shared the services, and how many of these were checked here, when it was said last.
    said: (usize, usize),
    news: News,
    told: watch::Sender<News>,
}

impl Company {
    pub(super) fn new(me: Uuid, told: watch::Sender<News>, metrics: Metrics) -> Company {
        Company {
            me,
            metrics,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            sharing: Sharing::new(me, Utc::now()),
            loaded: None,
            is_due: false,
            revision: 0,
            beats_of: 0,
            has_left: false,
            complaint: Retry::default(),
            said: (1, 0),
            news: News::default(),
            told,
        }
    }

    /// This file is to be in force.
    pub(super) fn load(&mut self, loaded: Loaded) {
        let ids = loaded.services.iter().map(|service| service.id.clone()).collect();
        self.sharing.load(ids, loaded.fingerprint.clone());
        (self.loaded, self.is_due) = (Some(loaded), true);
    }

    /// Its beats are told by a clock that was set.
    pub(super) fn retell(&mut self, services: Vec<Service>) {
        if let Some(loaded) = &mut self.loaded {
            (loaded.services, self.is_due) = (services, true);
        }
    }

    /// Turns due from then on are the others'.
    pub(super) fn leave(&mut self, from: DateTime<Utc>) {
        self.sharing.leave(from);
        self.has_left = true;
    }

    /// The database can't be reached: at a start this prober begins all the same. One that stood still may have lost its
    /// connection by that alone, and others have its turns: it waits until it is back, or for as long as it would.
    pub(super) fn is_cut_off(&mut self) {
        if self.sharing.share().is_none() {
            self.has_heard();
        }
    }

    /// There is a connection again.
    pub(super) fn is_back(&mut self) {
        self.sharing.was_away(Instant::now());
    }

    /// Says that this prober is alive, hears of the others, and tells the daemon. Gives when to look again.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn look(&mut self, client: &mut Client) -> Result<Duration, Error> {
        for _ in 0..LOOKS_AT_ONCE {
            let fingerprint = (!self.has_left).then(|| self.sharing.fingerprint());
            if !sharing::beat(client, self.me, &self.host, fingerprint, self.sharing.members())? {
                store::enrol(client, self.me)?;
                continue;
            }
            if self.has_left || self.loaded.is_none() {
                return Ok(EVERY);
            }
            let now = Clock::now();
            let here = self.sharing.here(sharing::others(client, self.me)?, now.monotonic);
            let joins =
                here.iter().any(|other| other.fingerprint.as_deref() == Some(self.sharing.fingerprint()));
            let Some(agrees) = self.settle_file(client, joins)? else { continue };
            let was_settled = self.sharing.is_settled();
            match self.sharing.look(here, agrees, now) {
                // What is let go, the daemon is told; what it may take after a standstill is not known yet.
                Looked::Write => self.tell(),
                Looked::Take(gains) => {
                    let is_news = !was_settled || !gains.is_empty() || !self.sharing.is_settled();
                    if !self.take(client, gains)? {
                        return Ok(SOON);
                    }
                    if is_news {
                        self.tell();
                        self.say();
                    }
                    self.has_heard();
                    return Ok(if self.sharing.is_settled() { EVERY } else { SOON });
                }
            }
        }
        Ok(SOON)
    }

    /// `false` where somebody holds the table: it waits for the next look.
    fn take(&mut self, client: &mut Client, gains: Vec<Gain>) -> Result<bool, Error> {
        if gains.is_empty() {
            return Ok(true);
        }
        let services: Vec<&str> = gains.iter().map(|gain| gain.service.as_str()).collect();
        match sharing::newest_checks(client, &services) {
            Ok(newest) => self.sharing.take(gains, &newest),
            Err(error) if is_held_up(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Puts our file in force where it is to be; gives whether it is. `None` where another prober was quicker: look again.
    fn settle_file(&mut self, client: &mut Client, joins: bool) -> Result<Option<bool>, Error> {
        let in_force = sharing::file_in_force(client)?;
        let agrees = in_force.fingerprint.as_deref() == Some(self.sharing.fingerprint());
        // A database that knows less than it did is another one, or was restored.
        let is_older = in_force.fingerprint.is_none() || in_force.revision < self.revision;
        if (self.is_due && !(agrees && joins)) || (!agrees && is_older) {
            return self.publish(client, in_force.revision);
        }
        if agrees {
            if self.is_due || in_force.revision != self.beats_of {
                self.news.beats = Some(Arc::new(sharing::beats(client)?));
            }
            (self.is_due, self.revision, self.beats_of) = (false, in_force.revision, in_force.revision);
        }
        self.compare(agrees, &in_force);
        Ok(Some(agrees))
    }

    fn publish(&mut self, client: &mut Client, seen: i64) -> Result<Option<bool>, Error> {
        let Some(Loaded { services, fingerprint }) = &self.loaded else { return Ok(Some(true)) };
        let Some(revision) = sharing::publish_services(client, self.me, fingerprint, services, seen)? else {
            return Ok(None);
        };
        (self.is_due, self.revision, self.beats_of) = (false, revision, revision);
        self.news.others_file = None;
        self.complaint.recovered();
        Ok(Some(true))
    }

    /// Says at once, and then once a minute, that another file is in force, and when that is over.
    fn compare(&mut self, agrees: bool, in_force: &InForce) {
        if agrees {
            if self.news.others_file.take().is_some() {
                self.complaint.recovered();
                log::info!("the services files agree again: checks go on");
            }
            return;
        }
        let host = in_force.host.as_deref().unwrap_or("another machine");
        let loaded_at = in_force.loaded_at.map_or("some time ago".into(), |at| {
            format!("at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true))
        });
        let whose = format!("that of the prober on {host}, loaded {loaded_at}");
        if self.complaint.is_news(&whose) {
            log::warn!(
                "another services file is in force: {whose}. Nothing is checked here until both have the same file; \
                 copy the right one and reload (SIGHUP) where it changed"
            );
        }
        self.news.others_file = Some(whose);
    }

    fn tell(&mut self) {
        let Some(share) = self.sharing.share() else { return };
        if self.news.share.as_deref() != Some(share) {
            self.news.share = Some(Arc::new(share.clone()));
        }
        self.told.send_replace(self.news.clone());
    }

    fn has_heard(&mut self) {
        self.news.heard = Some(Instant::now());
        self.told.send_replace(self.news.clone());
    }

    fn say(&mut self) {
        let (members, services) = (self.sharing.members().now.len(), self.loaded.as_ref());
        let services = services.map_or(&[] as &[Service], |loaded| &loaded.services);
        let ours = |service: &&Service| self.sharing.share().is_some_and(|share| share.holds(&service.id));
        let held = services.iter().filter(ours).count();
        self.metrics.share(members, held);
        if !self.sharing.is_settled() || (members, held) == self.said {
            return;
        }
        if members > 1 {
            log::info!("{members} probers share the services: {held} of {} are checked here", services.len());
        } else if members == 1 && self.said.0 > 1 {
            log::info!("no other prober is there: all {} services are checked here", services.len());
        }
        self.said = (members, held);
    }
}
