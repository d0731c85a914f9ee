//! The keys that may stand at the top of the file and in a service, and how one overrides the other.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    duration,
    section::{Entry, Section},
    statuses,
};
use crate::target::{Family, Method};

/// A year and a day: longer, and a mistyped unit is likelier than the wish.
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(366 * 86_400);
/// Of a timeout and of `slow_after`.
const PATIENCE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3_600);
/// A try may follow the other at once.
const RETRY_DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_600);
const MOST_RETRIES: u32 = 10;

/// Where a value comes from; the later overrides the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Written nowhere.
    BuiltIn,
    /// The top of the file.
    Top,
    /// The service itself.
    Service,
}

/// A value and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Setting<T> {
    /// What holds.
    pub(super) value: T,
    /// Who says so.
    pub(super) level: Level,
    /// The byte of the file where it is written; 0 where it is not.
    pub(super) at: usize,
}

impl<T> Setting<T> {
    /// A default of the program.
    pub(super) fn built_in(value: T) -> Setting<T> {
        Setting { value, level: Level::BuiltIn, at: 0 }
    }

    /// Whether the file says it, for this service or for all.
    pub(super) fn is_written(&self) -> bool {
        self.level > Level::BuiltIn
    }
}

/// What holds for a service, or for all that do not say otherwise.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) interval: Setting<Duration>,
    pub(super) timeout: Setting<Duration>,
    pub(super) slow_after: Setting<Duration>,
    pub(super) retries: Setting<u32>,
    pub(super) retry_delay: Setting<Duration>,
    pub(super) expect: Setting<Vec<RangeInclusive<u16>>>,
    pub(super) method: Setting<Method>,
    pub(super) family: Setting<Family>,
    pub(super) private_redirects: Setting<bool>,
}

/// The keys of [`Settings`] as the file writes them.
pub(super) const KEYS: [&str; 9] = [
    "interval",
    "timeout",
    "slow_after",
    "retries",
    "retry_delay",
    "expect",
    "method",
    "ip",
    "private_redirects",
];

impl Settings {
    /// The defaults of the contract.
    pub(super) fn built_in() -> Settings {
        let seconds = |seconds| Setting::built_in(Duration::from_secs(seconds));
        Settings {
            interval: seconds(7_200),
            timeout: seconds(10),
            slow_after: seconds(5),
            retries: Setting::built_in(1),
            retry_delay: seconds(2),
            expect: Setting::built_in(vec![200..=499]),
            method: Setting::built_in(Method::Head),
            family: Setting::built_in(Family::Any),
            private_redirects: Setting::built_in(false),
        }
    }

    /// The same with everything that a section writes.
    pub(super) fn overridden(&self, section: &mut Section<'_>, level: Level) -> Settings {
        Settings {
            interval: section.setting("interval", level, &self.interval, |entry| span(entry, &INTERVAL)),
            timeout: section.setting("timeout", level, &self.timeout, |entry| span(entry, &PATIENCE)),
            slow_after: section
                .setting("slow_after", level, &self.slow_after, |entry| span(entry, &PATIENCE)),
            retries: section.setting("retries", level, &self.retries, retries),
            retry_delay: section.setting("retry_delay", level, &self.retry_delay, |e| span(e, &RETRY_DELAY)),
            expect: section.setting("expect", level, &self.expect, expect),
            method: section.setting("method", level, &self.method, method),
            family: section.setting("ip", level, &self.family, family),
            private_redirects: section.setting(
                "private_redirects",
                level,
                &self.private_redirects,
                Entry::boolean,
            ),
        }
    }
}

/// Reads a duration within bounds.
fn span(entry: &Entry<'_>, bounds: &RangeInclusive<Duration>) -> Result<Duration, String> {
    duration::within(duration::parse(&unquoted(entry)?)?, bounds)
}

/// The text of a duration; of a number too, so that it is told what it lacks.
fn unquoted(entry: &Entry<'_>) -> Result<String, String> {
    use toml::de::DeValue::{Float, Integer};
    match entry.value {
        Integer(number) => Ok(number.as_str().to_owned()),
        Float(number) => Ok(number.as_str().to_owned()),
        _ => Ok(entry.string("a duration in quotes, like \"90s\"")?.text),
    }
}

fn retries(entry: &Entry<'_>) -> Result<u32, String> {
    let number =
        entry.value.as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
    number
        .filter(|number| *number <= MOST_RETRIES)
        .ok_or_else(|| format!("is not a number of retries; write 0 to {MOST_RETRIES}, without quotes"))
}

fn expect(entry: &Entry<'_>) -> Result<Vec<RangeInclusive<u16>>, String> {
    statuses::parse(&entry.string("numbers and ranges in quotes, like \"200-299,401\"")?.text)
}

fn method(entry: &Entry<'_>) -> Result<Method, String> {
    match &*entry.string("\"HEAD\" or \"GET\"")?.text {
        "HEAD" => Ok(Method::Head),
        "GET" => Ok(Method::Get),
        _ => Err("is no method to check with; write \"HEAD\" or \"GET\"".to_owned()),
    }
}

fn family(entry: &Entry<'_>) -> Result<Family, String> {
    match &*entry.string("\"any\", \"4\" or \"6\", in quotes")?.text {
        "any" => Ok(Family::Any),
        "4" => Ok(Family::V4),
        "6" => Ok(Family::V6),
        _ => Err("is no family of addresses; write \"any\", \"4\" or \"6\"".to_owned()),
    }
}
