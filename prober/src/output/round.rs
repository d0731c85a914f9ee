//! The results of `once`: a table for people, JSON for programs, and a line while it takes long.

use std::io::{self, Write};

use chrono::SecondsFormat;
use serde::Serialize;
use shared::{Check, Status};

use super::{
    Style,
    table::{self, Cell, Edge, Tone},
};
use crate::target::Target;

/// Erases the line of [`progress`] on a terminal.
pub const ERASE_PROGRESS: &str = "\r\x1b[2K";

/// The line that says how far a round is. On a terminal it replaces the one before: it begins by erasing it and ends
/// without a line end.
pub fn progress(done: usize, all: usize) -> String {
    format!("{ERASE_PROGRESS}{done} of {all} checked…")
}

/// Writes the results as a table, and how many are online.
///
/// # Errors
/// Those of `out`.
pub fn write_round(results: &[(&Target, &Check)], style: Style, out: &mut impl Write) -> io::Result<()> {
    let headings = [
        ("status", Edge::Left),
        ("id", Edge::Left),
        ("name", Edge::Left),
        ("time", Edge::Right),
        ("http", Edge::Right),
        ("error", Edge::Left),
    ];
    let rows: Vec<_> = results.iter().map(|(target, check)| row(target, check, style)).collect();
    table::write(headings, &rows, style, out)?;
    let online = results.iter().filter(|(_, check)| check.status == Status::Online).count();
    writeln!(out, "\n{online} of {} online", results.len())
}

/// Writes the results as one JSON object, its keys those of the public API.
///
/// # Errors
/// Those of `out`.
pub fn write_round_json(results: &[(&Target, &Check)], out: &mut impl Write) -> io::Result<()> {
    let services = results.iter().map(|(target, check)| Outcome::of(target, check)).collect();
    serde_json::to_writer_pretty(&mut *out, &Round { services })?;
    writeln!(out)
}

fn row(target: &Target, check: &Check, style: Style) -> [Cell; 6] {
    let (shape, tone) = look(check.status);
    let status = match style.width {
        Some(_) => format!("{shape} {}", check.status),
        None => check.status.to_string(),
    };
    [
        Cell::new(&status, tone),
        (*target.id).into(),
        (*target.name).into(),
        check.response_time_ms.map(|ms| format!("{ms} ms")).unwrap_or_default().into(),
        check.status_code.map(|code| code.to_string()).unwrap_or_default().into(),
        check.error.as_deref().unwrap_or_default().into(),
    ]
}

/// A shape and a colour, so that neither says it alone.
fn look(status: Status) -> (char, Tone) {
    match status {
        Status::Online => ('●', Tone::Green),
        Status::Degraded => ('▲', Tone::Yellow),
        Status::Timeout => ('◆', Tone::Yellow),
        Status::Offline => ('■', Tone::Red),
        Status::Unknown => ('○', Tone::Faint),
    }
}

#[derive(Serialize)]
struct Round<'a> {
    services: Vec<Outcome<'a>>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    id: &'a str,
    name: &'a str,
    url: Option<&'a str>,
    status: &'static str,
    response_time: Option<i32>,
    status_code: Option<u16>,
    timestamp: String,
    error: Option<&'a str>,
}

impl<'a> Outcome<'a> {
    fn of(target: &'a Target, check: &'a Check) -> Outcome<'a> {
        Outcome {
            id: &target.id,
            name: &target.name,
            url: target.link.as_deref(),
            status: check.status.as_str(),
            response_time: check.response_time_ms,
            status_code: check.status_code,
            timestamp: check.timestamp.to_rfc3339_opts(SecondsFormat::Millis, true),
            error: check.error.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Family, Method};
    use chrono::DateTime;
    use std::time::Duration;

    fn target(id: &str, name: &str) -> Target {
        Target {
            id: id.to_owned(),
            name: name.to_owned(),
            group: None,
            link: Some(format!("https://{id}.example")),
            url: "https://me:hunter2@probed.example".parse().unwrap(),
            headers: vec![("X-Token".to_owned(), "hunter2".to_owned())],
            authorities: None,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            slow_after: Duration::from_secs(5),
            retries: 1,
            retry_delay: Duration::from_secs(2),
            expect: vec![200..=499],
            method: Method::Head,
            family: Family::Any,
            private_redirects: false,
        }
    }

    fn check(status: Status, ms: Option<i32>, code: Option<u16>, error: Option<&str>) -> Check {
        Check {
            service_id: "main".to_owned(),
            timestamp: DateTime::from_timestamp_millis(1_770_919_203_120).unwrap(),
            status,
            response_time_ms: ms,
            status_code: code,
            error: error.map(str::to_owned),
        }
    }

    fn written(style: Style) -> String {
        let (main, git) = (target("main", "Main"), target("git", "状態"));
        let online = check(Status::Online, Some(143), Some(200), None);
        let offline = check(Status::Offline, None, None, Some("dns: no such name, after 2 tries"));
        let mut out = Vec::new();
        write_round(&[(&main, &online), (&git, &offline)], style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pipe_gets_plain_words_in_columns() {
        let expected = "\
status   id    name    time  http  error
online   main  Main  143 ms   200
offline  git   状態                dns: no such name, after 2 tries

1 of 2 online
";
        assert_eq!(written(Style { colour: false, width: None }), expected);
    }

    #[test]
    fn a_terminal_gets_a_shape_with_each_word_and_colours_where_they_are_wanted() {
        let plain = written(Style { colour: false, width: Some(80) });
        assert!(
            plain.contains("● online   main") && plain.contains("■ offline  git") && !plain.contains('\x1b')
        );
        let colourful = written(Style { colour: true, width: Some(80) });
        assert!(colourful.contains("\x1b[32m● online\x1b[0m   main"), "{colourful}");
        assert!(colourful.contains("\x1b[31m■ offline\x1b[0m  git"), "{colourful}");
    }

    #[test]
    fn json_has_the_keys_of_the_api_and_every_one_of_them() {
        let (main, mut git) = (target("main", "Main"), target("git", "Git"));
        git.link = None;
        let slow = check(Status::Degraded, Some(5_200), Some(200), Some("slow: 5200 ms, after 1 try"));
        let offline = check(Status::Offline, None, None, Some("connect: refused, after 2 tries"));
        let mut out = Vec::new();
        write_round_json(&[(&main, &slow), (&git, &offline)], &mut out).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({"services": [
            {"id": "main", "name": "Main", "url": "https://main.example", "status": "degraded",
             "response_time": 5200, "status_code": 200, "timestamp": "2026-02-12T18:00:03.120Z",
             "error": "slow: 5200 ms, after 1 try"},
            {"id": "git", "name": "Git", "url": null, "status": "offline",
             "response_time": null, "status_code": null, "timestamp": "2026-02-12T18:00:03.120Z",
             "error": "connect: refused, after 2 tries"},
        ]});
        assert_eq!(read, expected);
        assert!(out.ends_with(b"}\n"));
    }

    #[test]
    fn progress_replaces_its_own_line() {
        assert_eq!(progress(3, 5), "\r\x1b[2K3 of 5 checked…");
    }
}
