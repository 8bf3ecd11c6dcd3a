//! A linear book under the normal law: the component of asset i is `cov(w_i x_i, p) / sd(p)` times
//! the Expected Shortfall of a standard normal variate.

use shortfall::instrument::Kind;
use shortfall::risk::Component;

use super::book::{accounts, attribution, hold, normal, run};

const CORRELATION: f64 = -0.4;
const DAY: f64 = 1.0 / 365.0;
/// `phi(z) / (1 - a)` at 99 %: z = 2.3263478740408408.
const SHORTFALL_99: f64 = 2.665_214_220_345_806;
/// Money in each asset, dollars.
const MONEY: [f64; 2] = [1_000_000.0, 900_000.0];

fn components(seed: u64, paths: u64) -> [Component; 2] {
    let mut scenario = normal(seed, paths, CORRELATION);
    let [btc, eth] = [0, 1].map(|asset| MONEY[asset] / scenario.market.assets[asset].spot);
    hold(&mut scenario, &[("BTC", 0, Kind::Spot, btc), ("ETH", 1, Kind::Spot, eth)]);
    let outcome = run(&scenario);
    let by_asset = &attribution(&accounts(&outcome, 0)[0]).maintenance.by_asset;
    [by_asset[0].1, by_asset[1].1]
}

fn truth() -> [f64; 2] {
    let sd = [0.01, 0.015].map(|volatility: f64| volatility * DAY.sqrt());
    let risk = [MONEY[0] * sd[0], MONEY[1] * sd[1]];
    let covariance = CORRELATION * risk[0] * risk[1];
    let own = [risk[0] * risk[0] + covariance, risk[1] * risk[1] + covariance];
    own.map(|own| own / (own_sum(risk, covariance)).sqrt() * SHORTFALL_99)
}

fn own_sum(risk: [f64; 2], covariance: f64) -> f64 {
    risk[0] * risk[0] + risk[1] * risk[1] + 2.0 * covariance
}

/// Within five standard errors, and a thousandth for returns that are not quite normal.
fn close(found: &Component, truth: f64) -> bool {
    (found.expected_shortfall - truth).abs() <= 5.0 * found.standard_error + 1e-3 * truth.abs()
}

#[test]
fn components_are_those_of_the_normal_law() {
    let found = components(11, 200_000);
    let truth = truth();
    for (found, truth) in found.iter().zip(truth) {
        assert!(close(found, truth), "{found:?} {truth}");
        assert!(found.standard_error < 0.03 * truth, "{found:?}");
    }
    // Swapped, or with the correlation's sign turned, it would be noticed.
    assert!(!close(&found[0], truth[1]) && !close(&found[1], truth[0]));
}

#[test]
fn standard_errors_are_the_spread_of_repeated_runs() {
    const RUNS: u32 = 60;
    let runs: Vec<[Component; 2]> = (0..RUNS).map(|run| components(1000 + u64::from(run), 8192)).collect();
    for asset in 0..2 {
        let of = |f: &dyn Fn(&Component) -> f64| {
            runs.iter().map(|run| f(&run[asset])).sum::<f64>() / f64::from(RUNS)
        };
        let mean = of(&|c| c.expected_shortfall);
        let spread = of(&|c| (c.expected_shortfall - mean).powi(2)).sqrt();
        let stated = of(&|c| c.standard_error);
        // The spread of 60 runs is itself known to 1/sqrt(120) = 9 %: four of that.
        assert!((stated / spread - 1.0).abs() < 0.37, "{asset}: {stated} {spread}");
    }
}
