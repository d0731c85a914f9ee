//! A services file of many services, and how their targets answer.

use std::{fmt::Write as _, time::Duration};

/// How many services there are, unless a row says otherwise.
pub(crate) const SERVICES: usize = 10_000;
/// Loopback addresses that targets share, so that there are ports enough for ever new connections.
pub(crate) const ADDRESSES: usize = 8;

/// Many services and how they are checked.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) services: usize,
    pub(crate) interval: Duration,
    /// Further keys for all services.
    pub(crate) keys: &'static str,
    pub(crate) scheme: &'static str,
    /// Where a service is.
    pub(crate) host: fn(usize) -> String,
    /// How its target answers.
    pub(crate) answer: fn(usize) -> Answer,
}

/// How a target answers; the last part of the path says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    After(u64),
    Never,
}

impl Load {
    /// Ten thousand every ten seconds: one in a hundred hangs, half of them answer after 5 ms, the others at once.
    pub(crate) fn usual() -> Load {
        Load {
            services: SERVICES,
            interval: Duration::from_secs(10),
            keys: "timeout = \"9s\"\nretries = 0\n",
            scheme: "http",
            host: address,
            answer: |service| match service {
                _ if service % 100 == 99 => Answer::Never,
                _ if service % 2 == 0 => Answer::After(5),
                _ => Answer::After(0),
            },
        }
    }

    /// The services file.
    pub(crate) fn file(&self, port: u16) -> String {
        let mut text = format!("interval = \"{}ms\"\n{}", self.interval.as_millis(), self.keys);
        for service in 0..self.services {
            let (id, host) = (id(service), (self.host)(service));
            let answer = match (self.answer)(service) {
                Answer::After(ms) => ms.to_string(),
                Answer::Never => "never".to_owned(),
            };
            let url = format!("{}://{host}:{port}/{service}/{answer}", self.scheme);
            write!(text, "[[services]]\nid = \"{id}\"\nname = \"Service {service}\"\nurl = \"{url}\"\n")
                .unwrap();
        }
        text
    }

    /// The services whose targets answer.
    pub(crate) fn healthy(&self) -> impl Iterator<Item = usize> {
        (0..self.services).filter(|service| (self.answer)(*service) != Answer::Never)
    }
}

pub(crate) fn id(service: usize) -> String {
    format!("s{service}")
}

/// The loopback address of a service.
pub(crate) fn address(service: usize) -> String {
    format!("127.0.0.{}", 2 + service % ADDRESSES)
}

/// The service that a request is for, and how it wants to be answered: the reverse of the path above.
pub(crate) fn asked(head: &[u8]) -> Option<(usize, Answer)> {
    let head = str::from_utf8(head).ok()?;
    let mut path = head.split(' ').nth(1)?.split('/').skip(1);
    let service = path.next()?.parse().ok()?;
    let answer = match path.next()? {
        "never" => Answer::Never,
        ms => Answer::After(ms.parse().ok()?),
    };
    Some((service, answer))
}
