//! The one thread that owns the read-only connection: it looks each second whether anything changed, reads only the
//! services that did, and hands each reading on. It may hang in the database or lose it: nobody waits for it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, Utc};
use postgres::{Client, Error, Transaction};
use shared::{Database, Service, database::explain, retry::Retry};

use crate::{
    facts::{Facts, Reading},
    store,
    uptime::hour_of,
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A server that takes longer to answer nothing at all is frozen.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Services read by one statement: bounds its time and memory.
const SERVICES_AT_ONCE: usize = 500;

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
    let mut retry = Retry::default();
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
    loop {
        let began = Instant::now();
        let reading = client.is_valid(SIGN_OF_LIFE).and_then(|()| {
            // Whole milliseconds, so that the figures are exact at the instant that is shown.
            let as_of = Utc::now().trunc_subsecs(3);
            store::read(&mut client, |transaction| known.look(transaction, as_of))
        });
        match reading {
            Err(error) => return Some(explain(&error)),
            Ok(reading) => news.send(News::Read(reading)).ok()?,
        }
        if retry.recovered() {
            log::info!("database: back");
        }
        std::thread::sleep(LOOK_EVERY.saturating_sub(began.elapsed()));
    }
}

/// What was read so far by this connection.
#[derive(Default)]
struct Known {
    services_revision: Option<i64>,
    services: Vec<Arc<Service>>,
    facts: HashMap<String, Arc<Facts>>,
    /// The hour whose windows' edges the facts hold.
    edges_hour: i64,
}

impl Known {
    fn look(&mut self, transaction: &mut Transaction<'_>, as_of: DateTime<Utc>) -> Result<Reading, Error> {
        let Some(pulse) = store::pulse(transaction)? else {
            *self = Known::default();
            return Ok(self.reading(as_of, false, None));
        };
        if self.services_revision != Some(pulse.services_revision) {
            self.services = store::services(transaction)?;
            let shown: HashSet<&str> = self.services.iter().map(|service| service.id.as_str()).collect();
            self.facts.retain(|id, _| shown.contains(id.as_str()));
            self.services_revision = Some(pulse.services_revision);
        }
        self.turn_the_hour(transaction, as_of)?;
        self.read_changed(transaction, as_of)?;
        Ok(self.reading(as_of, true, pulse.heartbeat_age.map(|age| as_of - age)))
    }

    fn read_changed(&mut self, transaction: &mut Transaction<'_>, as_of: DateTime<Utc>) -> Result<(), Error> {
        let services = self.services.clone();
        let ids: Vec<&str> = services.iter().map(|service| service.id.as_str()).collect();
        let revisions = store::revisions(transaction, &ids)?;
        let changed: Vec<&str> = ids
            .into_iter()
            .filter(|id| {
                let revision = revisions.get(*id).copied().unwrap_or(0);
                self.facts.get(*id).is_none_or(|facts| {
                    facts.revision != revision
                        || facts.upcoming.is_some_and(|upcoming| upcoming <= as_of + store::CLOCKS_DIFFER)
                })
            })
            .collect();
        for ids in changed.chunks(SERVICES_AT_ONCE) {
            let read = store::facts(transaction, ids, as_of)?;
            self.facts.extend(read.into_iter().map(|(id, facts)| (id, Arc::new(facts))));
        }
        Ok(())
    }

    /// At the full hour every window begins in another hour, whose raw checks are needed.
    fn turn_the_hour(
        &mut self,
        transaction: &mut Transaction<'_>,
        as_of: DateTime<Utc>,
    ) -> Result<(), Error> {
        if self.edges_hour == hour_of(as_of) {
            return Ok(());
        }
        let known: Vec<String> = self.facts.keys().cloned().collect();
        let ids: Vec<&str> = known.iter().map(String::as_str).collect();
        for ids in ids.chunks(SERVICES_AT_ONCE) {
            let mut edges = store::edges(transaction, ids, as_of)?;
            for id in ids {
                if let Some(facts) = self.facts.get_mut(*id) {
                    Arc::make_mut(facts).history.edges = edges.remove(*id).unwrap_or_default();
                }
            }
        }
        self.edges_hour = hour_of(as_of);
        Ok(())
    }

    fn reading(&self, read_at: DateTime<Utc>, prepared: bool, heartbeat: Option<DateTime<Utc>>) -> Reading {
        Reading { read_at, prepared, heartbeat, services: self.services.clone(), facts: self.facts.clone() }
    }
}

#[cfg(test)]
// A test writes what is read.
#[allow(clippy::disallowed_methods)]
mod tests {
    use chrono::TimeDelta;
    use shared::testing::Database;

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

    fn plain(client: &mut Client, window: Window, as_of: DateTime<Utc>) -> (i64, i64) {
        let begin = window.begin(as_of).unwrap();
        let counted = "SELECT count(*) FILTER (WHERE status = 'online'), count(*) FROM service_checks WHERE timestamp > $1";
        let row = client.query_one(counted, &[&begin]).unwrap();
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
            let reading = store::read(&mut client, |transaction| known.look(transaction, as_of)).unwrap();
            for window in [Window::Day, Window::Week, Window::Month] {
                let (online, total) = plain(&mut writer, window, as_of);
                let expected = crate::uptime::Percent::of(online as u64, total as u64);
                let found = reading.facts["main"].history.uptime(window, as_of);
                assert_eq!(found, expected, "{window:?} {seconds} s from the full hour");
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
            || store::read(&mut client, |transaction| known.look(transaction, Utc::now())).unwrap();
        let first = look();
        writer
            .batch_execute("INSERT INTO service_checks (service_id, status) VALUES ('b', 'offline')")
            .unwrap();
        let second = look();
        assert!(Arc::ptr_eq(&first.facts["a"], &second.facts["a"]));
        assert_eq!(second.facts["b"].history.all_time.total, 2);
    }
}
