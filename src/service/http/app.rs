//! What all requests share.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::auth::Gate;
use super::guard::Hosts;
use super::lanes::{Figures, Lane};
use super::metrics::Metrics;
use super::options::{Limits, Options};
use super::trace::Numbering;
use crate::service::Desk;
use crate::service::keys::Keys;

/// A change of the market may take so many times as long as another request.
const MARKET_DEADLINES: u32 = 10;

/// A server's parts.
pub struct App {
    /// Who computes.
    pub desk: Arc<Desk>,
    /// Who may ask.
    pub gate: Gate,
    /// By which name.
    pub hosts: Hosts,
    /// How much.
    pub limits: Limits,
    /// Turns to compute.
    pub lanes: Lanes,
    /// Room for subscriptions.
    pub subscribers: Arc<Semaphore>,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// Request ids.
    pub numbering: Numbering,
    /// The API's document, as it is served.
    pub openapi: String,
    /// Its schemas.
    pub schemas: Value,
    /// Turns true when the service is asked to stop.
    pub stopping: watch::Receiver<bool>,
}

/// Queues by kind of work, so that none waits for another kind.
pub struct Lanes {
    /// One set of orders.
    pub what_ifs: Lane,
    /// Changes of accounts.
    pub changes: Lane,
    /// Batches, hedges, attributions, distributions, explanations.
    pub analyses: Lane,
    /// Changes of the market.
    pub markets: Lane,
}

impl App {
    /// The parts of a server that is bound to `bound`.
    pub fn new(
        desk: Arc<Desk>,
        options: &Options,
        keys: Option<Keys>,
        bound: SocketAddr,
        document: &utoipa::openapi::OpenApi,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let metrics = Metrics::new();
        let document = serde_json::to_value(document).expect("the document is plain data");
        Self {
            desk,
            gate: Gate::new(keys, options.limits.requests_per_second),
            hosts: Hosts::new(bound, &options.hosts),
            lanes: Lanes::new(&options.limits, &metrics),
            limits: options.limits,
            subscribers: Arc::new(Semaphore::new(options.limits.subscribers as usize)),
            metrics,
            numbering: Numbering::new(),
            openapi: document.to_string(),
            schemas: document.pointer("/components/schemas").cloned().unwrap_or_default(),
            stopping,
        }
    }
}

impl Lanes {
    fn new(limits: &Limits, metrics: &Metrics) -> Self {
        let lane = |name, at_once, limits: &Limits| {
            let figures = Figures {
                depth: metrics.gauge("shortfall_queue_depth", &[("queue", name)]),
                wait: metrics.stage(name, "wait"),
                compute: metrics.stage(name, "compute"),
            };
            Lane::new(name, at_once, limits, figures)
        };
        Self {
            what_ifs: lane("what-ifs", limits.what_ifs_at_once, limits),
            changes: lane("changes", limits.what_ifs_at_once, limits),
            analyses: lane("analyses", 1, limits),
            // Given up halfway, a market would never come to be current where the machine is busy.
            markets: lane("markets", 1, &Limits { deadline: MARKET_DEADLINES * limits.deadline, ..*limits }),
        }
    }
}
