//! The one thread that owns the read-only connection: it looks whenever something is said to have changed, and each
//! second whether anything did; reads only what changed, and hands each reading on. It may hang in the database or
//! lose it: nobody waits for it.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use postgres::{Client, Error, Transaction, error::SqlState, fallible_iterator::FallibleIterator};
use shared::{Database, Service, database::explain, retry::Retry};

use crate::{
    facts::{Facts, Reading},
    store::{self, Revision},
    uptime::{Window, hour_of},
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A server that takes longer to answer nothing at all is frozen.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// A standby cancels a look that is in its way; the next one rarely is.
const TRIES: u32 = 5;
/// The hours of the shortest and of the longest window.
const SHORTEST_HOURS: i64 = 24;
const LONGEST_HOURS: i64 = 720;
/// Services read by one statement: bounds its time and memory.
const SERVICES_AT_ONCE: usize = 200;
/// Services per look whose next edges are read before the hour turns, so that nobody waits when it does.
const AHEAD_AT_ONCE: usize = 20;

/// What the refresher has to say.
#[derive(Debug)]
pub enum News {
    /// A look at the database.
    Read(Reading),
    /// Why there was none: a line for the operator.
    Failed(String),
}

/// Reads for ever; ends when nobody listens any more.
pub fn run(database: &Database, news: &Sender<News>) {
    let mut retry = Retry::up_to(Duration::from_secs(2));
    loop {
        let lost = match database.connect() {
            Ok(client) => follow(client, news, &mut retry),
            Err(reason) => Some(reason),
        };
        let Some(reason) = lost else { return };
        if retry.is_news(&reason) {
            log::error!("database: {reason}. The last figures are served; trying again");
        }
        if news.send(News::Failed(reason)).is_err() {
            return;
        }
        std::thread::sleep(retry.pause());
    }
}

/// Follows one connection until it fails (the reason) or nobody listens (`None`).
fn follow(mut client: Client, news: &Sender<News>, retry: &mut Retry) -> Option<String> {
    let mut known = Known::default();
    let hints = store::listen(&mut client).is_ok();
    let mut woken = false;
    loop {
        let began = Instant::now();
        let (reading, changed) = match look(&mut client, &mut known) {
            Err(error) => return Some(explain(&error)),
            Ok(seen) => seen,
        };
        news.send(News::Read(reading)).ok()?;
        if retry.recovered() {
            log::info!("database: back");
        }
        // What changes after a quiet time is read at once, what goes on changing each second. Who was woken rests too,
        // whatever it found: anybody may wake it, as often as he likes.
        let rest = LOOK_EVERY.saturating_sub(began.elapsed());
        if changed || woken || !hints {
            std::thread::sleep(rest);
            woken = false;
        } else {
            match client.notifications().timeout_iter(rest).next() {
                Ok(told) => woken = told.is_some(),
                Err(error) => return Some(explain(&error)),
            }
        }
    }
}

/// One look, and whether it saw a change.
fn look(client: &mut Client, known: &mut Known) -> Result<(Reading, bool), Error> {
    client.is_valid(SIGN_OF_LIFE)?;
    // What was said up to here is seen by this look.
    while client.notifications().iter().next()?.is_some() {}
    let mut tries = 1;
    loop {
        // Whole milliseconds, so that the figures are exact at the instant that is shown.
        let as_of = Utc::now().trunc_subsecs(3);
        let seen = store::read(client, |transaction| {
            let seen = known.look(transaction, as_of)?;
            Ok((seen, store::checks_lie_in(transaction)? == known.checks_lie_in))
        });
        match seen {
            Err(error) if tries < TRIES && is_in_the_way(&error) => {}
            Err(error) => return Err(error),
            Ok((seen, same)) if same || tries >= TRIES => return Ok(seen),
            // The table was rewritten while this look waited for it: what it read of it may be nothing.
            Ok(_) => *known = Known::default(),
        }
        tries += 1;
    }
}

/// Whether the server ended a look for the sake of something else, and the connection is good.
fn is_in_the_way(error: &Error) -> bool {
    const SIGNS: [SqlState; 2] = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| SIGNS.contains(code))
}

/// What was read so far by this connection.
#[derive(Default)]
pub struct Known {
    services_revision: Option<i64>,
    checks_lie_in: Option<u32>,
    /// The newest heartbeat by the database's clock and by this machine's.
    heartbeat: Option<(DateTime<Utc>, DateTime<Utc>)>,
    services: Vec<Arc<Service>>,
    watched: HashMap<String, Watched>,
}

