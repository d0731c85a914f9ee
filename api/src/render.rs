//! The page and the error pages as HTML: Tera templates, compiled in and parsed once.
//! What they are given is made in `view`; what stands in the snapshot is drawn elsewhere.

mod chart;
mod history;
mod outage;
mod reference;
mod service;
mod view;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::printable::printable;
use tera::{Context, Tera};

use crate::{
    assets::{self, Asset},
    badge::{self, Badge},
    inquiries::{Charts, Unanswered},
    look::Link,
    response_times::Period,
    site::Site,
    snapshot::{Overall, ServiceState, Snapshot},
};

/// Tera escapes what it is given in templates whose name ends in `.html`.
const TEMPLATES: [(&str, &str); 10] = [
    // The ending tells how it is escaped.
    ("badge.svg.html", include_str!("../templates/badge.svg")),
    ("base.html", include_str!("../templates/base.html")),
    ("error.html", include_str!("../templates/error.html")),
    ("outage.html", include_str!("../templates/outage.html")),
    ("outages.html", include_str!("../templates/outages.html")),
    ("page.html", include_str!("../templates/page.html")),
    ("panels.html", include_str!("../templates/panels.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("reference.html", include_str!("../templates/reference.html")),
    ("service.html", include_str!("../templates/service.html")),
];

/// Where the cards of a group stand in `page.html`. What comes from outside is escaped, so nothing there reads so.
const CARDS: &str = "<!-- cards -->";

/// What is drawn when somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asked {
    /// The page of the service of this id, with response times over this period.
    Service(String, Period),
    /// The outages of the service of this id, or of all; those alone that began before an instant, where it is told.
    Outages(Option<String>, Option<DateTime<Utc>>),
    /// The outage of a service that has a check at this instant.
    Outage(String, DateTime<Utc>),
}

/// Turns snapshots into HTML.
#[derive(Debug)]
pub struct Renderer {
    tera: Tera,
    site: Site,
}

/// What every page knows of its place, as `site`.
#[derive(Serialize)]
struct Place<'a> {
    title: &'a str,
    base: &'a str,
    style: String,
    panels: String,
    script: String,
    early: &'static str,
    icon: String,
    logo: Option<Image>,
    links: &'a [Link],
    footer: &'a [String],
}

#[derive(Serialize)]
struct Image {
    src: String,
    width: u32,
    height: u32,
}

/// Where what stands on a badge, in pixels.
#[derive(Serialize)]
struct BadgeDrawing<'a> {
    label: Cow<'a, str>,
    message: Cow<'a, str>,
    colour: &'static str,
    width: u32,
    /// Where the message's half begins.
    split: u32,
    rest: u32,
    label_at: f64,
    label_width: u32,
    message_at: f64,
    message_width: u32,
}

impl BadgeDrawing<'_> {
    fn of(badge: &Badge) -> BadgeDrawing<'_> {
        const MARGIN: u32 = 6;
        let (label, message) = (printable(&badge.label), printable(&badge.message));
        let [label_width, message_width] = [&label, &message].map(|text| badge::width(text));
        let [split, rest] = [label_width, message_width].map(|width| width + 2 * MARGIN);
        BadgeDrawing {
            label,
            message,
            colour: badge.colour.hex(),
            width: split + rest,
            split,
            rest,
            label_at: f64::from(split) / 2.0,
            label_width,
            message_at: f64::from(split) + f64::from(rest) / 2.0,
            message_width,
        }
    }
}

#[derive(Serialize)]
struct ErrorPage {
    status: u16,
    heading: &'static str,
    sentence: &'static str,
}

impl Renderer {
    /// A renderer of the pages of this site.
    ///
    /// # Errors
    /// Where a template is broken, which the tests rule out.
    pub fn new(site: &Site) -> Result<Renderer, tera::Error> {
        let mut tera = Tera::new();
        tera.add_raw_templates(TEMPLATES)?;
        tera.global_context().insert("site", &Place::of(site));
        Ok(Renderer { tera, site: site.clone() })
    }

    /// What is the same for every page.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The status page as of `now`, the instant from which a visitor's script counts ages. Its cards are drawn one by
    /// one: all of them as one context would take many times the memory of the page.
    ///
    /// # Errors
    /// Where a template names what `view` does not give, which the tests rule out.
    pub fn page(&self, snapshot: &Snapshot, now: DateTime<Utc>) -> Result<String, tera::Error> {
        let page = view::Page::of(self.frame(snapshot, snapshot.overall, now), snapshot);
        let frame = self.draw("page.html", &page)?;
        let mut html = Vec::new();
        let mut parts = frame.split(CARDS);
        html.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
        for (group, after) in page.groups.iter().zip(parts) {
            group.services.iter().try_for_each(|state| self.card(state, snapshot.today, &mut html))?;
            html.extend_from_slice(after.as_bytes());
        }
        Ok(String::from_utf8(html)?)
    }

