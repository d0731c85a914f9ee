//! Who takes which turn, where several probers share the services of one database. Pure: rows and clocks come in.
//!
//! A service is that member's with the highest hash. Each prober writes whom it shares with, and from which turns on; then
//! it reads what the others wrote. Before it writes it has let go what is somebody else's by that; and it takes nothing
//! while another who is here goes by members under which the service is his. So no turn is taken twice, and whoever takes a
//! service knows from which turn on.

use std::{
    collections::HashMap,
    mem,
    ops::Range,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Clock;
use Mark::{First, Last};

/// How often each prober writes and reads.
pub const EVERY: Duration = Duration::from_secs(5);
/// Who was not heard of for this long is gone, and the others take its services.
const GONE_AFTER: Duration = Duration::from_secs(15);
/// Turns that are due this soon are still taken by who lets go: the others hear of it later in any case.
const NOTICE: TimeDelta = TimeDelta::seconds(1);
/// Who did not look for this long may have been taken for gone.
const ABSENT: Duration = Duration::from_secs(10);
/// A check begins this much before or after its turn is due, by the clock of another machine.
const OFF_THE_BEAT: TimeDelta = TimeDelta::milliseconds(500);

/// By whom a prober goes. Before it takes or lets go a turn, it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Who shares the turns with it, itself among them; none: it takes no turn.
    pub now: Vec<Uuid>,
    /// That is so for the turns due from here on.
    pub from: DateTime<Utc>,
    /// Who shared the turns before.
    pub before: Vec<Uuid>,
}

impl Members {
    fn change(&mut self, members: Vec<Uuid>, from: DateTime<Utc>, were_gone_by: bool) {
        let before = mem::replace(&mut self.now, members);
        if were_gone_by {
            self.before = before;
        }
        self.from = from;
    }
}

/// What a prober says of itself: a row of `status_probers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// That of its journal.
    pub id: Uuid,
    /// Of its services file; `None` once it has left.
    pub fingerprint: Option<String>,
    /// By whom it goes.
    pub members: Members,
    /// When it said so last, by the server's clock.
    pub heartbeat_at: DateTime<Utc>,
    /// How long ago that was by the same clock; `None` where its connection is gone, or no clock can tell.
    pub age: Option<Duration>,
}

/// The turns that this prober takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    me: Uuid,
    /// By these it goes for services that it did not hear of yet.
    members: Vec<Uuid>,
    turns: HashMap<String, Range<Mark>>,
}

/// Where turns begin or end to be ours. By the monotonic clock: the other one may be set, and what is over stays over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// Before all of them.
    First,
    At(Instant),
    /// After all of them.
    Last,
}

impl Share {
    /// All turns of all services: there is nobody else.
    pub fn of_all(me: Uuid) -> Share {
        Share { me, members: vec![me], turns: HashMap::new() }
    }

    /// Whether this prober takes the turn of a service that is due then.
    pub fn takes(&self, service: &str, due: Instant) -> bool {
        match self.turns.get(service) {
            Some(turns) => turns.contains(&Mark::At(due)),
            None => owner(service, &self.members) == Some(self.me),
        }
    }

    /// Whether it goes on with this service.
    pub fn holds(&self, service: &str) -> bool {
        match self.turns.get(service) {
            Some(turns) => turns.end == Last,
            None => owner(service, &self.members) == Some(self.me),
        }
    }

    fn take(&mut self, service: &str, from: Mark) {
        let turns = self.turns.entry(service.into()).or_insert(First..First);
        // Those that it still takes of an earlier share go on.
        let start = if turns.end < Last && turns.contains(&from) { turns.start } else { from };
        *turns = start..Last;
    }

    fn let_go(&mut self, service: &str, from: Mark) {
        let held = if self.holds(service) { First..from } else { First..First };
        let turns = self.turns.entry(service.into()).or_insert(held);
        turns.end = turns.end.min(from);
    }
}

