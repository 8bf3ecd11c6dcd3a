//! Which forecaster of volatility? Champion against challengers, walking forward.

use jiff::civil::Date;
use rayon::prelude::*;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

use super::config::Backtest;
use crate::calibrate::garch::{Form, Garch, Innovations, Start};
use crate::calibrate::har::Har;
use crate::calibrate::history::day;

/// A forecaster of the next step's variance.
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
    /// The mean of the others' variances.
    Mean,
}

impl Forecaster {
    /// All of them, the champion first.
    pub const ALL: [Self; 5] = [Self::Ewma, Self::GarchT, Self::GjrT, Self::Har, Self::Mean];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ewma => "ewma",
            Self::GarchT => "garch-t",
            Self::GjrT => "gjr-t",
            Self::Har => "har",
            Self::Mean => "mean",
        }
    }
}

/// One forecaster on one asset.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Ticker.
    pub asset: String,
    /// The forecaster.
    pub forecaster: Forecaster,
    /// First day.
    pub from: Date,
    /// Days.
    pub days: usize,
    /// Mean of `ln h + r^2 / h`: QLIKE up to what no forecast changes. Lower is better.
    pub qlike: f64,
    /// Diebold and Mariano's statistic of the loss less the champion's, with Newey and West's variance;
    /// negative is better than the champion. None for the champion.
    pub diebold_mariano: Option<f64>,
    /// Its two-sided p-value.
    pub p_value: Option<f64>,
    /// Part of the days whose loss a margin proportional to the forecast covered, at the champion's
    /// mean margin: coverage at equal cost.
    pub coverage: f64,
}

/// The champion's margin covers so much on average by construction of its multiple.
const COVERED: f64 = 0.99;

/// Scores of all assets of the history, assets in their order, forecasters within.
pub fn predict(backtest: &Backtest, monitor: &mut dyn FnMut(&str)) -> Vec<Score> {
    let mut scores = Vec::new();
    for (index, name) in backtest.history.assets.iter().enumerate() {
        monitor(name);
        let returns = backtest.history.log_returns(index);
        let seen = returns.iter().enumerate().filter(|(_, r)| r.is_finite());
        let (times, returns): (Vec<usize>, Vec<f64>) = seen.map(|(t, r)| (t, *r)).unzip();
        if returns.len() <= backtest.lookback + 30 {
            continue;
        }
        let forecasts = forecasts(backtest, &returns);
        let first = day(backtest.history.times[times[backtest.lookback]]);
        scores.extend(score(name, first, &returns[backtest.lookback..], &forecasts));
    }
    scores
}

/// Variances known before each step from the lookback on, `[forecaster][step]`.
fn forecasts(backtest: &Backtest, returns: &[f64]) -> Vec<Vec<f64>> {
    let lookback = backtest.lookback;
    let single = [Forecaster::Ewma, Forecaster::GarchT, Forecaster::GjrT, Forecaster::Har];
    let mut all: Vec<Vec<f64>> = single
        .par_iter()
        .map(|forecaster| match forecaster {
            Forecaster::Ewma | Forecaster::Mean => ewma(returns, lookback, backtest.decay),
            Forecaster::GarchT => garch(returns, lookback, backtest.refit, false),
            Forecaster::GjrT => garch(returns, lookback, backtest.refit, true),
            Forecaster::Har => har(returns, lookback, backtest.refit),
        })
        .collect();
    let mean = |t: usize| all.iter().map(|forecast| forecast[t]).sum::<f64>() / all.len() as f64;
    let mean: Vec<f64> = (0..returns.len() - lookback).map(mean).collect();
    all.push(mean);
    all
}

fn ewma(returns: &[f64], lookback: usize, decay: f64) -> Vec<f64> {
    let mut variance = returns[..lookback].iter().map(|r| r * r).sum::<f64>() / lookback as f64;
    // The lookback itself warms it up.
    returns[..lookback].iter().for_each(|r| variance = decay * variance + (1.0 - decay) * r * r);
    let step = |r: &f64| {
        let known = variance;
        variance = decay * variance + (1.0 - decay) * r * r;
        known
    };
    returns[lookback..].iter().map(step).collect()
}

fn garch(returns: &[f64], lookback: usize, refit: usize, is_asymmetric: bool) -> Vec<f64> {
    let form = Form { is_asymmetric, innovations: Innovations::Student, start: Start::Presample };
    let mut model: Option<Garch> = None;
    let forecast = |t: usize| {
        let window = &returns[t - lookback..t];
        if (t - lookback).is_multiple_of(refit) {
            model = form.estimate(window, model.as_ref()).or(model);
        }
        model.map_or(f64::NAN, |model| model.variances(window, form.start)[lookback])
    };
    (lookback..returns.len()).map(forecast).collect()
}

