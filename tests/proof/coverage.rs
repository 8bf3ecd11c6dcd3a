//! A thousand runs of a book whose VaR and Expected Shortfall are known: how often the confidence
//! interval holds the truth.

use rayon::prelude::*;
use shortfall::closed_form::MertonModel;
use shortfall::closed_form::expected_shortfall::{LinearPosition, linear_tail};
use shortfall::engine::Job;
use shortfall::instrument::Kind;
use shortfall::market::Asset;
use shortfall::risk::TailEstimate;
use shortfall::scenario::Precision;

use crate::fixture::{DAY, Setup, asset, estimates, market, merton};
use crate::tolerance::{COVERED_ES, COVERED_VAR, INTERVAL, RATE_EXPONENT};

const MODEL: MertonModel =
    MertonModel { volatility: 0.6, intensity: 20.0, mean_log_jump: -0.03, sd_log_jump: 0.08 };
const HORIZON_DAYS: f64 = 2.0;
const CONFIDENCE: f64 = 0.975;
const SEEDS: u64 = 1_000;
const PATHS: u64 = 20_011;

fn job() -> Job {
    let jumps = merton(MODEL.intensity, MODEL.mean_log_jump, MODEL.sd_log_jump);
    let jumping = Asset { own_jumps: jumps, ..asset(1.0, MODEL.volatility) };
    let mut setup = Setup::new(market(vec![jumping]), HORIZON_DAYS, &[CONFIDENCE], 0);
    setup.account(&[(0, Kind::Spot, 1.0)]);
    setup.job()
}

/// One estimate for each seed from `first` on.
fn runs(first: u64, seeds: u64, paths: u64, precision: Precision) -> Vec<TailEstimate> {
    let job = job();
    let run = |seed| estimates(&Job { seed, ..job.clone() }, precision, paths)[0][0];
    (first..first + seeds).into_par_iter().map(run).collect()
}

fn truth() -> (f64, f64) {
    let law = MODEL.law(HORIZON_DAYS * DAY).expect("valid");
    let tail = linear_tail(&law, LinearPosition::Long, CONFIDENCE).expect("valid");
    (tail.value_at_risk, tail.expected_shortfall)
}

/// Shares of the runs whose intervals, widened by a factor, hold VaR and ES.
fn covered(runs: &[TailEstimate], widening: f64) -> (f64, f64) {
    let (var, es) = truth();
    let share = |holds: &dyn Fn(&TailEstimate) -> bool| {
        runs.iter().filter(|run| holds(run)).count() as f64 / runs.len() as f64
    };
    let half = widening * INTERVAL;
    (
        share(&|run| (run.value_at_risk - var).abs() <= half * run.value_at_risk_error),
        share(&|run| (run.expected_shortfall - es).abs() <= half * run.expected_shortfall_error),
    )
}

#[test]
fn intervals_cover_the_truth() {
    let runs = runs(0, SEEDS, PATHS, Precision::F32);
    let (var, es) = covered(&runs, 1.0);
    println!("{SEEDS} seeds of {PATHS} paths: VaR covered {:.1} %, ES {:.1} %", 100.0 * var, 100.0 * es);
    assert!(COVERED_ES.contains(&es), "ES covered in {es}");
    assert!(COVERED_VAR.contains(&var), "VaR covered in {var}");
    // Errors a tenth too small or too large are seen.
    for widening in [0.85, 1.2] {
        let (_, es) = covered(&runs, widening);
        assert!(!COVERED_ES.contains(&es), "{widening}: {es}");
    }
}

/// The error of Expected Shortfall falls like the root of the number of paths: the slope of its log
/// over those of 4^k paths.
#[test]
fn errors_fall_like_the_root_of_the_paths() {
    let (_, es) = truth();
    let sizes = [5u32, 6, 7, 8].map(|k| 4u64.pow(k));
    let points = sizes.map(|paths| {
        let runs = runs(10_000, 400, paths, Precision::F32);
        let square = runs.iter().map(|run| (run.expected_shortfall - es).powi(2)).sum::<f64>();
        ((paths as f64).ln(), 0.5 * (square / runs.len() as f64).ln())
    });
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
        / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
    println!("ES error falls like n^{slope:.3}");
    assert!((slope + 0.5).abs() <= RATE_EXPONENT, "{slope}");
    // A bias of one standard error of the largest run would bend it.
    let bias = points[3].1.exp() * 1.5;
    let bent: Vec<f64> = points.iter().map(|p| 0.5 * ((2.0 * p.1).exp() + bias * bias).ln()).collect();
    let centre = bent.iter().sum::<f64>() / 4.0;
    let slope = points.iter().zip(&bent).map(|(p, b)| (p.0 - x) * (b - centre)).sum::<f64>()
        / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
    assert!((slope + 0.5).abs() > RATE_EXPONENT, "{slope}");
}
