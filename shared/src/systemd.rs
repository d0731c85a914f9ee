//! What systemd is told of a service of `Type=notify`. Nothing happens where systemd did not start the process.

pub use sd_notify::NotifyState;

/// Tells systemd; what can't be told is a line in the log.
pub fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("systemd can't be told: {error}");
    }
}
