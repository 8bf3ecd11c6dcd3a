//! When accounts are liquidated, what it costs, and what is left for the insurance fund.
//!
//! Margins after a move of prices are full runs on the same random words (`revalue`); only along
//! simulated paths are they interpolated between such runs (`curve`), with the error measured.
//! docs/liquidation.md has definitions and formulas.

mod breach;
mod cascade;
mod curve;
mod price;
mod reduce;
mod revalue;

pub use breach::{Breach, Delayed, Fund, FundSize, PathRisk};
pub use cascade::{Cascade, Wave};
pub use curve::CurveError;
pub use price::{LiquidationPrice, Push, Surface};
pub use reduce::{Reduction, Trade};
pub(crate) use revalue::accounts;

use serde::Serialize;

use crate::engine::cpu::CpuEngine;
use crate::margin::Line;
use crate::run::{self, AccountCase, AnalysisFault, Silent};
use crate::scenario::{Scenario, Selection};

/// Most accounts that are looked at together.
pub const MAX_ACCOUNTS: usize = 100_000;
/// Healths below which an account is watched, and warned.
const WATCH: f64 = 2.0;
const WARN: f64 = 1.5;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Options {
    /// Paths of each margin after a move, and of the simulated paths.
    pub paths: u64,
    /// Recalculations within the horizon of the maintenance margin.
    pub checks: u32,
    /// Accounts, the neediest first, with liquidation prices and trades.
    pub top: usize,
    /// Health that trades restore.
    pub target_health: f64,
    /// Falls of all prices for cascades: 0.2 is -20 %.
    pub falls: Vec<f64>,
    /// Account with a surface over two assets, by its index.
    pub surface: Option<usize>,
    /// The stress whose case is looked at, by its index; the base case without one.
    pub case: Option<usize>,
}

/// Everything that was found. Money in the reporting currency, prices and attacks in US dollars; losses
/// and requirements positive.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    /// Name of the case: `base`, or a stress.
    pub case: String,
    /// Unit of money.
    pub currency: String,
    /// Paths of each margin after a move, and of the simulated paths.
    pub paths: u64,
    /// Days of the maintenance margin's horizon.
    pub horizon_days: f64,
    /// Recalculations within it.
    pub checks: u32,
    /// Every account, the neediest first.
    pub accounts: Vec<AccountRisk>,
    /// What the insurance fund has to bear.
    pub fund: Fund,
    /// Error of margins along paths.
    pub curve_error: CurveError,
    /// Liquidations that move prices; none where the market has no `liquidity`.
    pub cascades: Vec<Cascade>,
    /// Health over moves of two assets, where it was asked for.
    pub surface: Option<Surface>,
}

/// One account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountRisk {
    /// Its name.
    pub account: String,
    /// Rung of the warning ladder.
    pub rung: Rung,
    /// Equity over maintenance margin; none where the margin is zero.
    pub health: Option<f64>,
    /// Value after haircuts.
    pub equity: f64,
    /// Maintenance margin.
    pub maintenance_margin: f64,
    /// Initial margin.
    pub initial_margin: f64,
    /// What may happen within the horizon.
    pub breach: Breach,
    /// Prices at which equity is the maintenance margin; of the neediest accounts.
    pub liquidation_prices: Vec<LiquidationPrice>,
    /// Trades that restore health, where it is lacking; of the neediest accounts.
    pub reduction: Option<Reduction>,
}

/// Rungs of the warning ladder, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Worth less than nothing.
    Bankrupt,
    /// Equity below the maintenance margin.
    Liquidate,
    /// Equity below the initial margin.
    MarginCall,
    /// Health below 1.5.
    Warning,
    /// Health below 2.
    Watch,
    /// None of these.
    Healthy,
}

impl Rung {
    /// The rung of an account.
    pub fn of(case: &AccountCase) -> Self {
        let health = case.margin.health.unwrap_or(f64::INFINITY);
        if !(case.value.market_value >= 0.0) {
            Self::Bankrupt
        } else if !(case.value.equity >= case.margin.maintenance_margin) {
            Self::Liquidate
        } else if !(case.value.equity >= case.margin.initial_margin) {
            Self::MarginCall
        } else if health < WARN {
            Self::Warning
        } else if health < WATCH {
            Self::Watch
        } else {
            Self::Healthy
        }
    }

    /// As reports show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bankrupt => "bankrupt",
            Self::Liquidate => "liquidate",
            Self::MarginCall => "margin call",
            Self::Warning => "warning",
            Self::Watch => "watch",
            Self::Healthy => "healthy",
        }
    }
}

