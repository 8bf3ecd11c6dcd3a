//! The limits, by name.

use shortfall::closed_form::MertonModel;
use shortfall::closed_form::expected_shortfall::{LinearPosition, LossGrid, TailLaw, book_tail, linear_tail};
use shortfall::instrument::{Kind, Right, Settlement};
use shortfall::market::{Correlation, Market};
use shortfall::risk::TailEstimate;

use crate::fixture::{
    AnyCube, BOTH, DAY, INVERSE_PERPETUAL, LINEAR_PERPETUAL, Setup, asset, market, merton, option, tail_group,
};
use crate::score::{Scores, within};
use crate::tolerance::F32_UNIT;

const PATHS: u64 = 100_003;
const SECOND: f64 = 1.0 / 86_400.0;

fn spot(market: Market, horizon_days: f64, positions: &[(usize, Kind, f64)]) -> Setup {
    let mut setup = Setup::new(market, horizon_days, &[0.99], 61);
    setup.account(positions);
    setup
}

fn assert_finite(e: &TailEstimate) {
    let all = [e.expected_shortfall, e.expected_shortfall_error, e.value_at_risk, e.value_at_risk_error];
    assert!(all.iter().all(|x| x.is_finite()), "{e:?}");
}

/// Nothing moves but the drift: every path loses the same, and the error is none.
#[test]
fn zero_volatility() {
    let mut still = market(vec![asset(100.0, 0.0)]);
    still.assets[0].drift_annual = -0.5;
    for precision in BOTH {
        let estimate = spot(still.clone(), 10.0, &[(0, Kind::Spot, 3.0)]).estimates(precision, PATHS)[0][0];
        let known = -300.0 * (-0.5 * 10.0 * DAY).exp_m1();
        assert!(
            (estimate.expected_shortfall - known).abs() <= 8.0 * F32_UNIT * known,
            "{estimate:?} {known}"
        );
        assert!((estimate.value_at_risk - known).abs() <= 8.0 * F32_UNIT * known, "{estimate:?} {known}");
        assert!(estimate.expected_shortfall_error <= 1e-6 * known, "{estimate:?}");
        still.assets[0].drift_annual = 0.0;
        let none = spot(still.clone(), 10.0, &[(0, Kind::Spot, 3.0)]).estimates(precision, PATHS)[0][0];
        assert!(none.expected_shortfall.abs() <= 1e-9 * 300.0, "{none:?}");
        still.assets[0].drift_annual = -0.5;
    }
}

/// Two assets that are one: a spread loses nothing, a sum loses twice as much.
#[test]
fn correlation_one() {
    for (rho, group) in [(1.0, None), (-1.0, None), (1.0, Some(0))] {
        let mut two = market(vec![asset(100.0, 0.7), asset(100.0, 0.7)]);
        two.tail_groups = vec![tail_group(4.0)];
        two.assets.iter_mut().for_each(|asset| asset.tail_group = group);
        two.correlation = Correlation::new(2, vec![1.0, rho, rho, 1.0]).expect("semidefinite");
        let mut setup = spot(two, 1.0, &[(0, Kind::Spot, 1.0), (1, Kind::Spot, -1.0)]);
        setup.account(&[(0, Kind::Spot, 1.0), (1, Kind::Spot, 1.0)]).account(&[(0, Kind::Spot, 2.0)]);
        for precision in BOTH {
            let [spread, sum, double] = [0, 1, 2].map(|a| setup.estimates(precision, PATHS)[a][0]);
            if rho > 0.0 {
                assert!(spread.expected_shortfall.abs() <= 1e-9 * 200.0, "{spread:?}");
                let ratio = sum.expected_shortfall / double.expected_shortfall;
                assert!((ratio - 1.0).abs() <= 4.0 * F32_UNIT, "{ratio}");
            } else {
                // `exp(x) - exp(-x)` against `exp(x) + exp(-x) - 2`.
                assert!(spread.expected_shortfall > 10.0 * sum.expected_shortfall, "{spread:?} {sum:?}");
            }
        }
    }
}

#[test]
fn one_path() {
    let setup = spot(market(vec![asset(100.0, 0.7)]), 1.0, &[(0, Kind::Spot, 1.0)]);
    for precision in BOTH {
        let estimate = setup.estimates(precision, 1)[0][0];
        let job = setup.job();
        let loss = -AnyCube::new(&job, precision, 1).profit(&job, 0, 0, 1)[0];
        assert_eq!(estimate.paths, 1);
        assert_finite(&estimate);
        for figure in [estimate.expected_shortfall, estimate.value_at_risk] {
            assert!((figure - loss).abs() <= 1e-6 * loss.abs(), "{estimate:?} {loss}");
        }
    }
}

