//! How many requests are on their way at the same time, and so threads: each has a place of its own from connecting to
//! the end of the headers. Who waits for name servers, or for another try, holds none.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

/// A bounded number of places.
#[derive(Debug)]
pub struct Places {
    free: Semaphore,
    /// For services whose last try timed out, each beside one of `free`: targets that hang never stop the others.
    free_to_hang: Semaphore,
}

/// The right of one check to wait for places.
#[derive(Debug)]
pub struct Ticket {
    places: Arc<Places>,
    hangs: bool,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    _hanging: Option<SemaphorePermit<'a>>,
    _free: SemaphorePermit<'a>,
}

impl Places {
    /// So many, of which services that hang may take so many.
    pub fn new(all: usize, hanging: usize) -> Places {
        Places { free: Semaphore::new(all), free_to_hang: Semaphore::new(hanging) }
    }

    /// Nobody is given a place any more.
    pub fn close(&self) {
        self.free_to_hang.close();
        self.free.close();
    }
}

impl Ticket {
    /// For a check of a service; `hangs`: its last try timed out.
    pub fn new(places: &Arc<Places>, hangs: bool) -> Ticket {
        Ticket { places: Arc::clone(places), hangs }
    }

    /// Waits for a place; `None` once they are closed.
    pub async fn place(&self) -> Option<Place<'_>> {
        let hanging = match self.hangs {
            true => Some(self.places.free_to_hang.acquire().await.ok()?),
            false => None,
        };
        Some(Place { _hanging: hanging, _free: self.places.free.acquire().await.ok()? })
    }
}
