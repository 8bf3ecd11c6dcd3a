//! Forecasters of volatility: the test between them, and the walk.

use std::path::Path;

use rand::RngExt;
use shortfall::backtest::Backtest;
use shortfall::backtest::past::Past;
use shortfall::backtest::predict::{WINNER, diebold_mariano, predict};
use shortfall::backtest::variances;
use shortfall::backtest::volatility::{Forecaster, Series, best_variances};
use shortfall::calibrate::har::Har;
use shortfall::closed_form::special::normal_upper_quantile;
use shortfall::numeric::PhiloxRng;

use crate::data::{assert_near, raw, root, shortfall, unpacked};

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
    let prediction = predict(&bitcoin(900, 900), None, &mut |_, _| {});
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
    let scores = predict(&plain, None, &mut |_, _| {}).scores;
    assert_eq!(scores.len(), all.len() - 1);
    assert!(scores.iter().all(|s| s.forecaster != Forecaster::HarRealised.name()));
    // Too short a history has no score rather than a poor one.
    let short = predict(&bitcoin(200, 200), None, &mut |_, _| {});
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

/// A folder with the small shipped night and its market.
fn quickstart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["quickstart", "market/quickstart"] {
        std::fs::create_dir_all(folder.path().join(part)).unwrap();
        for file in std::fs::read_dir(root().join("scenarios").join(part)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(part).join(file.file_name())).unwrap();
        }
    }
    let scenario = std::fs::read_to_string(root().join("scenarios/quickstart.yaml")).unwrap();
    std::fs::write(folder.path().join("quickstart.yaml"), scenario).unwrap();
    folder
}

/// Expected Shortfall of each account of the base case.
fn shortfalls(folder: &Path) -> Vec<f64> {
    let run = shortfall(&["run", "quickstart.yaml", "--paths", "16384", "--json"], folder);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let result: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let accounts = result["cases"][0]["accounts"].as_array().unwrap();
    accounts.iter().map(|a| a["maintenance"]["expected_shortfall"].as_f64().unwrap()).collect()
}

#[test]
fn margins_follow_the_forecasts_that_a_market_names() {
    let folder = quickstart();
    let folder = folder.path();
    let plain = shortfalls(folder);
    let history = root().join("scenarios/history");
    let text = format!(
        "{{name: b, history: {0}/crypto_daily.csv, variances: {0}/crypto_variances.csv, confidence: 0.99, lookback: 500, refit: 200, models: [historical], books: [{{name: long, positions: {{BTC: 1}}}}]}}",
        history.display()
    );
    std::fs::write(folder.join("b.yaml"), text).unwrap();
    let table = "market/quickstart/forecasts.csv";
    let predict = ["predict", "b.yaml", "--assets", "BTC,ETH", "--as-of", "2026-02-04", "--out", table];
    let output = shortfall(&predict, folder);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("from 2026-02-04 on") && !text.contains("SOL"),
        "{text}"
    );
    let written = std::fs::read_to_string(folder.join(table)).unwrap();
    assert!(
        written.starts_with("asset,volatility,as_of\nBTC,") && written.contains(",2026-02-04\n"),
        "{written}"
    );
    let market = folder.join("market/quickstart/market.yaml");
    let with = std::fs::read_to_string(&market).unwrap() + "forecasts: forecasts.csv\n";
    std::fs::write(&market, with).unwrap();
    let predicted = shortfalls(folder);
    assert!(plain.iter().zip(&predicted).all(|(a, b)| (a / b - 1.0).abs() > 1e-3), "{plain:?} {predicted:?}");
    // Twice the volatility of all assets costs every account more.
    std::fs::write(folder.join(table), "asset,volatility\nBTC,1.6\nETH,2.4\nSOL,2.4\n").unwrap();
    let stormy = shortfalls(folder);
    assert!(stormy.iter().zip(&plain).all(|(a, b)| a > b), "{stormy:?} {plain:?}");
    // Of another day, or of an asset that the market has not: faults with their places, all together.
    let bad = "asset,volatility,as_of\nBTC,0.6,2026-02-05\nETH,0.6,2026-01-20\nDOGE,0.6,2026-02-04\nSOL,0.6,2026-01-28\n";
    std::fs::write(folder.join(table), bad).unwrap();
    let output = shortfall(&["run", "quickstart.yaml"], folder);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(65), "{error}");
    for part in ["csv:2: as_of", "csv:3: as_of", "csv:4: asset", "2026-02-04"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!error.contains("csv:5"), "a week old is not stale: {error}");
    // What the history lacks is said before anything is computed.
    for (flag, value) in [("--assets", "BTC,NONE"), ("--as-of", "2017-01-01")] {
        assert_eq!(shortfall(&["predict", "b.yaml", flag, value], folder).status.code(), Some(2), "{flag}");
    }
}

#[test]
fn hours_and_ranges_become_variances_of_a_forecast() {
    const DAYS: usize = 420;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let day = |d: usize| jiff::civil::date(2024, 1, 1).checked_add(jiff::Span::new().days(d as i64)).unwrap();
    // Volatility that rises and falls over weeks: hours see it, closing prices of days hardly.
    let deviation = |d: usize| 0.006 * (1.0 + 0.8 * (d as f64 / 9.0).sin());
    let normals = normals(11, 24 * DAYS);
    let (mut price, mut daily) = (100.0, "date,AAA,BBB\n".to_owned());
    let mut hourly = "time_utc,AAA\n".to_owned();
    let mut ranges = "date,open,high,low,close\n".to_owned();
    for d in 0..DAYS {
        let open = price;
        let (mut high, mut low): (f64, f64) = (open, open);
        for h in 0..24 {
            price *= (deviation(d) * normals[24 * d + h]).exp();
            (high, low) = (high.max(price), low.min(price));
            hourly += &format!("{} {h:02}:00,{price}\n", day(d));
        }
        daily += &format!("{},{price},{price}\n", day(d));
        ranges += &format!("{},{open},{high},{low},{price}\n", day(d));
    }
    for (name, text) in [("daily.csv", daily), ("hourly.csv", hourly), ("BBB.csv", ranges)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let file = "{name: b, history: daily.csv, variances: [hourly.csv, BBB.csv], confidence: 0.99, lookback: 150, refit: 100, models: [historical], books: [{name: long, positions: {AAA: 1}}]}";
    std::fs::write(folder.join("b.yaml"), file).unwrap();
    let output = shortfall(&["predict", "b.yaml", "--json"], folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let qlike = |asset: &str, forecaster: &str| {
        let scores = found["scores"].as_array().unwrap();
        let score = scores.iter().find(|s| s["asset"] == asset && s["forecaster"] == forecaster);
        score.unwrap()["qlike"].as_f64().unwrap()
    };
    for asset in ["AAA", "BBB"] {
        assert!(qlike(asset, "har-realised") < qlike(asset, "har"), "{asset}: {found}");
    }
}
