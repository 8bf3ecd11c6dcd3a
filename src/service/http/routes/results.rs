//! Results of the night, from the folder that `run --out` wrote.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::extract::Asked;
use crate::service::api::{AccountState, ResultsAnswer, ResultsQuery};
use crate::service::problem::Problem;

/// Which rows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RowsQuery {
    /// Only this case: `base`, or the name of a stress.
    case: Option<String>,
    /// Only this account.
    account: Option<String>,
    /// Only accounts in this state.
    #[param(inline)]
    state: Option<AccountState>,
    /// Rows to leave out first.
    #[serde(default)]
    offset: u64,
    /// Most rows, 1 to 1000.
    limit: Option<u64>,
}

/// Results of the night by case and account
#[utoipa::path(get, path = "/v1/results", tag = "results", security(("key" = [])), params(RowsQuery), responses(
    (status = 200, body = ResultsAnswer),
    (status = 404, body = Problem, description = "The service has no folder of results"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn rows(
    State(app): State<Arc<App>>,
    caller: Caller,
    Asked(asked): Asked<RowsQuery>,
) -> Result<Json<ResultsAnswer>, Problem> {
    if let Some(account) = &asked.account {
        caller.must_see(account)?;
    }
    let RowsQuery { case, account, state, offset, limit } = asked;
    let query = ResultsQuery { case, account, state, offset, limit };
    let desk = Arc::clone(&app.desk);
    let accounts = Arc::clone(&caller.accounts);
    let work = move |_: &_| desk.results(&query, &|account| accounts.include(account));
    Ok(Json(app.lanes.analyses.run(&caller.name, work).await??))
}
