//! Hostile requests: never a fault of ours, never a panic.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::server::Server;

/// One server for all cases: whatever came before must not matter.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::new)
}

const TARGETS: [(&str, &str); 7] = [
    ("POST", "/v1/what-ifs"),
    ("POST", "/v1/what-ifs/batch"),
    ("POST", "/v1/hedges"),
    ("PUT", "/v1/accounts/fuzz"),
    ("PATCH", "/v1/accounts/market-maker"),
    ("PATCH", "/v1/market"),
    ("PUT", "/v1/snapshot"),
];

/// Queries with a number.
const QUERIES: [&str; 8] = [
    "/v1/events?since={}",
    "/v1/results?offset={}",
    "/v1/results?limit={}",
    "/v1/market/versions/{}",
    "/v1/accounts/market-maker?revision={}",
    "/v1/accounts/market-maker/explanation?market_version={}",
    "/v1/accounts/market-maker/explanation?market_version=1&revision={}",
    "/v1/accounts/market-maker/distribution?level={}",
];

/// The ends of ranges, and what is no number.
fn hostile_number() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(u64::MAX.to_string()),
        Just((u64::MAX - 1).to_string()),
        Just((1u64 << 63).to_string()),
        Just("18446744073709551616".to_owned()),
        Just("-1".to_owned()),
        Just("0".to_owned()),
        Just("1e3".to_owned()),
        Just("NaN".to_owned()),
        Just("0x10".to_owned()),
        Just("00000000000000000000001".to_owned()),
        any::<u64>().prop_map(|n| n.to_string()),
    ]
}

/// Bodies that are right but for one place.
fn seeds() -> Vec<Value> {
    let order = json!({"instrument": "BTC-27MAR26-80000-C", "quantity": 1.0, "implied_volatility": 0.5});
    let book =
        json!({"description": "d", "positions": [order], "balances": [{"asset": "USD", "amount": 1.0}]});
    vec![
        json!({"account": "market-maker", "orders": [order], "balances": []}),
        json!({"what_ifs": [{"hypothetical": book, "orders": [order]}]}),
        json!({"account": "market-maker", "instruments": ["BTC-PERPETUAL"], "most_units": 3.0}),
        book.clone(),
        json!({"as_of": "2026-02-04T22:00:00Z", "assets": [{"asset": "BTC", "spot": 1.0, "volatility": 0.5}],
            "forwards": [{"asset": "BTC", "expiry": "2026-03-27T08:00:00Z", "forward": 1.0}],
            "surfaces": [{"asset": "BTC", "expiry": "2026-03-27T08:00:00Z", "a": 0.1, "b": 0.1, "rho": 0.0, "m": 0.0, "sigma": 0.1}]}),
        json!({"schema": "shortfall.service.snapshot", "schema_version": 1, "at": "2026-02-04T22:00:00Z",
            "accounts": [{"account": "a", "revision": 1, "book": book}], "market": {"as_of": "x"}, "last_event": 0}),
    ]
}

/// Values that readers stumble over.
fn hostile() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(1e308)),
        Just(json!(-1e308)),
        Just(json!(5e-324)),
        Just(json!(u64::MAX)),
        Just(json!("")),
        Just(json!("*")),
        Just(json!("\u{0}\u{202e}")),
        Just(json!("9999-99-99T99:99:99Z")),
        Just(json!("-009999-01-01T00:00:00Z")),
        Just(json!("9999-12-30T22:00:00Z")),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[[[[[]]]]]])),
        Just(json!("BTC-31FEB26-1-C")),
        Just(json!("BTC-27MAR26-99999999999999999999-C")),
        "\\PC{0,40}".prop_map(Value::String),
        any::<f64>().prop_filter("JSON has no infinities", |x| x.is_finite()).prop_map(|x| json!(x)),
    ]
}

/// Puts `value` in the place of the `n`th node.
fn replace(target: &mut Value, n: &mut usize, value: &Value) {
    if *n == 0 {
        *target = value.clone();
    }
    *n = n.wrapping_sub(1);
    match target {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, n, value)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, n, value)),
        _ => {}
    }
}

/// A refusal, or an answer: nothing else.
fn check(method: &str, path: &str, body: &[u8]) {
    let answer = server().ask(method, path, &[("content-type", "application/json")], Some(body));
    let is_right = answer.status < 500 || answer.status == 503;
    assert!(is_right, "{method} {path} {}: {}", String::from_utf8_lossy(body), answer.text);
    if answer.status >= 400 {
        let problem = answer.problem(answer.status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        assert_ne!(problem["type"], "urn:shortfall:internal");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_bodies_are_answered(
        target in 0..TARGETS.len(), seed in 0..6usize, place in 0..24usize, value in hostile()
    ) {
        let mut body = seeds().swap_remove(seed);
        replace(&mut body, &mut { place }, &value);
        let (method, path) = TARGETS[target];
        check(method, path, body.to_string().as_bytes());
    }

    #[test]
    fn broken_bytes_are_answered(
        target in 0..TARGETS.len(), seed in 0..6usize, cut in 0..200usize, byte in any::<u8>(), put in any::<bool>()
    ) {
        let mut body = seeds().swap_remove(seed).to_string().into_bytes();
        let at = cut.min(body.len() - 1);
        if put { body[at] = byte } else { body.truncate(at) }
        let (method, path) = TARGETS[target];
        check(method, path, &body);
    }

    #[test]
    fn twice_mutated_bodies_are_answered(
        target in 0..TARGETS.len(), seed in 0..6usize,
        places in prop::array::uniform2(0..24usize), values in prop::array::uniform2(hostile())
    ) {
        let mut body = seeds().swap_remove(seed);
        for (place, value) in places.into_iter().zip(&values) {
            replace(&mut body, &mut { place }, value);
        }
        let (method, path) = TARGETS[target];
        check(method, path, body.to_string().as_bytes());
    }

    #[test]
    fn hostile_numbers_in_queries_are_answered(query in 0..QUERIES.len(), number in hostile_number()) {
        let path = QUERIES[query].replace("{}", &number);
        let answer = server().get(&path);
        prop_assert!(answer.status < 500, "{path}: {}", answer.text);
    }

    #[test]
    fn hostile_revisions_are_answered(number in hostile_number(), is_quoted in any::<bool>()) {
        let revision = if is_quoted { format!("\"{number}\"") } else { number };
        let headers = [("if-match", revision.as_str()), ("content-type", "application/json")];
        let answer = server().ask("PATCH", "/v1/accounts/basis-trade", &headers, Some(b"{}"));
        prop_assert!(matches!(answer.status, 200 | 400 | 412), "{revision}: {}", answer.text);
    }

    #[test]
    fn paths_and_queries_are_answered(text in "[A-Za-z0-9%._~/?&=,+-]{0,60}") {
        let answer = server().get(&format!("/v1/accounts/{text}"));
        prop_assert!(answer.status < 500, "{text}: {}", answer.text);
        let answer = server().get(&format!("/v1/events?since={text}"));
        prop_assert!(answer.status < 500, "{text}: {}", answer.text);
    }
}
