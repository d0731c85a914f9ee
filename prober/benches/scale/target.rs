//! The target server: one thread for all services and all their connections, so that it costs little and can delay many
//! answers at once. TLS is done by another, and keeps no connection waiting to be accepted.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::ServerConfig;
use shared::testing::free_port;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::{Builder, Handle, Runtime},
};

use crate::{
    load::{ADDRESSES, Answer, address, asked},
    secured::Line,
    seen::Seen,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BACKLOG: u32 = 4096;

/// A running target server; it ends with the process.
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
}

impl Target {
    pub(crate) fn start(services: usize, tls: Option<&Arc<ServerConfig>>) -> Target {
        let (port, seen) = (free_port(), Arc::new(Seen::nothing(services)));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let answering = tls.map_or_else(|| runtime.handle().clone(), |_| another_thread());
        let listeners: Vec<TcpListener> = {
            let _entered = runtime.enter();
            (0..ADDRESSES).map(|n| listen(&address(n), port)).collect()
        };
        for listener in listeners {
            runtime.spawn(accept(listener, answering.clone(), tls.cloned(), Arc::clone(&seen)));
        }
        run(runtime);
        Target { port, seen }
    }
}

fn another_thread() -> Handle {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    run(runtime);
    handle
}

fn run(runtime: Runtime) {
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
}

fn listen(host: &str, port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::new(host.parse().unwrap(), port)).unwrap();
    socket.listen(BACKLOG).unwrap()
}

async fn accept(listener: TcpListener, answering: Handle, tls: Option<Arc<ServerConfig>>, seen: Arc<Seen>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        answering.spawn(serve(stream, Instant::now(), tls.clone(), Arc::clone(&seen)));
    }
}

/// One request, and its answer.
async fn serve(stream: TcpStream, at: Instant, tls: Option<Arc<ServerConfig>>, seen: Arc<Seen>) {
    let mut line = Line::new(stream, tls);
    let mut head = [0; 512];
    let Some((service, answer)) = line.read(&mut head).await.ok().and_then(|length| asked(&head[..length]))
    else {
        return;
    };
    seen.begin(service, at);
    match answer {
        Answer::After(0) => line.write(OK).await.unwrap_or_default(),
        Answer::After(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            line.write(OK).await.unwrap_or_default();
        }
        // Until it is given up.
        Answer::Never => drop(line.read(&mut head).await),
    }
    seen.end(service);
}
