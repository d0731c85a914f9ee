//! The read API: what the snapshot answers, and what is read for it from the database on a connection of its own.

use std::{ops::Range, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, Header, HeaderValue},
    },
    web,
};
use chrono::{DateTime, SubsecRound, Utc};
use postgres::{Error, Transaction};
use shared::Service;
use utoipa::{IntoParams, IntoResponses};

use super::{FOR_PAST, FOR_SECONDS, OUR_FAULT, Shown, TRY_AGAIN_SECONDS, send};
use crate::{
    answers::{
        self, Asked, CheckRow, ChecksAnswer, OutagesAnswer, ResponseTimesAnswer, ResponseTimesBucket,
        UptimeAnswer, UptimeBucket,
    },
    body::Body,
    cursor::Cursor,
    inquiries::Unanswered,
    json::{self, instant},
    pages::{self, Drawn, NotDrawn},
    problem::Problem,
    query::{self, Format, Nothing, OfChecks, OfOutages, OfPast, OfServices, Reach, Window, parse},
    snapshot::Source,
    span::{Bucket, Span},
    store::{
        self,
        checks::Wanted,
        counts::{self, Counted},
    },
    uptime::hour_of,
};

pub(super) type Answer = Result<HttpResponse, Problem>;

/// The service that is asked about.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "it describes a part of the path")]
pub(super) struct OfService {
    /// Its id: letters, digits, dots, underscores and hyphens.
    #[param(max_length = 50, min_length = 1, pattern = "^[A-Za-z0-9._-]+$", example = "main")]
    id: String,
}

/// What any question may be answered with instead.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it describes answers")]
pub(super) enum Refusals {
    /// The question makes no sense.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// The client takes no form that there is.
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(Problem),
    /// It can't be answered now.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// There is no such service.
#[derive(IntoResponses)]
#[response(status = 404, content_type = "application/problem+json")]
#[allow(dead_code, reason = "it describes an answer")]
pub(super) struct NotFound(Problem);

const JSON: &str = Format::Json.content_type();

/// How all services stand: what the page shows.
#[utoipa::path(
    get,
    path = "/api/status",
    tag = "services",
    responses((status = 200, body = json::Answer<'static>, description = "How all services stand"))
)]
pub(super) async fn status(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    send(&request, &shown.latest.published().status, JSON, FOR_SECONDS)
}

/// All services, as `/api/status` has them.
#[utoipa::path(
    get,
    path = "/api/services",
    tag = "services",
    params(OfServices),
    responses(
        (status = 200, description = "All services", content(
            (json::Services<'static> = "application/json"),
            (String = "text/csv"),
        )),
        Refusals,
    )
)]
pub(super) async fn services(request: HttpRequest, shown: web::Data<Shown>) -> Answer {
    let of: OfServices = parse(request.query_string())?;
    drawn(&request, &shown, Asked::Services(of.format), of.format.content_type(), FOR_SECONDS).await
}

/// One service, as `/api/status` has it.
#[utoipa::path(
    get,
    path = "/api/services/{id}",
    tag = "services",
    params(OfService),
    responses((status = 200, description = "The service", body = json::OneService<'static>), Refusals, NotFound)
)]
pub(super) async fn service(request: HttpRequest, shown: web::Data<Shown>, id: web::Path<String>) -> Answer {
    let Nothing {} = parse(request.query_string())?;
    drawn(&request, &shown, Asked::Service(id.into_inner()), JSON, FOR_SECONDS).await
}

/// Outages of ninety days, newest first.
#[utoipa::path(
    get,
    path = "/api/outages",
    tag = "history",
    params(OfOutages),
    responses(
        (status = 200, description = "Outages", headers(("Link" = Option<String>)), content(
            (OutagesAnswer = "application/json"),
            (String = "text/csv"),
        )),
        Refusals,
        NotFound,
    )
)]
pub(super) async fn outages(request: HttpRequest, shown: web::Data<Shown>) -> Answer {
    let of: OfOutages = parse(request.query_string())?;
    query::continues(of.cursor.as_ref(), &of.question())?;
    let content_type = of.format.content_type();
    drawn(&request, &shown, Asked::Outages(of), content_type, FOR_SECONDS).await
}

