//! The words and figures that people read, on the page and in the JSON's `reason`: each said in one place.
//! Pure. A number and its unit are held together by a no-break space.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::{Failure, Service, Status};

use crate::{snapshot::ServiceState, uptime::Percent};

const NBSP: char = '\u{a0}';
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `12 Feb 2026, 18:00:03 UTC`: an instant where nothing can tell it in the reader's own time.
pub fn second_in_utc(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M:%S UTC").to_string()
}

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
        match amount(shortest).split_once(NBSP) {
            Some(("1", "s")) => "every second".into(),
            Some(("1", unit @ ("minute" | "hour" | "day"))) => format!("every {unit}"),
            _ => format!("every {}", amount(shortest)),
        }
    } else {
        format!("every {} to {}", amount(shortest), amount(longest))
    })
}

/// Why the newest check of a service was not online, from its class of failure and never from its error text;
/// `None` where it was, where there is none, or where it is too old to be a reason.
pub fn reason(state: &ServiceState) -> Option<String> {
    let newest = state.newest.as_ref().filter(|newest| !state.stale && newest.status != Status::Online)?;
    let slow_or_not = newest.failure.or(match (newest.status, newest.status_code) {
        (Status::Degraded, Some(500..)) => Some(Failure::Status),
        (Status::Degraded, _) => Some(Failure::Slow),
        _ => None,
    });
    Some(cause(newest.status, slow_or_not, newest.status_code, &state.service))
}

