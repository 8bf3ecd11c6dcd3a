//! Events over a WebSocket: as they happen, from where a subscriber stopped, and only what it sees.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use shortfall::service::api::{Account, Book};
use shortfall::service::config::Served;
use shortfall::service::keys::{Accounts, Keys, Role};
use tungstenite::client::IntoClientRequest;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::night::Night;
use crate::server::Server;

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

fn open(server: &Server, first: &Value) -> Socket {
    let request = format!("ws://{}/v1/events", server.authority()).into_client_request().unwrap();
    let (mut socket, answer) = tungstenite::connect(request).unwrap();
    assert_eq!(answer.status(), 101);
    if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    }
    socket.send(Message::text(first.to_string())).unwrap();
    socket
}

/// The next page, or the reason why there is none.
fn page(socket: &mut Socket) -> Result<Value, String> {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
            Message::Close(Some(frame)) => return Err(frame.reason.to_string()),
            Message::Close(None) => return Err(String::new()),
            _ => {}
        }
    }
}

fn numbers(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

fn trade(server: &Server, account: &str, quantity: f64) {
    let patch = json!({"positions": [{"instrument": "BTC-PERPETUAL", "quantity": quantity}]});
    server.send("PATCH", &format!("/v1/accounts/{account}"), &patch).ok();
}

#[test]
fn changes_are_told_and_a_subscriber_goes_on_where_it_stopped() {
    let server = Server::new();
    let mut socket = open(&server, &json!({"accounts": ["market-maker"]}));
    let first = page(&mut socket).unwrap();
    assert_eq!((numbers(&first), &first["is_gap"]), (vec![], &json!(false)));
    trade(&server, "basis-trade", 10.0);
    trade(&server, "market-maker", 10.0);
    let told = page(&mut socket).unwrap();
    let events = told["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["account"] == "market-maker"), "{told}");
    assert_eq!((&events[0]["kind"], &events[0]["revision"]), (&json!("margin"), &json!(2)));
    let next = told["next"].as_u64().unwrap();
    drop(socket);

    trade(&server, "market-maker", 20.0);
    trade(&server, "market-maker", 30.0);
    let mut again = open(&server, &json!({"accounts": ["market-maker"], "since": next}));
    let missed = page(&mut again).unwrap();
    assert_eq!(
        missed["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "margin").count(),
        2
    );
    assert!(numbers(&missed).windows(2).all(|pair| pair[0] < pair[1]) && numbers(&missed)[0] > next);
    assert_eq!(missed["is_gap"], false);
    // A page without a subscription says the same.
    let plain = server.get(&format!("/v1/events?since={next}&accounts=market-maker")).ok();
    assert_eq!(plain["events"], missed["events"]);
}

#[test]
fn a_move_of_the_market_tells_of_calls_and_liquidations() {
    let server = Server::new();
    let mut socket = open(&server, &json!({}));
    page(&mut socket).unwrap();
    let market = server.get("/v1/market").ok();
    let crash =
        |asset: &Value| json!({"asset": asset["asset"], "spot": asset["spot"].as_f64().unwrap() * 0.5});
    let assets: Vec<Value> = market["numbers"]["assets"].as_array().unwrap().iter().map(crash).collect();
    server.send("PATCH", "/v1/market", &json!({"as_of": market["market"]["as_of"], "assets": assets})).ok();
    let mut kinds = std::collections::BTreeMap::new();
    while kinds.get("margin").is_none_or(|count| *count < 6) || !kinds.contains_key("liquidation") {
        for event in page(&mut socket).unwrap()["events"].as_array().unwrap() {
            assert_eq!(event["market_version"], 2);
            *kinds.entry(event["kind"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    assert!(kinds.contains_key("warning"), "{kinds:?}");
}

#[test]
fn what_is_no_longer_kept_is_a_gap() {
    let server = Server::new();
    let mut socket = open(&server, &json!({"since": 1_000_000}));
    assert_eq!(page(&mut socket).unwrap()["is_gap"], true);
}

#[test]
fn a_subscriber_needs_a_key_and_sees_its_accounts() {
    let night = Night::new();
    let file = night.path("keys.json");
    let key = Keys::add(&file, Role::Read, Accounts::parse("market-maker").unwrap()).unwrap();
    let server = Server::with(&night, |options| options.keys = Some(file));
    let refused = |first: &Value| page(&mut open(&server, first)).unwrap_err();
    assert!(refused(&json!({})).contains("Authorization"));
    let wrong = refused(&json!({"key": "sfk_0123456789abcdef_0"}));
    assert!(wrong.contains("not known") && !wrong.contains("sfk_"), "{wrong}");
    assert!(refused(&json!({"key": key, "accounts": ["basis-trade"]})).contains("does not see"));
    assert!(refused(&json!({"key": key, "colour": 1})).contains("expected"));
    let mut socket = open(&server, &json!({"key": key}));
    assert_eq!(numbers(&page(&mut socket).unwrap()), Vec::<u64>::new());
}

/// Pages are larger than what a connection holds on its way: two thousand accounts, told of each move.
#[test]
fn a_subscriber_that_takes_nothing_is_sent_away_and_told_why() {
    let night = Night::new();
    let many = |served: &mut Served| {
        let empty = |n: usize| Account { account: format!("a{n:04}"), revision: 1, book: Book::default() };
        served.accounts = (0..2000).map(empty).collect();
        served.config.events_kept = 1_000_000;
        served.scenario.simulation.paths = 640;
    };
    let server = Server::with_all(&night, many, |options| options.limits.taking = Duration::from_secs(3));
    let mut quick = open(&server, &json!({"accounts": ["a0007"]}));
    let mut slow = open(&server, &json!({}));
    page(&mut slow).unwrap();
    page(&mut quick).unwrap();
    let dropped = || {
        let text = server.get("/metrics").text;
        text.contains("shortfall_subscribers_dropped_total{kind=\"slow\"} 1")
    };
    let as_of = server.desk.status().market.as_of;
    let mut moves = 0;
    while !dropped() {
        server.send("PATCH", "/v1/market", &json!({"as_of": as_of, "assets": []})).ok();
        moves += 1;
    }
    // It has the pages that were on their way, then the reason, and its number to go on with.
    let mut next = 0;
    let reason = loop {
        match page(&mut slow) {
            Ok(page) => next = page["next"].as_u64().unwrap(),
            Err(reason) => break reason,
        }
    };
    assert!(reason.contains("slow consumer"), "{reason}");
    let mut again = open(&server, &json!({"since": next}));
    let resumed = page(&mut again).unwrap();
    assert_eq!((numbers(&resumed).first(), &resumed["is_gap"]), (Some(&(next + 1)), &json!(false)));
    // One that takes its pages is told of every move.
    let mut told = 0;
    while told < moves {
        told += numbers(&page(&mut quick).unwrap()).len();
    }
}

#[test]
fn a_stop_ends_subscriptions_with_a_reason() {
    let mut server = Server::new();
    let mut socket = open(&server, &json!({}));
    page(&mut socket).unwrap();
    server.stop();
    assert_eq!(page(&mut socket).unwrap_err(), "the service stops");
}

#[test]
fn subscriptions_beyond_the_limit_are_refused() {
    let server = Server::with(&Night::new(), |options| options.limits.subscribers = 1);
    let mut first = open(&server, &json!({}));
    page(&mut first).unwrap();
    let url = format!("ws://{}/v1/events", server.authority());
    match tungstenite::connect(url.as_str()) {
        Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 429),
        other => panic!("{other:?}"),
    }
    drop(first);
    crate::server::wait_until("there is room again", || tungstenite::connect(url.as_str()).is_ok());
}
