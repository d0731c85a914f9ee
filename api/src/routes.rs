//! Where a request goes: the page and its assets under `/status`, JSON under `/api`, two words for supervisors.
//! Every answer is bytes that lie ready, in the form the client likes best; no route writes, and none takes a body.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse, Resource, guard,
    http::{
        Method, StatusCode,
        header::{self, ContentType, HeaderName, HeaderValue},
    },
    web,
};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::{
    accept::Accepted,
    assets,
    body::{Body, Slices},
    clients::Clients,
    pages::{NotDrawn, Pages},
    publish::Latest,
    render::{Asked, Renderer},
    response_times::Period,
    site::Site,
};

/// What every route needs.
#[derive(Clone)]
pub struct Shown {
    /// What is handed out.
    pub latest: Arc<Latest>,
    /// For the pages that tell of errors.
    pub renderer: Arc<Renderer>,
    /// What is drawn when it is asked for.
    pub pages: Arc<Pages>,
    /// What is the same for every answer.
    pub site: Arc<Site>,
    /// Who may listen.
    pub clients: Arc<Clients>,
}

const HTML: &str = "text/html; charset=utf-8";
/// What is shown changes once a second at most. A proxy may hand out what is a few seconds older while it asks for the
/// new, and what is a minute older while this server can't be reached: as long as a monitor may be quiet before it is
/// called silent, and no longer, since nothing marks a page that nobody renders any more. No `s-maxage`: it forbids
/// both (RFC 9111, 5.2.2.10).
const FOR_SECONDS: &str = "public, max-age=1, stale-while-revalidate=10, stale-if-error=60";

/// After which one who may not listen now may try again.
const TRY_AGAIN_SECONDS: &str = "60";

const ALLOWED: &str = "GET, HEAD";

/// All routes, with and without the base path.
pub fn configure(app: &mut web::ServiceConfig, shown: &Shown) {
    app.app_data(web::Data::new(shown.clone()));
    if !shown.site.base_path.is_empty() {
        app.service(web::scope(&shown.site.base_path).configure(routes).default_service(web::to(not_found)));
    }
    app.configure(routes).default_service(web::to(not_found));
}

fn routes(app: &mut web::ServiceConfig) {
    app.service(read("").to(to_the_page))
        .service(read("/").to(to_the_page))
        .service(read("/status").to(page))
        .service(read("/status/").to(to_the_page))
        .service(read("/status/outages").to(outages))
        .service(read("/status/services/{id}").to(service))
        .service(read("/status/services/{id}/outages/{at}").to(outage))
        .service(read("/status/assets/{name}").to(asset))
        .service(read("/api/status").to(status))
        .service(read("/api/status/events").to(events))
        .service(read("/healthz").to(healthy))
        .service(read("/readyz").to(ready));
}

struct Read(Resource);

/// A resource that is read by GET and HEAD, and by nothing else.
fn read(path: &str) -> Read {
    Read(web::resource(path.to_owned()).default_service(web::to(not_allowed)))
}

impl Read {
    fn to<F, Args>(self, answer: F) -> Resource
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        let reading = guard::Any(guard::Get()).or(guard::Head());
        self.0.route(web::route().guard(reading).to(answer))
    }
}

async fn to_the_page(shown: web::Data<Shown>) -> HttpResponse {
    let page = format!("{}/status", shown.site.base_path);
    // Not a permanent one: browsers would keep it beyond a change of the base path.
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, page)).finish()
}

async fn page(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    send_page(&request, &shown, &shown.latest.published().page)
}

#[derive(Deserialize)]
struct OfService {
    #[serde(default)]
    period: Period,
}

async fn service(
    request: HttpRequest,
    shown: web::Data<Shown>,
    id: web::Path<String>,
    query: Option<web::Query<OfService>>,
) -> HttpResponse {
    let asked = query.map(|query| Asked::Service(id.into_inner(), query.period));
    draw(&request, &shown, asked).await
}

#[derive(Deserialize)]
struct OfOutages {
    service: Option<String>,
    before: Option<DateTime<Utc>>,
}

async fn outages(
    request: HttpRequest,
    shown: web::Data<Shown>,
    query: Option<web::Query<OfOutages>>,
) -> HttpResponse {
    let asked = query.map(|query| Asked::Outages(query.0.service, query.0.before));
    draw(&request, &shown, asked).await
}

async fn outage(
    request: HttpRequest,
    shown: web::Data<Shown>,
    place: web::Path<(String, String)>,
) -> HttpResponse {
    let (id, at) = place.into_inner();
    let Ok(at) = at.parse::<DateTime<Utc>>() else { return error(&request, &shown, StatusCode::NOT_FOUND) };
    draw(&request, &shown, Some(Asked::Outage(id, at))).await
}

