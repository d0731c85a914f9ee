//! What others embed: badges, for shields.io too, feeds of outages, and what clients of a Statuspage ask.

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use shared::printable::is_printable;
use utoipa::IntoParams;

use super::{
    FOR_A_MINUTE, FOR_SECONDS, Shown,
    questions::{Answer, NotFound, OfService, Refusals, drawn},
};
use crate::{
    answers::{Asked, Components, StatusAnswer, Summary},
    badge::{Kind, Shield, Wanted},
    problem::Problem,
    query::{Nothing, parse},
    uptime::Window,
};

const SVG: &str = "image/svg+xml";
const ATOM: &str = "application/atom+xml";
const JSON: &str = "application/json";

const LONGEST_LABEL: usize = 60;

/// The parameters of a badge.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfBadge {
    /// Of uptime: over the last 24 hours, 7 or 30 days, or all time. `30d` where it is not told.
    #[param(inline)]
    window: Option<Window>,
    /// What the badge says it is about, instead of the usual: at most 60 characters.
    #[param(inline)]
    label: Option<Label>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 60)]
struct Label(String);

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Label, String> {
        let fits = (1..=LONGEST_LABEL).contains(&text.chars().count()) && text.chars().all(is_printable);
        if fits { Ok(Label(text)) } else { Err(format!("write 1 to {LONGEST_LABEL} printable characters")) }
    }
}

/// What a badge tells.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "it describes a part of the path")]
pub(super) struct OfKind {
    /// How things stand, the uptime of a window, or how long the newest check took (of a page, the median over its
    /// services).
    kind: Kind,
}

/// Which badge is asked for, of a service or of the page.
fn wanted(request: &HttpRequest, id: Option<String>, kind: &str) -> Result<Wanted, Problem> {
    let kind = Kind::from_word(kind)
        .ok_or_else(|| Problem::not_found("There are the badges status, uptime and response-time."))?;
    let of: OfBadge = parse(request.query_string())?;
    if of.window.is_some() && kind != Kind::Uptime {
        return Err(Problem::bad_request("window: goes with uptime alone; leave it out"));
    }
    let window = of.window.unwrap_or(Window::Month);
    Ok(Wanted { id, kind, window, label: of.label.map(|label| label.0) })
}

/// A badge of a service.
#[utoipa::path(
    get,
    path = "/status/badges/{id}/{kind}.svg",
    tag = "embedded",
    params(OfService, OfKind, OfBadge),
    responses((status = 200, description = "The badge", body = String, content_type = "image/svg+xml"), Refusals, NotFound)
)]
pub(super) async fn service_badge(
    request: HttpRequest,
    shown: web::Data<Shown>,
    of: web::Path<(String, String)>,
) -> Answer {
    let (id, kind) = of.into_inner();
    let wanted = wanted(&request, Some(id), &kind)?;
    drawn(&request, &shown, Asked::Badge(wanted), SVG, FOR_A_MINUTE).await
}

/// A badge of the whole page.
#[utoipa::path(
    get,
    path = "/status/badges/{kind}.svg",
    tag = "embedded",
    params(OfKind, OfBadge),
    responses((status = 200, description = "The badge", body = String, content_type = "image/svg+xml"), Refusals, NotFound)
)]
pub(super) async fn page_badge(
    request: HttpRequest,
    shown: web::Data<Shown>,
    of: web::Path<String>,
) -> Answer {
    let wanted = wanted(&request, None, &of)?;
    drawn(&request, &shown, Asked::Badge(wanted), SVG, FOR_A_MINUTE).await
}

/// What shields.io draws a badge of a service of (its endpoint).
#[utoipa::path(
    get,
    path = "/status/badges/{id}/{kind}.json",
    tag = "embedded",
    params(OfService, OfKind, OfBadge),
    responses((status = 200, description = "The badge", body = Shield<'static>), Refusals, NotFound)
)]
pub(super) async fn service_shield(
    request: HttpRequest,
    shown: web::Data<Shown>,
    of: web::Path<(String, String)>,
) -> Answer {
    let (id, kind) = of.into_inner();
    let wanted = wanted(&request, Some(id), &kind)?;
    drawn(&request, &shown, Asked::Shield(wanted), JSON, FOR_A_MINUTE).await
}

/// What shields.io draws a badge of the whole page of.
#[utoipa::path(
    get,
    path = "/status/badges/{kind}.json",
    tag = "embedded",
    params(OfKind, OfBadge),
    responses((status = 200, description = "The badge", body = Shield<'static>), Refusals, NotFound)
)]
pub(super) async fn page_shield(
    request: HttpRequest,
    shown: web::Data<Shown>,
    of: web::Path<String>,
) -> Answer {
    let wanted = wanted(&request, None, &of)?;
    drawn(&request, &shown, Asked::Shield(wanted), JSON, FOR_A_MINUTE).await
}

/// Outages of ninety days as an Atom feed: the newest fifty.
#[utoipa::path(
    get,
    path = "/status/feed.atom",
    tag = "embedded",
    responses((status = 200, description = "The feed", body = String, content_type = "application/atom+xml"), Refusals)
)]
pub(super) async fn feed(request: HttpRequest, shown: web::Data<Shown>) -> Answer {
    let Nothing {} = parse(request.query_string())?;
    drawn(&request, &shown, Asked::Feed(None), ATOM, FOR_A_MINUTE).await
}

/// Outages of a service as an Atom feed: the newest fifty of ninety days.
#[utoipa::path(
    get,
    path = "/status/services/{id}/feed.atom",
    tag = "embedded",
    params(OfService),
    responses(
        (status = 200, description = "The feed", body = String, content_type = "application/atom+xml"),
        Refusals,
        NotFound,
    )
)]
pub(super) async fn service_feed(
    request: HttpRequest,
    shown: web::Data<Shown>,
    id: web::Path<String>,
) -> Answer {
    let Nothing {} = parse(request.query_string())?;
    drawn(&request, &shown, Asked::Feed(Some(id.into_inner())), ATOM, FOR_A_MINUTE).await
}

/// Everything, for clients of a Statuspage.
#[utoipa::path(
    get,
    path = "/api/v2/summary.json",
    tag = "statuspage",
    responses((status = 200, description = "Everything", body = Summary), Refusals)
)]
pub(super) async fn summary(request: HttpRequest, shown: web::Data<Shown>) -> Answer {
    drawn(&request, &shown, Asked::Summary, JSON, FOR_SECONDS).await
}

/// The one word over all services, for clients of a Statuspage.
#[utoipa::path(
    get,
    path = "/api/v2/status.json",
    tag = "statuspage",
    responses((status = 200, description = "The word", body = StatusAnswer), Refusals)
)]
pub(super) async fn statuspage_status(request: HttpRequest, shown: web::Data<Shown>) -> Answer {
    drawn(&request, &shown, Asked::StatuspageStatus, JSON, FOR_SECONDS).await
}

/// The services, for clients of a Statuspage.
#[utoipa::path(
    get,
    path = "/api/v2/components.json",
    tag = "statuspage",
    responses((status = 200, description = "The services", body = Components), Refusals)
)]
pub(super) async fn components(request: HttpRequest, shown: web::Data<Shown>) -> Answer {
    drawn(&request, &shown, Asked::Components, JSON, FOR_SECONDS).await
}