/// What a prober knows of the others.
#[derive(Debug)]
pub struct Sharing {
    me: Uuid,
    fingerprint: String,
    services: Vec<String>,
    members: Members,
    /// [`Members::from`] by the monotonic clock, as it was when that was said: the other one may be set since.
    members_from: Mark,
    seen: HashMap<Uuid, Seen>,
    /// Who was here at the last look that was settled.
    others: Vec<Other>,
    share: Share,
    /// By the members as they are, something was taken or let go.
    goes_by_members: bool,
    /// Nothing is left to be taken or let go.
    is_settled: bool,
    /// The last look.
    looked: Option<Clock>,
    /// Nothing was settled since the begin.
    is_new: bool,
    /// Somebody may have taken its turns since then, and may have gone.
    absent_since: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Seen {
    heartbeat_at: DateTime<Utc>,
    /// When it was found to have changed last.
    changed: Option<Instant>,
}

/// What is to be done after a look.
#[derive(Debug, PartialEq, Eq)]
pub enum Looked {
    /// The members are others: what is no longer ours is let go. Write it, then look again.
    Write,
    /// These can be taken, once it is known which turns were taken already.
    Take(Vec<Gain>),
}

/// A service that becomes this prober's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gain {
    /// Its id.
    pub service: String,
    /// The first turn that may not have been taken; `None` where nobody tells.
    pub from: Option<DateTime<Utc>>,
    /// Those before are taken, or will be, whatever is recorded.
    is_certain: bool,
}

impl Sharing {
    /// Of somebody who knows nobody, has no services and takes no turn.
    pub fn new(me: Uuid, now: DateTime<Utc>) -> Sharing {
        Sharing {
            me,
            fingerprint: String::new(),
            services: Vec::new(),
            members: Members { now: Vec::new(), from: now, before: Vec::new() },
            members_from: First,
            seen: HashMap::new(),
            others: Vec::new(),
            share: Share { me, ..Share::default() },
            goes_by_members: false,
            is_settled: false,
            looked: None,
            is_new: true,
            absent_since: None,
        }
    }

    /// Other services are to be shared.
    pub fn load(&mut self, services: Vec<String>, fingerprint: String) {
        let had = mem::take(&mut self.share.turns);
        for service in &services {
            let new = || if self.share.holds(service) { First..Last } else { First..First };
            let turns = had.get(service).cloned().unwrap_or_else(new);
            self.share.turns.insert(service.clone(), turns);
        }
        (self.services, self.fingerprint) = (services, fingerprint);
        self.is_settled = false;
    }

    /// Of the services file that is shared.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What to write of oneself.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The turns that this prober takes, once a look was settled.
    pub fn share(&self) -> Option<&Share> {
        (!self.is_new).then_some(&self.share)
    }

    /// Whether nothing is left to be taken or let go; else another look is worth it soon.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// After a time without a look nobody is gone for not having been seen in it.
    pub fn was_away(&mut self, now: Instant) {
        for other in &self.others {
            if let Some(seen) = self.seen.get_mut(&other.id) {
                seen.changed = Some(now);
            }
        }
    }

    /// Those of the others who are here.
    pub fn here(&mut self, rows: Vec<Other>, now: Instant) -> Vec<Other> {
        self.seen.retain(|id, _| rows.iter().any(|row| row.id == *id));
        let mut here: Vec<Other> = rows.into_iter().filter(|row| self.is_here(row, now)).collect();
        here.sort_unstable_by_key(|row| row.id);
        here
    }

    /// Looks at what those wrote who are here. `agrees`: the services file in force is ours.
    pub fn look(&mut self, here: Vec<Other>, agrees: bool, now: Clock) -> Looked {
        let before = self.looked.replace(now);
        let absent_since =
            before.filter(|before| before.passed_until(now) > ABSENT).map(|before| before.wall);
        self.absent_since = self.absent_since.or(absent_since);
        let mut members: Vec<Uuid> = if agrees {
            let sharing = |other: &&Other| other.fingerprint.as_ref() == Some(&self.fingerprint);
            here.iter().filter(sharing).map(|other| other.id).chain([self.me]).collect()
        } else {
            Vec::new()
        };
        members.sort_unstable();
        if members == self.members.now {
            return Looked::Take(self.settle(here));
        }
        let (from, me) = (self.absent_since.unwrap_or(now.wall + NOTICE), Some(self.me));
        self.members_from = mark(from, now);
        for service in self.services.iter().filter(|service| owner(service, &members) != me) {
            self.share.let_go(service, self.members_from);
        }
        self.share.members.clone_from(&members);
        self.members.change(members, from, mem::take(&mut self.goes_by_members));
        self.is_settled = false;
        Looked::Write
    }

    /// Takes what [`Sharing::look`] gave; what is not taken is given by the next look again. A turn that another took
    /// already is told by the newest check of the service; one that has none, as far as anybody knows, is due at once.
    pub fn take(&mut self, gains: Vec<Gain>, newest: &HashMap<String, DateTime<Utc>>) {
        self.absent_since = None;
        let Some(now) = self.looked else { return };
        // What lies further ahead was told by a clock that was set since.
        let soon = now.wall + NOTICE;
        for Gain { service, from, is_certain } in gains {
            let (from, newest) = (from.map(|from| from.min(soon)), newest.get(&service));
            let from = match newest.filter(|newest| **newest <= soon) {
                Some(newest) => from.max(Some(*newest + OFF_THE_BEAT)),
                None => from.filter(|_| is_certain),
            };
            self.share.take(&service, from.map_or(First, |from| mark(from, now)));
        }
    }

