//! Ten thousand names, each looked up every minute at a name server that takes 50 ms; then at one that is dead. With the
//! timeout and the retries that a services file has which says nothing of them.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use crate::{
    beats,
    load::{Load, id},
    name_server::NameServer,
    program::{Program, Setting},
    recorded::Records,
    table::Table,
    target::Target,
};

const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 153);
const TIME: Duration = Duration::from_secs(70);

pub(crate) fn measure(table: &mut Table) {
    let load = Load {
        interval: Duration::from_secs(60),
        keys: "",
        host: |service| format!("{}.test", id(service)),
        ..Load::usual()
    };
    let target = Target::start(load.services, None);
    let name_server = NameServer::start(NAME_SERVER);
    let folder = tempfile::tempdir().unwrap();
    let resolv_conf = folder.path().join("resolv.conf");
    std::fs::write(&resolv_conf, format!("nameserver {NAME_SERVER}\n")).unwrap();
    let mut records = Records::empty();
    let setting = Setting {
        resolv_conf: Some(resolv_conf),
        database: records.setting.database.clone(),
        ..Setting::default()
    };
    let program = Program::start(&load, target.port, &setting);
    let slow = program.watch(TIME, || ());
    let kept = target.seen.kept(&load, load.healthy(), Instant::now());
    name_server.falls_silent();
    // What had its answer is over, and as much ends as begins.
    program.watch(Duration::from_secs(30), || ());
    let before = records.rows();
    let dead = program.watch(TIME, || ());
    let after = records.rows();
    let said = program.end();
    beats::show(table, "10,000 names every 60 s, 50 ms each", (&kept, &said), ["100 ms", "-"]);
    let due = load.services as f64 * TIME.as_secs_f64() / load.interval.as_secs_f64();
    table.add(
        "names: checks while no name server answers",
        "all due",
        format!("{} of {due:.0}", after - before),
    );
    table.add("names: classes of what failed then", "dns", classes(&mut records));
    for (when, weight) in [("slow", slow), ("dead", dead)] {
        let seen = format!(
            "{} threads, {} descriptors, {:.1} MiB",
            weight.threads, weight.descriptors, weight.resident_mib
        );
        table.add(&format!("names: {when} name server"), "bounded", seen);
    }
}

/// How the checks of the last half minute failed, but for the services that hang.
fn classes(records: &mut Records) -> String {
    let query = "SELECT coalesce(split_part(error, ':', 1), 'online'), count(*) FROM service_checks
                 WHERE timestamp > (SELECT max(timestamp) FROM service_checks) - INTERVAL '30 s' GROUP BY 1";
    let rows = records.client.query(query, &[]).unwrap();
    let said: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row.get::<_, String>(0), row.get::<_, i64>(1))).collect();
    said.join(", ")
}
