//! How ureq reaches a server here: TCP and TLS under one deadline, each phase with its own words, nothing
//! kept alive afterwards.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};

use rustls::{ClientConfig, ClientConnection, Stream};
use shared::Failure;
use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport},
    },
};

use super::{
    buffers::{HEAD_LIMIT, Pages},
    fault::{Fault, head_too_long, in_words},
    socket::Socket,
    tls::{explain_tls, shake_hands, tls_error},
};
use crate::verdict::Phase;

/// The addresses that were found before a thread was taken. Nobody else is connected to, whatever name
/// servers say a moment later.
#[derive(Debug)]
pub(super) struct Found(pub(super) Vec<SocketAddr>);

impl Resolver for Found {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        self.0.iter().for_each(|address| addresses.push(*address));
        Ok(addresses)
    }
}

/// Connects for one request.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) deadline: Instant,
    pub(super) trust: Arc<ClientConfig>,
    /// What the head of the request takes, in bytes.
    pub(super) request_size: usize,
}

impl Connector<()> for Dialer {
    type Out = Line;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Line>, Error> {
        let mut socket = Socket::connect(&details.addrs, self.deadline)?;
        let host = details.uri.host().unwrap_or_default();
        let tls = match details.needs_tls() {
            true => Some(Box::new(shake_hands(&mut socket, self.trust.clone(), host)?)),
            false => None,
        };
        let buffers = Pages::new(self.request_size);
        Ok(Some(Line { socket, tls, buffers, received: 0, host: host.to_owned() }))
    }
}

/// One connection, for one request and the head of its answer.
#[derive(Debug)]
pub(super) struct Line {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    buffers: Pages,
    received: usize,
    host: String,
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        self.write(amount).map_err(|error| self.explain(&error).into())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        if self.received >= HEAD_LIMIT {
            return Err(head_too_long().into());
        }
        match self.read() {
            Ok(0) => Err(self.explain(&io::ErrorKind::UnexpectedEof.into()).into()),
            Ok(amount) => {
                self.received += amount;
                self.buffers.input_appended(amount);
                Ok(true)
            }
            Err(error) => Err(self.explain(&error).into()),
        }
    }

    /// For no other request.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl Line {
    fn write(&mut self, amount: usize) -> io::Result<()> {
        let bytes = &self.buffers.output()[..amount];
        match &mut self.tls {
            None => self.socket.write_all(bytes),
            Some(tls) => Stream::new(tls.as_mut(), &mut self.socket).write_all(bytes),
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let room = self.buffers.input_append_buf();
        match &mut self.tls {
            None => self.socket.read(room),
            Some(tls) => Stream::new(tls.as_mut(), &mut self.socket).read(room),
        }
    }

    fn explain(&self, error: &io::Error) -> Fault {
        let address = self.socket.address;
        let begun = self.received > 0;
        match error.kind() {
            io::ErrorKind::TimedOut if begun => Fault::Late(Phase::Headers(address)),
            io::ErrorKind::TimedOut => Fault::Late(Phase::Answer(address)),
            io::ErrorKind::UnexpectedEof => {
                let place = if begun { "within the headers" } else { "without an answer" };
                Fault::Failed(Failure::Protocol, format!("connection closed {place} ({address})"))
            }
            _ => match tls_error(error) {
                Some(error) => {
                    Fault::Failed(Failure::Tls, format!("{} ({address})", explain_tls(error, &self.host)))
                }
                None => Fault::Failed(Failure::Connect, format!("{} ({address})", in_words(error))),
            },
        }
    }
}
