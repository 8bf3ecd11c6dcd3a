//! A job: everything an engine needs, as plain numbers in f64 and in the order of the work.
//!
//! Pure arithmetic from a market, instruments and accounts; engines convert it to their precision.

use crate::instrument::{CurvePoint, OptionPart, SmileRule, UnitValue};
use crate::market::{Asset, JumpSize, Jumps, Market};
use crate::portfolio::{self, Account, Holding, Portfolio};
use crate::units::{Confidence, Years};

use super::{MixingTable, TailLevel};

/// Factors of one asset at an observation: log return, log shift of the volatility level, change
/// of the annualised basis.
pub const FACTORS: usize = 3;
/// Observations closer than this (a thirtieth of a second) are one.
const SAME_TIME_YEARS: f64 = 1e-9;
/// Largest expected number of jumps in one step: counts are compared with a table.
const MAX_JUMPS_PER_STEP: f64 = 32.0;

/// Work of one case.
#[derive(Clone, Debug)]
pub struct Job {
    /// Key of the generator.
    pub seed: u64,
    /// Number of assets.
    pub assets: usize,
    /// Lower Cholesky factor of the shocks' correlation, row-major `[assets][assets]`.
    pub cholesky: Vec<f64>,
    /// Mixing group of each asset.
    pub mixing_group: Vec<Option<usize>>,
    /// Mixing variable of each group.
    pub mixing: Vec<MixingTable>,
    /// Whether any volatility level moves by itself; its normals are drawn only then.
    pub volatility_moves: bool,
    /// Whether any basis moves; likewise.
    pub basis_moves: bool,
    /// Jump sources, each picked by a threshold of a random word.
    pub jump_sources: Vec<JumpSource>,
    /// What a jump does to each asset.
    pub jump_effects: Vec<JumpEffect>,
    /// Observations in the order of time, each with the steps that lead to it.
    pub observations: Vec<Observation>,
    /// Horizons, ascending.
    pub horizons: Vec<Years>,
    /// Curve points; rows are grouped by them.
    pub curves: Vec<Curve>,
    /// Rows of the P&L cube, `[horizon][instrument]` in the order of `curves`.
    pub rows: Vec<RowTerms>,
    /// Accounts times instruments, one for each horizon.
    pub netting: Vec<Netting>,
    /// Levels whose tails are collected.
    pub levels: Vec<TailLevel>,
    /// The asset in whose coins P&L is reported, and its price now.
    pub numeraire: Option<(usize, f64)>,
    /// Size of each account below which a loss is nothing, in the reporting currency.
    pub scale: Vec<f64>,
}

/// A time at which factors are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Years from now.
    pub years: f64,
    /// Steps since the observation before.
    pub segment: Segment,
}

/// Equal steps between two observations.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Number of steps.
    pub steps: u32,
    /// Index of its first step on the whole path.
    pub first_step: u32,
    /// Length of a step in years.
    pub dt: f64,
    /// Terms of each asset.
    pub terms: Vec<StepTerms>,
    /// Random words at or above threshold `n` mean more than `n` jumps.
    pub jump_thresholds: Vec<u32>,
}

/// One asset's terms of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTerms {
    /// Log drift with the compensator.
    pub drift: f64,
    /// Standard deviation of the diffusion.
    pub sd: f64,
    /// Factor by which a volatility shift decays.
    pub decay: f64,
    /// Loading of the volatility shift on the asset's own shock.
    pub level_on_spot: f64,
    /// Loading on its own normal.
    pub level_alone: f64,
    /// Mean reversion times step: a jump early in the step has decayed by more.
    pub reversion: f64,
    /// Standard deviation of the basis change.
    pub basis_sd: f64,
}

/// A source of jumps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JumpSource {
    /// Words below it (and not below the one before) pick this source.
    pub threshold: u32,
    /// The asset that jumps; all assets together without one.
    pub asset: Option<usize>,
    /// Law of the log size.
    pub law: JumpLaw,
}

/// Law of a jump, ready to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum JumpLaw {
    /// `mean + sd z`.
    Merton {
        /// Mean log size.
        mean: f64,
        /// Standard deviation.
        sd: f64,
    },
    /// Up below the threshold, else down; exponential sizes with these means.
    Kou {
        /// Words below it are jumps upwards.
        up_threshold: u32,
        /// Mean of an upward jump.
        up_mean: f64,
        /// Mean of a downward jump.
        down_mean: f64,
    },
}

