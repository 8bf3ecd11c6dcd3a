//! The greeks of each position add up to it, and each of them is what it says.

use jiff::Timestamp;
use shortfall::attribution::PositionComponent;
use shortfall::engine::Greek;
use shortfall::instrument::{Kind, OptionTerms, Right, Settlement, SmileRule};
use shortfall::run::Outcome;

use shortfall::units::Years;

use super::book::{accounts, attribution, hold, normal, run, scenario};

fn of(position: &PositionComponent, greek: Greek) -> f64 {
    position.by_greek[greek as usize]
}

fn positions(outcome: &Outcome) -> &[PositionComponent] {
    &attribution(&accounts(outcome, 0)[0]).maintenance.by_position
}

fn option(right: Right, strike: f64, expiry: Timestamp, settlement: Settlement) -> Kind {
    Kind::Option(OptionTerms { right, strike, expiry, settlement, volatility_annual: None })
}

#[test]
fn every_position_is_the_sum_of_its_greeks_and_futures_have_no_gamma() {
    let scenario = scenario("scenarios/nightly.yaml", 8192);
    let outcome = run(&scenario);
    let mut options = 0;
    for account in accounts(&outcome, 0) {
        let attribution = attribution(account);
        for position in attribution.maintenance.by_position.iter().chain(&attribution.initial.by_position) {
            let size: f64 = position.by_greek.iter().map(|part| part.abs()).sum();
            let sum: f64 = position.by_greek.iter().sum();
            let whole = position.component.expected_shortfall;
            assert!((sum - whole).abs() <= 1e-9 * size, "{position:?}");
            let is_option = position.instrument.ends_with("-C") || position.instrument.ends_with("-P");
            options += usize::from(is_option);
            let curved = [Greek::Gamma, Greek::Vega, Greek::JumpAndHigherOrder];
            assert!(is_option || curved.iter().all(|&greek| of(position, greek) == 0.0), "{position:?}");
        }
    }
    assert!(options > 100);
}

/// Over an hour's moves of a fifth of a per cent, delta and gamma explain spot to third order and
/// to the change of delta over an hour: what is left is a few hundredths of gamma. A delta off by a
/// thousandth, or a gamma off by a tenth, would stand out.
#[test]
fn delta_and_gamma_explain_small_moves() {
    for settlement in [Settlement::Inverse, Settlement::Linear] {
        for right in [Right::Call, Right::Put] {
            for moneyness in [0.9, 1.0, 1.15] {
                let mut scenario = normal(5, 16_384, 0.0);
                scenario.simulation.smile = SmileRule::StickyStrike;
                scenario.margin.maintenance.horizon = Years::from_days(1.0 / 24.0).unwrap();
                let btc = &mut scenario.market.assets[0];
                btc.volatility_annual = 0.2;
                let slice = btc.surface.last().unwrap().expiry;
                let kind = option(right, (moneyness * btc.spot).round(), slice, settlement);
                hold(&mut scenario, &[("option", 0, kind, -10.0)]);
                let outcome = run(&scenario);
                let position = &positions(&outcome)[0];
                let (gamma, rest) = (of(position, Greek::Gamma), of(position, Greek::JumpAndHigherOrder));
                let note = format!("{settlement:?} {right:?} {moneyness} {position:?}");
                assert!(gamma > 0.0, "{note}");
                assert!(rest.abs() < 0.1 * gamma, "{note}");
                assert!(gamma > 2e-3 * of(position, Greek::Delta).abs(), "{note}");
                assert_eq!(of(position, Greek::Basis), 0.0, "{note}");
                let vega = of(position, Greek::Vega);
                assert!(vega.abs() < 1e-6 * of(position, Greek::Delta).abs(), "{note}");
                // A short option earns its decay.
                assert!(of(position, Greek::Theta) < 0.0, "{note}");
            }
        }
    }
}

/// A long call and a short put of one strike are a forward: their gammas and vegas cancel and their
/// deltas are the forward's.
#[test]
fn a_call_less_a_put_is_a_future() {
    let mut scenario = scenario("scenarios/quickstart.yaml", 16_384);
    let btc = &scenario.market.assets[0];
    let slice = btc.surface.last().unwrap().expiry;
    let strike = btc.spot.round();
    let of_right = |right| option(right, strike, slice, Settlement::Inverse);
    hold(
        &mut scenario,
        &[
            ("call", 0, of_right(Right::Call), 10.0),
            ("put", 0, of_right(Right::Put), -10.0),
            ("BTC", 0, Kind::Spot, 1.0),
        ],
    );
    let outcome = run(&scenario);
    let [call, put, spot] = positions(&outcome) else { panic!("three positions") };
    for greek in [Greek::Gamma, Greek::Vega, Greek::JumpAndHigherOrder] {
        let left = of(call, greek) + of(put, greek);
        assert!(left.abs() < 1e-3 * of(spot, Greek::Delta).abs(), "{greek:?} {left} {spot:?}");
        // Alone, each has much of it.
        assert!(greek != Greek::Gamma || of(call, greek).abs() > 0.01 * of(spot, Greek::Delta).abs());
    }
    let delta = of(call, Greek::Delta) + of(put, Greek::Delta);
    // The spot's delta is its profit in f32.
    assert!((delta / (10.0 * of(spot, Greek::Delta)) - 1.0).abs() < 1e-6, "{delta} {spot:?}");
}

/// Where only the level of volatility moves, a straddle's loss is vega (and theta).
#[test]
fn a_move_of_volatility_alone_is_vega() {
    let mut scenario = scenario("scenarios/quickstart.yaml", 16_384);
    scenario.market.common_jumps = None;
    for asset in &mut scenario.market.assets {
        asset.own_jumps = None;
        asset.tail_group = None;
        asset.volatility_annual = 1e-6;
        asset.drift_annual = 0.0;
        asset.basis_volatility_annual = 0.0;
    }
    let btc = &scenario.market.assets[0];
    assert!(btc.implied_volatility.is_some_and(|d| d.volatility_annual > 0.0));
    let slice = btc.surface.last().unwrap().expiry;
    let call = option(Right::Call, btc.spot.round(), slice, Settlement::Inverse);
    hold(&mut scenario, &[("call", 0, call, -10.0)]);
    let outcome = run(&scenario);
    let position = &positions(&outcome)[0];
    let (vega, theta) = (of(position, Greek::Vega), of(position, Greek::Theta));
    let whole = position.component.expected_shortfall;
    assert!(vega > 0.0 && theta < 0.0 && vega > 5.0 * theta.abs(), "{position:?}");
    assert!((vega + theta - whole).abs() < 2e-3 * whole, "{position:?}");
}
