//! Why a check could not be made through no fault of the target: then nothing is known, and nothing is recorded.

use std::{fmt, io};

/// Why a check could not be made, through no fault of the target.
#[derive(Debug)]
pub enum Broken {
    /// The program has a mistake: a panic cost this check, and this check alone.
    Panicked,
    /// The runtime is shutting down.
    Stopped,
    /// This machine is out of descriptors, ports or memory.
    OutOfResources(io::Error),
    /// The target can't be asked for as it is configured.
    Request(&'static str),
}

impl std::error::Error for Broken {}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Panicked => f.write_str("the check panicked"),
            Broken::Stopped => f.write_str("the check was stopped"),
            Broken::OutOfResources(error) => write!(f, "this machine is out of resources: {error}"),
            Broken::Request(why) => write!(f, "the target can't be asked for: {why}"),
        }
    }
}

/// Whether an error is for want of descriptors, memory or buffers here.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