/// A curve point at an observation, with its rows.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Index of the observation.
    pub observation: usize,
    /// Index of the horizon at which its rows are held.
    pub horizon: usize,
    /// What the rows share.
    pub point: CurvePoint,
    /// Rows of the cube.
    pub rows: std::ops::Range<usize>,
}

/// One row of the P&L cube; see [`crate::instrument::Terms`].
#[derive(Clone, Copy, Debug)]
pub struct RowTerms {
    /// Coefficient of `U`.
    pub u: f64,
    /// Coefficient of `V`.
    pub v: f64,
    /// Constant part.
    pub offset: f64,
    /// Option part.
    pub option: Option<OptionPart>,
    /// Value now, for a numeraire.
    pub market_value: f64,
    /// Index of the instrument in the portfolio.
    pub instrument: u32,
}

/// Accounts times rows of the cube in compressed sparse row form.
#[derive(Clone, Debug, Default)]
pub struct Netting {
    /// Where each account's entries start, `[accounts + 1]`.
    pub starts: Vec<u32>,
    /// Row of the cube.
    pub row: Vec<u32>,
    /// Quantity.
    pub quantity: Vec<f64>,
}

/// What jumps do to one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JumpEffect {
    /// Multiplies the common jump's log size.
    pub loading: f64,
    /// Shift of the volatility level at a common jump.
    pub common_shift: f64,
    /// Shift at an own jump.
    pub own_shift: f64,
}

/// Why no job can be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JobFault {
    /// Too many jumps in one step.
    #[error(
        "{expected:.1} jumps are expected in one step of {step} but at most {MAX_JUMPS_PER_STEP} are allowed; set simulation.steps to at least {steps}"
    )]
    TooManyJumps {
        /// Expected number.
        expected: f64,
        /// Length of the step.
        step: Years,
        /// Steps that would do.
        steps: u64,
    },
    /// A stressed market in which an instrument has no value.
    #[error("{instrument}: {fault}")]
    Value {
        /// The instrument.
        instrument: String,
        /// Why.
        fault: String,
    },
}

/// What a job is made from.
#[derive(Clone, Copy, Debug)]
pub struct JobInput<'a> {
    /// The market, stressed or not.
    pub market: &'a Market,
    /// Accounts and instruments.
    pub portfolio: &'a Portfolio,
    /// Value of each instrument in this market.
    pub units: &'a [UnitValue],
    /// Horizon and confidence of each level.
    pub levels: &'a [(Years, Confidence)],
    /// Seed of the generator.
    pub seed: u64,
    /// Steps over the longest horizon.
    pub steps: u32,
    /// One step between observations where the law there is known exactly.
    pub exact_steps: bool,
    /// How smiles move.
    pub smile: SmileRule,
    /// The asset in whose coins P&L is reported.
    pub numeraire: Option<usize>,
}

/// Makes a job.
pub fn build(input: &JobInput<'_>) -> Result<Job, JobFault> {
    let JobInput { market, portfolio, units, .. } = *input;
    let mut horizons: Vec<Years> = input.levels.iter().map(|(horizon, _)| *horizon).collect();
    horizons.sort_by(|a, b| a.get().total_cmp(&b.get()));
    horizons.dedup();
    let times = observation_times(&horizons, units);
    let observations = observations(input, &times)?;
    let (curves, rows, row_of) = cube(input, &horizons, &times);
    let netting = row_of.iter().map(|row_of| net(portfolio, row_of)).collect();
    let level = |(horizon, confidence): &(Years, Confidence)| TailLevel {
        horizon: horizons.iter().position(|h| h == horizon).expect("every level's horizon was collected"),
        confidence: *confidence,
    };
    let levels = input.levels.iter().map(level).collect();
    let numeraire = input.numeraire.map(|asset| (asset, market.assets[asset].spot));
    let unit_price = numeraire.map_or(1.0, |(_, spot)| spot);
    let scale = portfolio.accounts.iter().map(|account| size(account, units) / unit_price);
    let moving = |moves: fn(&Asset) -> bool| market.assets.iter().any(moves);
    Ok(Job {
        seed: input.seed,
        assets: market.assets.len(),
        cholesky: market.correlation.cholesky(),
        mixing_group: market.assets.iter().map(|asset| asset.tail_group).collect(),
        mixing: market.tail_groups.iter().map(|group| MixingTable::new(group.degrees_of_freedom)).collect(),
        volatility_moves: moving(|asset| asset.implied_volatility.is_some_and(|d| d.volatility_annual > 0.0)),
        basis_moves: moving(|asset| asset.basis_volatility_annual > 0.0),
        jump_sources: jump_sources(market),
        jump_effects: jump_effects(market),
        observations,
        horizons,
        curves,
        rows,
        netting,
        levels,
        numeraire,
        scale: scale.collect(),
    })
}

