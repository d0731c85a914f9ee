//! The words and figures that people read, on the page and in the JSON's `reason`: each said in one place.
//! Pure. A number and its unit are held together by a no-break space.

use std::time::Duration;

use shared::{Failure, Service, Status};

use crate::{snapshot::ServiceState, uptime::Percent};

const NBSP: char = '\u{a0}';
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A status as people read it.
pub const fn state(status: Status) -> &'static str {
    match status {
        Status::Online => "Operational",
        Status::Degraded => "Degraded",
        Status::Timeout => "Timeout",
        Status::Offline => "Offline",
        Status::Unknown => "Unknown",
    }
}

/// `99.405%`, `99.4%`, `100%`: as cut, without padding zeros.
pub fn percent(percent: Percent) -> String {
    let (whole, rest) = (percent.thousandths() / 1_000, percent.thousandths() % 1_000);
    if rest == 0 {
        return format!("{whole}%");
    }
    let decimals = format!("{rest:03}");
    format!("{whole}.{}%", decimals.trim_end_matches('0'))
}

/// Digits in groups of three: `1,842`.
pub fn grouped(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1,842 checks`, `1 check`.
pub fn checks(total: u64) -> String {
    format!("{}{NBSP}{}", grouped(total), if total == 1 { "check" } else { "checks" })
}

/// `6,420 ms`.
pub fn milliseconds(ms: i32) -> String {
    format!("{}{NBSP}ms", grouped(ms))
}

/// A length of time in its two largest units: `500 ms`, `1.5 s`, `2 min 30 s`, `1 day 20 h`.
pub fn span(length: Duration) -> String {
    let ms = whole_milliseconds(length);
    if ms < SECOND {
        return format!("{ms}{NBSP}ms");
    }
    if ms < MINUTE {
        return format!("{}{NBSP}s", decimal_seconds(ms));
    }
    let units = [(DAY, "day"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")];
    let largest = units.iter().position(|(size, _)| ms >= *size).unwrap_or(units.len() - 1);
    let mut rest = ms;
    let mut parts = Vec::new();
    for &(size, unit) in units.iter().skip(largest).take(2) {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            let plural = if unit == "day" && count > 1 { "s" } else { "" };
            parts.push(format!("{count}{NBSP}{unit}{plural}"));
        }
    }
    parts.join(" ")
}

/// How often these services are checked: `every 2 hours`, `every 10 s to 2 hours`; `None` where there are none.
pub fn cadence<'a>(services: impl Iterator<Item = &'a Service> + Clone) -> Option<String> {
    let shortest = services.clone().map(|service| service.interval).min()?;
    let longest = services.map(|service| service.interval).max()?;
    Some(if shortest == longest {
        let amount = amount(shortest);
        format!("every {}", amount.strip_prefix(&format!("1{NBSP}")).unwrap_or(&amount))
    } else {
        format!("every {} to {}", amount(shortest), amount(longest))
    })
}

/// Why the newest check of a service was not online, from its class of failure and never from its error text;
/// `None` where it was, where there is none, or where it is too old to be a reason.
pub fn reason(state: &ServiceState) -> Option<String> {
    let newest = state.newest.as_ref().filter(|_| !state.stale)?;
    if newest.status == Status::Online {
        return None;
    }
    let service = &state.service;
    let answered = || newest.status_code.map(|code| format!("Unexpected answer: HTTP{NBSP}{code}"));
    let slow = || format!("Slower than {}", span(service.slow_after));
    let timeout = || format!("No answer within {}", span(service.timeout));
    Some(match (newest.failure, newest.status) {
        (Some(Failure::Dns), _) => "Its name could not be looked up".into(),
        (Some(Failure::Connect), _) => "No connection could be made".into(),
        (Some(Failure::Tls), _) => "No secure connection: TLS or its certificate failed".into(),
        (Some(Failure::Timeout), _) => timeout(),
        (Some(Failure::Protocol), _) => "The answer was not proper HTTP".into(),
        (Some(Failure::Redirect), _) => "It redirects to where it can’t be followed".into(),
        (Some(Failure::Status), _) => answered().unwrap_or_else(|| "Unexpected answer".into()),
        (Some(Failure::Slow), _) => slow(),
        (None, Status::Degraded) => {
            answered().filter(|_| newest.status_code >= Some(500)).unwrap_or_else(slow)
        }
        (None, Status::Timeout) => timeout(),
        (None, Status::Offline) => "It could not be reached".into(),
        (None, Status::Unknown | Status::Online) => "Its last check has a result that nobody knows".into(),
    })
}

/// A whole number of the largest unit, spelled out, where there is one; else [`span`].
fn amount(length: Duration) -> String {
    let ms = whole_milliseconds(length);
    for (size, unit) in [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")] {
        if ms >= size && ms.is_multiple_of(size) {
            let count = ms / size;
            return format!("{count}{NBSP}{unit}{}", if count == 1 { "" } else { "s" });
        }
    }
    span(length)
}

fn whole_milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn decimal_seconds(ms: u64) -> String {
    let (whole, rest) = (ms / SECOND, ms % SECOND);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}").trim_end_matches('0').into() }
}
