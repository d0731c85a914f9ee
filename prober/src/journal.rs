//! Checks that were measured and are not yet known to be recorded. Each goes to the end of a file first, a few times a
//! second all that came together, and from there to the writer; so a crash of this program costs the last moment alone.
//! It never waits for the database. What has no room makes the oldest go, and is counted. Where there is no folder, or
//! the disk is full, the checks wait in memory.

mod folder;
mod line;

use std::{
    collections::{HashMap, VecDeque},
    io::ErrorKind,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use shared::{Check, retry::Retry, vital};
use uuid::Uuid;

use folder::{Folder, Found, Reader, Segment, Tail};

/// Checks that wait in memory, about 20 MB of them: two hours of a thousand services, each checked every two minutes.
pub const CAPACITY: usize = 65_536;
/// Bytes that wait in the folder: some 1.5 million checks.
pub const MOST_BYTES: u64 = 256 << 20;
/// What is measured is on disk this much later at the most, and what the disk takes.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// A disk that takes longer for a flush keeps nothing from the database.
const PATIENCE_WITH_THE_DISK: Duration = Duration::from_secs(5);
/// What can't be read now is tried again.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// Checks that are written at once, so that none of them waits for too many others.
const FLUSHED_AT_ONCE: usize = 10_000;

/// The checks of one run of the prober, numbered from 1 without gaps but for those that were dropped; and those that
/// earlier runs left in the folder, under their own ids and numbers.
#[derive(Debug)]
pub struct Journal {
    /// Tells this journal from every other in the ledger `status_probers`.
    pub id: Uuid,
    capacity: usize,
    most_bytes: u64,
    folder: Option<Folder>,
    state: Mutex<State>,
    reader: Mutex<Reader>,
    /// Something to be written came, or the end.
    came: Condvar,
    /// Something to be recorded came, a nudge or the end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Neither on disk nor known to be recorded; those at its begin may be taken out.
    waiting: VecDeque<Check>,
    /// The number of the last check that came in.
    last_seq: u64,
    /// What is on disk, oldest first.
    segments: VecDeque<Segment>,
    /// The segment that grows: its number.
    growing: Option<u64>,
    /// Of each journal, the number up to which checks were taken out, or known to be recorded.
    taken: HashMap<Uuid, u64>,
    /// Checks come to the writer by way of the disk; else from memory.
    by_disk: bool,
    /// Since when the disk is at one flush.
    flushing: Option<Instant>,
    /// Taken out last, and not known to be recorded.
    in_hand: usize,
    /// When checks were last known to be recorded, or the first came in since.
    advanced: Option<Instant>,
    dropped: u64,
    spoiled: u64,
    nudged: bool,
    /// Closed; nobody waits for the database beyond this.
    closes: Option<Instant>,
}

/// Consecutive checks on their way into the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The journal that numbered them.
    pub journal: Uuid,
    /// The number of the first of them.
    pub first_seq: u64,
    /// At least one.
    pub checks: Vec<Check>,
}

impl Batch {
    /// The number of the last of them.
    pub fn last_seq(&self) -> u64 {
        self.first_seq + self.checks.len() as u64 - 1
    }
}

/// What became of the checks that were not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// They are on disk, and the next run records them.
    pub kept: usize,
    /// They were in memory alone.
    pub lost: usize,
}

impl State {
    /// The number of the first check in memory.
    fn first_waiting(&self) -> u64 {
        self.last_seq + 1 - self.waiting.len() as u64
    }

    /// Checks come by way of the disk, unless it has been at one flush for too long.
    fn goes_by_disk(&self) -> bool {
        self.by_disk && self.flushing.is_none_or(|since| since.elapsed() < PATIENCE_WITH_THE_DISK)
    }

    /// All up to this number are taken out.
    fn takes(&mut self, journal: Uuid, last_seq: u64) {
        let taken = self.taken.entry(journal).or_default();
        *taken = last_seq.max(*taken);
    }

    fn taken(&self, journal: Uuid) -> u64 {
        self.taken.get(&journal).copied().unwrap_or(0)
    }

