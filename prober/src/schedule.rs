//! Whose turn is it? Beats that are kept for ever, free of drift: the k-th turn of a service lies exactly
//! k intervals after its first. Pure: the time comes in.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use crate::clock::Clock;

/// The n-th service begins n times this later, so that a start is no stampede; less for short intervals.
const STAGGER: Duration = Duration::from_millis(20);

/// The beats of all services.
#[derive(Debug, Default)]
pub struct Schedule {
    beats: HashMap<Arc<str>, Beat>,
    queue: BinaryHeap<Reverse<(Instant, Arc<str>)>>,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    interval: Duration,
    next: Instant,
    /// The same as it is told: by the wall clock.
    next_at: DateTime<Utc>,
    has_begun: bool,
}

/// A turn that is due.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    /// The service's id.
    pub id: Arc<str>,
    /// When it was due.
    pub due: Instant,
    /// Earlier turns of the service that went by without being taken: the prober was suspended or overloaded.
    pub skipped: u64,
}

impl Schedule {
    /// Puts exactly these services (id, interval) on the schedule, in the order of the file. A service that was on
    /// it with the same interval keeps its beat; any other begins now, n × min(interval / services, 20 ms) later.
    pub fn load<'a>(&mut self, services: impl ExactSizeIterator<Item = (&'a str, Duration)>, now: Clock) {
        let count = u32::try_from(services.len()).unwrap_or(u32::MAX).max(1);
        let mut begun = 0;
        let mut beats = HashMap::with_capacity(services.len());
        for (id, interval) in services {
            let kept = self.beats.get(id).filter(|beat| beat.interval == interval).copied();
            let beat = kept.unwrap_or_else(|| {
                let next = now.monotonic + (interval / count).min(STAGGER) * begun;
                begun += 1;
                Beat { interval, next, next_at: now.at(next), has_begun: false }
            });
            beats.insert(id.into(), beat);
        }
        self.beats = beats;
        self.queue_anew();
    }

    /// Goes over to the beats of another prober: an instant of each, by the wall clock.
    pub fn adopt(&mut self, beats: &HashMap<String, DateTime<Utc>>, now: Clock) {
        for (id, beat) in &mut self.beats {
            let Some(other) = beats.get(&**id) else { continue };
            beat.next_at = shared::next_on_beat(*other, beat.interval, now.wall);
            beat.next = now.monotonic + (beat.next_at - now.wall).to_std().unwrap_or_default();
            beat.has_begun = true;
        }
        self.queue_anew();
    }

    /// The beats go on, and are told by a clock that was set.
    pub fn tell_by(&mut self, clock: Clock) {
        self.beats.values_mut().for_each(|beat| beat.next_at = clock.at(beat.next));
    }

    fn queue_anew(&mut self) {
        self.queue = self.beats.iter().map(|(id, beat)| Reverse((beat.next, Arc::clone(id)))).collect();
    }

    /// When the next turn is due; `None` where nothing is on the schedule.
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((due, _))| *due)
    }

    /// The next turn of one service, as it is told.
    pub fn next_turn(&self, id: &str) -> Option<DateTime<Utc>> {
        self.beats.get(id).map(|beat| beat.next_at)
    }

    /// When the turn before that was due, if there was one.
    pub fn last_turn(&self, id: &str) -> Option<Instant> {
        let beat = self.beats.get(id).filter(|beat| beat.has_begun)?;
        beat.next.checked_sub(beat.interval)
    }

    /// Takes the earliest turn that is due at `now` and puts the service's next one on the schedule.
    pub fn take_due(&mut self, now: Instant) -> Option<Turn> {
        let mut first = self.queue.peek_mut()?;
        let Reverse((next, id)) = &mut *first;
        let mut due = *next;
        if due > now {
            return None;
        }
        let beat = self.beats.get_mut(id)?;
        let skipped = whole_intervals(now - due, beat.interval);
        let passed = multiply(beat.interval, skipped);
        due += passed;
        let next_at = beat.next_at + passed + beat.interval;
        *beat = Beat { next: due + beat.interval, next_at, has_begun: true, ..*beat };
        *next = beat.next;
        Some(Turn { id: Arc::clone(id), due, skipped })
    }
}

fn whole_intervals(time: Duration, interval: Duration) -> u64 {
    u64::try_from(time.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u64::MAX)
}