/// What is known of one service.
#[derive(Default)]
struct Watched {
    facts: Arc<Facts>,
    /// The hours of `as_of` for which the facts hold the edges of every window.
    edges_for: Option<RangeInclusive<i64>>,
}

impl Watched {
    fn has_edges_for(&self, hour: i64) -> bool {
        self.edges_for.as_ref().is_some_and(|hours| hours.contains(&hour))
    }
}

impl Known {
    /// Brings what is known up to this instant; gives it, and whether anything had changed.
    ///
    /// # Errors
    /// Those of the database; what is known is good for another look.
    pub fn look(
        &mut self,
        transaction: &mut Transaction<'_>,
        as_of: DateTime<Utc>,
    ) -> Result<(Reading, bool), Error> {
        let Some(pulse) = store::pulse(transaction)? else {
            *self = Known::default();
            return Ok((self.reading(as_of, false, None), false));
        };
        self.checks_lie_in = pulse.checks_lie_in;
        let reloaded = self.services_revision != Some(pulse.services_revision);
        if reloaded {
            self.services = store::services(transaction)?;
            let shown: HashSet<&str> = self.services.iter().map(|service| service.id.as_str()).collect();
            self.watched.retain(|id, _| shown.contains(id.as_str()));
            self.services_revision = Some(pulse.services_revision);
        }
        let changed = self.read_changed(transaction, as_of)?;
        self.read_ahead(transaction, hour_of(as_of))?;
        self.heartbeat = pulse.heartbeat.map(|(at, age)| self.heard(at, as_of - age));
        let heartbeat = self.heartbeat.map(|(_, by_our_clock)| by_our_clock);
        Ok((self.reading(as_of, true, heartbeat), reloaded || changed))
    }

    /// A heartbeat by both clocks. The same one seems to come a moment earlier or later from look to look, by the way
    /// to the database: then it is when it was.
    fn heard(&self, at: DateTime<Utc>, by_our_clock: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let same = |(known, instant): &(DateTime<Utc>, DateTime<Utc>)| {
            *known == at && (*instant - by_our_clock).abs() < TimeDelta::seconds(1)
        };
        self.heartbeat.filter(same).unwrap_or((at, by_our_clock))
    }

    fn read_changed(
        &mut self,
        transaction: &mut Transaction<'_>,
        as_of: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let services = self.services.clone();
        let ids: Vec<&str> = services.iter().map(|service| service.id.as_str()).collect();
        let revisions = store::revisions(transaction, &ids)?;
        let (mut recent, mut all) = (Vec::new(), Vec::new());
        for id in ids {
            match self.to_read(id, revisions.get(id).copied().unwrap_or_default(), as_of) {
                Some(Extent::All) => all.push(id),
                Some(Extent::Recent) => recent.push(id),
                None => {}
            }
        }
        for ids in recent.chunks(SERVICES_AT_ONCE) {
            self.read(transaction, ids, as_of)?;
        }
        for ids in all.chunks(SERVICES_AT_ONCE) {
            self.watched.extend(ids.iter().map(|id| ((*id).to_owned(), Watched::default())));
            self.read(transaction, ids, as_of)?;
            let hour = hour_of(as_of);
            self.read_edges(transaction, ids, hour..=hour)?;
        }
        Ok(!recent.is_empty() || !all.is_empty())
    }

    /// How much of a service there is to read again.
    fn to_read(&self, id: &str, now: Revision, as_of: DateTime<Utc>) -> Option<Extent> {
        let Some(watched) = self.watched.get(id) else { return Some(Extent::All) };
        let (known, upcoming, hour) = (watched.facts.revision, watched.facts.upcoming, hour_of(as_of));
        let latest = as_of + store::CLOCKS_DIFFER;
        let newest = watched.facts.newest.as_ref().map(|newest| newest.timestamp);
        // A check of the future whose time has come, or whose time is yet to come again: the clock was set back.
        let shifted = upcoming.is_some_and(|at| at <= latest) || newest.is_some_and(|at| at > latest);
        let changed = now.revision != known || shifted;
        // What is recent for a service that is rarely checked may lie where a window begins.
        let reaches_edges = watched.facts.recent - 1 <= hour + 1 - SHORTEST_HOURS;
        let corrected = now.revision < known || now.corrected > known || changed && reaches_edges;
        if corrected || !watched.has_edges_for(hour) {
            Some(Extent::All)
        } else {
            changed.then_some(Extent::Recent)
        }
    }

