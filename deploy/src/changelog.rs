//! The changelog in the form that Debian's tools read.

use chrono::{DateTime, Utc};

/// One entry, that of this version; what changed stands in the project's own changelog.
pub(crate) fn debian(package: &str, maintainer: &str, date: DateTime<Utc>) -> String {
    let (version, date) = (env!("CARGO_PKG_VERSION"), date.to_rfc2822());
    format!(
        "{package} ({version}-1) unstable; urgency=medium\n\n  \
         * What changed stands in changelog.gz, beside this file.\n\n -- {maintainer}  {date}\n"
    )
}
