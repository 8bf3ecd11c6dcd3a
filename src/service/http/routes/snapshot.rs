//! Everything that the service keeps, out and in.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::super::app::App;
use super::super::auth::Admin;
use super::super::extract::Body;
use crate::service::api::{MarketUpdateAnswer, Snapshot};
use crate::service::problem::Problem;

/// A snapshot may be so many times as large as another body.
const SNAPSHOT_BODIES: usize = 64;

/// All accounts and the market
#[utoipa::path(get, path = "/v1/snapshot", tag = "administration", security(("key" = [])), responses(
    (status = 200, body = Snapshot),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn export(State(app): State<Arc<App>>, Admin(caller): Admin) -> Result<Json<Snapshot>, Problem> {
    let desk = Arc::clone(&app.desk);
    Ok(Json(app.lanes.analyses.run(&caller.name, move |_| desk.export()).await??))
}

/// Replace all accounts and the market
#[utoipa::path(put, path = "/v1/snapshot", tag = "administration", security(("key" = [])),
    request_body = Snapshot,
    responses((status = 200, body = MarketUpdateAnswer, description = "Whole, or nothing was changed"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn import(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    Body(snapshot): Body<Snapshot, SNAPSHOT_BODIES>,
) -> Result<Json<MarketUpdateAnswer>, Problem> {
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.import(snapshot, cancel);
    Ok(Json(app.lanes.markets.run(&caller.name, work).await??))
}
