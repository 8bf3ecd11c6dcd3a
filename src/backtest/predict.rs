//! Which forecaster of volatility? Champion against challengers, walking forward.

use std::fmt::Write;

use jiff::SignedDuration;
use jiff::civil::Date;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

use super::Monitor;
use super::config::Backtest;
use super::past::Past;
use super::volatility::{Forecaster, LEAST_JUDGED, SIGNIFICANCE, Series, best_variances, next_deviation};
use crate::calibrate::history::day;

/// Name of the forecaster that takes, at each fit, the one that has won by then.
pub const WINNER: &str = "winner";
/// The champion's margin covers so much on average by construction of its multiple.
const COVERED: f64 = 0.99;

/// One forecaster on one asset.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Ticker.
    pub asset: String,
    /// Name of the forecaster, or [`WINNER`].
    pub forecaster: &'static str,
    /// First day.
    pub from: Date,
    /// Days.
    pub days: usize,
    /// Mean of `ln h + r^2 / h`: QLIKE up to what no forecast changes. Lower is better.
    pub qlike: f64,
    /// Diebold and Mariano's statistic of the loss less the champion's, with Newey and West's variance;
    /// negative is better than the champion. None for the champion, and for one that is it.
    pub diebold_mariano: Option<f64>,
    /// Its two-sided p-value.
    pub p_value: Option<f64>,
    /// Part of the days whose loss a margin proportional to the forecast covered, at the champion's
    /// mean margin: coverage at equal cost.
    pub coverage: f64,
}

/// What is forecast for the step after the last, for one asset.
#[derive(Clone, Debug, Serialize)]
pub struct Next {
    /// Ticker.
    pub asset: String,
    /// Name of the forecaster that has won by now; the champion where none has.
    pub forecaster: &'static str,
    /// Volatility that it forecasts, annual, not below the floor: 0.6 is 60 %.
    pub volatility: f64,
    /// The champion's, without a floor.
    pub champion: f64,
}

/// Forecasters compared, and what they say of the next step.
#[derive(Clone, Debug, Serialize)]
pub struct Prediction {
    /// Name of the backtest.
    pub name: String,
    /// The day on which [`Next`] begins: after the last price.
    pub as_of: Date,
    /// Part of the deviation of the ten years before that no forecast of [`Next`] lies below.
    pub floor: f64,
    /// Assets in their order, forecasters within.
    pub scores: Vec<Score>,
    /// Assets in their order.
    pub next: Vec<Next>,
    /// Assets with too short a history.
    pub short: Vec<String>,
}

