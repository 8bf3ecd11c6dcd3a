//! Forecasters of volatility: the test between them, and the walk.

use rand::RngExt;
use shortfall::backtest::predict::{Forecaster, diebold_mariano, predict};
use shortfall::calibrate::har::Har;
use shortfall::closed_form::special::normal_upper_quantile;
use shortfall::numeric::PhiloxRng;

use crate::data::root;

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut rng = PhiloxRng::new(seed, 0);
    (0..n).map(|_| normal_upper_quantile(rng.random::<f64>().max(1e-15))).collect()
}

#[test]
fn diebold_mariano_is_standard_normal_between_equals() {
    // Independent differences: five in a hundred beyond 1.96, give or take three standard deviations.
    let zero = vec![0.0; 500];
    let beyond = (0..400).filter(|seed| diebold_mariano(&normals(*seed, 500), &zero).0.abs() > 1.96).count();
    assert!((7..=33).contains(&beyond), "{beyond}");
    let worse: Vec<f64> = normals(1, 500).iter().map(|x| x + 0.3).collect();
    let (statistic, p_value) = diebold_mariano(&worse, &zero);
    assert!(statistic > 3.0 && p_value < 0.01, "{statistic} {p_value}");
}

#[test]
fn har_finds_constant_volatility() {
    let returns: Vec<f64> = normals(3, 4000).iter().map(|x| 0.02 * x).collect();
    let har = Har::fit(&returns).unwrap();
    let variance = har.next_variance(&returns);
    // The weights of past returns are zero but for their errors, which move a forecast by a few per cent.
    assert!((variance / 4e-4 - 1.0).abs() < 0.15, "{variance}");
    assert!(har.weights[1..].iter().all(|w| w.abs() < 0.15), "{har:?}");
    assert!(Har::fit(&[0.0; 500]).is_none());
}

#[test]
fn forecasts_see_the_past_alone_and_are_compared() {
    let mut backtest = shortfall::backtest::read(&root().join("scenarios/backtest.yaml")).unwrap();
    backtest.lookback = 250;
    backtest.refit = 100;
    backtest.history.assets.truncate(1);
    backtest.history.prices.truncate(1);
    let cut = |days: usize| {
        let mut backtest = backtest.clone();
        backtest.history.times.truncate(days);
        backtest.history.prices[0].truncate(days);
        predict(&backtest, &mut |_| {})
    };
    let scores = cut(900);
    assert_eq!(scores.len(), Forecaster::ALL.len());
    assert_eq!(scores[0].forecaster, Forecaster::Ewma);
    assert!(scores[0].diebold_mariano.is_none() && (scores[0].coverage - 0.99).abs() < 0.003);
    assert!(scores.iter().all(|s| s.qlike.is_finite() && s.days == 899 - 250), "{scores:?}");
    // Too short a history has no score rather than a poor one.
    assert!(cut(200).is_empty());
}