/// Recorded checks of a service, newest first.
#[utoipa::path(
    get,
    path = "/api/services/{id}/checks",
    tag = "history",
    params(OfService, OfChecks),
    responses(
        (status = 200, description = "Checks", headers(("Link" = Option<String>)), content(
            (ChecksAnswer = "application/json"),
            (String = "text/csv"),
        )),
        Refusals,
        NotFound,
    )
)]
pub(super) async fn checks(request: HttpRequest, shown: web::Data<Shown>, id: web::Path<String>) -> Answer {
    let of: OfChecks = parse(request.query_string())?;
    let question = of.question(&id);
    query::continues(of.cursor.as_ref(), &question)?;
    let after = of.cursor.as_ref().map(|cursor| Ok((cursor.at, cursor.key.parse()?))).transpose();
    let after =
        after.map_err(|_: std::num::ParseIntError| Problem::bad_request("cursor: it is of another list"))?;
    let (from, to) = (of.from.map(|from| from.0), of.to.map(|to| to.0));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::bad_request("from: must lie before `to`"));
    }
    let format = of.format;
    let service = find(&shown, &id)?;
    let limit = usize::from(of.limit.0);
    let look = {
        let (id, statuses) = (service.id.clone(), of.status);
        move |transaction: &mut Transaction<'_>| {
            let statuses = statuses.as_ref().map(|statuses| statuses.0.as_slice());
            let wanted = Wanted { service_id: &id, from, to, after, statuses, limit: limit as i64 + 1 };
            store::checks::checks(transaction, &wanted)
        }
    };
    let draw = move |mut recorded: Vec<store::checks::Recorded>| {
        let more = recorded.len() > limit;
        recorded.truncate(limit);
        let last = recorded.last().filter(|_| more);
        let next_cursor =
            last.map(|last| Cursor::new(&question, last.timestamp, last.id.to_string()).encode());
        let checks: Vec<CheckRow> = recorded.iter().map(CheckRow::of).collect();
        let content = match format {
            Format::Csv => answers::csv(&CheckRow::HEADINGS, &checks),
            Format::Json => json::written(&ChecksAnswer {
                service_id: service.id.clone(),
                as_of: instant(Utc::now()),
                checks,
                next_cursor: next_cursor.clone(),
            }),
        };
        Ok(Drawn { body: Body::soon_gone(content), next_cursor })
    };
    read(&request, &shown, format.content_type(), look, draw).await
}

/// The uptime of a service over a window or a range, and over its buckets.
#[utoipa::path(
    get,
    path = "/api/services/{id}/uptime",
    tag = "history",
    params(OfService, OfPast),
    responses(
        (status = 200, description = "The uptime", content((UptimeAnswer = "application/json"), (String = "text/csv"))),
        Refusals,
        NotFound,
    )
)]
pub(super) async fn uptime(request: HttpRequest, shown: web::Data<Shown>, id: web::Path<String>) -> Answer {
    let of: OfPast = parse(request.query_string())?;
    let (reach, as_of) = (of.reach()?, Utc::now().trunc_subsecs(3));
    let span = reach.span(as_of)?;
    buckets(span, &of)?;
    let service = find(&shown, &id)?;
    let bucket = of.buckets.unwrap_or(Bucket::Month);
    let look = {
        let id = service.id.clone();
        move |transaction: &mut Transaction<'_>| {
            let first = counts::first_check(transaction, &id)?;
            Ok((first, counts::counted(transaction, &id, span, bucket)?))
        }
    };
    let draw = move |seen| uptime_of(&service, &of, reach, (span, as_of), seen);
    read(&request, &shown, of.format.content_type(), look, draw).await
}

