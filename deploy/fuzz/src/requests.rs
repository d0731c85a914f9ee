//! What visitors ask of the api's routes, with a service that had an outage.

use std::{sync::Arc, time::Duration};

use actix_web::{
    App,
    body::{BodySize, MessageBody, to_bytes},
    http::{
        Uri,
        header::{CONTENT_TYPE, HeaderName, HeaderValue},
    },
    rt::System,
    test::{TestRequest, call_service, init_service},
    web,
};
use api::{
    clients::Clients,
    facts::{Facts, Past, Reading},
    inquiries::Inquiries,
    look::Look,
    outages::Outage,
    pages::Pages,
    publish::Publisher,
    render::Renderer,
    routes::{self, Shown},
    site::Site,
    snapshot::Known,
};
use chrono::{DateTime, Utc};
use shared::{Service, Status};

/// Answers that make sense, and no other: nothing that is asked is a mistake of the server.
const STATUSES: [u16; 9] = [200, 204, 304, 307, 400, 404, 405, 406, 503];

/// Gives the status, whether it is read as markup, and the body.
type Ask = dyn Fn(TestRequest) -> (u16, bool, Vec<u8>);

thread_local! {
    // Never dropped: the routes use other locals of their thread as they go.
    static ASK: &'static Ask = set_up();
}

/// An address, and lines of headers: it is answered, with no server error, and without an element that was asked for.
pub fn requests(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Ok(address) = Uri::try_from(lines.next().unwrap_or_default()) else { return };
    // The server takes no other form of an address (RFC 9112, 3.2.1).
    if !address.to_string().starts_with('/') {
        return;
    }
    let peer = if input.len().is_multiple_of(2) { [127, 0, 0, 1] } else { [203, 0, 113, 9] };
    let mut request = TestRequest::with_uri(&address.to_string()).peer_addr((peer, 40_000).into());
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let name = String::from_utf8_lossy(&line[..colon]).into_owned();
        let value = HeaderValue::from_bytes(line.get(colon + 1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value) {
            request = request.append_header((name, value));
        }
    }
    let (status, is_markup, body) = ASK.with(|ask| ask(request));
    assert!(STATUSES.contains(&status), "{status}");
    let body = String::from_utf8_lossy(&body);
    assert!(!is_markup || !body.contains("<fuzz"), "{body}");
}

fn set_up() -> &'static Ask {
    let system = System::new();
    let shown = shown();
    let app = system.block_on(init_service(App::new().configure(move |app| routes::configure(app, &shown))));
    Box::leak(Box::new(move |request: TestRequest| {
        system.block_on(async {
            let answer = call_service(&app, request.to_request()).await;
            let status = answer.status().as_u16();
            let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let is_markup = kind.is_some_and(|kind| kind.starts_with("text/html") || kind.contains("xml"));
            let body = answer.into_body();
            // A stream of events has no end.
            let bytes = match body.size() {
                BodySize::Stream => web::Bytes::new(),
                _ => to_bytes(body).await.unwrap_or_default(),
            };
            (status, is_markup, bytes.to_vec())
        })
    }))
}

fn shown() -> Shown {
    let site = Site::new(None, "/monitor", Look::default());
    let renderer = Arc::new(Renderer::new(&site).expect("sound templates"));
    let publisher =
        Publisher::new(Arc::clone(&renderer), Known::Reading(reading())).expect("a page that can be drawn");
    Shown {
        latest: publisher.latest(),
        pages: Arc::new(Pages::new(Arc::clone(&renderer), Inquiries::unanswered())),
        inquiries: Arc::new(Inquiries::unanswered()),
        described: Arc::default(),
        renderer,
        site: Arc::new(site),
        clients: Arc::new(Clients::new("127.0.0.0/8".parse().expect("a network"), 1_000)),
    }
}

fn reading() -> Reading {
    let at = |text: &str| text.parse::<DateTime<Utc>>().expect("an instant");
    let service = Service {
        id: "main".into(),
        name: "example.com".into(),
        group: Some("Sites".into()),
        link: Some("https://example.com".into()),
        interval: Duration::from_secs(7_200),
        timeout: Duration::from_secs(10),
        slow_after: Duration::from_secs(5),
        tries_take: Duration::from_secs(22),
        beat: at("2026-02-12T18:00:00Z"),
    };
    let outage = Outage {
        before: Some(at("2026-02-12T10:00:00Z")),
        began: at("2026-02-12T12:00:00Z"),
        ended: at("2026-02-12T14:00:00Z"),
        after: Some(at("2026-02-12T16:00:00Z")),
        checks: 2,
        status: Status::Offline,
        failure: None,
    };
    let past = Past { outages: vec![outage], ..Past::default() };
    let facts = Facts { revision: 1, past: Arc::new(past), ..Facts::default() };
    Reading {
        read_at: at("2026-02-12T18:10:00Z"),
        prepared: true,
        heartbeat: Some(at("2026-02-12T18:10:00Z")),
        services: vec![(Arc::new(service), Arc::new(facts))],
    }
}
