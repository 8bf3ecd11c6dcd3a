//! A client of the service: blocking calls with the service's own types.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::api::{
    Account, AccountList, Book, Distribution, EventPage, HedgeAnswer, HedgeRequest, MarginAnswer,
    MarketAnswer, MarketUpdate, MarketUpdateAnswer, Patch, Revisions, Status, WhatIf, WhatIfAnswer,
    WhatIfBatch, WhatIfBatchAnswer,
};
use super::problem::Problem;

/// Largest answer that is read.
const MAX_ANSWER_BYTES: u64 = 256 << 20;
/// Time for a connection, and for an answer; the service gives up before, a change of the market after
/// 300 s.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(330);

/// A service, and the key for it.
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<String>,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The address of the service is not one.
    #[error("found `{0}`; expected an address such as http://127.0.0.1:8080")]
    Address(String),
    /// The certificates to trust cannot be read.
    #[error("{0}")]
    Certificates(String),
    /// A key cannot be sent in clear text over a network.
    #[error("the key is not sent to {0} without TLS: use https://, or the loopback address")]
    ClearText(String),
    /// The service does not do it, and says why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No answer came.
    #[error("{url}: {error}")]
    Transport {
        /// What was asked.
        url: String,
        /// What happened.
        error: String,
    },
}

