//! `status-api` at work: two plain threads that read and publish, and the web server that hands out.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, mpsc},
    time::Duration,
};

use actix_server::Server;
use actix_web::rt::System;
use chrono::Utc;
use shared::{
    Database,
    metrics::Address,
    systemd::{NotifyState, tell},
    vital,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep, timeout},
};

use crate::{
    clients::{Clients, Trusted},
    connection::Traffic,
    inquiries::Inquiries,
    limits::Limits,
    metrics,
    pages::Pages,
    publish::{Latest, Publisher},
    refresh,
    render::Renderer,
    routes::{Described, Shown},
    serve,
    site::Site,
    snapshot::Known,
    sockets::{self, Socket},
    watchdog::{self, Pulse},
};

/// At the end, clients that came before it have this long to say what they want.
const LAST_QUESTIONS: Duration = Duration::from_secs(2);
/// Who was accepted just before the end is known after this long.
const LAST_CONNECTIONS: Duration = Duration::from_millis(100);

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Addresses of a host and port.
    Tcp(String),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Listen::Unix(path.into()))
            } else {
                Err("write an absolute path, like unix:/run/status-api/socket".into())
            };
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Listen::Tcp(text.into()))
            }
            _ => Err("write an address and a port, like 127.0.0.1:8080 or [::1]:8080, or unix:/path".into()),
        }
    }
}

