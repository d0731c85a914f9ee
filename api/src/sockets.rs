//! The sockets that visitors come in by: those that systemd hands over, or those that are opened here.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::Path,
};

use listenfd::ListenFd;
use tokio::net::TcpSocket;

/// Connections that may wait to be accepted; the kernel has a limit of its own (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub enum Socket {
    /// On an address.
    Tcp(TcpListener),
    /// In the file system.
    Unix(UnixListener),
}

impl Socket {
    /// A TCP socket on each of these addresses that can be had.
    ///
    /// # Errors
    /// Where none can be had.
    pub fn open(addresses: &[SocketAddr]) -> io::Result<Vec<Socket>> {
        let (opened, failed): (Vec<_>, Vec<_>) =
            addresses.iter().map(|address| listen(*address)).partition(Result::is_ok);
        match failed.into_iter().next_back() {
            Some(Err(error)) if opened.is_empty() => Err(error),
            _ => Ok(opened.into_iter().flatten().map(Socket::Tcp).collect()),
        }
    }

    /// What people call it.
    pub fn name(&self) -> String {
        match self {
            Socket::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| format!("http://{address}")),
            Socket::Unix(listener) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.unwrap_or(Path::new("a unix socket")).display().to_string()
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// The sockets that whoever started this process hands over (`LISTEN_FDS`, see sd_listen_fds(3)); none, usually. What
/// connects to them while no process serves waits for the next one. To be called before there is another thread, since
/// it takes what it has read out of the environment, and only once.
///
/// # Errors
/// For what is no listening stream socket, with its number.
pub fn handed_over() -> Result<Vec<Socket>, String> {
    let mut handed_over = ListenFd::from_env();
    (0..handed_over.len())
        .map(|n| {
            if let Ok(Some(listener)) = handed_over.take_tcp_listener(n) {
                return Ok(Socket::Tcp(listener));
            }
            match handed_over.take_unix_listener(n) {
                Ok(Some(listener)) => Ok(Socket::Unix(listener)),
                _ => Err(format!(
                    "socket {n} of those that were handed over (LISTEN_FDS) is no TCP or unix stream socket: \
                     write ListenStream= in its unit"
                )),
            }
        })
        .collect()
}
