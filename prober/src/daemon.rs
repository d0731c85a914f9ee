//! What goes on while it runs: keeps every service's beat, hands what was measured to the journal, reloads. How a
//! check is made is the checker's, how it is recorded the writer's, which turns are other probers' is `share`'s, how it
//! all begins and ends is `run`'s.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use shared::{
    Check, Service, Status,
    systemd::{NotifyState, feed_every, tell},
};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval, sleep, sleep_until},
};

use crate::{
    at_work::{AtWork, Ended},
    broken::Broken,
    canary::{Canary, Word},
    checker::Checker,
    clock::Clock,
    config,
    journal::Journal,
    metrics::Metrics,
    run::Signals,
    schedule::Schedule,
    share::Share,
    standing::{self, Recording},
    target::Target,
    upkeep::Upkeep,
    writer::{Loaded, News, Writer},
};

/// At the end, running checks have this long to finish; then they are cut off and not recorded.
const LAST_CHECKS: Duration = Duration::from_secs(5);
const LOOK_AT_THE_CLOCK_EVERY: Duration = Duration::from_secs(10);
/// At the start, no turn is taken for this long before it is known what other probers do.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// Who stood still for this long may have been taken for gone, and waits as long to hear of the others.
const STOOD_STILL: Duration = Duration::from_secs(10);
const WORD_AFTER: Duration = Duration::from_secs(5);
/// Who stood still for this long measured himself.
const PAUSED: Duration = Duration::from_secs(3);
/// While checks are at work, the loop goes round this often at least, so that a standstill is seen.
const ROUND: Duration = Duration::from_secs(1);
/// A turn that was missed is not made good this soon before the next.
const NOT_WORTH_IT: Duration = Duration::from_secs(5);
/// How often systemd may be told that things stand otherwise.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// The services in force and the checks at work.
pub(crate) struct Daemon {
    services_file: PathBuf,
    checker: Checker,
    /// In the order of the file.
    targets: Vec<Arc<Target>>,
    watched: HashMap<Arc<str>, Watched>,
    schedule: Schedule,
    /// Another prober's, that it goes by.
    beats: Option<Arc<HashMap<String, DateTime<Utc>>>>,
    at_work: AtWork,
    uncounted: Uncounted,
    clock: Clock,
    canary: Canary,
    journal: Arc<Journal>,
    metrics: Metrics,
    writer: Option<Writer>,
    /// What the writer knows of other probers.
    news: Option<watch::Receiver<News>>,
    /// The turns that are ours; `None`: all of them.
    share: Option<Arc<Share>>,
    /// Another prober's services file is in force.
    others_file: Option<String>,
    /// No turn is taken until the writer has heard of the others since then, or until the second.
    hold: Option<(Instant, Instant)>,
    /// When this loop was last seen to go round.
    round: Clock,
    upkeep: Option<Upkeep>,
    retention: Option<Duration>,
    /// How things stand, as systemd was told last.
    told: String,
}

struct Watched {
    target: Arc<Target>,
    last_status: Status,
}

impl Daemon {
    /// A daemon that has nothing to do yet.
    pub(crate) fn new(
        services_file: PathBuf,
        checker: Checker,
        journal: Arc<Journal>,
        writer: Option<Writer>,
        upkeep: Option<Upkeep>,
        metrics: Metrics,
    ) -> Daemon {
        let (round, news) = (Clock::now(), writer.as_ref().map(Writer::news));
        let now = round.monotonic;
        Daemon {
            services_file,
            checker,
            targets: Vec::new(),
            watched: HashMap::new(),
            schedule: Schedule::default(),
            beats: None,
            at_work: AtWork::new(),
            uncounted: Uncounted::default(),
            clock: round,
            canary: Canary::default(),
            journal,
            metrics,
            hold: news.is_some().then_some((now, now + FIRST_WORD)),
            writer,
            news,
            share: None,
            others_file: None,
            round,
            upkeep,
            retention: None,
            told: String::new(),
        }
    }

