//! Streams of events as ten thousand pages hold them: plain sockets that note what they hear, and when.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc::Sender},
    time::Instant,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpSocket,
    runtime::{Builder, Runtime},
    sync::Semaphore,
};

/// So many connect at a time.
const AT_ONCE: usize = 256;
/// Of one source address: there are fewer than 28,233 ports for the others.
const PER_ADDRESS: usize = 1_000;
const REQUEST: &[u8] =
    b"GET /api/status/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";

/// What one of them noted.
pub(crate) struct Heard {
    pub(crate) listener: usize,
    pub(crate) what: What,
    pub(crate) at: Instant,
}

#[derive(Debug, PartialEq)]
pub(crate) enum What {
    /// The stream has begun.
    Hello,
    /// A change, as of this instant.
    Change(String),
    /// Something that should not be.
    Wrong(String),
    /// The stream is over, in order.
    Ended,
}

/// Connects so many listeners; they listen for as long as the runtime lives.
pub(crate) fn connect(address: SocketAddr, count: usize, tell: &Sender<Heard>) -> Runtime {
    // One thread: the api has the other processor.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    for listener in 0..count {
        let (tell, turns) = (tell.clone(), Arc::clone(&turns));
        let note = move |what| drop(tell.send(Heard { listener, what, at: Instant::now() }));
        runtime.spawn(async move {
            if let Err(error) = listen(address, listener, &turns, &note).await {
                note(What::Wrong(error.to_string()));
            }
        });
    }
    runtime
}

async fn listen(
    address: SocketAddr,
    listener: usize,
    turns: &Semaphore,
    note: &impl Fn(What),
) -> std::io::Result<()> {
    let mut turn = turns.acquire().await.ok();
    let socket = TcpSocket::new_v4()?;
    let host = u8::try_from(2 + listener / PER_ADDRESS).expect("a few hundred thousand listeners at most");
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
    let mut stream = socket.connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut lines = BufReader::with_capacity(2048, stream).lines();
    let (mut id, mut name) = (String::new(), String::new());
    // The lines of the chunks between the events say nothing to us, but for the last.
    while let Some(line) = lines.next_line().await? {
        match line.split_once(": ") {
            Some(("id", value)) => value.clone_into(&mut id),
            Some(("event", value)) => value.clone_into(&mut name),
            Some(("data", _)) if name == "hello" => {
                turn.take();
                note(What::Hello);
            }
            Some(("data", _)) if name == "change" => note(What::Change(id.clone())),
            Some(("data", _)) => note(What::Wrong(name.clone())),
            None if line == "0" => {
                note(What::Ended);
                return Ok(());
            }
            _ => {}
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}
