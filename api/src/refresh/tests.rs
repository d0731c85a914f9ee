//! Reading bit by bit: what it must equal, and what it must not cost.

use proptest::prelude::*;
use shared::{
    Status,
    testing::{Database, eventually},
};

use super::*;
use crate::{outages::Outage, uptime::Window};

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
        let (reading, _) = store::read(&mut client, |transaction| known.look(transaction, as_of)).unwrap();
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
    /// The prober packs what is over.
    Pack,
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
        3 => Just(Event::Pack),
        6 => prop_oneof![1..100_i64, 600..8000_i64, Just(90_000)].prop_map(Event::Wait),
    ]
}

fn happen(client: &mut Client, event: &Event, as_of: &mut DateTime<Utc>) {
    let word = |online: &bool| if *online { "online" } else { "offline" };
    let failed = |age: &i64| ["offline", "timeout", "degraded", "weird"][age.rem_euclid(4) as usize];
    match event {
        Event::Wait(seconds) => *as_of += TimeDelta::seconds(*seconds),
        Event::Insert(service, age, online) => client
            .execute(
                "INSERT INTO service_checks (service_id, timestamp, status) VALUES ($1, $2, $3)",
                &[
                    &format!("s{service}"),
                    &(*as_of - TimeDelta::microseconds(age * 1_000_000 + 1)),
                    &if *online { "online" } else { failed(age) },
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
        Event::Pack => client.batch_execute("SELECT status_pack(100)").unwrap(),
        Event::Truncate => client.batch_execute("TRUNCATE service_checks").unwrap(),
    }
}

/// What a reading says, whichever way it was come by.
fn said(reading: &Reading, known_longer: &[DateTime<Utc>]) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    let of = |facts: &Facts| {
        let all_time = facts.history.all_time;
        let uptime = facts.history.uptime(reading.read_at);
        // What is not shown any more goes when something is read.
        let (past, shown) = (&facts.past, Shown::at(reading.read_at));
        let past = Past {
            days: past.days.iter().filter(|(day, _)| *day >= shown.day).collect(),
            quarters: past.quarters.iter().filter(|(quarter, _)| *quarter >= shown.quarter).collect(),
            outages: past
                .outages
                .iter()
                .filter(|outage| !known_longer.contains(&outage.ended))
                .cloned()
                .collect(),
        };
        (
            facts.revision,
            uptime,
            all_time,
            facts.history.first_check,
            facts.newest.clone(),
            facts.last_online,
            past,
        )
    };
    reading.services.iter().map(|(_, facts)| of(facts)).collect()
}

/// When outages ended that reach back beyond the strip: who has been reading since knows when they began.
fn reaching_back(reading: &Reading) -> Vec<DateTime<Utc>> {
    let begin = Shown::at(reading.read_at).day * 24;
    let outages = reading.services.iter().flat_map(|(_, facts)| &facts.past.outages);
    outages.filter(|outage| hour_of(outage.began) < begin).map(|outage| outage.ended).collect()
}

/// The outages of a service, by one look at each of its checks.
fn slow_outages(client: &mut Client, id: &str, as_of: DateTime<Utc>) -> Vec<Outage> {
    let begin = DateTime::from_timestamp(Shown::at(as_of).day * 86_400, 0).unwrap();
    let until = as_of + store::CLOCKS_DIFFER;
    let checks = "SELECT timestamp, status FROM service_checks WHERE service_id = $1 AND timestamp < $2 ORDER BY timestamp, id";
    let rows = client.query(checks, &[&id, &until]).unwrap();
    let checks: Vec<(DateTime<Utc>, Status)> =
        rows.iter().map(|row| (row.get(0), Status::from_word(row.get(1)))).collect();
    let mut outages: Vec<Outage> = Vec::new();
    for (n, (at, status)) in checks.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| checks[n]);
        let goes_on = before.is_some_and(|(at, status)| status != Status::Online && at >= begin);
        match outages.last_mut() {
            Some(last) if goes_on && *status == Status::Online => last.after = Some(*at),
            Some(last) if goes_on => {
                let worst = [Status::Offline, Status::Timeout, Status::Degraded];
                last.status = worst
                    .into_iter()
                    .find(|worst| [last.status, *status].contains(worst))
                    .unwrap_or(Status::Unknown);
                (last.ended, last.checks) = (*at, last.checks + 1);
            }
            _ if *status == Status::Online || *at < begin => {}
            _ => outages.push(Outage {
                before: before.filter(|(_, status)| *status == Status::Online).map(|(at, _)| at),
                began: *at,
                ended: *at,
                after: None,
                checks: 1,
                status: *status,
                failure: None,
            }),
        }
    }
    outages
}

