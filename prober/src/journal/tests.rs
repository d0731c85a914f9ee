//! In memory and on disk, over crashes: what goes in comes out once, in its order, or is counted.

use std::{collections::BTreeMap, fs, path::PathBuf};

use chrono::DateTime;
use proptest::prelude::*;
use shared::{Status, testing::eventually};
use tempfile::TempDir;

use super::*;

fn check(n: i32) -> Check {
    Check {
        service_id: "main".into(),
        timestamp: DateTime::UNIX_EPOCH,
        status: Status::Offline,
        response_time_ms: Some(n),
        status_code: None,
        error: Some("connect: refused\nby \"127.0.0.1\", after 3 tries".into()),
    }
}

fn numbers(batch: &Batch) -> Vec<i32> {
    batch.checks.iter().filter_map(|check| check.response_time_ms).collect()
}

#[test]
fn checks_come_out_in_order_with_their_numbers() {
    let journal = Journal::new(10);
    (1..=5).for_each(|n| journal.push(check(n)));
    let first = journal.take(3).unwrap();
    assert_eq!((first.first_seq, first.last_seq(), numbers(&first)), (1, 3, vec![1, 2, 3]));
    journal.push(check(6));
    let second = journal.take(10).unwrap();
    assert_eq!((second.first_seq, second.last_seq(), numbers(&second)), (4, 6, vec![4, 5, 6]));
    assert_eq!(journal.unrecorded(), 3, "taken is not yet recorded");
    assert_eq!((journal.take(10), journal.unrecorded()), (None, 0), "who asks for more has recorded them");
}

#[test]
fn a_full_journal_drops_the_oldest_and_counts_them() {
    let journal = Journal::new(3);
    (1..=5).for_each(|n| journal.push(check(n)));
    assert_eq!((journal.unrecorded(), journal.take_lost(), journal.take_lost()), (3, (2, 0), (0, 0)));
    let batch = journal.take(10).unwrap();
    assert_eq!(
        (batch.first_seq, numbers(&batch)),
        (3, vec![3, 4, 5]),
        "the numbers of the dropped stay unused"
    );
}

#[test]
fn a_wait_ends_by_a_check_a_nudge_or_the_close() {
    let never = Instant::now() + Duration::from_secs(3600);
    let folder = TempDir::new().unwrap();
    for wake in [|j: &Journal| j.push(check(1)), Journal::nudge, |j: &Journal| j.close(Instant::now())] {
        for journal in [Arc::new(Journal::new(3)), open(&folder)] {
            std::thread::scope(|scope| {
                scope.spawn(|| wake(&journal));
                journal.wait(never);
            });
            close(&journal);
        }
    }
}

fn open_with(folder: &TempDir, capacity: usize, most_bytes: u64) -> Arc<Journal> {
    let mut opened = Err(String::new());
    // The thread of the one before may not have let go yet.
    eventually("the folder is free", || {
        opened = Journal::open(folder.path(), capacity, most_bytes);
        !opened.as_ref().is_err_and(|reason| reason.contains("another prober"))
    });
    opened.unwrap()
}

fn open(folder: &TempDir) -> Arc<Journal> {
    open_with(folder, CAPACITY, MOST_BYTES)
}

/// As the process does when it ends, with nothing recorded any more.
fn close(journal: &Journal) {
    journal.close(Instant::now());
    journal.wait_for_the_disk(Instant::now() + Duration::from_secs(60));
}

fn flushed(journal: &Journal) {
    eventually("all is on disk", || journal.lock().waiting.is_empty());
}

/// All that can be taken, the last of it recorded too.
fn drain(journal: &Journal) -> Vec<i32> {
    let mut drained = Vec::new();
    while let Some(batch) = journal.take(7) {
        drained.extend(numbers(&batch));
    }
    drained
}

/// The files of the journal, in their order.
fn files(folder: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some());
    files.sort();
    files
}

/// What a crash of the machine leaves of a folder.
fn crashed(folder: &TempDir) -> TempDir {
    let image = TempDir::new().unwrap();
    for file in files(folder) {
        fs::copy(&file, image.path().join(file.file_name().unwrap())).unwrap();
    }
    image
}

