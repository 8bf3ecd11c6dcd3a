//! Markets, books and jobs made in code, and figures out of the engine.

use jiff::{SignedDuration, Timestamp};
use shortfall::engine::cpu::CpuEngine;
use shortfall::engine::{self, BLOCK, Cube, Engine, FACTORS, Job, JobInput, Pilot};
use shortfall::instrument::{Instrument, Kind, OptionTerms, Right, Settlement, SmileRule, UnitValue};
use shortfall::market::{Asset, Correlation, ImpliedVolatility, JumpSize, Jumps, Market, TailGroup};
use shortfall::portfolio::{Account, Holding, Portfolio};
use shortfall::risk::{Bracket, Tail, TailEstimate};
use shortfall::scenario::Precision;
use shortfall::units::{Confidence, Years};

pub const DAY: f64 = 1.0 / 365.0;
pub const BOTH: [Precision; 2] = [Precision::F32, Precision::F64];

pub fn as_of() -> Timestamp {
    "2026-02-04T21:33:00Z".parse().expect("a timestamp")
}

pub fn in_days(days: f64) -> Timestamp {
    as_of() + SignedDuration::from_secs_f64(days * 86_400.0)
}

pub fn days(days: f64) -> Years {
    Years::from_days(days).expect("days of a test")
}

/// An asset that only diffuses, its perpetual at spot, no drift, forwards at the discount rate.
pub fn asset(spot: f64, volatility_annual: f64) -> Asset {
    Asset::diffusing(String::new(), spot, volatility_annual)
}

/// Independent assets at a discount rate of zero.
pub fn market(mut assets: Vec<Asset>) -> Market {
    for (index, asset) in assets.iter_mut().enumerate() {
        asset.name = format!("A{index}");
    }
    Market {
        as_of: as_of(),
        source: "a test".to_owned(),
        discount_rate_annual: 0.0,
        correlation: Correlation::identity(assets.len()),
        assets,
        tail_groups: Vec::new(),
        common_jumps: None,
    }
}

pub fn tail_group(degrees_of_freedom: f64) -> TailGroup {
    TailGroup { name: format!("t{degrees_of_freedom}"), degrees_of_freedom }
}

pub fn merton(intensity_annual: f64, mean: f64, sd: f64) -> Option<Jumps> {
    (intensity_annual > 0.0).then_some(Jumps { intensity_annual, size: JumpSize::Merton { mean, sd } })
}

pub fn kou(intensity_annual: f64, up_probability: f64, up_rate: f64, down_rate: f64) -> Option<Jumps> {
    let size = JumpSize::Kou { up_probability, up_rate, down_rate };
    Some(Jumps { intensity_annual, size })
}

/// Moves of the volatility level without jumps; every expiry moves like the reference of 30 days
/// unless `term_power` is set.
pub fn moving_volatility(reversion: f64, volatility: f64, spot_correlation: f64) -> ImpliedVolatility {
    ImpliedVolatility {
        mean_reversion_annual: reversion,
        volatility_annual: volatility,
        spot_correlation,
        common_jump_shift: 0.0,
        own_jump_shift: 0.0,
        reference_tenor: days(30.0),
        term_power: 0.0,
        minimum_tenor: days(1.0),
    }
}

pub fn option(
    right: Right,
    strike: f64,
    expiry_days: f64,
    settlement: Settlement,
    volatility: Option<f64>,
) -> Kind {
    Kind::Option(OptionTerms {
        right,
        strike,
        expiry: in_days(expiry_days),
        settlement,
        volatility_annual: volatility,
    })
}

pub const LINEAR_PERPETUAL: Kind = Kind::Perpetual(Settlement::Linear);
pub const INVERSE_PERPETUAL: Kind = Kind::Perpetual(Settlement::Inverse);

/// What a job is made from, with the settings that most tests want.
#[derive(Clone)]
pub struct Setup {
    pub market: Market,
    pub portfolio: Portfolio,
    pub levels: Vec<(Years, Confidence)>,
    pub seed: u64,
    pub steps: u32,
    pub exact_steps: bool,
    pub smile: SmileRule,
    pub numeraire: Option<usize>,
}

impl Setup {
    /// One horizon, some confidences, a single step.
    pub fn new(market: Market, horizon_days: f64, confidences: &[f64], seed: u64) -> Self {
        Self {
            market,
            portfolio: Portfolio::default(),
            levels: levels(horizon_days, confidences),
            seed,
            steps: 1,
            exact_steps: true,
            smile: SmileRule::StickyMoneyness,
            numeraire: None,
        }
    }

    /// Adds an account; instruments are listed once.
    pub fn account(&mut self, positions: &[(usize, Kind, f64)]) -> &mut Self {
        let mut holdings: Vec<Holding> = Vec::new();
        for &(asset, kind, quantity) in positions {
            let instrument = self.instrument(asset, kind) as u32;
            match holdings.iter_mut().find(|h| h.instrument == instrument) {
                Some(holding) => holding.quantity += quantity,
                None => holdings.push(Holding { instrument, quantity }),
            }
        }
        holdings.sort_by_key(|holding| holding.instrument);
        let name = format!("account {}", self.portfolio.accounts.len());
        self.portfolio.accounts.push(Account { name, holdings, ..Account::default() });
        self
    }