    /// Reads what is known of these services again, but for edges, and hours of which no change can have come since.
    fn read(
        &mut self,
        transaction: &mut Transaction<'_>,
        ids: &[&str],
        as_of: DateTime<Utc>,
    ) -> Result<(), Error> {
        let begin = hour_of(as_of) - LONGEST_HOURS;
        let since: Vec<i64> = ids
            .iter()
            .map(|id| self.watched.get(*id).map_or(begin, |watched| begin.max(watched.facts.recent - 1)))
            .collect();
        let mut hours = store::hours(transaction, ids, &since)?;
        let since: HashMap<&str, i64> = ids.iter().copied().zip(since).collect();
        for (id, mut facts) in store::facts(transaction, ids, as_of)? {
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            let (before, newer) = (&watched.facts.history, hours.remove(&id).unwrap_or_default());
            let since = since.get(id.as_str()).copied().unwrap_or(begin);
            facts.history.hours = before.hours.renewed(begin, since, &newer);
            facts.history.edges.clone_from(&before.edges);
            watched.facts = Arc::new(facts);
        }
        Ok(())
    }

    /// Reads the edges of windows for the next hour, of some services whose are not at hand.
    fn read_ahead(&mut self, transaction: &mut Transaction<'_>, hour: i64) -> Result<(), Error> {
        let services = self.services.clone();
        let lacks = |id: &&str| self.watched.get(*id).is_some_and(|watched| !watched.has_edges_for(hour + 1));
        let ids: Vec<&str> =
            services.iter().map(|service| service.id.as_str()).filter(lacks).take(AHEAD_AT_ONCE).collect();
        if ids.is_empty() { Ok(()) } else { self.read_edges(transaction, &ids, hour..=hour + 1) }
    }

    /// Puts the edges for these hours of `as_of` at hand, and those for others away.
    fn read_edges(
        &mut self,
        transaction: &mut Transaction<'_>,
        ids: &[&str],
        hours: RangeInclusive<i64>,
    ) -> Result<(), Error> {
        let windows = Window::ALL.iter().filter_map(|window| window.hours());
        let edges: Vec<i64> =
            windows.flat_map(|length| hours.clone().map(move |hour| hour - i64::from(length))).collect();
        let mut read = store::edges(transaction, ids, &edges)?;
        for id in ids {
            if let Some(watched) = self.watched.get_mut(*id) {
                Arc::make_mut(&mut watched.facts).history.edges = read.remove(*id).unwrap_or_default();
                watched.edges_for = Some(hours.clone());
            }
        }
        Ok(())
    }

    fn reading(&self, read_at: DateTime<Utc>, prepared: bool, heartbeat: Option<DateTime<Utc>>) -> Reading {
        let facts = |id: &str| self.watched.get(id).map(|watched| Arc::clone(&watched.facts));
        let with_facts =
            |service: &Arc<Service>| (Arc::clone(service), facts(&service.id).unwrap_or_default());
        Reading { read_at, prepared, heartbeat, services: self.services.iter().map(with_facts).collect() }
    }
}

/// How much of a service is read.
enum Extent {
    /// What new checks change.
    Recent,
    /// What corrections may change too.
    All,
}

#[cfg(test)]
// A test writes what is read.
#[allow(clippy::disallowed_methods)]
mod tests {
    use proptest::prelude::*;
    use shared::testing::{Database, eventually};

    use super::*;
    use crate::uptime::Window;

    /// Eight checks a minute apart around the begin of each window at `as_of`; every third failed.
    fn history(client: &mut Client, as_of: DateTime<Utc>) {
        client
            .execute(
                "INSERT INTO service_checks (service_id, timestamp, status)
                 SELECT 'main', $1::timestamptz - w * INTERVAL '1 hour' + n * INTERVAL '1 minute',
                        CASE n % 3 WHEN 0 THEN 'offline' ELSE 'online' END
                 FROM unnest(ARRAY[24, 168, 720, 2000]) AS w, generate_series(-75, 75) AS n",
                &[&as_of],
            )
            .unwrap();
    }

