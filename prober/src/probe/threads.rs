//! Threads that may block. The one that was busy last is the first to be busy again, so that few are kept warm; one is
//! started where none is idle, and ends when it had nothing to do for a while.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, Builder},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::broken::Broken;

/// What a thread of a check needs with TLS.
const STACK_BYTES: usize = 256 << 10;
const IDLE_FOR: Duration = Duration::from_secs(10);

/// Says, once it is done and before its result is known, that its thread is idle: then the next has no need of another.
type Work = Box<dyn FnOnce(&dyn Fn()) + Send>;
type Idle = Arc<Mutex<Vec<(thread::ThreadId, Sender<Work>)>>>;

/// As many as are busy at the same time.
#[derive(Debug, Default)]
pub(super) struct Threads {
    idle: Idle,
}

impl Threads {
    /// Runs what may block; a panic in it costs nothing else. Nothing begins for a future that was dropped before.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Broken> {
        let (done, result) = oneshot::channel();
        let work = Box::new(move |rest: &dyn Fn()| {
            let result = (!done.is_closed()).then(|| catch_unwind(AssertUnwindSafe(work)));
            rest();
            result.map(|result| done.send(result).ok());
        });
        self.begin(work).map_err(Broken::OutOfResources)?;
        match result.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(Broken::Panicked),
            Err(_) => Err(Broken::Stopped),
        }
    }

    fn begin(&self, work: Work) -> io::Result<()> {
        let idle = lock(&self.idle).pop();
        let work = match idle {
            Some((_, thread)) => match thread.send(work) {
                Ok(()) => return Ok(()),
                Err(refused) => refused.0,
            },
            None => work,
        };
        let idle = Arc::clone(&self.idle);
        Builder::new().name("check".into()).stack_size(STACK_BYTES).spawn(move || serve(&idle, work))?;
        Ok(())
    }
}

fn serve(idle: &Idle, first: Work) {
    let (sender, incoming): (Sender<Work>, Receiver<Work>) = channel();
    let this = thread::current().id();
    let rest = || lock(idle).push((this, sender.clone()));
    first(&rest);
    while let Some(work) = next(idle, &incoming, this) {
        work(&rest);
    }
}

/// What to do next; `None` when there was nothing for long enough.
fn next(idle: &Idle, incoming: &Receiver<Work>, this: thread::ThreadId) -> Option<Work> {
    match incoming.recv_timeout(IDLE_FOR) {
        Ok(work) => return Some(work),
        Err(RecvTimeoutError::Disconnected) => return None,
        Err(RecvTimeoutError::Timeout) => {}
    }
    let mut idle = lock(idle);
    if let Some(place) = idle.iter().position(|(thread, _)| *thread == this) {
        idle.remove(place);
        return None;
    }
    drop(idle);
    // Somebody took it off the list a moment ago.
    incoming.recv().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
