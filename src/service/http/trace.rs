//! Request ids, the log, latency figures, and the headers that every answer carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::Next;
use axum::response::Response;

use super::app::App;
use super::auth::Caller;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken from a client.
const MAX_ID_CHARS: usize = 64;
/// Scripts, styles and connections of our own alone; no frames, no forms, no plugins.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// The id of the request that is being answered; empty outside of one.
pub fn request_id() -> String {
    CURRENT.try_with(|id| id.to_string()).unwrap_or_default()
}

/// Numbers requests within one run of the service.
pub struct Numbering {
    run: String,
    next: AtomicU64,
}

impl Numbering {
    /// Ids of a run that started now.
    pub fn new() -> Self {
        let run = format!("{:x}", jiff::Timestamp::now().as_millisecond());
        Self { run, next: AtomicU64::new(1) }
    }

    fn take(&self) -> String {
        format!("{}-{}", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The outermost layer.
pub async fn trace(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id: Arc<str> = client_id(&request).unwrap_or_else(|| app.numbering.take()).into();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    // Methods are a closed set in the figures, so that nobody fills them by inventing some.
    let method = if method.as_str().len() <= 7 && route != "unmatched" {
        method.to_string()
    } else {
        "OTHER".to_owned()
    };
    let mut response = CURRENT.scope(Arc::clone(&id), next.run(request)).await;
    let took = started.elapsed();
    let status = response.status().as_u16();
    app.metrics.request(&route, &method, status, took);
    let client = response.extensions().get::<Caller>().map(|caller| caller.name.to_string());
    log(&Line { id: &id, route: &route, method: &method, status, took, client: client.as_deref() });
    add_headers(&mut response, &id);
    response
}

struct Line<'a> {
    id: &'a str,
    route: &'a str,
    method: &'a str,
    status: u16,
    took: Duration,
    client: Option<&'a str>,
}

/// Failures of ours are errors; refusals and changes are noted; reads only on demand.
fn log(line: &Line<'_>) {
    let Line { id, route, method, status, took, client } = *line;
    let milliseconds = took.as_secs_f64() * 1e3;
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(
                request_id = id,
                route,
                method,
                status,
                milliseconds,
                client = client.unwrap_or("-"),
                "request"
            )
        };
    }
    match status {
        500.. if status != 503 => at!(error),
        400.. => at!(info),
        _ if matches!(method, "GET" | "HEAD") => at!(debug),
        _ => at!(info),
    }
}

fn client_id(request: &Request) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=MAX_ID_CHARS).contains(&id.len()) && id.bytes().all(is_plain)).then(|| id.to_owned())
}

fn add_headers(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
