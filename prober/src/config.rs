//! The services file: TOML with defaults and services, read into [`Target`]s. Every mistake in it is told, each on a
//! line of its own with file, line and what to write instead. When it is read again is the caller's business.

use std::{path::Path, time::Duration};

use toml::de::DeTable;
use url::Url;

use crate::target::Target;
use section::Reading;

mod address;
mod authorities;
pub mod duration;
mod headers;
mod section;
mod service;
mod settings;
pub(crate) mod statuses;
mod syntax;
mod text;
mod top;
mod tries;
mod unknown;
mod variables;

pub use shared::written::Problems;
use shared::written::file;

/// Everything that the services file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Services {
    /// At least one, in the order of the file, which is the order on the page.
    pub targets: Vec<Target>,
    /// The age beyond which raw checks are removed, at least 91 days; `None` to keep them forever.
    pub retention: Option<Duration>,
    /// URLs that tell "we are offline" from "they are"; often none.
    pub canary: Vec<Url>,
    /// What a person should know about each target, in the order of `targets`.
    pub remarks: Vec<Remark>,
    /// Tells this file from every other, by its bytes.
    pub fingerprint: String,
}

/// What a person should know about a target and no check needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What is asked, fit for logs: without userinfo, and cut (`…`) before the first part that holds a variable.
    pub url: String,
    /// The defaults that were lowered for this target, as the file would write them: `timeout = "4s500ms"`.
    pub lowered: Vec<String>,
}

/// Reads a services file, with the variables of this process.
///
/// # Errors
/// Every mistake in the file, or the one that it can't be read.
pub fn load(path: &Path) -> Result<Services, Problems> {
    parse(path, &file::read(path, "--config", "the prober")?, &|name| std::env::var(name).ok())
}

/// Reads the text of a services file; a byte-order mark is no part of it. `path` names the file in messages, and its
/// folder is where a relative `ca_file` begins; such files are all that is opened.
///
/// # Errors
/// Every mistake in the text; where it is not TOML, only those that make it so.
pub fn parse(
    path: &Path,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Services, Problems> {
    let reading = Reading::new(path.parent().unwrap_or(Path::new("")), text, environment);
    let (table, errors) = DeTable::parse_recoverable(text);
    errors.iter().for_each(|error| syntax::refuse(&reading, error));
    let services =
        errors.is_empty().then(|| top::read(&reading, reading.section(0, table.get_ref()))).flatten();
    let problems = reading.into_problems();
    services.filter(|_| problems.is_empty()).ok_or_else(|| Problems::new(path, problems))
}
