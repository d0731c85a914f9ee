//! How things stand, in a line for `systemctl status`. Pure: the time comes in.

use chrono::{DateTime, Utc};
use shared::Status;

/// What becomes of checks that were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// There is no database to record them in.
    Nowhere,
    /// They are recorded, or soon will be.
    Going,
    /// They wait, and the database does not take them: it is frozen, or a lock is in the way.
    Stuck,
    /// They wait since the database went away.
    AwaySince(DateTime<Utc>),
}

/// The line, of the newest status of each service and the checks that wait to be recorded.
pub fn line(statuses: &[Status], waiting: usize, recording: Recording, now: DateTime<Utc>) -> String {
    let services = format!("{}: {}", some(statuses.len(), "service"), counts(statuses));
    let waiting =
        format!("{} wait{} in the journal", some(waiting, "check"), if waiting == 1 { "s" } else { "" });
    match recording {
        Recording::Going => services,
        Recording::Nowhere => format!("{services}; nothing is recorded: no DATABASE_URL"),
        Recording::Stuck => format!("{services}; {waiting}: the database takes none"),
        Recording::AwaySince(then) => {
            format!("{services}; {waiting}: database away since {}", time(then, now))
        }
    }
}

fn counts(statuses: &[Status]) -> String {
    use Status::{Degraded, Offline, Online, Timeout, Unknown};
    let words = [
        (Online, "online"),
        (Degraded, "degraded"),
        (Timeout, "timeout"),
        (Offline, "offline"),
        (Unknown, "not checked yet"),
    ];
    let count = |status| statuses.iter().filter(|known| **known == status).count();
    let said = words.map(|(status, word)| (count(status), word)).into_iter().filter(|(count, _)| *count > 0);
    said.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn some(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// With the day where it is another.
fn time(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let form = if then.date_naive() == now.date_naive() { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" };
    then.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn at(day: u32, hour: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 2, day, hour, 4, 0).unwrap()
    }

    #[test]
    fn a_line_says_what_matters_and_no_more() {
        use Status::{Degraded, Offline, Online, Timeout, Unknown};
        let well = [Online, Online, Online, Online, Offline];
        for (statuses, waiting, recording, said) in [
            (&well[..], 3, Recording::Going, "5 services: 4 online, 1 offline"),
            (&[Unknown], 0, Recording::Going, "1 service: 1 not checked yet"),
            (
                &[Timeout, Degraded, Online],
                0,
                Recording::Going,
                "3 services: 1 online, 1 degraded, 1 timeout",
            ),
            (&[Online], 0, Recording::Nowhere, "1 service: 1 online; nothing is recorded: no DATABASE_URL"),
            (
                &[Online],
                1,
                Recording::Stuck,
                "1 service: 1 online; 1 check waits in the journal: the database takes none",
            ),
            (
                &well,
                12,
                Recording::AwaySince(at(2, 12)),
                "5 services: 4 online, 1 offline; 12 checks wait in the journal: database away since 12:04 UTC",
            ),
            (
                &well,
                0,
                Recording::AwaySince(at(1, 23)),
                "5 services: 4 online, 1 offline; 0 checks wait in the journal: database away since 2026-02-01 23:04 UTC",
            ),
        ] {
            assert_eq!(line(statuses, waiting, recording, at(2, 13)), said);
        }
    }
}