/// The checks of each day by status.
fn slow_days(client: &mut Client, id: &str, as_of: DateTime<Utc>) -> Series<5> {
    let days = "SELECT floor(extract(epoch FROM timestamp) / 86400)::bigint AS day, count(*) FILTER (WHERE status = 'online'),
            count(*) FILTER (WHERE status = 'degraded'), count(*) FILTER (WHERE status = 'timeout'),
            count(*) FILTER (WHERE status = 'offline'), count(*)
        FROM service_checks WHERE service_id = $1 GROUP BY day ORDER BY day";
    let rows = client.query(days, &[&id]).unwrap();
    let shown = rows.iter().filter(|row| row.get::<_, i64>(0) >= Shown::at(as_of).day);
    shown.map(|row| (row.get(0), std::array::from_fn(|n| row.get::<_, i64>(n + 1) as u64))).collect()
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
            let longer = reaching_back(&bit_by_bit);
            prop_assert_eq!(said(&bit_by_bit, &longer), said(&at_once, &longer), "after {:?} at {}", event, as_of);
            for (service, facts) in &at_once.services {
                prop_assert_eq!(&facts.past.days, &slow_days(&mut writer, &service.id, as_of), "after {:?} at {}", event, as_of);
                let slow = slow_outages(&mut writer, &service.id, as_of);
                prop_assert_eq!(&facts.past.outages, &slow, "{} after {:?} at {}", &service.id, event, as_of);
            }
            let mut transaction = writer.transaction().unwrap();
            transaction.batch_execute("DELETE FROM status_packed").unwrap();
            let (unpacked, _) = Known::default().look(&mut transaction, as_of).unwrap();
            transaction.rollback().unwrap();
            prop_assert_eq!(said(&unpacked, &[]), said(&at_once, &[]), "after {:?} at {}, unpacked", event, as_of);
        }
    }
}

#[test]
fn a_clock_that_is_behind_finds_its_hours_whatever_is_packed() {
    let database = Database::migrated();
    let mut writer = database.connect();
    let full_hour = DateTime::from_timestamp(1_770_000_000 / 3600 * 3600, 0).unwrap();
    history(&mut writer, full_hour);
    writer
        .batch_execute(
            "INSERT INTO status_services VALUES ('main', 0, 'main', NULL, NULL, 60000, 1000, 500, 1000, now());
             INSERT INTO service_checks (service_id, timestamp, status)
             SELECT 'main', max(timestamp), 'online' FROM service_checks;
             SELECT status_pack(1)",
        )
        .unwrap();
    let mut client = database.connect();
    for hours in [0, 1, 24, 120, 2000 - 720] {
        let as_of = full_hour - TimeDelta::hours(hours);
        let (reading, _) =
            store::read(&mut client, |transaction| Known::default().look(transaction, as_of)).unwrap();
        let (online, total) = plain(&mut writer, "main", Window::Month, as_of);
        let expected = crate::uptime::Percent::of(online as u64, total as u64);
        assert_eq!(reading.services[0].1.history.uptime(as_of)[2], expected, "{hours} hours behind");
    }
}

