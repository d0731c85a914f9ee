//! A badge: a label and a message on a colour, for the readme of whoever depends on a service. Pure: what it says follows
//! from the snapshot, how wide it is from the letters.

use serde::Serialize;
use shared::Status;
use unicode_width::UnicodeWidthChar;
use utoipa::ToSchema;

use crate::{
    snapshot::{Overall, ServiceState, Snapshot, Source},
    uptime::{Percent, Window},
    words,
};

/// What a badge tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Kind {
    /// How things stand.
    Status,
    /// The share of online checks over a window.
    Uptime,
    /// How long the newest check took; of a page, the median over its services.
    ResponseTime,
}

impl Kind {
    /// Of its word in an address.
    pub fn from_word(word: &str) -> Option<Kind> {
        match word {
            "status" => Some(Kind::Status),
            "uptime" => Some(Kind::Uptime),
            "response-time" => Some(Kind::ResponseTime),
            _ => None,
        }
    }
}

/// Which badge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Of the service of this id, or of all.
    pub id: Option<String>,
    /// What it tells.
    pub kind: Kind,
    /// Of uptime, over this one.
    pub window: Window,
    /// What it says it is about, instead of the usual.
    pub label: Option<String>,
}

/// A badge to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// What it is about.
    pub label: String,
    /// What it says.
    pub message: String,
    /// How good that is.
    pub colour: Colour,
}

/// Those that people know from other badges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colour {
    /// All is well.
    Green,
    /// Not quite.
    Yellow,
    /// Less than that.
    Orange,
    /// Far from it.
    Red,
    /// Nobody knows.
    Grey,
}

impl Colour {
    /// In a style sheet: dark enough for white letters.
    pub const fn hex(self) -> &'static str {
        match self {
            Colour::Green => "#2c7a1f",
            Colour::Yellow => "#8a6a00",
            Colour::Orange => "#b04a00",
            Colour::Red => "#c0392b",
            Colour::Grey => "#6b6b6b",
        }
    }

    /// The word of the shields.io endpoint.
    pub const fn word(self) -> &'static str {
        match self {
            Colour::Green => "brightgreen",
            Colour::Yellow => "yellow",
            Colour::Orange => "orange",
            Colour::Red => "red",
            Colour::Grey => "lightgrey",
        }
    }
}

/// What shields.io draws a badge of: its endpoint schema.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shield<'a> {
    /// Always 1.
    schema_version: u8,
    /// What it is about.
    label: &'a str,
    /// What it says.
    message: &'a str,
    /// How good that is.
    #[schema(value_type = String)]
    color: &'static str,
    /// Whether nobody knows.
    is_error: bool,
    /// How long it may be kept, at least 300 there.
    cache_seconds: u16,
}

impl Badge {
    /// The one that is wanted; `None` where there is no such service. What is stale is grey, and so is all that a monitor
    /// says that is silent or can't be read.
    pub fn of(snapshot: &Snapshot, wanted: &Wanted) -> Option<Badge> {
        let (id, kind, window) = (wanted.id.as_deref(), wanted.kind, wanted.window);
        let states = match id {
            Some(id) => std::slice::from_ref(snapshot.service(id)?),
            None => &snapshot.services,
        };
        let label = match kind {
            Kind::Status => id.map_or("status", |_| &states[0].service.name).into(),
            Kind::Uptime if window == Window::AllTime => "uptime".into(),
            Kind::Uptime => format!("uptime {}", window.key()),
            Kind::ResponseTime => "response time".into(),
        };
        let told = match kind {
            _ if snapshot.source != Source::Live => None,
            Kind::Status if id.is_some() => Some(status(states[0].status)),
            Kind::Status => Some(overall(snapshot.overall)),
            Kind::Uptime => uptime(states, window),
            Kind::ResponseTime => response_time(states),
        };
        let (message, colour) = told.unwrap_or_else(|| ("unknown".into(), Colour::Grey));
        Some(Badge { label: wanted.label.clone().unwrap_or(label), message, colour })
    }

