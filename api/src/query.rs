//! What may stand behind the `?` of the read API, each parameter with its words, its bounds, and the sentence that says
//! what to write instead. Nothing is guessed: an unknown parameter is an error, and so is one that comes twice.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use shared::Status;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type},
    },
};

use crate::{
    cursor::Cursor,
    problem::Problem,
    span::{Bucket, LONGEST_DAYS, Span},
};

/// The most rows of an answer.
pub const MOST_ROWS: u16 = 10_000;
const USUAL_ROWS: u16 = 100;

/// Reads the parameters of a question.
///
/// # Errors
/// A problem that names the parameter.
pub fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let (place, what) = (error.path().to_string(), error.inner().to_string());
        // Of a parameter that is unknown or comes twice, the words themselves tell which.
        if place == "." || what.contains(" field `") {
            Problem::bad_request(what)
        } else {
            Problem::bad_request(format!("{place}: {what}"))
        }
    })
}

/// Whether a list goes on by this cursor.
///
/// # Errors
/// Where an answer to another question gave it.
pub fn continues(cursor: Option<&Cursor>, question: &str) -> Result<(), Problem> {
    match cursor {
        Some(cursor) if !cursor.continues(question) => Err(Problem::bad_request(
            "cursor: it belongs to another list; write the other parameters as they were, or leave it out",
        )),
        _ => Ok(()),
    }
}

/// In what form rows are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `application/json`.
    #[default]
    Json,
    /// `text/csv` with a line of headings (RFC 4180).
    Csv,
}

impl Format {
    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// An instant in RFC 3339, or the first one of a UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Instant(pub DateTime<Utc>);

impl TryFrom<String> for Instant {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Instant, &'static str> {
        let day = || NaiveDate::from_str(&text).ok().filter(|_| text.len() == 10);
        let instant = DateTime::parse_from_rfc3339(&text).map(|at| at.to_utc()).ok();
        let instant = instant.or_else(|| day().map(|day| day.and_time(NaiveTime::MIN).and_utc()));
        instant
            .filter(|at| (1..=9_999).contains(&at.year()))
            .map(Instant)
            .ok_or("write an instant like 2026-02-12T18:00:03Z or a day like 2026-02-12 (and a + as %2B)")
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        let string = |format| {
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
        };
        OneOfBuilder::new().item(string(KnownFormat::DateTime)).item(string(KnownFormat::Date)).into()
    }
}

impl ToSchema for Instant {}

/// How many rows an answer has at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Limit(pub u16);

impl Default for Limit {
    fn default() -> Limit {
        Limit(USUAL_ROWS)
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Limit, String> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (1..=MOST_ROWS).contains(number));
        number.map(Limit).ok_or_else(|| format!("write a whole number from 1 to {MOST_ROWS}"))
    }
}

/// Some of the statuses, with commas between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Statuses(pub Vec<Status>);

impl TryFrom<String> for Statuses {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Statuses, &'static str> {
        let status = |word| Some(Status::from_word(word)).filter(|status| status.as_str() == word);
        let statuses: Option<Vec<Status>> = text.split(',').map(status).collect();
        let mut statuses = statuses.ok_or(
            "write one or some of online, degraded, timeout, offline and unknown, with commas between them",
        )?;
        statuses.sort_unstable();
        statuses.dedup();
        Ok(Statuses(statuses))
    }
}

/// A length of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Window {
    /// So many hours.
    Hours(i64),
    /// So many days of 24 hours.
    Days(i64),
    /// Since the first check.
    AllTime,
}

impl Window {
    /// How long it is; `None` for all time.
    pub fn length(self) -> Option<TimeDelta> {
        match self {
            Window::Hours(hours) => Some(TimeDelta::hours(hours)),
            Window::Days(days) => Some(TimeDelta::days(days)),
            Window::AllTime => None,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Hours(hours) => write!(f, "{hours}h"),
            Window::Days(days) => write!(f, "{days}d"),
            Window::AllTime => f.write_str("all_time"),
        }
    }
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Window, String> {
        let number = |digits: &str, most: i64| {
            let plain = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number| plain && (1..=most).contains(number))
        };
        let days = || number(text.strip_suffix('d')?, LONGEST_DAYS).map(Window::Days);
        let hours = || number(text.strip_suffix('h')?, LONGEST_DAYS * 24).map(Window::Hours);
        let all = (text == "all_time").then_some(Window::AllTime);
        all.or_else(hours).or_else(days).ok_or_else(|| {
            format!("write hours like 24h, days like 30d, at most {LONGEST_DAYS} of them, or all_time")
        })
    }
}

/// What an answer about the past of a service reaches over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// From the first of these on, before the second.
    Between(Instant, Option<Instant>),
    /// What ends now.
    Last(Window),
}

