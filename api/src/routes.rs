//! Where a request goes: the page and its assets under `/status`, JSON under `/api`, two words for supervisors.
//! Every answer is bytes that lie ready, in the form the client likes best; no route writes, and none takes a body.

mod described;
mod embedded;
mod questions;

use std::sync::Arc;

use actix_service::ServiceFactory;
use actix_web::{
    HttpRequest, HttpResponse, Resource, ResponseError, Scope,
    dev::{ServiceRequest, ServiceResponse},
    guard,
    http::{
        Method, StatusCode,
        header::{self, ContentType, HeaderName, HeaderValue},
    },
    middleware::DefaultHeaders,
    web,
};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::Deserialize;

use crate::{
    accept::Accepted,
    assets,
    body::{Body, Slices},
    clients::Clients,
    inquiries::Inquiries,
    pages::{self, NotDrawn, Pages},
    problem::Problem,
    publish::Latest,
    render::{Asked, Renderer},
    response_times::Period,
    site::Site,
};

pub use described::{Described, Description};

/// What every route needs.
#[derive(Clone)]
pub struct Shown {
    /// What is handed out.
    pub latest: Arc<Latest>,
    /// For the pages that tell of errors.
    pub renderer: Arc<Renderer>,
    /// What is drawn when it is asked for.
    pub pages: Arc<Pages>,
    /// What the read API asks the database.
    pub inquiries: Arc<Inquiries>,
    /// What tells of the read API.
    pub described: Arc<Described>,
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

/// What lies back changes only by corrections, and a window slides.
const FOR_PAST: &str = "public, max-age=10, stale-while-revalidate=60, stale-if-error=60";

/// What others keep for a while in any case.
const FOR_A_MINUTE: &str = "public, max-age=60, stale-while-revalidate=60, stale-if-error=60";

/// What changes with the version of this program alone.
const FOR_AN_HOUR: &str = "public, max-age=3600";

/// After which one who may not listen now may try again.
const TRY_AGAIN_SECONDS: &str = "60";

/// To programs, where an answer can't be rendered.
const OUR_FAULT: &str = "The error is this server’s own. Please try again in a moment.";

const ALLOWED: &str = "GET, HEAD";
const ALLOWED_THERE: &str = "GET, HEAD, OPTIONS";

/// All routes, with and without the base path.
pub fn configure(app: &mut web::ServiceConfig, shown: &Shown) {
    app.app_data(web::Data::new(shown.clone()));
    if !shown.site.base_path.is_empty() {
        app.service(web::scope(&shown.site.base_path).configure(routes).default_service(web::to(not_found)));
    }
    app.configure(routes).default_service(web::to(not_found));
}

fn routes(app: &mut web::ServiceConfig) {
    // In this order they are tried, and a pattern takes longer than a word: what is asked most comes first.
    app.service(read("/status").to(page))
        .service(api())
        .service(read("").to(to_the_page))
        .service(read("/").to(to_the_page))
        .service(read("/status/").to(to_the_page))
        .service(read("/status/outages").to(outages))
        .service(open("/status/feed.atom").to(embedded::feed).wrap(for_every_origin()))
        .service(open("/status/badges/{kind}.svg").to(embedded::page_badge).wrap(for_every_origin()))
        .service(open("/status/badges/{kind}.json").to(embedded::page_shield).wrap(for_every_origin()))
        .service(open("/status/badges/{id}/{kind}.svg").to(embedded::service_badge).wrap(for_every_origin()))
        .service(
            open("/status/badges/{id}/{kind}.json").to(embedded::service_shield).wrap(for_every_origin()),
        )
        .service(open("/status/services/{id}/feed.atom").to(embedded::service_feed).wrap(for_every_origin()))
        .service(read("/status/services/{id}").to(service))
        .service(read("/status/services/{id}/outages/{at}").to(outage))
        .service(read("/status/api").to(described::page))
        .service(read("/status/assets/{name}").to(asset))
        .service(read("/healthz").to(healthy))
        .service(read("/readyz").to(ready));
}

/// What a script of any origin may read.
fn for_every_origin() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")))
        .add((header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag, Link, Retry-After")))
}

/// What programs ask, from whatever page they run in.
fn api() -> Scope<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    web::scope("/api")
        .wrap(for_every_origin())
        .service(open("/status").to(questions::status))
        .service(open("/status/events").to(events))
        .service(open("/services").to(questions::services))
        .service(open("/services/{id}").to(questions::service))
        .service(open("/services/{id}/checks").to(questions::checks))
        .service(open("/services/{id}/uptime").to(questions::uptime))
        .service(open("/services/{id}/response-times").to(questions::response_times))
        .service(open("/outages").to(questions::outages))
        .service(open("/openapi.json").to(described::document))
        .service(open("/v2/summary.json").to(embedded::summary))
        .service(open("/v2/status.json").to(embedded::statuspage_status))
        .service(open("/v2/components.json").to(embedded::components))
        .default_service(web::to(not_found))
}

struct Read {
    resource: Resource,
    /// Whether a script of any origin may read it, and ask beforehand what it may.
    open: bool,
}

/// A resource that is read by GET and HEAD, and by nothing else.
fn read(path: &str) -> Read {
    Read { resource: web::resource(path.to_owned()).default_service(web::to(not_allowed)), open: false }
}

/// The same, for scripts of every origin too.
fn open(path: &str) -> Read {
    Read { resource: web::resource(path.to_owned()).default_service(web::to(not_allowed_there)), open: true }
}

impl Read {
    fn to<F, Args>(self, answer: F) -> Resource
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        let reading = guard::Any(guard::Get()).or(guard::Head());
        let resource = self.resource.route(web::route().guard(reading).to(answer));
        if self.open { resource.route(web::route().guard(guard::Options()).to(options)) } else { resource }
    }
}