    /// For shields.io.
    pub fn shield(&self) -> Shield<'_> {
        Shield {
            schema_version: 1,
            label: &self.label,
            message: &self.message,
            color: self.colour.word(),
            is_error: self.colour == Colour::Grey,
            cache_seconds: 300,
        }
    }
}

fn status(status: Status) -> (String, Colour) {
    let colour = match status {
        Status::Online => Colour::Green,
        Status::Degraded => Colour::Yellow,
        Status::Timeout => Colour::Orange,
        Status::Offline => Colour::Red,
        Status::Unknown => Colour::Grey,
    };
    (words::state(status).to_lowercase(), colour)
}

fn overall(overall: Overall) -> (String, Colour) {
    let (word, colour) = match overall {
        Overall::Operational => ("operational", Colour::Green),
        Overall::Partial => ("partial outage", Colour::Orange),
        Overall::Major => ("major outage", Colour::Red),
        Overall::Unknown => ("unknown", Colour::Grey),
    };
    (word.into(), colour)
}

/// Of several services the mean, cut as each of them is.
fn uptime(states: &[ServiceState], window: Window) -> Option<(String, Colour)> {
    let percents: Vec<u64> =
        states.iter().filter_map(|state| Some(state.uptime(window)?.thousandths().into())).collect();
    let mean = Percent::of(percents.iter().sum(), 100_000 * percents.len() as u64)?;
    let colour = match mean.thousandths() {
        _ if states.iter().all(|state| state.stale) => Colour::Grey,
        99_000.. => Colour::Green,
        95_000.. => Colour::Yellow,
        90_000.. => Colour::Orange,
        _ => Colour::Red,
    };
    Some((words::percent(mean), colour))
}

/// Of several services the median: of an even number the higher one of both.
fn response_time(states: &[ServiceState]) -> Option<(String, Colour)> {
    let recent = states.iter().filter(|state| !state.stale);
    let mut times: Vec<_> = recent
        .filter_map(|state| Some((state.newest.as_ref()?.response_time_ms?, state.service.slow_after)))
        .collect();
    times.sort_unstable();
    let (ms, slow_after) = *times.get(times.len() / 2)?;
    let is_slow = u128::try_from(ms).is_ok_and(|ms| ms > slow_after.as_millis());
    Some((words::milliseconds(ms), if is_slow { Colour::Yellow } else { Colour::Green }))
}

/// How wide a text is in Verdana, or DejaVu Sans, of 11 pixels; a browser fits the letters into it whatever font it has.
pub fn width(text: &str) -> u32 {
    let thousandths: u32 = text.chars().map(advance).sum();
    (thousandths * 11).div_ceil(1000)
}

/// In thousandths of the size. One beyond ASCII is taken to be as wide as most of its kind.
fn advance(letter: char) -> u32 {
    // One that no line is broken at is as wide as any space.
    let letter = if letter == '\u{a0}' { ' ' } else { letter };
    let place = (letter as usize).checked_sub(0x20);
    let known = place.and_then(|place| ADVANCES.get(place)).copied();
    known.map_or_else(|| [0, 620, 1_000][letter.width().unwrap_or(0).min(2)], u32::from)
}