/// Draws a page, unless it lies ready. Nothing is asked for where the address makes no sense.
async fn draw(request: &HttpRequest, shown: &Shown, asked: Option<Asked>) -> HttpResponse {
    let Some(asked) = asked else { return error(request, shown, StatusCode::BAD_REQUEST) };
    match shown.pages.draw(shown.latest.published(), asked).await {
        Ok(body) => send_page(request, shown, &body),
        Err(NotDrawn::NothingThere) => error(request, shown, StatusCode::NOT_FOUND),
        Err(NotDrawn::Busy) => {
            let mut response = error(request, shown, StatusCode::SERVICE_UNAVAILABLE);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
        Err(NotDrawn::Failed(reason)) => {
            log::error!("{} can't be rendered: {reason}", request.path());
            error(request, shown, StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn send_page(request: &HttpRequest, shown: &Shown, body: &Body) -> HttpResponse {
    let mut response = send(request, body, HTML, FOR_SECONDS);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, shown.site.policy.clone());
    response
}

async fn status(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    send(&request, &shown.latest.published().status, "application/json", FOR_SECONDS)
}

/// Changes as they happen, until the client or this server ends.
async fn events(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    let place = shown.clients.admit(&request);
    if place.is_none() {
        let mut refusal = error(&request, &shown, StatusCode::SERVICE_UNAVAILABLE);
        refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(TRY_AGAIN_SECONDS));
        return refusal;
    }
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        // nginx hands on each event at once, without a line of its own configuration.
        .insert_header(("X-Accel-Buffering", "no"));
    if request.method() == Method::HEAD {
        return response.finish();
    }
    let events = shown.latest.events.listen(&|| shown.latest.published().as_of.clone());
    response.streaming(events.inspect(move |_| _ = &place))
}

async fn asset(request: HttpRequest, shown: web::Data<Shown>, name: web::Path<String>) -> HttpResponse {
    let Some(asset) = shown.site.assets.find(&name) else {
        return error(&request, &shown, StatusCode::NOT_FOUND);
    };
    let mut response = send(&request, &asset.body, asset.content_type, assets::CACHE_CONTROL);
    if let Some(policy) = asset.policy {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    response
}

/// A content in the form that the client likes best, or 304 where it has it in whatever form.
fn send(
    request: &HttpRequest,
    body: &Body,
    content_type: &'static str,
    cache_control: &'static str,
) -> HttpResponse {
    let form = body.best(&Accepted::of(fields(request, header::ACCEPT_ENCODING)));
    let known = fields(request, header::IF_NONE_MATCH).any(|tags| form.is_named(tags));
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, form.tag.clone()))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(cache_control)))
        .insert_header((header::VARY, HeaderValue::from_static("accept-encoding")));
    if known {
        return response.finish();
    }
    if let Some(name) = form.encoding.name() {
        response.insert_header((header::CONTENT_ENCODING, HeaderValue::from_static(name)));
    }
    response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static(content_type)));
    response.body(Slices::of(&form.bytes))
}

/// What a request says under this name, but for what nobody can read.
fn fields(request: &HttpRequest, name: HeaderName) -> impl Iterator<Item = &str> {
    request.headers().get_all(name).filter_map(|value| value.to_str().ok())
}

async fn healthy() -> HttpResponse {
    plain(StatusCode::OK, "alive\n".into())
}

async fn ready(shown: web::Data<Shown>) -> HttpResponse {
    match shown.latest.ready() {
        Ok(()) => plain(StatusCode::OK, "ready\n".into()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

fn plain(status: StatusCode, text: String) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(ContentType::plaintext())
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .body(text)
}

async fn not_found(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    error(&request, &shown, StatusCode::NOT_FOUND)
}

async fn not_allowed(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    let mut response = error(&request, &shown, StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
    response
}

/// An error for programs, as of RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'static str,
}

/// A page for people; a problem document under `/api`.
fn error(request: &HttpRequest, shown: &Shown, status: StatusCode) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    let path = request.path();
    let below = path.strip_prefix(&*shown.site.base_path).unwrap_or(path);
    if below != "/api" && !below.starts_with("/api/") {
        return response
            .insert_header((header::CONTENT_SECURITY_POLICY, shown.site.policy.clone()))
            .insert_header((header::CONTENT_TYPE, HTML))
            .body(shown.renderer.error_page(status.as_u16()));
    }
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => "Everything here is read-only: use GET or HEAD.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "Too many listen already. Ask for /api/status from time to time instead."
        }
        _ => "There is nothing at this address. The status of all services is at /api/status.",
    };
    let title = status.canonical_reason().unwrap_or("Error");
    response.insert_header((header::CONTENT_TYPE, "application/problem+json")).json(Problem {
        r#type: "about:blank",
        title,
        status: status.as_u16(),
        detail,
    })
}
