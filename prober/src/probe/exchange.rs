//! One request and the head of its answer, on a thread that may block.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use rustls::ClientConfig;
use ureq::{
    Agent, Body,
    config::Config,
    http::{Request, Response, header::LOCATION},
};

use super::{
    buffers::HEAD_LIMIT,
    connector::{Dialer, Found},
    fault::Fault,
};

/// One request, ready to be sent.
pub(super) struct Exchange {
    /// What is asked.
    pub(super) request: Request<()>,
    /// Who is asked: the first of these that accepts a connection. At least 1, at most 16.
    pub(super) addresses: Vec<SocketAddr>,
    /// Whose certificates are good.
    pub(super) trust: Arc<ClientConfig>,
    /// How long all of it may take, from the moment a thread begins with it.
    pub(super) limit: Duration,
}

/// The head of an answer, as far as it matters here.
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// Where it points to, if that is valid UTF-8.
    pub(super) location: Option<String>,
}

/// Like every answer's, its connection is closed with the agent. Building one costs about a microsecond; what
/// is dear, the TLS configuration, is shared.
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(0)
        .max_response_header_size(HEAD_LIMIT)
        .user_agent(concat!("status-prober/", env!("CARGO_PKG_VERSION")))
        .build()
});

impl Exchange {
    /// Asks, blocking, and says how long that took.
    pub(super) fn run(self) -> (Duration, Result<Answer, Fault>) {
        let began = Instant::now();
        let result = self.ask(began);
        (began.elapsed(), result)
    }

    fn ask(self, began: Instant) -> Result<Answer, Fault> {
        let request_size = size_on_the_wire(&self.request);
        let dialer = Dialer { deadline: began + self.limit, trust: self.trust, request_size };
        let agent = Agent::with_parts(CONFIG.clone(), dialer, Found(self.addresses));
        let response = agent.run(self.request)?;
        Ok(Answer::of(&response))
    }
}

impl Answer {
    fn of(response: &Response<Body>) -> Answer {
        let location = response.headers().get(LOCATION);
        Answer {
            status: response.status().as_u16(),
            location: location.and_then(|value| String::from_utf8(value.as_bytes().to_vec()).ok()),
        }
    }
}

/// The head of a request, roughly and not less: ureq wants room for its longest line.
fn size_on_the_wire(request: &Request<()>) -> usize {
    /// The method, the version, and the few headers that ureq adds.
    const REST: usize = 256;
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let uri = request.uri();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    REST + path + uri.authority().map_or(0, |authority| authority.as_str().len()) + headers.sum::<usize>()
}
