//! What the service is asked and what it answers.
//!
//! Units are those of docs/output.md: money in [`MarginAnswer::currency`], losses, Expected Shortfall,
//! Value at Risk and margins positive where money is lost or required, a number that does not exist
//! `null`. Unknown fields of a request are refused. Instants are RFC 3339 in UTC.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::margin::State;
use crate::report::{AttributionResult, TailResult, WorstPathResult};

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

/// New numbers of the market. What is not named stays, but for forwards and the perpetual's mark:
/// they follow the spot price of their asset, their ratio to it held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarketUpdate {
    /// When this market was seen; not before the market that it follows.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Where the numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Assets that change.
    #[serde(default)]
    pub assets: Vec<AssetUpdate>,
    /// Forwards: an asset that is named here has exactly these.
    #[serde(default)]
    pub forwards: Vec<ForwardUpdate>,
    /// Volatility surfaces: an asset that is named here has exactly these slices.
    #[serde(default)]
    pub surfaces: Vec<SliceUpdate>,
}

/// New numbers of one asset; ranges as in the market file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetUpdate {
    /// Its name.
    pub asset: String,
    /// Price in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<f64>,
    /// Mark of the perpetual in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perpetual_mark: Option<f64>,
    /// Volatility of the diffusion, annual: 0.6 is 60 %. Moves the paths, which are simulated again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatility: Option<f64>,
    /// Log shift of implied volatility at every tenor against the surfaces: 0.1 is +10.5 %; in [-3, 3].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implied_shift: Option<f64>,
    /// What longs of a perpetual pay, annual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding_rate: Option<f64>,
}

/// A forward price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardUpdate {
    /// The asset.
    pub asset: String,
    /// When it delivers.
    #[schema(value_type = String, format = DateTime)]
    pub expiry: Timestamp,
    /// Price in US dollars.
    pub forward: f64,
}

/// A slice of a volatility surface: raw SVI of total variance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SliceUpdate {
    /// The asset.
    pub asset: String,
    /// When the options expire.
    #[schema(value_type = String, format = DateTime)]
    pub expiry: Timestamp,
    /// Level.
    pub a: f64,
    /// Slope of the wings.
    pub b: f64,
    /// Skew.
    pub rho: f64,
    /// Shift in log-moneyness.
    pub m: f64,
    /// Smoothness at the bottom.
    pub sigma: f64,
}

/// A market as it is kept: every number that updates change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketAnswer {
    /// Which market.
    pub market: MarketStamp,
    /// Its numbers, as the update that would make it.
    pub numbers: MarketUpdate,
}

/// What a market update did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketUpdateAnswer {
    /// The market that answers are made from now.
    pub market: MarketStamp,
    /// Instruments revalued.
    pub instruments: u64,
    /// Accounts margined.
    pub accounts: u64,
    /// Whether the paths were simulated again; else only the revaluation was repeated.
    pub is_simulated: bool,
    /// Wall time, seconds.
    pub elapsed_seconds: f64,
}

/// Markets that are kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketVersions {
    /// The one that answers are made from.
    pub current: u64,
    /// All that are kept, ascending.
    pub versions: Vec<MarketVersion>,
}

/// One kept market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MarketVersion {
    /// Its number.
    pub version: u64,
    /// When it was seen.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// When the service received it.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// Where its numbers come from.
    pub source: String,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The account's figures, after a change of the market or of its positions.
    Margin,
    /// Its health fell below a level of the warning ladder.
    Warning,
    /// Its equity fell below its initial margin.
    MarginCall,
    /// Its equity fell below its maintenance margin.
    Liquidation,
}

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows by one with every event of the service, over restarts too.
    pub sequence: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The account.
    pub account: String,
    /// What.
    pub kind: EventKind,
    /// Revision of the account.
    pub revision: u64,
    /// Version of the market.
    pub market_version: u64,
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
    /// The level that the health fell below; warnings only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
}

