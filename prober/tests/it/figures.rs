//! Whatever is written, corrected, removed, summarised and counted anew, in any order and at any instant, every figure in
//! the database is what a slow model says that knows every check there ever was.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::DateTime;
use postgres::Client;
use prober::{store::statistics, upkeep};
use proptest::{collection::vec, option, prelude::*};
use shared::{Distribution, testing::Database};

const HOUR: i64 = 3600;
/// 2026-03-01, in seconds from 1970: where the clock of every sequence begins, half an hour into an hour.
const BEGIN: i64 = 1_772_323_200 + HOUR / 2;
const STATUSES: [&str; 5] = ["online", "degraded", "timeout", "offline", "weird"];
/// Infinities, as the model has them.
const ALWAYS: i64 = i64::MIN;
const NEVER: i64 = i64::MAX;

/// A check as it is written: service, seconds against the clock, status and response time.
#[derive(Debug, Clone)]
struct Written {
    service: u8,
    at: At,
    status: usize,
    response_time: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Ago(i64),
    Exactly(i64),
}

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<Written>),
    /// The checks whose id leaves this remainder by that divisor change their time, status, service and response time.
    Update(i64, i64, Option<i64>, Option<usize>, Option<u8>, Option<i32>),
    Delete(i64, i64),
    Truncate,
    Pass(i64),
    Close,
    Pack,
    Retire(u64),
    Recount,
}

fn response_time() -> impl Strategy<Value = Option<i32>> {
    option::weighted(0.9, prop_oneof![9 => 0..10_000_i32, 1 => any::<i32>()])
}

fn at() -> impl Strategy<Value = At> {
    prop_oneof![
        6 => (0..4 * HOUR).prop_map(At::Ago),
        4 => (-2 * HOUR..200 * HOUR).prop_map(At::Ago),
        // Infinities, before Christ, and a leap day.
        1 => prop::sample::select(&[ALWAYS, NEVER, -200_000_000_000, 951_782_400]).prop_map(At::Exactly),
    ]
}

fn written() -> impl Strategy<Value = Written> {
    (0..4_u8, at(), 0..STATUSES.len(), response_time())
        .prop_map(|(service, at, status, response_time)| Written { service, at, status, response_time })
}

fn step() -> impl Strategy<Value = Step> {
    let some = || (0..3_i64, 1..4_i64);
    prop_oneof![
        3 => vec(written(), 1..2).prop_map(Step::Insert),
        5 => vec(written(), 1..60).prop_map(Step::Insert),
        3 => (some(), option::of(-30 * HOUR..30 * HOUR), option::of(0..STATUSES.len()), option::of(0..4_u8), response_time())
            .prop_map(|((remainder, divisor), moved, status, service, response_time)|
                Step::Update(remainder, divisor, moved, status, service, response_time)),
        2 => some().prop_map(|(remainder, divisor)| Step::Delete(remainder, divisor + 1)),
        1 => Just(Step::Truncate),
        3 => (0..40 * HOUR).prop_map(Step::Pass),
        4 => Just(Step::Close),
        3 => prop_oneof![0..120_u64, 800..1000_u64].prop_map(Step::Retire),
        3 => Just(Step::Pack),
        1 => Just(Step::Recount),
    ]
}

/// Every check there ever was, but for those that were deleted while they were there.
#[derive(Debug, Clone)]
struct Known {
    id: i64,
    service: u8,
    at: i64,
    status: usize,
    response_time: Option<i32>,
    retired: bool,
}

#[derive(Default)]
struct Model {
    checks: Vec<Known>,
    last_id: i64,
}

/// By status, and all.
type Counts = [i64; 5];

fn begin_of(at: i64, length: i64) -> i64 {
    if at == ALWAYS || at == NEVER { at } else { at.div_euclid(length) * length }
}

fn seconds(at: i64) -> f64 {
    match at {
        ALWAYS => f64::NEG_INFINITY,
        NEVER => f64::INFINITY,
        at => at as f64,
    }
}

