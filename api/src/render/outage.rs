//! An outage in words, honest about what the time between two checks hides. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::view::{Instant, Word};
use crate::{outages::Outage, snapshot::ServiceState, words};

/// Times that lie no further apart than this need one date for both.
const NEAR: TimeDelta = TimeDelta::hours(20);

/// An outage: `outage` of the component `outage`.
#[derive(Serialize)]
pub(super) struct Item<'a> {
    service: &'a str,
    name: &'a str,
    status: Word,
    cause: String,
    checks: String,
    /// What its address ends with.
    pub(super) key: String,
    begin: Between,
    end: End,
    length: String,
}

/// A change that happened between two checks.
#[derive(Serialize)]
struct Between {
    /// Not before this; unknown where no check tells.
    after: Option<Instant>,
    by: Instant,
    /// Near what was told before it, so that its times need no date.
    near: bool,
    /// Its end is near its begin, so that one of them needs no date.
    close: bool,
}

/// How an outage ended.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum End {
    /// Between its last check and the next.
    Over { between: Between },
    /// Its last check is the newest, and recent.
    Ongoing,
    /// Its last check is the newest, and too old to tell.
    Lost { since: Instant },
}

impl<'a> Item<'a> {
    /// Of a service, as things stand at `now`, on a page of `today`, in days since 1970.
    pub(super) fn of(state: &'a ServiceState, outage: &Outage, today: i64, now: DateTime<Utc>) -> Item<'a> {
        let between = |after, by, told| Between::of(after, by, told, today);
        Item {
            service: &state.service.id,
            name: &state.service.name,
            status: Word::of(outage.status),
            cause: words::cause(outage.status, outage.failure, None, &state.service),
            checks: words::checks(outage.checks),
            key: key(outage),
            begin: between(outage.before, outage.began, None),
            end: match outage.after {
                Some(after) => End::Over { between: between(Some(outage.ended), after, Some(outage.began)) },
                None if state.stale => End::Lost { since: Instant::of(outage.ended, today) },
                None => End::Ongoing,
            },
            length: length(outage, state.stale, now),
        }
    }

    /// The outage in a sentence, in UTC.
    pub(super) fn summary(&self) -> String {
        let end = match &self.end {
            End::Over { .. } => format!("It lasted {}.", self.length),
            End::Ongoing => format!("It goes on: {}.", self.length),
            End::Lost { .. } => "Nothing is known of its end.".into(),
        };
        format!("{}: {}, from {}. {end}", self.name, self.cause, self.begin.by.minute_in_utc())
    }

    /// What it was, in a word.
    pub(super) fn word(&self) -> &'static str {
        self.status.word
    }
}

/// What the address of an outage ends with: the instant of its first check.
pub(super) fn key(outage: &Outage) -> String {
    crate::json::instant(outage.began)
}

impl Between {
    /// `told`: an instant that was told with its date before this.
    fn of(
        after: Option<DateTime<Utc>>,
        by: DateTime<Utc>,
        told: Option<DateTime<Utc>>,
        today: i64,
    ) -> Between {
        let is_near = |instant: Option<DateTime<Utc>>| instant.is_some_and(|instant| by - instant < NEAR);
        Between {
            after: after.map(|at| Instant::of(at, today)),
            by: Instant::of(by, today),
            near: is_near(told),
            close: is_near(after),
        }
    }
}

/// How long it took: from what its checks show to what the ones around them allow.
fn length(outage: &Outage, stale: bool, now: DateTime<Utc>) -> String {
    let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| {
        Duration::from_secs((to - from).to_std().unwrap_or_default().as_secs_f64().round() as u64)
    };
    let shown = seconds(outage.began, outage.ended);
    match (outage.after, outage.before) {
        (None, _) if !stale => format!("{} so far", words::span(seconds(outage.began, now))),
        (None, _) | (_, None) => format!("at least {}", words::span(shown)),
        (Some(after), Some(before)) => {
            let most = seconds(before, after);
            match (words::span(shown), words::span(most)) {
                _ if shown.is_zero() => format!("under {}", words::span(most)),
                (shown, most) if shown == most => shown,
                (shown, most) => format!("{shown} to {most}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared::{Failure, Status};

    use super::*;
    use crate::sample::{at, main};

    const TODAY: i64 = 20_496;

    fn outage(before: Option<&str>, began: &str, ended: &str, after: Option<&str>) -> Outage {
        Outage {
            before: before.map(at),
            began: at(began),
            ended: at(ended),
            after: after.map(at),
            checks: 21,
            status: Status::Degraded,
            failure: Some(Failure::Slow),
        }
    }

    fn told(outage: &Outage, stale: bool) -> String {
        length(outage, stale, at("2026-02-12T18:04:12Z")).replace('\u{a0}', " ")
    }

    #[test]
    fn a_length_is_no_more_exact_than_the_checks_around_it() {
        let [before, began] = ["2026-02-12T16:15:00Z", "2026-02-12T16:20:00Z"];
        for (ended, after, words) in [
            ("2026-02-12T17:10:00Z", "2026-02-12T17:15:00Z", "50 min to 1 h"),
            (began, "2026-02-12T16:25:00Z", "under 10 min"),
            ("2026-02-12T16:20:00.400Z", "2026-02-12T16:25:00Z", "under 10 min"),
            ("2026-02-14T16:20:00Z", "2026-02-14T16:25:00Z", "2 days"),
        ] {
            assert_eq!(told(&outage(Some(before), began, ended, Some(after)), false), words);
        }
        let open = outage(Some(before), began, "2026-02-12T18:00:03Z", None);
        assert_eq!(told(&open, false), "1 h 44 min so far");
        assert_eq!(told(&open, true), "at least 1 h 40 min", "nobody has looked since");
        let first = outage(None, began, "2026-02-12T17:10:00Z", Some("2026-02-12T17:15:00Z"));
        assert_eq!(told(&first, false), "at least 50 min", "nobody looked before");
    }

    #[test]
    fn an_outage_says_when_nothing_is_known_of_its_end() {
        let now = at("2026-02-12T18:04:12Z");
        let open = outage(None, "2026-02-12T16:20:00Z", "2026-02-12T18:00:03Z", None);
        let mut state = main();
        assert!(matches!(Item::of(&state, &open, TODAY, now).end, End::Ongoing));
        assert_eq!(
            Item::of(&state, &open, TODAY, now).summary().replace('\u{a0}', " "),
            "asimonson.com: Slower than 5 s, from 12 Feb 2026, 16:20 UTC. It goes on: 1 h 44 min so far."
        );
        state.stale = true;
        assert!(matches!(Item::of(&state, &open, TODAY, now).end, End::Lost { .. }));
    }

    #[test]
    fn the_cause_is_told_by_its_class_and_the_bounds_of_the_service() {
        let mut state = main();
        Arc::make_mut(&mut state.service).slow_after = Duration::from_millis(2_500);
        let slow = outage(None, "2026-02-12T16:20:00Z", "2026-02-12T16:20:00Z", None);
        let item = Item::of(&state, &slow, TODAY, slow.ended);
        assert_eq!((&*item.cause, item.word()), ("Slower than 2.5\u{a0}s", "Degraded"));
        assert_eq!(item.key, "2026-02-12T16:20:00.000Z");
    }
}
