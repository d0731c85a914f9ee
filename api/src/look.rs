//! How the operator wants the page to look, as the page file says it: TOML, every key optional. Every mistake in it is
//! told, each on a line of its own with file, line and what to write instead. What is made of it stands in `site`.

use std::{io::ErrorKind, path::Path};

use shared::written::{Problems, file, not_toml};
use toml::de::DeTable;

use reading::{Reading, Section};

pub mod accent;
mod embedding;
mod link;
pub mod logo;
mod reading;
mod text;

pub use accent::Accent;
pub use embedding::Origin;
pub use link::Link;
pub use logo::Logo;

/// Where the page file stands where nobody names another.
pub const USUAL_PLACE: &str = "/etc/status-monitor/page.toml";

const KEYS: [&str; 6] = ["title", "logo", "accent", "footer", "links", "frame_ancestors"];
const MOST_LINKS: usize = 12;
const MOST_ORIGINS: usize = 50;

/// Everything that the page file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// Heads every page; one printable line.
    pub title: Option<String>,
    /// Stands beside the title.
    pub logo: Option<Logo>,
    /// The colour of the mark, of lines and of the focus.
    pub accent: Accent,
    /// Printable lines at the foot of every page.
    pub footer: Vec<String>,
    /// Where people may go from here, in their order.
    pub links: Vec<Link>,
    /// The sites that may show the page within a page of theirs; often none.
    pub frame_ancestors: Vec<Origin>,
}

/// Reads the page file: the one that is named, else the one in its usual place where there is one.
///
/// # Errors
/// Every mistake in the file, or the one that it can't be read.
pub fn load(named: Option<&Path>) -> Result<Look, Problems> {
    let path = named.unwrap_or(Path::new(USUAL_PLACE));
    let is_absent = || path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if named.is_none() && is_absent() {
        return Ok(Look::default());
    }
    parse(path, &file::read(path, "--page", "the api")?)
}

/// Reads the text of a page file. `path` names the file in messages, and its folder is where a relative `logo` begins;
/// that file is all that is opened.
///
/// # Errors
/// Every mistake in the text; where it is not TOML, only those that make it so.
pub fn parse(path: &Path, text: &str) -> Result<Look, Problems> {
    let reading = Reading::new(path.parent().unwrap_or(Path::new("")), text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let source = text.get(span.clone()).unwrap_or_default();
        let mut said = not_toml(error.message(), source, "Our services");
        if text[..span.start].trim_end().ends_with('=') && text[span.start..].trim_start().starts_with('#') {
            said += ", in quotes where it begins with #";
        }
        reading.refuse(span.start, said);
    }
    let look = errors.is_empty().then(|| read(reading.section(0, table.get_ref())));
    let problems = reading.into_problems();
    look.filter(|_| problems.is_empty()).ok_or_else(|| Problems::new(path, problems))
}

fn read(mut top: Section<'_>) -> Look {
    let title = top.take("title", text::title);
    let logo = top.take("logo", logo::read);
    let accent = top.take("accent", accent::read).unwrap_or_default();
    let footer = top.take("footer", text::footer).unwrap_or_default();
    let links = top.take("links", |links| {
        let instead = "is not a list; write links = [{ text = \"Contact\", href = \"https://example.com\" }]";
        links.list("links", MOST_LINKS, instead, link::read)
    });
    let frame_ancestors = top.take("frame_ancestors", |origins| {
        let instead = "is not a list; write frame_ancestors = [\"https://www.example.com\"]";
        origins.list("frame_ancestors", MOST_ORIGINS, instead, embedding::read)
    });
    top.refuse_the_rest(&KEYS);
    let (links, frame_ancestors) = (links.unwrap_or_default(), frame_ancestors.unwrap_or_default());
    Look { title, logo, accent, footer, links, frame_ancestors }
}
