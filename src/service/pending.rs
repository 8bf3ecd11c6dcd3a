//! Answers that a desk may not have yet: where it has one of its own, that is taken.

use super::api::{
    Distribution, HedgeAnswer, HedgeRequest, LevelName, MarginAnswer, MarketAnswer, MarketUpdateAnswer,
    ResultsAnswer, ResultsQuery, Snapshot,
};
use super::{Cancel, Desk, DeskFault};

fn missing<T>() -> Result<T, DeskFault> {
    Err(DeskFault::NotFound { what: "answer to this", name: "yet".to_owned() })
}

#[allow(dead_code, reason = "a desk's own answer goes before")]
pub(crate) trait Pending {
    fn distribution(&self, _: &str, _: LevelName, _: &Cancel) -> Result<Distribution, DeskFault> {
        missing()
    }
    fn explain(&self, _: &str, _: u64, _: &Cancel) -> Result<MarginAnswer, DeskFault> {
        missing()
    }
    fn market_version(&self, _: u64) -> Result<MarketAnswer, DeskFault> {
        missing()
    }
    fn results(&self, _: &ResultsQuery, _: &dyn Fn(&str) -> bool) -> Result<ResultsAnswer, DeskFault> {
        missing()
    }
    fn export(&self) -> Result<Snapshot, DeskFault> {
        missing()
    }
    fn import(&self, _: Snapshot, _: &Cancel) -> Result<MarketUpdateAnswer, DeskFault> {
        missing()
    }
    fn hedge(&self, _: &HedgeRequest, _: &Cancel) -> Result<HedgeAnswer, DeskFault> {
        missing()
    }
}

impl Pending for Desk {}
