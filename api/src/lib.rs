//! The life of one request.
pub mod assets;
pub mod json;
pub mod render;
pub mod snapshot;
pub mod uptime;
pub mod words;
