//! Whose turn is it? Beats that are kept for ever, free of drift: the k-th turn of a service lies exactly
//! k intervals after its first. Pure: the time comes in.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

/// The n-th service begins n times this later, so that a start is no stampede; less for short intervals.
const STAGGER: Duration = Duration::from_millis(20);

/// The beats of all services.
#[derive(Debug, Default)]
pub struct Schedule {
    beats: HashMap<String, Beat>,
    queue: BinaryHeap<Reverse<(Instant, String)>>,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    interval: Duration,
    next: Instant,
}

/// A turn that is due.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    /// The service's id.
    pub id: String,
    /// When it was due.
    pub due: Instant,
    /// Earlier turns of the service that went by without being taken: the prober was suspended or overloaded.
    pub skipped: u64,
}

impl Schedule {
    /// Puts exactly these services (id, interval) on the schedule, in the order of the file. A service that was on
    /// it with the same interval keeps its beat; any other begins now, n × min(interval / services, 20 ms) later.
    pub fn load<'a>(&mut self, services: impl ExactSizeIterator<Item = (&'a str, Duration)>, now: Instant) {
        let count = u32::try_from(services.len()).unwrap_or(u32::MAX).max(1);
        let mut begun = 0;
        let mut beats = HashMap::with_capacity(services.len());
        for (id, interval) in services {
            let kept = self.beats.get(id).filter(|beat| beat.interval == interval).copied();
            let beat = kept.unwrap_or_else(|| {
                let next = now + (interval / count).min(STAGGER) * begun;
                begun += 1;
                Beat { interval, next }
            });
            beats.insert(id.to_owned(), beat);
        }
        self.queue = beats.iter().map(|(id, beat)| Reverse((beat.next, id.clone()))).collect();
        self.beats = beats;
    }

    /// When the next turn is due; `None` where nothing is on the schedule.
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((due, _))| *due)
    }

    /// The next turn of one service.
    pub fn next_turn(&self, id: &str) -> Option<Instant> {
        self.beats.get(id).map(|beat| beat.next)
    }

    /// Takes the earliest turn that is due at `now` and puts the service's next one on the schedule.
    pub fn take_due(&mut self, now: Instant) -> Option<Turn> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((mut due, id)) = self.queue.pop()?;
        let beat = self.beats.get_mut(&id)?;
        let skipped = whole_intervals(now - due, beat.interval);
        due += multiply(beat.interval, skipped);
        beat.next = due + beat.interval;
        self.queue.push(Reverse((beat.next, id.clone())));
        Some(Turn { id, due, skipped })
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

    fn schedule(intervals: &[u64], now: Instant) -> Schedule {
        let mut schedule = Schedule::default();
        load(&mut schedule, intervals, now);
        schedule
    }

    fn load(schedule: &mut Schedule, intervals: &[u64], now: Instant) {
        let ids: Vec<String> = (0..intervals.len()).map(|n| n.to_string()).collect();
        schedule.load(ids.iter().map(String::as_str).zip(intervals.iter().map(|n| ms(*n))), now);
    }

    #[test]
    fn the_first_turns_are_at_once_and_20_ms_apart() {
        let now = Instant::now();
        let mut schedule = schedule(&[7_200_000; 3], now);
        for n in 0..3 {
            let turn = schedule.take_due(now + ms(60)).unwrap();
            assert_eq!((turn.id, turn.due), (n.to_string(), now + ms(20 * n)));
        }
        assert_eq!(schedule.take_due(now + ms(60)), None);
    }

    #[test]
    fn many_services_with_a_short_interval_are_spread_over_it() {
        let now = Instant::now();
        let schedule = schedule(&[1000; 100], now);
        assert_eq!(schedule.next_turn("99"), Some(now + ms(990)));
    }

    #[test]
    fn a_late_turn_does_not_move_the_beat() {
        let now = Instant::now();
        let mut schedule = schedule(&[1000], now);
        schedule.take_due(now + ms(300)).unwrap();
        assert_eq!(schedule.next_due(), Some(now + ms(1000)));
    }

    #[test]
    fn turns_that_went_by_are_skipped_and_counted() {
        let now = Instant::now();
        let mut schedule = schedule(&[1000], now);
        let turn = schedule.take_due(now + ms(3500)).unwrap();
        assert_eq!((turn.due, turn.skipped), (now + ms(3000), 3));
        assert_eq!(schedule.take_due(now + ms(3500)), None, "one turn, not a burst");
        assert_eq!(schedule.next_due(), Some(now + ms(4000)));
    }

    #[test]
    fn a_reload_keeps_the_beat_of_what_stays_and_begins_what_is_new_at_once() {
        let now = Instant::now();
        let mut schedule = schedule(&[1000, 2000], now);
        while schedule.take_due(now + ms(20)).is_some() {}
        load(&mut schedule, &[1000, 3000, 4000], now + ms(500));
        assert_eq!(schedule.next_turn("0"), Some(now + ms(1000)));
        assert_eq!(schedule.next_turn("1"), Some(now + ms(500)), "another interval is another beat");
        assert_eq!(schedule.next_turn("2"), Some(now + ms(520)));
        load(&mut schedule, &[1000], now + ms(600));
        assert_eq!((schedule.next_turn("1"), schedule.next_due()), (None, Some(now + ms(1000))));
    }

    proptest! {
        #[test]
        fn every_turn_lies_on_its_beat_and_is_taken_or_counted(
            intervals in prop::collection::vec(1u64..5000, 1..20),
            steps in prop::collection::vec(0u64..3000, 1..60),
        ) {
            let start = Instant::now();
            let mut schedule = schedule(&intervals, start);
            let firsts: Vec<Instant> = (0..intervals.len()).filter_map(|n| schedule.next_turn(&n.to_string())).collect();
            let mut taken = vec![0u64; intervals.len()];
            let mut now = start;
            for step in steps {
                now += ms(step);
                while let Some(turn) = schedule.take_due(now) {
                    let n: usize = turn.id.parse().unwrap();
                    taken[n] += 1 + turn.skipped;
                    prop_assert_eq!(turn.due, firsts[n] + ms(intervals[n] * (taken[n] - 1)));
                }
            }
            for (n, interval) in intervals.iter().enumerate() {
                let passed = now.checked_duration_since(firsts[n]).map_or(0, |time| time.as_millis() as u64 / interval + 1);
                prop_assert_eq!(taken[n], passed);
            }
        }
    }
}
