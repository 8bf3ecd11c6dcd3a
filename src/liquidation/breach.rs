//! Accounts along simulated paths: breaches inside the horizon, and losses beyond collateral.

use serde::Serialize;

use super::curve::{CurveError, Curves, Place};
use super::{Options, closing_cost};
use crate::engine::cpu::CpuEngine;
use crate::engine::{BLOCK, Cube, FACTORS, Job};
use crate::risk::{self, FEW_TAIL_PATHS};
use crate::run::{self, AccountCase, AnalysisFault};
use crate::scenario::{Precision, Scenario};
use crate::units::{Confidence, Years};

/// Losses held at a time: 64 MB.
const MAX_LOSSES: usize = 1 << 24;
/// Confidence of the insurance fund.
const FUND_CONFIDENCE: f64 = 0.999;
/// Standard error that is asked of it, as a part of it.
const FUND_ERROR: f64 = 0.1;
/// Joint moves at which margins along paths are checked.
const CHECKED_MOVES: usize = 8;

/// What may happen to an account within the horizon of the maintenance margin. Money.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Breach {
    /// Probability that equity falls below the maintenance margin at one of the recalculations.
    pub probability: f64,
    /// Its standard error.
    pub probability_error: f64,
    /// The same at the end of the horizon alone: what looking only there would say.
    pub probability_at_end: f64,
    /// Losses beyond collateral by the time between recalculations, the shortest first; the last
    /// looks at the end of the horizon alone: `E[(L - equity)+]`.
    pub delays: Vec<Delayed>,
}

/// Losses beyond collateral where accounts are looked at every so often.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Delayed {
    /// Days between recalculations.
    pub days: f64,
    /// Expected loss beyond collateral when the account is closed at the recalculation that finds
    /// it in breach.
    pub loss_beyond_collateral: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// What the insurance fund has to bear.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fund {
    /// 0.999.
    pub confidence: f64,
    /// Paths in the tail of its confidence.
    pub tail_paths: f64,
    /// Whether they are enough for a figure: ten at least.
    pub is_sampled_enough: bool,
    /// Paths for a standard error of a tenth of the sum of all accounts, and ten in the tail; none where
    /// no path loses anything.
    pub paths_needed: Option<u64>,
    /// With the shortest time between recalculations.
    pub recalculated: FundSize,
    /// With one look at the end of the horizon.
    pub at_end: FundSize,
}

/// Expected Shortfalls of losses beyond collateral on each path, with their standard errors. Money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FundSize {
    /// Of the account that loses most.
    pub cover_1: f64,
    /// Its standard error.
    pub cover_1_error: f64,
    /// Of the two accounts that lose most.
    pub cover_2: f64,
    /// Its standard error.
    pub cover_2_error: f64,
    /// Of all accounts together.
    pub all: f64,
    /// Its standard error.
    pub all_error: f64,
}

/// What simulated paths say of all accounts.
pub struct PathRisk {
    /// By account.
    pub breaches: Vec<Breach>,
    /// All of them together.
    pub fund: Fund,
    /// Error of margins along paths.
    pub curve_error: CurveError,
}

impl Fund {
    /// # Formula
    /// An error goes with one over the root of the paths: `n (SE / (0.1 ES))^2` of them make it a tenth.
    fn new(paths: u64, recalculated: FundSize, at_end: FundSize) -> Self {
        let least = FEW_TAIL_PATHS / (1.0 - FUND_CONFIDENCE);
        let needed = |size: &FundSize| {
            let errors = size.all_error / (FUND_ERROR * size.all);
            (size.all > 0.0).then(|| (paths as f64 * errors * errors).max(least))
        };
        let needed = needed(&recalculated).into_iter().chain(needed(&at_end)).reduce(f64::max);
        let tail_paths = paths as f64 * (1.0 - FUND_CONFIDENCE);
        Self {
            confidence: FUND_CONFIDENCE,
            tail_paths,
            // Ten tail paths are 10,000 to rounding.
            is_sampled_enough: tail_paths >= FEW_TAIL_PATHS * (1.0 - 1e-9),
            paths_needed: needed.map(|paths| (paths * (1.0 - 1e-9)).ceil() as u64),
            recalculated,
            at_end,
        }
    }
}

