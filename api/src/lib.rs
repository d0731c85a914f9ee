//! The life of one request.
pub mod snapshot;
pub mod uptime;
