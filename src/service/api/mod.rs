//! What the service is asked and what it answers.
//!
//! Units are those of docs/output.md: money in [`MarginAnswer::currency`], losses, Expected Shortfall,
//! Value at Risk and margins positive where money is lost or required, a number that does not exist
//! `null`. Unknown fields of a request are refused. Instants are RFC 3339 in UTC.

mod market;
mod service;
mod what_if;

pub use market::*;
pub use service::*;
pub use what_if::*;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::margin::{Lines, State};
use crate::report::{AttributionResult, DriverResult, TailResult, WorstPathResult};

/// Longest name of an account, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest description of an account, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 1024;
/// Most rows of positions of one account.
pub const MAX_POSITIONS: usize = 20_000;
/// Most rows of balances in one request.
pub const MAX_BALANCES: usize = 256;
/// Most orders of one what-if.
pub const MAX_ORDERS: usize = 1_000;
/// Most what-ifs of one batch.
pub const MAX_WHAT_IFS: usize = 100;
/// Most instruments that a hedge is looked for among.
pub const MAX_HEDGES: usize = 100;
/// Most rows of forwards, and of surfaces, in a market update.
pub const MAX_MARKET_ROWS: usize = 10_000;
/// Most events of one answer.
pub const MAX_EVENTS: usize = 1_000;
/// Most rows of nightly results in one answer.
pub const MAX_RESULTS: usize = 1_000;
/// Bins of a loss distribution.
pub const DISTRIBUTION_BINS: usize = 100;

/// A row of positions, or an order: what is bought (positive) or sold (negative).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Name of the instrument, such as `BTC-27MAR26-80000-C`.
    pub instrument: String,
    /// Units, negative for a short; up to 10^15 in size.
    pub quantity: f64,
    /// Price in US dollars at which a future or perpetual was entered: what it has made since is
    /// cash. Without it, it was entered at the mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_price: Option<f64>,
    /// Annual volatility of an option in (0, 20], instead of the market's surface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implied_volatility: Option<f64>,
}

/// Coins or dollars posted as collateral; negative is a loan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// `USD`, `USDC`, `USDT` or an asset of the market.
    pub asset: String,
    /// Coins or dollars.
    pub amount: f64,
}

/// All that an account holds: the body that creates or replaces one, or a hypothetical one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// What the account does; may be empty.
    #[serde(default)]
    pub description: String,
    /// Rows of positions, in the order in which they are netted; rows of one instrument add up.
    #[serde(default)]
    pub positions: Vec<Position>,
    /// Rows of balances; rows of one asset add up.
    #[serde(default)]
    pub balances: Vec<Balance>,
}

/// What changes in an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// A new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Rows added to the positions: trades. A position is closed by its opposite.
    #[serde(default)]
    pub positions: Vec<Position>,
    /// Amounts added to the balances; what was paid for an option is a negative one.
    #[serde(default)]
    pub balances: Vec<Balance>,
}

/// An account as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its name.
    pub account: String,
    /// Grows by one with every change of the account.
    pub revision: u64,
    /// What it holds.
    pub book: Book,
}

/// Revisions of an account that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Revisions {
    /// Name of the account.
    pub account: String,
    /// The present one; `null` where the account is gone.
    pub current: Option<u64>,
    /// Earlier ones, the oldest first.
    pub revisions: Vec<Revision>,
}

/// An earlier revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// Its number.
    pub revision: u64,
    /// When the next one came, or the account went.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// Which market an answer was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MarketStamp {
    /// Grows by one with every change of the market.
    pub version: u64,
    /// When the market was seen.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// When the service received it.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// Seconds from `as_of` to this answer.
    pub age_seconds: f64,
    /// Whether that is beyond the age that is set.
    pub is_stale: bool,
}

/// State of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// Equity below the maintenance margin.
    Liquidate,
    /// Equity below the initial margin.
    MarginCall,
    /// Equity covers the initial margin.
    Healthy,
}

impl From<State> for AccountState {
    fn from(state: State) -> Self {
        match state {
            State::Liquidate => Self::Liquidate,
            State::MarginCall => Self::MarginCall,
            State::Healthy => Self::Healthy,
        }
    }
}

/// Figures of one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Value of all holdings and cash.
    pub market_value: f64,
    /// Value after haircuts.
    pub equity: f64,
    /// Sum of the absolute notionals of the net holdings.
    pub gross_notional: f64,
    /// Tail at the level of the maintenance margin.
    pub maintenance: TailResult,
    /// Tail at the level of the initial margin.
    pub initial: TailResult,
    /// Expected Shortfall of the maintenance level, at least the floor and zero.
    pub maintenance_margin: f64,
    /// Expected Shortfall of the initial level, at least the maintenance margin.
    pub initial_margin: f64,
    /// Amounts by name that add up to the maintenance margin, in the order in which they are added.
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    pub maintenance_components: Lines,
    /// Those of the initial margin.
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    pub initial_components: Lines,
    /// Equity over maintenance margin; `null` where the margin is zero.
    pub health: Option<f64>,
    /// State.
    pub state: AccountState,
}

/// An account's margin.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarginAnswer {
    /// Name of the account.
    pub account: String,
    /// Its revision.
    pub revision: u64,
    /// What it does.
    pub description: String,
    /// Unit of all money: `USD` or an asset.
    pub currency: String,
    /// The market.
    pub market: MarketStamp,
    /// Paths that made the figures.
    pub paths: u64,
    /// Seed of the paths.
    pub seed: u64,
    /// What computed them.
    pub device: String,
    /// The figures.
    pub figures: Figures,
    /// The asset that costs most in the tail of the maintenance level, from the first paths; `null` where
    /// nothing is lost.
    #[serde(default)]
    pub worst_driver: Option<DriverResult>,
    /// What its Expected Shortfalls are made of, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<AttributionResult>,
    /// Its worst paths at the maintenance level's horizon, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_paths: Option<Vec<WorstPathResult>>,
}

/// One line of the list of accounts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccountLine {
    /// Its name.
    pub account: String,
    /// Its revision.
    pub revision: u64,
    /// What it does.
    pub description: String,
    /// Rows of its positions.
    pub positions: u64,
    /// Value after haircuts.
    pub equity: f64,
    /// Maintenance margin.
    pub maintenance_margin: f64,
    /// Initial margin.
    pub initial_margin: f64,
    /// Equity over maintenance margin.
    pub health: Option<f64>,
    /// State.
    pub state: AccountState,
}

/// All accounts in one market, those that need money most first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccountList {
    /// The market.
    pub market: MarketStamp,
    /// Unit of all money.
    pub currency: String,
    /// Accounts: lowest health first.
    pub accounts: Vec<AccountLine>,
}
