//! What a program counts, for whoever scrapes it: OpenMetrics over HTTP, on an address of its own, by a thread of its own.
//! What is counted is each program's.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use prometheus_client::{encoding::text, registry::Registry};
use tokio::{runtime, sync::Semaphore, time::timeout};

use crate::vital;

/// The text format of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
/// Scrapes at once; more wait.
const AT_ONCE: usize = 8;
/// Who takes longer to ask and to read goes without.
const PATIENCE: Duration = Duration::from_secs(20);
/// After the system refused a connection.
const PAUSE: Duration = Duration::from_millis(200);

/// Where to be scraped: a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Address, &'static str> {
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Address(text.into())),
            _ => Err("write an address and a port, like 127.0.0.1:9150 or [::1]:9150"),
        }
    }
}

/// Answers scrapes from now on, with what this registry holds.
///
/// # Errors
/// Where it can't be listened, for people.
pub fn serve(address: &Address, registry: Registry) -> Result<(), String> {
    let explain = |error: io::Error| format!("can't be scraped on {}: {error}", address.0);
    let addresses: Vec<SocketAddr> = address.0.to_socket_addrs().map_err(explain)?.collect();
    let listener = TcpListener::bind(&addresses[..]).map_err(explain)?;
    listener.set_nonblocking(true).map_err(explain)?;
    log::info!("metrics on http://{}/metrics", listener.local_addr().map_err(explain)?);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(explain)?;
    let registry = Arc::new(registry);
    vital::start("metrics", move || runtime.block_on(accept(listener, registry))).map_err(explain)?;
    Ok(())
}

async fn accept(listener: TcpListener, registry: Arc<Registry>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is left; one may be in a moment.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let answer = answer(&request, &registry);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut connection = http1::Builder::new();
            let served = connection.keep_alive(false).serve_connection(TokioIo::new(stream), answer);
            // Who goes away early is nobody's business.
            drop(timeout(PATIENCE, served).await);
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, content_type, text) = match request.uri().path() {
        "/metrics" if is_read => {
            let mut metrics = String::new();
            match text::encode(&mut metrics, registry) {
                Ok(()) => (StatusCode::OK, OPEN_METRICS, metrics),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, "metrics can't be told\n".into()),
            }
        }
        "/metrics" => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "use GET or HEAD\n".into()),
        _ => (StatusCode::NOT_FOUND, PLAIN, "metrics are at /metrics\n".into()),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for fine in ["127.0.0.1:9150", "[::1]:9150", "localhost:0"] {
            assert_eq!(fine.parse(), Ok(Address(fine.into())));
        }
        for bad in ["", ":9150", "9150", "localhost", "localhost:", "localhost:99999", "unix:/x"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
