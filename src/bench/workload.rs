//! The workloads: markets and books from fixed numbers.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use super::night;
use crate::engine::{self, Job, JobInput};
use crate::instrument::{Instrument, Kind, OptionTerms, Right, Settlement, SmileRule, UnitValue};
use crate::market::{Asset, Correlation, JumpSize, Jumps, Market};
use crate::numeric::{PhiloxRng, Real};
use crate::portfolio::{Account, Holding, Portfolio};
use crate::units::{Confidence, Years};

/// Seed of every workload.
const SEED: u64 = 20_260_101;
/// Midnight, the instant of the markets: 2026-01-01T00:00:00Z.
const AS_OF_SECOND: i64 = 1_767_225_600;
const HORIZON_DAYS: f64 = 1.0;
const CONFIDENCE: f64 = 0.99;
/// Days to the expiries of the options, all beyond the horizon.
const EXPIRY_DAYS: [i64; 5] = [2, 7, 30, 90, 180];
/// Strikes reach this many standard deviations of the log price either side of the forward.
const STRIKE_REACH: f64 = 1.5;
/// Dollars of notional of a position.
const NOTIONAL: f64 = 10_000.0;

/// All workloads.
pub const WORKLOADS: [WorkloadName; 4] =
    [WorkloadName::W1, WorkloadName::W1Exact, WorkloadName::W2, WorkloadName::Night];

/// Which workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadName {
    /// One account with 4 spot, 4 futures and 200 European options on 4 correlated Merton assets;
    /// 1,000,000 paths of 24 hourly steps.
    W1,
    /// The same in the one step that is exact.
    W1Exact,
    /// 10,000 accounts of 20 positions each in 500 instruments on 20 assets; 100,000 paths of one
    /// exact step.
    W2,
    /// A clearing house's night: 100,000 accounts with 2 million positions in 1,000 instruments on
    /// 50 assets, two horizons; 1,000,000 paths. See [`crate::generate`].
    Night,
}

impl WorkloadName {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W1Exact => "w1-exact",
            Self::W2 => "w2",
            Self::Night => "night",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        WORKLOADS.into_iter().find(|name| name.as_str() == text)
    }

    /// Paths of the whole workload.
    pub fn paths(self) -> u64 {
        match self {
            Self::W1 | Self::W1Exact | Self::Night => 1_000_000,
            Self::W2 => 100_000,
        }
    }

    /// What it is, in one line.
    pub fn description(self) -> &'static str {
        match self {
            Self::W1 => "1 account, 4 spot + 4 futures + 200 options on 4 Merton assets, 24 hourly steps",
            Self::W1Exact => "the same in the one step that is exact",
            Self::W2 => "10,000 accounts x 20 positions in 500 instruments on 20 assets, one exact step",
            Self::Night => {
                "clearing house: 100,000 accounts, 2 million positions, 1,000 instruments, 50 assets, 2 horizons"
            }
        }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A workload ready to run.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Which one.
    pub name: WorkloadName,
    /// Its market.
    pub market: Market,
    /// Its book.
    pub portfolio: Portfolio,
    /// What an engine gets.
    pub job: Job,
    /// Paths to simulate.
    pub paths: u64,
}

/// Why a workload cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadFault {
    /// The files of the synthetic night could not be written or read.
    #[error("the synthetic night could not be made: {0}")]
    Night(String),
    /// Numbers out of which no job can be made; the fixed ones never are.
    #[error("the workload has no job: {0}")]
    Job(String),
}

impl Workload {
    /// Makes a workload, of all its paths.
    pub fn new(name: WorkloadName) -> Result<Self, WorkloadFault> {
        match name {
            WorkloadName::W1 => one_account(name, 24, false),
            WorkloadName::W1Exact => one_account(name, 24, true),
            WorkloadName::W2 => many_accounts(name),
            WorkloadName::Night => night::night(name),
        }
    }

    /// The same workload with fewer paths.
    pub fn with_paths(self, paths: u64) -> Self {
        Self { paths, ..self }
    }

    /// Time steps of all assets on one path.
    pub fn asset_steps(&self) -> u64 {
        u64::from(self.job.steps()) * self.job.assets as u64
    }

    /// Revaluations on one path: rows of the P&L cube, instruments times horizons.
    pub fn rows(&self) -> u64 {
        self.job.rows.len() as u64
    }

    /// Losses on one path: accounts times horizons.
    pub fn losses(&self) -> u64 {
        (self.job.accounts() * self.job.horizons.len()) as u64
    }

    /// Products netted on one path: holdings of all accounts, at all horizons.
    pub fn entries(&self) -> u64 {
        self.job.netting.iter().map(|netting| netting.row.len() as u64).sum()
    }
}

/// W1: everything that is listed in one account, signs alternating.
fn one_account(name: WorkloadName, steps: u32, exact: bool) -> Result<Workload, WorkloadFault> {
    let market = market(4);
    let instruments = instruments(&market, 52);
    let holding = |(index, instrument): (usize, &Instrument)| {
        let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
        let quantity = sign * NOTIONAL / market.assets[instrument.asset].spot;
        Holding { instrument: index as u32, quantity }
    };
    let holdings = instruments.iter().enumerate().map(holding).collect();
    let account = Account { name: "all".to_owned(), holdings, ..Account::default() };
    finish(name, market, Portfolio { accounts: vec![account], instruments }, steps, exact)
}

