//! Log lines on standard error: for a person on a terminal, for the journal under systemd.

use std::io::Write;

use log::{Level, LevelFilter};

use crate::printable::printable;

/// Starts logging by `RUST_LOG` (default `info`). Under systemd each line carries its priority and no time,
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
    if std::env::var_os("JOURNAL_STREAM").is_some() {
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

/// The HTTP client logs what it sends, whatever header or query it is.
fn may_hold_secrets(record: &log::Record<'_>) -> bool {
    record.target().starts_with("ureq") && record.level() > Level::Info
}
