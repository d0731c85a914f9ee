//! What the target server saw, and whether that is every turn on its beat. The first service to be asked sets the beat of all:
//! the prober's own schedule says how far the others begin behind it.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use chrono::{SubsecRound, Utc};
use prober::{clock::Clock, schedule::Schedule};

use crate::load::{Load, id};

/// One request.
#[derive(Clone, Copy)]
pub(crate) struct Visit {
    /// When its connection was accepted.
    pub(crate) at: Instant,
    /// From then on until it was answered, or given up.
    pub(crate) held: Duration,
}

/// What the target server saw so far.
pub(crate) struct Seen {
    visits: Vec<Mutex<Vec<Visit>>>,
    /// When each one was over, in that order.
    over: Mutex<Vec<Instant>>,
}

/// How the turns of services were kept.
pub(crate) struct Kept {
    pub(crate) due: usize,
    pub(crate) missed: usize,
    pub(crate) doubled: usize,
    /// By how many milliseconds each was late, sorted.
    pub(crate) late: Vec<f64>,
    /// The same without the first of each service, which waits until it is known what other probers do.
    pub(crate) later: Vec<f64>,
}

impl Seen {
    pub(crate) fn nothing(services: usize) -> Seen {
        Seen { visits: (0..services).map(|_| Mutex::default()).collect(), over: Mutex::default() }
    }

    pub(crate) fn begin(&self, service: usize, at: Instant) {
        self.visits[service].lock().unwrap().push(Visit { at, held: Duration::ZERO });
    }

    /// Of each service only one is at work at the same time.
    pub(crate) fn end(&self, service: usize) {
        let now = Instant::now();
        if let Some(last) = self.visits[service].lock().unwrap().last_mut() {
            last.held = now - last.at;
        }
        self.over().push(now);
    }

    /// When each request was over, in that order.
    pub(crate) fn over(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.over.lock().unwrap()
    }

    pub(crate) fn count(&self) -> usize {
        self.visits.iter().map(|visits| visits.lock().unwrap().len()).sum()
    }

    pub(crate) fn of(&self, service: usize) -> Vec<Visit> {
        self.visits[service].lock().unwrap().clone()
    }

    /// The turns of `services` that were due until `end`, give or take a second.
    pub(crate) fn kept(&self, load: &Load, services: impl Iterator<Item = usize>, end: Instant) -> Kept {
        let interval = load.interval.as_secs_f64();
        let phases = phases(load);
        let origin = *phases.first().unwrap();
        // Seconds since the beats of the services began, as far as the first visit tells.
        let since = |visit: &Visit, service: usize, begin: Instant| {
            (visit.at - begin).as_secs_f64() - (phases[service] - origin).as_secs_f64()
        };
        let visits: Vec<Vec<Visit>> = (0..load.services).map(|service| self.of(service)).collect();
        let begin = visits.iter().filter_map(|visits| visits.first()).map(|visit| visit.at).min().unwrap();
        let off = |passed: f64| (passed / interval).round().mul_add(-interval, passed);
        let earliest = visits
            .iter()
            .enumerate()
            .flat_map(|(service, visits)| visits.iter().map(move |visit| off(since(visit, service, begin))))
            .fold(0.0, f64::min);
        let mut kept = Kept { due: 0, missed: 0, doubled: 0, late: Vec::new(), later: Vec::new() };
        for service in services {
            let lasted = (end - begin).as_secs_f64() - (phases[service] - origin).as_secs_f64() - 1.0;
            let due = (lasted / interval).ceil().max(0.0) as usize;
            let mut turns = vec![0; due];
            for visit in &visits[service] {
                let passed = since(visit, service, begin) - earliest;
                let number = (passed / interval) as usize;
                if let Some(times) = turns.get_mut(number) {
                    *times += 1;
                    let late = passed % interval * 1e3;
                    kept.late.push(late);
                    kept.later.extend((number > 0).then_some(late));
                }
            }
            kept.due += due;
            kept.missed += turns.iter().filter(|times| **times == 0).count();
            kept.doubled += turns.iter().filter(|times| **times > 1).count();
        }
        kept.late.sort_by(f64::total_cmp);
        kept.later.sort_by(f64::total_cmp);
        kept
    }
}

/// When each service would begin.
fn phases(load: &Load) -> Vec<Instant> {
    let ids: Vec<String> = (0..load.services).map(id).collect();
    let mut schedule = Schedule::default();
    let (now, at) = (Instant::now(), Utc::now().trunc_subsecs(6));
    schedule.load(ids.iter().map(|id| (id.as_str(), load.interval)), Clock::new(at, now));
    let first = |id: &String| now + (schedule.next_turn(id).unwrap() - at).to_std().unwrap();
    ids.iter().map(first).collect()
}