/// Events after a sequence number.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// In their order.
    pub events: Vec<Event>,
    /// Ask with this number for what comes after.
    pub next: u64,
    /// Whether events between the number asked with and the first of these are no longer kept:
    /// read the accounts again.
    pub is_gap: bool,
}

/// How the losses of an account are distributed at a level, from all paths.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Distribution {
    /// Name of the account.
    pub account: String,
    /// Its revision.
    pub revision: u64,
    /// Unit of all money.
    pub currency: String,
    /// The market.
    pub market: MarketStamp,
    /// Loss at the lower edge of the first bin.
    pub low: f64,
    /// Loss at the upper edge of the last.
    pub high: f64,
    /// Paths in each bin of equal width.
    pub counts: Vec<u64>,
    /// The tail at that level.
    pub tail: TailResult,
}

/// One of the two levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LevelName {
    /// Of the maintenance margin.
    #[default]
    Maintenance,
    /// Of the initial margin.
    Initial,
}

/// Which rows of the nightly results are wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultsQuery {
    /// Only this case.
    #[serde(default)]
    pub case: Option<String>,
    /// Only this account.
    #[serde(default)]
    pub account: Option<String>,
    /// Only accounts in this state.
    #[serde(default)]
    pub state: Option<AccountState>,
    /// Rows to leave out first.
    #[serde(default)]
    pub offset: u64,
    /// Most rows, 1 to 1000.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// Rows of the nightly results.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResultsAnswer {
    /// Rows that the query finds.
    pub total: u64,
    /// Those of this page.
    pub rows: Vec<ResultRow>,
}

/// One case and account of the nightly results; see docs/output.md.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResultRow {
    /// `base` or the name of a stress.
    pub case: String,
    /// The account.
    pub account: String,
    /// Paths that made the figures.
    pub paths: u64,
    /// Value of all holdings and cash.
    pub market_value: f64,
    /// Value after haircuts.
    pub equity: f64,
    /// Expected Shortfall at the maintenance level.
    pub maintenance_expected_shortfall: f64,
    /// Its standard error.
    pub maintenance_standard_error: f64,
    /// Expected Shortfall at the initial level.
    pub initial_expected_shortfall: f64,
    /// Its standard error.
    pub initial_standard_error: f64,
    /// Maintenance margin.
    pub maintenance_margin: f64,
    /// Initial margin.
    pub initial_margin: f64,
    /// Equity over maintenance margin.
    pub health: Option<f64>,
    /// State.
    pub state: AccountState,
}

/// How the service is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The market.
    pub market: MarketStamp,
    /// Whether figures can be asked for: not while a stale market is refused.
    pub is_ready: bool,
    /// What computes.
    pub device: String,
    /// Paths.
    pub paths: u64,
    /// Accounts.
    pub accounts: u64,
    /// Instruments in the cube.
    pub instruments: u64,
    /// Seconds since the cube was made.
    pub cube_age_seconds: f64,
    /// Bytes of the cube and the factors.
    pub cube_bytes: u64,
    /// Bytes of accounts' losses that are kept.
    pub losses_bytes: u64,
    /// Bytes that may be used.
    pub memory_limit_bytes: Option<u64>,
    /// Sequence number of the last event; 0 before the first.
    pub last_event: u64,
    /// Requests that compute now.
    pub computing: u64,
    /// Whether a revaluation is going on.
    pub is_revaluing: bool,
}

/// All that the service keeps, as one JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// `shortfall.service.snapshot`.
    pub schema: String,
    /// 1.
    pub schema_version: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Accounts by name.
    pub accounts: Vec<Account>,
    /// The market that answers are made from.
    pub market: MarketUpdate,
    /// Sequence number of the last event.
    pub last_event: u64,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// A word for programs: `invalid`, `not_found`, `exists`, `conflict`, `stale_market`, `too_large`,
    /// `cancelled`, `engine`, `store`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Every field that is wrong; `invalid` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FieldFault>,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldFault {
    /// Path of the field: `orders[2].quantity`.
    pub field: String,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub expected: String,
}
