//! What must hold for any parameters, and the limits by name.

use proptest::prelude::*;
use shortfall::closed_form::expected_shortfall::{
    LinearPosition, LossGrid, TailLaw, TailMoments, book_tail, linear_tail,
};
use shortfall::closed_form::special::{erfc, normal_cdf, normal_upper_quantile};
use shortfall::closed_form::{
    ClosedFormError, EuropeanOption, KouModel, MertonModel, OptionKind, ReturnLaw, black_price,
};

/// `|a - b| <= PARITY * (spot + strike)`: a handful of roundings of numbers of that size.
const PARITY: f64 = 1e-13;

/// `|a - b| <= SUMMED * (spot + strike)`: thousands of cosine terms, each rounded.
const SUMMED: f64 = 1e-11;

fn option(kind: OptionKind, strike: f64, expiry_years: f64) -> EuropeanOption {
    EuropeanOption { kind, spot: 100.0, strike, rate: 0.04, dividend_yield: 0.01, expiry_years }
}

fn parity_gap(call: f64, put: f64, option: &EuropeanOption) -> f64 {
    let gap = call - put - option.discount() * (option.forward() - option.strike);
    gap.abs() / (option.spot + option.strike)
}

fn merton() -> impl Strategy<Value = MertonModel> {
    (0.0..2.0f64, 0.0..100.0f64, -0.5..0.5f64, 0.0..0.5f64).prop_map(
        |(volatility, intensity, mean_log_jump, sd_log_jump)| MertonModel {
            volatility,
            intensity,
            mean_log_jump,
            sd_log_jump,
        },
    )
}

