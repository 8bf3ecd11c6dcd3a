//! The result of a run as one document: what `--json` prints and `summary.json` holds.
//!
//! All money is in [`Document::currency`]. Losses, Expected Shortfall, Value at Risk and margins
//! are positive where money is lost or required; profits are positive where money is made. A
//! number that does not exist is `null`, never NaN or an infinity.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attribution::{AttributionResult, WorstPathResult};
use super::manifest::Manifest;
use super::number::grouped;
use crate::engine::{DeviceReport, Driver};
use crate::margin::{Level, Lines, State, Version};
use crate::risk::{FEW_TAIL_PATHS, TailEstimate};
use crate::run::{AccountCase, Case, FailedAccount, Outcome};
use crate::scenario::Scenario;

/// Name of the document's form.
pub const SCHEMA: &str = "shortfall.result";
/// Grows when a field changes its meaning or goes; new fields leave it.
pub const SCHEMA_VERSION: u32 = 1;
/// Standard errors on either side of a 95 % interval of the normal law.
const NORMAL_95: f64 = 1.959_963_984_540_054;

/// Everything that a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// `shortfall.result`.
    pub schema: &'static str,
    /// Version of the form.
    pub schema_version: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Instant of the market, UTC.
    pub as_of: String,
    /// Unit of all money: `USD` or an asset.
    pub currency: String,
    /// What it ran on.
    pub device: DeviceReport,
    /// `f32` or `f64`.
    pub precision: String,
    /// Seed of the generator.
    pub seed: u64,
    /// Paths of a case; the most to use where there is a tolerance.
    pub paths: u64,
    /// Stop once every standard error is below this fraction of its ES; `null` without.
    pub tolerance: Option<f64>,
    /// Version of the margin rules.
    pub margin_rules: Version,
    /// Levels of the two margins.
    pub levels: Levels,
    /// Wall time of all cases, seconds.
    pub elapsed_seconds: f64,
    /// The base case first.
    pub cases: Vec<CaseResult>,
    /// What made the result.
    pub manifest: Manifest,
}

/// Levels of the two margins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Levels {
    /// Of the maintenance margin.
    pub maintenance: LevelResult,
    /// Of the initial margin.
    pub initial: LevelResult,
}

/// A confidence and a horizon.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LevelResult {
    /// 0.99: the worst 1 % of paths make the tail.
    pub confidence: f64,
    /// Days of 24 hours.
    pub horizon_days: f64,
}

/// One case: the market as it is, or after a stress.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// `base`, or the stress's name.
    pub name: String,
    /// Paths that made every figure of the case.
    pub paths: u64,
    /// Time steps of a path.
    pub steps: u32,
    /// Wall time, seconds.
    pub elapsed_seconds: f64,
    /// Accounts that were simulated twice, because their tail lay where the first look had not
    /// expected it.
    pub repaired_accounts: u64,
    /// Why the case has no result; `null` where it has one.
    pub failure: Option<String>,
    /// Sums over accounts.
    pub totals: Totals,
    /// Accounts in the order of their names.
    pub accounts: Vec<AccountResult>,
    /// Accounts without figures, which are in no sum; empty where all have some.
    pub failed_accounts: Vec<FailedAccountResult>,
}

/// An account without figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailedAccountResult {
    /// Its name.
    pub account: String,
    /// Why.
    pub reason: String,
}

/// Sums over the accounts of a case.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of market values.
    pub market_value: f64,
    /// Sum of equities.
    pub equity: f64,
    /// Sum of the stress's own profits.
    pub stress_profit: f64,
    /// Sum of maintenance margins.
    pub maintenance_margin: f64,
    /// Sum of initial margins.
    pub initial_margin: f64,
    /// Accounts whose equity is below their maintenance margin.
    pub liquidate: u64,
    /// Accounts between maintenance and initial margin.
    pub margin_call: u64,
    /// Accounts whose equity covers the initial margin.
    pub healthy: u64,
}