impl Client {
    /// A client of the service at `base`, such as `http://127.0.0.1:8080`. For `https`, `trusted` is a
    /// PEM file of the authority, or of the service's own certificate.
    pub fn new(base: &str, key: Option<String>, trusted: Option<&Path>) -> Result<Self, ClientFault> {
        let base = base.trim_end_matches('/').to_owned();
        let wrong = || ClientFault::Address(base.clone());
        let uri: ureq::http::Uri = base.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']);
        let is_loopback =
            host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if key.is_none() || is_loopback => {}
            Some("http") => return Err(ClientFault::ClearText(host.to_owned())),
            _ => return Err(wrong()),
        }
        let mut config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIME))
            .timeout_global(Some(ANSWER_TIME))
            .max_redirects(0)
            .http_status_as_error(false);
        if let Some(path) = trusted {
            config = config.tls_config(tls(path)?);
        }
        Ok(Self { agent: config.build().new_agent(), base, key })
    }

    /// How the service is.
    pub fn status(&self) -> Result<Status, ClientFault> {
        self.get("/v1/status")
    }

    /// All accounts that the key sees.
    pub fn accounts(&self) -> Result<AccountList, ClientFault> {
        self.get("/v1/accounts")
    }

    /// What an account holds.
    pub fn account(&self, account: &str) -> Result<Account, ClientFault> {
        self.get(&path(account, ""))
    }

    /// Creates an account, or replaces what it holds.
    pub fn replace(&self, account: &str, book: &Book) -> Result<MarginAnswer, ClientFault> {
        self.send(Method::PUT, &path(account, ""), book)
    }

    /// Adds trades and payments to an account.
    pub fn patch(&self, account: &str, patch: &Patch) -> Result<MarginAnswer, ClientFault> {
        self.send(Method::PATCH, &path(account, ""), patch)
    }

    /// An account's margin; with `detail` also what it is made of, and its worst paths.
    pub fn margin(&self, account: &str, detail: bool) -> Result<MarginAnswer, ClientFault> {
        let query = if detail { "/margin?attribution=true&worst_paths=true" } else { "/margin" };
        self.get(&path(account, query))
    }

    /// An earlier answer, computed again: the margin of a revision of an account in a market version, both
    /// as the answer named them.
    pub fn explain(
        &self,
        account: &str,
        revision: u64,
        market_version: u64,
    ) -> Result<MarginAnswer, ClientFault> {
        let query = format!("/explanation?market_version={market_version}&revision={revision}");
        self.get(&path(account, &query))
    }

    /// Earlier revisions of an account that are kept.
    pub fn revisions(&self, account: &str) -> Result<Revisions, ClientFault> {
        self.get(&path(account, "/revisions"))
    }

    /// How an account's losses are distributed at the maintenance level.
    pub fn distribution(&self, account: &str) -> Result<Distribution, ClientFault> {
        self.get(&path(account, "/distribution"))
    }

    /// What orders would change.
    pub fn what_if(&self, what_if: &WhatIf) -> Result<WhatIfAnswer, ClientFault> {
        self.send(Method::POST, "/v1/what-ifs", what_if)
    }

    /// Several what-ifs in one market.
    pub fn what_ifs(&self, batch: &WhatIfBatch) -> Result<WhatIfBatchAnswer, ClientFault> {
        self.send(Method::POST, "/v1/what-ifs/batch", batch)
    }

    /// Which trade lowers the initial margin most.
    pub fn hedge(&self, request: &HedgeRequest) -> Result<HedgeAnswer, ClientFault> {
        self.send(Method::POST, "/v1/hedges", request)
    }

    /// The market that answers are made from.
    pub fn market(&self) -> Result<MarketAnswer, ClientFault> {
        self.get("/v1/market")
    }

    /// New numbers of the market.
    pub fn update_market(&self, update: &MarketUpdate) -> Result<MarketUpdateAnswer, ClientFault> {
        self.send(Method::PATCH, "/v1/market", update)
    }

    /// Events after a sequence number.
    pub fn events(&self, since: u64) -> Result<EventPage, ClientFault> {
        self.get(&format!("/v1/events?since={since}"))
    }

    fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientFault> {
        self.ask(Method::GET, path, Vec::new())
    }

    fn send<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, ClientFault> {
        self.ask(method, path, serde_json::to_vec(body).expect("plain fields become JSON"))
    }

    fn ask<A: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<A, ClientFault> {
        let url = format!("{}{path}", self.base);
        let failed = |error: String| ClientFault::Transport { url: url.clone(), error };
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let sent = if body.is_empty() {
            request.body(()).map_err(|e| failed(e.to_string())).map(|request| self.agent.run(request))
        } else {
            let request = request.header("content-type", "application/json").body(body);
            request.map_err(|e| failed(e.to_string())).map(|request| self.agent.run(request))
        };
        let response: Response<Body> = sent?.map_err(|error| failed(error.to_string()))?;
        let is_done = response.status().is_success();
        let status = response.status();
        let mut body = response.into_body();
        let text =
            body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(|e| failed(e.to_string()))?;
        if is_done {
            return serde_json::from_slice(&text)
                .map_err(|error| failed(format!("the answer is not the one expected: {error}")));
        }
        match serde_json::from_slice::<Problem>(&text) {
            Ok(problem) => Err(ClientFault::Problem(Box::new(problem))),
            Err(_) => Err(failed(format!("status {status}; is this a shortfall service?"))),
        }
    }
}

fn tls(trusted: &Path) -> Result<TlsConfig, ClientFault> {
    let wrong = |what: String| ClientFault::Certificates(format!("{}: {what}", trusted.display()));
    let pem = std::fs::read(trusted).map_err(|error| wrong(error.to_string()))?;
    let certificates: Result<Vec<Certificate<'static>>, _> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect();
    let certificates = certificates.map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("found no certificate; expected PEM".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

/// The path of an account's resource.
fn path(account: &str, rest: &str) -> String {
    format!("/v1/accounts/{}{rest}", super::problem::path_segment(account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_sent_in_clear_text_over_a_network() {
        let client = |base: &str| Client::new(base, Some("sfk_0_0".to_owned()), None).map(|_| ());
        for base in
            ["http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:1", "https://margin.example"]
        {
            assert!(client(base).is_ok(), "{base}");
        }
        assert!(matches!(client("http://10.0.0.1:8080"), Err(ClientFault::ClearText(_))));
        for base in ["", "127.0.0.1", "ftp://localhost", "not an address"] {
            assert!(client(base).is_err(), "{base}");
        }
    }
}