fn uptime_of(
    service: &Service,
    of: &OfPast,
    reach: Reach,
    (span, as_of): (Option<Span>, DateTime<Utc>),
    (first, counted): (Option<DateTime<Utc>>, Counted),
) -> Result<Drawn, Problem> {
    let span = span.unwrap_or(Span::since(first, as_of));
    let spans = buckets(Some(span), of)?;
    let buckets = of.buckets.map_or(Vec::new(), |bucket| UptimeBucket::each(&spans, &counted, bucket));
    let mut whole = UptimeBucket::whole(&(span.from..span.to), &counted);
    // A month's figure is not shown after an hour.
    let is_younger = first.is_none_or(|first| first >= span.from);
    if matches!(reach, Reach::Last(Window::Hours(_) | Window::Days(_))) && is_younger {
        whole.uptime = None;
    }
    Ok(match of.format {
        Format::Csv if of.buckets.is_some() => list(&UptimeBucket::HEADINGS, &buckets),
        Format::Csv => list(&UptimeBucket::HEADINGS, &[whole]),
        Format::Json => one(&UptimeAnswer {
            service_id: service.id.clone(),
            as_of: instant(as_of),
            window: reach.window(),
            exact: !counted.to_the_hour,
            whole,
            buckets,
        }),
    })
}

/// How long the checks of a service took over a window or a range, and over its buckets.
#[utoipa::path(
    get,
    path = "/api/services/{id}/response-times",
    tag = "history",
    params(OfService, OfPast),
    responses(
        (status = 200, description = "The response times", content(
            (ResponseTimesAnswer = "application/json"),
            (String = "text/csv"),
        )),
        Refusals,
        NotFound,
    )
)]
pub(super) async fn response_times(
    request: HttpRequest,
    shown: web::Data<Shown>,
    id: web::Path<String>,
) -> Answer {
    let of: OfPast = parse(request.query_string())?;
    let (reach, as_of) = (of.reach()?, Utc::now().trunc_subsecs(3));
    let span = reach.span(as_of)?.map(|span| span.in_whole_hours());
    buckets(span, &of)?;
    let service = find(&shown, &id)?;
    let look = {
        let id = service.id.clone();
        move |transaction: &mut Transaction<'_>| {
            let span = match span {
                Some(span) => span,
                None => Span::since(counts::first_check(transaction, &id)?, as_of).in_whole_hours(),
            };
            let numbers = hour_of(span.from)..hour_of(span.to);
            Ok((span, store::hours::hours(transaction, &id, &numbers, as_of)?))
        }
    };
    let draw = move |(span, hours): (Span, Vec<_>)| {
        let buckets: Vec<_> =
            buckets(Some(span), &of)?.iter().map(|span| ResponseTimesBucket::of(span, &hours)).collect();
        let whole = ResponseTimesBucket::of(&(span.from..span.to), &hours);
        Ok(match of.format {
            Format::Csv if of.buckets.is_some() => list(&ResponseTimesBucket::HEADINGS, &buckets),
            Format::Csv => list(&ResponseTimesBucket::HEADINGS, &[whole]),
            Format::Json => one(&ResponseTimesAnswer {
                service_id: service.id.clone(),
                as_of: instant(as_of),
                window: reach.window(),
                whole,
                buckets,
            }),
        })
    };
    read(&request, &shown, of.format.content_type(), look, draw).await
}

/// What a span is divided into, where that is asked for. (Where it is all time, its begin is known once it is read.)
fn buckets(span: Option<Span>, of: &OfPast) -> Result<Vec<Range<DateTime<Utc>>>, Problem> {
    let (Some(span), Some(bucket)) = (span, of.buckets) else { return Ok(Vec::new()) };
    span.buckets(bucket).map_err(Problem::bad_request)
}

fn one(answer: &impl serde::Serialize) -> Drawn {
    Drawn { body: Body::soon_gone(json::written(answer)), next_cursor: None }
}

fn list<R: serde::Serialize>(headings: &[&str], rows: &[R]) -> Drawn {
    Drawn { body: Body::soon_gone(answers::csv(headings, rows)), next_cursor: None }
}