/// One account in one case.
#[derive(Clone, Debug, Serialize)]
pub struct AccountResult {
    /// Its name.
    pub account: String,
    /// What it does, in the words of its file; may be empty.
    pub description: String,
    /// Value of all holdings and cash.
    pub market_value: f64,
    /// Value after haircuts on collateral.
    pub equity: f64,
    /// Sum of the absolute notionals of all holdings.
    pub gross_notional: f64,
    /// Profit of the stress itself, before the simulation; 0 in the base case.
    pub stress_profit: f64,
    /// Tail at the level of the maintenance margin.
    pub maintenance: TailResult,
    /// Tail at the level of the initial margin.
    pub initial: TailResult,
    /// Maintenance margin: the sum of its components.
    pub maintenance_margin: f64,
    /// Initial margin: likewise, never below the maintenance margin.
    pub initial_margin: f64,
    /// What the maintenance margin is made of.
    pub maintenance_components: Lines,
    /// What the initial margin is made of.
    pub initial_components: Lines,
    /// Equity over maintenance margin; `null` where the margin is zero.
    pub health: Option<f64>,
    /// `liquidate`, `margin_call` or `healthy`.
    pub state: &'static str,
    /// What costs most in the tail; `null` where nothing is lost.
    pub worst_driver: Option<DriverResult>,
    /// The shape of its losses; base case only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<DistributionResult>,
    /// What its Expected Shortfalls are made of; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<AttributionResult>,
    /// Its worst paths at the maintenance level's horizon, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst_paths: Option<Vec<WorstPathResult>>,
}

/// Tail figures of an account at a level; loss positive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TailResult {
    /// 0.99: the worst 1 % of paths make the tail.
    pub confidence: f64,
    /// Days over which the book is carried.
    pub horizon_days: f64,
    /// Paths in the tail: `paths (1 - confidence)`.
    pub tail_paths: f64,
    /// Whether these are so few (below 10) that the standard errors are too small.
    pub few_tail_paths: bool,
    /// Mean loss of the tail.
    pub expected_shortfall: f64,
    /// Standard error of the Expected Shortfall.
    pub standard_error: f64,
    /// Interval that holds the true Expected Shortfall in 95 of 100 runs.
    pub confidence_interval_95: Interval,
    /// Loss that the tail's paths exceed.
    pub value_at_risk: f64,
    /// Standard error of the Value at Risk.
    pub value_at_risk_standard_error: f64,
}

/// How often losses fell into columns of equal width, from the smallest loss to the largest, on the
/// first paths of the run at the horizon of the maintenance margin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistributionResult {
    /// Smallest loss.
    pub low: f64,
    /// Largest loss.
    pub high: f64,
    /// Paths in each column, 40 of them.
    pub counts: Vec<u32>,
}

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The asset that costs an account most in its tail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriverResult {
    /// Its name.
    pub asset: String,
    /// Its part of the mean tail loss: 0.8 is 80 %; above 1 where other assets offset it.
    pub share_of_loss: f64,
    /// Mean return of the asset on the tail's paths: -0.1 is -10 %.
    pub mean_return: f64,
}

impl DriverResult {
    /// Of a driver in a scenario's market.
    pub fn new(scenario: &Scenario, driver: &Driver) -> Self {
        Self {
            asset: scenario.market.assets[driver.asset].name.clone(),
            share_of_loss: driver.share,
            mean_return: driver.mean_return,
        }
    }
}

impl std::fmt::Display for DriverResult {
    /// The asset, its mean move and its part of the loss: `BTC -15.8 %, 100 %`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (move_percent, share) = (100.0 * self.mean_return, 100.0 * self.share_of_loss);
        write!(f, "{} {move_percent:+.1} %, {} %", self.asset, grouped(share, 0))
    }
}

impl Document {
    /// The document of a run.
    pub fn new(scenario: &Scenario, outcome: &Outcome, manifest: Manifest) -> Self {
        let levels = Levels::of(scenario);
        Self {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            scenario: scenario.name.clone(),
            as_of: scenario.market.as_of.to_string(),
            currency: scenario.reporting_currency().to_owned(),
            device: outcome.device.clone(),
            precision: scenario.simulation.precision.to_string(),
            seed: scenario.simulation.seed,
            paths: scenario.simulation.paths,
            tolerance: scenario.simulation.tolerance,
            margin_rules: scenario.margin.version.clone(),
            levels,
            elapsed_seconds: outcome.elapsed.as_secs_f64(),
            cases: outcome.cases.iter().map(|case| CaseResult::new(scenario, &levels, case)).collect(),
            manifest,
        }
    }

    /// The document as JSON text, ending with a newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain fields become JSON");
        text.push('\n');
        text
    }
}

impl Levels {
    /// The levels of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        Self {
            maintenance: LevelResult::of(&scenario.margin.maintenance),
            initial: LevelResult::of(&scenario.margin.initial),
        }
    }
}

