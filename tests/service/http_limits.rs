//! Too large, too slow, too much, given up, and stopped meanwhile.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::night::Night;
use crate::server::{MANY_PATHS, Server, long_batch, read_all, wait_until};

#[test]
fn large_and_deep_bodies_are_refused() {
    let server = Server::with(&Night::new(), |options| options.limits.body_bytes = 1000);
    let large = json!({"description": "x".repeat(1000)});
    assert_eq!(
        server.send("PUT", "/v1/accounts/large", &large).problem(413)["type"],
        "urn:shortfall:too-large"
    );
    // Without a length in the header, too.
    let chunk = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600));
    let chunked = format!(
        "PUT /v1/accounts/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert!(read_all(server.raw(&chunked)).starts_with("HTTP/1.1 413"));
    let deep = format!("{{\"positions\": {}{}}}", "[".repeat(400), "]".repeat(400));
    let headers = [("content-type", "application/json")];
    let problem = server.ask("PUT", "/v1/accounts/deep", &headers, Some(deep.as_bytes())).problem(400);
    assert_eq!(problem["faults"][0]["found"], "nesting of depth 401");
}

#[test]
fn too_many_rows_are_refused_with_their_number() {
    let server = Server::new();
    let order = json!({"instrument": "BTC", "quantity": 1.0});
    let wrong = json!({"account": "market-maker", "orders": vec![order; 1001]});
    let problem = server.send("POST", "/v1/what-ifs", &wrong).problem(422);
    assert_eq!(problem["faults"][0]["where"], "body.orders");
    let wrong = json!({"what_ifs": vec![json!({"account": "market-maker"}); 101]});
    assert_eq!(
        server.send("POST", "/v1/what-ifs/batch", &wrong).problem(422)["faults"][0]["where"],
        "body.what_ifs"
    );
}

#[test]
fn slow_requests_are_given_up() {
    let server = Server::with(&Night::new(), |options| options.limits.arrival = Duration::from_millis(200));
    let half = "PUT /v1/accounts/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Connection: close\r\nContent-Length: 100\r\n\r\n{";
    let answer = read_all(server.raw(half));
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("urn:shortfall:slow-body"), "{answer}");
    // Headers that never end: the connection is closed.
    read_all(server.raw("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "));
    assert_eq!(server.get("/livez").status, 200);
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let server = Server::with(&Night::new(), |options| options.limits.requests_per_second = 5);
    let answers: Vec<_> = (0..50).map(|_| server.get("/v1/accounts/market-maker/margin")).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("a refusal");
    assert_eq!(refused.problem(429)["type"], "urn:shortfall:rate-limit");
    assert_eq!(refused.header("retry-after"), "1");
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 429)));
}

#[test]
fn a_full_queue_refuses_and_small_requests_go_on() {
    let server = Server::with_paths(&Night::new(), MANY_PATHS, |options| {
        options.limits.waiting = 1;
        options.limits.body_bytes = 64 << 20;
        options.limits.deadline = Duration::from_secs(600);
    });
    let batch = request("POST", "/v1/what-ifs/batch", &long_batch(100).to_string());
    let big: Vec<TcpStream> = (0..2).map(|_| server.raw(&batch)).collect();
    wait_until("both are in the queue", || server.in_queues() == 2.0);
    let problem = server.send("POST", "/v1/what-ifs/batch", &long_batch(1)).problem(429);
    assert_eq!(
        (problem["type"].as_str(), problem["retry_after_seconds"].as_u64()),
        (Some("urn:shortfall:queue-full"), Some(1))
    );
    // Other queues and reads do not wait for the big ones.
    let order =
        json!({"account": "basis-trade", "orders": [{"instrument": "BTC-PERPETUAL", "quantity": 1.0}]});
    server.send("POST", "/v1/what-ifs", &order).ok();
    server.get("/v1/accounts/basis-trade/margin").ok();
    let patch = json!({"positions": [{"instrument": "BTC-PERPETUAL", "quantity": 1.0}]});
    server.send("PATCH", "/v1/accounts/basis-trade", &patch).ok();
    assert_eq!(server.in_queues(), 2.0, "the big ones are still there");
    // Given up, they stop computing.
    drop(big);
    wait_until("nothing computes", || server.in_queues() == 0.0);
}

#[test]
fn a_request_beyond_its_deadline_is_answered_and_stops() {
    let server = Server::with_paths(&Night::new(), MANY_PATHS, |options| {
        options.limits.deadline = Duration::from_millis(300);
        options.limits.body_bytes = 64 << 20;
    });
    let problem = server.send("POST", "/v1/what-ifs/batch", &long_batch(100)).problem(503);
    assert_eq!(problem["type"], "urn:shortfall:deadline");
    wait_until("nothing computes", || server.in_queues() == 0.0);
}

#[test]
fn a_stop_lets_requests_in_flight_finish() {
    let mut server = Server::with_paths(&Night::new(), MANY_PATHS, |_| {});
    let authority = server.authority().to_owned();
    let stream = server.raw(&request("POST", "/v1/what-ifs/batch", &long_batch(5).to_string()));
    wait_until("it computes", || server.in_queues() == 1.0);
    let idle = TcpStream::connect(&authority).unwrap();
    server.stop();
    let answer = read_all(stream);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"after\""), "{answer}");
    assert_eq!(read_all(idle), "");
    assert!(TcpStream::connect(&authority).is_err(), "it still listens");
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let server = Server::with(&Night::new(), |options| options.limits.connections = 3);
    let held: Vec<TcpStream> = (0..3).map(|_| held(&server)).collect();
    wait_until("a further one is closed", || {
        let mut further = TcpStream::connect(server.authority()).unwrap();
        let _ = further.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        read_all(further).is_empty()
    });
    drop(held);
    wait_until("there is room again", || {
        let mut further = TcpStream::connect(server.authority()).unwrap();
        let _ = further.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        read_all(further).starts_with("HTTP/1.1 200")
    });
}

/// A connection with half a request. The server may still count the one that asked whether it was ready,
/// and close this one for it: then it is tried again.
fn held(server: &Server) -> TcpStream {
    let attempt = |_| {
        let stream = server.raw("GET /livez HTTP/1.1\r\nHost: localhost\r\n");
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        // One that is open has nothing to say yet.
        let is_open = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        is_open.then_some(stream)
    };
    (0..100).find_map(attempt).expect("a connection is held")
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
