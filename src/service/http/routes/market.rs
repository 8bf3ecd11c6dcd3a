//! The market: its numbers, and the versions that are kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::extract::{Body, Segment};
use crate::service::api::{MarketAnswer, MarketUpdate, MarketUpdateAnswer, MarketVersions};
use crate::service::keys::Permission;
use crate::service::problem::Problem;

/// The market that answers are made from
#[utoipa::path(get, path = "/v1/market", operation_id = "read_market", tag = "market", security(("key" = [])), responses(
    (status = 200, body = MarketAnswer),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn read(State(app): State<Arc<App>>) -> Result<Json<MarketAnswer>, Problem> {
    Ok(Json(app.desk.market()))
}

/// New spots, volatilities, forwards or surfaces; what is not named stays
///
/// Everything is revalued on the same random numbers. Readers go on with the old market until the
/// new one is whole.
#[utoipa::path(patch, path = "/v1/market", tag = "market", security(("key" = [])), request_body = MarketUpdate,
    responses((status = 200, body = MarketUpdateAnswer),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(update): Body<MarketUpdate>,
) -> Result<Json<MarketUpdateAnswer>, Problem> {
    caller.must(Permission::Market)?;
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.update_market(&update, cancel);
    Ok(Json(app.lanes.markets.run(&caller.name, work).await??))
}

/// Markets that are kept
#[utoipa::path(get, path = "/v1/market/versions", tag = "market", security(("key" = [])), responses(
    (status = 200, body = MarketVersions),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn versions(State(app): State<Arc<App>>) -> Result<Json<MarketVersions>, Problem> {
    Ok(Json(app.desk.market_versions()))
}

/// A kept market
#[utoipa::path(get, path = "/v1/market/versions/{version}", tag = "market", security(("key" = [])),
    params(("version" = u64, Path, description = "Its number")), responses(
    (status = 200, body = MarketAnswer),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn version(
    State(app): State<Arc<App>>,
    Segment(version): Segment<u64>,
) -> Result<Json<MarketAnswer>, Problem> {
    Ok(Json(app.desk.market_version(version)?))
}
