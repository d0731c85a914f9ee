//! The same ten thousand services every ten seconds, recorded in PostgreSQL with its rollups: how far is the writer behind?

use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use shared::testing::{Cluster, DURABLE};

use crate::{
    beats,
    load::Load,
    program::{Program, Setting},
    seen::Seen,
    table::Table,
    target::Target,
};

const TIME: Duration = Duration::from_secs(65);

/// A database of a server that keeps what it acknowledged.
pub(crate) struct Records {
    pub(crate) client: Client,
    pub(crate) setting: Setting,
    _cluster: Cluster,
}

impl Records {
    pub(crate) fn empty() -> Records {
        let cluster = Cluster::start(&DURABLE);
        let url = cluster.url(&cluster.empty().name, "postgres");
        let client = Client::connect(&url, NoTls).unwrap();
        Records { client, setting: Setting { database: Some(url), ..Setting::default() }, _cluster: cluster }
    }

    /// Checks that are recorded: the number of the prober's last one. None before it made its tables.
    pub(crate) fn count(&mut self) -> usize {
        let counted =
            self.client.query_one("SELECT coalesce(sum(last_seq), 0)::bigint FROM status_probers", &[]);
        counted.map_or(0, |row| row.get::<_, i64>(0) as usize)
    }

    /// Since when the oldest check waits that is over and not recorded.
    pub(crate) fn behind(&mut self, seen: &Seen) -> Duration {
        let now = Instant::now();
        let count = self.count();
        seen.over().get(count).map_or(Duration::ZERO, |over| now.saturating_duration_since(*over))
    }

    pub(crate) fn rows(&mut self) -> usize {
        self.client.query_one("SELECT count(*) FROM service_checks", &[]).unwrap().get::<_, i64>(0) as usize
    }
}

pub(crate) fn measure(table: &mut Table) {
    let load = Load::usual();
    let target = Target::start(load.services, None);
    let mut records = Records::empty();
    let program = Program::start(&load, target.port, &records.setting);
    let mut behind = Vec::new();
    let weight = program.watch(TIME, || behind.push(records.behind(&target.seen).as_secs_f64()));
    let end = Instant::now();
    let kept = target.seen.kept(&load, 0..load.services, end);
    let said = program.end();
    let (seen, rows, cut_off) = (target.seen.count(), records.rows(), said.cut_off());
    beats::show(table, "10,000 every 10 s, recorded", (&kept, &said), ["5 ms", "25 ms"]);
    behind.sort_by(f64::total_cmp);
    println!("  behind at p50: {:.2} s; resident {:.1} MiB", behind[behind.len() / 2], weight.resident_mib);
    table.add("recorded: behind at the most", "2 s", format!("{:.2} s", behind[behind.len() - 1]));
    let rows = format!("{rows} of {}", seen - cut_off);
    table.add("recorded: rows, of checks seen and not cut off", "all", rows);
}
