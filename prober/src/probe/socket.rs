//! A TCP connection of which every wait ends at one deadline.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use shared::Failure;
use socket2::{Domain, Socket as Unconnected, Type};

use super::fault::{Fault, in_words, is_out_of_resources_for};
use crate::{broken::Broken, verdict::Phase};

/// A connected socket. Reads and writes fail with `TimedOut` at the deadline.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    pub(super) address: SocketAddr,
    deadline: Instant,
    /// How long a write may wait, as the system was told.
    patience: Duration,
}

impl Socket {
    /// Connects to the first of `addresses` that accepts. Each but the last gets half of the time that is
    /// left, so that one which never answers does not hide the next. `addresses` is not empty.
    pub(super) fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<Socket, Fault> {
        let mut first_error = None;
        for (index, &address) in addresses.iter().enumerate() {
            let is_last = index + 1 == addresses.len();
            match connect_one(address, deadline, is_last) {
                Ok((stream, patience)) => return Ok(Socket { stream, address, deadline, patience }),
                Err(error) if is_out_of_resources_for(&error, address) => {
                    return Err(Fault::Ours(Broken::OutOfResources(error)));
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(explain(addresses, first_error.as_ref(), deadline))
    }

    fn left(&self) -> io::Result<Duration> {
        left(self.deadline).ok_or_else(|| io::ErrorKind::TimedOut.into())
    }
}

/// What may wait this much longer than it should is not told anew.
const NEAR: Duration = Duration::from_millis(10);

/// With how long writes may wait, connecting included. By a call that blocks: one that does not, as the standard
/// library's, costs four more.
fn connect_one(address: SocketAddr, deadline: Instant, is_last: bool) -> io::Result<(TcpStream, Duration)> {
    let deadline = match left(deadline) {
        Some(left) if !is_last => Instant::now() + left / 2,
        _ => deadline,
    };
    let socket = Unconnected::new(Domain::for_address(address), Type::STREAM, None)?;
    loop {
        let patience = left(deadline).ok_or(io::ErrorKind::TimedOut)?;
        socket.set_write_timeout(Some(patience))?;
        match socket.connect(&address.into()).map_err(|error| (error.raw_os_error(), error)) {
            // A signal came, and meanwhile it was connected.
            Ok(()) | Err((Some(libc::EISCONN), _)) => return Ok((socket.into(), patience)),
            Err((Some(libc::EINTR), _)) => {}
            Err((Some(libc::EINPROGRESS | libc::EALREADY), _)) => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err((_, error)) => return Err(error),
        }
    }
}

fn left(deadline: Instant) -> Option<Duration> {
    Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}

fn explain(addresses: &[SocketAddr], first_error: Option<&io::Error>, deadline: Instant) -> Fault {
    let first = addresses[0];
    if left(deadline).is_none() {
        return Fault::Late(Phase::Connect(first));
    }
    let reason = first_error.map_or_else(|| "no connection".to_owned(), in_words);
    let others = match addresses.len() - 1 {
        0 => String::new(),
        1 => ", nor at 1 other address".to_owned(),
        others => format!(", nor at {others} other addresses"),
    };
    Fault::Failed(Failure::Connect, format!("{reason} ({first}){others}"))
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(name_timeout),
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        if self.patience > left + NEAR {
            self.stream.set_write_timeout(Some(left))?;
            self.patience = left;
        }
        self.stream.write(buffer).map_err(name_timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blocking socket whose time is up says that it would block.
fn name_timeout(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}
