//! pending
#![allow(missing_docs, unused, clippy::all)]
use super::api::*;
use super::{Cancel, Desk, DeskFault};
type R<T> = Result<T, DeskFault>;
fn no<T>() -> R<T> {
    Err(DeskFault::NotFound { what: "method", name: "pending".into() })
}
impl Desk {
    pub fn distribution(&self, name: &str, level: LevelName, cancel: &Cancel) -> R<Distribution> {
        no()
    }
    pub fn explain(&self, name: &str, version: u64, cancel: &Cancel) -> R<MarginAnswer> {
        no()
    }
    pub fn market_version(&self, version: u64) -> R<MarketAnswer> {
        no()
    }
    pub fn results(&self, query: &ResultsQuery, sees: &dyn Fn(&str) -> bool) -> R<ResultsAnswer> {
        no()
    }
    pub fn export(&self) -> R<Snapshot> {
        no()
    }
    pub fn import(&self, s: Snapshot, cancel: &Cancel) -> R<MarketUpdateAnswer> {
        no()
    }
    pub fn hedge(&self, asked: &HedgeRequest, cancel: &Cancel) -> R<HedgeAnswer> {
        no()
    }
}