#[test]
fn a_quarter_of_a_day_has_the_median_of_its_hours_and_its_failed_checks() {
    let database = Database::migrated();
    let mut writer = database.connect();
    let midnight = DateTime::from_timestamp(1_770_000_000 / 86_400 * 86_400, 0).unwrap();
    let add = |writer: &mut Client, hour: i64, status: &str| {
        let check = "INSERT INTO service_checks (service_id, timestamp, status) VALUES ('main', $1, $2)";
        writer.execute(check, &[&(midnight + TimeDelta::hours(hour)), &status]).unwrap();
    };
    writer
        .batch_execute("INSERT INTO status_services VALUES ('main', 0, 'main', NULL, NULL, 60000, 1000, 500, 1000, now())")
        .unwrap();
    // Ten days, an hour takes as many ms as its number is, from 0 at midnight ten days ago.
    for hour in -240..8 {
        add(&mut writer, hour, if hour.rem_euclid(6) == 1 { "offline" } else { "online" });
        let mut times = Distribution::default();
        times.add(i32::try_from(hour + 240).unwrap(), 1);
        let summarise = "UPDATE status_rollups SET summarised = TRUE, response_times = $1 WHERE hour = $2";
        writer.execute(summarise, &[&times.encode(), &(midnight + TimeDelta::hours(hour))]).unwrap();
    }
    let as_of = midnight + TimeDelta::hours(9);
    let first = hour_of(midnight).div_euclid(6) - 26;
    let mut slow: Vec<(i64, Quarter)> = (0..27)
        .map(|place| {
            let (least, mut times) = (i32::try_from(place * 6 + 84).unwrap(), Distribution::default());
            (least..least + 6).for_each(|ms| times.add(ms, 1));
            (first + place, Quarter { median_ms: times.quantile(0.5).map(Into::into), failed: 1 })
        })
        .collect();
    let mut last = Distribution::default();
    (246..248).for_each(|ms| last.add(ms, 1));
    slow.push((first + 27, Quarter { median_ms: last.quantile(0.5).map(Into::into), failed: 1 }));
    let (mut client, mut known) = (database.connect(), Known::default());
    let mut look = |known: &mut Known| {
        let (reading, _) = store::read(&mut client, |transaction| known.look(transaction, as_of)).unwrap();
        let quarters = reading.services[0].1.past.quarters.iter();
        quarters.map(|(number, quarter)| (number, Quarter::from(quarter))).collect::<Vec<_>>()
    };
    assert_eq!(look(&mut known), slow);
    writer.batch_execute("SELECT status_pack(1)").unwrap();
    assert_eq!(look(&mut Known::default()), slow, "packed");
    add(&mut writer, 7, "offline");
    slow[27].1 = Quarter { median_ms: Some(246), failed: 2 };
    assert_eq!(look(&mut known), slow, "an hour that is open again has no response times");
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
    assert_eq!((changed, ahead), (true, 0), "the first look has enough to read");
    assert_eq!(look(-9).2, AHEAD_AT_ONCE, "some ahead, so that nobody waits for it");
    assert_eq!(look(-8).2, 30);
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
fn a_word_of_a_change_wakes_once_and_whoever_is_awake_rests_however_much_is_said() {
    let database = Database::migrated();
    let mut writer = database.connect();
    let mut client = database.connect();
    store::listen(&mut client).unwrap();
    let mut say = || writer.batch_execute("NOTIFY status_changed").unwrap();
    say();
    assert!(wait(&mut client, Duration::from_secs(3600), false).unwrap());
    say();
    assert!(!wait(&mut client, Duration::ZERO, true).unwrap());
    assert!(wait(&mut client, Duration::from_secs(3600), false).unwrap(), "it is heard afterwards");
    assert!(!wait(&mut client, Duration::from_millis(1), false).unwrap());
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
fn a_look_that_fails_halfway_loses_nothing_of_what_the_next_one_shows() {
    let database = Database::migrated();
    let mut writer = database.connect();
    writer
        .batch_execute(
            "INSERT INTO status_services VALUES ('main', 0, 'main', NULL, NULL, 60000, 1000, 500, 1000, now());
             INSERT INTO service_checks (service_id, timestamp, status)
             VALUES ('main', now() - INTERVAL '2 min', 'offline'), ('main', now() - INTERVAL '1 min', 'online')",
        )
        .unwrap();
    let (mut client, mut known) = (database.connect(), Known::default());
    let mut look = |known: &mut Known| {
        let seen = store::read(&mut client, |transaction| known.look(transaction, Utc::now()))?;
        Ok::<_, Error>(seen.0.services[0].1.past.outages.len())
    };
    assert_eq!(look(&mut known).unwrap(), 1);
    writer
        .batch_execute(
            "INSERT INTO service_checks (service_id, status) VALUES ('main', 'timeout');
             ALTER FUNCTION status_runs RENAME TO away",
        )
        .unwrap();
    assert!(look(&mut known).is_err());
    writer.batch_execute("ALTER FUNCTION away RENAME TO status_runs").unwrap();
    assert_eq!(look(&mut known).unwrap(), 2);
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
    let mut look = || store::read(&mut client, |transaction| known.look(transaction, Utc::now())).unwrap().0;
    let (_, first) = (look(), look());
    writer.batch_execute("INSERT INTO service_checks (service_id, status) VALUES ('b', 'offline')").unwrap();
    let second = look();
    assert!(Arc::ptr_eq(&first.services[0].1, &second.services[0].1));
    assert_eq!(second.services[1].1.history.all_time.total, 2);
}
