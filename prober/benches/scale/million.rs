//! A million checks, recorded, as fast as they go: what it holds after a tenth of them, and after all.

use std::time::{Duration, Instant};

use crate::{
    load::{Answer, Load},
    program::{Program, Weight},
    recorded::Records,
    table::Table,
    target::Target,
};

const CHECKS: usize = 1_000_000;
const LOOKS: Duration = Duration::from_secs(5);

pub(crate) fn measure(table: &mut Table) {
    let load = Load {
        interval: Duration::from_secs(1),
        keys: "timeout = \"900ms\"\nslow_after = \"800ms\"\nretries = 0\n",
        answer: |_| Answer::After(0),
        ..Load::usual()
    };
    let target = Target::start(load.services, None);
    let mut records = Records::empty();
    let program = Program::start(&load, target.port, &records.setting);
    let began = Instant::now();
    let mut weigh_after = |count: usize| {
        while target.seen.over().len() < count {
            std::thread::sleep(Duration::from_millis(50));
        }
        let weight = program.watch(LOOKS, || ());
        let behind = records.behind(&target.seen).as_secs_f64();
        println!("  {count} checks after {:.0?}, the writer {behind:.2} s behind", began.elapsed());
        weight
    };
    let (tenth, all) = (weigh_after(CHECKS / 10), weigh_after(CHECKS));
    program.end();
    let pair = |of: fn(Weight) -> f64| format!("{:.1} then {:.1}", of(tenth), of(all));
    table.add("a million checks: resident MiB at 10 % and 100 %", "no growth", pair(|w| w.resident_mib));
    table.add("a million checks: threads", "no growth", pair(|w| w.threads as f64));
    table.add("a million checks: descriptors", "no growth", pair(|w| w.descriptors as f64));
}
