//! What a request brings, read within limits; whatever is wrong is a [`Problem`].

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::app::App;
use super::auth::Caller;
use super::schema;
use crate::service::problem::Problem;

/// Deepest nesting of a body; ours need five.
const MAX_DEPTH: usize = 16;

/// A JSON body, up to `TIMES` the limit of bodies.
pub struct Body<T, const TIMES: usize = 1>(pub T);

impl<T: DeserializeOwned + ToSchema, const TIMES: usize> FromRequest<Arc<App>> for Body<T, TIMES> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let limits = &app.limits;
        let most_bytes = limits.body_bytes.saturating_mul(TIMES);
        check_headers(request.headers(), most_bytes)?;
        let body = tokio::time::timeout(limits.arrival, to_bytes(request.into_body(), most_bytes)).await;
        let bytes = match body {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) if is_length_limit(&error) => return Err(too_large(most_bytes)),
            Ok(Err(_)) => {
                return Err(Problem::new(400, "body", "Broken request", "the body ended before its end"));
            }
            Err(_) => {
                let detail = format!("the body did not arrive within {} s", limits.arrival.as_secs_f64());
                return Err(Problem::new(408, "slow-body", "Request timeout", detail));
            }
        };
        parse(&bytes, app).map(Body)
    }
}

fn check_headers(headers: &HeaderMap, most_bytes: usize) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = text(CONTENT_TYPE).unwrap_or("nothing").split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let detail = "send the body as JSON";
        return Err(Problem::new(415, "media-type", "Unsupported media type", detail).with(
            "header.content-type",
            media_type,
            "application/json",
        ));
    }
    let declared: Option<u64> = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if declared.is_some_and(|length| length > most_bytes as u64) {
        return Err(too_large(most_bytes));
    }
    Ok(())
}

fn parse<T: DeserializeOwned + ToSchema>(bytes: &[u8], app: &App) -> Result<T, Problem> {
    let malformed = |found: String, wanted: String| {
        let detail = "the body is not the JSON that is wanted here; /openapi.json describes it";
        Problem::new(400, "malformed", "Malformed request", detail).with("body", found, wanted)
    };
    let depth = depth_of(bytes);
    if depth > MAX_DEPTH {
        return Err(malformed(format!("nesting of depth {depth}"), format!("at most {MAX_DEPTH}")));
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        let place = format!("broken JSON at line {}, column {}", error.line(), error.column());
        return Err(malformed(place, "well-formed JSON".to_owned()));
    };
    // The reader stops at the first fault; the schema finds all.
    let faults = schema::faults(&app.schemas, &T::name(), &value);
    if faults.is_empty() {
        return Err(malformed(error.to_string(), format!("a {}", T::name())));
    }
    let detail = "the body does not have the form that is wanted here; /openapi.json describes it";
    let problem = Problem::new(400, "malformed", "Malformed request", detail);
    Err(faults
        .into_iter()
        .fold(problem, |problem, (place, found, wanted)| problem.with(place, found, wanted)))
}

/// The deepest nesting of brackets outside of strings.
fn depth_of(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut in_text, mut is_escaped) = (false, false);
    for &byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {limit} bytes");
    Problem::new(413, "too-large", "Body too large", detail)
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        source = error.source();
    }
    false
}

/// The query of a request.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(query)| Self(query)).map_err(|error| {
            let detail = "the query is not the one that is wanted here; /openapi.json describes it";
            Problem::new(400, "malformed", "Malformed request", detail).with(
                "query",
                error.body_text(),
                "known parameters in their ranges",
            )
        })
    }
}

/// The account in the path, which the caller may see.
pub struct Name(pub String);

impl FromRequestParts<Arc<App>> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Segment(name) = Segment::<String>::from_request_parts(parts, app).await?;
        Caller::from_request_parts(parts, app).await?.must_see(&name)?;
        Ok(Self(name))
    }
}

/// A part of the path.
pub struct Segment<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Segment<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let segment = Path::<T>::from_request_parts(parts, app).await;
        segment.map(|Path(segment)| Self(segment)).map_err(|error| {
            let detail = "the path cannot be read";
            Problem::new(400, "malformed", "Malformed request", detail).with(
                "path",
                error.body_text(),
                "as described",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        for (text, depth) in [
            ("1", 0),
            ("{}", 1),
            (r#"{"a":[1,{"b":2}],"c":[]}"#, 3),
            (r#"["[[[[\"[[","{"]"#, 1),
            ("]]]][", 1),
            (r#""\\[""#, 0),
        ] {
            assert_eq!(depth_of(text.as_bytes()), depth, "{text}");
        }
    }
}
