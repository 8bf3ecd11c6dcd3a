//! Against other people's web pages: a browser on this machine must not be made to ask for them.
//!
//! Without keys, whoever reaches the loopback address may do everything, and a page from elsewhere
//! reaches it through the browser of its visitor. Such a page either sends its own name as `Host`
//! (DNS rebinding), or its own origin.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use crate::service::problem::Problem;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names by which the service may be addressed.
pub struct Hosts(Vec<String>);

impl Hosts {
    /// The names of the loopback, of the bound address, and others.
    pub fn new(bound: SocketAddr, others: &[String]) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let ip = if bound.is_ipv6() { format!("[{}]", bound.ip()) } else { bound.ip().to_string() };
        Self(own.into_iter().chain([ip]).chain(others.iter().map(|name| name.to_lowercase())).collect())
    }

    fn include(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// The layer of all routes: the name by which the service is addressed. With keys any name is
/// right, as a foreign page has no key.
pub async fn host(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let host = text(request.headers(), &HOST);
    if app.gate.is_locked() || host.is_some_and(|host| app.hosts.include(host)) {
        return next.run(request).await;
    }
    let detail = "the service does not answer to this name; start it with --host NAME if it should";
    let wanted = app.hosts.0.join(" or ");
    Problem::new(421, "wrong-host", "Wrong host", detail)
        .with("header.host", host.unwrap_or("nothing"), wanted)
        .into_response()
}

/// The layer of the API: requests of foreign pages are refused.
pub async fn origin(request: Request, next: Next) -> Response {
    match own_origin(request.headers()) {
        Err(problem) => problem.into_response(),
        Ok(()) => next.run(request).await,
    }
}

/// Refuses the request of a foreign page.
pub fn own_origin(headers: &HeaderMap) -> Result<(), Problem> {
    foreign(headers).map_or(Ok(()), Err)
}

fn foreign(headers: &HeaderMap) -> Option<Problem> {
    let refuse = |place: &str, found: &str| {
        let detail = "the request comes from a page of another origin";
        Some(Problem::new(403, "cross-site", "Cross-site request", detail).with(
            place,
            found,
            "the origin of this service",
        ))
    };
    if let Some(site) = headers.get(FETCH_SITE).filter(|site| *site != "same-origin" && *site != "none") {
        return refuse("header.sec-fetch-site", site.to_str().unwrap_or("not text"));
    }
    let origin = headers.get(ORIGIN)?;
    let Ok(origin) = origin.to_str() else { return refuse("header.origin", "not text") };
    let host = origin.split_once("://").map(|(_, host)| host);
    match (host, text(headers, &HOST)) {
        (Some(from), Some(to)) if from.eq_ignore_ascii_case(to) => None,
        _ => refuse("header.origin", origin),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_answered() {
        let hosts = Hosts::new("127.0.0.1:8080".parse().unwrap(), &["Margin.example".to_owned()]);
        for name in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]", "margin.example:8080"]
        {
            assert!(hosts.include(name), "{name}");
        }
        for name in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", ":80", "localhost:x"]
        {
            assert!(!hosts.include(name), "{name}");
        }
    }

    #[test]
    fn foreign_origins_are_refused() {
        let problem = |pairs: &[(HeaderName, &str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            foreign(&headers).map(|problem| problem.status)
        };
        assert_eq!(problem(&[]), None);
        assert_eq!(problem(&[(HOST, "localhost:1"), (ORIGIN, "http://localhost:1")]), None);
        assert_eq!(problem(&[(HOST, "localhost:1"), (ORIGIN, "http://localhost:2")]), Some(403));
        assert_eq!(problem(&[(HOST, "localhost:1"), (ORIGIN, "null")]), Some(403));
        assert_eq!(problem(&[(ORIGIN, "http://localhost:1")]), Some(403));
        assert_eq!(problem(&[(FETCH_SITE, "cross-site")]), Some(403));
        assert_eq!(problem(&[(FETCH_SITE, "same-site")]), Some(403));
        assert_eq!(problem(&[(FETCH_SITE, "same-origin")]), None);
    }
}
