//! For benchmarks only: a history of any length, the same one for the same numbers, as the program before this one
//! left it. Adopting it is the prober's (`status-prober migrate`), so that what is counted comes from the real code.

use std::{io::Write, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use postgres::{Client, Transaction};

use super::ORIGINAL;
use crate::{Check, Status};

/// Options of `postgres` that fill a large table quickly; start it again with [`super::DURABLE`] before measuring.
pub const FILLING: [&str; 10] = [
    "-c",
    "wal_level=minimal",
    "-c",
    "max_wal_senders=0",
    "-c",
    "max_wal_size=4GB",
    "-c",
    "maintenance_work_mem=1GB",
    "-c",
    "work_mem=256MB",
];

/// Before the first index, so that each is built once; what is left is what [`ORIGINAL`] makes.
const WITHOUT_INDEXES: &str = "
    ALTER TABLE service_checks DROP CONSTRAINT service_checks_pkey;
    DROP INDEX idx_service_checks_service_timestamp";

const COPY: &str = "
    COPY service_checks (id, service_id, timestamp, status, response_time, status_code, error)
    FROM STDIN WITH (FORMAT binary, FREEZE)";

const BUILD_INDEXES: &str = "
    ALTER TABLE service_checks ADD PRIMARY KEY (id);
    CREATE INDEX idx_service_checks_service_timestamp ON service_checks (service_id, timestamp DESC);
    SELECT setval('service_checks_id_seq', (SELECT max(id) FROM service_checks));
    ANALYZE service_checks";

// Checked every hour, and a heartbeat to come: a benchmark lasts longer than a page may go without either.
const PUBLISH: &str = "
    INSERT INTO status_services
        (id, position, name, link, interval_ms, timeout_ms, slow_after_ms, tries_take_ms, beat)
    SELECT 's' || lpad(n::text, 5, '0'), n, 'Service ' || n, 'https://s' || n || '.example.org',
           3600000, 10000, 5000, 22000, now()
    FROM generate_series(0, $1::int - 1) AS n";

const MARK_AND_BEAT: &str = "
    UPDATE status_services_file SET revision = revision + 1;
    INSERT INTO status_probers (id, version, heartbeat_at)
    VALUES ('00000000-0000-0000-0000-000000000001', 'bench', now() + INTERVAL '1 day');
    VACUUM (ANALYZE) status_rollups, status_totals, status_services";

const ADD_CHECK: &str = "
    INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
    VALUES ($1, now(), 'online', 143, 200)";

/// Sent to the server at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The checks of `services` services, each checked at its own turn of one `beat`.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// Checks of all services.
    pub checks: u64,
    /// At least one.
    pub services: u32,
    /// From one check of a service to its next.
    pub beat: Duration,
}

impl History {
    /// The id of the n-th service, from 0.
    pub fn id(service: u32) -> String {
        format!("s{service:05}")
    }

    /// How far back it reaches.
    pub fn length(&self) -> Duration {
        let turns = self.checks.div_ceil(u64::from(self.services));
        self.beat.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
    }

    /// Every check, oldest first, the last of them less than a beat before `end`.
    pub fn checks(self, end: DateTime<Utc>) -> impl Iterator<Item = Check> {
        let begin = end - TimeDelta::from_std(self.length()).expect("fewer years than chrono can tell");
        let beat_us = i64::try_from(self.beat.as_micros()).expect("a beat of less than 292,000 years");
        // As the prober spreads them over its beat.
        let apart_us = (beat_us / i64::from(self.services)).min(20_000);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut runs = vec![ONLINE; self.services as usize];
        (0..self.checks).map(move |n| {
            let turn = i64::try_from(n / u64::from(self.services)).expect("below the number of checks");
            let service = u32::try_from(n % u64::from(self.services)).expect("below the number of services");
            let timestamp = begin + TimeDelta::microseconds(turn * beat_us + i64::from(service) * apart_us);
            let run = &mut runs[service as usize];
            *run = random.next_of_run(*run);
            let found = &OUTCOMES[*run];
            Check {
                service_id: History::id(service),
                timestamp,
                status: found.status,
                response_time_ms: found.response.milliseconds(&mut random, service),
                status_code: found.status_code,
                error: found.error.map(str::to_owned),
            }
        })
    }

