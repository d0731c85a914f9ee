//! A connection whose client is let go once nothing can be sent to it for a while, whatever it does meanwhile; and the
//! count of those who still wait for an answer, so that an end leaves nobody without one.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Instant, Sleep, sleep_until},
};

/// All that is served lies ready, and who listens to changes hears something every 8 s. So a connection on which
/// nothing could be sent for this long has a client that asks for nothing, never comes to the end of asking, sends a
/// body that nobody reads, or takes nothing of its answer. One rule for all of them, where timers for each would leave
/// gaps (the server's own for heads counts for the first request of a connection only).
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What all connections of this process have in common.
#[derive(Debug, Default)]
pub struct Traffic {
    asking: AtomicUsize,
    ending: AtomicBool,
}

impl Traffic {
    /// From now on every answer is the last of its connection.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether it was ended.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// How many clients wait for an answer, or may be about to ask on a new connection.
    pub fn asking(&self) -> usize {
        self.asking.load(Ordering::Relaxed)
    }
}

/// Where a connection came in.
#[derive(Debug)]
pub enum Stream {
    /// From an address.
    Tcp(TcpStream),
    /// From this machine.
    Unix(UnixStream),
}

impl Stream {
    /// Who is at the other end; nobody says of a unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            Stream::Unix(_) => None,
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        Stream::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Stream {
        Stream::Unix(stream)
    }
}

/// A connection of a client.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    traffic: Arc<Traffic>,
    asks: bool,
    sent_at: Instant,
    patience: Pin<Box<Sleep>>,
}

impl Connection {
    /// A new one.
    pub fn new(stream: Stream, traffic: Arc<Traffic>) -> Connection {
        let now = Instant::now();
        traffic.asking.fetch_add(1, Ordering::Relaxed);
        Connection {
            stream,
            traffic,
            asks: true,
            sent_at: now,
            patience: Box::pin(sleep_until(now + PATIENCE)),
        }
    }

    fn asks(&mut self, asks: bool) {
        if self.asks != asks {
            self.asks = asks;
            match asks {
                true => self.traffic.asking.fetch_add(1, Ordering::Relaxed),
                false => self.traffic.asking.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }

    /// An error once patience is over; otherwise the task is woken when it may be.
    fn still_patient(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.patience.as_mut().poll(cx).is_ready() {
            let end = self.sent_at + PATIENCE;
            if end <= Instant::now() {
                self.reset();
                return Err(io::ErrorKind::TimedOut.into());
            }
            // Moved when it is over and not at each write: it is over once in a while, writes are many.
            self.patience.as_mut().reset(end);
        }
        Ok(())
    }

    /// What was not taken is forgotten with the connection: the kernel would keep it for minutes.
    fn reset(&self) {
        if let Stream::Tcp(stream) = &self.stream {
            // Where it fails, the connection is gone already.
            stream.set_zero_linger().ok();
        }
    }

    fn sent(&mut self) {
        self.sent_at = Instant::now();
        self.asks(false);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.asks(false);
    }
}

macro_rules! stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.stream {
            Stream::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.still_patient(cx)?;
        let before = buffer.filled().len();
        ready!(stream!(self, stream => stream.poll_read(cx, buffer)))?;
        // The end of what a client sends is no question, and does not answer the one before it.
        if buffer.filled().len() > before {
            self.asks(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.still_patient(cx)?;
        let written = ready!(stream!(self, stream => stream.poll_write(cx, bytes)))?;
        self.sent();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.still_patient(cx)?;
        stream!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn connection() -> (Connection, UnixStream, Arc<Traffic>) {
        let (here, there) = UnixStream::pair().unwrap();
        let traffic = Arc::new(Traffic::default());
        (Connection::new(Stream::Unix(here), Arc::clone(&traffic)), there, traffic)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_let_go() {
        let (mut connection, _there, _) = connection();
        let began = Instant::now();
        let error = loop {
            if let Err(error) = connection.write_all(&[0; 65_536]).await {
                break error;
            }
        };
        assert_eq!((error.kind(), began.elapsed() >= PATIENCE), (io::ErrorKind::TimedOut, true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_sending_without_an_end_is_let_go() {
        let (mut connection, mut there, _) = connection();
        let drip = tokio::spawn(async move {
            while there.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut sent = Vec::new();
        let error = connection.read_to_end(&mut sent).await.unwrap_err();
        assert_eq!((error.kind(), sent.len() >= 19), (io::ErrorKind::TimedOut, true), "{sent:?}");
        drop(connection);
        drip.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_from_time_to_time_is_kept() {
        let (mut connection, mut there, _) = connection();
        let taker = tokio::spawn(async move {
            let mut taken = vec![0; 1 << 20];
            loop {
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
                match there.read(&mut taken).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        });
        for _ in 0..50 {
            connection.write_all(&[0; 65_536]).await.unwrap();
        }
        drop(connection);
        taker.await.unwrap();
    }

    #[tokio::test]
    async fn who_asks_is_counted_until_something_is_sent() {
        let (mut connection, mut there, traffic) = connection();
        assert_eq!(traffic.asking(), 1, "he may be about to");
        connection.write_all(b"answer").await.unwrap();
        assert_eq!(traffic.asking(), 0);
        there.read_exact(&mut [0; 6]).await.unwrap();
        there.write_all(b"question").await.unwrap();
        connection.read_exact(&mut [0; 8]).await.unwrap();
        assert_eq!(traffic.asking(), 1);
        drop(there);
        assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(traffic.asking(), 1, "he may still listen for the answer");
    }

    #[tokio::test]
    async fn who_goes_unanswered_is_not_counted_any_more() {
        let (connection, _there, traffic) = connection();
        drop(connection);
        assert_eq!(traffic.asking(), 0);
    }
}
