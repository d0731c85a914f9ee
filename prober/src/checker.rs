//! One whole check: tries until one of them settles it, with the target's pause between them. Whose turn it
//! is belongs to the schedule, what becomes of the check to the journal.

use std::sync::Arc;

use chrono::Utc;
use shared::Check;
use tokio::time::sleep;

use crate::{
    broken::Broken,
    probe::{Place, Prober, Requests},
    resolver::Resolver,
    target::Target,
    verdict::{deserves_another_try, judge},
};

/// Requests on their way at the same time, and so threads.
const AT_ONCE: usize = 1024;
/// Of these, what services may take whose last try timed out: targets that hang never stop the others.
const HANGING_AT_ONCE: usize = AT_ONCE / 2;

/// Checks targets. Cheap to clone; all clones share what a check needs.
#[derive(Debug, Clone)]
pub struct Checker(Arc<Prober>);

impl Checker {
    /// A checker that looks names up as this machine does and trusts whom it trusts. Takes some milliseconds.
    ///
    /// # Errors
    /// When /etc/resolv.conf can't be made sense of.
    pub fn new() -> Result<Checker, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Checker::with_resolver(Resolver::system()?))
    }

    /// As [`Checker::new`], with another way to look names up.
    pub fn with_resolver(resolver: Resolver) -> Checker {
        Checker::with_places(resolver, AT_ONCE, HANGING_AT_ONCE)
    }

    /// As [`Checker::with_resolver`], with at most so many requests on their way at the same time, of which services
    /// that hang may have so many.
    pub fn with_places(resolver: Resolver, at_once: usize, hanging_at_once: usize) -> Checker {
        Checker(Arc::new(Prober::new(resolver, at_once, hanging_at_once)))
    }

    /// One whole check, all tries of it; at most [`Target::tries_take`]. It waits for no other.
    /// Dropped, it is abandoned: nothing comes of it, and a request on its way ends at its timeout.
    ///
    /// # Errors
    /// When the fault is ours: there is no check then, for nothing is known about the target.
    pub async fn check(&self, target: &Target) -> Result<Check, Broken> {
        self.check_in(Place::Extra, target).await
    }

    /// As [`Checker::check`], each request of it in a place of its own; what waiting for one takes counts for nothing.
    /// `hangs`: the service's last try timed out.
    ///
    /// # Errors
    /// As there, and [`Broken::Stopped`] after [`Checker::close`].
    pub async fn check_in_turn(&self, target: &Target, hangs: bool) -> Result<Check, Broken> {
        self.check_in(if hangs { Place::Hanging } else { Place::Usual }, target).await
    }

    /// How many requests there are.
    pub(crate) fn requests(&self) -> Requests {
        self.0.requests()
    }

    /// No request begins any more.
    pub fn close(&self) {
        self.0.close();
    }

    async fn check_in(&self, place: Place, target: &Target) -> Result<Check, Broken> {
        let began = Utc::now();
        let mut tries = 1;
        loop {
            let reply = self.0.probe(target, place).await?;
            if tries > target.retries || !deserves_another_try(target, &reply) {
                return Ok(judge(target, began, tries, &reply));
            }
            sleep(target.retry_delay).await;
            tries += 1;
        }
    }
}
