//! Log lines on standard error: for a person on a terminal, for the journal under systemd.

use std::io::Write;

use log::Level;

/// Starts logging by `RUST_LOG` (default `info`). Under systemd each line carries its priority and no time,
/// since the journal keeps both. Control characters never reach a line, whoever sent them.
pub fn start() {
    let mut builder = env_logger::Builder::from_env(
        env_logger::Env::default().default_filter_or("info,actix_server=warn,refinery_core=warn"),
    );
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.format(|line, record| {
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
            let style = line.default_level_style(record.level());
            let text = printable(&record.args().to_string());
            writeln!(line, "{} {style}{:<5}{style:#} {text}", line.timestamp_millis(), record.level())
        });
    }
    builder.init();
}

/// Control characters and the marks that change the direction of text, made visible.
fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_line_stays_one_line_whatever_it_says() {
        assert_eq!(printable("a\nb\u{1b}[31m\u{202e}é"), "a\u{fffd}b\u{fffd}[31m\u{fffd}é");
    }
}