impl Reach {
    /// The span that this is at `as_of`; `None` for all time. A window begins after the instant that lies so long ago, as
    /// the contract has it.
    ///
    /// # Errors
    /// Where it makes no sense or is too long.
    pub fn span(self, as_of: DateTime<Utc>) -> Result<Option<Span>, Problem> {
        match self {
            Reach::Between(from, to) => {
                let to = to.map_or(as_of, |to| to.0);
                Span::new(from.0, to).map(Some).map_err(Problem::bad_request)
            }
            Reach::Last(window) => Ok(window.length().map(|length| Span {
                from: as_of - length + TimeDelta::microseconds(1),
                to: as_of,
                and_later: true,
            })),
        }
    }

    /// The window, as it is written.
    pub fn window(self) -> Option<String> {
        match self {
            Reach::Between(..) => None,
            Reach::Last(window) => Some(window.to_string()),
        }
    }
}

/// The parameters of a list of checks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfChecks {
    /// Checks that began then or later: an instant, or the begin of a UTC day.
    #[param(inline, example = "2026-02-12T00:00:00Z")]
    pub from: Option<Instant>,
    /// Checks that began before then.
    #[param(inline, example = "2026-02-13")]
    pub to: Option<Instant>,
    /// Checks of these statuses alone, with commas between them. `unknown` are those with a word that nobody knows.
    #[param(value_type = Option<Vec<Status>>, style = Form, explode = false, min_items = 1)]
    pub status: Option<Statuses>,
    /// How many at the most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 10_000, default = 100)]
    pub limit: Limit,
    /// The `next_cursor` of the answer before; the other parameters stay as they were, but for `limit` and `format`.
    #[param(value_type = Option<String>, max_length = 200, pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<Cursor>,
    /// In what form.
    #[serde(default)]
    #[param(inline)]
    pub format: Format,
}

impl OfChecks {
    /// All of it but for what may differ from answer to answer of one list.
    pub fn question(&self, service_id: &str) -> String {
        format!("checks {service_id} {:?} {:?} {:?}", self.from, self.to, self.status)
    }
}

/// The parameters of a list of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfServices {
    /// In what form.
    #[serde(default)]
    #[param(inline)]
    pub format: Format,
}

/// None.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The parameters of a list of outages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfOutages {
    /// Those of the service of this id alone.
    #[param(max_length = 50)]
    pub service: Option<String>,
    /// Those that had not ended by then: an instant, or the begin of a UTC day.
    #[param(inline, example = "2026-02-12T00:00:00Z")]
    pub from: Option<Instant>,
    /// Those that began before then.
    #[param(inline, example = "2026-02-13")]
    pub to: Option<Instant>,
    /// How many at the most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 10_000, default = 100)]
    pub limit: Limit,
    /// The `next_cursor` of the answer before; the other parameters stay as they were, but for `limit` and `format`.
    #[param(value_type = Option<String>, max_length = 200, pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<Cursor>,
    /// In what form.
    #[serde(default)]
    #[param(inline)]
    pub format: Format,
}

impl OfOutages {
    /// All of it but for what may differ from answer to answer of one list.
    pub fn question(&self) -> String {
        format!("outages {:?} {:?} {:?}", self.service, self.from, self.to)
    }
}

/// The parameters of what is told of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfPast {
    /// What ends now: hours like `24h`, days of 24 hours like `30d`, or `all_time`. Without it, and without `from`, `30d`.
    #[param(value_type = Option<String>, pattern = "^([1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d|all_time)$", example = "30d")]
    pub window: Option<Window>,
    /// Instead of a window: checks that began then or later. At most 3660 days before `to`.
    #[param(inline, example = "2026-02-01")]
    pub from: Option<Instant>,
    /// Checks that began before then; without it, before now.
    #[param(inline, example = "2026-03-01")]
    pub to: Option<Instant>,
    /// What it is divided into, in UTC: at most 10000 of them.
    #[param(inline)]
    pub buckets: Option<Bucket>,
    /// In what form.
    #[serde(default)]
    #[param(inline)]
    pub format: Format,
}

