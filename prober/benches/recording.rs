//! Recorded checks per second: batches of 500 of a thousand services, and of 5000 as after an outage, through the
//! prober's own `store::record`, with ledger and triggers, against a server-side COPY of the same rows into a bare table with the same two indexes.
//! Both on one server with durable settings. Run with `cargo bench -p prober --bench recording` (`-- CHECKS PAIRS`).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use chrono::Utc;
use postgres::Client;
use prober::{
    journal::{Batch, Journal},
    migrate, store,
};
use shared::{
    Check,
    testing::{
        Cluster, DURABLE,
        bench::{Pairs, machine},
        history::{History, as_text},
    },
};

const BATCHES: [usize; 2] = [500, 5000];
const SERVICES: u32 = 1000;

const BARE: &str = "
    CREATE TABLE bare (
        id BIGSERIAL PRIMARY KEY,
        service_id VARCHAR(50) NOT NULL,
        timestamp TIMESTAMPTZ NOT NULL DEFAULT now(),
        status VARCHAR(20) NOT NULL,
        response_time INTEGER,
        status_code INTEGER,
        error TEXT
    );
    CREATE INDEX ON bare (service_id, timestamp DESC)";

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let (count, pairs) = (numbers.next().unwrap_or(200_000), numbers.next().unwrap_or(5));
    let history = History { checks: count, services: SERVICES, beat: Duration::from_secs(60) };
    let checks: Vec<Check> = history.checks(Utc::now()).collect();
    let cluster = Cluster::start(&DURABLE);
    let file = cluster.put("checks.copy", &as_text(&checks));

    let rate = |seconds: Duration| checks.len() as f64 / seconds.as_secs_f64();
    println!("{}", machine());
    println!("{count} checks of {SERVICES} services each time, durable server, checks per second:");
    for batch in BATCHES {
        let pairs = Pairs::measure(
            pairs as usize,
            || rate(record(&cluster, &checks, batch)),
            || rate(copy(&cluster, file, count)),
        );
        println!("store::record, batches of {batch:<5} {:.0}", pairs.ours);
        println!("COPY into a bare table          {:.0}", pairs.reference);
        println!("ratio, at least 0.25            {:.3}", pairs.ratio);
    }
}

/// A new database of the cluster, with nothing left to be written of the one before.
fn database(cluster: &Cluster) -> Client {
    let mut client = cluster.connect(&cluster.empty().name);
    client.batch_execute("CHECKPOINT").unwrap();
    client
}

fn record(cluster: &Cluster, checks: &[Check], batch: usize) -> Duration {
    let mut client = database(cluster);
    migrate::bring_up_to_date(&mut client).unwrap();
    store::bound_every_wait(&mut client).unwrap();
    let journal = Journal::new(1).id;
    store::enrol(&mut client, journal).unwrap();
    let batches: Vec<Batch> = checks
        .chunks(batch)
        .zip((1..).step_by(batch))
        .map(|(checks, first_seq)| Batch { journal, first_seq, checks: checks.to_vec() })
        .collect();
    let began = Instant::now();
    for batch in &batches {
        assert_eq!(store::record(&mut client, batch).unwrap(), Some(batch.checks.len()));
    }
    let took = began.elapsed();
    assert_eq!(counted(&mut client, "SELECT sum(total)::bigint FROM status_totals"), checks.len() as i64);
    took
}

fn copy(cluster: &Cluster, file: &str, count: u64) -> Duration {
    let mut client = database(cluster);
    client.batch_execute(BARE).unwrap();
    let began = Instant::now();
    client
        .batch_execute(&format!(
            "COPY bare (service_id, timestamp, status, response_time, status_code, error) FROM '{file}'"
        ))
        .unwrap();
    let took = began.elapsed();
    assert_eq!(counted(&mut client, "SELECT count(*) FROM bare"), count as i64);
    took
}

fn counted(client: &mut Client, query: &str) -> i64 {
    client.query_one(query, &[]).unwrap().get(0)
}
