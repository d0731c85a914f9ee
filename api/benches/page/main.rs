//! What the page costs those who look at it, over the real api, PostgreSQL and Chromium, with ninety varied days of
//! its services: bytes, requests and time to the first paint beside nginx with the same bytes.
//! Run with `cargo build --release && cargo bench -p api --bench page`; `-- pixel` for the time from a row inserted to
//! a changed pixel, `-- listeners` for ten thousand pages that listen at once; needs what
//! `deploy/packages --apt "nginx chromium"` installs.
// A benchmark writes what the api reads.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

// A benchmark needs less of a visitor than the tests do.
#[allow(dead_code)]
#[path = "../../tests/it/browser.rs"]
mod browser;
mod listeners;
mod mirror;
mod pixel;
mod served;
mod stream;
mod view;

use shared::testing::{Cluster, bench::machine};

fn main() {
    let asked = |word: &str| std::env::args().any(|argument| argument == word);
    println!("{}", machine());
    let cluster = Cluster::start(&["-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"]);
    if asked("pixel") {
        pixel::measure(&cluster);
    } else if asked("listeners") {
        listeners::measure(&cluster);
    } else {
        view::measure(&cluster);
    }
}
