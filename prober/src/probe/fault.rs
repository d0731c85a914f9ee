//! Why a request brought no HTTP answer, and the words for what other libraries say about it.

use std::{fmt, io, net::SocketAddr};

use shared::Failure;

use crate::{
    broken::{Broken, is_out_of_resources},
    verdict::Phase,
};

/// Why a request brought no HTTP answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Its time was up in this phase.
    Late(Phase),
    /// The target failed: why, and in words.
    Failed(Failure, String),
    /// We failed, and know nothing about the target.
    Ours(Broken),
}

impl Fault {
    pub(crate) fn failed(failure: Failure, detail: impl Into<String>) -> Fault {
        Fault::Failed(failure, detail.into())
    }
}

/// Through ureq a fault travels as its "other" error.
impl From<Fault> for ureq::Error {
    fn from(fault: Fault) -> ureq::Error {
        ureq::Error::Other(Box::new(fault))
    }
}

impl From<ureq::Error> for Fault {
    fn from(error: ureq::Error) -> Fault {
        match error {
            ureq::Error::Other(other) => match other.downcast() {
                Ok(fault) => *fault,
                Err(other) => Fault::failed(Failure::Protocol, other.to_string()),
            },
            ureq::Error::LargeResponseHeader(..) => head_too_long(),
            ureq::Error::Protocol(error) => {
                Fault::failed(Failure::Protocol, format!("malformed answer: {error}"))
            }
            // Its text may hold the URL, and with it secrets.
            _ => Fault::failed(Failure::Protocol, "the request could not be made"),
        }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Late(phase) => write!(f, "too late: {phase:?}"),
            Fault::Failed(failure, detail) => write!(f, "{failure}: {detail}"),
            Fault::Ours(broken) => broken.fmt(f),
        }
    }
}

pub(super) fn head_too_long() -> Fault {
    let limit = super::buffers::HEAD_LIMIT / 1024;
    Fault::failed(Failure::Protocol, format!("headers longer than {limit} KiB"))
}

/// What the operating system says, without its numbers where it has a name for it.
pub(super) fn in_words(error: &io::Error) -> String {
    let named = error.kind().to_string();
    if named == "uncategorized error" { error.to_string() } else { named }
}

/// As [`is_out_of_resources`], or for want of a local port: over IPv4 nothing else makes an address
/// unavailable (over IPv6 having none does, and that is the network's fault).
pub(super) fn is_out_of_resources_for(error: &io::Error, address: SocketAddr) -> bool {
    let no_port = address.is_ipv4() && error.kind() == io::ErrorKind::AddrNotAvailable;
    no_port || is_out_of_resources(error)
}