/// Sum of the absolute notionals of an account's net holdings, in US dollars.
pub fn size(account: &Account, units: &[UnitValue]) -> f64 {
    let notional = |h: &Holding| h.quantity.abs() * units[h.instrument as usize].notional;
    account.net_holdings().iter().map(notional).sum()
}

fn observation_times(horizons: &[Years], units: &[UnitValue]) -> Vec<f64> {
    let mut times: Vec<f64> = horizons.iter().map(|horizon| horizon.get()).collect();
    for horizon in horizons {
        times.extend(units.iter().map(|unit| unit.observed_years(horizon.get())));
    }
    times.sort_by(f64::total_cmp);
    times.dedup_by(|later, earlier| *later - *earlier < SAME_TIME_YEARS);
    times
}

fn observations(input: &JobInput<'_>, times: &[f64]) -> Result<Vec<Observation>, JobFault> {
    let market = input.market;
    let last = times.last().copied().unwrap_or(0.0);
    let target = last / f64::from(input.steps);
    let is_mixed = market.assets.iter().any(|a| a.tail_group.is_some() && a.volatility_annual > 0.0);
    let exact = input.exact_steps && !is_mixed;
    let intensity = total_intensity(market);
    let mut observations = Vec::with_capacity(times.len());
    let mut before = 0.0;
    let mut first_step = 0;
    for &years in times {
        let span = years - before;
        let wanted = if exact {
            (span * intensity / MAX_JUMPS_PER_STEP).ceil()
        } else {
            (span / target - 1e-6).ceil()
        };
        let steps = wanted.max(1.0) as u32;
        let dt = span / f64::from(steps);
        let expected = intensity * dt;
        if expected > MAX_JUMPS_PER_STEP {
            let needed = (last * intensity / MAX_JUMPS_PER_STEP).ceil() as u64;
            let step = Years::new(dt).expect("observations ascend");
            return Err(JobFault::TooManyJumps { expected, step, steps: needed });
        }
        let terms = market.assets.iter().map(|asset| step_terms(market, asset, dt)).collect();
        let segment = Segment { steps, first_step, dt, terms, jump_thresholds: poisson_thresholds(expected) };
        observations.push(Observation { years, segment });
        before = years;
        first_step += steps;
    }
    Ok(observations)
}

fn total_intensity(market: &Market) -> f64 {
    let own = market.assets.iter().filter_map(|asset| asset.own_jumps);
    own.chain(market.common_jumps).map(|jumps| jumps.intensity_annual).sum()
}

/// Exact transition of the log price and the Ornstein-Uhlenbeck volatility level over `dt`.
fn step_terms(market: &Market, asset: &Asset, dt: f64) -> StepTerms {
    let growth = |jumps: Option<Jumps>, loading: f64| {
        let expected = |jumps: Jumps| {
            jumps.intensity_annual
                * jumps.size.expected_growth(loading).expect("the market was checked for it")
        };
        jumps.map_or(0.0, expected)
    };
    let compensator = growth(asset.own_jumps, 1.0) + growth(market.common_jumps, asset.common_jump_loading);
    let variance = asset.volatility_annual * asset.volatility_annual;
    let mut terms = StepTerms {
        drift: (asset.drift_annual - 0.5 * variance - compensator) * dt,
        sd: asset.volatility_annual * dt.sqrt(),
        decay: 1.0,
        level_on_spot: 0.0,
        level_alone: 0.0,
        reversion: 0.0,
        basis_sd: asset.basis_volatility_annual * dt.sqrt(),
    };
    if let Some(dynamics) = asset.implied_volatility {
        let reversion = dynamics.mean_reversion_annual * dt;
        // (1 - e^-x)/x and (1 - e^-2x)/2x tend to 1 where there is no reversion.
        let mean_decay = |x: f64| if x > 1e-12 { -(-x).exp_m1() / x } else { 1.0 };
        let sd = dynamics.volatility_annual * (dt * mean_decay(2.0 * reversion)).sqrt();
        let correlation =
            dynamics.spot_correlation * mean_decay(reversion) / mean_decay(2.0 * reversion).sqrt();
        terms.decay = (-reversion).exp();
        terms.level_on_spot = sd * correlation;
        terms.level_alone = sd * (1.0 - correlation * correlation).max(0.0).sqrt();
        terms.reversion = reversion;
    }
    terms
}