impl LevelResult {
    fn of(level: &Level) -> Self {
        // Days that went through years come back within 1e-12; nobody writes a billionth of a day.
        let days = (level.horizon.days() * 1e9).round() / 1e9;
        Self { confidence: level.confidence.get(), horizon_days: days }
    }
}

impl CaseResult {
    fn new(scenario: &Scenario, levels: &Levels, case: &Case) -> Self {
        let accounts: &[AccountCase] = case.accounts.as_deref().unwrap_or_default();
        let failed = |failed: &FailedAccount| FailedAccountResult {
            account: scenario.portfolio.accounts[failed.account].name.clone(),
            reason: failed.reason.clone(),
        };
        Self {
            name: case.name.clone(),
            paths: case.paths,
            steps: case.steps,
            elapsed_seconds: case.elapsed.as_secs_f64(),
            repaired_accounts: case.repaired as u64,
            failure: case.accounts.as_ref().err().cloned(),
            totals: Totals::of(accounts),
            accounts: accounts.iter().map(|a| AccountResult::new(scenario, levels, a)).collect(),
            failed_accounts: case.failed.iter().map(failed).collect(),
        }
    }
}

impl Totals {
    fn of(accounts: &[AccountCase]) -> Self {
        let mut totals = Self::default();
        for account in accounts {
            totals.market_value += account.value.market_value;
            totals.equity += account.value.equity;
            totals.stress_profit += account.value.stress_profit;
            totals.maintenance_margin += account.margin.maintenance_margin;
            totals.initial_margin += account.margin.initial_margin;
            match account.margin.state {
                State::Liquidate => totals.liquidate += 1,
                State::MarginCall => totals.margin_call += 1,
                State::Healthy => totals.healthy += 1,
            }
        }
        totals
    }
}

impl AccountResult {
    fn new(scenario: &Scenario, levels: &Levels, case: &AccountCase) -> Self {
        let account = &scenario.portfolio.accounts[case.account];
        Self {
            account: account.name.clone(),
            description: account.description.clone(),
            market_value: case.value.market_value,
            equity: case.value.equity,
            gross_notional: case.value.gross_notional,
            stress_profit: case.value.stress_profit,
            maintenance: TailResult::new(&levels.maintenance, &case.maintenance),
            initial: TailResult::new(&levels.initial, &case.initial),
            maintenance_margin: case.margin.maintenance_margin,
            initial_margin: case.margin.initial_margin,
            maintenance_components: case.margin.maintenance_lines,
            initial_components: case.margin.initial_lines,
            health: case.margin.health.filter(|health| health.is_finite()),
            state: case.margin.state.name(),
            worst_driver: case.driver.map(|driver| DriverResult::new(scenario, &driver)),
            distribution: case.distribution.as_ref().map(|d| DistributionResult {
                low: d.low,
                high: d.high,
                counts: d.counts.clone(),
            }),
            attribution: case
                .attribution
                .as_ref()
                .map(|a| AttributionResult::new(scenario, a, case.greeks.as_ref())),
            worst_paths: case
                .attribution
                .as_ref()
                .map(|a| a.worst_paths.iter().map(|path| WorstPathResult::new(scenario, path)).collect()),
        }
    }
}

impl AccountResult {
    /// How little an account is in need; see [`need`].
    pub fn need(&self) -> f64 {
        need(self.health, self.equity)
    }
}

/// Health, extended to accounts without a margin: with equity below zero they need money more than
/// any other, otherwise less.
pub fn need(health: Option<f64>, equity: f64) -> f64 {
    let without_margin = if equity >= 0.0 { f64::INFINITY } else { f64::NEG_INFINITY };
    health.unwrap_or(without_margin)
}

impl TailResult {
    /// An estimate at its level.
    pub fn new(level: &LevelResult, tail: &TailEstimate) -> Self {
        let reach = NORMAL_95 * tail.expected_shortfall_error;
        // Rounded as a person reads it: 0.99 leaves 0.010000000000000009.
        let tail_paths = (tail.paths as f64 * (1.0 - level.confidence) * 1e6).round() / 1e6;
        Self {
            tail_paths,
            few_tail_paths: tail_paths < FEW_TAIL_PATHS,
            confidence: level.confidence,
            horizon_days: level.horizon_days,
            expected_shortfall: tail.expected_shortfall,
            standard_error: tail.expected_shortfall_error,
            confidence_interval_95: Interval {
                low: tail.expected_shortfall - reach,
                high: tail.expected_shortfall + reach,
            },
            value_at_risk: tail.value_at_risk,
            value_at_risk_standard_error: tail.value_at_risk_error,
        }
    }
}