    fn card(&self, state: &ServiceState, today: i64, html: &mut Vec<u8>) -> Result<(), tera::Error> {
        let mut context = Context::new();
        context.insert("card", &view::Card::of(state, today));
        context.insert("base", &self.site.base_path);
        self.tera.render_component_to("card", &context, None, true, html)
    }

    /// What is asked for, as of `now`; `None` where the snapshot has no such service or outage. `charts` are those of
    /// the service.
    ///
    /// # Errors
    /// Where a template names what is not given, which the tests rule out.
    pub fn asked(
        &self,
        snapshot: &Snapshot,
        asked: &Asked,
        charts: Result<&Charts, Unanswered>,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, tera::Error> {
        let drawn = match asked {
            Asked::Service(id, period) => snapshot.service(id).map(|state| {
                let page = service::ServicePage::of(
                    self.frame(snapshot, Overall::of(&[state.status]), now),
                    snapshot,
                    state,
                    *period,
                    charts,
                    now,
                );
                self.draw("service.html", &page)
            }),
            Asked::Outages(id, until) => {
                let only = id.as_deref().map(|id| snapshot.service(id).ok_or(())).transpose();
                only.ok().map(|only| {
                    let frame = self.frame(snapshot, snapshot.overall, now);
                    self.draw("outages.html", &service::OutagesPage::of(frame, snapshot, only, *until, now))
                })
            }
            Asked::Outage(id, at) => snapshot
                .service(id)
                .and_then(|state| {
                    let frame = self.frame(snapshot, Overall::of(&[state.status]), now);
                    service::OutagePage::of(frame, snapshot, state, *at, now)
                })
                .map(|page| self.draw("outage.html", &page)),
        };
        drawn.transpose()
    }

    /// `overall`: what the icon of the tab tells.
    fn frame(&self, snapshot: &Snapshot, overall: Overall, now: DateTime<Utc>) -> view::Frame {
        view::Frame::of(snapshot, self.site.assets.icon(overall), now)
    }

    fn draw(&self, template: &str, page: &impl Serialize) -> Result<String, tera::Error> {
        self.tera.render(template, &Context::from_serialize(page)?)
    }

    /// A badge as SVG.
    ///
    /// # Errors
    /// Where the template names what is not given, which the tests rule out.
    pub fn badge(&self, badge: &Badge) -> Result<String, tera::Error> {
        self.draw("badge.svg.html", &BadgeDrawing::of(badge))
    }

    /// The description of the read API, for people.
    ///
    /// # Errors
    /// Where a template names what `reference` does not give, which the tests rule out.
    pub fn reference(&self, document: &serde_json::Value) -> Result<String, tera::Error> {
        self.draw("reference.html", &reference::Reference::of(document))
    }

    /// A page for people who asked for what is not there: what happened, and the way back.
    pub fn error_page(&self, status: u16) -> String {
        let (heading, sentence) = explain(status);
        self.draw("error.html", &ErrorPage { status, heading, sentence })
            .unwrap_or_else(|_| format!("<!doctype html><title>{heading}</title><p>{sentence}"))
    }
}

impl Place<'_> {
    fn of(site: &Site) -> Place<'_> {
        let path = |asset: &Asset| format!("{}/status/assets/{}", site.base_path, asset.name);
        let image = |(asset, (width, height))| Image { src: path(asset), width, height };
        Place {
            title: &site.title,
            base: &site.base_path,
            style: path(&site.assets.style),
            panels: path(&site.assets.panels),
            early: assets::EARLY,
            script: path(&site.assets.script),
            icon: path(&site.assets.icon),
            logo: site.assets.logo.as_ref().zip(site.logo_size).map(image),
            links: &site.links,
            footer: &site.footer,
        }
    }
}

/// A heading and a sentence for an HTTP status.
const fn explain(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("Bad request", "The request could not be understood."),
        404 => ("Page not found", "There is nothing at this address."),
        405 => ("Method not allowed", "This address can be read and nothing else."),
        408 => ("Request too slow", "The request took too long to arrive."),
        413 | 414 | 431 => ("Request too large", "The request is longer than this server reads."),
        503 => ("Not available", "This can’t be answered just now. Please try again in a moment."),
        500..=599 => {
            ("Something went wrong", "The error is this server’s own. Please try again in a moment.")
        }
        _ => ("That did not work", "The request could not be answered."),
    }
}

#[cfg(test)]
mod tests;