/// Analyses a case of a scenario on the CPU; `stage` hears what is being done.
pub fn analyse(
    whole: &Scenario,
    options: &Options,
    stage: &mut dyn FnMut(&str),
) -> Result<Analysis, AnalysisFault> {
    check(whole)?;
    let scenario = &case_alone(whole, options.case)?;
    let mut engine = CpuEngine::new(scenario.simulation.precision);
    stage("margins as they are");
    let outcome = run::run(scenario, &mut engine, &mut Silent)?;
    let base = revalue::accounts(&outcome.cases[0])?;
    let mut neediest: Vec<usize> = (0..base.len()).collect();
    neediest.sort_by(|&a, &b| need(&base[a]).total_cmp(&need(&base[b])));
    stage("margins after moves of each asset");
    let margins: Vec<f64> = base.iter().map(|case| case.margin.maintenance_margin).collect();
    let curves = curve::Curves::new(scenario, &margins, options.paths)?;
    stage("accounts along paths");
    let PathRisk { breaches, fund, curve_error } = breach::simulate(scenario, &base, &curves, options)?;
    stage("liquidation prices and trades");
    let mut accounts = Vec::with_capacity(base.len());
    for (rank, &index) in neediest.iter().enumerate() {
        let case = &base[index];
        let is_near = rank < options.top;
        accounts.push(AccountRisk {
            account: scenario.portfolio.accounts[index].name.clone(),
            rung: Rung::of(case),
            health: case.margin.health,
            equity: case.value.equity,
            maintenance_margin: case.margin.maintenance_margin,
            initial_margin: case.margin.initial_margin,
            breach: breaches[index].clone(),
            liquidation_prices: match is_near {
                true => price::prices(scenario, index, margins[index], options.paths)?,
                false => Vec::new(),
            },
            reduction: match is_near {
                true => reduce::reduction(scenario, index, options.target_health)?,
                false => None,
            },
        });
    }
    stage("cascades");
    let cascades = cascade::cascades(scenario, &margins, options)?;
    let surface = |account: usize| price::surface(scenario, account, margins[account], options.paths);
    let surface = options.surface.map(surface).transpose()?;
    Ok(Analysis {
        case: options.case.map_or("base", |stress| whole.stresses[stress].name.as_str()).to_owned(),
        currency: scenario.reporting_currency().to_owned(),
        paths: options.paths,
        horizon_days: scenario.margin.maintenance.horizon.days(),
        checks: options.checks,
        accounts,
        fund,
        curve_error,
        cascades,
        surface,
    })
}

fn check(scenario: &Scenario) -> Result<(), AnalysisFault> {
    let accounts = scenario.portfolio.accounts.len();
    if accounts > MAX_ACCOUNTS {
        return Err(AnalysisFault::Data(format!("{accounts} accounts; at most {MAX_ACCOUNTS} together")));
    }
    Ok(())
}

/// The scenario without stresses, but for those that its margin rules name.
fn base_alone(scenario: &Scenario) -> Scenario {
    let mut alone = scenario.clone();
    let named = scenario.margin.add_ons.cases();
    alone.stresses.retain(|stress| named.iter().flatten().any(|name| *name == stress.name));
    alone.attribution = Selection::None;
    alone
}

/// A case of the scenario as the base case of one of its own.
pub(crate) fn case_alone(scenario: &Scenario, case: Option<usize>) -> Result<Scenario, AnalysisFault> {
    let Some(stress) = case else { return Ok(base_alone(scenario)) };
    if scenario.margin.add_ons.cases() != [None, None] {
        let reason =
            "margin rules with a stressed weight or a lookback floor compare cases: look at the base case";
        return Err(AnalysisFault::Data(reason.to_owned()));
    }
    let moved = run::moved(scenario, stress + 1);
    moved.map(|moved| base_alone(&moved)).map_err(AnalysisFault::Data)
}

/// Health, extended to accounts without a margin.
pub(crate) fn need(case: &AccountCase) -> f64 {
    let without = if case.value.equity >= 0.0 { f64::INFINITY } else { f64::NEG_INFINITY };
    case.margin.health.unwrap_or(without)
}

/// What closing an account costs under the margin rules; nothing where they have none.
fn closing_cost(case: &AccountCase) -> f64 {
    case.margin.maintenance_lines.get(Line::LiquidationCost)
}
