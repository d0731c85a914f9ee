//! From a socket to the routes: the web server, put together so that a [`Connection`] lies between both, and what all
//! answers have in common.

use std::{future::ready, io, sync::Arc, time::Duration};

use actix_http::{ConnectionType, HttpService, error::DispatchError};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App, Error,
    dev::{AppConfig, Service, ServiceRequest, ServiceResponse},
    http::header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    middleware::DefaultHeaders,
};
use tokio::net::{TcpStream, UnixStream};

use crate::{
    connection::{Connection, Stream, Traffic},
    limits::Limits,
    routes::{self, Shown},
    sockets::Socket,
    watchdog::Pulse,
};

/// A client that takes longer to say what it wants is cut off.
const REQUEST_HEAD: Duration = Duration::from_secs(5);
/// A client that has its answer may ask again within this time.
const NEXT_REQUEST: Duration = Duration::from_secs(15);
/// A client that is told of the end of its connection has this long to take note.
const GOODBYE: Duration = Duration::from_secs(2);
/// At the end, requests at work have this long, in seconds.
const LAST_REQUESTS: u64 = 5;
/// What no page here wants from a browser, and no script that got into one shall have.
const PERMISSIONS_POLICY: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
                                  hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// A server on these sockets; it serves while it is polled.
///
/// # Errors
/// Where the system refuses a socket.
pub fn on(
    sockets: Vec<Socket>,
    limits: &Limits,
    shown: &Shown,
    traffic: &Arc<Traffic>,
    pulse: &Arc<Pulse>,
) -> io::Result<Server> {
    let mut server = Server::build()
        .workers(limits.workers)
        .max_concurrent_connections(limits.connections_of_a_worker)
        .shutdown_timeout(LAST_REQUESTS)
        .disable_signals();
    let way = Way {
        shown: shown.clone(),
        traffic: Arc::clone(traffic),
        ending: server.graceful_shutdown_signal(),
        pulse: Arc::clone(pulse),
    };
    for socket in sockets {
        let way = way.clone();
        server = match socket {
            Socket::Tcp(listener) => server.listen("tcp", listener, move || way.from::<TcpStream>()),
            Socket::Unix(listener) => server.listen_uds("unix", listener, move || way.from::<UnixStream>()),
        }?;
    }
    Ok(server.run())
}

/// What lies between a socket and the routes.
#[derive(Clone)]
struct Way {
    shown: Shown,
    traffic: Arc<Traffic>,
    ending: GracefulShutdownSignal,
    pulse: Arc<Pulse>,
}

impl Way {
    /// The services of one worker, which calls this on its own thread.
    fn from<S: Into<Stream> + 'static>(
        &self,
    ) -> impl ServiceFactory<S, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<S>
    {
        self.pulse.include_this_loop();
        let (traffic, ending) = (Arc::clone(&self.traffic), self.ending.clone());
        let connect = move |stream: S| {
            let stream = stream.into();
            let peer = stream.peer();
            ready(Ok((Connection::new(stream, Arc::clone(&traffic)), peer)))
        };
        let http = HttpService::build()
            .client_request_timeout(REQUEST_HEAD)
            .keep_alive(NEXT_REQUEST)
            .client_disconnect_timeout(GOODBYE)
            // Hidden in the documentation of the library, whose own server calls it: who waits between two requests
            // is told of the end, instead of holding it up.
            .graceful_shutdown_signal(move || {
                let ending = ending.clone();
                async move { ending.notified().await }
            })
            .h1(map_config(self.app(), |()| AppConfig::default()));
        fn_service(connect).and_then(http)
    }

    fn app(
        &self,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse,
            Error = Error,
            InitError = (),
        > + use<>,
    > {
        let (shown, traffic) = (self.shown.clone(), Arc::clone(&self.traffic));
        let (latest, base_path) = (Arc::clone(&shown.latest), shown.site.base_path.clone());
        let headers = DefaultHeaders::new()
            .add(("X-Content-Type-Options", "nosniff"))
            .add(("Referrer-Policy", "no-referrer"))
            .add(("Permissions-Policy", PERMISSIONS_POLICY));
        App::new()
            .wrap(headers)
            .wrap_fn(move |request, routes| {
                let last = has_body(&request) || traffic.is_ending();
                let (answer, latest, base_path) =
                    (routes.call(request), Arc::clone(&latest), base_path.clone());
                async move {
                    let mut answer = answer.await?;
                    latest.metrics.answered(answer.request(), &base_path, answer.status());
                    if last {
                        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
                    }
                    Ok(answer)
                }
            })
            .configure(move |app| routes::configure(app, &shown))
    }
}

/// Nobody reads it, and what follows it would have to be told from it.
fn has_body(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    let length = headers.get_all(CONTENT_LENGTH).any(|length| length.as_bytes() != b"0");
    length || headers.contains_key(TRANSFER_ENCODING)
}
