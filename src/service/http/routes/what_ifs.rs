//! What orders would change, and which trade helps most; nothing is changed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::extract::Body;
use crate::service::api::{HedgeAnswer, HedgeRequest, WhatIf, WhatIfAnswer, WhatIfBatch, WhatIfBatchAnswer};
use crate::service::problem::Problem;

/// What orders would change in an account, or in a hypothetical one
#[utoipa::path(post, path = "/v1/what-ifs", tag = "what-ifs", security(("key" = [])), request_body = WhatIf,
    responses((status = 200, body = WhatIfAnswer, description = "The account is unchanged"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn what_if(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(asked): Body<WhatIf>,
) -> Result<Json<WhatIfAnswer>, Problem> {
    see(&caller, asked.account.as_ref())?;
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.what_if(&asked, cancel);
    Ok(Json(app.lanes.what_ifs.run(&caller.name, work).await??))
}

/// Several what-ifs in one market
#[utoipa::path(post, path = "/v1/what-ifs/batch", tag = "what-ifs", security(("key" = [])),
    request_body = WhatIfBatch,
    responses((status = 200, body = WhatIfBatchAnswer, description = "In the order of the what-ifs"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn batch(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(asked): Body<WhatIfBatch>,
) -> Result<Json<WhatIfBatchAnswer>, Problem> {
    asked.what_ifs.iter().try_for_each(|what_if| see(&caller, what_if.account.as_ref()))?;
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.what_ifs(&asked, cancel);
    Ok(Json(app.lanes.analyses.run(&caller.name, work).await??))
}

/// Which trade lowers the initial margin most
#[utoipa::path(post, path = "/v1/hedges", tag = "what-ifs", security(("key" = [])), request_body = HedgeRequest,
    responses((status = 200, body = HedgeAnswer, description = "The best first"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn hedge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(asked): Body<HedgeRequest>,
) -> Result<Json<HedgeAnswer>, Problem> {
    see(&caller, asked.account.as_ref())?;
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.hedge(&asked, cancel);
    Ok(Json(app.lanes.analyses.run(&caller.name, work).await??))
}

fn see(caller: &Caller, account: Option<&String>) -> Result<(), Problem> {
    account.map_or(Ok(()), |account| caller.must_see(account))
}
