//! Forecasters of the next step's variance, as plug-ins: each is fitted to a window of the past and asked
//! for the step after it.

mod boosted;
mod plug_ins;
mod winner;

use rayon::prelude::*;
use serde::Serialize;

use self::boosted::Boosted;
use self::plug_ins::{Ewma, GarchVariance, HarVariance};
use super::model::{self, Filter, Model};
use super::past::Past;
use crate::calibrate::har::REACH;
use crate::calibrate::history::day;
use crate::margin::procyclicality::{Day, Tools};

pub use self::winner::{LEAST_JUDGED, SIGNIFICANCE, best_variances, winner_now};

/// Years of the past whose deviation is the floor, as in EMIR RTS 153/2013, article 28(1)(c).
const FLOOR_YEARS: f64 = 10.0;

/// Shortest lookback of a forecaster: the autoregression's hundred steps and its reach.
pub const LEAST_LOOKBACK: usize = 100 + REACH;

/// What a forecast may read: the last `lookback` steps.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Log returns, finite.
    pub returns: &'a [f64],
    /// Size of each step: the root of its variance measured within the step. None where there is no measure.
    pub sizes: Option<&'a [f64]>,
    /// EWMA variance known before each step of the window, and before the one after it.
    pub ewma: &'a [f64],
}

/// A forecaster. The same windows in the same order give the same bits.
pub trait VarianceForecast {
    /// Fits to a window; what was there before stays where that fails.
    fn fit(&mut self, window: &Window<'_>);

    /// Variance of the return of the step after the window; `None` before a fit.
    fn next_variance(&self, window: &Window<'_>) -> Option<f64>;
}

/// The forecasters that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forecaster {
    /// EWMA with the backtest's decay: the champion.
    Ewma,
    /// GARCH(1,1) with Student-t innovations.
    GarchT,
    /// GJR-GARCH(1,1) with Student-t innovations.
    GjrT,
    /// The heterogeneous autoregression on absolute returns.
    Har,
    /// The same on volatility measured within a step.
    HarRealised,
    /// Gradient-boosted trees.
    Boosted,
    /// The mean of the variances of all others.
    Mean,
}

impl Forecaster {
    /// All of them, the champion first.
    pub const ALL: [Self; 7] =
        [Self::Ewma, Self::GarchT, Self::GjrT, Self::Har, Self::HarRealised, Self::Boosted, Self::Mean];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ewma => "ewma",
            Self::GarchT => "garch-t",
            Self::GjrT => "gjr-t",
            Self::Har => "har",
            Self::HarRealised => "har-realised",
            Self::Boosted => "boosted",
            Self::Mean => "mean",
        }
    }

    /// A new one; none for the mean, which is made of the others.
    pub fn plug_in(self) -> Option<Box<dyn VarianceForecast>> {
        Some(match self {
            Self::Ewma => Box::new(Ewma),
            Self::GarchT => Box::new(GarchVariance::new(false)),
            Self::GjrT => Box::new(GarchVariance::new(true)),
            Self::Har => Box::new(HarVariance::on_returns()),
            Self::HarRealised => Box::new(HarVariance::on_sizes()),
            Self::Boosted => Box::new(Boosted::default()),
            Self::Mean => return None,
        })
    }
}

/// By what a margin forecasts volatility.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The forecaster; none for whichever has won so far, asset by asset.
    pub forecaster: Option<Forecaster>,
    /// Forecast deviations are not below this part of the deviation of the ten years before; not used for
    /// EWMA.
    pub floor: f64,
}

impl Default for Choice {
    fn default() -> Self {
        Self { forecaster: Some(Forecaster::Ewma), floor: 1.0 }
    }
}

/// One asset's steps that have a return, and how to walk through them.
#[derive(Clone, Debug)]
pub struct Series {
    /// Times of the history.
    pub times: Vec<usize>,
    /// Log returns, finite.
    pub returns: Vec<f64>,
    /// Sizes of the steps, where all but a tenth are known.
    pub sizes: Option<Vec<f64>>,
    /// EWMA variance known before each step, and before the one after the last; no number for the first few.
    pub ewma: Vec<f64>,
    lookback: usize,
    refit: usize,
}

