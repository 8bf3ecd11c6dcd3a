//! From price histories, and an option chain if there is one, to a market that `run` takes.
//!
//! For each asset: volatility by EWMA, GARCH and GJR-GARCH, then the law of the return in units of it
//! (normal, Student-t, Merton, Kou), each by maximum likelihood, the lowest BIC chosen. Days on which
//! half of the assets move by more than three deviations are common jumps and enter neither the laws
//! nor the correlation. Nothing after the market's instant enters an estimate.

mod asset;
pub mod carry;
pub mod chain;
pub mod chain_model;
pub mod draws;
pub mod ewma;
pub mod garch;
pub mod goodness;
pub mod har;
pub mod history;
pub mod joint;
pub mod jump_test;
pub mod laws;
mod least_squares;
pub mod level;
pub mod market_file;
mod optimise;
pub mod report;
pub mod volatility;

pub use asset::AssetFit;
pub use optimise::Parameter;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;
use serde::Serialize;

use self::asset::Filtered;
use self::carry::{BasisFit, FundingFit};
use self::chain::Chain;
use self::chain_model::ChainFit;
use self::history::{History, Notes};
use self::joint::{CommonJumps, Dependence};
use self::laws::{Kind, Law, Sample};
use self::level::LevelFit;
use self::volatility::Choice;
use crate::fault::{Fault, Faults};
use crate::market::Market;

/// Fewer returns than that are used with a warning.
const FEW_RETURNS: usize = 250;

/// How to calibrate.
#[derive(Clone, Debug)]
pub struct Options {
    /// The market's instant; the end of the last bar without it. Later prices are left out.
    pub as_of: Option<Timestamp>,
    /// Models of volatility to choose from.
    pub volatility: Choice,
    /// Decay of EWMA per step, in (0, 1).
    pub decay: f64,
    /// Weight of a day in the correlation relative to the day after it, in (0, 1].
    pub correlation_decay: f64,
    /// Table of option quotes.
    pub chain: Option<PathBuf>,
    /// Table of implied levels.
    pub levels: Option<PathBuf>,
    /// Table of forwards over time.
    pub basis: Option<PathBuf>,
    /// Table of funding rates.
    pub funding: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let decay = ewma::DECAY;
        Self {
            as_of: None,
            volatility: Choice::Auto,
            decay,
            correlation_decay: 0.99,
            chain: None,
            levels: None,
            basis: None,
            funding: None,
        }
    }
}

/// Everything that was estimated.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// The market's instant.
    pub as_of: Timestamp,
    /// Steps of the history in a year: 365, about 252 for an exchange's days, 8760 for hours of every day.
    pub steps_per_year: f64,
    /// Seconds of a step.
    pub step_seconds: i64,
    /// Assets in the order of the files.
    pub assets: Vec<AssetFit>,
    /// Jumps of all assets together.
    pub common_jumps: Option<CommonJumps>,
    /// Degrees of freedom of all assets whose law is a Student-t, together.
    pub tail_degrees_of_freedom: Option<Parameter>,
    /// Correlations of the diffusion, row by row.
    pub correlation: Vec<Vec<f64>>,
    /// How far they were drawn to their mean, in [0, 1].
    pub correlation_shrinkage: f64,
    /// How the level of implied volatility moves.
    pub levels: Vec<LevelFit>,
    /// How the basis of futures moves.
    pub basis: Vec<BasisFit>,
    /// What perpetuals' longs pay.
    pub funding: Vec<FundingFit>,
    /// Models of the whole chain beside the market's surfaces; see [`Calibration::fit_chain`].
    pub chain_models: Vec<ChainFit>,
    /// What the input was put right by, and what it lacks.
    pub notes: Vec<String>,
    /// What deserves a look before the market is used.
    pub warnings: Vec<String>,
    /// Forwards and quotes.
    #[serde(skip)]
    pub chain: Chain,
}

