//! status-api from outside: the real program over a real PostgreSQL, asked by real clients.
// A test writes what the api reads.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod accessible;
mod api;
mod browser;
mod contract;
mod events;
mod live;
mod loss;
mod oddities;
mod outages;
mod page;
mod pooler;
mod proxies;
mod rights;
mod samples;
mod site;
mod standby;
mod statistics;
mod together;
mod views;
