//! Accounts: what they hold, and their margins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::extract::{Asked, Body, Name};
use crate::service::api::{
    Account, AccountList, Book, Distribution, LevelName, MarginAnswer, Patch, Revisions,
};
use crate::service::keys::Permission;
use crate::service::problem::{Problem, path_segment};
use crate::service::{Cancel, DeskFault};

/// All accounts that the key sees
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts", security(("key" = [])), responses(
    (status = 200, body = AccountList, description = "Those that need money most first"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<AccountList>, Problem> {
    let mut list = app.desk.accounts();
    if !caller.accounts.are_all() {
        list.accounts.retain(|line| caller.accounts.include(&line.account));
    }
    Ok(Json(list))
}

/// Which revision.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RevisionQuery {
    /// An earlier revision that is kept; the present one without it.
    #[serde(default)]
    revision: Option<u64>,
}

/// What an account holds, or held
#[utoipa::path(get, path = "/v1/accounts/{account}", operation_id = "read_account", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name"), RevisionQuery), responses(
    (status = 200, body = Account, description = "Its revision is in the header ETag too"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn read(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Asked(asked): Asked<RevisionQuery>,
) -> Result<Response, Problem> {
    let account = app.desk.revision(&name, asked.revision)?;
    Ok((revision_headers(&account.account, account.revision), Json(account)).into_response())
}

/// Create an account
#[utoipa::path(post, path = "/v1/accounts/{account}", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name")), request_body = Book, responses(
    (status = 201, body = MarginAnswer, description = "Created, and kept before this answer"),
    (status = 409, body = Problem, description = "There already"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Name(name): Name,
    Body(book): Body<Book>,
) -> Result<Response, Problem> {
    caller.must(Permission::Trade)?;
    let desk = Arc::clone(&app.desk);
    let answer =
        app.lanes.changes.run(&caller.name, move |cancel| desk.create(&name, book, cancel)).await??;
    Ok((StatusCode::CREATED, changed(answer)).into_response())
}

/// Create an account, or replace what it holds
///
/// With the header `If-Match: "REVISION"` only if it has not changed since.
#[utoipa::path(put, path = "/v1/accounts/{account}", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name"),
        ("If-Match" = Option<String>, Header, description = "The revision that is replaced, in quotes")),
    request_body = Book, responses(
    (status = 200, body = MarginAnswer, description = "Replaced or created, and kept before this answer"),
    (status = 412, body = Problem, description = "Changed meanwhile"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn replace(
    State(app): State<Arc<App>>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
    Body(book): Body<Book>,
) -> Result<Response, Problem> {
    caller.must(Permission::Trade)?;
    let revision = expected_revision(&headers)?;
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| match desk.replace(&name, book.clone(), revision, cancel) {
        Err(DeskFault::NotFound { .. }) if revision.is_none() => desk.create(&name, book, cancel),
        done => done,
    };
    Ok(changed(app.lanes.changes.run(&caller.name, work).await??).into_response())
}

/// Add trades and payments to an account
#[utoipa::path(patch, path = "/v1/accounts/{account}", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name"),
        ("If-Match" = Option<String>, Header, description = "The revision that is changed, in quotes")),
    request_body = Patch, responses(
    (status = 200, body = MarginAnswer, description = "Changed, and kept before this answer"),
    (status = 412, body = Problem, description = "Changed meanwhile"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn patch(
    State(app): State<Arc<App>>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
    Body(patch): Body<Patch>,
) -> Result<Response, Problem> {
    caller.must(Permission::Trade)?;
    let revision = expected_revision(&headers)?;
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.patch(&name, &patch, revision, cancel);
    Ok(changed(app.lanes.changes.run(&caller.name, work).await??).into_response())
}

/// Delete an account
#[utoipa::path(delete, path = "/v1/accounts/{account}", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name"),
        ("If-Match" = Option<String>, Header, description = "The revision that is deleted, in quotes")),
    responses(
    (status = 204, description = "Gone"),
    (status = 412, body = Problem, description = "Changed meanwhile"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.must(Permission::Trade)?;
    let revision = expected_revision(&headers)?;
    let desk = Arc::clone(&app.desk);
    app.lanes.changes.run(&caller.name, move |_| desk.remove(&name, revision)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// What an answer about a margin holds beside the figures.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MarginQuery {
    /// Also what the Expected Shortfalls are made of.
    #[serde(default)]
    attribution: bool,
    /// Also the worst paths.
    #[serde(default)]
    worst_paths: bool,
}

/// An account's margin
#[utoipa::path(get, path = "/v1/accounts/{account}/margin", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name"), MarginQuery), responses(
    (status = 200, body = MarginAnswer),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn margin(
    State(app): State<Arc<App>>,
    caller: Caller,
    Name(name): Name,
    Asked(asked): Asked<MarginQuery>,
) -> Result<Json<MarginAnswer>, Problem> {
    if !asked.attribution && !asked.worst_paths {
        return Ok(Json(app.desk.margin(&name, false, &Cancel::default())?));
    }
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.margin(&name, true, cancel);
    let mut answer = app.lanes.analyses.run(&caller.name, work).await??;
    answer.attribution.take_if(|_| !asked.attribution);
    answer.worst_paths.take_if(|_| !asked.worst_paths);
    Ok(Json(answer))
}

/// Which of the two levels.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LevelQuery {
    /// `maintenance`, or `initial`.
    #[serde(default)]
    #[param(inline)]
    level: LevelName,
}

/// How an account's losses are distributed
#[utoipa::path(get, path = "/v1/accounts/{account}/distribution", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name"), LevelQuery), responses(
    (status = 200, body = Distribution),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn distribution(
    State(app): State<Arc<App>>,
    caller: Caller,
    Name(name): Name,
    Asked(asked): Asked<LevelQuery>,
) -> Result<Json<Distribution>, Problem> {
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.distribution(&name, asked.level, cancel);
    Ok(Json(app.lanes.analyses.run(&caller.name, work).await??))
}

/// Which market an answer came from.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// Version of the market that the answer named.
    market_version: u64,
    /// Revision of the account that the answer named; the present one without it.
    #[serde(default)]
    revision: Option<u64>,
}

/// An earlier answer, computed again: the margin of a revision of the account in a market
#[utoipa::path(get, path = "/v1/accounts/{account}/explanation", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name"), VersionQuery), responses(
    (status = 200, body = MarginAnswer, description = "Computed again from the first path to the last"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn explanation(
    State(app): State<Arc<App>>,
    caller: Caller,
    Name(name): Name,
    Asked(asked): Asked<VersionQuery>,
) -> Result<Json<MarginAnswer>, Problem> {
    let desk = Arc::clone(&app.desk);
    let work = move |cancel: &_| desk.explain(&name, asked.revision, asked.market_version, cancel);
    Ok(Json(app.lanes.analyses.run(&caller.name, work).await??))
}

/// Earlier revisions of an account that are kept
#[utoipa::path(get, path = "/v1/accounts/{account}/revisions", tag = "accounts", security(("key" = [])),
    params(("account" = String, Path, description = "Its name")), responses(
    (status = 200, body = Revisions, description = "Those of an account that is gone, too"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn revisions(State(app): State<Arc<App>>, Name(name): Name) -> Result<Json<Revisions>, Problem> {
    Ok(Json(app.desk.revisions(&name)?))
}

fn changed(answer: MarginAnswer) -> impl IntoResponse {
    (revision_headers(&answer.account, answer.revision), Json(answer))
}

fn revision_headers(account: &str, revision: u64) -> [(HeaderName, String); 2] {
    [(ETAG, format!("\"{revision}\"")), (LOCATION, format!("/v1/accounts/{}", path_segment(account)))]
}

/// The revision of the header `If-Match`; any without it.
fn expected_revision(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or("not text");
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|n| n.parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::new(400, "malformed", "Malformed request", "the revision cannot be read").with(
            "header.if-match",
            text,
            "a revision in quotes, as the header ETag gives it",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_read_from_their_header() {
        let read = |text: &str| {
            let headers = [(IF_MATCH, text.parse().unwrap())].into_iter().collect();
            expected_revision(&headers).map_err(|problem| problem.status)
        };
        assert_eq!(expected_revision(&HeaderMap::new()), Ok(None));
        assert_eq!(read("\"7\""), Ok(Some(7)));
        for wrong in ["7", "\"\"", "*", "\"-1\"", "W/\"7\""] {
            assert_eq!(read(wrong), Err(400), "{wrong}");
        }
    }
}
