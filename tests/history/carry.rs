//! Basis and funding: known moves are found again, and what is wrong in a table is said.

use rand::RngExt;
use shortfall::calibrate::carry::{read_basis, read_funding};
use shortfall::calibrate::history::Notes;
use shortfall::closed_form::special::normal_upper_quantile;
use shortfall::numeric::PhiloxRng;

use crate::data::{assert_near, root};

fn normal(rng: &mut PhiloxRng) -> f64 {
    normal_upper_quantile(rng.random::<f64>().max(1e-15))
}

fn time(hours: i64) -> jiff::Timestamp {
    let start: jiff::Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    start + jiff::SignedDuration::from_hours(hours)
}

/// Two years of a curve whose annualised basis is an Ornstein-Uhlenbeck process, the same at all tenors.
fn curve(volatility: f64, speed: f64) -> String {
    let mut rng = PhiloxRng::new(41, 0);
    let mut text = "time,asset,expiry,spot,forward\n".to_owned();
    let (mut basis, step) = (0.05, 1.0 / 365.0_f64);
    for day in 0..730 {
        basis += speed * (0.05 - basis) * step + volatility * step.sqrt() * normal(&mut rng);
        for tenor in [20, 80] {
            let forward = 100.0 * (basis * f64::from(tenor) / 365.0).exp();
            text +=
                &format!("{},AAA,{},100,{forward}\n", time(24 * day), time(24 * (day + i64::from(tenor))));
        }
    }
    text
}

#[test]
fn the_moves_of_a_basis_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("basis.csv");
    std::fs::write(&path, curve(0.08, 6.0)).unwrap();
    let mut notes = Notes::default();
    let fits = read_basis(&path, time(24 * 3_000), &mut notes).unwrap();
    let fit = &fits[0];
    assert!(notes.0.is_empty() && fit.changes > 700, "{fit:?}");
    for (found, truth) in [(&fit.volatility_annual, 0.08), (&fit.mean_reversion_annual, 6.0)] {
        let error = found.standard_error.unwrap();
        assert!((found.estimate - truth).abs() <= 3.0 * error, "{found:?}");
        assert!(error < 0.6 * truth, "{found:?} says nothing of {truth}");
    }
    // Nothing after the instant enters.
    let early = read_basis(&path, time(24 * 400), &mut notes).unwrap();
    std::fs::write(&path, curve(0.08, 6.0).lines().take(1 + 2 * 401).collect::<Vec<_>>().join("\n")).unwrap();
    let cut = read_basis(&path, time(24 * 3_000), &mut notes).unwrap();
    assert_eq!(format!("{early:?}"), format!("{cut:?}"));
}

#[test]
fn funding_is_annualised_and_its_error_knows_of_persistence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("funding.csv");
    let mut rng = PhiloxRng::new(42, 0);
    let (mut x, mut text) = (0.0, "time,asset,rate\n".to_owned());
    let mut rates = Vec::new();
    for index in 0..2_000 {
        x = 0.8 * x + 1e-5 * normal(&mut rng);
        rates.push(1e-4 + x);
        // One rate is missing, and one is there twice.
        if index != 700 {
            text += &format!("{},BTC,{}\n", time(8 * index), 1e-4 + x);
        }
        if index == 900 {
            text += &format!("{},BTC,{}\n", time(8 * index), 1e-4 + x);
        }
    }
    std::fs::write(&path, &text).unwrap();
    let (mut notes, as_of) = (Notes::default(), time(8 * 1_999));
    let fit = read_funding(&path, as_of, &mut notes).unwrap().swap_remove(0);
    assert_eq!(fit.interval_hours, 8.0);
    let week = rates[1_979..].iter().sum::<f64>() / 21.0 * 3.0 * 365.0;
    assert_near(fit.recent.estimate, week, 1e-2, 0.0, "the last week");
    for (found, truth) in [(&fit.mean, 1e-4 * 3.0 * 365.0), (&fit.persistence, 0.8)] {
        assert!((found.estimate - truth).abs() <= 3.0 * found.standard_error.unwrap(), "{found:?}");
    }
    // Independent rates would have a third of the error.
    let naive = fit.deviation / (fit.rates as f64).sqrt();
    assert!(fit.mean.standard_error.unwrap() > 2.5 * naive, "{fit:?}");
    assert!(notes.0[0].contains("1 equal rows") && notes.0[1].contains("1 gaps"), "{notes:?}");
    // Two values at one time, and a rate that is none, with their lines.
    text += &format!("{},BTC,0.001\n{},BTC,9\n", time(8 * 900), time(8 * 3_000));
    std::fs::write(&path, &text).unwrap();
    let faults = read_funding(&path, as_of, &mut notes).unwrap_err().to_string();
    assert!(faults.contains("funding.csv:2002") && faults.contains("funding.csv:2003"), "{faults}");
}

#[test]
fn the_market_gets_basis_and_funding() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("basis.csv"), curve(0.08, 6.0).replace("AAA", "BTC")).unwrap();
    let rates = (0..1_000).map(|index| format!("{},BTC,0.0001\n", time(8 * index)));
    std::fs::write(at("funding.csv"), "time,asset,rate\n".to_owned() + &rates.collect::<String>()).unwrap();
    let history = root().join("scenarios/history/crypto_daily.csv").display().to_string();
    let mut command = assert_cmd::Command::cargo_bin("shortfall").unwrap();
    let arguments = ["--volatility", "ewma", "--as-of", "2024-11-20", "--out", &at("m.yaml")];
    let tables = ["--basis", &at("basis.csv"), "--funding", &at("funding.csv")];
    let output = command.arg("calibrate").arg(history).args(arguments).args(tables).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let market = shortfall::market::read(&folder.path().join("m.yaml")).unwrap();
    assert_near(market.assets[0].funding_rate_annual, 0.1095, 1e-5, 0.0, "funding");
    assert!((0.05..0.12).contains(&market.assets[0].basis_volatility_annual), "{:?}", market.assets[0]);
    assert_eq!(market.assets[1].basis_volatility_annual, 0.0);
}
