//! How many requests are on their way at the same time, and so threads. Who finds no place waits, and comes in the
//! order of asking. Pure: what waits is handed in and out, and the time comes in.
//!
//! A request that began a moment ago needs a processor, one that waits for its target does not. So no more than a few
//! are fresh at a time: more of them stand in each other's way, and in the target's, and what they measure is the crowd.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The most that are fresh at a time.
const FRESH: u32 = 128;
/// A request is fresh within this many slots of time, the one included that it began in.
const SLOTS: usize = 4;
/// How long one lasts.
pub(super) const SLOT: Duration = Duration::from_millis(5);

/// What a request takes from connecting to the end of the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Beside all bounds, at once.
    Extra,
    /// One of those there are.
    Usual,
    /// The same, and at most so many of them: for services whose last try timed out. Targets that hang never stop the
    /// others.
    Hanging,
}

/// How many requests there are, but for those beside all bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requests {
    /// They have a place.
    pub(crate) in_flight: usize,
    /// They wait for one.
    pub(crate) waiting: usize,
}

/// A bounded number of places, and what waits for one.
#[derive(Debug)]
pub(super) struct Places<T> {
    all: usize,
    free: usize,
    /// Of `free`, what [`Place::Hanging`] may still take.
    free_to_hang: usize,
    /// Each with its number in the order of asking.
    extra: VecDeque<(u64, T)>,
    usual: VecDeque<(u64, T)>,
    hanging: VecDeque<(u64, T)>,
    asked: u64,
    closed: bool,
    /// When the first slot of all began.
    began: Instant,
    /// The number of the present slot.
    slot: u64,
    /// How many began in each of the last slots and are on their way, by the slot's number modulo theirs.
    fresh: [u32; SLOTS],
}

/// A place that is taken; it is given back by [`Places::leave`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    place: Place,
    slot: u64,
}

impl<T> Places<T> {
    /// So many, of which so many may hang.
    pub(super) fn new(all: usize, hanging: usize) -> Places<T> {
        Places {
            all,
            free: all,
            free_to_hang: hanging,
            extra: VecDeque::new(),
            usual: VecDeque::new(),
            hanging: VecDeque::new(),
            asked: 0,
            closed: false,
            began: Instant::now(),
            slot: 0,
            fresh: [0; SLOTS],
        }
    }

    /// Waits for a place, or is dropped once they are closed.
    pub(super) fn ask(&mut self, place: Place, who: T) {
        if !self.closed {
            self.asked += 1;
            let number = self.asked;
            self.waiting(place).push_back((number, who));
        }
    }