/// From the space to the tilde.
#[rustfmt::skip]
const ADVANCES: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
    603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635,
    634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sample::{main, snapshot},
        uptime::Percent,
    };

    fn week(id: Option<&str>, kind: Kind) -> Wanted {
        Wanted { id: id.map(Into::into), kind, window: Window::Week, label: None }
    }

    fn of(states: Vec<ServiceState>, id: Option<&str>, kind: Kind) -> (String, String, Colour) {
        let badge = Badge::of(&snapshot(states), &week(id, kind)).unwrap();
        (badge.label, badge.message, badge.colour)
    }

    fn told(label: &str, message: &str, colour: Colour) -> (String, String, Colour) {
        (label.into(), message.into(), colour)
    }

    #[test]
    fn a_service_and_the_page_have_a_badge_of_each_kind() {
        let main_alone = || vec![main()];
        assert_eq!(
            of(main_alone(), Some("main"), Kind::Status),
            told("asimonson.com", "operational", Colour::Green)
        );
        assert_eq!(of(main_alone(), None, Kind::Status), told("status", "operational", Colour::Green));
        assert_eq!(of(main_alone(), Some("main"), Kind::Uptime), told("uptime 7d", "99.405%", Colour::Green));
        let time = told("response time", "143\u{a0}ms", Colour::Green);
        assert_eq!(of(main_alone(), Some("main"), Kind::ResponseTime), time);
        assert_eq!(of(main_alone(), None, Kind::ResponseTime), time);
        assert_eq!(Badge::of(&snapshot(main_alone()), &week(Some("gone"), Kind::Status)), None);
        let labelled = Wanted { label: Some("mine".into()), ..week(None, Kind::Status) };
        assert_eq!(Badge::of(&snapshot(main_alone()), &labelled).unwrap().label, "mine");
    }

    #[test]
    fn what_is_stale_or_of_a_silent_monitor_is_grey() {
        let stale = || ServiceState { status: Status::Unknown, stale: true, ..main() };
        assert_eq!(of(vec![stale()], Some("main"), Kind::Status).2, Colour::Grey);
        assert_eq!(of(vec![stale()], Some("main"), Kind::Uptime), told("uptime 7d", "99.405%", Colour::Grey));
        assert_eq!(
            of(vec![stale()], Some("main"), Kind::ResponseTime),
            told("response time", "unknown", Colour::Grey)
        );
        let silent = Snapshot { source: Source::Silent { since: None }, ..snapshot(vec![main()]) };
        for kind in [Kind::Status, Kind::Uptime, Kind::ResponseTime] {
            let badge = Badge::of(&silent, &week(Some("main"), kind)).unwrap();
            assert_eq!((badge.message.as_str(), badge.colour), ("unknown", Colour::Grey));
            assert!(badge.shield().is_error);
            let none = Snapshot { overall: Overall::of(&[]), ..snapshot(Vec::new()) };
            assert_eq!(
                Badge::of(&none, &week(None, kind)).unwrap().colour,
                Colour::Grey,
                "there is no service"
            );
        }
    }

    #[test]
    fn uptime_of_the_page_is_the_mean_and_no_failure_is_rounded_away() {
        let with = |thousandths| ServiceState {
            uptime: [None, Percent::of(thousandths, 100_000), None, None],
            ..main()
        };
        let page = |states| of(states, None, Kind::Uptime);
        assert_eq!(page(vec![with(100_000), with(99_999)]).1, "99.999%");
        assert_eq!(page(vec![with(100_000), with(90_000)]), told("uptime 7d", "95%", Colour::Yellow));
        assert_eq!(page(vec![with(90_000)]).2, Colour::Orange);
        assert_eq!(page(vec![with(89_999)]).2, Colour::Red);
        let unknown = ServiceState { uptime: [None; 4], ..main() };
        assert_eq!(page(vec![with(100_000), unknown]).1, "100%", "of what is known");
    }

    #[test]
    fn a_slow_answer_is_yellow() {
        let mut slow = main();
        slow.newest.as_mut().unwrap().response_time_ms = Some(5_001);
        assert_eq!(of(vec![slow], Some("main"), Kind::ResponseTime).2, Colour::Yellow);
    }

    #[test]
    fn a_text_is_as_wide_as_its_letters() {
        assert_eq!(width(""), 0);
        assert_eq!(width("i"), 4);
        assert_eq!(width("WWW"), 33);
        assert_eq!(width("監視"), 22);
        assert_eq!(width("ö"), 7);
        assert_eq!(width("a\u{a0}b"), width("a b"));
    }
}