fn poisson_thresholds(expected: f64) -> Vec<u32> {
    const WORDS: f64 = 4_294_967_296.0;
    let mut thresholds = Vec::new();
    let mut probability = (-expected).exp();
    let mut cumulated = probability;
    for n in 1.. {
        let threshold = (cumulated * WORDS).round();
        if threshold >= WORDS {
            break;
        }
        thresholds.push(threshold as u32);
        probability *= expected / f64::from(n);
        if probability * WORDS < 0.25 && f64::from(n) > expected {
            break;
        }
        cumulated += probability;
    }
    thresholds
}

fn jump_sources(market: &Market) -> Vec<JumpSource> {
    let own = market.assets.iter().enumerate().filter_map(|(i, a)| a.own_jumps.map(|jumps| (Some(i), jumps)));
    let all: Vec<(Option<usize>, Jumps)> =
        market.common_jumps.map(|jumps| (None, jumps)).into_iter().chain(own).collect();
    let total = total_intensity(market);
    let mut cumulated = 0.0;
    let active = all.into_iter().filter(|(_, jumps)| jumps.intensity_annual > 0.0);
    let mut sources: Vec<JumpSource> = active
        .map(|(asset, jumps)| {
            cumulated += jumps.intensity_annual;
            JumpSource { threshold: word_threshold(cumulated / total), asset, law: jump_law(jumps.size) }
        })
        .collect();
    if let Some(last) = sources.last_mut() {
        last.threshold = u32::MAX;
    }
    sources
}

/// Words below it have this probability, to within 2^-32.
fn word_threshold(probability: f64) -> u32 {
    (probability * 4_294_967_296.0).round().min(f64::from(u32::MAX)) as u32
}

fn jump_law(size: JumpSize) -> JumpLaw {
    match size {
        JumpSize::Merton { mean, sd } => JumpLaw::Merton { mean, sd },
        JumpSize::Kou { up_probability, up_rate, down_rate } => JumpLaw::Kou {
            up_threshold: word_threshold(up_probability),
            up_mean: 1.0 / up_rate,
            down_mean: 1.0 / down_rate,
        },
    }
}

fn jump_effects(market: &Market) -> Vec<JumpEffect> {
    let effect = |asset: &Asset| JumpEffect {
        loading: asset.common_jump_loading,
        common_shift: asset.implied_volatility.map_or(0.0, |d| d.common_jump_shift),
        own_shift: asset.implied_volatility.map_or(0.0, |d| d.own_jump_shift),
    };
    market.assets.iter().map(effect).collect()
}

/// Curves, rows in their order, and where each `[horizon][instrument]` went.
fn cube(
    input: &JobInput<'_>,
    horizons: &[Years],
    times: &[f64],
) -> (Vec<Curve>, Vec<RowTerms>, Vec<Vec<u32>>) {
    struct Draft {
        observation: usize,
        point: CurvePoint,
        row: RowTerms,
        horizon: usize,
    }
    let mut drafts = Vec::with_capacity(horizons.len() * input.units.len());
    for (horizon, years) in horizons.iter().enumerate() {
        for (instrument, unit) in input.units.iter().enumerate() {
            let elapsed = unit.observed_years(years.get());
            let observation = times
                .iter()
                .position(|time| (time - elapsed).abs() < SAME_TIME_YEARS)
                .expect("every observation was collected");
            let (point, terms) = unit.at(input.market, input.smile, elapsed);
            let row = RowTerms {
                u: terms.u,
                v: terms.v,
                offset: terms.offset,
                option: terms.option,
                market_value: terms.market_value,
                instrument: instrument as u32,
            };
            drafts.push(Draft { observation, point, row, horizon });
        }
    }
    let key = |d: &Draft| {
        let p = d.point;
        (d.observation, d.horizon, p.asset, p.settlement, p.basis_years.to_bits(), p.carry.to_bits())
    };
    drafts.sort_by_key(key);
    let mut curves: Vec<Curve> = Vec::new();
    let mut row_of = vec![vec![0; input.units.len()]; horizons.len()];
    let mut before = None;
    for (index, draft) in drafts.iter().enumerate() {
        if before != Some(key(draft)) {
            before = Some(key(draft));
            let Draft { observation, horizon, point, .. } = *draft;
            curves.push(Curve { observation, horizon, point, rows: index..index });
        }
        let curve = curves.last_mut().expect("pushed above");
        curve.rows.end = index + 1;
        curve.point.volatility_factor = curve.point.volatility_factor.or(draft.point.volatility_factor);
        row_of[draft.horizon][draft.row.instrument as usize] = index as u32;
    }
    (curves, drafts.into_iter().map(|draft| draft.row).collect(), row_of)
}

