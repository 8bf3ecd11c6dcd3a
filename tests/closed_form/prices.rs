//! European prices against Haug (1998), Kou (2002) and multiple-precision values.

use crate::table::{Row, read};
use crate::tolerance::{HESTON_RELATIVE, KOU_RELATIVE, PRICE_RELATIVE, close, one_unit};
use shortfall::closed_form::{
    BatesLaw, BatesModel, EuropeanOption, HestonModel, KouModel, MertonModel, OptionKind, black_price,
};

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

fn bates(row: &Row, jumps: bool) -> BatesModel {
    let heston = HestonModel {
        variance: row.number("v0"),
        mean_reversion: row.number("kappa"),
        long_variance: row.number("theta"),
        volatility_of_variance: row.number("sigma"),
        correlation: row.number("rho"),
    };
    let jump = |column| if jumps { row.number(column) } else { 0.0 };
    BatesModel {
        heston,
        intensity: jump("lambda"),
        mean_log_jump: jump("mean_log_jump"),
        sd_log_jump: jump("sd_log_jump"),
    }
}

#[test]
fn heston_prices_are_lewis_and_those_of_thirty_digits() {
    let mut worst = 0f64;
    for row in read("heston_prices.csv", 52) {
        let ours = bates(&row, false).price(&option(&row, row.number("t"))).expect("valid");
        worst = worst.max(assert_price(&row, ours, HESTON_RELATIVE));
        if let Some((published, decimals)) = row.printed("published") {
            // Some sources print few digits, some claim more than they have.
            let allowed = if decimals <= 7 { 2.0 * one_unit(decimals) } else { 1e-9 * published };
            assert!((ours - published).abs() <= allowed, "{row}\nours {ours}");
        }
    }
    println!("worst relative error {worst:e}");
}

#[test]
fn bates_prices_are_those_of_thirty_digits() {
    let mut worst = 0f64;
    for row in read("bates_prices.csv", 48) {
        let ours = bates(&row, true).price(&option(&row, row.number("days_act365") / 365.0)).expect("valid");
        worst = worst.max(assert_price(&row, ours, HESTON_RELATIVE));
    }
    println!("worst relative error {worst:e}");
}

/// A volatility of variance near nothing with variance at its mean is Black-Scholes; with jumps, Merton.
#[test]
fn without_moving_variance_bates_is_merton() {
    for row in read("merton_prices.csv", 60) {
        let option = option(&row, row.number("days_act365") / 365.0);
        let merton = MertonModel {
            volatility: row.number("sigma"),
            intensity: row.number("lambda"),
            mean_log_jump: row.number("mean_log_jump"),
            sd_log_jump: row.number("sd_log_jump"),
        };
        let variance = merton.volatility * merton.volatility;
        let heston = HestonModel {
            variance,
            mean_reversion: 1.0,
            long_variance: variance,
            volatility_of_variance: 1e-3,
            correlation: 0.0,
        };
        let [intensity, mean_log_jump, sd_log_jump] =
            [merton.intensity, merton.mean_log_jump, merton.sd_log_jump];
        let ours =
            BatesModel { heston, intensity, mean_log_jump, sd_log_jump }.price(&option).expect("valid");
        // Variance of the variance of 1e-6 t^2: a relative change of some 1e-6 far out of the money.
        assert!(close(ours, merton.price(&option).expect("valid"), 1e-4), "{row}\n{ours}");
    }
}

/// Strikes that share a line of integration against each alone.
#[test]
fn a_shared_line_gives_the_same_prices() {
    let row = read("bates_prices.csv", 48).swap_remove(10);
    for days in [1.0, 30.0, 400.0] {
        let model = bates(&row, true);
        let years = days / 365.0;
        let law = BatesLaw::new(model, years).expect("valid");
        let deviation = 0.6 * years.sqrt();
        let strikes: Vec<f64> = (-12..=12).map(|i| 0.25 * f64::from(i) * deviation).collect();
        for (k, price) in strikes.iter().zip(law.out_of_the_money(&strikes).expect("valid")) {
            let kind = if *k >= 0.0 { OptionKind::Call } else { OptionKind::Put };
            let (spot, strike) = (1.0, k.exp());
            let option =
                EuropeanOption { kind, spot, strike, rate: 0.0, dividend_yield: 0.0, expiry_years: years };
            let alone = model.price(&option).expect("valid");
            assert!((price - alone).abs() <= 1e-11 + 1e-9 * alone, "{days} {k}: {price} {alone}");
        }
    }
}

/// Derivatives by the parameters against central differences of prices that are exact.
#[test]
fn a_gradient_is_that_of_the_prices() {
    let row = read("bates_prices.csv", 48).swap_remove(10);
    let base = bates(&row, true);
    let at = [
        base.heston.variance,
        base.heston.mean_reversion,
        base.heston.long_variance,
        base.heston.volatility_of_variance,
        base.heston.correlation,
        base.intensity,
        base.mean_log_jump,
        base.sd_log_jump,
    ];
    let model = |p: [f64; 8]| BatesModel {
        heston: HestonModel {
            variance: p[0],
            mean_reversion: p[1],
            long_variance: p[2],
            volatility_of_variance: p[3],
            correlation: p[4],
        },
        intensity: p[5],
        mean_log_jump: p[6],
        sd_log_jump: p[7],
    };
    for days in [3.0_f64, 90.0, 400.0] {
        let years = days / 365.0;
        let strikes: Vec<f64> = (-8..=8).map(|i| 0.15 * f64::from(i) * years.sqrt()).collect();
        let law = BatesLaw::new(base, years).expect("valid");
        let (prices, gradient) = law.out_of_the_money_gradient(&strikes).expect("valid");
        // The line's accuracy, of a price and of a derivative; the differences err by some 1e-8.
        let tolerance = 1e-7;
        for (k, price) in strikes.iter().zip(law.out_of_the_money(&strikes).expect("valid")) {
            let i = strikes.iter().position(|other| other == k).expect("itself");
            assert!((prices[i] - price).abs() <= 1e-14, "{days} {k}: {price} {}", prices[i]);
            let kind = if *k >= 0.0 { OptionKind::Call } else { OptionKind::Put };
            let (spot, strike) = (1.0, k.exp());
            let option =
                EuropeanOption { kind, spot, strike, rate: 0.0, dividend_yield: 0.0, expiry_years: years };
            for j in 0..at.len() {
                let step = 1e-4 * at[j].abs();
                let moved = |by: f64| {
                    let mut p = at;
                    p[j] += by;
                    model(p).price(&option).expect("valid")
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                let (ours, size) = (gradient[j][i], price / at[j].abs());
                assert!(
                    (ours - difference).abs() <= tolerance * (size + difference.abs()),
                    "{days} {k} by {j}: {ours} {difference}"
                );
            }
        }
    }
}

#[test]
fn a_wrong_heston_is_seen() {
    let row = &read("heston_prices.csv", 52)[3];
    let mut model = bates(row, false);
    model.heston.volatility_of_variance *= 1.0 + 1e-9;
    assert!(!close(
        model.price(&option(row, row.number("t"))).expect("valid"),
        row.number("exact"),
        HESTON_RELATIVE
    ));
    let bad = HestonModel { correlation: f64::NAN, ..model.heston };
    assert!(bad.price(&option(row, 1.0)).is_err());
}