    /// Takes no more turns: those due from then on are the others'.
    pub fn leave(&mut self, from: DateTime<Utc>) {
        self.members.change(Vec::new(), from, self.goes_by_members);
    }

    /// By how long ago its heartbeat changed, and not by what it says: the server's clock may be set.
    fn is_here(&mut self, row: &Other, now: Instant) -> bool {
        let before = self.seen.get(&row.id);
        if before.is_none_or(|before| before.heartbeat_at != row.heartbeat_at) {
            let age = row.age.filter(|age| *age < GONE_AFTER).or(before.map(|_| Duration::ZERO));
            let changed = age.and_then(|age| now.checked_sub(age));
            self.seen.insert(row.id, Seen { heartbeat_at: row.heartbeat_at, changed });
        }
        let changed = self.seen.get(&row.id).and_then(|seen| seen.changed);
        changed.is_some_and(|changed| now.saturating_duration_since(changed) < GONE_AFTER)
    }

    /// The members stay: what is ours and nobody else's any more can be taken.
    fn settle(&mut self, here: Vec<Other>) -> Vec<Gain> {
        if self.is_settled && self.absent_since.is_none() && says(&here).eq(says(&self.others)) {
            self.others = here;
            return Vec::new();
        }
        let (mut gains, me) = (Vec::new(), Some(self.me));
        let (is_new, was_absent) = (mem::take(&mut self.is_new), self.absent_since.is_some());
        (self.goes_by_members, self.is_settled) = (true, true);
        if is_new && here.is_empty() && !self.members.now.is_empty() {
            // Whatever was checked before: at a start all turns are to be taken.
            self.services.iter().for_each(|service| self.share.take(service, First));
            return gains;
        }
        for service in &self.services {
            let is_ours = owner(service, &self.members.now) == me;
            let claims = |other: &Other| other.has(service, &other.members.now);
            match (self.share.holds(service), is_ours) {
                (held, true) if here.iter().any(claims) => {
                    // It came back to find a substitute, who takes all since; or it waits for another to let go.
                    if held {
                        self.share.let_go(service, First);
                    }
                    self.is_settled = false;
                }
                (held, true) if !held || was_absent => {
                    gains.push(self.let_go(service, &here).unwrap_or_else(|| in_doubt(service)));
                }
                (_, true) => {}
                (_, false) => self.share.let_go(service, self.members_from),
            }
        }
        self.is_settled &= gains.is_empty();
        if gains.is_empty() {
            self.absent_since = None;
        }
        if self.is_settled {
            self.others = here;
        }
        gains
    }

    /// From whoever is here and had this service: he takes the turns until then, if he knows it.
    fn let_go(&self, service: &str, here: &[Other]) -> Option<Gain> {
        let had = |other: &&Other| {
            let before = self.others.iter().find(|before| before.id == other.id);
            before.is_some_and(|before| before.has(service, &before.members.now))
                || other.has(service, &other.members.before)
        };
        let other = here.iter().filter(had).max_by_key(|other| other.members.from)?;
        let is_certain = other.fingerprint.as_ref() == Some(&self.fingerprint);
        Some(Gain { service: service.into(), from: Some(other.members.from), is_certain })
    }
}

impl Other {
    /// Whether the service is this one's among these.
    fn has(&self, service: &str, members: &[Uuid]) -> bool {
        owner(service, members) == Some(self.id)
    }
}

/// What was recorded tells which of its turns were taken.
fn in_doubt(service: &str) -> Gain {
    Gain { service: service.into(), from: None, is_certain: false }
}

fn mark(at: DateTime<Utc>, now: Clock) -> Mark {
    now.instant(at).map_or(First, Mark::At)
}

/// All but how fresh it is.
fn says(probers: &[Other]) -> impl Iterator<Item = (Uuid, &Members)> {
    probers.iter().map(|other| (other.id, &other.members))
}

/// Whose a service is among these: rendezvous hashing, so that a member who comes or goes moves its own share and no other.
fn owner(service: &str, members: &[Uuid]) -> Option<Uuid> {
    members.iter().copied().max_by_key(|member| weight(service, *member))
}

fn weight(service: &str, prober: Uuid) -> [u8; 32] {
    Sha256::new().chain_update(prober).chain_update(service).finalize().into()
}

#[cfg(test)]
mod tests;