    fn plain(client: &mut Client, id: &str, window: Window, as_of: DateTime<Utc>) -> (i64, i64) {
        let begin = window.begin(as_of).unwrap();
        let counted = "SELECT count(*) FILTER (WHERE status = 'online'), count(*) FROM service_checks WHERE timestamp > $1 AND service_id = $2";
        let row = client.query_one(counted, &[&begin, &id]).unwrap();
        (row.get(0), row.get(1))
    }

    #[test]
    fn windows_stay_exact_while_they_slide_from_hour_to_hour_without_a_new_check() {
        let database = Database::migrated();
        let mut writer = database.connect();
        let full_hour = DateTime::from_timestamp(1_770_000_000 / 3600 * 3600, 0).unwrap();
        history(&mut writer, full_hour);
        writer
            .batch_execute(
                "INSERT INTO status_services VALUES ('main', 0, 'main', NULL, NULL, 60000, 1000, 500, 1000, now())",
            )
            .unwrap();
        let (mut client, mut known) = (database.connect(), Known::default());
        for seconds in [-3700, -1801, -61, -1, 0, 1, 59, 61, 1799, 3599, 3600, 3661] {
            let as_of = full_hour + TimeDelta::seconds(seconds);
            let (reading, _) =
                store::read(&mut client, |transaction| known.look(transaction, as_of)).unwrap();
            let found = reading.services[0].1.history.uptime(as_of);
            for window in [Window::Day, Window::Week, Window::Month] {
                let (online, total) = plain(&mut writer, "main", window, as_of);
                let expected = crate::uptime::Percent::of(online as u64, total as u64);
                assert_eq!(found[window as usize], expected, "{window:?} {seconds} s from the full hour");
            }
        }
    }

    /// What may happen to a history between two looks.
    #[derive(Debug, Clone)]
    enum Event {
        /// A check of a service, that many seconds ago.
        Insert(u8, i64, bool),
        /// One row in so many gets another status, or moves that many hours.
        Update(i64, bool, i32),
        Delete(i64),
        Truncate,
        Wait(i64),
    }

    fn event() -> impl Strategy<Value = Event> {
        let around = |hours: i64| (hours * 3600 - 5000)..(hours * 3600 + 5000);
        let age = prop_oneof![
            0..4000_i64,
            around(24),
            around(24),
            around(168),
            around(720),
            0..3_600_000_i64,
            -8000..0_i64
        ];
        prop_oneof![
            12 => (0..3_u8, age, any::<bool>()).prop_map(|(service, age, online)| Event::Insert(service, age, online)),
            1 => (2..9_i64, any::<bool>(), prop_oneof![Just(0), -30..30])
                .prop_map(|(of, online, hours)| Event::Update(of, online, hours)),
            1 => (2..9_i64).prop_map(Event::Delete),
            1 => Just(Event::Truncate),
            6 => prop_oneof![1..100_i64, 600..8000_i64, Just(90_000)].prop_map(Event::Wait),
        ]
    }

    fn happen(client: &mut Client, event: &Event, as_of: &mut DateTime<Utc>) {
        let word = |online: &bool| if *online { "online" } else { "offline" };
        match event {
            Event::Wait(seconds) => *as_of += TimeDelta::seconds(*seconds),
            Event::Insert(service, age, online) => client
                .execute(
                    "INSERT INTO service_checks (service_id, timestamp, status) VALUES ($1, $2, $3)",
                    &[
                        &format!("s{service}"),
                        &(*as_of - TimeDelta::microseconds(age * 1_000_000 + 1)),
                        &word(online),
                    ],
                )
                .map(drop)
                .unwrap(),
            Event::Update(of, online, hours) => client
                .execute(
                    "UPDATE service_checks SET status = $1, timestamp = timestamp + $2 * INTERVAL '1 hour'
                     WHERE id % $3 = 0",
                    &[&word(online), &f64::from(*hours), of],
                )
                .map(drop)
                .unwrap(),
            Event::Delete(of) => {
                client.execute("DELETE FROM service_checks WHERE id % $1 = 0", &[of]).map(drop).unwrap();
            }
            Event::Truncate => client.batch_execute("TRUNCATE service_checks").unwrap(),
        }
    }

