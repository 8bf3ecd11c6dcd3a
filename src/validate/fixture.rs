//! Markets, books and jobs made in code, for checks against exact figures.

use jiff::{SignedDuration, Timestamp};

use crate::engine::{self, Engine, Job, JobInput, Pilot};
use crate::instrument::{Instrument, Kind, SmileRule, UnitValue};
use crate::market::{Asset, Correlation, Market};
use crate::portfolio::{Account, Holding, Portfolio};
use crate::risk::TailEstimate;
use crate::units::{Confidence, Years};

/// The instant of every such market.
pub(super) const AS_OF: Timestamp = Timestamp::UNIX_EPOCH;
/// Each look at an account whose bracket missed takes a bracket wider by this factor.
const WIDENING: f64 = 4.0;
const LOOKS: i32 = 7;

/// An asset that only diffuses, its perpetual at spot, no drift, forwards at the discount rate.
pub(super) fn asset(spot: f64, volatility_annual: f64) -> Asset {
    Asset::diffusing("X".to_owned(), spot, volatility_annual)
}

/// Independent assets at a discount rate of zero.
pub(super) fn market(assets: Vec<Asset>) -> Market {
    Market {
        as_of: AS_OF,
        source: String::new(),
        discount_rate_annual: 0.0,
        correlation: Correlation::identity(assets.len()),
        assets,
        tail_groups: Vec::new(),
        common_jumps: None,
    }
}

pub(super) fn in_days(days: f64) -> Timestamp {
    AS_OF + SignedDuration::from_secs_f64(days * 86_400.0)
}

/// A market and accounts in it, simulated in one step over one horizon.
pub(super) struct Setup {
    pub market: Market,
    pub portfolio: Portfolio,
    levels: Vec<(Years, Confidence)>,
    seed: u64,
}

impl Setup {
    /// Confidences and days are checked: a table may hold anything.
    pub fn new(market: Market, days: f64, confidences: &[f64], seed: u64) -> Result<Self, String> {
        let horizon = Years::from_days(days).ok_or_else(|| format!("a horizon of {days} days"))?;
        let level = |&c: &f64| Some((horizon, Confidence::new(c)?));
        let levels = confidences.iter().map(level).collect::<Option<_>>();
        let levels = levels.ok_or_else(|| format!("confidences {confidences:?}"))?;
        Ok(Self { market, portfolio: Portfolio::default(), levels, seed })
    }

    /// Adds an account of `(asset, kind, quantity)`.
    pub fn account(&mut self, positions: &[(usize, Kind, f64)]) {
        let mut holdings = Vec::new();
        for &(asset, kind, quantity) in positions {
            holdings.push(Holding { instrument: self.instrument(asset, kind), quantity });
        }
        self.portfolio.accounts.push(Account { holdings, ..Account::default() });
    }

    fn instrument(&mut self, asset: usize, kind: Kind) -> u32 {
        let listed = &mut self.portfolio.instruments;
        let at = listed.iter().position(|i| i.asset == asset && i.kind == kind).unwrap_or_else(|| {
            listed.push(Instrument { name: format!("instrument {}", listed.len()), asset, kind });
            listed.len() - 1
        });
        at as u32
    }

    pub fn units(&self) -> Result<Vec<UnitValue>, String> {
        let value = |instrument| UnitValue::new(&self.market, instrument).map_err(|fault| fault.to_string());
        self.portfolio.instruments.iter().map(value).collect()
    }

    pub fn job(&self) -> Result<Job, String> {
        let input = JobInput {
            market: &self.market,
            portfolio: &self.portfolio,
            units: &self.units()?,
            levels: &self.levels,
            seed: self.seed,
            steps: 1,
            exact_steps: true,
            smile: SmileRule::StickyMoneyness,
            numeraire: None,
        };
        engine::build(&input).map_err(|fault| fault.to_string())
    }
}

/// Estimates `[account][level]`; an account whose bracket missed is looked at again through a wider
/// one, as a run does.
pub(super) fn estimates(
    engine: &mut dyn Engine,
    job: &Job,
    paths: u64,
) -> Result<Vec<Vec<TailEstimate>>, String> {
    let pilot = Pilot::new(job, paths);
    let levels = job.levels.len();
    let mut found: Vec<Option<Vec<TailEstimate>>> = vec![None; job.accounts()];
    for look in 0..LOOKS {
        let missing: Vec<usize> = (0..found.len()).filter(|a| found[*a].is_none()).collect();
        if missing.is_empty() {
            break;
        }
        let part = job.for_accounts(&missing);
        let brackets = pilot.brackets(&part, WIDENING.powi(look));
        let tails = engine.tails(&part, &brackets, 0..paths, &mut |_| ());
        let tails = tails.map_err(|fault| fault.to_string())?;
        for (index, account) in missing.into_iter().enumerate() {
            let of_level = |level: usize| {
                let at = index * levels + level;
                tails[at].estimate(&brackets[at], job.levels[level].confidence, paths).ok()
            };
            found[account] = (0..levels).map(of_level).collect();
        }
    }
    let all: Option<_> = found.into_iter().collect();
    all.ok_or_else(|| "no bracket holds the VaR of an account".to_owned())
}