fn kou() -> impl Strategy<Value = KouModel> {
    (0.05..2.0f64, 0.0..100.0f64, 0.0..1.0f64, 2.0..80.0f64, 1.0..80.0f64).prop_map(
        |(volatility, intensity, p_up, eta_up, eta_down)| KouModel {
            volatility,
            intensity,
            p_up,
            eta_up,
            eta_down,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn put_call_parity(model in merton(), kou in kou(), strike in 20.0..500.0f64, years in 0.002..2.0f64) {
        let (call, put) = (option(OptionKind::Call, strike, years), option(OptionKind::Put, strike, years));
        let black = |o| black_price(o, model.volatility).unwrap();
        prop_assert!(parity_gap(black(&call), black(&put), &call) <= PARITY);
        let series = |o| model.price(o).unwrap();
        prop_assert!(parity_gap(series(&call), series(&put), &call) <= SUMMED);
        // By construction, except where a price is cut at zero.
        let cosine = |o| kou.price(o).unwrap();
        prop_assert!(parity_gap(cosine(&call), cosine(&put), &call) <= SUMMED);
    }

    #[test]
    fn prices_are_monotone_and_bounded(model in merton(), kou in kou(), strike in 20.0..500.0f64,
                                       years in 0.002..2.0f64, step in 0.1..50.0f64) {
        let low = option(OptionKind::Call, strike, years);
        let high = EuropeanOption { strike: strike + step, ..low };
        let slack = SUMMED * (low.spot + high.strike);
        for price in [&|o: &EuropeanOption| model.price(o).unwrap(),
                      &|o: &EuropeanOption| kou.price(o).unwrap()] as [&dyn Fn(&EuropeanOption) -> f64; 2] {
            let (near, far) = (price(&low), price(&high));
            prop_assert!(near >= far - slack);
            prop_assert!(near - far <= low.discount() * step + slack);
            prop_assert!(near <= low.discount() * low.forward() + slack);
            prop_assert!(near >= low.discount() * (low.forward() - low.strike) - slack);
        }
    }

    #[test]
    fn without_jumps_both_models_are_black(volatility in 0.0..3.0f64, strike in 20.0..500.0f64,
                                           years in 0.0..2.0f64, put in any::<bool>()) {
        let option = option(if put { OptionKind::Put } else { OptionKind::Call }, strike, years);
        let black = black_price(&option, volatility).unwrap();
        let merton = MertonModel { volatility, intensity: 0.0, mean_log_jump: -0.1, sd_log_jump: 0.2 };
        let kou = KouModel { volatility, intensity: 0.0, p_up: 0.3, eta_up: 15.0, eta_down: 10.0 };
        for price in [merton.price(&option).unwrap(), kou.price(&option).unwrap()] {
            prop_assert!((price - black).abs() <= PARITY * (100.0 + strike), "{price} {black}");
        }
        // The cosine series itself, with jumps too rare to matter.
        if volatility * years.sqrt() > 1e-2 {
            let price = KouModel { intensity: 1e-14, ..kou }.price(&option).unwrap();
            prop_assert!((price - black).abs() <= SUMMED * (100.0 + strike), "{price} {black}");
        }
    }

    /// The book quadrature of a linear loss is the linear closed form.
    #[test]
    fn a_linear_book_is_the_linear_position(model in merton(), days in 1u32..20, alpha in 0.9..0.999f64) {
        prop_assume!(model.volatility > 0.05 && model.intensity > 0.0);
        let law = model.law(f64::from(days) / 365.0).unwrap();
        let grid = LossGrid { kinks: Vec::new(), panel_width_max: 0.05 };
        let book = book_tail(|x| -x.exp_m1(), &law, &grid, alpha).unwrap();
        let linear = linear_tail(&law, LinearPosition::Long, alpha).unwrap();
        prop_assert!((book.value_at_risk - linear.value_at_risk).abs() <= 1e-9);
        prop_assert!((book.expected_shortfall - linear.expected_shortfall).abs() <= 1e-9);
        prop_assert!(linear.expected_shortfall >= linear.value_at_risk);
    }

    #[test]
    fn normal_quantile_inverts_the_distribution(log_tail in -30.0..-0.01f64) {
        let tail = log_tail.exp();
        let back = normal_cdf(-normal_upper_quantile(tail));
        prop_assert!((back / tail - 1.0).abs() <= 1e-13, "{tail} {back}");
    }
}

#[test]
fn limits_of_black() {
    for (volatility, years) in [(0.0, 1.0), (0.3, 0.0), (0.0, 0.0)] {
        let call = option(OptionKind::Call, 90.0, years);
        let intrinsic = call.discount() * (call.forward() - 90.0);
        let ours = black_price(&call, volatility).unwrap();
        assert!((ours - intrinsic).abs() < 1e-13);
        assert_eq!(black_price(&option(OptionKind::Put, 90.0, years), volatility).unwrap(), 0.0);
    }
    let sure = black_price(&option(OptionKind::Call, 90.0, 1.0), 100.0).unwrap();
    assert!((sure - 100.0 * (-0.01f64).exp()).abs() < 1e-12, "huge volatility: the discounted spot");
}

/// Values by mpmath in 40 digits.
#[test]
fn the_error_function_keeps_its_tail() {
    for (x, exact) in [
        (-2.0, 1.995_322_265_018_952_7),
        (0.5, 0.479_500_122_186_953_5),
        (2.0, 4.677_734_981_047_266e-3),
        (6.0, 2.151_973_671_249_891_3e-17),
        (20.0, 5.395_865_611_607_901e-176),
    ] {
        assert!((erfc(x) / exact - 1.0).abs() < 2e-15, "{x}: {:e}", erfc(x));
    }
    assert_eq!(erfc(f64::INFINITY), 0.0);
    assert_eq!(erfc(f64::NEG_INFINITY), 2.0);
    assert!(erfc(f64::NAN).is_nan());
}

/// Hundreds of thousands of jumps: the mixture is close to a normal, and its mean stays one.
#[test]
fn many_jumps() {
    let model = MertonModel { volatility: 0.2, intensity: 3e5, mean_log_jump: 0.0, sd_log_jump: 1e-3 };
    let law = model.law(1.0).unwrap();
    assert!((law.exp_moment_above(f64::NEG_INFINITY) - 1.0).abs() < 1e-11);
    let option = option(OptionKind::Call, 100.0, 1.0);
    let normal = black_price(&option, (0.04 + 3e5 * 1e-6f64).sqrt()).unwrap();
    assert!((model.price(&option).unwrap() - normal).abs() < 1e-3);
    let too_many = MertonModel { intensity: 1e8, ..model }.price(&option);
    assert!(matches!(too_many, Err(ClosedFormError::TooManyTerms { .. })));
}

/// No diffusion and no jump is an atom, and VaR may sit on it.
#[test]
fn atoms_are_points() {
    let model = MertonModel { volatility: 0.0, intensity: 2.0, mean_log_jump: -0.1, sd_log_jump: 0.01 };
    let law = model.law(1.0 / 365.0).unwrap();
    let still = law.components()[0];
    let grid = LossGrid { kinks: Vec::new(), panel_width_max: 0.05 };
    let book = book_tail(|x| -x.exp_m1(), &law, &grid, 0.99).unwrap();
    let linear = linear_tail(&law, LinearPosition::Long, 0.99).unwrap();
    assert_eq!(book.value_at_risk, -still.mean.exp_m1());
    assert!((linear.value_at_risk - book.value_at_risk).abs() < 1e-15);
    // Every jump is a loss, P(jump) = 0.0055 < 1 %; the rest of the one per cent is at the atom.
    let weight = still.weight();
    let jump_loss = (1.0 - weight) - (1.0 - weight * still.mean.exp());
    let direct = (jump_loss - (weight - 0.99) * still.mean.exp_m1()) / 0.01;
    assert!((book.expected_shortfall - direct).abs() < 1e-10, "{book:?} {direct}");
    assert!((linear.expected_shortfall - direct).abs() < 1e-10, "{linear:?} {direct}");
}

#[test]
fn poisoned_inputs_are_refused() {
    let good = option(OptionKind::Call, 100.0, 1.0);
    let model = MertonModel { volatility: 0.2, intensity: 1.0, mean_log_jump: 0.0, sd_log_jump: 0.1 };
    let kou = KouModel { volatility: 0.2, intensity: 1.0, p_up: 0.5, eta_up: 10.0, eta_down: 10.0 };
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, f64::MAX] {
        assert!(black_price(&good, bad).is_err(), "{bad}");
        assert!(black_price(&EuropeanOption { strike: bad, ..good }, 0.2).is_err());
        assert!(black_price(&EuropeanOption { spot: bad, ..good }, 0.2).is_err());
        assert!(black_price(&EuropeanOption { expiry_years: bad, ..good }, 0.2).is_err());
        assert!(MertonModel { volatility: bad, ..model }.price(&good).is_err());
        assert!(MertonModel { intensity: bad, ..model }.price(&good).is_err());
        assert!(MertonModel { sd_log_jump: bad, ..model }.price(&good).is_err());
        assert!(KouModel { eta_up: bad, ..kou }.price(&good).is_err());
        assert!(KouModel { eta_down: bad, ..kou }.price(&good).is_err());
        assert!(KouModel { p_up: bad, ..kou }.price(&good).is_err());
        assert!(TailLaw::Student { nu: bad }.tail(0.99).is_err());
        assert!(TailLaw::Normal.tail(bad).is_err());
        assert!(TailMoments::student(bad, 0.99).is_err());
    }
    for confidence in [0.01, 99.0, 1.0] {
        assert!(TailLaw::Normal.tail(confidence).is_err());
    }
    assert!(KouModel { eta_up: 1.0, ..kou }.price(&good).is_err());
    assert!(model.law(0.5).unwrap().price(&good).is_err(), "another horizon than the expiry");
    let grid = LossGrid { kinks: Vec::new(), panel_width_max: 0.02 };
    let law = model.law(0.01).unwrap();
    assert!(book_tail(|x| x.sqrt(), &law, &grid, 0.99).is_err(), "a loss that is NaN somewhere");
}