fn har(returns: &[f64], lookback: usize, refit: usize) -> Vec<f64> {
    let mut model: Option<Har> = None;
    let forecast = |t: usize| {
        let window = &returns[t - lookback..t];
        if (t - lookback).is_multiple_of(refit) {
            model = Har::fit(window).or(model);
        }
        model.map_or(f64::NAN, |model| model.next_variance(window))
    };
    (lookback..returns.len()).map(forecast).collect()
}

fn score(asset: &str, from: Date, returns: &[f64], forecasts: &[Vec<f64>]) -> Vec<Score> {
    let loss = |h: &[f64]| -> Vec<f64> { h.iter().zip(returns).map(|(h, r)| h.ln() + r * r / h).collect() };
    let champion = loss(&forecasts[0]);
    let mean_margin = |h: &[f64]| mean(&h.iter().map(|h| h.sqrt()).collect::<Vec<f64>>());
    let multiple = multiple(returns, &forecasts[0]);
    let budget = multiple * mean_margin(&forecasts[0]);
    Forecaster::ALL
        .into_iter()
        .zip(forecasts)
        .map(|(forecaster, h)| {
            let losses = loss(h);
            let test = (forecaster != Forecaster::Ewma).then(|| diebold_mariano(&losses, &champion));
            let multiple = budget / mean_margin(h);
            let covered = h.iter().zip(returns).filter(|(h, r)| -**r <= multiple * h.sqrt()).count();
            Score {
                asset: asset.to_owned(),
                forecaster,
                from,
                days: returns.len(),
                qlike: mean(&losses),
                diebold_mariano: test.map(|(statistic, _)| statistic),
                p_value: test.map(|(_, p_value)| p_value),
                coverage: covered as f64 / returns.len() as f64,
            }
        })
        .collect()
}

/// The multiple of the champion's deviation that covered 99 % of the days' losses.
fn multiple(returns: &[f64], variances: &[f64]) -> f64 {
    let mut scores: Vec<f64> = returns.iter().zip(variances).map(|(r, h)| -r / h.sqrt()).collect();
    scores.sort_unstable_by(f64::total_cmp);
    scores[((COVERED * scores.len() as f64) as usize).min(scores.len() - 1)]
}

/// Diebold and Mariano (1995): mean loss difference over its standard error, autocorrelations up to the
/// cube root of the number of days weighted by Bartlett's kernel.
pub fn diebold_mariano(losses: &[f64], champion: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = losses.iter().zip(champion).map(|(a, b)| a - b).collect();
    let n = differences.len();
    let mean = mean(&differences);
    let covariance = |lag: usize| {
        differences[lag..].iter().zip(&differences).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>()
            / n as f64
    };
    let lags = (n as f64).cbrt() as usize;
    let weighted = |lag: usize| 2.0 * (1.0 - lag as f64 / (lags + 1) as f64) * covariance(lag);
    let variance = covariance(0) + (1..=lags).map(weighted).sum::<f64>();
    let statistic = mean / (variance / n as f64).sqrt();
    let law = Normal::new(0.0, 1.0).expect("the standard normal");
    (statistic, 2.0 * law.sf(statistic.abs()))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A table, and how often each challenger won.
pub fn text(name: &str, scores: &[Score]) -> String {
    let mut text =
        format!("{name}: forecasts of the next step's variance, walking forward; the champion is ewma\n\n");
    text += &format!(
        "  {:6}  {:10}  {:>5}  {:10}  {:>9}  {:>15}  {:>7}  {:>22}\n",
        "asset",
        "from",
        "days",
        "forecaster",
        "QLIKE",
        "Diebold-Mariano",
        "p-value",
        "coverage at equal cost"
    );
    for s in scores {
        let statistic = s.diebold_mariano.map_or("-".to_owned(), |x| format!("{x:+.2}"));
        let p_value = s.p_value.map_or("-".to_owned(), |p| format!("{p:.3}"));
        text += &format!(
            "  {:6}  {}  {:>5}  {:10}  {:>9.4}  {statistic:>15}  {p_value:>7}  {:>20.2} %\n",
            s.asset,
            s.from,
            s.days,
            s.forecaster.name(),
            s.qlike,
            100.0 * s.coverage
        );
    }
    text += "\nQLIKE: mean of ln h + r^2/h, lower is better. Diebold-Mariano below zero: better than the champion.\n\n";
    let assets = scores.iter().filter(|s| s.forecaster == Forecaster::Ewma).count();
    for forecaster in &Forecaster::ALL[1..] {
        let of = || scores.iter().filter(|s| s.forecaster == *forecaster);
        let won = of()
            .filter(|s| s.p_value.is_some_and(|p| p < 0.05) && s.diebold_mariano.is_some_and(|x| x < 0.0));
        let lost = of()
            .filter(|s| s.p_value.is_some_and(|p| p < 0.05) && s.diebold_mariano.is_some_and(|x| x > 0.0));
        text += &format!(
            "{}: better than the champion on {} of {assets} assets at 5 %, worse on {}\n",
            forecaster.name(),
            won.count(),
            lost.count()
        );
    }
    text
}