fn number(seconds: f64) -> i64 {
    if seconds == f64::NEG_INFINITY {
        ALWAYS
    } else if seconds == f64::INFINITY {
        NEVER
    } else {
        seconds as i64
    }
}

fn name(service: u8) -> String {
    format!("s{service}")
}

impl Model {
    fn here(&self) -> impl Iterator<Item = &Known> {
        self.checks.iter().filter(|check| !check.retired)
    }

    fn counts<'a>(checks: impl Iterator<Item = &'a Known>, length: i64) -> BTreeMap<(String, i64), Counts> {
        let mut counts: BTreeMap<_, Counts> = BTreeMap::new();
        for check in checks {
            let begin = if length == 0 { 0 } else { begin_of(check.at, length) };
            let sums = counts.entry((name(check.service), begin)).or_default();
            if let Some(sum) = sums[..4].get_mut(check.status) {
                *sum += 1;
            }
            sums[4] += 1;
        }
        counts
    }

    fn response_times<'a>(
        checks: impl Iterator<Item = &'a Known>,
        length: i64,
    ) -> BTreeMap<(String, i64), Vec<i32>> {
        let mut times: BTreeMap<_, Vec<i32>> = BTreeMap::new();
        for check in checks {
            let all = times.entry((name(check.service), begin_of(check.at, length))).or_default();
            all.extend(check.response_time);
        }
        times
    }

    fn retire(&mut self, now: i64, hours: i64) {
        let cutoff = begin_of(now - hours * HOUR, HOUR);
        for service in 0..4 {
            let newest = |only_online: bool| {
                let seen = self.here().filter(|check| check.service == service && check.at <= now + 60);
                seen.filter(|check| !only_online || check.status == 0)
                    .map(|check| begin_of(check.at, HOUR))
                    .max()
            };
            let stay = [newest(false), newest(true)];
            for check in self.checks.iter_mut().filter(|check| check.service == service) {
                let hour = begin_of(check.at, HOUR);
                check.retired |= hour != ALWAYS && hour < cutoff && !stay.contains(&Some(hour));
            }
        }
    }
}

fn take(client: &mut Client, model: &mut Model, now: &mut i64, step: &Step) {
    let instant = DateTime::from_timestamp(*now, 0).unwrap();
    match step {
        Step::Insert(checks) => insert(client, model, *now, checks),
        Step::Update(remainder, divisor, moved, status, service, response_time) => {
            let update = "UPDATE service_checks SET
                timestamp = timestamp + $3::float8 * INTERVAL '1 s', status = COALESCE($4, status),
                service_id = COALESCE($5, service_id), response_time = $6 WHERE id % $2 = $1";
            let (word, service_id) = (status.map(|status| STATUSES[status]), service.map(name));
            let by = moved.unwrap_or(0) as f64;
            client.execute(update, &[remainder, divisor, &by, &word, &service_id, response_time]).unwrap();
            for check in
                model.checks.iter_mut().filter(|check| !check.retired && check.id % divisor == *remainder)
            {
                let finite = check.at != ALWAYS && check.at != NEVER;
                check.at += if finite { moved.unwrap_or(0) } else { 0 };
                check.status = status.unwrap_or(check.status);
                check.service = service.unwrap_or(check.service);
                check.response_time = *response_time;
            }
        }
        Step::Delete(remainder, divisor) => {
            client.execute("DELETE FROM service_checks WHERE id % $2 = $1", &[remainder, divisor]).unwrap();
            model.checks.retain(|check| check.retired || check.id % divisor != *remainder);
        }
        Step::Truncate => {
            client.batch_execute("TRUNCATE service_checks").unwrap();
            model.checks.retain(|check| check.retired);
        }
        Step::Pass(time) => *now += time,
        Step::Close => {
            upkeep::close_hours(client, instant, |_| true).unwrap();
            let open = "SELECT count(*) FROM status_rollups
                        WHERE NOT summarised AND hour + INTERVAL '61 min' <= $1 AND hour < 'infinity'";
            assert_eq!(
                client.query_one(open, &[&instant]).unwrap().get::<_, i64>(0),
                0,
                "every hour that is over"
            );
        }
        Step::Pack => {
            upkeep::pack(client, |_| true).unwrap();
            let due = "SELECT count(*) FROM status_totals t LEFT JOIN status_packed p USING (service_id)
                       WHERE recent > '-infinity' AND (p.revision IS NULL OR p.revision < t.corrected)";
            assert_eq!(client.query_one(due, &[]).unwrap().get::<_, i64>(0), 0, "every service");
        }
        Step::Retire(hours) => {
            let before = model.here().count();
            let removed =
                upkeep::retire(client, instant, Duration::from_secs(hours * 3600), |_| true).unwrap();
            model.retire(*now, *hours as i64);
            assert_eq!(removed.checks, before - model.here().count());
        }
        Step::Recount => {
            let counted = statistics::recount(client).unwrap();
            assert_eq!(counted.checks, model.here().count() as i64);
        }
    }
}