impl Series {
    /// The series of an asset; `None` with fewer than a lookback and 30 returns, or a lookback too short for
    /// the forecasters.
    pub fn new(past: &Past<'_>, asset: usize) -> Option<Self> {
        let backtest = past.backtest;
        let returns = &past.returns[asset];
        let times: Vec<usize> = (0..returns.len()).filter(|t| returns[*t].is_finite()).collect();
        let dense: Vec<f64> = times.iter().map(|t| returns[*t]).collect();
        let deviations = model::ewma_deviations(&dense, backtest.decay);
        let ewma: Vec<f64> = deviations.iter().map(|d| d * d).collect();
        let sizes = backtest.variances.as_ref().and_then(|all| sizes(&all[asset], &times, &ewma));
        let is_enough = dense.len() > backtest.lookback + 30 && backtest.lookback >= LEAST_LOOKBACK;
        let (lookback, refit) = (backtest.lookback, backtest.refit);
        is_enough.then_some(Self { times, returns: dense, sizes, ewma, lookback, refit })
    }

    /// The first step that has a forecast, by its place in `returns`.
    pub fn first(&self) -> usize {
        self.lookback
    }

    /// The window before step `t` of `returns`.
    fn window(&self, t: usize) -> Window<'_> {
        let start = t - self.lookback;
        Window {
            returns: &self.returns[start..t],
            sizes: self.sizes.as_ref().map(|sizes| &sizes[start..t]),
            ewma: &self.ewma[start..=t],
        }
    }

    /// Forecasts of the plug-ins that can make one, walking forward from the first step to the one after the
    /// last, with the name of each: EWMA first, the mean last.
    pub fn forecasts(&self) -> Vec<(Forecaster, Vec<f64>)> {
        let walk = |forecaster: &Forecaster| {
            let variances = self.walk(&mut *forecaster.plug_in()?);
            variances.iter().all(|v| *v > 0.0 && v.is_finite()).then_some((*forecaster, variances))
        };
        let mut all: Vec<(Forecaster, Vec<f64>)> = Forecaster::ALL.par_iter().filter_map(walk).collect();
        let mean = |t: usize| all.iter().map(|(_, v)| v[t]).sum::<f64>() / all.len() as f64;
        let mean: Vec<f64> = (0..=self.returns.len() - self.lookback).map(mean).collect();
        all.push((Forecaster::Mean, mean));
        all
    }

    fn walk(&self, plug_in: &mut dyn VarianceForecast) -> Vec<f64> {
        let step = |t: usize| {
            let window = self.window(t);
            if (t - self.lookback).is_multiple_of(self.refit) {
                plug_in.fit(&window);
            }
            plug_in.next_variance(&window).unwrap_or(f64::NAN)
        };
        (self.lookback..=self.returns.len()).map(step).collect()
    }
}

/// Roots of the variances at some times. A missing one is taken from the EWMA; with more than a tenth of them
/// missing there are none.
fn sizes(variances: &[f64], times: &[usize], ewma: &[f64]) -> Option<Vec<f64>> {
    let missing = times.iter().filter(|t| !variances[**t].is_finite()).count();
    let size = |(k, t): (usize, &usize)| {
        let variance = variances[*t];
        // The EWMA known before the step is of the past, and so is this.
        if variance.is_finite() { variance.sqrt() } else { ewma[k].sqrt() }
    };
    (10 * missing <= times.len()).then(|| times.iter().enumerate().map(size).collect())
}

