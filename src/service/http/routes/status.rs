//! How the service is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::app::App;
use crate::service::api::Status;
use crate::service::problem::Problem;

/// Market, cube, memory and work of the service
#[utoipa::path(get, path = "/v1/status", tag = "administration", security(("key" = [])), responses(
    (status = 200, body = Status),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    Json(app.desk.status())
}

/// Whether the process runs
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
pub async fn alive() -> &'static str {
    "alive\n"
}

/// Whether figures can be asked for, and why not.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether figures can be asked for.
    is_ready: bool,
    /// Why not, or what is worth knowing; empty where all is well.
    notes: Vec<String>,
    /// What computes.
    device: String,
    /// Version of the market.
    market_version: u64,
    /// Seconds since it was seen.
    market_age_seconds: f64,
}

/// Whether figures can be asked for
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Readiness>) {
    let status = app.desk.status();
    let is_stopping = *app.stopping.borrow();
    let is_ready = status.is_ready && !is_stopping;
    let of_device = [
        status.device_fault.map(|fault| format!("the CPU is about to take the device's place: {fault}")),
        status.device_given_up.map(|reason| format!("degraded: the CPU computes, because {reason}")),
    ];
    let notes = [
        (is_stopping, "the service stops: requests in flight are finished"),
        (status.market.is_stale, "the market is older than is allowed: send a newer one"),
        (status.is_revaluing, "a new market is being revalued: answers are from the one before"),
    ];
    let notes = notes.iter().filter(|(is_so, _)| *is_so).map(|(_, note)| (*note).to_owned());
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness = Readiness {
        is_ready,
        notes: of_device.into_iter().flatten().chain(notes).collect(),
        device: status.device,
        market_version: status.market.version,
        market_age_seconds: status.market.age_seconds,
    };
    (code, Json(readiness))
}

/// Figures for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", security(("key" = [])), responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let status = app.desk.status();
    let set = |name, value: f64| app.metrics.gauge(name, &[]).set(value);
    let is_on = |engine: &str| f64::from(u8::from(status.engine == engine));
    for engine in ["cpu", "gpu"] {
        app.metrics.gauge("shortfall_device", &[("engine", engine)]).set(is_on(engine));
    }
    set("shortfall_device_lost", f64::from(u8::from(status.device_fault.is_some())));
    app.metrics.total("shortfall_device_fallbacks_total", status.device_fallbacks);
    set("shortfall_market_version", status.market.version as f64);
    set("shortfall_market_age_seconds", status.market.age_seconds);
    set("shortfall_cube_age_seconds", status.cube_age_seconds);
    set("shortfall_cube_bytes", status.cube_bytes as f64);
    set("shortfall_reserve_bytes", status.reserve_bytes as f64);
    let held = status.cube_bytes + status.reserve_bytes + status.losses_bytes;
    set("shortfall_device_memory_bytes", held as f64);
    set("shortfall_losses_bytes", status.losses_bytes as f64);
    set("shortfall_accounts", status.accounts as f64);
    set("shortfall_instruments", status.instruments as f64);
    set("shortfall_computing", status.computing as f64);
    set("shortfall_last_event", status.last_event as f64);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}
