//! Log lines on standard error: for a person on a terminal, for the journal under systemd.

use std::{
    fs::File,
    io::Write,
    os::{fd::AsFd, unix::fs::MetadataExt},
};

use log::{Level, LevelFilter};

use crate::printable::printable;

/// Starts logging by `RUST_LOG` (default `info`). Into the journal each line carries its priority and no time,
/// since the journal keeps both. Control characters never reach a line, whoever sent them.
pub fn start() {
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(LevelFilter::Info)
        // What a visitor sends wrongly is answered, not worth an operator's line.
        .filter_module("actix_http", LevelFilter::Off)
        .filter_module("actix_server", LevelFilter::Warn)
        .filter_module("refinery_core", LevelFilter::Warn)
        .parse_default_env();
    if is_read_by_the_journal(&std::io::stderr()) {
        builder.format(|line, record| {
            if may_hold_secrets(record) {
                return Ok(());
            }
            let priority = match record.level() {
                Level::Error => 3,
                Level::Warn => 4,
                Level::Info => 6,
                Level::Debug | Level::Trace => 7,
            };
            writeln!(line, "<{priority}>{}", printable(&record.args().to_string()))
        });
    } else {
        builder.format(|line, record| {
            if may_hold_secrets(record) {
                return Ok(());
            }
            let style = line.default_level_style(record.level());
            let text = record.args().to_string();
            writeln!(
                line,
                "{} {style}{:<5}{style:#} {}",
                line.timestamp_millis(),
                record.level(),
                printable(&text)
            )
        });
    }
    builder.init();
}

/// Whether this is the stream that `JOURNAL_STREAM` (device:inode) names. The variable alone says nothing: whatever a
/// service starts inherits it, a terminal with a person before it too.
fn is_read_by_the_journal(stream: &impl AsFd) -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let this = stream.as_fd().try_clone_to_owned().and_then(|stream| File::from(stream).metadata());
    this.is_ok_and(|this| named == format!("{}:{}", this.dev(), this.ino()))
}

/// The HTTP client logs what it sends, whatever header or query it is.
fn may_hold_secrets(record: &log::Record<'_>) -> bool {
    record.target().starts_with("ureq") && record.level() > Level::Info
}