/// Simulates all accounts and looks at them at every recalculation.
pub(super) fn simulate(
    scenario: &Scenario,
    base: &[AccountCase],
    curves: &Curves,
    options: &Options,
) -> Result<PathRisk, AnalysisFault> {
    let checks = options.checks as usize;
    let job = job(scenario, options.checks)?;
    let engine = CpuEngine::new(Precision::F32);
    let mut sums = vec![Sums::new(checks); base.len()];
    let mut fund = [Totals::default(), Totals::default()];
    let mut joint: Vec<(f64, Vec<f64>)> = Vec::new();
    let chunk = (MAX_LOSSES / (base.len().max(1) * checks) / BLOCK * BLOCK).max(BLOCK) as u64;
    let mut start = 0;
    while start < options.paths {
        let end = (start + chunk).min(options.paths);
        let count = (end - start) as usize;
        let cube = engine.cube_f32(&job, start..end);
        let losses: Vec<Vec<Vec<f32>>> = (0..checks)
            .map(|check| engine.losses_f32(&job, &cube, check, |_, losses| losses[..count].to_vec()))
            .collect();
        let returns = returns(&job, &cube, curves, count);
        keep_large(&mut joint, &returns);
        let mut lost = [Worst::of(count), Worst::of(count)];
        for (account, (case, sums)) in base.iter().zip(&mut sums).enumerate() {
            let walk = Walk { scenario, case, account, curves };
            for path in 0..count {
                let along =
                    (0..checks).map(|check| (f64::from(losses[check][account][path]), &returns[path][check]));
                let beyond = sums.add(&walk.look(along));
                lost[0].add(path, beyond[0]);
                lost[1].add(path, beyond[1]);
            }
        }
        fund.iter_mut().zip(lost).for_each(|(total, lost)| total.extend(lost));
        start = end;
    }
    let years = scenario.margin.maintenance.horizon.get();
    let joint: Vec<Vec<f64>> = joint.into_iter().map(|(_, x)| x).collect();
    let [recalculated, at_end] = fund.map(Totals::size);
    Ok(PathRisk {
        breaches: sums.iter().map(|sums| sums.breach(options.paths, years)).collect(),
        fund: Fund::new(options.paths, recalculated, at_end),
        curve_error: curves.error(scenario, &joint, options.paths)?,
    })
}

/// A job with a horizon for each recalculation.
fn job(scenario: &Scenario, checks: u32) -> Result<Job, AnalysisFault> {
    let level = scenario.margin.maintenance;
    let at = |check: u32| {
        let years = level.horizon.get() * f64::from(check) / f64::from(checks);
        (Years::new(years).expect("part of a horizon"), level.confidence)
    };
    let levels: Vec<_> = (1..=checks).map(at).collect();
    run::job_at(scenario, &levels).map_err(AnalysisFault::Data)
}

/// Log returns by asset, with where they lie on the curves.
struct Returns {
    log: Vec<f64>,
    places: Vec<Place>,
}

/// `[path][check]`.
fn returns(job: &Job, cube: &Cube<f32>, curves: &Curves, count: usize) -> Vec<Vec<Returns>> {
    let observation = |horizon: &Years| {
        let found = job.observations.iter().position(|o| (o.years - horizon.get()).abs() < 1e-9);
        found.expect("every horizon is observed")
    };
    let observations: Vec<usize> = job.horizons.iter().map(observation).collect();
    let of = |path: usize, observation: usize| {
        let log = |asset: usize| {
            let start = (observation * job.assets + asset) * FACTORS * BLOCK;
            f64::from(cube.factors[path / BLOCK][start + path % BLOCK])
        };
        let log: Vec<f64> = (0..job.assets).map(log).collect();
        let places = log.iter().map(|x| curves.place(*x)).collect();
        Returns { log, places }
    };
    (0..count).map(|path| observations.iter().map(|&o| of(path, o)).collect()).collect()
}

