//! Threads that may block, at most as many as there are places. The one that was busy last is the first to be busy
//! again, so that few are kept warm; one is started where none is idle, and ends when it had nothing to do for a while.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, Builder},
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::sleep};

use super::places::{Place, Places, Requests, SLOT, Seat};
use crate::broken::Broken;

/// What a thread of a check needs with TLS.
const STACK_BYTES: usize = 256 << 10;
const IDLE_FOR: Duration = Duration::from_secs(10);

/// Is told that it can't be done, or says, once it is done and before its result is known, that its thread is free: then
/// the next has no need of another.
type Work = Box<dyn FnOnce(io::Result<&mut dyn FnMut()>) + Send>;
type Job = (Seat, Work);

/// As many as have work at the same time; what has no place waits without one.
pub(super) struct Threads(Arc<Mutex<State>>);

struct State {
    places: Places<Work>,
    idle: Vec<(thread::ThreadId, Sender<Job>)>,
    /// Somebody looks what may begin, now and then.
    is_looked_after: bool,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Threads").finish_non_exhaustive()
    }
}

impl Threads {
    /// None yet; work will have so many places, of which so many may hang.
    pub(super) fn new(all: usize, hanging: usize) -> Threads {
        let places = Places::new(all, hanging);
        Threads(Arc::new(Mutex::new(State { places, idle: Vec::new(), is_looked_after: false })))
    }

    /// Runs what may block; a panic in it costs nothing else. Nothing begins for a future that was dropped before.
    ///
    /// # Errors
    /// [`Broken::Panicked`], [`Broken::OutOfResources`] without a thread, [`Broken::Stopped`] once they are closed.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Broken> {
        let (done, result) = oneshot::channel();
        self.ask(
            place,
            Box::new(move |thread| {
                let result = match thread {
                    Ok(leave) => {
                        let result = (!done.is_closed()).then(|| catch_unwind(AssertUnwindSafe(work)));
                        leave();
                        result.map_or(Err(Broken::Stopped), |result| result.map_err(|_| Broken::Panicked))
                    }
                    Err(error) => Err(Broken::OutOfResources(error)),
                };
                done.send(result).ok();
            }),
        );
        result.await.unwrap_or(Err(Broken::Stopped))
    }

    /// How much there is.
    pub(super) fn requests(&self) -> Requests {
        lock(&self.0).places.requests()
    }

    /// Nothing begins any more.
    pub(super) fn close(&self) {
        lock(&self.0).places.close();
    }

    fn ask(&self, place: Place, work: Work) {
        let (next, is_looked_after) = {
            let mut state = lock(&self.0);
            state.places.ask(place, work);
            let next = state.places.next(Instant::now());
            let is_looked_after = state.is_looked_after;
            state.is_looked_after |= state.places.are_awaited();
            (next, is_looked_after || !state.is_looked_after)
        };
        if let Some(job) = next {
            start(&self.0, job);
        }
        if !is_looked_after {
            tokio::spawn(look_after(Arc::clone(&self.0)));
        }
    }
}

/// Begins what may begin only because time passed, for as long as something waits.
async fn look_after(state: Arc<Mutex<State>>) {
    loop {
        sleep(SLOT).await;
        while let Some(job) = next(&state) {
            start(&state, job);
        }
        let mut state = lock(&state);
        state.is_looked_after = state.places.are_awaited();
        if !state.is_looked_after {
            return;
        }
    }
}

fn next(state: &Mutex<State>) -> Option<Job> {
    lock(state).places.next(Instant::now())
}

/// On a thread that is idle, or a new one.
fn start(state: &Arc<Mutex<State>>, job: Job) {
    let idle = lock(state).idle.pop();
    let job = match idle {
        Some((_, thread)) => match thread.send(job) {
            Ok(()) => return,
            Err(refused) => refused.0,
        },
        None => job,
    };
    let (sender, incoming) = channel();
    let (of_thread, shared) = (sender.clone(), Arc::clone(state));
    let serve = move || serve(&shared, &of_thread, &incoming);
    match Builder::new().name("check".into()).stack_size(STACK_BYTES).spawn(serve) {
        Ok(_) => drop(sender.send(job)),
        Err(error) => {
            let (seat, work) = job;
            work(Err(error));
            lock(state).places.leave(seat);
        }
    }
}

/// The thread that ends one work begins with the next that waits, so that nobody has to be woken for it.
fn serve(state: &Mutex<State>, sender: &Sender<Job>, incoming: &Receiver<Job>) {
    let this = thread::current().id();
    let mut next = None;
    while let Some((seat, work)) = next.take().or_else(|| wait(state, incoming, this)) {
        work(Ok(&mut || {
            let mut state = lock(state);
            state.places.leave(seat);
            next = state.places.next(Instant::now());
            if next.is_none() {
                state.idle.push((this, sender.clone()));
            }
        }));
    }
}

/// What to do next; `None` when there was nothing for long enough.
fn wait(state: &Mutex<State>, incoming: &Receiver<Job>, this: thread::ThreadId) -> Option<Job> {
    match incoming.recv_timeout(IDLE_FOR) {
        Ok(job) => return Some(job),
        Err(RecvTimeoutError::Disconnected) => return None,
        Err(RecvTimeoutError::Timeout) => {}
    }
    let mut state = lock(state);
    if let Some(place) = state.idle.iter().position(|(thread, _)| *thread == this) {
        state.idle.remove(place);
        return None;
    }
    drop(state);
    // Somebody took it off the list a moment ago.
    incoming.recv().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
