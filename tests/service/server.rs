//! A server on a loopback port, and requests to it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shortfall::service::Desk;
use shortfall::service::config::Served;
use shortfall::service::http::{self, Options, Running};
use ureq::http::{HeaderMap, Request};

use crate::night::{Night, PATHS};

/// Longest that a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Server {
    running: Option<Running>,
    pub desk: Arc<Desk>,
    base: String,
    agent: ureq::Agent,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The problem, which must have this status.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        problem
    }

    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }
}

impl Server {
    pub fn new() -> Self {
        Self::with(&Night::new(), |_| {})
    }

    pub fn with(night: &Night, set: impl FnOnce(&mut Options)) -> Self {
        Self::with_paths(night, PATHS, set)
    }

    pub fn with_paths(night: &Night, paths: u64, set: impl FnOnce(&mut Options)) -> Self {
        Self::with_all(night, |served| served.scenario.simulation.paths = paths, set)
    }

    pub fn with_served(night: &Night, set: impl FnOnce(&mut Served)) -> Self {
        Self::with_all(night, set, |_| {})
    }

    pub fn with_all(
        night: &Night,
        set_served: impl FnOnce(&mut Served),
        set_options: impl FnOnce(&mut Options),
    ) -> Self {
        let mut options = Options { bind: "127.0.0.1:0".parse().expect("an address"), ..Options::default() };
        set_options(&mut options);
        let mut served = night.served();
        served.config.memory_limit = Some(1 << 30);
        set_served(&mut served);
        let desk = Arc::new(Desk::open(served).unwrap_or_else(|fault| panic!("{fault}")));
        let running = http::start(Arc::clone(&desk), &options).unwrap_or_else(|fault| panic!("{fault}"));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self { base: running.url(), running: Some(running), desk, agent }
    }

    pub fn url(&self) -> &str {
        &self.base
    }

    pub fn authority(&self) -> &str {
        self.base.split_once("://").expect("a URL").1
    }

    /// Stops it, and waits until it has stopped.
    pub fn stop(&mut self) {
        self.running.take().expect("stopped once").stop().expect("stopped");
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            Some(body) => self.agent.run(request.body(body.to_vec()).expect("a request")),
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let response = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let (parts, mut body) = response.into_parts();
        let text = body.read_to_string().expect("an answer in UTF-8");
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.ask(method, path, &headers, Some(body.to_string().as_bytes()))
    }

    /// A connection without a client's good manners.
    pub fn raw(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.authority()).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.write_all(text.as_bytes()).expect("sent");
        stream
    }

    /// Requests that wait or compute, in all queues.
    pub fn in_queues(&self) -> f64 {
        let text = self.get("/metrics").text;
        let depths = text.lines().filter(|line| line.starts_with("shortfall_queue_depth{"));
        depths.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop();
        }
    }
}

pub fn read_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

/// Waits until something is so.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Paths on which a [`long_batch`] of a hundred computes for many seconds.
pub const MANY_PATHS: u64 = 400_000;

/// A batch of `count` what-ifs of a thousand orders each.
pub fn long_batch(count: usize) -> Value {
    let order = |n: usize| json!({"instrument": "BTC-PERPETUAL", "quantity": n as f64 - 500.5});
    let orders: Vec<Value> = (0..1000).map(order).collect();
    json!({"what_ifs": vec![json!({"account": "market-maker", "orders": orders}); count]})
}