#[test]
fn what_is_on_disk_is_there_after_a_crash_and_gone_once_it_is_recorded() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    (1..=20).for_each(|n| journal.push(check(n)));
    flushed(&journal);
    assert_eq!((journal.unrecorded(), journal.is_safe()), (20, true));
    let first = journal.take(7).unwrap();
    assert_eq!((first.journal, first.first_seq, numbers(&first)), (journal.id, 1, (1..=7).collect()));
    assert_eq!(first.checks[0], check(1));

    let image = crashed(&folder);
    let next = open(&image);
    assert_eq!((next.unrecorded(), next.earlier()), (20, vec![journal.id]));
    next.push(check(21));
    next.recorded(journal.id, 7);
    flushed(&next);
    assert_eq!(next.unrecorded(), 14);
    let mut batches = Vec::new();
    while let Some(batch) = next.take(100) {
        batches.push((batch.journal, batch.first_seq, numbers(&batch)));
    }
    assert_eq!(batches, [(journal.id, 8, (8..=20).collect()), (next.id, 1, vec![21])]);
    assert_eq!((next.unrecorded(), next.earlier()), (0, vec![]));
    assert_eq!(files(&image).len(), 1, "but for what grows, the files are gone");
    close(&next);
    assert_eq!((next.end(), files(&image).len()), (Ending { kept: 0, lost: 0 }, 0));
}

#[test]
fn what_is_not_recorded_at_the_end_is_kept_for_the_next_run() {
    let folder = TempDir::new().unwrap();
    for run in 0..3 {
        let journal = open(&folder);
        assert_eq!(journal.unrecorded(), run * 2);
        (1..=2).for_each(|n| journal.push(check(n)));
        close(&journal);
        assert_eq!(journal.end(), Ending { kept: run * 2 + 2, lost: 0 });
    }
    let journal = open(&folder);
    assert_eq!(drain(&journal), [1, 2, 1, 2, 1, 2]);
    close(&journal);
}

#[test]
fn a_torn_end_is_cut_and_a_spoiled_line_costs_itself_alone() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    (1..=10).for_each(|n| journal.push(check(n)));
    flushed(&journal);
    let file = &files(&folder)[0];
    let written = fs::read(file).unwrap();
    let ends: Vec<usize> = (0..written.len()).filter(|at| written[*at] == b'\n').collect();
    for cut in ends[9] + 1..=ends[10] {
        let image = crashed(&folder);
        fs::write(&files(&image)[0], &written[..cut]).unwrap();
        let next = open(&image);
        assert_eq!((drain(&next), next.take_lost()), ((1..=9).collect(), (0, 0)), "{cut}");
        close(&next);
    }
    let mut spoiled = written;
    spoiled[ends[3] + 30] ^= 1;
    let image = crashed(&folder);
    fs::write(&files(&image)[0], &spoiled).unwrap();
    let next = open(&image);
    let batches: Vec<_> = std::iter::from_fn(|| next.take(6)).collect();
    let told: Vec<_> = batches.iter().map(|batch| (batch.first_seq, numbers(batch))).collect();
    assert_eq!(told, [(1, vec![1, 2, 3]), (5, vec![5, 6, 7, 8, 9, 10])], "each keeps its number");
    assert_eq!(next.take_lost(), (0, 1));
    close(&next);
    close(&journal);
}

#[test]
fn a_folder_that_is_full_drops_the_oldest_and_counts_them() {
    let folder = TempDir::new().unwrap();
    let journal = open_with(&folder, CAPACITY, 20_000);
    for n in 1..=400 {
        journal.push(check(n));
        if n % 5 == 0 {
            flushed(&journal);
        }
    }
    let on_disk: u64 = files(&folder).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(on_disk <= 20_000, "{on_disk}");
    let (waiting, (dropped, spoiled)) = (journal.unrecorded(), journal.take_lost());
    assert_eq!((waiting as u64 + dropped, spoiled), (400, 0));
    let drained = drain(&journal);
    assert_eq!(drained, (i32::try_from(dropped).unwrap() + 1..=400).collect::<Vec<_>>());
    assert!(drained.len() > 50, "{}", drained.len());
    close(&journal);
}

