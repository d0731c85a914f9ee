//! The page and the error pages as HTML: Tera templates, compiled in and parsed once.
//! What they are given is made in `view`; what stands in the snapshot is drawn elsewhere.

mod view;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tera::{Context, Tera};

use crate::{assets, snapshot::Snapshot};

/// The policy under which the pages work, to the letter: no inline script or style, nothing from anywhere else.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Tera escapes what it is given in templates whose name ends in `.html`.
const TEMPLATES: [(&str, &str); 4] = [
    ("base.html", include_str!("../templates/base.html")),
    ("error.html", include_str!("../templates/error.html")),
    ("page.html", include_str!("../templates/page.html")),
    ("parts.html", include_str!("../templates/parts.html")),
];

/// Turns snapshots into HTML.
#[derive(Debug)]
pub struct Renderer {
    tera: Tera,
}

/// What every page knows of its place.
#[derive(Debug, Clone, Serialize)]
struct Site {
    title: String,
    base: String,
    style: String,
    script: String,
    icon: String,
}

#[derive(Serialize)]
struct ErrorPage {
    status: u16,
    heading: &'static str,
    sentence: &'static str,
}

impl Renderer {
    /// `title` heads every page. `base_path` stands before every link: empty, or like `/x`.
    ///
    /// # Errors
    /// Where a template is broken, which the tests rule out.
    pub fn new(title: &str, base_path: &str) -> Result<Renderer, tera::Error> {
        let mut tera = Tera::new();
        tera.add_raw_templates(TEMPLATES)?;
        let asset = |asset: &assets::Asset| format!("{base_path}/status/assets/{}", asset.name);
        let site = Site {
            title: title.into(),
            base: base_path.into(),
            style: asset(&assets::STYLE),
            script: asset(&assets::SCRIPT),
            icon: asset(&assets::ICON),
        };
        tera.global_context().insert("site", &site);
        Ok(Renderer { tera })
    }

    /// The status page as of `now`, the instant from which a visitor's script counts ages.
    ///
    /// # Errors
    /// Where a template names what `view` does not give, which the tests rule out.
    pub fn page(&self, snapshot: &Snapshot, now: DateTime<Utc>) -> Result<String, tera::Error> {
        self.tera.render("page.html", &Context::from_serialize(&view::Page::of(snapshot, now))?)
    }

    /// A page for people who asked for what is not there: what happened, and the way back.
    pub fn error_page(&self, status: u16) -> String {
        let (heading, sentence) = explain(status);
        Context::from_serialize(&ErrorPage { status, heading, sentence })
            .and_then(|context| self.tera.render("error.html", &context))
            .unwrap_or_else(|_| format!("<!doctype html><title>{heading}</title><p>{sentence}"))
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