/// Why checks with this status were not online, as far as their class of failure tells.
pub fn cause(
    status: Status,
    failure: Option<Failure>,
    status_code: Option<i32>,
    service: &Service,
) -> String {
    let timeout = || format!("No answer within {}", span(service.timeout));
    match (failure, status) {
        (Some(Failure::Dns), _) => "Its name could not be looked up".into(),
        (Some(Failure::Connect), _) => "No connection could be made".into(),
        (Some(Failure::Tls), _) => "No secure connection: TLS or its certificate failed".into(),
        (Some(Failure::Timeout), _) => timeout(),
        (Some(Failure::Protocol), _) => "The answer was not proper HTTP".into(),
        (Some(Failure::Redirect), _) => "It redirects to where it can’t be followed".into(),
        (Some(Failure::Status), _) => match status_code {
            Some(code) => format!("Unexpected answer: HTTP{NBSP}{code}"),
            None => "Unexpected answer".into(),
        },
        (Some(Failure::Slow), _) => format!("Slower than {}", span(service.slow_after)),
        (None, Status::Degraded) => "Unexpected or slow answer".into(),
        (None, Status::Timeout) => timeout(),
        (None, Status::Offline) => "It could not be reached".into(),
        (None, Status::Unknown | Status::Online) => "A result that nobody knows".into(),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::facts::Newest;

    fn service(interval_s: u64) -> Service {
        Service {
            id: "main".into(),
            name: "main".into(),
            group: None,
            link: None,
            interval: Duration::from_secs(interval_s),
            timeout: Duration::from_secs(10),
            slow_after: Duration::from_millis(2_500),
            tries_take: Duration::from_secs(22),
            beat: DateTime::UNIX_EPOCH,
        }
    }

    fn found(status: Status, failure: Option<Failure>, status_code: Option<i32>) -> ServiceState {
        let timestamp = DateTime::UNIX_EPOCH;
        let newest = Some(Newest { timestamp, status, response_time_ms: None, status_code, failure });
        ServiceState {
            revision: 1,
            service: Arc::new(service(60)),
            status,
            stale: false,
            newest,
            last_online: None,
            past: Arc::default(),
            uptime: [None; 4],
            total_checks: 1,
        }
    }

    fn plain(text: &str) -> String {
        text.replace(NBSP, " ")
    }

    #[test]
    fn a_percentage_is_shown_as_cut_and_without_padding_zeros() {
        for (online, total, text) in [
            (1, 1, "100%"),
            (99_405, 100_000, "99.405%"),
            (994, 1_000, "99.4%"),
            (999_999, 1_000_000, "99.999%"),
            (1, 100_000, "0.001%"),
            (1, 1_000, "0.1%"),
            (1, 10_000_000, "0%"),
        ] {
            assert_eq!(percent(Percent::of(online, total).unwrap()), text);
        }
    }

    #[test]
    fn a_number_and_its_unit_are_held_together() {
        assert_eq!(checks(1_842), "1,842\u{a0}checks");
        assert_eq!(checks(1), "1\u{a0}check");
        assert_eq!(checks(0), "0\u{a0}checks");
        assert_eq!(milliseconds(6_420), "6,420\u{a0}ms");
        assert_eq!(milliseconds(i32::MIN), "-2,147,483,648\u{a0}ms", "whatever a row says");
        assert_eq!(checks(u64::MAX), "18,446,744,073,709,551,615\u{a0}checks");
    }

    #[test]
    fn a_length_of_time_is_told_in_its_two_largest_units() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (1_500, "1.5 s"),
            (2_005, "2.005 s"),
            (59_999, "59.999 s"),
            (60_000, "1 min"),
            (150_000, "2 min 30 s"),
            (7_200_000, "2 h"),
            (7_260_999, "2 h 1 min"),
            (7_201_000, "2 h"),
            (86_400_000, "1 day"),
            (158_400_000, "1 day 20 h"),
            (864_000_000, "10 days"),
        ] {
            assert_eq!(plain(&span(Duration::from_millis(ms))), text);
        }
    }

    #[test]
    fn the_cadence_is_told_from_the_shortest_to_the_longest_interval() {
        for (intervals, text) in [
            (&[7_200, 7_200][..], Some("every 2 hours")),
            (&[10, 7_200, 60], Some("every 10 s to 2 hours")),
            (&[3_600], Some("every hour")),
            (&[60], Some("every minute")),
            (&[1], Some("every second")),
            (&[86_400], Some("every day")),
            (&[300, 86_400], Some("every 5 minutes to 1 day")),
            (&[5_400], Some("every 90 minutes")),
            (&[3_601], Some("every 1 h")),
            (&[90], Some("every 1 min 30 s")),
            (&[], None),
        ] {
            let services: Vec<Service> = intervals.iter().map(|interval| service(*interval)).collect();
            assert_eq!(cadence(services.iter()).map(|words| plain(&words)).as_deref(), text);
        }
    }

    #[test]
    fn every_class_of_failure_has_its_words() {
        use Failure::{Connect, Dns, Protocol, Redirect, Slow, Tls};
        use Status::{Degraded, Offline, Online, Timeout, Unknown};
        for (status, failure, code, words) in [
            (Online, None, Some(200), None),
            (Offline, Some(Dns), None, Some("Its name could not be looked up")),
            (Offline, Some(Connect), None, Some("No connection could be made")),
            (Offline, Some(Tls), None, Some("No secure connection: TLS or its certificate failed")),
            (Timeout, Some(Failure::Timeout), None, Some("No answer within 10 s")),
            (Offline, Some(Protocol), None, Some("The answer was not proper HTTP")),
            (Offline, Some(Redirect), None, Some("It redirects to where it can’t be followed")),
            (Degraded, Some(Failure::Status), Some(404), Some("Unexpected answer: HTTP 404")),
            (Degraded, Some(Failure::Status), None, Some("Unexpected answer")),
            (Degraded, Some(Slow), Some(200), Some("Slower than 2.5 s")),
            (Degraded, None, Some(503), Some("Unexpected answer: HTTP 503")),
            (Degraded, None, Some(200), Some("Slower than 2.5 s")),
            (Degraded, None, None, Some("Slower than 2.5 s")),
            (Timeout, None, None, Some("No answer within 10 s")),
            (Offline, None, None, Some("It could not be reached")),
            (Unknown, None, None, Some("A result that nobody knows")),
        ] {
            let said = reason(&found(status, failure, code)).map(|words| plain(&words));
            assert_eq!(said.as_deref(), words, "{status} {failure:?} {code:?}");
        }
    }

    #[test]
    fn an_old_check_and_no_check_are_no_reason() {
        let old = ServiceState { stale: true, ..found(Status::Offline, Some(Failure::Dns), None) };
        assert_eq!(reason(&old), None);
        assert_eq!(reason(&ServiceState { newest: None, ..old }), None);
    }

    proptest! {
        #[test]
        fn a_shown_percentage_is_the_figure_itself(online in 0u64..2_000_000, rest in 0u64..2_000_000) {
            if let Some(figure) = Percent::of(online, online + rest) {
                let text = percent(figure);
                prop_assert_eq!(text.trim_end_matches('%').parse::<f64>().unwrap(), figure.as_f64());
                prop_assert_eq!(text == "100%", rest == 0);
            }
        }

        #[test]
        fn grouped_digits_are_the_number_in_threes(number: i64) {
            let text = grouped(number);
            prop_assert_eq!(text.replace(',', "").parse::<i64>().unwrap(), number);
            let mut groups = text.trim_start_matches('-').split(',');
            prop_assert!((1..=3).contains(&groups.next().unwrap().len()));
            prop_assert!(groups.all(|group| group.len() == 3));
        }

        #[test]
        fn a_longer_time_is_never_told_as_a_shorter_one(a in 0u64..400_000_000, b in 0u64..400_000_000) {
            let told = |ms: u64| -> f64 {
                plain(&span(Duration::from_millis(ms)))
                    .split(' ')
                    .collect::<Vec<_>>()
                    .chunks(2)
                    .map(|part| {
                        let unit = match part[1] { "ms" => 1.0, "s" => 1e3, "min" => 60e3, "h" => 3_600e3, _ => 86_400e3 };
                        part[0].parse::<f64>().unwrap() * unit
                    })
                    .sum()
            };
            prop_assert!(told(a.min(b)) <= told(a.max(b)) + 1e-6);
        }
    }
}