#[test]
fn while_the_disk_takes_nothing_checks_go_by_memory_and_none_is_lost_or_doubled() {
    let folder = TempDir::new().unwrap();
    let journal = open_with(&folder, 30, 20_000);
    (1..=5).for_each(|n| journal.push(check(n)));
    flushed(&journal);
    let elsewhere = TempDir::new().unwrap();
    let away = elsewhere.path().join("away");
    fs::rename(folder.path(), &away).unwrap();
    for n in 6..=60 {
        journal.push(check(n));
        if n < 31 {
            // What grows can be written to wherever it is; the next file can't be made.
            eventually("it was tried", || journal.lock().waiting.is_empty() || !journal.lock().by_disk);
        }
    }
    eventually("nothing is taken", || !journal.lock().by_disk);
    let (dropped, spoiled) = journal.take_lost();
    assert_eq!((journal.unrecorded() as u64 + dropped, spoiled), (60, 0));
    assert!(!journal.is_safe());
    fs::rename(&away, folder.path()).unwrap();
    eventually("it is taken again", || journal.lock().by_disk);
    flushed(&journal);
    assert!(journal.is_safe());
    let drained = drain(&journal);
    assert_eq!(drained.len() as u64 + dropped, 60);
    assert!(drained.windows(2).all(|pair| pair[0] < pair[1]), "{drained:?}");
    close(&journal);
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    journal.push(check(1));
    flushed(&journal);
    let refused = Journal::open(folder.path(), 1, MOST_BYTES).unwrap_err();
    assert!(refused.ends_with("another prober keeps its checks there"), "{refused}");
    close(&journal);
    drop(journal);

    let newer = folder.path().join("000000000050.checks");
    let foreign = folder.path().join("000000000051.checks");
    for (file, content) in [
        (&newer, "status-journal 2 whatever\nmore\n"),
        (&foreign, "\u{0}\u{1}"),
        (&folder.path().join("notes.txt"), "mine"),
        (&folder.path().join("52.checks"), "mine"),
    ] {
        fs::write(file, content).unwrap();
    }
    let journal = open(&folder);
    assert_eq!(drain(&journal), [1]);
    journal.push(check(2));
    flushed(&journal);
    assert_eq!(drain(&journal), [2]);
    assert_eq!(fs::read_to_string(&newer).unwrap(), "status-journal 2 whatever\nmore\n");
    assert_eq!(files(&folder).len(), 5, "the next number is free");
    close(&journal);
    let file = TempDir::new().unwrap();
    fs::write(file.path().join("journal"), "").unwrap();
    let refused = Journal::open(&file.path().join("journal"), 1, MOST_BYTES).unwrap_err();
    assert!(refused.contains("journal: "), "{refused}");
}

#[test]
fn what_is_spoiled_or_gone_is_counted_once_and_holds_up_nothing() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder);
    (1..=6).for_each(|n| journal.push(check(n)));
    flushed(&journal);
    let image = crashed(&folder);
    let next = open(&image);
    next.push(check(7));
    flushed(&next);
    spoil_the_end(&files(&image)[0]);
    assert_eq!((drain(&next), next.take_lost()), (vec![1, 2, 3, 4, 5, 7], (0, 1)));
    assert_eq!((next.unrecorded(), files(&image).len()), (0, 1));
    close(&next);

    let image = crashed(&folder);
    let next = open(&image);
    next.push(check(7));
    flushed(&next);
    fs::remove_file(&files(&image)[0]).unwrap();
    assert_eq!((drain(&next), next.take_lost(), next.unrecorded()), (vec![7], (0, 6), 0));
    close(&next);

    spoil_the_end(&files(&folder)[0]);
    assert_eq!(
        (drain(&journal), journal.take_lost(), journal.unrecorded()),
        (vec![1, 2, 3, 4, 5], (0, 1), 0)
    );
    close(&journal);
}

fn spoil_the_end(file: &Path) {
    let mut content = fs::read(file).unwrap();
    let last = content.len() - 20;
    content[last] ^= 1;
    fs::write(file, content).unwrap();
}

#[test]
fn a_disk_that_hangs_keeps_nothing_from_the_database() {
    let journal = Journal::new(10);
    let long_ago = Instant::now().checked_sub(PATIENCE_WITH_THE_DISK).unwrap();
    for (since, taken) in [(Some(Instant::now()), false), (None, false), (Some(long_ago), true)] {
        {
            let mut state = journal.lock();
            (state.by_disk, state.flushing) = (true, since);
        }
        journal.push(check(1));
        assert_eq!(journal.take(10).is_some(), taken, "{since:?}");
    }
    assert_eq!(journal.unrecorded(), 3, "taken, not yet recorded");
}

