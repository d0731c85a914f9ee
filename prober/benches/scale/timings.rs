//! Are recorded times true? Under the same load, targets that wait for a known time: what is recorded less what the
//! target held, from the connection to the answer. Whole milliseconds are recorded, cut: -1 to 0 is exact.

use std::{collections::HashMap, time::Duration};

use crate::{
    load::{Answer, Load, id},
    program::Program,
    recorded::Records,
    table::{Table, quantile},
    target::Target,
};

const DELAYS: [u64; 6] = [0, 1, 5, 20, 100, 500];
const TIME: Duration = Duration::from_secs(65);

pub(crate) fn measure(table: &mut Table) {
    let load = Load {
        answer: |service| match service {
            _ if service % 100 == 99 => Answer::Never,
            _ => Answer::After(DELAYS[service % DELAYS.len()]),
        },
        ..Load::usual()
    };
    let target = Target::start(load.services, None);
    let mut records = Records::empty();
    let program = Program::start(&load, target.port, &records.setting);
    program.watch(TIME, || ());
    program.end();
    let recorded = recorded(&mut records);
    for delay in DELAYS {
        let mut errors = Vec::new();
        for service in load.healthy().filter(|service| (load.answer)(*service) == Answer::After(delay)) {
            let (times, visits) = (&recorded[&id(service)], target.seen.of(service));
            if times.len() == visits.len() {
                errors
                    .extend(times.iter().zip(&visits).map(|(ms, visit)| ms - visit.held.as_secs_f64() * 1e3));
            }
        }
        errors.sort_by(f64::total_cmp);
        let at = |share| quantile(&errors, share);
        let seen = format!(
            "{:.1} / {:.1} / {:.1} / {:.1} / {:.1} ms ({} checks)",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0),
            errors.len()
        );
        table.add(&format!("{delay} ms: error at p50 / p90 / p99 / p99.9 / most"), "-", seen);
    }
}

/// The times of each service in their order.
fn recorded(records: &mut Records) -> HashMap<String, Vec<f64>> {
    let query = "SELECT service_id, array_agg(response_time ORDER BY timestamp) FROM service_checks
                 WHERE status = 'online' GROUP BY service_id";
    let rows = records.client.query(query, &[]).unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get::<_, Vec<i32>>(1).into_iter().map(f64::from).collect()))
        .collect()
}