    /// Checks until a signal ends it; gives the writer, which may still have work.
    pub(crate) async fn watch(mut self, services: config::Services, mut signals: Signals) -> Option<Writer> {
        self.load(services);
        let mut look_at_the_clock = interval(LOOK_AT_THE_CLOCK_EVERY);
        let mut say = interval(TELL_EVERY);
        let mut feed = feed_every().map(interval);
        for turns in [&mut say].into_iter().chain(&mut feed) {
            turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
        }
        self.told = self.standing();
        tell(&[NotifyState::Ready, NotifyState::Status(&self.told)]);
        loop {
            self.notice_a_standstill();
            let due = self.schedule.next_due().unwrap_or_else(|| Instant::now() + LOOK_AT_THE_CLOCK_EVERY);
            let due = self.hold.map_or(due, |(_, until)| until);
            let due = if self.at_work.is_empty() { due } else { due.min(Instant::now() + ROUND) };
            tokio::select! {
                () = came(&mut self.news) => self.hear(),
                () = sleep_until(due.into()) => self.take_turns(),
                Some(ended) = self.at_work.next() => self.ended_all(ended),
                one_answers = self.canary.answered() => self.decided(one_answers),
                _ = signals.reload.recv() => self.reload(),
                _ = look_at_the_clock.tick() => {
                    self.uncounted.report();
                    self.look_at_the_clock();
                }
                _ = say.tick() => self.say(),
                () = turn(&mut feed) => self.feed(),
                _ = signals.term.recv() => break log::info!("SIGTERM: no new checks"),
                _ = signals.interrupt.recv() => break log::info!("SIGINT: no new checks"),
            }
        }
        tell(&[NotifyState::Stopping]);
        self.leave();
        self.uncounted.report();
        self.finish_checks().await;
        self.writer
    }

    fn take_turns(&mut self) {
        self.notice_a_standstill();
        if let Some((since, until)) = self.hold {
            if Instant::now() < until {
                return;
            }
            log::warn!(
                "nothing was heard of other probers for {:?}: turns are taken until it is known which are theirs",
                until - since
            );
        }
        self.hold = None;
        while let Some(turn) = self.schedule.take_due(Instant::now()) {
            if !takes(self.share.as_deref(), &turn.id, turn.due) {
                continue;
            }
            let begins = self.begin(&turn.id);
            let skipped = turn.skipped + u64::from(!begins);
            self.uncounted.skipped += skipped;
            self.metrics.skipped.inc_by(skipped);
            if begins {
                self.metrics.begins(turn.due.elapsed());
            }
        }
    }

    /// Begins the check of a turn; not while the last one of the same service is still at work.
    fn begin(&mut self, id: &str) -> bool {
        let Some((id, watched)) = self.watched.get_key_value(id) else { return true };
        let (checker, target) = (self.checker.clone(), Arc::clone(&watched.target));
        let (takes, hangs) = (target.tries_take(), watched.last_status == Status::Timeout);
        self.at_work.begin(id, takes, async move { checker.check_in_turn(&target, hangs).await })
    }

    /// Frozen, or the machine slept: what is at work says nothing of its target, and others may have taken our turns, so
    /// they are asked before the next one.
    fn notice_a_standstill(&mut self) {
        let before = std::mem::replace(&mut self.round, Clock::now());
        let passed = before.passed_until(self.round);
        if passed > PAUSED {
            self.at_work.stood_still();
        }
        let Some(writer) = &self.writer else { return };
        if passed > STOOD_STILL {
            let now = self.round.monotonic;
            self.hold = Some((now, now + WORD_AFTER));
            writer.look();
        }
    }

