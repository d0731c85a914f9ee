//! What systemd is told of a service of `Type=notify`. Nothing happens where systemd did not start the process.

use std::time::Duration;

pub use sd_notify::NotifyState;

/// Tells systemd; what can't be told is a line in the log.
pub fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("systemd can't be told: {error}");
    }
}

/// How often the watchdog (`WatchdogSec=`) is to be fed: three times in the time that it waits, so that one feed may be
/// late. `None` where no watchdog waits for this process.
pub fn feed_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| (patience / 3).max(Duration::from_millis(1)))
}
