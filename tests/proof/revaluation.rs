//! Every row of the cube against prices made independently, in f64, from the cube's own factors.

use shortfall::closed_form::OptionKind;
use shortfall::closed_form::black::black_forward;
use shortfall::instrument::{Kind, OptionTerms, Right, Settlement, SmileRule};
use shortfall::market::{Asset, Forward, ImpliedVolatility, Market, SurfaceSlice, SviSlice};
use shortfall::scenario::Precision;

use crate::fixture::{AnyCube, BOTH, DAY, Setup, asset, days, in_days, market, merton, option};
use crate::tolerance::{F32_UNIT, REVALUATION_F32, REVALUATION_F64};

const PATHS: u64 = 8_191;
const HORIZON_DAYS: f64 = 3.0;
const SPOT: f64 = 60_000.0;
const RATE: f64 = 0.05;
/// Expiries of the surface in days.
const EXPIRIES: [f64; 4] = [4.0, 10.0, 45.0, 300.0];

fn surface_market() -> Market {
    let forward = |d: f64| Forward { expiry: in_days(d), price: SPOT * (0.07 * d * DAY).exp() + 20.0 };
    let slice = |(i, d): (usize, f64)| SurfaceSlice {
        expiry: in_days(d),
        svi: SviSlice {
            a: 0.1 * d * DAY,
            b: 0.5 * (d * DAY).sqrt() * 0.3,
            rho: [-0.5, -0.3, 0.1, 0.2][i],
            m: [0.01, 0.03, -0.02, 0.1][i],
            sigma: 0.1 + 0.2 * (d * DAY).sqrt(),
        },
        rmse_volatility: None,
        max_error_volatility: None,
    };
    let first = Asset {
        perpetual_mark: SPOT + 25.0,
        own_jumps: merton(50.0, -0.02, 0.06),
        implied_volatility: Some(ImpliedVolatility {
            mean_reversion_annual: 6.0,
            volatility_annual: 1.4,
            spot_correlation: -0.6,
            common_jump_shift: 0.0,
            own_jump_shift: 0.15,
            reference_tenor: days(30.0),
            term_power: 0.5,
            minimum_tenor: days(2.0),
        }),
        implied_volatility_shift: 0.2,
        basis_volatility_annual: 0.25,
        funding_rate_annual: 0.11,
        forwards: EXPIRIES.map(forward).to_vec(),
        surface: EXPIRIES.into_iter().enumerate().map(slice).collect(),
        liquidity: None,
        price_quality: None,
        ..asset(SPOT, 0.6)
    };
    let mut two = market(vec![first, asset(2_000.0, 0.9)]);
    two.discount_rate_annual = RATE;
    two
}

fn instruments() -> Vec<Kind> {
    let mut kinds = vec![Kind::Spot];
    for settlement in [Settlement::Linear, Settlement::Inverse] {
        kinds.push(Kind::Perpetual(settlement));
        for expiry in EXPIRIES {
            kinds.push(Kind::Future(settlement, in_days(expiry)));
            for right in [Right::Call, Right::Put] {
                for strike in [20_000.0, 48_000.0, 60_000.0, 61_234.5, 75_000.0, 200_000.0] {
                    kinds.push(option(right, strike, expiry, settlement, None));
                }
                kinds.push(option(right, 58_000.0, expiry, settlement, Some(0.55)));
            }
        }
    }
    kinds
}

/// The state of one path: log return, level and basis of the asset.
#[derive(Clone, Copy, Default)]
struct State {
    x: f64,
    level: f64,
    basis: f64,
}

/// Dollar value of one unit; futures in dollars since now. Written from the definitions, without the
/// engine's split into intrinsic value and out-of-the-money side.
fn value(market: &Market, kind: Kind, state: State, elapsed: f64, rule: SmileRule) -> f64 {
    let asset = &market.assets[0];
    let spot = asset.spot * state.x.exp();
    match kind {
        Kind::Cash => 1.0,
        Kind::Spot => spot,
        Kind::Perpetual(settlement) => {
            let mark = asset.perpetual_mark * (state.x + state.basis * DAY).exp();
            let funding = asset.funding_rate_annual * elapsed;
            match settlement {
                Settlement::Linear => mark - asset.perpetual_mark - funding * asset.perpetual_mark,
                Settlement::Inverse => spot * (1.0 / asset.perpetual_mark - 1.0 / mark) - funding,
            }
        }
        Kind::Future(settlement, expiry) => {
            let (now, then) = forwards(market, expiry, state, elapsed);
            match settlement {
                Settlement::Linear => then - now,
                Settlement::Inverse => spot * (1.0 / now - 1.0 / then),
            }
        }
        Kind::Option(terms) => {
            let (now, then) = forwards(market, terms.expiry, state, elapsed);
            let tenor = years_to(market, terms.expiry);
            let remaining = tenor - elapsed;
            let moneyness = match rule {
                SmileRule::StickyMoneyness => (terms.strike / then).ln(),
                SmileRule::StickyStrike => (terms.strike / now).ln(),
            };
            let price = black_forward(
                kind_of(terms),
                then,
                terms.strike,
                sd(asset, terms, moneyness, tenor, remaining, state.level),
            );
            match terms.settlement {
                Settlement::Linear => (-market.discount_rate_annual * remaining).exp() * price,
                Settlement::Inverse => spot / then * price,
            }
        }
    }
}

fn kind_of(terms: OptionTerms) -> OptionKind {
    if terms.right == Right::Call { OptionKind::Call } else { OptionKind::Put }
}

fn years_to(market: &Market, expiry: jiff::Timestamp) -> f64 {
    shortfall::units::Years::between(market.as_of, expiry).expect("later").get()
}

