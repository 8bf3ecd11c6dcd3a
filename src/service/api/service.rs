//! Events, distributions, nightly results, the state of the service, and refusals.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Account, AccountState, MarketStamp, MarketUpdate};
use crate::report::TailResult;

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
    /// `cpu` or `gpu`.
    pub engine: String,
    /// Why it cannot compute at this moment; the CPU is about to take its place.
    pub device_fault: Option<String>,
    /// Why the device before was given up: the CPU computes in its place.
    pub device_given_up: Option<String>,
    /// How often a device was given up since the service began.
    pub device_fallbacks: u64,
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
    /// Bytes of earlier cubes that wait for the next one.
    pub reserve_bytes: u64,
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
    /// `cancelled`, `device`, `engine`, `store`.
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