    /// How many checks of a segment are still to be taken out.
    fn left(&self, segment: &Segment) -> u64 {
        (segment.last_seq + 1).saturating_sub(segment.first_seq.max(self.taken(segment.journal) + 1))
    }

    /// Whether there is a check to take.
    fn is_ready(&self) -> bool {
        (!self.goes_by_disk() && !self.waiting.is_empty())
            || self.segments.iter().any(|segment| self.left(segment) > 0)
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// How many of those in memory are taken out already.
    fn waiting_in_hand(&self, journal: Uuid) -> usize {
        let taken = (self.taken(journal) + 1).saturating_sub(self.first_waiting());
        usize::try_from(taken).unwrap_or(usize::MAX).min(self.waiting.len())
    }

    fn unrecorded(&self, journal: Uuid) -> usize {
        let on_disk: u64 = self.segments.iter().map(|segment| self.left(segment)).sum();
        let in_memory = self.waiting.len() - self.waiting_in_hand(journal);
        usize::try_from(on_disk).unwrap_or(usize::MAX) + in_memory + self.in_hand
    }
}

impl Journal {
    /// An empty journal under a new id, in memory alone, for at most `capacity` waiting checks.
    pub fn new(capacity: usize) -> Journal {
        Journal {
            id: Uuid::new_v4(),
            capacity,
            most_bytes: 0,
            folder: None,
            state: Mutex::default(),
            reader: Mutex::default(),
            came: Condvar::new(),
            changed: Condvar::new(),
        }
    }

    /// A journal under a new id in a folder, with what earlier ones left there; at most `most_bytes` on disk, and
    /// `capacity` checks in memory while the disk takes none. A thread of its own writes; it ends with the close.
    ///
    /// # Errors
    /// Why the folder can't be used, for people.
    pub fn open(path: &Path, capacity: usize, most_bytes: u64) -> Result<Arc<Journal>, String> {
        let (folder, Found { segments, free, strange }) = Folder::open(path)?;
        strange.iter().for_each(|strange| log::error!("journal: {strange}. It is left alone"));
        let mut journal = Journal { folder: Some(folder), most_bytes, ..Journal::new(capacity) };
        let state = journal.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.segments = segments.into();
        state.by_disk = true;
        state.advanced = Some(Instant::now());
        let journal = Arc::new(journal);
        let (kept, tail) = (Arc::clone(&journal), Tail::new(journal.id, free, most_bytes));
        let thread = vital::start("journal", move || kept.keep(tail));
        thread.map_err(|error| format!("the system gives no thread: {error}"))?;
        Ok(journal)
    }

    /// Takes in a measured check. Never blocks for longer than it takes to queue it.
    pub fn push(&self, check: Check) {
        let mut state = self.lock();
        if state.unrecorded(self.id) == 0 {
            state.advanced = Some(Instant::now());
        }
        state.last_seq += 1;
        state.waiting.push_back(check);
        if state.waiting.len() > self.capacity {
            let is_taken = state.waiting_in_hand(self.id) > 0;
            state.waiting.pop_front();
            state.dropped += u64::from(!is_taken);
        }
        let by_disk = state.by_disk;
        drop(state);
        self.came.notify_one();
        if !by_disk {
            self.changed.notify_one();
        }
    }

