//! The read API described, from the code's own types: OpenAPI 3.1 for programs. The page for people is drawn of it.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, block},
};
use tokio::sync::OnceCell;
use utoipa::{OpenApi, openapi::Server};

use super::{FOR_AN_HOUR, Shown, embedded, not_rendered, questions, send, send_page};
use crate::{body::Body, render::Renderer};

/// The read API described for programs and for people.
#[derive(Debug)]
pub struct Description {
    document: Body,
    page: Body,
}

impl Description {
    /// That of a site whose links begin with this.
    ///
    /// # Errors
    /// Where the page can't be rendered, which the tests rule out.
    pub fn new(base_path: &str, renderer: &Renderer) -> Result<Description, String> {
        let mut document = Document::openapi();
        document.servers = Some(vec![Server::new(if base_path.is_empty() { "/" } else { base_path })]);
        let document = serde_json::to_value(&document).map_err(|error| error.to_string())?;
        let page = renderer.reference(&document).map_err(|error| error.to_string())?;
        Ok(Description { document: Body::lasting(document.to_string()), page: Body::lasting(page) })
    }

    /// The page for people.
    pub fn page(&self) -> &Body {
        &self.page
    }
}

/// A description that is made once, when it is first asked for: few ask, and making it takes three megabytes.
#[derive(Debug, Default)]
pub struct Described(OnceCell<Description>);

impl Described {
    /// Made where it keeps nobody waiting who asks for something else.
    async fn description(&self, shown: &Shown) -> Result<&Description, String> {
        let (site, renderer) = (Arc::clone(&shown.site), Arc::clone(&shown.renderer));
        let make = async || {
            let made = block(move || Description::new(&site.base_path, &renderer)).await;
            made.unwrap_or_else(|error| Err(error.to_string()))
        };
        self.0.get_or_try_init(make).await
    }
}

pub(super) async fn document(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    answer(&request, &shown, |described| send(&request, &described.document, "application/json", FOR_AN_HOUR))
        .await
}

pub(super) async fn page(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    answer(&request, &shown, |described| send_page(&request, &shown, &described.page, FOR_AN_HOUR)).await
}

async fn answer(
    request: &HttpRequest,
    shown: &Shown,
    with: impl FnOnce(&Description) -> HttpResponse,
) -> HttpResponse {
    match shown.described.description(shown).await {
        Ok(description) => with(description),
        Err(reason) => not_rendered(request, shown, &reason),
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Service Status Monitor",
        description = "What the status page knows, for programs. Everything is read by GET or HEAD, and nothing can be \
            written. Instants are RFC 3339 in UTC. Errors are problem documents (RFC 9457) whose `detail` says what to \
            write instead. Keys are added from version to version, none is renamed or taken away.\n\n\
            Changes come as server-sent events from `/api/status/events`, one a second at most.",
        contact(),
    ),
    components(schemas(crate::problem::Problem, crate::badge::Kind)),
    paths(
        questions::status,
        questions::services,
        questions::service,
        questions::checks,
        questions::uptime,
        questions::response_times,
        questions::outages,
        embedded::service_badge,
        embedded::page_badge,
        embedded::service_shield,
        embedded::page_shield,
        embedded::feed,
        embedded::service_feed,
        embedded::summary,
        embedded::statuspage_status,
        embedded::components,
    ),
    tags(
        (name = "services", description = "How services stand."),
        (name = "history", description = "What was measured."),
        (name = "embedded", description = "Badges and feeds."),
        (name = "statuspage", description = "What clients of a Statuspage ask."),
    ),
)]
struct Document;