/// Compares the forecasters on some assets of the history, by their names, or on all. The history must have a
/// price.
pub fn predict(backtest: &Backtest, only: Option<&[String]>, monitor: &mut Monitor<'_>) -> Prediction {
    let past = Past::new(backtest, &[]);
    let history = &backtest.history;
    let next = history.times[history.times.len() - 1] + SignedDuration::from_secs(history.step_seconds);
    let mut prediction = Prediction {
        name: backtest.name.clone(),
        as_of: day(next),
        floor: backtest.volatility.floor,
        scores: Vec::new(),
        next: Vec::new(),
        short: Vec::new(),
    };
    let is_wanted = |(_, asset): &(usize, &String)| only.is_none_or(|only| only.contains(asset));
    let wanted: Vec<(usize, &String)> = history.assets.iter().enumerate().filter(is_wanted).collect();
    for (place, (index, asset)) in wanted.iter().copied().enumerate() {
        monitor(asset, place as f64 / wanted.len() as f64);
        let Some(series) = Series::new(&past, index) else {
            prediction.short.push(asset.clone());
            continue;
        };
        let forecasts = series.forecasts();
        let best = best_variances(&series, &forecasts);
        let first = day(backtest.history.times[series.times[series.first()]]);
        let named = forecasts.iter().map(|(forecaster, variances)| (forecaster.name(), variances.as_slice()));
        let all: Vec<(&'static str, &[f64])> = named.chain([(WINNER, best.as_slice())]).collect();
        prediction.scores.extend(score(asset, first, &series.returns[series.first()..], &all));
        let (forecaster, deviation) = next_deviation(&past, &series, &forecasts);
        let annual = past.steps_per_year.sqrt();
        prediction.next.push(Next {
            asset: asset.clone(),
            forecaster: forecaster.name(),
            volatility: deviation * annual,
            champion: forecasts[0].1.last().map_or(f64::NAN, |v| v.sqrt() * annual),
        });
    }
    prediction
}

/// QLIKE of each step, `ln h + r^2 / h`, for as many steps as there are of both.
pub fn qlike(variances: &[f64], returns: &[f64]) -> Vec<f64> {
    variances.iter().zip(returns).map(|(h, r)| h.ln() + r * r / h).collect()
}

fn score(asset: &str, from: Date, returns: &[f64], forecasts: &[(&'static str, &[f64])]) -> Vec<Score> {
    let champion = qlike(forecasts[0].1, returns);
    let deviations = |h: &[f64]| h[..returns.len()].iter().map(|h| h.sqrt()).collect::<Vec<f64>>();
    let budget = multiple(returns, forecasts[0].1) * mean(&deviations(forecasts[0].1));
    let of = |(name, h): &(&'static str, &[f64])| {
        let losses = qlike(h, returns);
        let test = (losses != champion).then(|| diebold_mariano(&losses, &champion));
        let deviations = deviations(h);
        let multiple = budget / mean(&deviations);
        let covered = deviations.iter().zip(returns).filter(|(d, r)| -**r <= multiple * **d).count();
        Score {
            asset: asset.to_owned(),
            forecaster: name,
            from,
            days: returns.len(),
            qlike: mean(&losses),
            diebold_mariano: test.map(|(statistic, _)| statistic),
            p_value: test.map(|(_, p_value)| p_value),
            coverage: covered as f64 / returns.len() as f64,
        }
    };
    forecasts.iter().map(of).collect()
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

/// A table, how often each challenger won, and what is forecast next.
pub fn text(prediction: &Prediction) -> String {
    let Prediction { name, scores, .. } = prediction;
    let mut text =
        format!("{name}: forecasts of the next step's variance, walking forward; the champion is ewma\n\n");
    for asset in &prediction.short {
        let _ = writeln!(text, "note: {asset} has too short a history, or the lookback is below 122 steps");
    }
    let _ = writeln!(
        text,
        "  {:6}  {:10}  {:>5}  {:12}  {:>9}  {:>15}  {:>7}  {:>22}",
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
        let _ = writeln!(
            text,
            "  {:6}  {}  {:>5}  {:12}  {:>9.4}  {statistic:>15}  {p_value:>7}  {:>20.2} %",
            s.asset,
            s.from,
            s.days,
            s.forecaster,
            s.qlike,
            100.0 * s.coverage
        );
    }
    text += "\nQLIKE: mean of ln h + r^2/h, lower is better. Diebold-Mariano below zero: better than the champion.\n\n";
    comparison(&mut text, scores);
    next_table(&mut text, prediction);
    text
}

fn comparison(text: &mut String, scores: &[Score]) {
    let of = |name: &str| scores.iter().filter(|s| s.forecaster == name).collect::<Vec<_>>();
    let champion = of(Forecaster::ALL[0].name());
    for name in Forecaster::ALL[1..].iter().map(|f| f.name()).chain([WINNER]) {
        let scores = of(name);
        if scores.is_empty() {
            let _ = writeln!(text, "{name}: not made, it needs `variances`");
            continue;
        }
        let beyond = |sign: f64| {
            let has = |s: &&&Score| {
                s.p_value.is_some_and(|p| p < SIGNIFICANCE)
                    && s.diebold_mariano.is_some_and(|x| sign * x > 0.0)
            };
            scores.iter().filter(has).count()
        };
        let own =
            |s: &Score| champion.iter().find(|c| c.asset == s.asset).map_or(f64::NAN, |c| s.qlike - c.qlike);
        let mean = scores.iter().map(|s| own(s)).sum::<f64>() / scores.len() as f64;
        let _ = writeln!(
            text,
            "{name}: better than the champion on {} of {} assets at 5 %, worse on {}; mean QLIKE {mean:+.4}",
            beyond(-1.0),
            scores.len(),
            beyond(1.0),
        );
    }
}

fn next_table(text: &mut String, prediction: &Prediction) {
    let _ = writeln!(
        text,
        "\nthe next step, from {} on, annual volatility in %, by what has won so far, not below {} of the deviation of ten years:",
        prediction.as_of, prediction.floor
    );
    for n in &prediction.next {
        let _ = writeln!(
            text,
            "  {:6}  {:12}  {:>6.1}  (ewma {:.1})",
            n.asset,
            n.forecaster,
            100.0 * n.volatility,
            100.0 * n.champion
        );
    }
    let _ = writeln!(
        text,
        "A challenger is used once it has won on at least {LEAST_JUDGED} steps; ewma, without a floor, until then."
    );
}

/// The forecasts of challengers that have won, as the table `forecasts` of a market file.
pub fn forecasts_csv(prediction: &Prediction) -> String {
    let mut text = "asset,volatility,as_of\n".to_owned();
    let champion = Forecaster::ALL[0].name();
    for next in prediction.next.iter().filter(|next| next.forecaster != champion) {
        let _ = writeln!(text, "{},{:.6},{}", next.asset, next.volatility, prediction.as_of);
    }
    text
}