    /// What waited longest of that which may begin now.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Seat, T)> {
        self.look_at_the_clock(now);
        let place = self.whose_turn()?;
        let (_, who) = self.waiting(place).pop_front()?;
        if place != Place::Extra {
            self.free -= 1;
            self.free_to_hang -= usize::from(place == Place::Hanging);
            *self.fresh_in(self.slot) += 1;
        }
        Some((Seat { place, slot: self.slot }, who))
    }

    /// A place is free again.
    pub(super) fn leave(&mut self, seat: Seat) {
        if seat.place == Place::Extra {
            return;
        }
        self.free += 1;
        self.free_to_hang += usize::from(seat.place == Place::Hanging);
        if self.slot - seat.slot < SLOTS as u64 {
            *self.fresh_in(seat.slot) -= 1;
        }
    }

    /// Whether something waits.
    pub(super) fn are_awaited(&self) -> bool {
        [&self.extra, &self.usual, &self.hanging].iter().any(|waiting| !waiting.is_empty())
    }

    /// How many there are.
    pub(super) fn requests(&self) -> Requests {
        let waiting = self.extra.len() + self.usual.len() + self.hanging.len();
        Requests { in_flight: self.all - self.free, waiting }
    }

    /// Nothing begins any more; what waits is dropped.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for waiting in [&mut self.extra, &mut self.usual, &mut self.hanging] {
            waiting.clear();
        }
    }

    /// For which place something may begin.
    fn whose_turn(&self) -> Option<Place> {
        let first = |waiting: &VecDeque<(u64, T)>| waiting.front().map(|(number, _)| *number);
        if !self.extra.is_empty() {
            return Some(Place::Extra);
        }
        if self.free == 0 || self.fresh.iter().sum::<u32>() >= FRESH {
            return None;
        }
        match (first(&self.usual), first(&self.hanging).filter(|_| self.free_to_hang > 0)) {
            (Some(usual), Some(hanging)) if hanging < usual => Some(Place::Hanging),
            (Some(_), _) => Some(Place::Usual),
            (None, hanging) => hanging.map(|_| Place::Hanging),
        }
    }

    fn waiting(&mut self, place: Place) -> &mut VecDeque<(u64, T)> {
        match place {
            Place::Extra => &mut self.extra,
            Place::Usual => &mut self.usual,
            Place::Hanging => &mut self.hanging,
        }
    }

    fn fresh_in(&mut self, slot: u64) -> &mut u32 {
        &mut self.fresh[(slot % SLOTS as u64) as usize]
    }

    /// What began in slots that are past is fresh no longer.
    fn look_at_the_clock(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_nanos() / SLOT.as_nanos();
        let slot = u64::try_from(passed).unwrap_or(u64::MAX).max(self.slot);
        for passed in self.slot + 1..=slot.min(self.slot + SLOTS as u64) {
            *self.fresh_in(passed) = 0;
        }
        self.slot = slot;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: usize = 180;
    const HANGING: usize = 90;

    #[derive(Debug, Clone)]
    enum Step {
        Ask(Place, usize),
        Leave(prop::sample::Index, usize),
        Pass(u64),
        Close,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let place = prop_oneof![1 => Just(Place::Extra), 8 => Just(Place::Usual), 8 => Just(Place::Hanging)];
        let step = prop_oneof![
            40 => (place, 1usize..120).prop_map(|(place, count)| Step::Ask(place, count)),
            30 => (any::<prop::sample::Index>(), 1usize..80).prop_map(|(who, count)| Step::Leave(who, count)),
            30 => (0u64..30).prop_map(Step::Pass),
            1 => Just(Step::Close),
        ];
        prop::collection::vec(step, 0..60)
    }

    /// The slow version: everybody in one line, from which whoever may begins, first come first served.
    #[derive(Default)]
    struct Line {
        ms: u64,
        /// With the time each began.
        inside: Vec<(Place, usize, u64)>,
        waiting: Vec<(Place, usize)>,
    }

    impl Line {
        fn count(&self, is: impl Fn(Place, u64) -> bool) -> usize {
            self.inside.iter().filter(|(place, _, began)| is(*place, *began)).count()
        }

        fn may(&self, place: Place) -> bool {
            let slot = |ms: u64| ms / SLOT.as_millis() as u64;
            let all = self.count(|place, _| place != Place::Extra);
            let hanging = self.count(|place, _| place == Place::Hanging);
            let fresh = self
                .count(|place, began| place != Place::Extra && slot(self.ms) - slot(began) < SLOTS as u64);
            match place {
                Place::Extra => true,
                _ if all >= ALL || fresh >= FRESH as usize => false,
                Place::Usual => true,
                Place::Hanging => hanging < HANGING,
            }
        }

        fn begin(&mut self) -> Option<(Place, usize)> {
            let extra = self.waiting.iter().position(|(place, _)| *place == Place::Extra);
            let next = extra.or_else(|| self.waiting.iter().position(|(place, _)| self.may(*place)))?;
            let (place, who) = self.waiting.remove(next);
            self.inside.push((place, who, self.ms));
            Some((place, who))
        }
    }

    proptest! {
        #[test]
        fn who_may_begin_begins_in_the_order_of_asking(steps in steps()) {
            let (mut places, mut line, mut closed) = (Places::new(ALL, HANGING), Line::default(), false);
            let (start, mut seats) = (places.began, Vec::new());
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Ask(place, count) => for one in 0..count {
                        places.ask(place, n * 1000 + one);
                        if !closed {
                            line.waiting.push((place, n * 1000 + one));
                        }
                    },
                    Step::Leave(who, count) => for _ in 0..count.min(seats.len()) {
                        let who = who.index(seats.len());
                        places.leave(seats.remove(who));
                        line.inside.remove(who);
                    },
                    Step::Pass(ms) => line.ms += ms,
                    Step::Close => {
                        places.close();
                        line.waiting.clear();
                        closed = true;
                    }
                }
                let now = start + Duration::from_millis(line.ms);
                loop {
                    let next = places.next(now);
                    prop_assert_eq!(next.map(|(seat, who)| (seat.place, who)), line.begin());
                    let Some((seat, _)) = next else { break };
                    seats.push(seat);
                }
                prop_assert_eq!(places.are_awaited(), !line.waiting.is_empty());
            }
        }
    }
}