    /// Takes out up to `most` of the oldest checks, all of one journal; `None` where none waits, or none is on disk yet.
    /// Whoever takes them keeps them until they are recorded: the next call says that they are.
    pub fn take(&self, most: usize) -> Option<Batch> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.lock();
            state.in_hand = 0;
            state.advanced = Some(Instant::now());
            let recorded = state.waiting_in_hand(self.id);
            state.waiting.drain(..recorded);
            self.forget_recorded(&mut state, &reader);
        }
        while let Some((segment, after)) = self.next_to_read(&reader) {
            let folder = self.folder.as_ref()?;
            let read = reader.read(folder, &segment, after, most);
            let mut state = self.lock();
            match read {
                Ok(lines) => {
                    reader.trouble.recovered();
                    state.spoiled += lines.spoiled;
                    if reader.is_past(&segment) {
                        // Whatever stood at its end.
                        state.takes(segment.journal, segment.last_seq);
                    }
                    if !lines.checks.is_empty() {
                        let batch = Batch {
                            journal: segment.journal,
                            first_seq: lines.first_seq,
                            checks: lines.checks,
                        };
                        return Some(hand_out(&mut state, batch));
                    }
                }
                // It made room meanwhile, and is counted.
                Err(_) if !state.segments.iter().any(|other| other.number == segment.number) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let left = state.left(&segment);
                    state.spoiled += left;
                    state.takes(segment.journal, segment.last_seq);
                    reader.skip(&segment);
                }
                // Too many open files, say: nothing is lost by another try. Where it never ends, room is made in the end.
                Err(error) => {
                    drop(state);
                    if reader.trouble.is_news(&error.to_string()) {
                        log::error!("journal: it can't be read: {error}; trying again");
                    }
                    thread::sleep(BETWEEN_TRIES);
                    return None;
                }
            }
        }
        let mut state = self.lock();
        if state.goes_by_disk() {
            return None;
        }
        let first_seq = state.first_waiting();
        // They stay until they are known to be recorded: the disk may be quicker.
        let checks: Vec<Check> = state.waiting.iter().take(most).cloned().collect();
        let batch = Batch { journal: self.id, first_seq, checks };
        (!batch.checks.is_empty()).then(|| hand_out(&mut state, batch))
    }

    /// The segment to go on in, and the number of its journal that was taken out last.
    fn next_to_read(&self, reader: &Reader) -> Option<(Segment, u64)> {
        let state = self.lock();
        let segment = state.segments.iter().find(|segment| !reader.is_past(segment))?;
        Some((segment.clone(), state.taken(segment.journal)))
    }

    /// Removes what was read to its end, all of it recorded; not the segment that grows.
    fn forget_recorded(&self, state: &mut State, reader: &Reader) {
        while let Some(first) = state.segments.front() {
            if !reader.is_past(first) || state.growing == Some(first.number) {
                return;
            }
            self.remove(state);
        }
    }

    fn remove(&self, state: &mut State) {
        let (Some(folder), Some(gone)) = (&self.folder, state.segments.pop_front()) else { return };
        if let Err(error) = folder.remove(gone.number) {
            log::error!("journal: a file that is no longer needed can't be removed: {error}");
        }
    }

    /// Of these checks the database knows already: an acknowledgement was lost, or the program ended before it came.
    pub fn recorded(&self, journal: Uuid, last_seq: u64) {
        self.lock().takes(journal, last_seq);
    }

    /// The earlier journals whose checks are still to be recorded.
    pub fn earlier(&self) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = self.lock().segments.iter().map(|segment| segment.journal).collect();
        ids.retain(|id| *id != self.id);
        ids.dedup();
        ids
    }

    /// How many checks are not known to be recorded: those that wait, and those taken last.
    pub fn unrecorded(&self) -> usize {
        self.lock().unrecorded(self.id)
    }

    /// Whether all unrecorded checks are on disk, for the next run.
    pub fn is_safe(&self) -> bool {
        let state = self.lock();
        state.unrecorded(self.id) == 0 || (state.by_disk && state.waiting.is_empty())
    }

    /// What becomes of what was not recorded, at the very end; files that hold nothing else go.
    pub fn end(&self) -> Ending {
        let mut state = self.lock();
        let unrecorded = state.unrecorded(self.id);
        let lost = state.waiting.len();
        while unrecorded == 0 && !state.segments.is_empty() {
            self.remove(&mut state);
        }
        Ending { kept: unrecorded - lost, lost }
    }

    /// For how long none was recorded of those that are to be.
    pub fn stuck_for(&self) -> Duration {
        let state = self.lock();
        let waits = state.unrecorded(self.id) > 0;
        state.advanced.filter(|_| waits).map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// What it takes on disk, in bytes.
    pub fn size(&self) -> usize {
        usize::try_from(self.lock().bytes()).unwrap_or(usize::MAX)
    }

    /// How many checks were dropped since the last call, since there was no room, and how many were found spoiled.
    pub fn take_lost(&self) -> (u64, u64) {
        let mut state = self.lock();
        (std::mem::take(&mut state.dropped), std::mem::take(&mut state.spoiled))
    }

    /// Wakes [`Journal::wait`] without a check.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.changed.notify_one();
    }

    /// No more checks will come, and `until` is how long the database has to take those that did.
    pub fn close(&self, until: Instant) {
        self.lock().closes = Some(until);
        self.came.notify_one();
        self.changed.notify_one();
    }

    /// The end that [`Journal::close`] set, if it was called.
    pub fn closes(&self) -> Option<Instant> {
        self.lock().closes
    }

    /// Waits until there is a check to take, a nudge or the close comes, or `until`.
    pub fn wait(&self, until: Instant) {
        self.wait_while(until, |state| !state.is_ready() && !state.nudged && state.closes.is_none());
        self.lock().nudged = false;
    }

    /// Waits until the close comes, or `until`: the pause before another try to reach the database.
    pub fn wait_for_close(&self, until: Instant) {
        self.wait_while(until, |state| state.closes.is_none());
    }

    /// Waits, after the close, until all that came can be taken, or `until`.
    pub fn wait_for_the_disk(&self, until: Instant) {
        self.wait_while(until, |state| state.goes_by_disk() && !state.waiting.is_empty());
    }

    fn wait_while(&self, until: Instant, idle: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        while idle(&state) {
            let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
            else {
                return;
            };
            (state, _) = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes what comes to the disk, until the close and all is written.
    fn keep(&self, mut tail: Tail) {
        let Some(folder) = &self.folder else { return };
        let mut retry = Retry::default();
        while let Some((first_seq, checks)) = self.wait_for_checks() {
            let next = Instant::now() + FLUSH_EVERY;
            self.lock().flushing = Some(Instant::now());
            let written = tail.append(folder, first_seq, &checks);
            self.lock().flushing = None;
            match written {
                Ok(segment) => {
                    if !self.lock().by_disk {
                        log::info!("journal: {} takes checks again", folder.path().display());
                    }
                    retry.recovered();
                    self.written(segment);
                }
                Err(error) => {
                    self.lock().by_disk = false;
                    self.changed.notify_one();
                    let reason = error.to_string();
                    if retry.is_news(&reason) {
                        log::error!(
                            "journal: {} takes no checks: {reason}. They wait in memory; trying again",
                            folder.path().display()
                        );
                    }
                    if self.closes().is_some() {
                        return;
                    }
                }
            }
            self.pause(next);
        }
    }

    /// Those in memory, once there are some; `None` at the end.
    fn wait_for_checks(&self) -> Option<(u64, Vec<Check>)> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closes.is_some() {
                return None;
            }
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some((state.first_waiting(), state.waiting.iter().take(FLUSHED_AT_ONCE).cloned().collect()))
    }

    fn written(&self, segment: Segment) {
        let mut state = self.lock();
        while !state.waiting.is_empty() && state.first_waiting() <= segment.last_seq {
            state.waiting.pop_front();
        }
        state.growing = Some(segment.number);
        match state.segments.back_mut() {
            Some(last) if last.number == segment.number => *last = segment,
            _ => state.segments.push_back(segment),
        }
        while state.segments.len() > 1 && state.bytes() > self.most_bytes {
            state.dropped += state.segments.front().map_or(0, |oldest| state.left(oldest));
            self.remove(&mut state);
        }
        state.by_disk = true;
        drop(state);
        self.changed.notify_one();
    }

    /// Until the next flush, unless the close comes.
    fn pause(&self, until: Instant) {
        let mut state = self.lock();
        while state.closes.is_none() {
            let Some(rest) = until.checked_duration_since(Instant::now()) else { return };
            (state, _) = self.came.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hand_out(state: &mut State, batch: Batch) -> Batch {
    state.in_hand = batch.checks.len();
    state.takes(batch.journal, batch.last_seq());
    batch
}

#[cfg(test)]
mod tests;
