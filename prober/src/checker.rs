//! One whole check: tries until one of them settles it, with the target's pause between them. Whose turn it
//! is belongs to the schedule, what becomes of the check to the journal.

use std::sync::Arc;

use chrono::Utc;
use shared::Check;
use tokio::time::sleep;

use crate::{
    broken::Broken,
    places::Ticket,
    probe::Prober,
    resolver::Resolver,
    target::Target,
    verdict::{deserves_another_try, judge},
};

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
        Checker(Arc::new(Prober::new(resolver)))
    }

    /// One whole check, all tries of it; at most [`Target::tries_take`].
    /// Dropped, it is abandoned: nothing comes of it, and a request on its way ends at its timeout.
    ///
    /// # Errors
    /// When the fault is ours: there is no check then, for nothing is known about the target.
    pub async fn check(&self, target: &Target) -> Result<Check, Broken> {
        self.check_in_turn(target, None).await
    }

    /// As [`Checker::check`], each request of it in a place of its own; what waiting for one takes counts for nothing.
    ///
    /// # Errors
    /// As there, and when there are no more places: [`Broken::Stopped`].
    pub async fn check_in_turn(&self, target: &Target, ticket: Option<&Ticket>) -> Result<Check, Broken> {
        let began = Utc::now();
        let mut tries = 1;
        loop {
            let reply = self.0.probe(target, ticket).await?;
            if tries > target.retries || !deserves_another_try(target, &reply) {
                return Ok(judge(target, began, tries, &reply));
            }
            sleep(target.retry_delay).await;
            tries += 1;
        }
    }
}
