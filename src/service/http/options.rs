//! What a server is started with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where to listen, who may ask, and how much.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address and port; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Names, beside the address itself, by which clients reach the service.
    pub hosts: Vec<String>,
    /// File of API keys; without it, anyone who reaches a loopback address may do everything.
    pub keys: Option<PathBuf>,
    /// Certificate chain and private key, PEM; plain HTTP without them.
    pub tls: Option<TlsFiles>,
    /// How much is too much.
    pub limits: Limits,
}

/// Files of TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body of a request, bytes.
    pub body_bytes: usize,
    /// Requests a second of one client (a key, or an address without keys), and its burst.
    pub requests_per_second: u32,
    /// What-ifs that compute at once.
    pub what_ifs_at_once: usize,
    /// Requests that wait for a turn to compute, in each queue; further ones are refused.
    pub waiting: usize,
    /// Requests of one client in a queue, waiting or computing.
    pub in_queue_per_client: usize,
    /// Time that a request may take, its waiting included.
    pub deadline: Duration,
    /// Time in which the headers, and then the body, of a request have to arrive.
    pub arrival: Duration,
    /// Time in which a subscriber has to take a page of events.
    pub taking: Duration,
    /// Open connections; further ones are closed at once.
    pub connections: usize,
    /// Open subscriptions to events; further ones are refused.
    pub subscribers: u32,
    /// Time that requests in flight have to finish when the service is asked to stop.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            hosts: Vec::new(),
            keys: None,
            tls: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            requests_per_second: 10_000,
            what_ifs_at_once: 2,
            waiting: 64,
            in_queue_per_client: 32,
            deadline: Duration::from_secs(30),
            arrival: Duration::from_secs(10),
            taking: Duration::from_secs(10),
            connections: 1024,
            subscribers: 256,
            drain: Duration::from_secs(30),
        }
    }
}