fn insert(client: &mut Client, model: &mut Model, now: i64, checks: &[Written]) {
    let new: Vec<Known> = checks
        .iter()
        .map(|check| {
            model.last_id += 1;
            let at = match check.at {
                At::Ago(ago) => now - ago,
                At::Exactly(at) => at,
            };
            let (service, status, response_time) = (check.service, check.status, check.response_time);
            Known { id: model.last_id, service, at, status, response_time, retired: false }
        })
        .collect();
    let ids: Vec<i64> = new.iter().map(|check| check.id).collect();
    let services: Vec<String> = new.iter().map(|check| name(check.service)).collect();
    let times: Vec<f64> = new.iter().map(|check| seconds(check.at)).collect();
    let statuses: Vec<&str> = new.iter().map(|check| STATUSES[check.status]).collect();
    let response_times: Vec<Option<i32>> = new.iter().map(|check| check.response_time).collect();
    let insert = "INSERT INTO service_checks (id, service_id, timestamp, status, response_time)
        SELECT id, service, to_timestamp(at), status, response_time
        FROM unnest($1::bigint[], $2::text[], $3::float8[], $4::text[], $5::int[]) AS u(id, service, at, status, response_time)";
    client.execute(insert, &[&ids, &services, &times, &statuses, &response_times]).unwrap();
    model.checks.extend(new);
}

fn stored_counts(client: &mut Client, begin: &str, of: &str) -> BTreeMap<(String, i64), Counts> {
    let query = format!(
        "SELECT service_id, {begin}, online::bigint, degraded::bigint, timeout::bigint, offline::bigint, total::bigint
         FROM {of}"
    );
    let rows = client.query(&query, &[]).unwrap();
    let counts =
        rows.iter().map(|row| ((row.get(0), number(row.get(1))), std::array::from_fn(|n| row.get(2 + n))));
    counts.filter(|(_, counts)| *counts != [0; 5]).collect()
}

