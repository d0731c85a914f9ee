//! One try: who is asked what, hop by hop, within one timeout. Lookups wait without a thread; a thread is
//! taken for each request only once the addresses are known. What the reply means is the verdict's.

mod buffers;
mod connector;
mod exchange;
mod fault;
mod pinned;
mod places;
mod redirect;
mod request;
mod socket;
mod threads;
mod tls;
mod trust;
mod walk;

use std::{net::SocketAddr, time::Instant};

use shared::Failure;
use tokio::{sync::Semaphore, time::timeout};
use url::Host;

use crate::{
    broken::Broken,
    resolver::{LookupError, Resolver},
    target::{Family, Method, Target},
    verdict::{Outcome, Phase, Reply},
};
use exchange::{Answer, Exchange};
use fault::Fault;
pub(crate) use places::{Place, Requests};
use redirect::Step;
use threads::Threads;
use trust::Trust;
use walk::Walk;

/// The most addresses of one host that are tried, one after the other.
const ADDRESSES: usize = 4;
/// Names that are looked up at the same time: while no name server answers, two sockets and 40 KiB each.
const LOOKUPS_AT_ONCE: usize = 4096;

/// What tries share: where names are looked up, who is trusted, whose threads may block.
#[derive(Debug)]
pub(crate) struct Prober {
    resolver: Resolver,
    lookups: Semaphore,
    trust: Trust,
    threads: Threads,
}

impl Prober {
    /// Asks at most so many at a time, of which so many may be of services that hang.
    pub(crate) fn new(resolver: Resolver, at_once: usize, hanging_at_once: usize) -> Prober {
        Prober {
            resolver,
            lookups: Semaphore::new(LOOKUPS_AT_ONCE),
            trust: Trust::load(),
            threads: Threads::new(at_once, hanging_at_once),
        }
    }

    /// How many requests there are.
    pub(crate) fn requests(&self) -> Requests {
        self.threads.requests()
    }

    /// No request begins any more: those that would have fail with [`Broken::Stopped`].
    pub(crate) fn close(&self) {
        self.threads.close();
    }

    /// One try. Where HEAD is answered 405 or 501, it begins anew as GET in what is left of the timeout.
    pub(crate) async fn probe(&self, target: &Target, place: Place) -> Result<Reply, Broken> {
        let reply = self.ask(Walk::new(target, target.method, target.timeout), place).await?;
        let wants_get = matches!(reply.outcome, Outcome::Answered(405 | 501));
        if target.method == Method::Head && wants_get {
            let left = target.timeout.saturating_sub(reply.elapsed);
            return self.ask(Walk::new(target, Method::Get, left), place).await;
        }
        Ok(reply)
    }

    async fn ask(&self, mut walk: Walk<'_>, place: Place) -> Result<Reply, Broken> {
        let outcome = match self.walk(&mut walk, place).await {
            Ok(status) => Outcome::Answered(status),
            Err(Fault::Late(phase)) => Outcome::TimedOut(phase),
            Err(Fault::Failed(failure, detail)) => Outcome::Failed(failure, detail),
            Err(Fault::Ours(broken)) => return Err(broken),
        };
        Ok(Reply { elapsed: walk.spent, outcome })
    }

    async fn walk(&self, walk: &mut Walk<'_>, place: Place) -> Result<u16, Fault> {
        loop {
            let addresses = self.find(walk).await?;
            let answer = self.exchange(walk, addresses, place).await?;
            match redirect::step(&walk.url, walk.followed, answer.status, answer.location.as_deref()) {
                Step::Stay => return Ok(answer.status),
                Step::Refuse(failure, detail) => return Err(Fault::Failed(failure, detail)),
                Step::Follow(url) => walk.follow(url),
            }
        }
    }

    /// The addresses of the present hop that may be connected to.
    async fn find(&self, walk: &mut Walk<'_>) -> Result<Vec<SocketAddr>, Fault> {
        let host = walk.url.host().ok_or(Fault::Ours(Broken::Request("its URL has no host")))?;
        let port =
            walk.url.port_or_known_default().ok_or(Fault::Ours(Broken::Request("its URL has no port")))?;
        let _room = match host {
            Host::Domain(_) => self.lookups.acquire().await.ok(),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        };
        let began = Instant::now();
        let found = timeout(walk.left(), self.resolver.lookup(host, walk.target.family)).await;
        walk.spent += began.elapsed();
        let name = walk.url.host_str().unwrap_or_default();
        let found = found.map_err(|_| Fault::Late(Phase::Lookup(name.to_owned())))?;
        let mut addresses = found.map_err(|error| explain(error, name))?;
        walk.admit(&mut addresses)?;
        Ok(addresses.into_iter().take(ADDRESSES).map(|address| SocketAddr::new(address, port)).collect())
    }

    async fn exchange(
        &self,
        walk: &mut Walk<'_>,
        addresses: Vec<SocketAddr>,
        place: Place,
    ) -> Result<Answer, Fault> {
        let request =
            request::request(walk.target, walk.method, &walk.url, walk.at_origin).map_err(Fault::Ours)?;
        let first = addresses[0];
        let trust = self.trust.of(walk.target.authorities.as_ref());
        let exchange = Exchange { request, addresses, trust, limit: walk.left() };
        let (took, result) = self.threads.run(place, move || exchange.run()).await.map_err(Fault::Ours)?;
        walk.spent += took;
        let answer = result?;
        if walk.spent > walk.limit { Err(Fault::Late(Phase::Headers(first))) } else { Ok(answer) }
    }
}

fn explain(error: LookupError, host: &str) -> Fault {
    let detail = match error {
        LookupError::NoSuchName => format!("no such name ({host})"),
        LookupError::NoAddress(Family::Any) => format!("the name has no address ({host})"),
        LookupError::NoAddress(Family::V4) => format!("no IPv4 address ({host})"),
        LookupError::NoAddress(Family::V6) => format!("no IPv6 address ({host})"),
        LookupError::Refused(answer) => format!("name server: {answer} ({host})"),
        LookupError::Unreachable(why) => format!("name server: {why} ({host})"),
        LookupError::OutOfResources(error) => return Fault::Ours(Broken::OutOfResources(error)),
    };
    Fault::Failed(Failure::Dns, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_its_own_check_and_no_other() {
        let threads = Threads::new(1, 1);
        let panics = threads.run(Place::Usual, || panic!("on purpose"));
        assert!(matches!(panics.await, Err::<(), _>(Broken::Panicked)));
        assert_eq!(threads.run(Place::Usual, || 7).await.unwrap(), 7);
    }
}
