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
    badge::{Badge, Kind},
    body::Body,
    feed, json,
    pages::Drawn,
    query::{Format, OfOutages},
    render::Renderer,
    snapshot::Snapshot,
    uptime::Window,
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
    /// A badge of the service of this id, or of all.
    Badge(Option<String>, Kind, Window, Option<String>),
    /// What shields.io draws the same of.
    Shield(Option<String>, Kind, Window, Option<String>),
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
                    Format::Json => to_json(&answer),
                    Format::Csv => csv(&OutageRow::HEADINGS, &answer.outages),
                };
                Drawn { body: Body::new(content), next_cursor: answer.next_cursor }
            }));
        }
        Asked::Feed(id) => feed::atom(snapshot, id.as_deref(), site),
        Asked::Badge(id, kind, window, label) => Badge::of(snapshot, id.as_deref(), *kind, *window)
            .map(|badge| renderer.badge(&badge.labelled(label.as_deref())))
            .transpose()?
            .map(String::into_bytes),
        Asked::Shield(id, kind, window, label) => Badge::of(snapshot, id.as_deref(), *kind, *window)
            .map(|badge| to_json(&badge.labelled(label.as_deref()).shield())),
        Asked::Summary => Some(to_json(&Summary::of(snapshot, site))),
        Asked::StatuspageStatus => Some(to_json(&StatusAnswer::of(snapshot, site))),
        Asked::Components => Some(to_json(&Components::of(snapshot, site))),
    };
    Ok(content.map(|content| Drawn { body: Body::new(content), next_cursor: None }))
}

/// An answer in JSON.
pub fn to_json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("strings and numbers always serialise")
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
