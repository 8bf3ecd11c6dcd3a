//! Every route, as a client meets it.

use serde_json::{Value, json};
use shortfall::service::Cancel;
use shortfall::service::api::{Book, Patch, WhatIf};
use shortfall::service::client::{Client, ClientFault};

use crate::night::{Night, by_run, order};
use crate::server::Server;

#[test]
fn a_margin_over_http_is_that_of_a_run() {
    let night = Night::new();
    let server = Server::with(&night, |_| {});
    let expected = by_run(&night.scenario(), "market-maker");
    let answer = server.get("/v1/accounts/market-maker/margin").ok();
    assert_eq!(answer["figures"], serde_json::to_value(&expected).unwrap());
    let client = Client::new(server.url(), None, None).unwrap();
    // The same bits, not only the same text.
    assert_eq!(client.margin("market-maker", false).unwrap().figures, expected);
    assert_eq!(answer["market"]["version"], 1);
    for field in ["as_of", "received", "age_seconds", "is_stale"] {
        assert!(!answer["market"][field].is_null(), "{field}");
    }
}

#[test]
fn accounts_are_created_changed_and_deleted() {
    let server = Server::new();
    let book = json!({"description": "new", "positions": [{"instrument": "BTC-PERPETUAL", "quantity": 1000.0}],
        "balances": [{"asset": "USD", "amount": 5000.0}]});
    let created = server.send("POST", "/v1/accounts/new%20one", &book);
    assert_eq!((created.status, created.header("etag")), (201, "\"1\""));
    assert_eq!(created.header("location"), "/v1/accounts/new%20one");
    assert_eq!(
        server.send("POST", "/v1/accounts/new%20one", &book).problem(409)["type"],
        "urn:shortfall:exists"
    );

    let patch = json!({"positions": [{"instrument": "BTC-PERPETUAL", "quantity": -400.0}]});
    let patched = server.send("PATCH", "/v1/accounts/new%20one", &patch);
    assert_eq!((patched.status, patched.header("etag")), (200, "\"2\""));
    let kept = server.get("/v1/accounts/new%20one").ok();
    assert_eq!(kept["book"]["positions"].as_array().unwrap().len(), 2);

    let headers = [("content-type", "application/json"), ("if-match", "\"1\"")];
    let text = book.to_string();
    let late = server.ask("PUT", "/v1/accounts/new%20one", &headers, Some(text.as_bytes()));
    assert_eq!(late.problem(412)["type"], "urn:shortfall:conflict");
    let headers = [("content-type", "application/json"), ("if-match", "\"2\"")];
    let replaced = server.ask("PUT", "/v1/accounts/new%20one", &headers, Some(text.as_bytes()));
    assert_eq!((replaced.status, replaced.header("etag")), (200, "\"3\""));
    // PUT creates, too.
    assert_eq!(server.send("PUT", "/v1/accounts/another", &book).status, 200);

    let list = server.get("/v1/accounts").ok();
    let names: Vec<&str> =
        list["accounts"].as_array().unwrap().iter().map(|a| a["account"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"new one") && names.contains(&"another") && names.contains(&"basis-trade"),
        "{names:?}"
    );

    assert_eq!(server.ask("DELETE", "/v1/accounts/new%20one", &[], None).status, 204);
    assert_eq!(server.get("/v1/accounts/new%20one").problem(404)["type"], "urn:shortfall:not-found");
    assert_eq!(server.ask("DELETE", "/v1/accounts/new%20one", &[], None).status, 404);
}

#[test]
fn what_ifs_batches_and_hedges_change_nothing() {
    let server = Server::new();
    let client = Client::new(server.url(), None, None).unwrap();
    let before = client.margin("market-maker", false).unwrap();
    let what_if = WhatIf {
        account: Some("market-maker".to_owned()),
        orders: vec![order("BTC-27MAR26-80000-C", -10.0)],
        ..WhatIf::default()
    };
    let answer = client.what_if(&what_if).unwrap();
    let direct = server.desk.what_if(&what_if, &Cancel::default()).unwrap();
    assert_eq!((&answer.before, &answer.after), (&direct.before, &direct.after));
    assert_ne!(answer.before, answer.after);

    let hypothetical = WhatIf { account: None, hypothetical: Some(Book::default()), ..what_if.clone() };
    let wrong = WhatIf { account: Some("nobody".to_owned()), ..what_if.clone() };
    let batch = json!({"what_ifs": [what_if, hypothetical, wrong]});
    let answers = server.send("POST", "/v1/what-ifs/batch", &batch).ok();
    assert_eq!(answers["answers"][0]["answer"]["after"], serde_json::to_value(&direct.after).unwrap());
    assert!(answers["answers"][1]["answer"]["account"].is_null());
    assert_eq!(answers["answers"][2]["refusal"]["code"], "not_found");

    let hedge = json!({"account": "market-maker", "instruments": ["BTC-PERPETUAL", "ETH-PERPETUAL"]});
    let hedges = server.send("POST", "/v1/hedges", &hedge).ok();
    assert_eq!(hedges["hedges"].as_array().unwrap().len(), 2);
    assert_eq!(client.margin("market-maker", false).unwrap().figures, before.figures);
    assert_eq!(client.account("market-maker").unwrap().revision, before.revision);
}