    /// Lists an instrument and returns its index.
    pub fn instrument(&mut self, asset: usize, kind: Kind) -> usize {
        let listed = &mut self.portfolio.instruments;
        listed.iter().position(|i| i.asset == asset && i.kind == kind).unwrap_or_else(|| {
            listed.push(Instrument { name: format!("I{}", listed.len()), asset, kind });
            listed.len() - 1
        })
    }

    pub fn units(&self) -> Vec<UnitValue> {
        let value =
            |instrument| UnitValue::new(&self.market, instrument).expect("an instrument with a value");
        self.portfolio.instruments.iter().map(value).collect()
    }

    pub fn job(&self) -> Job {
        engine::build(&JobInput {
            market: &self.market,
            portfolio: &self.portfolio,
            units: &self.units(),
            levels: &self.levels,
            seed: self.seed,
            steps: self.steps,
            exact_steps: self.exact_steps,
            smile: self.smile,
            numeraire: self.numeraire,
        })
        .expect("a job")
    }

    /// Estimates `[account][level]`.
    pub fn estimates(&self, precision: Precision, paths: u64) -> Vec<Vec<TailEstimate>> {
        estimates(&self.job(), precision, paths)
    }
}

pub fn levels(horizon_days: f64, confidences: &[f64]) -> Vec<(Years, Confidence)> {
    confidences.iter().map(|&c| (days(horizon_days), confidence(c))).collect()
}

pub fn confidence(confidence: f64) -> Confidence {
    Confidence::new(confidence).expect("a confidence of a test")
}

pub fn brackets(job: &Job, paths: u64) -> Vec<Bracket> {
    Pilot::new(job, paths).brackets(job, 1.0)
}

pub fn tails(job: &Job, precision: Precision, brackets: &[Bracket], paths: u64) -> Vec<Tail> {
    let mut engine = CpuEngine::new(precision);
    engine.tails(job, brackets, 0..paths, &mut |_| ()).expect("the CPU has no faults")
}

/// Estimates `[account][level]`. Where a bracket misses (a book without risk is rounding noise in the
/// pilot's f32, and nothing in f64) the account is looked at again through a wider one, as a run does.
pub fn estimates(job: &Job, precision: Precision, paths: u64) -> Vec<Vec<TailEstimate>> {
    let pilot = Pilot::new(job, paths);
    let mut found: Vec<Option<Vec<TailEstimate>>> = vec![None; job.accounts()];
    for attempt in 0..=6 {
        let missing: Vec<usize> = (0..job.accounts()).filter(|&a| found[a].is_none()).collect();
        if missing.is_empty() {
            break;
        }
        let part = job.for_accounts(&missing);
        let brackets = pilot.brackets(&part, 4f64.powi(attempt));
        let tails = tails(&part, precision, &brackets, paths);
        let levels = job.levels.len();
        for (index, &account) in missing.iter().enumerate() {
            let of_level = |level: usize| {
                let at = index * levels + level;
                tails[at].estimate(&brackets[at], job.levels[level].confidence, paths).ok()
            };
            found[account] = (0..levels).map(of_level).collect();
        }
    }
    found.into_iter().map(|found| found.expect("a bracket that holds the VaR")).collect()
}

/// A cube in either precision, read as f64.
pub enum AnyCube {
    F32(Cube<f32>),
    F64(Cube<f64>),
}

impl AnyCube {
    pub fn new(job: &Job, precision: Precision, paths: u64) -> Self {
        let engine = CpuEngine::new(precision);
        match precision {
            Precision::F32 => Self::F32(engine.cube_f32(job, 0..paths)),
            Precision::F64 => Self::F64(engine.cube_f64(job, 0..paths)),
        }
    }

    /// A factor of an asset at an observation: 0 log return, 1 volatility level, 2 basis.
    pub fn factor(&self, job: &Job, observation: usize, asset: usize, factor: usize, paths: u64) -> Vec<f64> {
        let start = ((observation * job.assets + asset) * FACTORS + factor) * BLOCK;
        match self {
            Self::F32(cube) => column(&cube.factors, start, paths),
            Self::F64(cube) => column(&cube.factors, start, paths),
        }
    }

    /// Profit of one unit of an instrument at the horizon.
    pub fn profit(&self, job: &Job, horizon: usize, instrument: usize, paths: u64) -> Vec<f64> {
        let start = row(job, horizon, instrument) * BLOCK;
        match self {
            Self::F32(cube) => column(&cube.pnl, start, paths),
            Self::F64(cube) => column(&cube.pnl, start, paths),
        }
    }
}

/// Row of an instrument; `horizon` counts the rows of the same instrument, in order of time.
fn row(job: &Job, horizon: usize, instrument: usize) -> usize {
    let rows = job.rows.iter().enumerate().filter(|(_, row)| row.instrument as usize == instrument);
    rows.map(|(index, _)| index).nth(horizon).expect("a row of every instrument")
}

fn column<S: Copy + Into<f64>>(blocks: &[Vec<S>], start: usize, paths: u64) -> Vec<f64> {
    let values = blocks.iter().flat_map(|block| block[start..start + BLOCK].iter().map(|&x| x.into()));
    values.take(paths as usize).collect()
}