impl OfPast {
    /// What it reaches over.
    ///
    /// # Errors
    /// Where the parameters do not go together.
    pub fn reach(&self) -> Result<Reach, Problem> {
        match (self.window, self.from, self.to) {
            (None, None, None) => Ok(Reach::Last(Window::Days(30))),
            (Some(window), None, None) => Ok(Reach::Last(window)),
            (None, Some(from), to) => Ok(Reach::Between(from, to)),
            (None, None, Some(_)) => Err(Problem::bad_request("from: is missing; `to` tells where it ends")),
            (Some(_), ..) => Err(Problem::bad_request("window: leave it out, or `from` and `to`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: DeserializeOwned + fmt::Debug>(query: &str) -> String {
        parse::<T>(query).unwrap_err().detail().to_owned()
    }

    #[test]
    fn what_is_written_is_read() {
        let of: OfChecks = parse(
            "from=2026-02-12&to=2026-02-12T18:00:03.12%2B02:00&status=offline,timeout,offline&limit=7&format=csv",
        )
        .unwrap();
        assert_eq!(of.from.unwrap().0, "2026-02-12T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(of.to.unwrap().0, "2026-02-12T16:00:03.120Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(of.status.unwrap().0, [Status::Timeout, Status::Offline]);
        assert_eq!((of.limit, of.format, of.cursor), (Limit(7), Format::Csv, None));
        let nothing: OfChecks = parse("").unwrap();
        assert_eq!((nothing.from, nothing.status, nothing.limit), (None, None, Limit(100)));
    }

    #[test]
    fn a_mistake_is_told_with_its_parameter_and_what_to_write() {
        for (query, words) in [
            ("limit=0", "limit: write a whole number from 1 to 10000"),
            ("limit=-1", "limit: write a whole number from 1 to 10000"),
            ("limit=+1", "limit: write a whole number from 1 to 10000"),
            ("limit=10001", "limit: write a whole number from 1 to 10000"),
            ("limit=", "limit: write a whole number from 1 to 10000"),
            ("from=yesterday", "from: write an instant like"),
            ("from=2026-02-30", "from: write an instant like"),
            ("to=2026-02-12T18:00:03", "to: write an instant like"),
            ("to=0000-01-01", "to: write an instant like"),
            ("to=%2B12026-01-01", "to: write an instant like"),
            ("from=2026-02-12T18:00:00+02:00", "(and a + as %2B)"),
            ("status=", "status: write one or some of online"),
            ("status=ONLINE", "status: write one or some of online"),
            ("status=online,", "status: write one or some of online"),
            ("format=xml", "format: unknown variant `xml`, expected `json` or `csv`"),
            ("cursor=abc", "cursor: write the `next_cursor`"),
            ("frm=2026-02-12", "unknown field `frm`, expected one of `from`, `to`"),
            ("limit=1&limit=1", "duplicate field `limit`"),
        ] {
            let detail = refused::<OfChecks>(query);
            assert!(detail.contains(words), "{query}: {detail}");
        }
    }

    #[test]
    fn a_window_is_hours_or_days_or_all_time() {
        let read = |text: &str| Window::try_from(text.to_owned());
        assert_eq!(read("24h"), Ok(Window::Hours(24)));
        assert_eq!(read("3660d"), Ok(Window::Days(3660)));
        assert_eq!(read("87840h"), Ok(Window::Hours(87_840)));
        assert_eq!(read("all_time"), Ok(Window::AllTime));
        for bad in [
            "",
            "24",
            "h",
            "0h",
            "3661d",
            "87841h",
            "-1d",
            "1.5h",
            "1w",
            "+1h",
            "all",
            "99999999999999999999d",
            "١h",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        for window in [Window::Hours(24), Window::Days(30), Window::AllTime] {
            assert_eq!(read(&window.to_string()), Ok(window));
        }
    }

    #[test]
    fn a_window_or_a_range_and_never_both() {
        let of = |query: &str| parse::<OfPast>(query).unwrap().reach();
        assert_eq!(of(""), Ok(Reach::Last(Window::Days(30))));
        assert_eq!(of("window=7d"), Ok(Reach::Last(Window::Days(7))));
        assert!(matches!(of("from=2026-02-12"), Ok(Reach::Between(_, None))));
        assert!(of("to=2026-02-12").unwrap_err().detail().starts_with("from: is missing"));
        assert!(of("window=7d&to=2026-02-12").unwrap_err().detail().starts_with("window: leave it out"));
    }

    #[test]
    fn a_window_begins_after_the_instant_that_lies_so_long_ago() {
        let as_of: DateTime<Utc> = "2026-02-12T18:10:00Z".parse().unwrap();
        let span = Reach::Last(Window::Hours(1)).span(as_of).unwrap().unwrap();
        assert_eq!(span.from, "2026-02-12T17:10:00.000001Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!((span.to, span.and_later), (as_of, true));
        let day = Instant("2026-02-12T00:00:00Z".parse().unwrap());
        let span = Reach::Between(day, None).span(as_of).unwrap().unwrap();
        assert_eq!((span.from, span.to, span.and_later), (day.0, as_of, false));
        let later = Instant("2026-02-13T00:00:00Z".parse().unwrap());
        assert!(Reach::Between(later, None).span(as_of).is_err());
    }
}
