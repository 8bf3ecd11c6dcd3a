//! Put-call parity on every path, and options that expire inside the horizon.

use shortfall::instrument::{Kind, Right, Settlement};
use shortfall::market::{Asset, Forward, Market};
use shortfall::scenario::Precision;

use crate::fixture::{AnyCube, BOTH, DAY, Setup, asset, in_days, market, merton, moving_volatility, option};
use crate::tolerance::{F32_UNIT, PARITY_ROUNDINGS, PAYOFF_ROUNDINGS};

const PATHS: u64 = 65_537;
const SPOT: f64 = 60_000.0;
const EXPIRY_DAYS: f64 = 40.0;
const HORIZON_DAYS: f64 = 5.0;
const RATE: f64 = 0.06;

fn unit(precision: Precision) -> f64 {
    if precision == Precision::F32 { F32_UNIT } else { f64::EPSILON / 2.0 }
}

/// Jumps, a moving level, a moving basis, a forward above spot and a rate.
fn lively() -> Market {
    let forwards = [2.0, 3.5, EXPIRY_DAYS].map(|d| Forward {
        expiry: in_days(d),
        price: SPOT * (0.08 * d * DAY + 0.001 * (d * DAY).sqrt()).exp(),
    });
    let mut lively = market(vec![Asset {
        own_jumps: merton(30.0, -0.03, 0.08),
        implied_volatility: Some(moving_volatility(5.0, 1.5, -0.6)),
        basis_volatility_annual: 0.3,
        forwards: forwards.to_vec(),
        ..asset(SPOT, 0.7)
    }]);
    lively.discount_rate_annual = RATE;
    lively
}

/// `max |call - put - row| / unit / size` over paths and strikes, where `row` is what parity says
/// and `size` is the largest number that was rounded on the way.
fn worst(settlement: Settlement, precision: Precision, in_coin: bool, strike_error: f64) -> f64 {
    let mut setup = Setup::new(lively(), HORIZON_DAYS, &[0.99], 11);
    setup.numeraire = in_coin.then_some(0);
    let strikes = [30_000.0, 55_000.0, 60_000.0, 60_500.0, 66_000.0, 120_000.0];
    let future = setup.instrument(0, Kind::Future(settlement, in_days(EXPIRY_DAYS)));
    let spot = setup.instrument(0, Kind::Spot);
    let pairs = strikes.map(|strike| {
        [Right::Call, Right::Put]
            .map(|right| setup.instrument(0, option(right, strike, EXPIRY_DAYS, settlement, Some(0.65))))
    });
    setup.account(&[(0, Kind::Spot, 1.0)]);
    let job = setup.job();
    let cube = AnyCube::new(&job, precision, PATHS);
    let profit = |instrument| cube.profit(&job, 0, instrument, PATHS);
    let forward = setup.market.assets[0].forwards[2].price;
    let remaining = (EXPIRY_DAYS - HORIZON_DAYS) * DAY;
    let (later, now) = ((-RATE * remaining).exp(), (-RATE * EXPIRY_DAYS * DAY).exp());
    let (future, spot) = (profit(future), profit(spot));
    let mut worst = 0f64;
    for (strike, [call, put]) in strikes.into_iter().zip(pairs) {
        let (call, put) = (profit(call), profit(put));
        let strike = strike * (1.0 + strike_error);
        for path in 0..PATHS as usize {
            let row = match settlement {
                Settlement::Linear => later * future[path] + (later - now) * (forward - strike),
                // `S' (1 - K/F') - S (1 - K/F)`; in the coin the spot's own profit is zero.
                Settlement::Inverse => (1.0 - strike / forward) * spot[path] + strike * future[path],
            };
            let gap = (call[path] - put[path] - row).abs();
            let size = call[path].abs() + put[path].abs() + row.abs() + sizes(strike, forward, in_coin);
            worst = worst.max(gap / (unit(precision) * size));
        }
    }
    worst
}

/// What stands in the sums beside the profits: `later - now` of the strike for a linear option, the
/// premium (less than spot) and in coins the growth that is taken off again.
fn sizes(strike: f64, forward: f64, in_coin: bool) -> f64 {
    let money = 0.1 * strike.max(forward);
    if in_coin { money / SPOT } else { money }
}