/// Keeps the joint moves of the largest size half-way through the horizon.
fn keep_large(kept: &mut Vec<(f64, Vec<f64>)>, returns: &[Vec<Returns>]) {
    for path in returns {
        let half = &path[(path.len() - 1) / 2].log;
        kept.push((half.iter().map(|x| x.abs()).sum(), half.clone()));
        if kept.len() >= 2 * CHECKED_MOVES {
            kept.sort_by(|a, b| b.0.total_cmp(&a.0));
            kept.truncate(CHECKED_MOVES);
        }
    }
}

/// One account along paths.
struct Walk<'a> {
    scenario: &'a Scenario,
    case: &'a AccountCase,
    account: usize,
    curves: &'a Curves,
}

/// What one recalculation sees.
#[derive(Clone, Copy)]
struct Look {
    is_breached: bool,
    /// Loss beyond collateral if the account is closed now.
    beyond: f64,
}

impl Walk<'_> {
    fn look<'a>(&self, along: impl Iterator<Item = (f64, &'a Returns)>) -> Vec<Look> {
        let balances = &self.scenario.portfolio.accounts[self.account].balances;
        let market = &self.scenario.market;
        // In the reporting currency as it is on the path.
        let haircut = |asset: usize, amount: f64, log: &[f64]| {
            let price = |asset: usize| market.assets[asset].spot * log[asset].exp();
            let currency = self.scenario.reporting_asset.map_or(1.0, price);
            self.scenario.margin.haircuts[asset] * (amount * price(asset)).max(0.0) / currency
        };
        let cost = closing_cost(self.case);
        let one = |(loss, returns): (f64, &Returns)| {
            let value = self.case.value.market_value - loss;
            let haircuts: f64 = balances.iter().map(|&(a, amount)| haircut(a, amount, &returns.log)).sum();
            let margin = self.curves.margin(self.account, &returns.places);
            Look { is_breached: !(value - haircuts >= margin), beyond: (cost - value).max(0.0) }
        };
        along.map(one).collect()
    }
}

/// Sums over paths of one account.
#[derive(Clone)]
struct Sums {
    /// Looks between recalculations: 1, 2, 4 and so on, up to all of them.
    strides: Vec<usize>,
    breached: u64,
    breached_at_end: u64,
    loss: Vec<f64>,
    square: Vec<f64>,
}

impl Sums {
    fn new(checks: usize) -> Self {
        let mut strides: Vec<usize> =
            std::iter::successors(Some(1), |stride| Some(2 * stride)).take_while(|s| *s < checks).collect();
        strides.push(checks);
        let zero = vec![0.0; strides.len()];
        Self { strides, breached: 0, breached_at_end: 0, loss: zero.clone(), square: zero }
    }

    /// Adds a path; the losses beyond collateral at the shortest and the longest stride.
    fn add(&mut self, looks: &[Look]) -> [f64; 2] {
        self.breached += u64::from(looks.iter().any(|look| look.is_breached));
        self.breached_at_end += u64::from(looks.last().is_some_and(|look| look.is_breached));
        let mut ends = [0.0; 2];
        for (index, &stride) in self.strides.iter().enumerate() {
            // The last look is at the end of the horizon whatever the stride.
            let seen =
                looks.iter().enumerate().filter(|(at, _)| (at + 1) % stride == 0 || at + 1 == looks.len());
            let found = seen.map(|(_, look)| look).find(|look| look.is_breached);
            let beyond = found.map_or(0.0, |look| look.beyond);
            self.loss[index] += beyond;
            self.square[index] += beyond * beyond;
            if index == 0 {
                ends[0] = beyond;
            }
            ends[1] = beyond;
        }
        ends
    }

