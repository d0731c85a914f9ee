//! Threads that a program can't live without. Without them it would look alive and do nothing: better that it ends
//! and is started again.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    thread::{Builder, JoinHandle},
};

/// Starts a thread under this name. Where it panics the process ends with exit code 1.
///
/// # Errors
/// Where the system gives no thread.
pub fn start(name: &'static str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            log::error!("the {name} failed by a mistake in this program; it can't go on without it");
            process::exit(1);
        }
    })
}
