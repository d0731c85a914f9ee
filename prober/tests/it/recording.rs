//! Exactly once: whatever is replayed, lost or raced, the table holds each check of a journal one time.

use chrono::{DateTime, TimeDelta, Utc};
use prober::{
    journal::{Batch, Journal},
    share::Members,
    store,
};
use shared::{Check, Status, testing::Database};
use uuid::Uuid;

fn checks(journal: Uuid, numbers: std::ops::RangeInclusive<i32>) -> Batch {
    let start: DateTime<Utc> = DateTime::from_timestamp(1_770_000_000, 0).unwrap();
    let check = |n| Check {
        service_id: "main".into(),
        timestamp: start + TimeDelta::microseconds(i64::from(n)),
        status: Status::Online,
        response_time_ms: Some(n),
        status_code: Some(200),
        error: None,
    };
    let first_seq = u64::try_from(*numbers.start()).unwrap();
    Batch { journal, first_seq, checks: numbers.map(check).collect() }
}

fn recorded(database: &Database) -> Vec<i32> {
    let rows = database.connect().query("SELECT response_time FROM service_checks ORDER BY id", &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_replay_changes_nothing_and_an_overlap_adds_only_what_is_new() {
    let database = Database::migrated();
    let mut client = database.connect();
    let journal = Journal::new(1).id;
    store::enrol(&mut client, journal).unwrap();
    assert_eq!(store::record(&mut client, &checks(journal, 1..=5)).unwrap(), Some(5));
    assert_eq!(store::record(&mut client, &checks(journal, 1..=5)).unwrap(), Some(0));
    assert_eq!(store::record(&mut client, &checks(journal, 3..=8)).unwrap(), Some(3));
    assert_eq!(store::record(&mut client, &checks(journal, 11..=12)).unwrap(), Some(2), "after dropped ones");
    assert_eq!(recorded(&database), [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]);
}

#[test]
fn racing_replays_of_overlapping_ranges_leave_each_check_once() {
    let database = Database::migrated();
    let journal = Journal::new(1).id;
    store::enrol(&mut database.connect(), journal).unwrap();
    std::thread::scope(|scope| {
        for step in [7, 10, 13, 20] {
            let database = &database;
            scope.spawn(move || {
                let mut client = database.connect();
                for begin in (1..=200).step_by(step) {
                    let end = (begin + 2 * i32::try_from(step).unwrap()).min(200);
                    store::record(&mut client, &checks(journal, 1..=end)).unwrap();
                    store::record(&mut client, &checks(journal, begin..=end)).unwrap();
                }
            });
        }
    });
    assert_eq!(recorded(&database), (1..=200).collect::<Vec<_>>());
}

#[test]
fn two_journals_do_not_disturb_each_other() {
    let database = Database::migrated();
    let mut client = database.connect();
    for journal in [Journal::new(1).id, Journal::new(1).id] {
        store::enrol(&mut client, journal).unwrap();
        store::record(&mut client, &checks(journal, 1..=2)).unwrap();
    }
    assert_eq!(recorded(&database), [1, 2, 1, 2]);
}

#[test]
fn a_ledger_that_forgot_the_journal_is_noticed_before_anything_is_written() {
    let database = Database::migrated();
    let mut client = database.connect();
    let journal = Journal::new(1).id;
    assert_eq!(store::record(&mut client, &checks(journal, 1..=2)).unwrap(), None);
    let members = Members { now: Vec::new(), from: DateTime::UNIX_EPOCH, before: Vec::new() };
    assert!(!store::sharing::beat(&mut client, journal, "host", None, &members).unwrap());
    assert_eq!(recorded(&database), [] as [i32; 0]);
}
