//! The life of one request, and of the bytes that answer it.
//!
//! [`refresh`], on a thread of its own, looks each second whether anything changed and reads through [`store`] what
//! did: [`facts`], what is [`packed`] of the past among it. [`publish`], on another, lets [`snapshot`] draw the
//! conclusions (with [`uptime`] for the arithmetic and [`outages`] for what failed), has them rendered once ([`render`]
//! the page, [`json`] the JSON), compressed once ([`body`]), puts the bytes where the [`routes`] find them, and tells
//! those who listen ([`events`]); [`accept`] tells which form a client wants. A request for either is
//! answered from those bytes: no SQL, no template, no lock. What is the same for all of them is the [`site`], made once
//! of the options and of how its operator wants it to [`look`]. So a database that is away means "as of 12:04", never an
//! error, and a visitor costs the same with one check or a hundred million.
//!
//! What few ask for is drawn when they do: [`pages`] has the page of a service, and those of outages, drawn of the same
//! snapshot, each once for all who ask; and so the [`answers`] for programs that the snapshot gives, a [`badge`], a
//! [`feed`]. How long checks took over months ([`response_times`]) is read for it by [`inquiries`], on a connection of its
//! own. What programs ask about the past is read by others like them: [`query`] understands the question, or there is a
//! [`problem`]; [`span`] divides time, and a [`cursor`] tells where a list goes on.
//!
//! A visitor comes in by one of the [`sockets`] on a [`connection`], which he loses when he takes nothing; [`serve`]
//! leads from there to the routes, within [`limits`], [`clients`] tells whose streams are too many, the
//! [`watchdog`] tells systemd whether all this advances, and [`metrics`] tell Prometheus how much.

pub mod accept;
pub mod answers;
pub mod assets;
pub mod badge;
pub mod body;
pub mod cli;
pub mod clients;
pub mod connection;
pub mod cursor;
pub mod events;
pub mod facts;
pub mod feed;
pub mod inquiries;
pub mod json;
pub mod limits;
pub mod look;
pub mod metrics;
pub mod outages;
pub mod packed;
pub mod pages;
pub mod problem;
pub mod publish;
pub mod query;
pub mod refresh;
pub mod render;
pub mod response_times;
pub mod routes;
#[cfg(test)]
mod sample;
pub mod series;
pub mod serve;
pub mod server;
pub mod site;
pub mod snapshot;
pub mod sockets;
pub mod span;
pub mod store;
pub mod uptime;
pub mod watchdog;
pub mod words;