#[test]
fn call_less_put_is_the_forward_on_every_path() {
    for settlement in [Settlement::Linear, Settlement::Inverse] {
        for precision in BOTH {
            let found = worst(settlement, precision, false, 0.0);
            println!("parity {settlement:?} {precision}: worst {found:.2} rounding units");
            assert!(found <= PARITY_ROUNDINGS, "{settlement:?} {precision}: {found}");
        }
    }
    for precision in BOTH {
        let found = worst(Settlement::Inverse, precision, true, 0.0);
        println!("parity in the coin {precision}: worst {found:.2} rounding units");
        assert!(found <= PARITY_ROUNDINGS, "in the coin {precision}: {found}");
    }
}

/// A strike that is wrong by a hundred-thousandth breaks parity in f32, by 1e-12 in f64.
#[test]
fn a_wrong_strike_breaks_parity() {
    assert!(worst(Settlement::Inverse, Precision::F32, false, 1e-5) > PARITY_ROUNDINGS);
    assert!(worst(Settlement::Linear, Precision::F64, false, 1e-12) > PARITY_ROUNDINGS);
    assert!(worst(Settlement::Inverse, Precision::F64, false, 1e-12) > PARITY_ROUNDINGS);
}

/// Options that expire before the horizon or at it, paid out at the forward of their own expiry.
#[test]
fn expired_options_are_their_payoff() {
    for (settlement, expiry_days) in [
        (Settlement::Linear, 2.0),
        (Settlement::Inverse, 3.5),
        (Settlement::Linear, HORIZON_DAYS),
        (Settlement::Inverse, HORIZON_DAYS),
    ] {
        let mut setup = Setup::new(lively(), HORIZON_DAYS, &[0.99], 12);
        let cases = [55_000.0, 60_000.0, 61_000.0, 70_000.0].map(|strike| (Right::Call, strike));
        let cases: Vec<_> = cases.into_iter().chain(cases.map(|(_, strike)| (Right::Put, strike))).collect();
        let listed: Vec<usize> = cases
            .iter()
            .map(|&(right, strike)| {
                setup.instrument(0, option(right, strike, expiry_days, settlement, Some(0.8)))
            })
            .collect();
        setup.account(&[(0, Kind::Spot, 1.0)]);
        let units = setup.units();
        let job = setup.job();
        let observation = job
            .observations
            .iter()
            .position(|o| (o.years - expiry_days * DAY).abs() < 1e-9)
            .expect("observed");
        for precision in BOTH {
            let cube = AnyCube::new(&job, precision, PATHS);
            let x = cube.factor(&job, observation, 0, 0, PATHS);
            let level = cube.factor(&job, observation, 0, 1, PATHS);
            let mut worst = 0f64;
            let mut wrong = 0f64;
            for (&(right, strike), &instrument) in cases.iter().zip(&listed) {
                let profit = cube.profit(&job, 0, instrument, PATHS);
                let value_now = units[instrument].market_value;
                for path in 0..PATHS as usize {
                    let spot = SPOT * x[path].exp();
                    let payoff = (right.sign() * (spot - strike)).max(0.0);
                    // The least variance, moved by the level, leaves `F s / sqrt(2 pi)` at the strike and
                    // nothing six deviations from it; f32 sees a forward to a few 1e-7.
                    let spread = 1e-6 * level[path].exp();
                    let is_near = (spot / strike - 1.0).abs() < 6.0 * spread + 1e-6;
                    let smear = if is_near { 0.4 * spread * spot } else { 0.0 };
                    let gap = (profit[path] - (payoff - value_now)).abs() - smear;
                    let size = spot.max(strike) + SPOT;
                    worst = worst.max(gap / (unit(precision) * size));
                    wrong = wrong.max((profit[path] - payoff).abs() / (unit(precision) * size));
                }
            }
            println!("payoff {settlement:?} {expiry_days} d {precision}: worst {worst:.2} rounding units");
            assert!(worst <= PAYOFF_ROUNDINGS, "{settlement:?} {expiry_days} {precision}: {worst}");
            assert!(wrong > PAYOFF_ROUNDINGS, "the premium was paid");
        }
    }
}