fn multiply(interval: Duration, times: u64) -> Duration {
    let nanos = interval.as_nanos().saturating_mul(u128::from(times));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn later(clock: Clock, passed: u64) -> Clock {
        Clock::new(clock.wall + ms(passed), clock.monotonic + ms(passed))
    }

    fn schedule(intervals: &[u64], now: Clock) -> Schedule {
        let mut schedule = Schedule::default();
        load(&mut schedule, intervals, now);
        schedule
    }

    fn load(schedule: &mut Schedule, intervals: &[u64], now: Clock) {
        let ids: Vec<String> = (0..intervals.len()).map(|n| n.to_string()).collect();
        schedule.load(ids.iter().map(String::as_str).zip(intervals.iter().map(|n| ms(*n))), now);
    }

    #[test]
    fn the_first_turns_are_at_once_and_20_ms_apart() {
        let start = Clock::now();
        let now = start.monotonic;
        let mut schedule = schedule(&[7_200_000; 3], start);
        for n in 0..3 {
            let turn = schedule.take_due(now + ms(60)).unwrap();
            assert_eq!((&*turn.id, turn.due), (&*n.to_string(), now + ms(20 * n)));
        }
        assert_eq!(schedule.take_due(now + ms(60)), None);
    }

    #[test]
    fn many_services_with_a_short_interval_are_spread_over_it() {
        let start = Clock::now();
        let now = start.monotonic;
        let schedule = schedule(&[1000; 100], start);
        assert_eq!(schedule.next_turn("99"), Some(start.at(now + ms(990))));
    }

    #[test]
    fn a_late_turn_does_not_move_the_beat() {
        let start = Clock::now();
        let now = start.monotonic;
        let mut schedule = schedule(&[1000], start);
        schedule.take_due(now + ms(300)).unwrap();
        assert_eq!(schedule.next_due(), Some(now + ms(1000)));
    }

    #[test]
    fn turns_that_went_by_are_skipped_and_counted() {
        let start = Clock::now();
        let now = start.monotonic;
        let mut schedule = schedule(&[1000], start);
        let turn = schedule.take_due(now + ms(3500)).unwrap();
        assert_eq!((turn.due, turn.skipped), (now + ms(3000), 3));
        assert_eq!(schedule.take_due(now + ms(3500)), None, "one turn, not a burst");
        assert_eq!(schedule.next_due(), Some(now + ms(4000)));
    }

    #[test]
    fn a_reload_keeps_the_beat_of_what_stays_and_begins_what_is_new_at_once() {
        let start = Clock::now();
        let now = start.monotonic;
        let mut schedule = schedule(&[1000, 2000], start);
        while schedule.take_due(now + ms(20)).is_some() {}
        load(&mut schedule, &[1000, 3000, 4000], later(start, 500));
        assert_eq!(schedule.next_turn("0"), Some(start.at(now + ms(1000))));
        assert_eq!(
            schedule.next_turn("1"),
            Some(start.at(now + ms(500))),
            "another interval is another beat"
        );
        assert_eq!(schedule.next_turn("2"), Some(start.at(now + ms(520))));
        load(&mut schedule, &[1000], later(start, 600));
        assert_eq!((schedule.next_turn("1"), schedule.next_due()), (None, Some(now + ms(1000))));
    }

    #[test]
    fn the_beats_of_another_prober_are_kept_by_its_clock() {
        let start = Clock::now();
        let now = start.monotonic;
        let mut schedule = schedule(&[1000, 2000], start);
        assert_eq!(schedule.last_turn("0"), None, "its first is to come");
        // An hour ago, on another machine, and a moment before a turn of ours.
        let beats = HashMap::from([("0".to_owned(), start.wall - ms(3_600_000 - 300))]);
        schedule.adopt(&beats, later(start, 100));
        assert_eq!(schedule.next_turn("0"), Some(start.wall + ms(300)));
        assert_eq!(schedule.last_turn("0"), Some(now - ms(700)));
        assert_eq!(schedule.next_turn("1"), Some(start.wall + ms(20)), "it knows no beat of this one");
        let turns: Vec<_> = std::iter::from_fn(|| schedule.take_due(now + ms(1400))).collect();
        let turns: Vec<_> = turns.iter().map(|turn| (&*turn.id, turn.due, turn.skipped)).collect();
        assert_eq!(turns, [("1", now + ms(20), 0), ("0", now + ms(1300), 1)]);
    }

    #[test]
    fn a_clock_that_was_set_changes_what_is_told_and_not_the_beat() {
        let start = Clock::now();
        let mut schedule = schedule(&[1000], start);
        let set = Clock::new(start.wall + ms(7_200_400), start.monotonic + ms(400));
        schedule.tell_by(set);
        assert_eq!(schedule.next_turn("0"), Some(start.wall + ms(7_200_000)));
        assert_eq!(schedule.take_due(start.monotonic + ms(400)).unwrap().due, start.monotonic);
        assert_eq!(schedule.next_turn("0"), Some(start.wall + ms(7_201_000)));
    }

    proptest! {
        #[test]
        fn every_turn_lies_on_its_beat_and_is_taken_or_counted(
            intervals in prop::collection::vec(1u64..5000, 1..20),
            steps in prop::collection::vec(0u64..3000, 1..60),
        ) {
            let start = Clock::now();
            let mut schedule = schedule(&intervals, start);
            let firsts: Vec<DateTime<Utc>> = (0..intervals.len()).filter_map(|n| schedule.next_turn(&n.to_string())).collect();
            let mut taken = vec![0u64; intervals.len()];
            let mut now = start.monotonic;
            for step in steps {
                now += ms(step);
                while let Some(turn) = schedule.take_due(now) {
                    let n: usize = turn.id.parse().unwrap();
                    taken[n] += 1 + turn.skipped;
                    prop_assert_eq!(start.at(turn.due), firsts[n] + ms(intervals[n] * (taken[n] - 1)));
                    prop_assert_eq!(schedule.next_turn(&turn.id), Some(start.at(turn.due + ms(intervals[n]))));
                }
            }
            for (n, interval) in intervals.iter().enumerate() {
                let passed = (start.at(now) - firsts[n]).to_std().map_or(0, |time| time.as_millis() as u64 / interval + 1);
                prop_assert_eq!(taken[n], passed);
            }
        }
    }
}
