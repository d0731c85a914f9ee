//! The life of one request.
pub mod facts;
pub mod refresh;
pub mod snapshot;
pub mod store;
pub mod uptime;