/// The service of this id, where it is shown.
fn find(shown: &Shown, id: &str) -> Result<Arc<Service>, Problem> {
    let published = shown.latest.published();
    let state = published.snapshot.service(id).ok_or_else(|| absent(&published.snapshot.source))?;
    Ok(Arc::clone(&state.service))
}

/// There is no such service, as far as anybody knows.
fn absent(source: &Source) -> Problem {
    match source {
        Source::Unconfigured | Source::NeverRead => Problem::unavailable(
            "The database was not read yet, so no service is known. Try again in a moment.",
            TRY_AGAIN_SECONDS,
        ),
        _ => Problem::not_found("There is no service of this id. /api/services lists those there are."),
    }
}

/// What the snapshot answers.
pub(super) async fn drawn(
    request: &HttpRequest,
    shown: &Shown,
    asked: Asked,
    content_type: &'static str,
    cache_control: &'static str,
) -> Answer {
    acceptable(request, content_type)?;
    let published = shown.latest.published();
    let source = published.snapshot.source.clone();
    match shown.pages.draw(published, pages::Asked::Answer(asked)).await {
        Ok(drawn) => Ok(answer(request, &drawn, content_type, cache_control)),
        Err(NotDrawn::NothingThere) => Err(absent(&source)),
        Err(NotDrawn::Busy) => Err(busy()),
        Err(NotDrawn::Failed(reason)) => {
            log::error!("{} can't be rendered: {reason}", request.path());
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, OUR_FAULT))
        }
    }
}

/// What is read from the database for this answer.
async fn read<Seen>(
    request: &HttpRequest,
    shown: &Shown,
    content_type: &'static str,
    look: impl FnOnce(&mut Transaction<'_>) -> Result<Seen, Error> + Send + 'static,
    draw: impl FnOnce(Seen) -> Result<Drawn, Problem> + Send + 'static,
) -> Answer {
    acceptable(request, content_type)?;
    let drawn = shown.inquiries.ask(look, draw).await.map_err(|why| match why {
        Unanswered::Busy => busy(),
        Unanswered::TooLong => Problem::unavailable(
            "This takes the database too long. Ask for a shorter time, or try again later.",
            TRY_AGAIN_SECONDS,
        ),
        Unanswered::Away | Unanswered::Empty => Problem::unavailable(
            "The database can't be read just now. /api/services tells how things stood when it was.",
            "10",
        ),
    })??;
    Ok(answer(request, &drawn, content_type, FOR_PAST))
}

fn busy() -> Problem {
    Problem::unavailable("Too many ask just now. Try again in a moment.", "2")
}

/// The answer; where its list goes on, with a link to what comes next (RFC 8288).
fn answer(
    request: &HttpRequest,
    drawn: &Drawn,
    content_type: &'static str,
    cache_control: &'static str,
) -> HttpResponse {
    let mut response = send(request, &drawn.body, content_type, cache_control);
    if let Some(cursor) = &drawn.next_cursor {
        let others =
            form_urlencoded::parse(request.query_string().as_bytes()).filter(|(key, _)| key != "cursor");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("cursor", cursor)
            .finish();
        if let Ok(link) = HeaderValue::try_from(format!("<?{query}>; rel=\"next\"")) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

/// Whether the client takes what the answer would be; one that can't be understood takes everything.
fn acceptable(request: &HttpRequest, content_type: &str) -> Result<(), Problem> {
    let Ok(accept) = header::Accept::parse(request) else { return Ok(()) };
    let ours = content_type.split(';').next().unwrap_or_default();
    let (of_type, of_subtype) = ours.split_once('/').unwrap_or_default();
    let fits = accept.0.iter().any(|range| {
        range.quality > header::Quality::ZERO
            && (range.item.type_() == of_type || range.item.type_() == "*")
            && (range.item.subtype() == of_subtype || range.item.subtype() == "*")
    });
    if fits || accept.0.is_empty() {
        return Ok(());
    }
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, format!("This is answered in {ours} alone: accept that.")))
}