fn net(portfolio: &Portfolio, row_of: &[u32]) -> Netting {
    let mut netting = Netting { starts: vec![0], ..Netting::default() };
    for account in &portfolio.accounts {
        for holding in &account.holdings {
            netting.row.push(row_of[holding.instrument as usize]);
            netting.quantity.push(holding.quantity);
        }
        netting.starts.push(netting.row.len() as u32);
    }
    netting
}

impl Job {
    /// Steps of a whole path.
    pub fn steps(&self) -> u32 {
        self.observations.iter().map(|observation| observation.segment.steps).sum()
    }

    /// Index of the observation at a horizon.
    pub fn horizon_observation(&self, horizon: usize) -> Option<usize> {
        let years = self.horizons[horizon].get();
        self.observations.iter().position(|o| (o.years - years).abs() < SAME_TIME_YEARS)
    }

    /// Number of accounts.
    pub fn accounts(&self) -> usize {
        self.scale.len()
    }

    /// Whether the other job has the same factors on every path; its rows may be others.
    pub fn simulates_like(&self, other: &Self) -> bool {
        self.seed == other.seed
            && self.assets == other.assets
            && self.cholesky == other.cholesky
            && self.mixing_group == other.mixing_group
            && self.mixing == other.mixing
            && (self.volatility_moves, self.basis_moves) == (other.volatility_moves, other.basis_moves)
            && self.jump_sources == other.jump_sources
            && self.jump_effects == other.jump_effects
            && self.observations == other.observations
            && self.horizons == other.horizons
    }

    /// The same job for some of the accounts.
    pub fn for_accounts(&self, accounts: &[usize]) -> Self {
        let mut job = Self { netting: Vec::new(), ..self.clone() };
        job.scale = accounts.iter().map(|&account| self.scale[account]).collect();
        for whole in &self.netting {
            let mut part = Netting { starts: vec![0], ..Netting::default() };
            for &account in accounts {
                let range = whole.starts[account] as usize..whole.starts[account + 1] as usize;
                part.row.extend(&whole.row[range.clone()]);
                part.quantity.extend(&whole.quantity[range]);
                part.starts.push(part.row.len() as u32);
            }
            job.netting.push(part);
        }
        job
    }

    /// The same job with each row once in an account, its quantities added.
    pub fn with_net_holdings(&self) -> Self {
        let mut job = Self { netting: Vec::new(), ..self.clone() };
        for whole in &self.netting {
            let mut net = Netting { starts: vec![0], ..Netting::default() };
            for bounds in whole.starts.windows(2) {
                let range = bounds[0] as usize..bounds[1] as usize;
                let rows = whole.row[range.clone()].iter().copied();
                for (row, quantity) in portfolio::net(rows.zip(whole.quantity[range].iter().copied())) {
                    net.row.push(row);
                    net.quantity.push(quantity);
                }
                net.starts.push(net.row.len() as u32);
            }
            job.netting.push(net);
        }
        job
    }

    /// The same job without the rows that no account holds.
    pub fn with_held_rows(&self) -> Self {
        let mut held = vec![false; self.rows.len()];
        self.netting.iter().flat_map(|netting| &netting.row).for_each(|&row| held[row as usize] = true);
        // Where each row goes: the number of held rows before it.
        let mut place = vec![0u32; held.len() + 1];
        for (row, &held) in held.iter().enumerate() {
            place[row + 1] = place[row] + u32::from(held);
        }
        let mut job = self.clone();
        let mut kept = held.iter();
        job.rows.retain(|_| *kept.next().expect("one for each row"));
        for curve in &mut job.curves {
            curve.rows = place[curve.rows.start] as usize..place[curve.rows.end] as usize;
        }
        job.curves.retain(|curve| !curve.rows.is_empty());
        for netting in &mut job.netting {
            netting.row.iter_mut().for_each(|row| *row = place[*row as usize]);
        }
        job
    }
}
