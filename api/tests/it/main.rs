//! status-api from outside: the real program over a real PostgreSQL, asked by real clients.
// A test writes what the api reads.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod api;
mod browser;
mod contract;
mod live;
mod loss;
mod page;
mod proxies;
mod rights;
mod samples;
mod site;
mod statistics;
mod together;
mod views;