    fn breach(&self, paths: u64, horizon_years: f64) -> Breach {
        let n = paths as f64;
        let probability = self.breached as f64 / n;
        let checks = self.strides.last().copied().unwrap_or(1) as f64;
        let delay = |(index, stride): (usize, &usize)| {
            let mean = self.loss[index] / n;
            let variance = (self.square[index] / n - mean * mean).max(0.0);
            Delayed {
                days: *stride as f64 / checks * horizon_years * crate::units::DAYS_PER_YEAR,
                loss_beyond_collateral: mean,
                standard_error: (variance / n).sqrt(),
            }
        };
        Breach {
            probability,
            probability_error: (probability * (1.0 - probability) / n).sqrt(),
            probability_at_end: self.breached_at_end as f64 / n,
            delays: self.strides.iter().enumerate().map(delay).collect(),
        }
    }
}

/// The largest losses of each path over accounts, and their sum.
struct Worst {
    first: Vec<f64>,
    second: Vec<f64>,
    all: Vec<f64>,
}

impl Worst {
    fn of(paths: usize) -> Self {
        let zero = vec![0.0; paths];
        Self { first: zero.clone(), second: zero.clone(), all: zero }
    }

    fn add(&mut self, path: usize, loss: f64) {
        self.all[path] += loss;
        if loss > self.first[path] {
            self.second[path] = self.first[path];
            self.first[path] = loss;
        } else {
            self.second[path] = self.second[path].max(loss);
        }
    }
}

/// The same over all paths.
#[derive(Default)]
struct Totals {
    cover_1: Vec<f64>,
    cover_2: Vec<f64>,
    all: Vec<f64>,
}

impl Totals {
    fn extend(&mut self, worst: Worst) {
        self.cover_2.extend(worst.first.iter().zip(&worst.second).map(|(a, b)| a + b));
        self.cover_1.extend(worst.first);
        self.all.extend(worst.all);
    }

    fn size(mut self) -> FundSize {
        let confidence = Confidence::new(FUND_CONFIDENCE).expect("a confidence");
        let tail = |losses: &mut Vec<f64>| {
            let tail = risk::exact(losses, confidence);
            (tail.expected_shortfall, tail.expected_shortfall_error)
        };
        let (cover_1, cover_1_error) = tail(&mut self.cover_1);
        let (cover_2, cover_2_error) = tail(&mut self.cover_2);
        let (all, all_error) = tail(&mut self.all);
        FundSize { cover_1, cover_1_error, cover_2, cover_2_error, all, all_error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(is_breached: bool, beyond: f64) -> Look {
        Look { is_breached, beyond }
    }

    #[test]
    fn the_first_breach_that_is_seen_closes_the_account() {
        let mut sums = Sums::new(4);
        assert_eq!(sums.strides, [1, 2, 4]);
        // In breach at the first look, better at the second, broke at the last.
        let path = [look(true, 0.0), look(false, 0.0), look(false, 0.0), look(true, 80.0)];
        assert_eq!(sums.add(&path), [0.0, 80.0]);
        let path = [look(false, 0.0), look(false, 0.0), look(true, 10.0), look(true, 30.0)];
        assert_eq!(sums.add(&path), [10.0, 30.0]);
        let recovered = [look(true, 5.0), look(true, 1.0), look(false, 0.0), look(false, 0.0)];
        assert_eq!(sums.add(&recovered), [5.0, 0.0]);
        let breach = sums.breach(4, 1.0 / 365.0);
        assert_eq!((breach.probability, breach.probability_at_end), (0.75, 0.5));
        let losses: Vec<f64> = breach.delays.iter().map(|delay| delay.loss_beyond_collateral).collect();
        assert_eq!(losses, [15.0 / 4.0, 111.0 / 4.0, 110.0 / 4.0]);
        assert!((breach.delays[2].days - 1.0).abs() < 1e-12 && (breach.delays[0].days - 0.25).abs() < 1e-12);
    }

    #[test]
    fn covers_are_the_largest_of_each_path() {
        let mut worst = Worst::of(2);
        for (path, loss) in [(0, 3.0), (0, 7.0), (0, 5.0), (1, 0.0)] {
            worst.add(path, loss);
        }
        assert_eq!((worst.first, worst.second, worst.all), (vec![7.0, 0.0], vec![5.0, 0.0], vec![15.0, 0.0]));
    }
}
