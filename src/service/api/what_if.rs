//! What-ifs and hedges.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Balance, Book, Figures, MarketStamp, Position, Refusal};

/// Orders added to an account, or to a hypothetical one; the account stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// The account; or `hypothetical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// A book that no account holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothetical: Option<Book>,
    /// Rows added to its positions.
    #[serde(default)]
    pub orders: Vec<Position>,
    /// Amounts added to its balances; what an option costs is a negative one.
    #[serde(default)]
    pub balances: Vec<Balance>,
}

/// What orders would change. `difference` is `after` less `before`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WhatIfAnswer {
    /// Name of the account; `null` for a hypothetical one.
    pub account: Option<String>,
    /// Its revision; 0 for a hypothetical one.
    pub revision: u64,
    /// Unit of all money.
    pub currency: String,
    /// The market.
    pub market: MarketStamp,
    /// Paths that made the figures.
    pub paths: u64,
    /// What computed them.
    pub device: String,
    /// Without the orders.
    pub before: Figures,
    /// With them.
    pub after: Figures,
    /// What they change.
    pub difference: Difference,
}

/// What changes between two figures: after less before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Of the market value.
    pub market_value: f64,
    /// Of the equity.
    pub equity: f64,
    /// Of the gross notional.
    pub gross_notional: f64,
    /// Of the Expected Shortfall at the maintenance level.
    pub maintenance_expected_shortfall: f64,
    /// Of the Expected Shortfall at the initial level.
    pub initial_expected_shortfall: f64,
    /// Of the maintenance margin.
    pub maintenance_margin: f64,
    /// Of the initial margin.
    pub initial_margin: f64,
    /// Of the health; `null` where either has none.
    pub health: Option<f64>,
}

impl Difference {
    /// `after` less `before`.
    pub fn between(before: &Figures, after: &Figures) -> Self {
        let health = after.health.zip(before.health).map(|(after, before)| after - before);
        Self {
            market_value: after.market_value - before.market_value,
            equity: after.equity - before.equity,
            gross_notional: after.gross_notional - before.gross_notional,
            maintenance_expected_shortfall: after.maintenance.expected_shortfall
                - before.maintenance.expected_shortfall,
            initial_expected_shortfall: after.initial.expected_shortfall - before.initial.expected_shortfall,
            maintenance_margin: after.maintenance_margin - before.maintenance_margin,
            initial_margin: after.initial_margin - before.initial_margin,
            health,
        }
    }
}

/// Several what-ifs in one market, each for itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIfBatch {
    /// The what-ifs.
    pub what_ifs: Vec<WhatIf>,
}

/// Answers in the order of the what-ifs, all from one market.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WhatIfBatchAnswer {
    /// The market.
    pub market: MarketStamp,
    /// One for each.
    pub answers: Vec<BatchItem>,
}

/// Either an answer or why there is none.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BatchItem {
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<WhatIfAnswer>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// Looks for the trade that lowers an account's initial margin most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HedgeRequest {
    /// The account; or `hypothetical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// A book that no account holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothetical: Option<Book>,
    /// Instruments that may be traded.
    pub instruments: Vec<String>,
    /// Most units of any of them, either way; above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_units: Option<f64>,
}

/// Hedges, the one that lowers the initial margin most at its best size first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HedgeAnswer {
    /// Name of the account; `null` for a hypothetical one.
    pub account: Option<String>,
    /// Its revision; 0 for a hypothetical one.
    pub revision: u64,
    /// Unit of all money.
    pub currency: String,
    /// The market.
    pub market: MarketStamp,
    /// Paths that made the figures.
    pub paths: u64,
    /// What computed them.
    pub device: String,
    /// As the account is.
    pub before: Figures,
    /// One for each instrument.
    pub hedges: Vec<Hedge>,
}

/// A trade in one instrument.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Hedge {
    /// The instrument.
    pub instrument: String,
    /// Expected Shortfall of the initial level that the first unit bought adds (negative: lowers);
    /// a unit sold does the opposite.
    pub per_unit: f64,
    /// Units to trade, negative to sell; 0 where no trade lowers the margin.
    pub quantity: f64,
    /// By how much the initial margin is lower then; at least 0.
    pub reduction: f64,
    /// The account after it.
    pub after: Figures,
}