/// What may be asked: browsers want to know before a script of another origin asks.
async fn options() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ALLOW, ALLOWED_THERE))
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "*"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

async fn to_the_page(shown: web::Data<Shown>) -> HttpResponse {
    let page = format!("{}/status", shown.site.base_path);
    // Not a permanent one: browsers would keep it beyond a change of the base path.
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, page)).finish()
}

async fn page(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    send_page(&request, &shown, &shown.latest.published().page, FOR_SECONDS)
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
    match shown.pages.draw(shown.latest.published(), pages::Asked::Page(asked)).await {
        Ok(drawn) => send_page(request, shown, &drawn.body, FOR_SECONDS),
        Err(NotDrawn::NothingThere) => error(request, shown, StatusCode::NOT_FOUND),
        Err(NotDrawn::Busy) => {
            let mut response = error(request, shown, StatusCode::SERVICE_UNAVAILABLE);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
        Err(NotDrawn::Failed(reason)) => not_rendered(request, shown, &reason),
    }
}

fn not_rendered(request: &HttpRequest, shown: &Shown, reason: &str) -> HttpResponse {
    log::error!("{} can't be rendered: {reason}", request.path());
    error(request, shown, StatusCode::INTERNAL_SERVER_ERROR)
}

fn send_page(request: &HttpRequest, shown: &Shown, body: &Body, cache_control: &'static str) -> HttpResponse {
    let mut response = send(request, body, HTML, cache_control);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, shown.site.policy.clone());
    response
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
    allowing(error(&request, &shown, StatusCode::METHOD_NOT_ALLOWED), ALLOWED)
}

async fn not_allowed_there() -> HttpResponse {
    let detail = "Everything here is read-only: use GET or HEAD.";
    allowing(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).error_response(), ALLOWED_THERE)
}

fn allowing(mut response: HttpResponse, methods: &'static str) -> HttpResponse {
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

/// A page for people; a problem document under `/api`.
fn error(request: &HttpRequest, shown: &Shown, status: StatusCode) -> HttpResponse {
    let path = request.path();
    let below = path.strip_prefix(&*shown.site.base_path).unwrap_or(path);
    if below != "/api" && !below.starts_with("/api/") {
        return HttpResponse::build(status)
            .insert_header((header::CONTENT_SECURITY_POLICY, shown.site.policy.clone()))
            .insert_header((header::CONTENT_TYPE, HTML))
            .body(shown.renderer.error_page(status.as_u16()));
    }
    let detail = match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            "Too many listen already. Ask for /api/status from time to time instead."
        }
        StatusCode::INTERNAL_SERVER_ERROR => OUR_FAULT,
        _ => "There is nothing at this address. What there is stands in /api/openapi.json.",
    };
    Problem::new(status, detail).error_response()
}
