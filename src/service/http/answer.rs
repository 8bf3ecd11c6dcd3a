//! Problems as answers, and panics as problems.

use std::any::Any;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Response as HttpResponse, StatusCode};
use axum::response::{IntoResponse, Response};

use super::trace::request_id;
use crate::service::problem::{PROBLEM_JSON, Problem};

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.request_id = request_id();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("plain fields become JSON");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert("www-authenticate", HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The last resort: the client gets the request's id, the log what happened.
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> HttpResponse<Body> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(request_id = request_id(), panic = text, "a request ended in a panic");
    internal().into_response()
}

/// A fault of ours.
pub fn internal() -> Problem {
    let detail = "this is a fault of the service; report it with the request id";
    Problem::new(500, "internal", "Internal error", detail)
}
