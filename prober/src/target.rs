//! A service as the prober must check it: everything of the services file that a check needs, nothing else.

use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use rustls::pki_types::CertificateDer;
use url::Url;

/// A service as the prober must check it.
#[derive(Clone, PartialEq)]
pub struct Target {
    /// 1 to 50 of `A-Z a-z 0-9 . _ -`, unique in the file.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The heading it stands under on the page.
    pub group: Option<String>,
    /// What visitors follow; never with userinfo.
    pub link: Option<String>,
    /// What is asked: `http` or `https`; may hold userinfo, which is sent as Basic authentication.
    pub url: Url,
    /// Sent to the origin of `url` only. Values may be secrets: never logged.
    pub headers: Vec<(String, String)>,
    /// Trusted instead of the system's certificates.
    pub authorities: Option<Arc<Vec<CertificateDer<'static>>>>,
    /// From one turn to the next.
    pub interval: Duration,
    /// The bound of one try.
    pub timeout: Duration,
    /// A response slower than this is degraded.
    pub slow_after: Duration,
    /// Further tries before a timeout, no answer or an unexpected status is recorded.
    pub retries: u32,
    /// Between the end of a try and the begin of the next.
    pub retry_delay: Duration,
    /// HTTP statuses that are online.
    pub expect: Vec<RangeInclusive<u16>>,
    /// How it is asked first.
    pub method: Method,
    /// Which addresses may be used.
    pub family: Family,
    /// Whether a redirect may lead into a private network.
    pub private_redirects: bool,
}

/// Its URL and headers may hold secrets, which have no place in a log.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.id)
    }
}

impl Target {
    /// The most that all tries of one check may take: (retries + 1) × timeout + retries × retry_delay.
    pub fn tries_take(&self) -> Duration {
        self.timeout
            .saturating_mul(self.retries.saturating_add(1))
            .saturating_add(self.retry_delay.saturating_mul(self.retries))
    }

    /// Whether an HTTP status is one that was expected.
    pub fn expects(&self, status: u16) -> bool {
        self.expect.iter().any(|range| range.contains(&status))
    }
}

/// How a target is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Headers only; asked again as [`Method::Get`] where the server answers 405 or 501.
    Head,
    /// The body is not read.
    Get,
}

/// Which addresses of a name may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Both, IPv4 first.
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}