/// W2: accounts of different instruments each, drawn at random.
fn many_accounts(name: WorkloadName) -> Result<Workload, WorkloadFault> {
    const ACCOUNTS: u64 = 10_000;
    const POSITIONS: usize = 20;
    let market = market(20);
    let instruments = instruments(&market, 25);
    let accounts = (0..ACCOUNTS).map(|index| {
        let mut rng = PhiloxRng::new(SEED, index);
        let mut holdings: Vec<Holding> = Vec::with_capacity(POSITIONS);
        while holdings.len() < POSITIONS {
            let instrument = rng.random_range(0..instruments.len() as u32);
            let (z, _) = f64::normal_pair(rng.random::<u32>(), rng.random::<u32>());
            let quantity = z * NOTIONAL / market.assets[instruments[instrument as usize].asset].spot;
            if holdings.iter().all(|held| held.instrument != instrument) {
                holdings.push(Holding { instrument, quantity });
            }
        }
        holdings.sort_unstable_by_key(|held| held.instrument);
        Account { name: format!("account-{index:05}"), holdings, ..Account::default() }
    });
    let portfolio = Portfolio { accounts: accounts.collect(), instruments };
    finish(name, market, portfolio, 1, true)
}

/// Correlated Merton assets without rates, carry or basis.
fn market(assets: usize) -> Market {
    let asset = |index: usize| Asset {
        own_jumps: Some(Jumps { intensity_annual: 24.0, size: JumpSize::Merton { mean: -0.02, sd: 0.05 } }),
        ..Asset::diffusing(format!("A{index:02}"), 100.0 * (index + 1) as f64, 0.5 + 0.1 * (index % 4) as f64)
    };
    let correlation = (0..assets * assets).map(|at| if at % (assets + 1) == 0 { 1.0 } else { 0.6 }).collect();
    Market {
        as_of: Timestamp::from_second(AS_OF_SECOND).expect("a fixed instant"),
        source: "fixed numbers".to_owned(),
        discount_rate_annual: 0.0,
        assets: (0..assets).map(asset).collect(),
        tail_groups: Vec::new(),
        common_jumps: None,
        correlation: Correlation::new(assets, correlation)
            .expect("an equal correlation is positive definite"),
    }
}

/// `each` instruments of every asset: spot, a future, and options over all expiries.
fn instruments(market: &Market, each: usize) -> Vec<Instrument> {
    let mut instruments = Vec::with_capacity(market.assets.len() * each);
    for (index, asset) in market.assets.iter().enumerate() {
        let expiry = |days: i64| market.as_of + SignedDuration::from_hours(24 * days);
        let mut list = |name: String, kind: Kind| instruments.push(Instrument { name, asset: index, kind });
        list(asset.name.clone(), Kind::Spot);
        list(format!("{}-FUTURE", asset.name), Kind::Future(Settlement::Linear, expiry(90)));
        let options = each - 2;
        let strikes = options.div_ceil(EXPIRY_DAYS.len());
        for option in 0..options {
            let (days, step) = (EXPIRY_DAYS[option / strikes], option % strikes);
            let years = days as f64 / 365.0;
            let volatility = asset.volatility_annual + 0.1;
            let reach = STRIKE_REACH * volatility * years.sqrt();
            let moneyness = reach * (2.0 * step as f64 / (strikes - 1) as f64 - 1.0);
            let (right, letter) = if option % 4 < 2 { (Right::Call, 'C') } else { (Right::Put, 'P') };
            let terms = OptionTerms {
                right,
                strike: asset.spot * moneyness.exp(),
                expiry: expiry(days),
                settlement: Settlement::Linear,
                volatility_annual: Some(volatility),
            };
            list(format!("{}-{days}D-{step}-{letter}", asset.name), Kind::Option(terms));
        }
    }
    instruments
}

fn finish(
    name: WorkloadName,
    market: Market,
    portfolio: Portfolio,
    steps: u32,
    exact_steps: bool,
) -> Result<Workload, WorkloadFault> {
    let value = |instrument| UnitValue::new(&market, instrument).map_err(|fault| fault.to_string());
    let units: Result<Vec<_>, _> = portfolio.instruments.iter().map(value).collect();
    let units = units.map_err(WorkloadFault::Job)?;
    let level = (
        Years::from_days(HORIZON_DAYS).expect("a fixed horizon"),
        Confidence::new(CONFIDENCE).expect("a fixed confidence"),
    );
    let job = engine::build(&JobInput {
        market: &market,
        portfolio: &portfolio,
        units: &units,
        levels: &[level],
        seed: SEED,
        steps,
        exact_steps,
        smile: SmileRule::StickyStrike,
        numeraire: None,
    });
    let job = job.map_err(|fault| WorkloadFault::Job(fault.to_string()))?;
    Ok(Workload { name, market, portfolio, job, paths: name.paths() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_have_the_sizes_that_they_name() {
        for (name, shape) in [
            (WorkloadName::W1, [4, 24, 208, 1, 208]),
            (WorkloadName::W1Exact, [4, 1, 208, 1, 208]),
            (WorkloadName::W2, [20, 1, 500, 10_000, 200_000]),
        ] {
            let work = Workload::new(name).unwrap();
            let job = &work.job;
            let found =
                [job.assets as u64, u64::from(job.steps()), work.rows(), work.losses(), work.entries()];
            assert_eq!(found, shape, "{name}");
            assert_eq!(job.observations.len(), 1, "{name}: nothing expires on the way");
            assert_eq!(WorkloadName::parse(name.as_str()), Some(name));
        }
    }
}
