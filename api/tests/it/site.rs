//! The page without a database behind it: for snapshots that the real api can't easily be brought to.
//! It serves what the real one serves (`render`, `json`, `assets`), and its clock stands still.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use api::{
    json,
    look::Look,
    render::{Asked, Renderer},
    response_times::Period,
    routes::Description,
    site,
    snapshot::Snapshot,
};

use chrono::{DateTime, Utc};

use crate::samples;

/// A site that shows a snapshot; its clock stands still at [`samples::now`].
pub(crate) struct Site {
    address: SocketAddr,
    shown: Arc<Mutex<Shown>>,
    keeps_the_script: Arc<AtomicBool>,
}

/// What is shown, and when its page was drawn.
#[derive(Clone)]
struct Shown(Snapshot, DateTime<Utc>);

impl Site {
    /// A site that shows this.
    pub(crate) fn showing(snapshot: Snapshot) -> Site {
        Site::drawn_at(snapshot, samples::now())
    }

    /// The same, where nothing new was to be drawn for a while.
    pub(crate) fn drawn_at(snapshot: Snapshot, drawn_at: DateTime<Utc>) -> Site {
        Site::looking(Look::default(), snapshot, drawn_at)
    }

    /// The same, as its operator wants it to look.
    pub(crate) fn looking(look: Look, snapshot: Snapshot, drawn_at: DateTime<Utc>) -> Site {
        let made = site::Site::new(Some("asimonson.com status".into()), "", look);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shown = Arc::new(Mutex::new(Shown(snapshot, drawn_at)));
        let keeps = Arc::new(AtomicBool::new(false));
        let site = Site { address, shown: Arc::clone(&shown), keeps_the_script: Arc::clone(&keeps) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (made, shown, keeps) = (made.clone(), Arc::clone(&shown), Arc::clone(&keeps));
                std::thread::spawn(move || answer(&stream, &made, &shown, &keeps));
            }
        });
        site
    }

    /// From now on whoever asks for the script gets no answer.
    pub(crate) fn keep_the_script(&self) {
        self.keeps_the_script.store(true, Ordering::Relaxed);
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        self.at("/status")
    }

    /// The address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Shows another snapshot from now on.
    pub(crate) fn show(&self, snapshot: Snapshot) {
        *self.shown.lock().expect("no test panics here") = Shown(snapshot, samples::now());
    }
}

fn answer(mut stream: &TcpStream, site: &site::Site, shown: &Mutex<Shown>, keeps_the_script: &AtomicBool) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path.ends_with(".js") && keeps_the_script.load(Ordering::Relaxed) {
        // Until the visitor is gone.
        drop(stream.read(&mut [0]));
        return;
    }
    let shown = shown.lock().expect("no test panics here").clone();
    let (status, content_type, body) = content(path, site, &shown);
    let date = samples::now().format("%a, %d %b %Y %H:%M:%S GMT");
    let head = format!(
        "HTTP/1.1 {status} \r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nDate: {date}\r\n\
         Content-Security-Policy: {}\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n",
        body.len(),
        site.policy.to_str().expect("ASCII")
    );
    let body = if request.starts_with("HEAD") { &[] } else { body.as_slice() };
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn content(path: &str, site: &site::Site, Shown(snapshot, drawn_at): &Shown) -> (u16, &'static str, Vec<u8>) {
    const HTML: &str = "text/html; charset=utf-8";
    let renderer = Renderer::new(site).expect("sound templates");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if let Some(asked) = asked(path, query) {
        let charts = samples::charts();
        return match renderer.asked(snapshot, &asked, Ok(&charts), *drawn_at).expect("a page") {
            Some(page) => (200, HTML, page.into()),
            None => (404, HTML, renderer.error_page(404).into()),
        };
    }
    match path {
        "/status" => (200, HTML, renderer.page(snapshot, *drawn_at).expect("a page").into()),
        "/status/api" => {
            let description = Description::new("", &renderer).expect("a page");
            (200, HTML, description.page().identity().bytes.to_vec())
        }
        "/api/status" => (200, "application/json", json::status(snapshot)),
        _ => match path.strip_prefix("/status/assets/").and_then(|name| site.assets.find(name)) {
            Some(asset) => (200, asset.content_type, asset.body.identity().bytes.to_vec()),
            None => (404, HTML, renderer.error_page(404).into()),
        },
    }
}

/// What an address asks for, as the real routes have it.
fn asked(path: &str, query: &str) -> Option<Asked> {
    if path == "/status/outages" {
        return Some(Asked::Outages(query.strip_prefix("service=").map(Into::into), None));
    }
    let place = path.strip_prefix("/status/services/")?;
    Some(match place.split_once("/outages/") {
        Some((id, at)) => Asked::Outage(id.into(), at.parse().ok()?),
        None => {
            let period = Period::ALL.into_iter().find(|period| query.ends_with(period.key()));
            Asked::Service(place.into(), period.unwrap_or_default())
        }
    })
}
