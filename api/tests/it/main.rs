//! status-api from outside: the real program over a real PostgreSQL, asked by real clients.
// A test writes what the api reads.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod accessible;
mod api;
mod attacks;
mod browser;
mod clients;
mod contract;
mod drawn;
mod events;
mod groups;
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
mod search;
mod services;
mod shifts;
mod site;
mod slow;
mod sockets;
mod standby;
mod statistics;
mod systemd;
mod themes;
mod together;
mod views;