#[test]
fn an_account_is_taken_apart_and_its_losses_are_distributed() {
    let server = Server::new();
    let plain = server.get("/v1/accounts/short-strangle/margin").ok();
    assert!(plain.get("attribution").is_none() && plain.get("worst_paths").is_none());
    let path = "/v1/accounts/short-strangle/margin?attribution=true&worst_paths=true";
    let detailed = server.get(path).ok();
    assert_eq!(detailed["figures"], plain["figures"]);
    let parts = detailed["attribution"]["maintenance"]["by_asset"].as_array().unwrap();
    let sum: f64 = parts.iter().map(|part| part["expected_shortfall"].as_f64().unwrap()).sum::<f64>()
        + detailed["attribution"]["maintenance"]["remainder"].as_f64().unwrap();
    let whole = plain["figures"]["maintenance"]["expected_shortfall"].as_f64().unwrap();
    // The parts add up in f64 to a whole that was summed in integers.
    assert!((sum - whole).abs() <= 1e-9 * whole, "{sum} {whole}");
    assert!(!detailed["worst_paths"].as_array().unwrap().is_empty());

    for level in ["maintenance", "initial"] {
        let answer = server.get(&format!("/v1/accounts/short-strangle/distribution?level={level}")).ok();
        let counts = answer["counts"].as_array().unwrap();
        let paths: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(paths, crate::night::PATHS, "{level}");
        assert_eq!(answer["tail"], plain["figures"][level]);
    }
}

#[test]
fn the_market_moves_and_earlier_ones_can_be_explained() {
    let server = Server::new();
    let client = Client::new(server.url(), None, None).unwrap();
    let before = client.margin("basis-trade", false).unwrap();
    let market = client.market().unwrap();
    let spot = market.numbers.assets[0].spot.unwrap();
    let update = json!({"as_of": market.market.as_of, "source": "a test",
        "assets": [{"asset": market.numbers.assets[0].asset, "spot": spot * 0.9}]});
    let updated = server.send("PATCH", "/v1/market", &update).ok();
    assert_eq!(updated["market"]["version"], 2);
    let after = client.margin("basis-trade", false).unwrap();
    assert_eq!(after.market.version, 2);
    assert_ne!(after.figures, before.figures);

    let versions = server.get("/v1/market/versions").ok();
    assert_eq!((&versions["current"], versions["versions"].as_array().unwrap().len()), (&json!(2), 2));
    let first = server.get("/v1/market/versions/1").ok();
    assert_eq!(first["numbers"]["assets"][0]["spot"], spot);
    let explained = server.get("/v1/accounts/basis-trade/explanation?market_version=1").ok();
    assert_eq!(explained["figures"], serde_json::to_value(&before.figures).unwrap());
    let patch = Patch { positions: vec![order("BTC-PERPETUAL", 10.0)], ..Patch::default() };
    client.patch("basis-trade", &patch).unwrap();
    let path = "/v1/accounts/basis-trade";
    let explained = client.explain("basis-trade", before.revision, before.market.version).unwrap();
    assert_eq!((explained.figures, explained.worst_driver), (before.figures, before.worst_driver));
    let revisions = client.revisions("basis-trade").unwrap();
    assert_eq!((revisions.current, revisions.revisions[0].revision), (Some(2), 1));
    let old = server.get(&format!("{path}?revision=1"));
    assert_eq!(old.header("etag"), "\"1\"");
    assert_ne!(old.ok()["book"], server.get(path).ok()["book"]);
    assert_eq!(server.get(&format!("{path}?revision=7")).problem(404)["type"], "urn:shortfall:not-found");
    assert_eq!(server.get("/v1/accounts/nobody/revisions").status, 404);
    assert_eq!(server.get("/v1/market/versions/99").status, 404);
    assert_eq!(server.get("/v1/accounts/basis-trade/explanation?market_version=99").status, 404);
}

