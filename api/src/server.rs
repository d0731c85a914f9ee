//! `status-api` at work: two plain threads that read and publish, and the web server that hands out.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, mpsc},
    time::Duration,
};

use actix_web::{App, HttpServer, dev::Server, middleware::DefaultHeaders, rt::System};
use chrono::Utc;
use shared::{
    Database,
    systemd::{NotifyState, tell},
    vital,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    events::Events,
    inquiries::Inquiries,
    pages::Pages,
    publish::Publisher,
    refresh,
    render::Renderer,
    routes::{self, Shown},
    site::Site,
    snapshot::Known,
};

/// A client that takes longer to say what it wants is cut off.
const REQUEST_HEAD: Duration = Duration::from_secs(5);
/// At the end, requests at work have this long, in seconds.
const LAST_REQUESTS: u64 = 5;

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

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => f.write_str(address),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Why it did not start, for people.
pub fn run(listen: &Listen, site: Site) -> Result<(), String> {
    let renderer = Renderer::new(&site).map_err(|error| format!("the page can't be set up: {error}"))?;
    let shown = publish(Arc::new(renderer), site)?;
    let failed = |error: io::Error| format!("serving: {error}");
    System::new().block_on(async {
        // Before anybody can know that this process is ready: a signal must find its handler.
        let ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let latest = Arc::clone(&shown.latest);
        let server = serve(listen, shown)?;
        wait(server, ends, &latest.events).await.map_err(failed)
    })
}

fn publish(renderer: Arc<Renderer>, site: Site) -> Result<Shown, String> {
    let database = match Database::from_environment("status-api") {
        Ok(Some(database)) => Ok(database),
        Ok(None) => Err("DATABASE_URL is not set".to_owned()),
        Err(malformed) => Err(malformed.to_string()),
    };
    let known = if database.is_ok() { Known::Nothing(Utc::now()) } else { Known::Unconfigured };
    let publisher = Publisher::new(Arc::clone(&renderer), known)?;
    let no_thread = |error: io::Error| format!("the system gives no thread: {error}");
    let inquiries = match &database {
        Ok(database) => Inquiries::start(database.clone()).map_err(no_thread)?,
        Err(_) => Inquiries::unanswered(),
    };
    let pages = Arc::new(Pages::new(Arc::clone(&renderer), inquiries));
    let shown = Shown { latest: publisher.latest(), renderer, pages, site: Arc::new(site) };
    match database {
        Ok(database) => {
            log::info!("reading from {database}");
            let (news, heard) = mpsc::channel();
            vital::start("refresher", move || refresh::run(&database, &news)).map_err(no_thread)?;
            vital::start("publisher", move || publisher.run(&heard)).map_err(no_thread)?;
        }
        Err(reason) => log::error!("{reason}. The page is served without figures until a restart"),
    }
    Ok(shown)
}

fn serve(listen: &Listen, shown: Shown) -> Result<Server, String> {
    let server = HttpServer::new(move || {
        App::new()
            .wrap(
                DefaultHeaders::new()
                    .add(("X-Content-Type-Options", "nosniff"))
                    .add(("Referrer-Policy", "no-referrer")),
            )
            .configure(|app| routes::configure(app, &shown))
    })
    .client_request_timeout(REQUEST_HEAD)
    .shutdown_timeout(LAST_REQUESTS)
    .disable_signals();
    let bound = match listen {
        Listen::Tcp(address) => addresses(address).and_then(|addresses| server.bind(&addresses[..])),
        Listen::Unix(path) => free(path)
            .and_then(|()| server.bind_uds(path))
            .and_then(|server| open_to_proxies(path).map(|()| server)),
    };
    let server = bound.map_err(|error| explain(listen, &error))?;
    match listen {
        Listen::Unix(path) => log::info!("listening on {}", path.display()),
        Listen::Tcp(_) => {
            for address in server.addrs() {
                log::info!("listening on http://{address}");
            }
        }
    }
    Ok(server.run())
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
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
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

async fn wait(server: Server, [term, interrupt]: [io::Result<Signal>; 2], events: &Events) -> io::Result<()> {
    let (mut term, mut interrupt) = (term?, interrupt?);
    let handle = server.handle();
    let mut served = std::pin::pin!(server);
    tell(&[NotifyState::Ready]);
    tokio::select! {
        ended = &mut served => return ended,
        _ = term.recv() => log::info!("SIGTERM: finishing the requests at work"),
        _ = interrupt.recv() => log::info!("SIGINT: finishing the requests at work"),
    }
    tell(&[NotifyState::Stopping]);
    events.end();
    // The server does its part of stopping only while it is polled.
    let (_, ended) = tokio::join!(handle.stop(true), served);
    ended
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
