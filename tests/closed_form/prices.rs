//! European prices against Haug (1998), Kou (2002) and multiple-precision values.

use crate::table::{Row, read};
use crate::tolerance::{KOU_RELATIVE, PRICE_RELATIVE, close, one_unit};
use shortfall::closed_form::{EuropeanOption, KouModel, MertonModel, OptionKind, black_price};

fn option(row: &Row, expiry_years: f64) -> EuropeanOption {
    let kind = match row.text("cp") {
        "C" => OptionKind::Call,
        "P" => OptionKind::Put,
        other => panic!("{row}: {other}"),
    };
    EuropeanOption {
        kind,
        spot: row.number("spot"),
        strike: row.number("strike"),
        rate: row.number("r"),
        dividend_yield: row.number("q"),
        expiry_years,
    }
}

fn assert_price(row: &Row, ours: f64, relative: f64) -> f64 {
    let exact = row.number("exact");
    assert!(close(ours, exact, relative), "{row}\nours {ours:e}");
    (ours / exact - 1.0).abs()
}

fn assert_published(row: &Row, ours: f64) {
    if let Some((published, decimals)) = row.printed("published") {
        assert!((ours - published).abs() <= one_unit(decimals), "{row}\nours {ours}");
    }
}

#[test]
fn black_prices_are_haugs() {
    for row in read("black_prices.csv", 21) {
        let ours = black_price(&option(&row, row.number("t")), row.number("vol")).expect("valid");
        assert_price(&row, ours, PRICE_RELATIVE);
        assert_published(&row, ours);
    }
}

#[test]
fn merton_prices_are_haugs() {
    for row in read("merton_haug_prices.csv", 67) {
        let (v, lambda, gamma) = (row.number("total_vol"), row.number("lambda"), row.number("gamma"));
        let delta = v * (gamma / lambda).sqrt();
        let model = MertonModel {
            volatility: v * (1.0 - gamma).sqrt(),
            intensity: lambda,
            mean_log_jump: -0.5 * delta * delta,
            sd_log_jump: delta,
        };
        let ours = model.price(&option(&row, row.number("t"))).expect("valid");
        assert_price(&row, ours, PRICE_RELATIVE);
        assert_published(&row, ours);
    }
}

#[test]
fn merton_prices_are_the_converged_series() {
    let mut worst = 0f64;
    for row in read("merton_prices.csv", 60) {
        let model = MertonModel {
            volatility: row.number("sigma"),
            intensity: row.number("lambda"),
            mean_log_jump: row.number("mean_log_jump"),
            sd_log_jump: row.number("sd_log_jump"),
        };
        let ours = model.price(&option(&row, row.number("days_act365") / 365.0)).expect("valid");
        worst = worst.max(assert_price(&row, ours, PRICE_RELATIVE));
    }
    println!("worst relative error {worst:e}");
}

#[test]
fn kou_prices_are_kous_and_lewis() {
    let mut worst = 0f64;
    for row in read("kou_prices.csv", 41) {
        let model = KouModel {
            volatility: row.number("sigma"),
            intensity: row.number("lambda"),
            p_up: row.number("p_up"),
            eta_up: row.number("eta1"),
            eta_down: row.number("eta2"),
        };
        let ours = model.price(&option(&row, row.number("days_act365") / 365.0)).expect("valid");
        worst = worst.max(assert_price(&row, ours, KOU_RELATIVE));
        assert_published(&row, ours);
    }
    println!("worst relative error {worst:e}");
}

/// The comparison itself must be able to fail: the same row with a volatility 1e-6 off.
#[test]
fn a_wrong_volatility_is_seen() {
    let rows = read("black_prices.csv", 21);
    let row = &rows[0];
    let ours = black_price(&option(row, row.number("t")), row.number("vol") + 1e-6).expect("valid");
    assert!(!close(ours, row.number("exact"), PRICE_RELATIVE));
}