#[test]
fn a_snapshot_goes_out_and_comes_back() {
    let server = Server::new();
    let snapshot = server.get("/v1/snapshot").ok();
    let client = Client::new(server.url(), None, None).unwrap();
    let before = client.margin("covered-call", false).unwrap().figures;
    let patch = Patch { positions: vec![order("BTC", 1.0)], ..Patch::default() };
    client.patch("covered-call", &patch).unwrap();
    assert_ne!(client.margin("covered-call", false).unwrap().figures, before);
    server.send("PUT", "/v1/snapshot", &snapshot).ok();
    assert_eq!(client.margin("covered-call", false).unwrap().figures, before);
    let half = json!({"schema": snapshot["schema"], "schema_version": 1});
    assert!(server.send("PUT", "/v1/snapshot", &half).problem(400)["faults"].as_array().unwrap().len() >= 3);
}

#[test]
fn health_and_figures_are_there() {
    let server = Server::new();
    assert_eq!(server.get("/livez").text, "alive\n");
    let ready = server.get("/readyz").ok();
    assert_eq!((&ready["is_ready"], &ready["market_version"]), (&json!(true), &json!(1)));
    assert!(ready["device"].as_str().unwrap().contains("cpu"), "{ready}");
    let status = server.get("/v1/status").ok();
    assert_eq!(status["accounts"], 6);
    let figures = server.get("/metrics").text;
    for name in [
        "shortfall_request_duration_seconds_bucket{route=\"/v1/status\",method=\"GET\",status=\"200\"",
        "shortfall_queue_depth{queue=\"what-ifs\"} 0",
        "shortfall_market_version 1",
        "shortfall_cube_age_seconds",
        "shortfall_device_memory_bytes",
        "shortfall_accounts 6",
    ] {
        assert!(figures.contains(name), "{name} is not in\n{figures}");
    }
}