    /// Makes the table of the program before this one and fills it up to `end`, without its indexes. Nothing of it is
    /// counted yet.
    pub fn copy(&self, client: &mut Client, end: DateTime<Utc>) {
        let mut transaction = client.transaction().expect("a transaction");
        transaction.batch_execute(ORIGINAL).expect("the table of the program before this one");
        transaction.batch_execute(WITHOUT_INDEXES).expect("a table without indexes");
        send(&mut transaction, self.checks(end));
        transaction.commit().expect("a filled table");
    }

    /// Builds the indexes that [`History::copy`] left out.
    pub fn index(&self, client: &mut Client) {
        client.batch_execute(BUILD_INDEXES).expect("indexes");
    }

    /// Puts the services in force, in a database that was brought up to date; the page of them is live for a day.
    pub fn publish(&self, client: &mut Client) {
        let services = i32::try_from(self.services).expect("a page of services");
        client.execute(PUBLISH, &[&services]).expect("published services");
        for statement in MARK_AND_BEAT.split(';') {
            client.batch_execute(statement).expect("a heartbeat, and fresh statistics of the planner");
        }
    }
}

/// One more check of this service, now.
pub fn add_check(client: &mut Client, service_id: &str) {
    client.execute(ADD_CHECK, &[&service_id]).expect("one more check");
}

/// The lines that `COPY … (service_id, timestamp, status, response_time, status_code, error) FROM` reads.
pub fn as_text(checks: &[Check]) -> String {
    let or_null = |value: Option<String>| value.unwrap_or_else(|| "\\N".to_owned());
    let line = |check: &Check| {
        format!(
            "{}\t{}\t{}\t{}\t{}\t{}\n",
            check.service_id,
            check.timestamp.to_rfc3339(),
            check.status,
            or_null(check.response_time_ms.map(|ms| ms.to_string())),
            or_null(check.status_code.map(|code| code.to_string())),
            or_null(check.error.clone()),
        )
    };
    checks.iter().map(line).collect()
}

/// The binary format of COPY: <https://www.postgresql.org/docs/15/sql-copy.html>, File Formats.
fn send(transaction: &mut Transaction<'_>, checks: impl Iterator<Item = Check>) {
    let mut writer = transaction.copy_in(COPY).expect("a COPY");
    let mut chunk = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (id, check) in (1i32..).zip(checks) {
        encode(&mut chunk, id, &check);
        if chunk.len() >= CHUNK_BYTES {
            writer.write_all(&chunk).expect("a server that takes rows");
            chunk.clear();
        }
    }
    chunk.extend((-1i16).to_be_bytes());
    writer.write_all(&chunk).expect("a server that takes rows");
    writer.finish().expect("a server that took all rows");
}

fn encode(row: &mut Vec<u8>, id: i32, check: &Check) {
    /// 2000-01-01 in Unix time.
    const EPOCH_US: i64 = 946_684_800_000_000;
    row.extend(7i16.to_be_bytes());
    field(row, Some(&id.to_be_bytes()));
    field(row, Some(check.service_id.as_bytes()));
    field(row, Some(&(check.timestamp.timestamp_micros() - EPOCH_US).to_be_bytes()));
    field(row, Some(check.status.as_str().as_bytes()));
    field(row, check.response_time_ms.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
    field(row, check.status_code.map(|code| i32::from(code).to_be_bytes()).as_ref().map(<[u8; 4]>::as_slice));
    field(row, check.error.as_deref().map(str::as_bytes));
}

fn field(row: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => row.extend((-1i32).to_be_bytes()),
        Some(bytes) => {
            row.extend(i32::try_from(bytes.len()).expect("a short value").to_be_bytes());
            row.extend(bytes);
        }
    }
}