    /// What other probers do. A turn that was due already, and is ours only now, is made good.
    fn hear(&mut self) {
        let Some(news) = &mut self.news else { return };
        let News { heard, share, beats, others_file } = news.borrow_and_update().clone();
        if let Some(beats) =
            beats.filter(|beats| self.beats.as_ref().is_none_or(|known| !Arc::ptr_eq(known, beats)))
        {
            self.schedule.adopt(&beats, Clock::now());
            self.beats = Some(beats);
        }
        self.others_file = others_file;
        self.keep_for_retention();
        self.hold = self.hold.filter(|(since, _)| heard.is_none_or(|heard| heard < *since));
        let before = std::mem::replace(&mut self.share, share);
        let Some(after) = self.share.clone() else { return };
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &after)) {
            return;
        }
        let now = Instant::now();
        for target in self.targets.clone() {
            let id = target.id.as_str();
            let Some(last) = self.schedule.last_turn(id) else { continue };
            let is_missed = !takes(before.as_deref(), id, last) && after.takes(id, last);
            let next_is_soon = last + target.interval < now + NOT_WORTH_IT.min(target.interval / 2);
            if is_missed && !next_is_soon {
                self.begin(id);
            }
        }
    }

    /// By the file that is in force, if it is ours.
    fn keep_for_retention(&self) {
        if let Some(upkeep) = &self.upkeep {
            upkeep.keep_for(self.retention.filter(|_| self.others_file.is_none()));
        }
    }

    /// No new checks; other probers take what is due from now on.
    fn leave(&mut self) {
        self.take_turns();
        if let Some(writer) = &self.writer {
            writer.leave(Utc::now());
        }
    }

    /// Together with all others that ended meanwhile.
    fn ended_all(&mut self, first: Ended) {
        self.notice_a_standstill();
        self.ended(first);
        while let Some(next) = self.at_work.next().now_or_never().flatten() {
            self.ended(next);
        }
    }

    fn ended(&mut self, ended: Ended) {
        let stood_still = self.at_work.stood_still_during(&ended);
        let Ended { id, outcome, .. } = ended;
        match outcome {
            Ok(check) if stood_still && check.status != Status::Online => {
                self.uncounted.of_a_standstill += 1;
                self.metrics.of_a_standstill.inc();
            }
            Ok(check) if self.canary.doubts(&check) => {
                // Its service has no other turn until it is known.
                self.at_work.keep_busy(id);
                self.canary.keep(check, &self.checker);
            }
            Ok(check) => self.measured(check),
            // At the end: no new requests.
            Err(Broken::Stopped) => {}
            Err(broken) => {
                log::error!("{id}: {broken}; nothing is recorded for this turn");
                self.metrics.broken.inc();
            }
        }
    }

    fn decided(&mut self, one_answers: bool) {
        let (checks, counts) = match self.canary.decide(one_answers, &self.checker) {
            Word::They(checks) => (checks, true),
            Word::We(checks) => (checks, false),
        };
        for check in checks {
            self.at_work.free(&check.service_id);
            if counts {
                self.measured(check);
            } else {
                self.metrics.undecided.inc();
            }
        }
    }

    fn measured(&mut self, check: Check) {
        self.metrics.measured(&check);
        if let Some(watched) = self.watched.get_mut(check.service_id.as_str()) {
            let before = std::mem::replace(&mut watched.last_status, check.status);
            log_change(before, &check);
        }
        if self.writer.is_some() {
            self.journal.push(check);
        }
    }

    fn load(&mut self, services: config::Services) {
        self.retention = services.retention;
        self.keep_for_retention();
        self.canary.load(services.canary);
        self.targets = services.targets.into_iter().map(Arc::new).collect();
        let before = std::mem::take(&mut self.watched);
        for target in &self.targets {
            let last_status =
                before.get(target.id.as_str()).map_or(Status::Unknown, |known| known.last_status);
            self.watched
                .insert(target.id.as_str().into(), Watched { target: Arc::clone(target), last_status });
        }
        before.keys().filter(|id| !self.watched.contains_key(*id)).for_each(|id| self.metrics.forget(id));
        self.metrics.load(self.targets.len());
        if self.writer.is_none() {
            self.metrics.share(1, self.targets.len());
        }
        let beats = self.targets.iter().map(|target| (target.id.as_str(), target.interval));
        self.schedule.load(beats, Clock::now());
        log::info!("{}", self.summary());
        if let Some(writer) = &self.writer {
            writer.load(Loaded { services: self.visible(), fingerprint: services.fingerprint });
        }
    }

    fn reload(&mut self) {
        let began = NotifyState::monotonic_usec_now().ok();
        tell(&[Some(NotifyState::Reloading), began].into_iter().flatten().collect::<Vec<_>>());
        match config::load(&self.services_file) {
            Ok(services) => self.load(services),
            Err(problems) => {
                problems.lines().for_each(|line| log::error!("{line}"));
                log::error!("reload refused: the services stay as they were");
            }
        }
        self.told = self.standing();
        tell(&[NotifyState::Ready, NotifyState::Status(&self.told)]);
    }

    /// By this loop, so that one that takes no turns any more feeds nobody. What the database does is no part of it:
    /// checks go on without.
    fn feed(&self) {
        if self.at_work.is_steady() {
            tell(&[NotifyState::Watchdog]);
        } else {
            log::error!("no check ends any more; systemd will start this program anew");
        }
    }

    fn say(&mut self) {
        let standing = self.standing();
        if standing != self.told {
            tell(&[NotifyState::Status(&standing)]);
            self.told = standing;
        }
    }

    fn standing(&self) -> String {
        if let Some(whose) = &self.others_file {
            return format!("nothing is checked: another services file is in force, {whose}");
        }
        let ours = |id: &str| self.share.as_ref().is_none_or(|share| share.holds(id));
        let watched = self.watched.iter().filter(|(id, _)| ours(id));
        let statuses: Vec<_> = watched.map(|(_, watched)| watched.last_status).collect();
        let recording = self.writer.as_ref().map_or(Recording::Nowhere, Writer::recording);
        standing::line(&statuses, self.journal.unrecorded(), recording, Utc::now())
    }

    /// The beats go on; what is told of them changes.
    fn look_at_the_clock(&mut self) {
        let now = Clock::now();
        let step = self.clock.step_until(now);
        self.clock = now;
        if let Some(step) = step {
            log::warn!("the clock was set by {step:?}, or the machine slept; the beats go on");
            self.schedule.tell_by(now);
            if let Some(writer) = &self.writer {
                writer.retell(self.visible());
            }
        }
    }

    /// The services as visitors see them.
    fn visible(&self) -> Vec<Service> {
        let beat = |target: &Target| self.schedule.next_turn(&target.id).unwrap_or_else(Utc::now);
        self.targets.iter().map(|target| visible(target, beat(target))).collect()
    }

    async fn finish_checks(&mut self) {
        self.checker.close();
        let cut_off = sleep(LAST_CHECKS);
        tokio::pin!(cut_off);
        while !self.at_work.is_empty() || self.canary.is_asked() {
            tokio::select! {
                Some(ended) = self.at_work.next() => self.ended(ended),
                one_answers = self.canary.answered() => self.decided(one_answers),
                () = &mut cut_off => break,
            }
        }
        match self.at_work.cut_off() {
            0 => {}
            count => log::info!("{count} checks were still at work and are cut off, unrecorded"),
        }
        self.canary.end();
    }

    fn summary(&self) -> String {
        match self.targets.len() {
            1 => "checking 1 service".into(),
            n => format!("checking {n} services"),
        }
    }
}

