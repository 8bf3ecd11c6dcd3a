//! Histories that are not of every day: hours with a gap, hours of an exchange, days of one.

use std::path::Path;

use jiff::civil::Weekday;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shortfall::calibrate::draws::Draws;
use shortfall::calibrate::history;
use shortfall::market;

use crate::data::{root, run_on, shortfall};

const VOLATILITY: f64 = 0.6;
const HOURS: usize = 4_000;

fn calibrate(files: &[&str], folder: &Path) -> Value {
    let arguments = [&["calibrate"], files, &["--out", "m.yaml", "--force", "--json"]].concat();
    let output = shortfall(&arguments, folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Rows of hourly closes with a volatility of 60 % a year, from a Monday on.
fn hours(seed: u64) -> Vec<(Timestamp, f64)> {
    let start: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let mut draws = Draws::new(seed);
    let mut price = 100.0;
    let hour = |t: usize| {
        price *= (VOLATILITY / 8760_f64.sqrt() * draws.normal()).exp();
        (start + SignedDuration::from_hours(t as i64), price)
    };
    (0..HOURS).map(hour).collect()
}

fn table(rows: &[(Timestamp, f64)]) -> String {
    let line = |(time, price): &(Timestamp, f64)| format!("{time},{price}\n");
    ["time,close\n".to_owned()].into_iter().chain(rows.iter().map(line)).collect()
}

fn notes(calibration: &Value) -> String {
    calibration["notes"].to_string()
}

#[test]
fn hours_are_annualised_as_hours_and_a_gap_is_no_return() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = hours(5);
    // While the price was not seen it fell by half; and one row is there twice.
    rows[2_000..].iter_mut().for_each(|row| row.1 *= 0.5);
    rows.drain(2_000..2_005);
    rows.insert(1_000, rows[999]);
    std::fs::write(folder.path().join("AAA.csv"), table(&rows)).unwrap();
    let alone = calibrate(&["AAA.csv"], folder.path());
    assert_eq!((&alone["steps_per_year"], &alone["step_seconds"]), (&8760.0.into(), &3600.into()));
    assert_eq!(alone["assets"][0]["returns"], HOURS - 1 - 6);
    for note in
        ["1 gaps on all series, the first from 2024-03-24T07:00:00Z", "1 equal rows were counted once"]
    {
        assert!(notes(&alone).contains(note), "{note} in {}", notes(&alone));
    }
    // 4,000 returns know it to 1.1 %, and a forecast of GARCH varies by some of that; days instead of hours
    // would be out by a factor of five, the fall in the gap by more.
    let market = market::read(&folder.path().join("m.yaml")).unwrap();
    let found = market.assets[0].volatility_annual;
    assert!((found / VOLATILITY - 1.0).abs() < 0.1, "{found}");

    std::fs::write(folder.path().join("BBB.csv"), table(&hours(6)[500..])).unwrap();
    let both = calibrate(&["AAA.csv", "BBB.csv"], folder.path());
    for note in ["BBB starts on 2024-01-21", "AAA misses 5 prices inside"] {
        assert!(notes(&both).contains(note), "{note} in {}", notes(&both));
    }
    let market = market::read(&folder.path().join("m.yaml")).unwrap();
    for asset in &market.assets {
        assert!((asset.volatility_annual / VOLATILITY - 1.0).abs() < 0.1, "{asset:?}");
    }
    let correlation = both["correlation"][0][1].as_f64().unwrap();
    assert!(correlation.abs() < 0.35, "{correlation} of independent series");
    run_on("m.yaml", "AAA_USDC-PERPETUAL", 5_000.0, 24, folder.path());
}

#[test]
fn an_empty_column_is_one_fault() {
    let folder = tempfile::tempdir().unwrap();
    let rows = hours(8).into_iter().take(100).map(|(time, price)| format!("{time},{price},\n"));
    let text = ["time,AAA,BBB\n".to_owned()].into_iter().chain(rows).collect::<String>();
    std::fs::write(folder.path().join("all.csv"), text).unwrap();
    let output = shortfall(&["calibrate", "all.csv", "--out", "m.yaml"], folder.path());
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(65), "{error}");
    assert!(error.contains("0 prices of BBB") && !error.contains("every"), "{error}");
}

/// Seven hours of five days a week: the return over a night is one step, and a year has as many as there were.
#[test]
fn hours_of_an_exchange_have_their_own_year() {
    let folder = tempfile::tempdir().unwrap();
    let is_open = |row: &(Timestamp, f64)| {
        let time = row.0.to_zoned(jiff::tz::TimeZone::UTC);
        !matches!(time.weekday(), Weekday::Saturday | Weekday::Sunday) && (14..21).contains(&time.hour())
    };
    let rows: Vec<_> = hours(7).into_iter().filter(is_open).collect();
    std::fs::write(folder.path().join("AAA.csv"), table(&rows)).unwrap();
    let history = history::read(&[folder.path().join("AAA.csv")]).unwrap();
    assert!(history.has_weekends_off && history.step_seconds == 3_600);
    let returns = history.log_returns(0);
    assert_eq!(returns.iter().filter(|r| r.is_finite()).count(), rows.len() - 1);
    // Within the three days of 167 by which the ends are out of step with the weeks.
    assert!((history.steps_per_year() / (7.0 * 261.0) - 1.0).abs() < 0.02, "{}", history.steps_per_year());
    // Nights and weekends are in it: the whole year's variance. A weekend has as much of it as 66 hours, so that the
    // returns of 24 weeks know it as 118 equal ones would, to 6.5 %; all hours of a year would double it.
    let squares: f64 = returns.iter().filter(|r| r.is_finite()).map(|r| r * r).sum();
    let annual = (squares / (rows.len() - 1) as f64 * history.steps_per_year()).sqrt();
    assert!((annual / VOLATILITY - 1.0).abs() < 3.0 * 0.065, "{annual}");
}

#[test]
fn days_of_an_exchange_have_about_252_a_year() {
    let index = root().join("scenarios/history/sp500_daily.csv");
    let history = history::read(&[&index]).unwrap();
    assert!(history.has_weekends_off);
    assert!((history.steps_per_year() - 252.0).abs() < 3.0, "{}", history.steps_per_year());
    // Beside coins it keeps their year, which is said.
    let coins = root().join("scenarios/history/crypto_daily.csv");
    let mixed = history::read(&[index, coins]).unwrap();
    assert_eq!(mixed.steps_per_year(), 365.0);
    assert!(mixed.notes.0.iter().any(|note| note.starts_with("SPX rests at weekends")), "{:?}", mixed.notes);
}
