//! Forecasters of volatility: the test between them, and the walk.

use rand::RngExt;
use shortfall::backtest::Backtest;
use shortfall::backtest::past::Past;
use shortfall::backtest::predict::{WINNER, diebold_mariano, predict};
use shortfall::backtest::variances;
use shortfall::backtest::volatility::{Forecaster, Series, best_variances};
use shortfall::calibrate::har::Har;
use shortfall::closed_form::special::normal_upper_quantile;
use shortfall::numeric::PhiloxRng;

use crate::data::{assert_near, raw, root, unpacked};

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
    let sizes: Vec<f64> = returns.iter().map(|r| r.abs()).collect();
    let har = Har::fit(&sizes, &returns).unwrap();
    let variance = har.next_variance(&sizes);
    // The weights of past returns are zero but for their errors, which move a forecast by a few per cent.
    assert!((variance / 4e-4 - 1.0).abs() < 0.15, "{variance}");
    assert!(har.weights[1..].iter().all(|w| w.abs() < 0.15), "{har:?}");
    assert!(Har::fit(&[0.0; 500], &[0.0; 500]).is_none());
}

/// The shipped backtest of BTC alone, its first `days`, prices from `jump` on multiplied.
fn bitcoin(days: usize, jump: usize) -> Backtest {
    let mut backtest = shortfall::backtest::read(&root().join("scenarios/backtest.yaml")).unwrap();
    (backtest.lookback, backtest.refit) = (250, 100);
    backtest.history.assets.truncate(1);
    backtest.history.prices.truncate(1);
    backtest.history.times.truncate(days);
    backtest.history.prices[0].truncate(days);
    backtest.history.prices[0].iter_mut().skip(jump).for_each(|price| *price *= 0.5);
    let variances = backtest.variances.as_mut().unwrap();
    variances.truncate(1);
    variances[0].truncate(days);
    variances[0].iter_mut().skip(jump).for_each(|variance| *variance *= 10.0);
    backtest
}

#[test]
fn forecasters_are_compared_with_the_champion() {
    let prediction = predict(&bitcoin(900, 900), &mut |_| {});
    let scores = prediction.scores;
    let names: Vec<&str> = scores.iter().map(|s| s.forecaster).collect();
    let all: Vec<&str> = Forecaster::ALL.iter().map(|f| f.name()).chain([WINNER]).collect();
    assert_eq!(names, all);
    assert!(scores[0].diebold_mariano.is_none() && (scores[0].coverage - 0.99).abs() < 0.003);
    assert!(scores.iter().all(|s| s.qlike.is_finite() && s.days == 899 - 250), "{scores:?}");
    assert_eq!(prediction.next.len(), 1);
    // Without a measure of variance within the day one forecaster is missing, and nothing else.
    let mut plain = bitcoin(900, 900);
    plain.variances = None;
    let scores = predict(&plain, &mut |_| {}).scores;
    assert_eq!(scores.len(), all.len() - 1);
    assert!(scores.iter().all(|s| s.forecaster != Forecaster::HarRealised.name()));
    // Too short a history has no score rather than a poor one.
    let short = predict(&bitcoin(200, 200), &mut |_| {});
    assert!(short.scores.is_empty() && short.short == ["BTC"]);
}

#[test]
fn a_storm_to_come_moves_no_earlier_forecast_by_a_bit() {
    const JUMP: usize = 700;
    let forecasts = |backtest: &Backtest| {
        let past = Past::new(backtest, &[]);
        let series = Series::new(&past, 0).unwrap();
        let forecasts = series.forecasts();
        let best = best_variances(&series, &forecasts);
        (forecasts, best)
    };
    let (calm, calm_best) = forecasts(&bitcoin(900, 900));
    let (storm, storm_best) = forecasts(&bitcoin(900, JUMP));
    assert_eq!(calm.len(), Forecaster::ALL.len());
    // The forecast for the day of the jump is the last that knows nothing of it. The first price has no return.
    let known = JUMP - 250;
    for ((name, calm), (_, storm)) in calm.iter().zip(&storm) {
        assert_eq!(calm[..known], storm[..known], "{}", name.name());
        assert_ne!(calm[known], storm[known], "{}", name.name());
    }
    assert_eq!(calm_best[..known], storm_best[..known]);
}

#[test]
fn a_challenger_is_used_where_it_wins_and_not_before() {
    // A variance that the champion cannot know: it doubles every other step.
    let normals = normals(5, 1500);
    let truth = |t: usize| if t.is_multiple_of(2) { 1e-4 } else { 9e-4 };
    let returns: Vec<f64> = normals.iter().enumerate().map(|(t, z)| f64::sqrt(truth(t)) * z).collect();
    let series = |returns: &[f64]| {
        let mut backtest = bitcoin(returns.len() + 1, returns.len() + 1);
        let mut price = 1.0;
        for (t, r) in returns.iter().enumerate() {
            price *= r.exp();
            backtest.history.prices[0][t + 1] = price;
        }
        backtest.history.prices[0][0] = 1.0;
        let past = Past::new(&backtest, &[]);
        Series::new(&past, 0).unwrap()
    };
    let series = series(&returns);
    let first = series.first();
    let n = returns.len() - first + 1;
    let known: Vec<f64> = (0..n).map(|k| truth(first + k)).collect();
    let flat = vec![5e-4; n];
    let forecasts = [(Forecaster::Ewma, flat.clone()), (Forecaster::Boosted, known.clone())];
    let best = best_variances(&series, &forecasts);
    assert_eq!(best[..300], flat[..300], "too early to tell");
    assert_eq!(best[300..], known[300..], "it has won at the fit after 250 steps");
    // The same challenger beaten by the champion is never used: the negative control.
    let swapped = [(Forecaster::Ewma, known.clone()), (Forecaster::Boosted, flat)];
    assert_eq!(best_variances(&series, &swapped), known);
}

#[test]
fn shipped_variances_are_those_of_the_raw_prices() {
    let Some(folder) = raw("variances of days from raw prices") else { return };
    let shipped = variances::read(&root().join("scenarios/history/crypto_variances.csv")).unwrap();
    let hours = unpacked(&folder.join("crypto_hourly/BTC_ohlc_1h.csv.gz"));
    let hourly = variances::read(&hours.path().join("BTC_ohlc_1h.csv")).unwrap();
    let daily = variances::read(&folder.join("crypto_daily/XRP.csv")).unwrap();
    for (name, raw) in [("BTC", &hourly["BTC"]), ("XRP", &daily["XRP"])] {
        let known = shipped[name].iter().filter(|(date, _)| raw.contains_key(*date));
        let mut compared = 0;
        for (date, variance) in known {
            // Four digits are shipped.
            assert_near(*variance, raw[date], 5.1e-4, 0.0, &format!("{name} on {date}"));
            compared += 1;
        }
        assert!(compared >= 3000, "{name}: {compared}");
    }
}
