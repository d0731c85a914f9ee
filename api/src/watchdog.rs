//! What systemd is told while this process serves: that serving advances, and how things stand.
//!
//! Serving advances while every part of it does: the event loop of each worker, which answers requests and hands out
//! events, and the publisher, which lets services grow stale when nobody reads any more. Each leaves a beat in passing.
//! A request to itself would prove more and do harm: with all connections taken by a crowd it would wait in line, and a
//! watchdog that bites then makes a full house an outage. The database is no part of it: pages are served without.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::rt;
use shared::systemd::{NotifyState, feed_every, tell};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::publish::Latest;

/// How often a part that has nothing else to do leaves a beat.
const BEAT: Duration = Duration::from_secs(1);
/// A part that left none for so long does not advance.
const LATE: Duration = Duration::from_secs(10);
/// How often it is looked whether systemd is told something else.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The beats of all parts.
#[derive(Debug)]
pub struct Pulse {
    began: Instant,
    parts: Mutex<Vec<Weak<AtomicU64>>>,
}

/// Where one part leaves its beats. When it is dropped, the part is over and nobody waits for it.
#[derive(Debug)]
pub struct Beat {
    began: Instant,
    /// Milliseconds after the begin.
    last: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse { began: Instant::now(), parts: Mutex::default() }
    }
}

impl Pulse {
    /// A new part, which beats for the first time.
    pub fn part(&self) -> Beat {
        let beat = Beat { began: self.began, last: Arc::default() };
        beat.now();
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&beat.last));
        beat
    }

    /// Makes the event loop of this thread a part.
    pub fn include_this_loop(&self) {
        let beat = self.part();
        rt::spawn(async move {
            loop {
                beat.now();
                sleep(BEAT).await;
            }
        });
    }

    /// Whether every part left a beat lately. There is at least one.
    pub fn is_steady(&self) -> bool {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|part| part.strong_count() > 0);
        let now = millis(self.began.elapsed());
        let late = |last: u64| now.saturating_sub(last) > millis(LATE);
        !parts.is_empty()
            && !parts.iter().filter_map(Weak::upgrade).any(|last| late(last.load(Ordering::Relaxed)))
    }
}

impl Beat {
    /// This part advances.
    pub fn now(&self) {
        self.last.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Tells it for ever.
pub async fn watch(pulse: &Pulse, latest: &Latest) {
    tokio::join!(feed(pulse), say(latest));
}

async fn feed(pulse: &Pulse) {
    let Some(every) = feed_every() else { return };
    let mut turns = interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut steady = true;
    loop {
        turns.tick().await;
        let before = std::mem::replace(&mut steady, pulse.is_steady());
        if steady {
            tell(&[NotifyState::Watchdog]);
        } else if before {
            log::error!(
                "a worker or the publisher stands still; without it systemd will start this program anew"
            );
        }
    }
}

async fn say(latest: &Latest) {
    let mut told = String::new();
    let mut turns = interval(LOOK_EVERY);
    loop {
        turns.tick().await;
        let standing = latest.standing();
        if standing != told {
            tell(&[NotifyState::Status(&standing)]);
            told = standing;
        }
    }
}