#[test]
fn what_was_taken_from_memory_is_safe_once_it_is_recorded_or_on_disk() {
    let journal = Journal::new(10);
    (1..=3).for_each(|n| journal.push(check(n)));
    assert_eq!(numbers(&journal.take(2).unwrap()), [1, 2]);
    // The disk takes checks again; it has none of these yet.
    journal.lock().by_disk = true;
    assert_eq!((journal.unrecorded(), journal.is_safe()), (3, false));
    assert_eq!(journal.end(), Ending { kept: 0, lost: 3 });
    journal.lock().by_disk = false;
    assert_eq!((numbers(&journal.take(2).unwrap()), journal.unrecorded()), (vec![3], 1));
    assert_eq!((journal.take(2), journal.end()), (None, Ending { kept: 0, lost: 0 }));
}

#[test]
fn what_is_taken_and_makes_room_is_not_dropped() {
    let journal = Journal::new(3);
    (1..=3).for_each(|n| journal.push(check(n)));
    journal.take(2).unwrap();
    (4..=5).for_each(|n| journal.push(check(n)));
    assert_eq!((journal.take_lost(), journal.unrecorded()), ((0, 0), 5));
    journal.push(check(6));
    assert_eq!((journal.take_lost(), numbers(&journal.take(9).unwrap())), ((1, 0), vec![4, 5, 6]));
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Flush,
    Take(u8),
    /// What was taken is recorded, and the answer is lost.
    Forget,
    Crash(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..30_u8).prop_map(Step::Push),
        2 => Just(Step::Flush),
        3 => (1..40_u8).prop_map(Step::Take),
        1 => Just(Step::Forget),
        1 => any::<u8>().prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..25)
}

/// The ledger as the database keeps it, and what it lets in.
#[derive(Default)]
struct Ledger {
    last: BTreeMap<Uuid, u64>,
    recorded: Vec<i32>,
}

impl Ledger {
    fn record(&mut self, batch: &Batch) {
        let last = self.last.entry(batch.journal).or_default();
        for (seq, n) in (batch.first_seq..).zip(numbers(batch)) {
            if seq > *last {
                self.recorded.push(n);
            }
        }
        *last = batch.last_seq().max(*last);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn over_any_crashes_every_check_that_was_on_disk_is_recorded_once_in_its_order(steps in steps()) {
        let mut folder = TempDir::new().unwrap();
        let mut journal = open_with(&folder, CAPACITY, 40_000);
        let (mut ledger, mut pushed) = (Ledger::default(), 0);
        let (mut safe, mut at_risk) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Push(count) => (0..count).for_each(|_| {
                    pushed += 1;
                    at_risk.push(pushed);
                    journal.push(check(pushed));
                }),
                Step::Flush => {
                    flushed(&journal);
                    safe.append(&mut at_risk);
                }
                Step::Take(most) => if let Some(batch) = journal.take(most.into()) {
                    ledger.record(&batch);
                },
                Step::Forget => if let Some(batch) = journal.take(50) {
                    ledger.record(&batch);
                    ledger.record(&batch);
                },
                Step::Crash(torn) => {
                    let image = crashed(&folder);
                    at_risk.clear();
                    close(&journal);
                    if let Some(last) = files(&image).last() {
                        let mut content = fs::read(last).unwrap();
                        let mut line = Vec::new();
                        line::write(&mut line, 1_000_000, &check(0));
                        content.extend_from_slice(&line[..usize::from(torn).min(line.len() - 1)]);
                        fs::write(last, content).unwrap();
                    }
                    folder = image;
                    journal = open_with(&folder, CAPACITY, 40_000);
                    for earlier in journal.earlier() {
                        journal.recorded(earlier, ledger.last.get(&earlier).copied().unwrap_or(0));
                    }
                }
            }
        }
        flushed(&journal);
        safe.append(&mut at_risk);
        while let Some(batch) = journal.take(13) {
            ledger.record(&batch);
        }
        prop_assert_eq!(journal.unrecorded(), 0);
        prop_assert_eq!(journal.take_lost(), (0, 0));
        prop_assert!(ledger.recorded.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", ledger.recorded);
        prop_assert!(safe.iter().all(|n| ledger.recorded.binary_search(n).is_ok()), "{:?}", ledger.recorded);
        close(&journal);
    }
}