    /// What a reading says, whichever way it was come by.
    fn said(reading: &Reading) -> Vec<impl PartialEq + std::fmt::Debug> {
        let of = |facts: &Facts| {
            let all_time = facts.history.all_time;
            let uptime = facts.history.uptime(reading.read_at);
            (
                facts.revision,
                uptime,
                all_time,
                facts.history.first_check,
                facts.newest.clone(),
                facts.last_online,
            )
        };
        reading.services.iter().map(|(_, facts)| of(facts)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_read_again_bit_by_bit_equals_what_is_read_at_once(
            events in prop::collection::vec(event(), 1..60),
        ) {
            let database = Database::migrated();
            let mut writer = database.connect();
            writer
                .batch_execute(
                    "INSERT INTO status_services SELECT 's' || n, n, 's' || n, NULL, NULL, 60000, 1000, 500, 1000, now()
                     FROM generate_series(0, 2) n",
                )
                .unwrap();
            let (mut client, mut known) = (database.connect(), Known::default());
            let mut as_of = (Utc::now() - TimeDelta::days(80)).trunc_subsecs(3);
            for event in events {
                happen(&mut writer, &event, &mut as_of);
                let (bit_by_bit, _) = store::read(&mut client, |transaction| known.look(transaction, as_of)).unwrap();
                let (at_once, _) =
                    store::read(&mut client, |transaction| Known::default().look(transaction, as_of)).unwrap();
                prop_assert_eq!(said(&bit_by_bit), said(&at_once), "after {:?} at {}", event, as_of);
            }
        }
    }

    #[test]
    fn the_edges_of_the_next_hour_are_at_hand_before_it_turns_and_those_of_any_other_are_read() {
        let database = Database::migrated();
        let mut writer = database.connect();
        let full_hour = DateTime::from_timestamp(1_770_000_000 / 3600 * 3600, 0).unwrap();
        history(&mut writer, full_hour);
        writer
            .batch_execute(
                "INSERT INTO status_services SELECT 's' || n, n, 's' || n, NULL, NULL, 60000, 1000, 500, 1000, now()
                 FROM generate_series(1, 30) n;
                 INSERT INTO service_checks (service_id, timestamp, status)
                 SELECT 's' || n, timestamp, status FROM service_checks, generate_series(1, 30) n",
            )
            .unwrap();
        let (mut client, mut known) = (database.connect(), Known::default());
        let mut look = |seconds: i64| {
            let as_of = full_hour + TimeDelta::seconds(seconds);
            let (reading, changed) =
                store::read(&mut client, |transaction| known.look(transaction, as_of)).unwrap();
            let ahead = known.watched.values().filter(|watched| watched.has_edges_for(hour_of(as_of) + 1));
            (reading, changed, ahead.count())
        };
        let (first, changed, ahead) = look(-10);
        assert_eq!((changed, ahead), (true, AHEAD_AT_ONCE), "some ahead, so that nobody waits for it");
        assert_eq!(look(-9).2, 30);
        assert_eq!((look(0).1, look(1).2), (false, 30), "nobody is read anew");
        let (later, changed, _) = look(5 * 3600);
        assert!(changed, "hours that nobody saw coming are read");
        for (reading, as_of) in [(first, -10), (later, 5 * 3600)] {
            let as_of = full_hour + TimeDelta::seconds(as_of);
            for (service, facts) in &reading.services {
                let (online, total) = plain(&mut writer, &service.id, Window::Day, as_of);
                let expected = crate::uptime::Percent::of(online as u64, total as u64);
                assert_eq!(facts.history.uptime(as_of)[0], expected, "{}", service.id);
            }
        }
    }

    #[test]
    fn every_look_is_read_only_bounded_and_sees_one_instant() {
        let database = Database::migrated();
        let settings =
            "SELECT current_setting('transaction_read_only'), current_setting('transaction_isolation'),
                               current_setting('statement_timeout'), current_setting('lock_timeout')";
        let mut client = database.connect();
        let row = store::read(&mut client, |transaction| transaction.query_typed_one(settings, &[])).unwrap();
        let set: Vec<String> = (0..4).map(|n| row.get(n)).collect();
        assert_eq!(set, ["on", "repeatable read", "10s", "3s"]);
        let after: String = client.query_typed_one("SHOW statement_timeout", &[]).unwrap().get(0);
        assert_eq!(after, "0", "nothing stays with a connection that a pooler shares");
    }

    #[test]
    fn a_change_is_told_and_no_word_of_it_is_left_after_the_next_look() {
        let database = Database::migrated();
        let mut writer = database.connect();
        let (mut client, mut known) = (database.connect(), Known::default());
        store::listen(&mut client).unwrap();
        for _ in 0..3 {
            for change in [
                "INSERT INTO service_checks (service_id, status) VALUES ('a', 'online')",
                "UPDATE service_checks SET status = 'offline'",
                "DELETE FROM service_checks",
                "TRUNCATE service_checks",
            ] {
                look(&mut client, &mut known).unwrap();
                assert_eq!(client.notifications().len(), 0);
                writer.batch_execute(change).unwrap();
                let told = client.notifications().timeout_iter(Duration::from_secs(60)).next().unwrap();
                assert_eq!(told.unwrap().channel(), "status_changed", "{change}");
                writer.batch_execute(change).unwrap();
                writer.batch_execute("NOTIFY status_changed, 'once more'").unwrap();
            }
        }
    }

    #[test]
    fn a_heartbeat_is_when_it_was_however_often_it_is_looked_at() {
        let database = Database::migrated();
        let mut writer = database.connect();
        let beat = "INSERT INTO status_probers (id, version) VALUES (gen_random_uuid(), '0')";
        writer.batch_execute(beat).unwrap();
        let (mut client, mut known) = (database.connect(), Known::default());
        let first = look(&mut client, &mut known).unwrap().0.heartbeat;
        assert!((0..20).all(|_| look(&mut client, &mut known).unwrap().0.heartbeat == first));
        writer.batch_execute(beat).unwrap();
        assert!(look(&mut client, &mut known).unwrap().0.heartbeat > first);
    }

    #[test]
    fn a_look_that_waits_for_a_table_which_is_written_anew_does_not_take_it_for_empty() {
        let database = Database::migrated();
        let mut writer = database.connect();
        writer
            .batch_execute(
                "INSERT INTO status_services VALUES ('main', 0, 'main', NULL, NULL, 60000, 1000, 500, 1000, now());
                 INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')",
            )
            .unwrap();
        let mut rewrite = writer.transaction().unwrap();
        rewrite
            .batch_execute("ALTER TABLE service_checks ALTER COLUMN error TYPE text USING error || ''")
            .unwrap();
        let mut client = database.connect();
        let looking = std::thread::spawn(move || look(&mut client, &mut Known::default()).unwrap().0);
        let waiting = "SELECT FROM pg_locks WHERE relation = 'service_checks'::regclass AND NOT granted";
        eventually("the look waits", || rewrite.query_opt(waiting, &[]).unwrap().is_some());
        rewrite.commit().unwrap();
        let reading = looking.join().unwrap();
        assert_eq!(reading.services[0].1.newest.as_ref().unwrap().status, shared::Status::Online);
    }

    #[test]
    fn a_clock_that_was_ahead_once_makes_one_correction_and_no_more() {
        let database = Database::migrated();
        let mut writer = database.connect();
        let mut corrected = |change: &str| -> bool {
            writer.batch_execute(change).unwrap();
            writer
                .batch_execute("INSERT INTO service_checks (service_id, status) VALUES ('main', 'online')")
                .unwrap();
            writer.query_one("SELECT corrected = revision FROM status_totals", &[]).unwrap().get(0)
        };
        assert!(!corrected(""));
        assert!(corrected("UPDATE status_totals SET recent = now() + INTERVAL '1 year'"));
        assert!(!corrected(""));
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let database = Database::migrated();
        let mut writer = database.connect();
        writer
            .batch_execute(
                "INSERT INTO status_services SELECT id, 0, id, NULL, NULL, 60000, 1000, 500, 1000, now()
                 FROM unnest(ARRAY['a', 'b']) AS id;
                 INSERT INTO service_checks (service_id, status) VALUES ('a', 'online'), ('b', 'online')",
            )
            .unwrap();
        let (mut client, mut known) = (database.connect(), Known::default());
        let mut look =
            || store::read(&mut client, |transaction| known.look(transaction, Utc::now())).unwrap().0;
        let first = look();
        writer
            .batch_execute("INSERT INTO service_checks (service_id, status) VALUES ('b', 'offline')")
            .unwrap();
        let second = look();
        assert!(Arc::ptr_eq(&first.services[0].1, &second.services[0].1));
        assert_eq!(second.services[1].1.history.all_time.total, 2);
    }
}