/// Calibrates to a history. `monitor` hears what is being done.
pub fn calibrate(
    history: &History,
    options: &Options,
    monitor: &mut dyn FnMut(&str),
) -> Result<Calibration, Faults> {
    let as_of = options.as_of.unwrap_or_else(|| history.end());
    let history = history.until(as_of);
    let beside = Beside::read(options, as_of)?;
    let mut filtered = Vec::new();
    let mut faults = Faults::default();
    monitor("volatility");
    let filter = |index| Filtered::new(&history, index, options.volatility, options.decay);
    let all: Vec<Option<Filtered>> = (0..history.assets.len()).into_par_iter().map(filter).collect();
    for (name, fit) in history.assets.iter().zip(all) {
        match fit {
            Some(fit) => filtered.push(fit),
            None => faults.push(short(name)),
        }
    }
    if !faults.is_empty() || filtered.is_empty() {
        return Err(faults);
    }
    let scores: Vec<Vec<f64>> = filtered.iter().map(Filtered::scores).collect();
    let returns: Vec<Vec<f64>> = filtered.iter().map(|fit| fit.returns.clone()).collect();
    let times = joint::common_times(&scores);
    let seen = returns[0].iter().filter(|r| r.is_finite()).count() as f64;
    let common_jumps = joint::common_jumps(&returns, &times, seen / history.steps_per_year());
    let common: &[usize] = if common_jumps.is_some() { &times } else { &[] };
    let dependence = joint::dependence(&scores, common, options.correlation_decay);
    monitor("jumps and tails");
    let spot = |index: usize| {
        let quoted = beside.chain.spots.get(&history.assets[index]).copied();
        quoted.or_else(|| history.last_price(index)).unwrap_or(f64::NAN)
    };
    let fit = |(index, fit): (usize, Filtered)| fit.fit(&history.assets[index], spot(index), common);
    let fits: Vec<Option<AssetFit>> = filtered.into_par_iter().enumerate().map(fit).collect();
    history
        .assets
        .iter()
        .zip(&fits)
        .filter(|(_, fit)| fit.is_none())
        .for_each(|(name, _)| faults.push(short(name)));
    let assets: Vec<AssetFit> = fits.into_iter().flatten().collect();
    faults.into_result(Some(()))?;
    let n = assets.len();
    let entry = |i, j| dependence.as_ref().map_or(f64::from(u8::from(i == j)), |d| d.correlation.get(i, j));
    let mut calibration = Calibration {
        as_of,
        steps_per_year: history.steps_per_year(),
        step_seconds: history.step_seconds,
        tail_degrees_of_freedom: pooled_tail(&assets, &returns, &scores, common),
        assets,
        common_jumps,
        correlation: (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect(),
        correlation_shrinkage: dependence.as_ref().map_or(0.0, |d| d.shrinkage),
        levels: beside.levels,
        basis: beside.basis,
        funding: beside.funding,
        chain_models: Vec::new(),
        notes: history.notes.0.iter().cloned().chain(beside.notes.0).chain(of_hours(&history)).collect(),
        warnings: Vec::new(),
        chain: beside.chain,
    };
    calibration.warn(dependence.as_ref());
    Ok(calibration)
}

/// What a market of an hourly history is good for.
fn of_hours(history: &History) -> Option<String> {
    (history.step_seconds < 86_400).then(|| {
        "a step is an hour: simulate a day in 24 steps; the volatility is the next hour's, held over the whole horizon"
            .to_owned()
    })
}

/// What is read beside the histories of prices.
struct Beside {
    chain: Chain,
    levels: Vec<LevelFit>,
    basis: Vec<BasisFit>,
    funding: Vec<FundingFit>,
    notes: Notes,
}

impl Beside {
    /// The faults of all tables together.
    fn read(options: &Options, as_of: Timestamp) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut notes = Notes::default();
        let chain = options.chain.as_ref().map(|path| chain::read(path, as_of));
        let chain = chain.unwrap_or_else(|| Ok(Chain::default())).map_err(|found| faults.append(found)).ok();
        let levels = options.levels.as_ref().map_or(Ok(Vec::new()), |path| level::read(path, as_of));
        let levels = levels.map_err(|found| faults.append(found)).ok();
        let basis = options.basis.as_ref();
        let basis = basis.map_or(Ok(Vec::new()), |path| carry::read_basis(path, as_of, &mut notes));
        let basis = basis.map_err(|found| faults.append(found)).ok();
        let funding = options.funding.as_ref();
        let funding = funding.map_or(Ok(Vec::new()), |path| carry::read_funding(path, as_of, &mut notes));
        let funding = funding.map_err(|found| faults.append(found)).ok();
        let all = chain.zip(levels).zip(basis.zip(funding));
        let ((chain, levels), (basis, funding)) = faults.into_result(all)?;
        Ok(Self { chain, levels, basis, funding, notes })
    }
}

fn short(name: &str) -> Fault {
    let found = "fewer than 30 returns up to the market's instant, or none that moves";
    Fault::of_file(name, found, "a longer history, or a later --as-of")
}