/// Filters of all assets for a model, with the deviations of the forecaster chosen, where it has them. Fitted
/// are those of assets that the model looks at: a law of linear books looks at their own P&L, and at assets
/// for options only.
pub fn filters<'a>(past: &'a Past<'_>, model: Model) -> Vec<Filter<'a>> {
    let backtest = past.backtest;
    let (lookback, refit, decay) = (backtest.lookback, backtest.refit, backtest.decay);
    let choice = backtest.volatility;
    let is_law = matches!(model, Model::EwmaT | Model::EwmaNormal);
    let is_looked_at = |asset: usize| {
        let mut books = backtest.books.iter().filter(|book| !is_law || !book.options.is_empty());
        books.any(|book| book.assets().binary_search(&asset).is_ok())
    };
    let of_asset = |(asset, returns): (usize, &'a Vec<f64>)| {
        let is_chosen = model == Model::MonteCarlo && choice.forecaster != Some(Forecaster::Ewma);
        let series = if is_chosen { Series::new(past, asset) } else { None };
        let filter = match series {
            Some(series) => {
                let deviations = chosen_deviations(past, returns, &series, choice);
                let floored = floored_deviations(past, &series, &deviations, choice.floor);
                Filter::new(model, returns, lookback, deviations).floored(floored)
            }
            None => Filter::new(model, returns, lookback, model::ewma_deviations(returns, decay)),
        };
        if is_looked_at(asset) { filter.fitted(refit) } else { filter }
    };
    past.returns.par_iter().enumerate().map(of_asset).collect()
}

/// Deviations known before every step of the history and before the one after: those of EWMA until the
/// forecaster has its own.
fn chosen_deviations(past: &Past<'_>, returns: &[f64], series: &Series, choice: Choice) -> Vec<f64> {
    let forecasts = series.forecasts();
    let variances = match choice.forecaster {
        None => Some(best_variances(series, &forecasts)),
        Some(wanted) => forecasts.into_iter().find(|(name, _)| *name == wanted).map(|(_, v)| v),
    };
    let mut deviations = model::ewma_deviations(returns, past.backtest.decay);
    let Some(variances) = variances else { return deviations };
    let first = series.first();
    let mut seen = 0;
    for t in 0..deviations.len() {
        if seen >= first {
            deviations[t] = variances[seen - first].sqrt();
        }
        seen += usize::from(returns.get(t).is_some_and(|r| r.is_finite()));
    }
    deviations
}

/// Those deviations, from the first that a forecaster has on not below the floor.
fn floored_deviations(past: &Past<'_>, series: &Series, deviations: &[f64], floor: f64) -> Vec<f64> {
    let floors = long_deviations(&series.returns, FLOOR_YEARS * past.steps_per_year);
    let at = |(t, deviation): (usize, &f64)| {
        let seen = series.times.partition_point(|time| *time < t);
        if seen < series.first() { *deviation } else { floored(past, t, *deviation, floor * floors[seen]) }
    };
    deviations.iter().enumerate().map(at).collect()
}

/// What has won by the end of a series, and its deviation for the step after the last, not below the floor;
/// the champion has none.
pub fn next_deviation(
    past: &Past<'_>,
    series: &Series,
    forecasts: &[(Forecaster, Vec<f64>)],
) -> (Forecaster, f64) {
    let (forecaster, variances) = &forecasts[winner_now(series, forecasts)];
    let deviation = variances.last().map_or(f64::NAN, |v| v.sqrt());
    if *forecaster == Forecaster::Ewma {
        return (*forecaster, deviation);
    }
    let floors = long_deviations(&series.returns, FLOOR_YEARS * past.steps_per_year);
    let floor = past.backtest.volatility.floor * floors[series.returns.len()];
    (*forecaster, floored(past, past.backtest.history.times.len(), deviation, floor))
}

/// The floor of the anti-procyclicality tools; a margin is proportional to its deviation.
fn floored(past: &Past<'_>, t: usize, deviation: f64, floor: f64) -> f64 {
    let times = &past.backtest.history.times;
    let date = day(times[t.min(times.len() - 1)]);
    let today = Day { date, margin: deviation, stressed: None, lookback: Some(floor) };
    Tools { floor: true, ..Tools::default() }.apply(&[today], None).0[0]
}

/// Root mean square of up to `span` returns before each step, and before the one after the last.
fn long_deviations(returns: &[f64], span: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut all = Vec::with_capacity(returns.len() + 1);
    for t in 0..=returns.len() {
        let start = t.saturating_sub(span as usize);
        all.push((sum / (t - start).max(1) as f64).sqrt());
        if let Some(r) = returns.get(t) {
            sum += r * r;
            // The oldest leaves once the span is full.
            sum -= if t - start == span as usize { returns[start].powi(2) } else { 0.0 };
        }
    }
    all
}
