//! What a reply means: the table of the contract ("What a check means"), and the line that says why.
//! Pure; how a reply is got is [`crate::probe`]'s.

use std::{net::SocketAddr, time::Duration};

use chrono::{DateTime, Utc};
use shared::{Check, Failure, Status};

use shared::printable::one_line;

use crate::target::Target;

/// The most characters of [`Check::error`].
pub const ERROR_LENGTH: usize = 500;

/// What one try met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// From the start of the lookup to the end of the final headers, redirects included, our own queueing
    /// not. Of interest only where there was an answer.
    pub elapsed: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// How one try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With this final HTTP status.
    Answered(u16),
    /// With the timeout, in this phase.
    TimedOut(Phase),
    /// Without an HTTP answer: why, and in words.
    Failed(Failure, String),
}

/// Where a try was when its time was up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for name servers to say where this host is.
    Lookup(String),
    /// Waiting for a connection.
    Connect(SocketAddr),
    /// Within the TLS handshake.
    Handshake(SocketAddr),
    /// Waiting for the first byte of an answer.
    Answer(SocketAddr),
    /// Within the headers of an answer.
    Headers(SocketAddr),
}

/// Whether a reply is worth a further try: a timeout, no answer or an unexpected status is, a slow answer
/// is not.
pub fn deserves_another_try(target: &Target, reply: &Reply) -> bool {
    !matches!(reply.outcome, Outcome::Answered(status) if target.expects(status))
}

/// The check that the last of `tries` tries makes of a target; `began` is when the first of them began.
pub fn judge(target: &Target, began: DateTime<Utc>, tries: u32, reply: &Reply) -> Check {
    let finding = Finding::of(target, reply);
    Check {
        service_id: target.id.clone(),
        timestamp: began,
        status: finding.status,
        response_time_ms: finding.response_time.map(milliseconds),
        status_code: finding.status_code,
        error: finding.why.map(|(failure, detail)| error_line(failure, &detail, tries)),
    }
}

struct Finding {
    status: Status,
    response_time: Option<Duration>,
    status_code: Option<u16>,
    why: Option<(Failure, String)>,
}

impl Finding {
    fn of(target: &Target, reply: &Reply) -> Finding {
        match &reply.outcome {
            Outcome::Answered(status) => Finding::of_answer(target, *status, reply.elapsed),
            Outcome::TimedOut(phase) => Finding {
                status: Status::Timeout,
                response_time: Some(target.timeout),
                status_code: None,
                why: Some(phase.explain(target.timeout)),
            },
            Outcome::Failed(failure, detail) => Finding {
                status: Status::Offline,
                response_time: None,
                status_code: None,
                why: Some((*failure, detail.clone())),
            },
        }
    }

    fn of_answer(target: &Target, status_code: u16, elapsed: Duration) -> Finding {
        let why = why_degraded(target, status_code, elapsed);
        Finding {
            status: if why.is_none() { Status::Online } else { Status::Degraded },
            response_time: Some(elapsed),
            status_code: Some(status_code),
            why,
        }
    }
}

/// The status weighs more than the time. Times are compared as they are recorded, in whole milliseconds.
fn why_degraded(target: &Target, status_code: u16, elapsed: Duration) -> Option<(Failure, String)> {
    if !target.expects(status_code) {
        return Some((Failure::Status, format!("HTTP {status_code}")));
    }
    let (took, bound) = (milliseconds(elapsed), milliseconds(target.slow_after));
    (took > bound).then(|| (Failure::Slow, format!("{took} ms, more than {}", in_words(target.slow_after))))
}

impl Phase {
    fn explain(&self, timeout: Duration) -> (Failure, String) {
        let within = format!("within {}", in_words(timeout));
        match self {
            Phase::Lookup(host) => (Failure::Dns, format!("no answer about {host} {within}")),
            Phase::Connect(address) => (Failure::Timeout, format!("no connection {within} ({address})")),
            Phase::Handshake(address) => {
                (Failure::Timeout, format!("TLS handshake not finished {within} ({address})"))
            }
            Phase::Answer(address) => (Failure::Timeout, format!("no answer {within} ({address})")),
            Phase::Headers(address) => {
                (Failure::Timeout, format!("headers not complete {within} ({address})"))
            }
        }
    }
}

/// `class: detail, after n tries`: one printable line of at most [`ERROR_LENGTH`] characters. Where it has to
/// be cut, the class and the tries stay.
fn error_line(failure: Failure, detail: &str, tries: u32) -> String {
    let tries = if tries == 1 { ", after 1 try".to_owned() } else { format!(", after {tries} tries") };
    let room = ERROR_LENGTH - failure.as_str().len() - ": ".len() - tries.len();
    format!("{failure}: {}{tries}", one_line(detail, room))
}

/// Whole milliseconds, cut. Timeouts are bounded far below the 24 days that fit.
fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn in_words(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{} ms", duration.as_millis());
    }
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