/// Assets whose law is a Student-t share one mixing variable, so one number of degrees of freedom.
fn pooled_tail(
    assets: &[AssetFit],
    returns: &[Vec<f64>],
    scores: &[Vec<f64>],
    common: &[usize],
) -> Option<Parameter> {
    let mut pooled = Vec::new();
    for (index, asset) in assets.iter().enumerate() {
        let law = asset.laws.first()?;
        if matches!(law.law, Law::Student { .. }) {
            let is_used = |t: &usize| returns[index][*t].is_finite() && common.binary_search(t).is_err();
            pooled.extend(
                (0..returns[index].len()).filter(is_used).map(|t| (scores[index][t] - law.drift) / law.scale),
            );
        }
    }
    let ones = vec![1.0; pooled.len()];
    let fit = Kind::Student.fit(Sample { returns: &pooled, deviations: &ones })?;
    fit.parameters.into_iter().find(|parameter| parameter.name == "nu")
}

impl Calibration {
    fn warn(&mut self, dependence: Option<&Dependence>) {
        let mut warnings = Vec::new();
        for fit in &self.assets {
            let name = &fit.asset;
            if fit.returns < FEW_RETURNS {
                warnings.push(format!("{name}: {} returns are few for jumps and tails", fit.returns));
            }
            if !fit.goodness.fits {
                let statistic = fit.goodness.anderson_darling;
                warnings.push(format!(
                    "{name}: no law fits well; the best has A^2 = {statistic:.2}, above {}",
                    goodness::CRITICAL
                ));
            }
            for (what, has_converged) in [
                ("volatility", fit.volatility.first().is_none_or(|v| v.has_converged)),
                ("law", fit.laws.first().is_none_or(|law| law.has_converged)),
            ] {
                if !has_converged {
                    warnings.push(format!("{name}: the search for its {what} did not settle"));
                }
            }
        }
        match dependence {
            _ if self.assets.len() == 1 => {}
            None => warnings.push(format!(
                "fewer than 30 {} on which all assets have a return: no correlation",
                self.steps()
            )),
            Some(dependence) if dependence.is_repaired => {
                warnings.push("the correlation was repaired to be positive semidefinite".to_owned());
            }
            Some(_) => {}
        }
        if self.assets.len() > 1 && self.common_jumps.is_none() {
            warnings.push("fewer than four common jumps: none in the market".to_owned());
        }
        let unknown = |name: &String| !self.assets.iter().any(|fit| fit.asset == *name);
        let chained = self
            .chain
            .forwards
            .keys()
            .map(|(name, _)| name)
            .chain(self.levels.iter().map(|level| &level.asset))
            .chain(self.basis.iter().map(|basis| &basis.asset))
            .chain(self.funding.iter().map(|funding| &funding.asset));
        let mut unknown: Vec<&String> = chained.filter(|name| unknown(name)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        for name in unknown {
            warnings.push(format!(
                "{name}: options, levels, basis or funding without a price history are left out"
            ));
        }
        self.warnings = warnings;
    }

    /// Fits Heston, Bates and Merton to the chain, and judges them beside the surfaces of the market
    /// that was written from it. They are reported; the market does not take them. `monitor` hears what
    /// is being done.
    pub fn fit_chain(&mut self, market: &Market, monitor: &mut dyn FnMut(&str)) {
        self.chain_models = chain_model::fit_all(&self.chain, market, monitor);
        for fit in &self.chain_models {
            for model in fit.models.iter().filter(|model| !model.at_bounds.is_empty()) {
                let (asset, name, bounds) = (&fit.asset, model.name, model.at_bounds.join(", "));
                self.warnings.push(format!("{asset}: {name}'s {bounds} ended at the bound of the search"));
            }
            for model in fit.models.iter().filter(|model| !model.has_converged) {
                self.warnings.push(format!("{}: the search for {} did not settle", fit.asset, model.name));
            }
        }
    }

    /// What the steps of the history are: `days` or `hours`.
    pub fn steps(&self) -> &'static str {
        if self.step_seconds == 86_400 { "days" } else { "hours" }
    }

    /// Jump intensities a year from those of a step.
    pub fn annual(&self, per_step: f64) -> f64 {
        per_step * self.steps_per_year
    }
}

impl History {
    /// The end of the last bar.
    fn end(&self) -> Timestamp {
        self.times[self.times.len() - 1] + SignedDuration::from_secs(self.step_seconds)
    }

    /// The bars that end at or before an instant.
    fn until(&self, instant: Timestamp) -> Self {
        let bar = SignedDuration::from_secs(self.step_seconds);
        let count = self.times.partition_point(|time| *time + bar <= instant);
        let prices = self.prices.iter().map(|prices| prices[..count].to_vec()).collect();
        Self { times: self.times[..count].to_vec(), prices, ..self.clone() }
    }

    fn last_price(&self, asset: usize) -> Option<f64> {
        self.prices[asset].iter().rev().copied().find(|price| price.is_finite())
    }
}