fn check(client: &mut Client, model: &Model) {
    let here: Vec<i64> = client
        .query("SELECT id FROM service_checks ORDER BY id", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(here, model.here().map(|check| check.id).collect::<Vec<_>>(), "raw checks");
    let epoch = |of: &str| format!("extract(epoch FROM {of})::float8");
    let rollups = stored_counts(client, &epoch("hour"), "status_rollups");
    assert_eq!(rollups, Model::counts(model.here(), HOUR), "rollups");
    let totals = stored_counts(client, "0::float8", "status_totals");
    assert_eq!(totals, Model::counts(model.checks.iter(), 0), "totals");
    let days = stored_counts(client, &epoch("day"), "status_days");
    assert_eq!(days, Model::counts(model.checks.iter(), 24 * HOUR), "days");
    check_response_times(client, model);
    check_packed(client, model);
}

/// What is packed and not corrected since is what is counted by the hour.
fn check_packed(client: &mut Client, model: &Model) {
    let counted = Model::counts(model.here(), HOUR);
    let packed = "SELECT service_id, extract(epoch FROM since)::float8, extract(epoch FROM until)::float8, hours
                  FROM status_packed p JOIN status_totals t USING (service_id) WHERE p.revision >= t.corrected";
    for row in client.query(packed, &[]).unwrap() {
        let (service, since, until): (String, i64, i64) =
            (row.get(0), number(row.get(1)), number(row.get(2)));
        let inside = |key: &&(String, i64)| key.0 == service && (since..until).contains(&key.1);
        let expected: Vec<[i64; 3]> = counted
            .keys()
            .filter(inside)
            .map(|key| [key.1 / HOUR, counted[key][0], counted[key][4]])
            .collect();
        let numbers = |hour: &[u8]| {
            std::array::from_fn(|n| i64::from(i32::from_be_bytes(hour[n * 4..][..4].try_into().unwrap())))
        };
        let found: Vec<[i64; 3]> = row.get::<_, &[u8]>(3).chunks(12).map(numbers).collect();
        assert_eq!(found, expected, "packed hours of {service}");
    }
}

fn check_response_times(client: &mut Client, model: &Model) {
    let of_hours = Model::response_times(model.here(), HOUR);
    let of_days = Model::response_times(model.checks.iter(), 24 * HOUR);
    let mut days: BTreeMap<(String, i64), Distribution> = BTreeMap::new();
    let mut open_days: BTreeSet<(String, i64)> = BTreeSet::new();
    let stored = "SELECT service_id, extract(epoch FROM hour)::float8, summarised, response_times, FALSE FROM status_rollups
                  UNION ALL SELECT service_id, extract(epoch FROM hour)::float8, TRUE, response_times, TRUE FROM status_retired";
    for row in client.query(stored, &[]).unwrap() {
        let (service, hour): (String, i64) = (row.get(0), number(row.get(1)));
        let day = (service.clone(), begin_of(hour, 24 * HOUR));
        if !row.get::<_, bool>(2) {
            open_days.insert(day);
            continue;
        }
        let distribution = Distribution::decode(row.get(3)).unwrap();
        days.entry(day).or_default().merge(&distribution);
        if !row.get::<_, bool>(4) {
            let times = of_hours.get(&(service, hour)).map_or(&[][..], Vec::as_slice);
            assert_within_5_percent(&distribution, times);
        }
    }
    for (day, distribution) in days.iter().filter(|(day, _)| !open_days.contains(day)) {
        assert_within_5_percent(distribution, of_days.get(day).map_or(&[][..], Vec::as_slice));
    }
}

fn assert_within_5_percent(distribution: &Distribution, times: &[i32]) {
    let mut sorted: Vec<u32> = times.iter().map(|ms| u32::try_from(*ms).unwrap_or(0)).collect();
    sorted.sort_unstable();
    assert_eq!(distribution.count(), sorted.len() as u64);
    assert_eq!((distribution.min(), distribution.max()), (sorted.first().copied(), sorted.last().copied()));
    for q in [0.5, 0.95, 0.99] {
        let rank = (q * sorted.len() as f64).ceil() as usize;
        let (Some(found), Some(exact)) = (distribution.quantile(q), sorted.get(rank.max(1) - 1)) else {
            continue;
        };
        assert!(u64::from(found.abs_diff(*exact)) * 20 <= u64::from(*exact), "{q}: {found}, not {exact}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("STATUS_TEST_LONG").is_some() { 1000 } else { 32 },
        failure_persistence: None,
        max_shrink_iters: 300,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_figure_is_what_a_model_says_that_knows_every_check(steps in vec(step(), 1..25)) {
        let database = Database::migrated();
        let mut client = database.connect();
        let (mut model, mut now) = (Model::default(), BEGIN);
        for step in &steps {
            take(&mut client, &mut model, &mut now, step);
            check(&mut client, &model);
        }
        drop(client);
        shared::testing::shared_cluster().connect("postgres").batch_execute(&format!("DROP DATABASE {}", database.name)).unwrap();
    }
}