/// From a second at 1 % to a year at 1,000 %.
#[test]
fn tiny_horizon_and_huge_volatility() {
    let mut scores = Scores::new("limits of horizon and volatility");
    for (horizon_days, volatility) in
        [(SECOND, 0.01), (SECOND, 0.6), (1.0, 5.0), (10.0, 10.0), (365.0, 3.0), (365.0, 10.0)]
    {
        let one = market(vec![asset(1.0, volatility)]);
        let setup = spot(one, horizon_days, &[(0, Kind::Spot, 1.0)]);
        let sd = volatility * (horizon_days * DAY).sqrt();
        let truth = TailLaw::OneMinusLognormal { mu: -0.5 * sd * sd, sd }.tail(0.99).expect("valid");
        for precision in BOTH {
            let e = setup.estimates(precision, PATHS)[0][0];
            assert_finite(&e);
            let place = format!("{horizon_days} days, volatility {volatility}, {precision}");
            // A loss of nearly all is known to f32.
            let rounding = 4.0 * F32_UNIT * truth.value_at_risk;
            let (es, var) = (truth.expected_shortfall, truth.value_at_risk);
            scores.add_rounded(
                format!("{place} ES"),
                e.expected_shortfall,
                e.expected_shortfall_error,
                es,
                rounding,
            );
            scores.add_rounded(format!("{place} VaR"), e.value_at_risk, e.value_at_risk_error, var, rounding);
            let wrong =
                TailLaw::OneMinusLognormal { mu: -0.4 * sd * sd, sd: 0.9 * sd }.tail(0.99).expect("valid");
            let passes =
                within(e.expected_shortfall, e.expected_shortfall_error, wrong.expected_shortfall, rounding);
            assert!(!passes || truth.expected_shortfall > 1.0 - 1e-6, "{place}: a wrong volatility passed");
        }
    }
    scores.finish();
}

/// Prices that leave the range of f32 on some paths: figures stay finite.
#[test]
fn absurd_volatility() {
    let wild = market(vec![asset(1e5, 100.0), asset(1e-5, 100.0)]);
    let call = |strike| option(Right::Call, strike, 40.0, Settlement::Linear, Some(5.0));
    let mut setup = spot(wild, 10.0, &[(0, Kind::Spot, 1.0)]);
    setup
        .account(&[(0, LINEAR_PERPETUAL, -1.0)])
        .account(&[(0, INVERSE_PERPETUAL, 1.0)])
        .account(&[(0, call(1e5), -1.0)])
        .account(&[(1, Kind::Spot, 1.0), (1, call(1e-5), -1.0)]);
    for precision in BOTH {
        for estimate in setup.estimates(precision, PATHS) {
            assert_finite(&estimate[0]);
        }
    }
}

/// A strike that is never reached is worth nothing before and after; one far below is the future.
#[test]
fn strike_far_away() {
    let one = market(vec![asset(100.0, 0.6)]);
    for settlement in [Settlement::Linear, Settlement::Inverse] {
        let european = |right, strike| option(right, strike, 30.0, settlement, Some(0.6));
        let far = [(0, european(Right::Call, 1e9), -1.0), (0, european(Right::Put, 1e-6), -1.0)];
        let mut setup = spot(one.clone(), 1.0, &far);
        setup.account(&[(0, european(Right::Call, 1e-6), 1.0)]).account(&[(0, Kind::Spot, 1.0)]);
        for precision in BOTH {
            let [nothing, deep, coin] = [0, 1, 2].map(|a| setup.estimates(precision, PATHS)[a][0]);
            assert!(nothing.expected_shortfall.abs() <= 1e-6, "{nothing:?}");
            let ratio = deep.expected_shortfall / coin.expected_shortfall;
            assert!((ratio - 1.0).abs() <= 1e-5, "{settlement:?} {precision}: {ratio}");
        }
    }
}

/// Options that expire at the horizon to the second: a book with kinks, and an atom in its law.
#[test]
fn expiry_at_the_horizon() {
    let model = MertonModel { volatility: 0.5, intensity: 15.0, mean_log_jump: -0.04, sd_log_jump: 0.06 };
    let mut one = market(vec![asset(100.0, model.volatility)]);
    one.assets[0].own_jumps = merton(model.intensity, model.mean_log_jump, model.sd_log_jump);
    let horizon_days = 7.0;
    let law = model.law(horizon_days * DAY).expect("valid");
    let mut scores = Scores::new("expiry at the horizon");
    let legs = [(Right::Call, 104.0, -2.0), (Right::Put, 97.0, -1.0), (Right::Put, 90.0, 1.0)];
    for precision in BOTH {
        let positions: Vec<_> = legs
            .iter()
            .map(|&(right, strike, q)| {
                (0, option(right, strike, horizon_days, Settlement::Linear, Some(0.6)), q)
            })
            .collect();
        let setup = spot(one.clone(), horizon_days, &positions);
        let job = setup.job();
        assert_eq!(job.observations.len(), 1, "the expiry is the horizon");
        let value: f64 = setup
            .units()
            .iter()
            .zip(&legs)
            .map(|(unit, (_, _, quantity))| quantity * unit.market_value)
            .sum();
        let payoff = |x: f64| -> f64 {
            let pays = |&(right, strike, quantity): &(Right, f64, f64)| {
                quantity * (right.sign() * (100.0 * x.exp() - strike)).max(0.0)
            };
            legs.iter().map(pays).sum()
        };
        let kinks = legs.iter().map(|(_, strike, _)| (strike / 100.0f64).ln()).collect();
        let grid = LossGrid { kinks, panel_width_max: 0.02 };
        let truth = book_tail(|x| value - payoff(x), &law, &grid, 0.99).expect("valid");
        let e = setup.estimates(precision, PATHS)[0][0];
        scores.add("ES", e.expected_shortfall, e.expected_shortfall_error, truth.expected_shortfall);
        scores.add("VaR", e.value_at_risk, e.value_at_risk_error, truth.value_at_risk);
        let linear = linear_tail(&law, LinearPosition::Short, 0.99).expect("valid");
        let wrong = 200.0 * linear.expected_shortfall;
        assert!(!within(e.expected_shortfall, e.expected_shortfall_error, wrong, 0.0), "the strikes matter");
    }
    scores.finish();
}