/// What a check may find, and how it looks then.
struct Outcome {
    status: Status,
    response: Response,
    status_code: Option<u16>,
    error: Option<&'static str>,
}

enum Response {
    /// As long as the service takes: log-normal around its own median.
    Measured,
    TimedOut,
    None,
}

const ONLINE: usize = 0;

const OUTCOMES: [Outcome; 4] = [
    Outcome { status: Status::Online, response: Response::Measured, status_code: Some(200), error: None },
    Outcome {
        status: Status::Degraded,
        response: Response::Measured,
        status_code: Some(503),
        error: Some("status: 503 Service Unavailable, after 2 tries"),
    },
    Outcome {
        status: Status::Timeout,
        response: Response::TimedOut,
        status_code: None,
        error: Some("timeout: no answer within 10 s, after 2 tries"),
    },
    Outcome {
        status: Status::Offline,
        response: Response::None,
        status_code: None,
        error: Some("connect: connection refused, after 2 tries"),
    },
];

impl Response {
    fn milliseconds(&self, random: &mut Random, service: u32) -> Option<i32> {
        match self {
            Response::Measured => {
                let median = 40.0 + f64::from(service % 100) * 4.0;
                #[allow(clippy::cast_possible_truncation)]
                Some((median * (0.4 * random.normal()).exp()) as i32)
            }
            Response::TimedOut => Some(10_000),
            Response::None => None,
        }
    }
}

/// xorshift64*: quick, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// About normal, mean 0 and deviation 1: the sum of four even ones of 16 bits each.
    fn normal(&mut self) -> f64 {
        let bits = self.next();
        let sum: u32 = [0, 16, 32, 48].map(|shift| ((bits >> shift) & 0xffff) as u32).iter().sum();
        (f64::from(sum) / 65_536.0 - 2.0) * 3f64.sqrt()
    }

    /// One in two thousand online checks begins a run of failures, of ten on average.
    fn next_of_run(&mut self, before: usize) -> usize {
        let bits = self.next() >> 16;
        match before {
            ONLINE if bits.is_multiple_of(2000) => 1 + (bits / 2000 % 3) as usize,
            ONLINE => ONLINE,
            _ if bits.is_multiple_of(10) => ONLINE,
            failing => failing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: History = History { checks: 100_000, services: 50, beat: Duration::from_secs(60) };

    #[test]
    fn a_history_is_the_same_each_time_and_ends_where_it_should() {
        let end = DateTime::from_timestamp(1_770_000_000, 0).unwrap();
        let checks: Vec<Check> = SMALL.checks(end).collect();
        assert!(SMALL.checks(end).eq(checks.iter().cloned()));
        assert_eq!(checks.len(), 100_000);
        assert_eq!(checks[0].timestamp, end - TimeDelta::minutes(2000));
        assert!(checks.is_sorted_by_key(|check| check.timestamp));
        let last = checks[99_999].timestamp;
        assert!(last < end && last > end - TimeDelta::minutes(1), "{last}");
    }

    #[test]
    fn it_is_mostly_online_with_runs_of_every_failure() {
        let checks: Vec<Check> = SMALL.checks(Utc::now()).collect();
        let failed = checks.iter().filter(|check| check.status != Status::Online).count();
        assert!((300..800).contains(&failed), "{failed}");
        for status in [Status::Degraded, Status::Timeout, Status::Offline] {
            assert!(checks.iter().any(|check| check.status == status), "{status}");
        }
        let again = checks
            .windows(51)
            .filter(|turn| turn[0].status != Status::Online && turn[50].status == turn[0].status)
            .count();
        assert!(again > failed * 8 / 10, "{again} of {failed} go on");
    }
}
