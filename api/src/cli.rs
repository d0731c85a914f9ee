//! The command line of status-api, and the exit code that answers it.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::Parser;
use shared::metrics::Address;

use crate::{
    clients::Trusted,
    look::{self, Origin},
    server::{self, Listen},
    site::Site,
};

/// Serves the status page and its JSON, read-only, from the database that status-prober writes.
///
/// DATABASE_URL (postgresql://user:password@host:5432/database?sslmode=verify-full) names the database; a role that
/// may SELECT is all it needs. RUST_LOG sets what is logged (info).
#[derive(Debug, Parser)]
#[command(name = "status-api", version)]
pub struct Cli {
    /// Where to listen: ADDRESS:PORT or unix:/path [default: 127.0.0.1:8080, or the sockets that systemd hands over]
    #[arg(long, value_name = "ADDRESS", env = "STATUS_LISTEN")]
    listen: Option<Listen>,

    /// What links begin with, where a proxy serves this below a path
    #[arg(long, value_name = "PATH", env = "STATUS_BASE_PATH", default_value = "/", value_parser = base_path)]
    base_path: String,

    /// The title of the page, instead of that in the page file [default: Service status]
    #[arg(long, value_name = "TEXT", env = "STATUS_TITLE")]
    title: Option<String>,

    /// Where visitors find this server, as scheme and host: what feeds link to begins with it
    #[arg(long, value_name = "URL", env = "STATUS_ORIGIN")]
    origin: Option<Origin>,

    /// The page file: title, logo, accent, footer, links, and who may embed the page
    /// [default: /etc/status-monitor/page.toml where that exists]
    #[arg(long, value_name = "PATH", env = "STATUS_PAGE")]
    page: Option<PathBuf>,

    /// Where to be scraped by Prometheus, like 127.0.0.1:9151 [default: nowhere]
    #[arg(long, value_name = "ADDRESS", env = "STATUS_METRICS_LISTEN")]
    metrics_listen: Option<Address>,

    /// Networks of proxies whose X-Forwarded-For is believed, with commas between them; unix sockets always are
    #[arg(long, value_name = "NETWORKS", env = "STATUS_TRUSTED_PROXIES", default_value = "127.0.0.0/8,::1")]
    trusted_proxies: Trusted,
}

impl Cli {
    /// Serves: exit 0 done, 1 failed at run time, 2 a page file with mistakes (clap answers bad usage with 2 too).
    pub fn answer(self) -> ExitCode {
        let look = match look::load(self.page.as_deref()) {
            Ok(look) => look,
            Err(problems) => {
                // Plain lines for whoever started this; nobody is left to tell where standard error is gone.
                writeln!(std::io::stderr(), "{problems}").ok();
                return ExitCode::from(2);
            }
        };
        let site = Site { origin: self.origin, ..Site::new(self.title, &self.base_path, look) };
        match server::run(self.listen.as_ref(), site, self.trusted_proxies, self.metrics_listen.as_ref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                log::error!("{reason}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Empty for the root; otherwise it begins with a slash and does not end with one.
fn base_path(text: &str) -> Result<String, String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let named = |part: &str| !["", ".", ".."].contains(&part) && part.chars().all(plain);
    let mut parts = path.split('/');
    // What answers without the prefix must not begin with it.
    let is_a_route =
        ["api", "healthz", "readyz", "status"].contains(&path.split('/').nth(1).unwrap_or_default());
    if path.is_empty() || (parts.next() == Some("") && parts.all(named) && !is_a_route) {
        Ok(path.to_owned())
    } else {
        Err("write a path of letters, digits, -, ., _ and ~, other than the routes here, that begins with a slash, like /monitor".into())
    }
}

#[cfg(test)]
mod tests {
    use super::base_path;

    #[test]
    fn a_base_path_is_plain_and_loses_its_last_slash() {
        for (text, path) in [("/", ""), ("", ""), ("/a", "/a"), ("/a/b/", "/a/b"), ("/a-._~9", "/a-._~9")] {
            assert_eq!(base_path(text).as_deref(), Ok(path));
        }
        for bad in [
            "a",
            "//a",
            "/a//",
            "/a b",
            "/ä",
            "/a?b",
            "/../x",
            "/./",
            "https://x/",
            "/{a}",
            "/api",
            "/status/x",
        ] {
            assert!(base_path(bad).is_err(), "{bad}");
        }
    }
}
