//! status-api from outside: the real program over a real PostgreSQL, asked by real clients.
// A test writes what the api reads.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod api;
mod browser;
mod clients;
mod contract;
mod drawn;
mod events;
mod live;
mod look;
mod loss;
mod oddities;
mod outages;
mod page;
mod pooler;
mod proxies;
mod rights;
mod samples;
mod services;
mod site;
mod slow;
mod sockets;
mod standby;
mod statistics;
mod systemd;
mod together;
mod views;
