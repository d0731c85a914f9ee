//! The prober at ten thousand services, on the processors that its targets and its database use too: its rate beside
//! wrk's, its beats, what it weighs, what it does without name servers, and whether its times are true.
//! Run with `cargo build --release && cargo bench -p prober --bench scale` (`-- NAME…` for some rows: flat, beats,
//! secured, hanging, names, recorded, timings, million); needs what `deploy/packages --apt "nginx wrk"` installs, and
//! root for `names`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod beats;
mod flat;
mod load;
mod million;
mod name_server;
mod names;
mod nginx;
mod program;
mod recorded;
mod secured;
mod seen;
mod table;
mod target;
mod timings;

use shared::testing::bench::machine;
use table::Table;

/// What fills its rows of the table.
type Measure = fn(&mut Table);

const ROWS: [(&str, Measure); 8] = [
    ("flat", flat::measure),
    ("beats", beats::measure),
    ("secured", beats::measure_secured),
    ("hanging", beats::measure_hanging),
    ("names", names::measure),
    ("recorded", recorded::measure),
    ("timings", timings::measure),
    ("million", million::measure),
];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut table = Table::default();
    println!("{}", machine());
    for (name, measure) in ROWS {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            println!("\n{name}");
            measure(&mut table);
        }
    }
    println!("\n{table}");
}