/// The next turn; never where there is none to take.
async fn turn(turns: &mut Option<Interval>) {
    match turns {
        Some(turns) => drop(turns.tick().await),
        None => std::future::pending().await,
    }
}

/// What the writer hears of other probers; never where there is no writer.
async fn came(news: &mut Option<watch::Receiver<News>>) {
    if let Some(news) = news
        && news.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Without a share all turns are ours.
fn takes(share: Option<&Share>, id: &str, due: Instant) -> bool {
    share.is_none_or(|share| share.takes(id, due))
}

/// A service as visitors see it.
fn visible(target: &Target, beat: DateTime<Utc>) -> Service {
    Service {
        id: target.id.clone(),
        name: target.name.clone(),
        group: target.group.clone(),
        link: target.link.clone(),
        interval: target.interval,
        timeout: target.timeout,
        slow_after: target.slow_after,
        tries_take: target.tries_take(),
        beat,
    }
}

fn log_change(before: Status, check: &Check) {
    let (id, status) = (&check.service_id, check.status);
    if before == status {
        return;
    }
    match (&check.error, check.response_time_ms) {
        (Some(error), _) => log::warn!("{id}: {before} -> {status}: {error}"),
        (None, Some(ms)) => log::info!("{id}: {before} -> {status}, {ms} ms"),
        (None, None) => log::info!("{id}: {before} -> {status}"),
    }
}

/// What is not measured, or not counted, said in sum.
#[derive(Default)]
struct Uncounted {
    skipped: u64,
    of_a_standstill: u64,
}

impl Uncounted {
    fn report(&mut self) {
        let Uncounted { skipped, of_a_standstill } = std::mem::take(self);
        if skipped > 0 {
            log::warn!(
                "{skipped} turns were skipped: the check before was still at work, or the machine slept"
            );
        }
        if of_a_standstill > 0 {
            log::warn!(
                "{of_a_standstill} checks that did not go well are not recorded: this program, or the machine, stood still \
                 meanwhile"
            );
        }
    }
}
