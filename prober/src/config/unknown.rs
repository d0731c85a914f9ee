//! Keys that nobody knows, or that stand in the wrong place, and what was probably meant.

use super::{section::Section, settings};
use shared::written::unknown_key;

const TOP_ONLY: [&str; 2] = ["canary", "retention"];
const SERVICE_ONLY: [&str; 7] = ["id", "name", "url", "group", "headers", "ca_file", "link"];

/// Whether a key means something at the top of the file or in a service.
pub(super) fn is_known(key: &str) -> bool {
    [&settings::KEYS[..], &TOP_ONLY, &SERVICE_ONLY].concat().contains(&key)
}

/// Refuses what is left of the top of the file.
pub(super) fn refuse_at_top(section: Section<'_>) {
    let known = [&settings::KEYS[..], &TOP_ONLY, &["services"]].concat();
    refuse(section, &known, |key| {
        SERVICE_ONLY
            .contains(&key)
            .then(|| format!("{key} belongs to a service; write it below a [[services]]"))
    });
}

/// Refuses what is left of a service.
pub(super) fn refuse_in_service(section: Section<'_>) {
    let known = [&SERVICE_ONLY[..], &settings::KEYS].concat();
    refuse(section, &known, |key| {
        TOP_ONLY.contains(&key).then(|| {
            format!(
                "{key} holds for all services; write it at the top of the file, above the first [[services]]"
            )
        })
    });
}

fn refuse(section: Section<'_>, known: &[&str], misplaced: impl Fn(&str) -> Option<String>) {
    for (key, entry) in section.entries {
        let text = misplaced(key).unwrap_or_else(|| unknown_key(key, known));
        entry.reading.refuse(entry.key_at, text);
    }
}

#[cfg(test)]
mod tests {
    use shared::written::nearest;

    use super::*;

    #[test]
    fn a_near_miss_is_recognised_and_a_stranger_is_not() {
        let known = [&SERVICE_ONLY[..], &settings::KEYS].concat();
        for (key, meant) in [
            ("intervall", Some("interval")),
            ("time_out", Some("timeout")),
            ("slow-after", Some("slow_after")),
            ("URL", Some("url")),
            ("header", Some("headers")),
            ("retires", Some("retries")),
            ("title", None),
            ("x", None),
        ] {
            assert_eq!(nearest(key, &known), meant, "{key}");
        }
    }
}
