//! What the read API answers, each in the contract's words: as JSON with every key present, null where unknown, and, where
//! it lists rows, as CSV of the same columns. What was read comes in.

mod counted;
mod listed;
mod outages;
mod response_times;
mod statuspage;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::{
    badge::{Badge, Wanted},
    body::Body,
    feed, json,
    pages::Drawn,
    query::{Format, OfOutages},
    render::Renderer,
    snapshot::Snapshot,
};

pub use counted::{UptimeAnswer, UptimeBucket};
pub use listed::{CheckRow, ChecksAnswer, ServiceRow};
pub use outages::{OutageRow, OutagesAnswer};
pub use response_times::{ResponseTimesAnswer, ResponseTimesBucket};
pub use statuspage::{Components, StatusAnswer, Summary};

/// What the snapshot answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asked {
    /// All services.
    Services(Format),
    /// The service of this id.
    Service(String),
    /// Outages of ninety days.
    Outages(OfOutages),
    /// Of the service of this id, or of all, as a feed.
    Feed(Option<String>),
    /// A badge.
    Badge(Wanted),
    /// What shields.io draws the same of.
    Shield(Wanted),
    /// What a Statuspage answers: everything.
    Summary,
    /// The one word alone.
    StatuspageStatus,
    /// The services alone.
    Components,
}

/// What is asked for; `None` where there is no such service.
///
/// # Errors
/// Where it can't be rendered, which the tests rule out.
pub fn draw(snapshot: &Snapshot, asked: &Asked, renderer: &Renderer) -> Result<Option<Drawn>, tera::Error> {
    let site = renderer.site();
    let content = match asked {
        Asked::Services(Format::Json) => Some(json::services(snapshot)),
        Asked::Services(Format::Csv) => {
            let rows: Vec<ServiceRow> = snapshot.services.iter().map(ServiceRow::of).collect();
            Some(csv(&ServiceRow::HEADINGS, &rows))
        }
        Asked::Service(id) => json::service(snapshot, id),
        Asked::Outages(of) => {
            let answer = OutagesAnswer::of(snapshot, of, &site.base_path);
            return Ok(answer.map(|answer| {
                let content = match of.format {
                    Format::Json => json::written(&answer),
                    Format::Csv => csv(&OutageRow::HEADINGS, &answer.outages),
                };
                Drawn { body: Body::new(content), next_cursor: answer.next_cursor }
            }));
        }
        Asked::Feed(id) => feed::atom(snapshot, id.as_deref(), site),
        Asked::Badge(wanted) => Badge::of(snapshot, wanted)
            .map(|badge| renderer.badge(&badge))
            .transpose()?
            .map(String::into_bytes),
        Asked::Shield(wanted) => Badge::of(snapshot, wanted).map(|badge| json::written(&badge.shield())),
        Asked::Summary => Some(json::written(&Summary::of(snapshot, site))),
        Asked::StatuspageStatus => Some(json::written(&StatusAnswer::of(snapshot, site))),
        Asked::Components => Some(json::written(&Components::of(snapshot, site))),
    };
    Ok(content.map(|content| Drawn { body: Body::new(content), next_cursor: None }))
}

/// Rows in CSV (RFC 4180), below their headings.
pub fn csv<R: Serialize>(headings: &[&str], rows: &[R]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(headings).expect("memory takes every byte");
    rows.iter().for_each(|row| writer.serialize(row).expect("a row is flat"));
    writer.into_inner().expect("memory takes every byte")
}

/// An instant as exact as the database has it: RFC 3339 in UTC with microseconds.
pub fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facts::ByStatus,
        outages::Outage,
        response_times::Hour,
        sample::{main, snapshot},
        span::Bucket,
        store::{checks::Recorded, counts::Counted},
    };

    /// The names of what a row has, in their order.
    fn names(row: &impl Serialize) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(row).unwrap();
        String::from_utf8(writer.into_inner().unwrap()).unwrap().lines().next().unwrap().to_owned()
    }

    #[test]
    fn the_headings_are_those_of_the_columns() {
        let now: DateTime<Utc> = "2026-02-12T18:00:00Z".parse().unwrap();
        assert_eq!(names(&ServiceRow::of(&main())), ServiceRow::HEADINGS.join(","));
        let recorded = Recorded {
            id: 1,
            timestamp: now,
            status: shared::Status::Online,
            response_time_ms: None,
            status_code: None,
            failure: None,
        };
        assert_eq!(names(&CheckRow::of(&recorded)), CheckRow::HEADINGS.join(","));
        let counted = UptimeBucket::whole(&(now..now), &Counted::default());
        assert_eq!(names(&counted), UptimeBucket::HEADINGS.join(","));
        assert_eq!(
            names(&ResponseTimesBucket::of(&(now..now), &[])),
            ResponseTimesBucket::HEADINGS.join(",")
        );
        let mut state = main();
        let outage = Outage {
            before: None,
            began: now,
            ended: now,
            after: None,
            checks: 1,
            status: shared::Status::Offline,
            failure: None,
        };
        std::sync::Arc::make_mut(&mut state.past).outages = vec![outage];
        let of = crate::query::parse("").unwrap();
        let answer = OutagesAnswer::of(&snapshot(vec![state]), &of, "").unwrap();
        assert_eq!(names(&answer.outages[0]), OutageRow::HEADINGS.join(","));
    }

    #[test]
    fn every_bucket_has_its_own_and_the_last_what_came_later() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        let spans = [
            at("2026-02-12T18:30:00Z")..at("2026-02-13T00:00:00Z"),
            at("2026-02-13T00:00:00Z")..at("2026-02-14T00:00:00Z"),
            at("2026-02-14T00:00:00Z")..at("2026-02-14T06:00:00Z"),
        ];
        let days = ["12", "14", "16"].map(|day| at(&format!("2026-02-{day}T00:00:00Z")));
        let counts = |total| ByStatus { online: total, total, ..ByStatus::default() };
        let counted =
            Counted { buckets: days.into_iter().zip([1, 2, 4].map(counts)).collect(), to_the_hour: false };
        let totals = |buckets: &[UptimeBucket]| buckets.iter().map(|bucket| bucket.total).collect::<Vec<_>>();
        assert_eq!(totals(&UptimeBucket::each(&spans, &counted, Bucket::Day)), [1, 0, 6]);
        assert_eq!(UptimeBucket::whole(&(days[0]..days[2]), &counted).total, 7);
    }

    #[test]
    fn the_response_times_of_a_span_are_those_of_its_hours() {
        let hour = |number, ms: i32| {
            let mut times = shared::Distribution::default();
            times.add(ms, 2);
            Hour { number, checks: 3, failed: 1, times }
        };
        let begin = |number| crate::uptime::begin_of(number);
        // What retention removed of an hour, and what stands there.
        let hours = [hour(9, 1), hour(10, 20), hour(10, 40), hour(12, 80), hour(13, 160)];
        let of = ResponseTimesBucket::of(&(begin(10)..begin(13)), &hours);
        assert_eq!((of.total, of.count, of.min, of.max), (9, 6, Some(20), Some(80)));
        let none = ResponseTimesBucket::of(&(begin(11)..begin(12)), &hours);
        assert_eq!((none.total, none.count, none.p50), (0, 0, None));
    }
}