impl Default for Listen {
    /// Where it listens unless it is told otherwise.
    fn default() -> Listen {
        Listen::Tcp("127.0.0.1:8080".into())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => f.write_str(address),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Serves until SIGTERM or SIGINT: on the sockets that systemd hands over, and only where it hands over none on those
/// that are said.
///
/// # Errors
/// Why it did not start, for people.
pub fn run(
    listen: Option<&Listen>,
    site: Site,
    trusted: Trusted,
    metrics_address: Option<&Address>,
) -> Result<(), String> {
    // Before there is any other thread.
    let handed_over = sockets::handed_over()?;
    let renderer = Renderer::new(&site).map_err(|error| format!("the page can't be set up: {error}"))?;
    let limits = Limits::of_this_process();
    let pulse = Arc::new(Pulse::default());
    let clients = Arc::new(Clients::new(trusted, limits.streams));
    let shown = publish(Arc::new(renderer), site, clients, &pulse)?;
    if let Some(address) = metrics_address {
        shared::metrics::serve(address, metrics::registry(Arc::clone(&shown.latest)))?;
    }
    let failed = |error: io::Error| format!("serving: {error}");
    System::new().block_on(async {
        // Before anybody can know that this process is ready: a signal must find its handler.
        let ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let latest = Arc::clone(&shown.latest);
        let sockets = choose(handed_over, listen)?;
        let traffic = Arc::new(Traffic::default());
        let server = serve::on(sockets, &limits, &shown, &traffic, &pulse).map_err(failed)?;
        wait(server, ends, &latest, &traffic, &pulse).await.map_err(failed)
    })
}

fn publish(
    renderer: Arc<Renderer>,
    site: Site,
    clients: Arc<Clients>,
    pulse: &Pulse,
) -> Result<Shown, String> {
    let database = match Database::from_environment("status-api") {
        Ok(Some(database)) => Ok(database),
        Ok(None) => Err("DATABASE_URL is not set".to_owned()),
        Err(malformed) => Err(malformed.to_string()),
    };
    let known = if database.is_ok() { Known::Nothing(Utc::now()) } else { Known::Unconfigured };
    let publisher = Publisher::new(Arc::clone(&renderer), known)?;
    let no_thread = |error: io::Error| format!("the system gives no thread: {error}");
    // Each with a connection of its own: whoever exports years keeps no page waiting for its charts.
    let inquiries = |thread, what| match &database {
        Ok(database) => Inquiries::start(database.clone(), thread, what).map_err(no_thread),
        Err(_) => Ok(Inquiries::unanswered()),
    };
    let pages = Arc::new(Pages::new(Arc::clone(&renderer), inquiries("charts", "the charts of pages")?));
    let inquiries = Arc::new(inquiries("inquirer", "the past")?);
    let latest = publisher.latest();
    let described = Arc::new(Described::default());
    let shown = Shown { latest, renderer, pages, inquiries, described, site: Arc::new(site), clients };
    let (news, heard) = mpsc::channel();
    let beat = pulse.part();
    // Without a database there will be no news; those who listen still hear signs of life.
    let silent = database.is_err().then(|| news.clone());
    match database {
        Ok(database) => {
            log::info!("reading from {database}");
            vital::start("refresher", move || refresh::run(&database, &news)).map_err(no_thread)?;
        }
        Err(reason) => log::error!("{reason}. The page is served without figures until a restart"),
    }
    let publish = move || {
        publisher.run(&heard, &beat);
        drop(silent);
    };
    vital::start("publisher", publish).map_err(no_thread)?;
    Ok(shown)
}

fn choose(handed_over: Vec<Socket>, listen: Option<&Listen>) -> Result<Vec<Socket>, String> {
    let sockets = if handed_over.is_empty() {
        let listen = listen.cloned().unwrap_or_default();
        open(&listen).map_err(|error| explain(&listen, &error))?
    } else {
        if let Some(listen) = listen {
            log::warn!(
                "{listen} is not listened on, since systemd hands over sockets: change status-api.socket, or take \
                 --listen (STATUS_LISTEN) away"
            );
        }
        handed_over
    };
    for socket in &sockets {
        log::info!("listening on {}", socket.name());
    }
    Ok(sockets)
}

fn open(listen: &Listen) -> io::Result<Vec<Socket>> {
    match listen {
        Listen::Tcp(address) => Socket::open(&addresses(address)?),
        Listen::Unix(path) => {
            free(path)?;
            let listener = UnixListener::bind(path)?;
            open_to_proxies(path)?;
            Ok(vec![Socket::Unix(listener)])
        }
    }
}

fn addresses(address: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(address.to_socket_addrs()?.collect())
}

/// Only a socket that nobody answers on any more may be replaced.
fn free(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(there) if there.file_type().is_socket() => {}
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) => return Err(error),
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Whoever may enter the folder may read the page: a proxy runs as another user.
fn open_to_proxies(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
}

fn explain(listen: &Listen, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "there is a file that is no socket: choose another path with --listen"
        }
        io::ErrorKind::AddrInUse => "it is taken: stop the other program, or choose another with --listen",
        io::ErrorKind::PermissionDenied => {
            "there is no right to: choose a port from 1024 on, or another path"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address: choose another with --listen",
        _ => return format!("can't listen on {listen}: {error}"),
    };
    format!("can't listen on {listen}: {advice}")
}

async fn wait(
    server: Server,
    [term, interrupt]: [io::Result<Signal>; 2],
    latest: &Latest,
    traffic: &Traffic,
    pulse: &Pulse,
) -> io::Result<()> {
    let (mut term, mut interrupt) = (term?, interrupt?);
    let handle = server.handle();
    let mut served = std::pin::pin!(server);
    tell(&[NotifyState::Ready]);
    tokio::select! {
        ended = &mut served => return ended,
        () = watchdog::watch(pulse, latest) => {}
        _ = term.recv() => log::info!("SIGTERM: finishing the requests at work"),
        _ = interrupt.recv() => log::info!("SIGINT: finishing the requests at work"),
    }
    tell(&[NotifyState::Stopping]);
    latest.events.end();
    traffic.end();
    let stop = async {
        // Who comes from here on waits for the next process, where the socket outlives this one.
        handle.pause().await;
        answer_the_last(traffic).await;
        handle.stop(true).await;
    };
    // The server does its part of stopping only while it is polled.
    let ((), ended) = tokio::join!(stop, served);
    ended
}

/// Stopping closes connections that no request came on yet, though one may be on its way.
async fn answer_the_last(traffic: &Traffic) {
    sleep(LAST_CONNECTIONS).await;
    let all_answered = async {
        while traffic.asking() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    // Who says nothing for so long goes without.
    drop(timeout(LAST_QUESTIONS, all_answered).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_an_absolute_path() {
        for good in ["127.0.0.1:8080", "[::1]:80", "localhost:0", "unix:/run/status-api/socket"] {
            assert_eq!(Listen::from_str(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "8080",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:http",
            "127.0.0.1:99999",
            "unix:socket",
            "/run/socket",
        ] {
            assert!(Listen::from_str(bad).is_err(), "{bad}");
        }
    }
}
