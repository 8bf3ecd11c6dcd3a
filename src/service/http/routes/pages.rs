//! Pages for people, and what is answered where there is nothing.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Uri};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

use super::super::app::App;
use crate::service::problem::Problem;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The dashboard, the list of operations, and the API's document.
pub fn pages() -> Router<Arc<App>> {
    Router::new()
        .route("/", file(HTML, include_str!("../dashboard/index.html")))
        .route("/docs", file(HTML, include_str!("../dashboard/docs.html")))
        .route("/assets/dashboard.css", file(CSS, include_str!("../dashboard/dashboard.css")))
        .route("/assets/dashboard.js", file(JAVASCRIPT, include_str!("../dashboard/dashboard.js")))
        .route("/assets/docs.js", file(JAVASCRIPT, include_str!("../dashboard/docs.js")))
        .route("/openapi.json", get(openapi))
}

fn file(kind: &'static str, text: &'static str) -> MethodRouter<Arc<App>> {
    get(move || async move { ([(CONTENT_TYPE, kind)], text) })
}

async fn openapi(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], app.openapi.clone())
}

/// No such path.
pub async fn nothing(uri: Uri) -> Problem {
    Problem::new(404, "no-such-path", "Not found", "there is nothing here; /docs lists what there is").with(
        "path",
        uri.path(),
        "a path that /openapi.json lists",
    )
}

/// No such method here.
pub async fn wrong_method(method: Method) -> Problem {
    Problem::new(405, "method", "Method not allowed", "/docs lists what there is").with(
        "method",
        method.as_str(),
        "one that /openapi.json lists for this path",
    )
}