/// Forward now and on the path: its basis shrinks with time and moves by `basis` a year.
fn forwards(market: &Market, expiry: jiff::Timestamp, state: State, elapsed: f64) -> (f64, f64) {
    let asset = &market.assets[0];
    let now = asset.forwards.iter().find(|f| f.expiry == expiry).expect("a listed expiry").price;
    let tenor = years_to(market, expiry);
    let remaining = tenor - elapsed;
    let carried = asset.spot * state.x.exp() * (now / asset.spot).powf(remaining / tenor);
    (now, carried * (state.basis * remaining).exp())
}

/// Standard deviation over the life that remains: the slice's, scaled by time, by the market's shift
/// at every tenor and the path's at the tenor that remains.
fn sd(asset: &Asset, terms: OptionTerms, moneyness: f64, tenor: f64, remaining: f64, level: f64) -> f64 {
    let total = match terms.volatility_annual {
        Some(volatility) => volatility * volatility * tenor,
        None => {
            let slice = asset.surface.iter().find(|s| s.expiry == terms.expiry).expect("a slice").svi;
            let d = moneyness - slice.m;
            slice.a + slice.b * (slice.rho * d + (d * d + slice.sigma * slice.sigma).sqrt())
        }
    };
    let dynamics = asset.implied_volatility.expect("a moving level");
    let factor = |tenor: f64| {
        let least = dynamics.minimum_tenor.get();
        (dynamics.reference_tenor.get() / tenor.max(least)).powf(dynamics.term_power)
    };
    let shift = asset.implied_volatility_shift + level * factor(remaining);
    (total * remaining / tenor).sqrt() * shift.exp()
}

/// Worst distance between the rows and the independent prices in rounding units of the precision and
/// of the price level of the path; `mutate` is applied to the market that the independent prices use.
fn worst(precision: Precision, rule: SmileRule, numeraire: Option<usize>, mutate: fn(&mut Market)) -> f64 {
    let mut setup = Setup::new(surface_market(), HORIZON_DAYS, &[0.99], 21);
    setup.smile = rule;
    setup.numeraire = numeraire;
    let kinds = instruments();
    kinds.iter().for_each(|&kind| {
        setup.instrument(0, kind);
    });
    setup.account(&[(0, Kind::Spot, 1.0)]);
    let job = setup.job();
    let cube = AnyCube::new(&job, precision, PATHS);
    let factor = |asset, k| cube.factor(&job, 0, asset, k, PATHS);
    let (x, level, basis, other) = (factor(0, 0), factor(0, 1), factor(0, 2), factor(1, 0));
    let mut market = surface_market();
    mutate(&mut market);
    let elapsed = HORIZON_DAYS * DAY;
    let unit = if precision == Precision::F32 { F32_UNIT } else { f64::EPSILON / 2.0 };
    let mut worst = 0f64;
    for (instrument, &kind) in kinds.iter().enumerate() {
        let profit = cube.profit(&job, 0, instrument, PATHS);
        let now = value(&market, kind, State::default(), 0.0, rule);
        for path in 0..PATHS as usize {
            let state = State { x: x[path], level: level[path], basis: basis[path] };
            let then = value(&market, kind, state, elapsed, rule);
            let notional = match kind {
                Kind::Perpetual(Settlement::Inverse) | Kind::Future(Settlement::Inverse, _) => 1.0,
                _ => SPOT,
            };
            let size = notional * (1.0 + state.x.exp());
            let (expected, size) = match numeraire {
                None => (then - now, size),
                Some(asset) => {
                    let price = market.assets[asset].spot;
                    let later = price * if asset == 0 { state.x } else { other[path] }.exp();
                    (then / later - now / price, size / price.min(later))
                }
            };
            worst = worst.max((profit[path] - expected).abs() / (unit * size));
        }
    }
    worst
}

#[test]
fn rows_are_the_independent_prices() {
    for (precision, bound) in BOTH.into_iter().zip([REVALUATION_F32, REVALUATION_F64]) {
        for rule in [SmileRule::StickyMoneyness, SmileRule::StickyStrike] {
            for numeraire in [None, Some(0), Some(1)] {
                let found = worst(precision, rule, numeraire, |_| ());
                println!("revaluation {precision} {rule:?} {numeraire:?}: worst {found:.2} rounding units");
                assert!(found <= bound, "{precision} {rule:?} {numeraire:?}: {found}");
            }
        }
    }
}

/// Independent prices of a market that is wrong in one place: each must be seen in f64.
#[test]
fn a_wrong_market_is_seen() {
    type Change = (&'static str, fn(&mut Market));
    let changes: [Change; 7] = [
        ("skew", |m| m.assets[0].surface[1].svi.rho += 1e-8),
        ("level", |m| m.assets[0].implied_volatility_shift += 1e-8),
        ("term", |m| m.assets[0].implied_volatility.as_mut().expect("level").term_power += 1e-8),
        ("rate", |m| m.discount_rate_annual += 1e-8),
        ("forward", |m| m.assets[0].forwards[2].price += 1e-6),
        ("funding", |m| m.assets[0].funding_rate_annual += 1e-8),
        ("mark", |m| m.assets[0].perpetual_mark += 1e-6),
    ];
    for (name, change) in changes {
        let found = worst(Precision::F64, SmileRule::StickyMoneyness, None, change);
        assert!(found > REVALUATION_F64, "{name}: {found}");
    }
    let found =
        worst(Precision::F32, SmileRule::StickyMoneyness, None, |m| m.assets[0].surface[1].svi.rho += 0.01);
    assert!(found > REVALUATION_F32, "skew in f32: {found}");
}
