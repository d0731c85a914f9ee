//! Errors for programs: problem documents (RFC 9457), each with a sentence that says what to do instead. Pages for
//! people are the renderer's.

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong, for programs (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status tells the kind.
    #[schema(value_type = String, format = "uri-reference", example = "about:blank")]
    r#type: &'static str,
    /// The HTTP status in words.
    #[schema(value_type = String, example = "Bad Request")]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 400)]
    status: u16,
    /// What is wrong with this request, and what to write instead.
    #[schema(value_type = String, example = "limit: write a whole number from 1 to 10000")]
    detail: Cow<'static, str>,
    /// Seconds after which another try may be worth it.
    #[serde(skip)]
    retry_after: Option<&'static str>,
}

impl Problem {
    /// One of this HTTP status.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Problem {
        let title = status.canonical_reason().unwrap_or("Error");
        Problem {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The request makes no sense; the sentence says what would.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is nothing of that name.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// It can't be answered now; another try after so many seconds may be worth it.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, retry_after: &'static str) -> Problem {
        Problem { retry_after: Some(retry_after), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// What is wrong, and what to write instead.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, HeaderValue::from_static(seconds)));
        }
        response.json(self)
    }
}
