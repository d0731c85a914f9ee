//! A check as it stands in a file of the journal: a line of a checksum, its number and JSON, which a person can read too.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{Check, Status};

/// The row that a check will be, under the names of its columns.
#[derive(Serialize, Deserialize)]
struct Row<'a> {
    service_id: Cow<'a, str>,
    timestamp: DateTime<Utc>,
    status: Cow<'a, str>,
    response_time: Option<i32>,
    status_code: Option<u16>,
    error: Option<Cow<'a, str>>,
}

/// Writes the line of a check, its end included: `checksum number row`.
pub(super) fn write(lines: &mut Vec<u8>, seq: u64, check: &Check) {
    let row = Row {
        service_id: Cow::Borrowed(&check.service_id),
        timestamp: check.timestamp,
        status: Cow::Borrowed(check.status.as_str()),
        response_time: check.response_time_ms,
        status_code: check.status_code,
        error: check.error.as_deref().map(Cow::Borrowed),
    };
    let row = serde_json::to_string(&row).expect("a row is JSON");
    let content = format!("{seq} {row}");
    lines.extend_from_slice(format!("{:08x} {content}\n", crc32fast::hash(content.as_bytes())).as_bytes());
}

/// The number of a whole line; `None` where it is not what was written.
pub(super) fn number(line: &[u8]) -> Option<u64> {
    let (checksum, content) = line.strip_suffix(b"\n")?.split_at_checked(8)?;
    let content = content.strip_prefix(b" ")?;
    let checksum = u32::from_str_radix(std::str::from_utf8(checksum).ok()?, 16).ok()?;
    if crc32fast::hash(content) != checksum {
        return None;
    }
    std::str::from_utf8(content).ok()?.split(' ').next()?.parse().ok()
}

/// The check of a whole line with its number; `None` where it is not what was written.
pub(super) fn read(line: &[u8]) -> Option<(u64, Check)> {
    let seq = number(line)?;
    let start = line.iter().position(|byte| *byte == b'{')?;
    let row: Row<'_> = serde_json::from_slice(&line[start..]).ok()?;
    let check = Check {
        service_id: row.service_id.into_owned(),
        timestamp: row.timestamp,
        status: Status::from_word(&row.status),
        response_time_ms: row.response_time,
        status_code: row.status_code,
        error: row.error.map(Cow::into_owned),
    };
    Some((seq, check))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_check_is_read_as_it_was_written_and_no_changed_byte_passes(
            seq in 1..u64::MAX, service_id in ".{1,50}", micros in 0..4_000_000_000_000_000_i64, word in 0..4_usize,
            time in any::<Option<i32>>(), status_code in any::<Option<u16>>(), error in any::<Option<String>>(),
            at in any::<prop::sample::Index>(), change in 1..=255_u8,
        ) {
            let status = [Status::Online, Status::Degraded, Status::Timeout, Status::Offline][word];
            let timestamp = DateTime::from_timestamp_micros(micros).unwrap();
            let check = Check { service_id, timestamp, status, response_time_ms: time, status_code, error };
            let mut line = Vec::new();
            write(&mut line, seq, &check);
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            prop_assert_eq!(number(&line), Some(seq));
            prop_assert_eq!(read(&line), Some((seq, check)));
            let at = at.index(line.len());
            prop_assert_eq!(read(&line[..at]), None);
            line[at] ^= change;
            prop_assert_eq!(read(&line), None);
        }
    }
}