#[test]
fn wrong_requests_are_told_everything_at_once() {
    let server = Server::new();
    let wrong =
        json!({"account": 3, "orders": [{"instrument": "BTC"}, {"quantity": "x", "colour": 1}], "x": 1});
    let problem = server.send("POST", "/v1/what-ifs", &wrong).problem(400);
    let places: Vec<&str> =
        problem["faults"].as_array().unwrap().iter().map(|fault| fault["where"].as_str().unwrap()).collect();
    for place in [
        "body.account",
        "body.orders[0].quantity",
        "body.orders[1].quantity",
        "body.orders[1].colour",
        "body.orders[1].instrument",
        "body.x",
    ] {
        assert!(places.contains(&place), "{place} is not in {places:?}");
    }
    let invalid = json!({"account": "market-maker", "orders": [
        {"instrument": "NO-SUCH", "quantity": 1.0}, {"instrument": "BTC-99XYZ26-1-C", "quantity": 1.0}]});
    let problem = server.send("POST", "/v1/what-ifs", &invalid).problem(422);
    assert_eq!(problem["faults"].as_array().unwrap().len(), 2, "{problem}");
    assert_eq!(server.get("/v1/nothing").problem(404)["type"], "urn:shortfall:no-such-path");
    assert_eq!(server.send("POST", "/v1/market", &json!({})).problem(405)["type"], "urn:shortfall:method");
    let query = server.get("/v1/accounts/market-maker/margin?colour=red").problem(400);
    assert_eq!(query["faults"][0]["where"], "query");
    let plain = server.ask("POST", "/v1/what-ifs", &[("content-type", "text/plain")], Some(b"{}"));
    assert_eq!(plain.problem(415)["faults"][0]["where"], "header.content-type");
    let client = Client::new(server.url(), None, None).unwrap();
    match client.margin("nobody", false) {
        Err(ClientFault::Problem(problem)) => assert_eq!(problem.status, 404),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_document_describes_every_route() {
    let server = Server::new();
    let document = server.get("/openapi.json").ok();
    assert_eq!(document["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    for path in [
        "/livez",
        "/metrics",
        "/readyz",
        "/v1/accounts",
        "/v1/accounts/{account}",
        "/v1/accounts/{account}/distribution",
        "/v1/accounts/{account}/explanation",
        "/v1/accounts/{account}/margin",
        "/v1/accounts/{account}/revisions",
        "/v1/events",
        "/v1/hedges",
        "/v1/market",
        "/v1/market/versions",
        "/v1/market/versions/{version}",
        "/v1/results",
        "/v1/snapshot",
        "/v1/status",
        "/v1/what-ifs",
        "/v1/what-ifs/batch",
    ] {
        assert!(paths.iter().any(|known| *known == path), "{path} is not described");
    }
    assert_eq!(paths.len(), 19, "{paths:?}");
    for method in ["get", "post", "put", "patch", "delete"] {
        let operation = &document["paths"]["/v1/accounts/{account}"][method];
        assert_eq!(operation["security"][0]["key"], json!([]), "{method}");
        assert!(operation["summary"].is_string() && operation["responses"]["4XX"].is_object(), "{method}");
    }
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    let unique: std::collections::BTreeSet<&str> = operation_ids(&document).collect();
    assert_eq!(unique.len(), operation_ids(&document).count(), "operations share an id");
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

fn operation_ids(document: &Value) -> impl Iterator<Item = &str> {
    let paths = document["paths"].as_object().unwrap().values();
    paths.flat_map(|path| path.as_object().unwrap().values()).filter_map(|o| o["operationId"].as_str())
}

#[test]
fn an_account_is_deleted_only_in_the_revision_that_is_named() {
    let server = Server::new();
    let path = "/v1/accounts/covered-call";
    let delete = |revision: &str| server.ask("DELETE", path, &[("if-match", revision)], None);
    assert_eq!(delete("\"2\"").problem(412)["type"], "urn:shortfall:conflict");
    assert_eq!(delete("2").status, 400);
    assert_eq!(server.get(path).status, 200);
    assert_eq!(delete("\"1\"").status, 204);
    assert_eq!(server.get(path).status, 404);
    assert_eq!(server.ask("DELETE", "/v1/accounts/basis-trade", &[], None).status, 204);
}

#[test]
fn the_night_is_answered_by_query() {
    let night = Night::new();
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_shortfall"))
        .args(["run", "--paths", "4096", "--out"])
        .args([night.path("results"), night.path("quickstart.yaml")])
        .output()
        .expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let server = Server::with_served(&night, |served| served.config.results = Some(night.path("results")));
    let summary = std::fs::read_to_string(night.path("results/summary.json")).expect("written");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    let cases = summary["cases"].as_array().expect("cases");
    let of = |case: &Value| case["accounts"].as_array().expect("accounts").len();
    let all = server.get("/v1/results").ok();
    assert_eq!(all["total"], cases.iter().map(of).sum::<usize>());
    // One row, against what the run wrote beside it.
    let one = server.get("/v1/results?case=base&account=market-maker").ok();
    assert_eq!((&one["total"], one["rows"].as_array().unwrap().len()), (&json!(1), 1));
    let by_run = cases[0]["accounts"].as_array().unwrap().iter().find(|a| a["account"] == "market-maker");
    let by_run = by_run.expect("in the summary");
    for field in ["market_value", "equity", "maintenance_margin", "initial_margin", "health", "state"] {
        assert_eq!(one["rows"][0][field], by_run[field], "{field}");
    }
    let tail = &by_run["initial"];
    assert_eq!(one["rows"][0]["initial_expected_shortfall"], tail["expected_shortfall"]);
    assert_eq!(one["rows"][0]["initial_standard_error"], tail["standard_error"]);
    // Pages follow each other, and states are told apart.
    let first = server.get("/v1/results?limit=2").ok();
    let second = server.get("/v1/results?limit=2&offset=1").ok();
    assert_eq!((&first["rows"][1], &first["total"]), (&second["rows"][0], &all["total"]));
    let states = ["healthy", "margin_call", "liquidate"];
    let count = |state: &str| server.get(&format!("/v1/results?state={state}")).ok()["total"].as_u64();
    assert_eq!(states.into_iter().map(|state| count(state).unwrap()).sum::<u64>(), all["total"]);
    assert_eq!(server.get("/v1/results?account=nobody").ok()["total"], 0);
    for wrong in ["limit=0", "limit=1001", "state=poor", "colour=red"] {
        let status = server.get(&format!("/v1/results?{wrong}")).status;
        assert!(matches!(status, 400 | 422), "{wrong}: {status}");
    }
    assert_eq!(Server::new().get("/v1/results").problem(404)["type"], "urn:shortfall:not-found");
}
