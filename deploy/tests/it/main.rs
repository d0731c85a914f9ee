//! What strangers install, and what becomes of it on their machines.
#![allow(clippy::unwrap_used)]

/// The packages installed in a booted systemd; long.
mod booted;
/// What the image and compose.yaml promise.
mod containers;
/// A machine of its own to boot: systemd in a container over this machine's files.
mod machine;
/// Manual pages and completions.
mod manuals;
/// What the packages hold.
mod packages;
