//! Each component against numbers computed by hand.

use shortfall::margin::{
    AddOns, AssetExposure, Basis, Buffer, Charge, Exposures, Line, Liquidation, MarginRules, OracleRule,
    ShortOptions, ShortStrike, State, StressedWeight, WrongWay, margin,
};
use shortfall::units::Confidence;

use crate::book::{asset, close, of, rules, tails, value};

/// A maintenance line under some add-ons, for an account of an Expected Shortfall of 1,000.
fn line(add_ons: AddOns, exposures: &Exposures, line: Line) -> f64 {
    let margin = margin(&rules(add_ons), &value(1e6, 1e6), &tails(1000.0, 1400.0), exposures);
    let others: f64 = margin
        .maintenance_lines
        .iter()
        .filter(|(other, _)| ![line, Line::ExpectedShortfall].contains(other))
        .map(|(_, amount)| amount)
        .sum();
    assert_eq!(others, 0.0, "no other line");
    assert_eq!(margin.maintenance_margin, margin.maintenance_lines.total());
    margin.maintenance_lines.get(line)
}

#[test]
fn without_rules_a_margin_is_its_expected_shortfall() {
    let plain = rules(AddOns::default());
    let margin = margin(&plain, &value(1200.0, 0.0), &tails(1000.0, 1400.0), &of(asset(1e6)));
    assert_eq!((margin.maintenance_margin, margin.initial_margin), (1000.0, 1400.0));
    assert_eq!((margin.health, margin.state), (Some(1.2), State::MarginCall));
}

#[test]
fn an_upper_bound_is_some_standard_errors_above() {
    let charge = Charge::UpperBound(Confidence::new(0.95).unwrap());
    let plain = MarginRules { charge, ..rules(AddOns::default()) };
    let margin = margin(&plain, &value(0.0, 0.0), &tails(1000.0, 1400.0), &Exposures::default());
    // The 95 % quantile of the normal law, 1.6448536269514722, times a standard error of 10.
    assert!(close(margin.maintenance_lines.get(Line::ErrorAllowance), 16.448536269514722));
    assert!(close(margin.maintenance_margin, 1_016.448_536_269_514_7));
}

#[test]
fn floors_lift_and_no_margin_pays_out() {
    let floored = MarginRules { floor: 0.01, ..rules(AddOns::default()) };
    let lifted = margin(&floored, &value(0.0, 150_000.0), &tails(1000.0, 400.0), &Exposures::default());
    assert_eq!(lifted.maintenance_lines.get(Line::Floor), 500.0);
    assert_eq!((lifted.maintenance_margin, lifted.initial_margin), (1500.0, 1500.0));
    let gains =
        margin(&rules(AddOns::default()), &value(1.0, 0.0), &tails(-5.0, -9.0), &Exposures::default());
    assert_eq!((gains.maintenance_margin, gains.initial_margin, gains.health), (0.0, 0.0, None));
    assert_eq!(gains.maintenance_lines.get(Line::Floor), 5.0);
}

#[test]
fn short_options_have_a_least_margin_netted_by_strike() {
    let short_options = Some(ShortOptions { notional: 0.01, premium: 0.5 });
    // A short straddle: one side can end in the money. 1 % of 80,000 is above half of 1,000; half
    // of 2,000 is above 1 % of 80,000.
    let straddle = ShortStrike {
        call_notional: 80_000.0,
        call_premium: 1_000.0,
        put_notional: 80_000.0,
        put_premium: 2_000.0,
    };
    let cheap = ShortStrike { call_notional: 160_000.0, call_premium: 10.0, ..ShortStrike::default() };
    let exposures =
        |strikes: &[ShortStrike]| Exposures { short_options: strikes.to_vec(), ..Exposures::default() };
    let add_ons = AddOns { short_options, ..AddOns::default() };
    let of = |strikes: &[ShortStrike]| line(add_ons.clone(), &exposures(strikes), Line::ShortOptionMinimum);
    // It is a least margin: what Expected Shortfall covers already is not charged twice.
    assert_eq!(of(&[straddle]), 0.0);
    assert_eq!(of(&[straddle, cheap]), 1_000.0 + 1_600.0 - 1_000.0);
}

#[test]
fn liquidation_costs_spread_and_the_square_root_of_size() {
    let liquidation = Some(Liquidation { participation: 0.1, impact: 1.0 });
    let add_ons = AddOns { liquidation, ..AddOns::default() };
    let large = AssetExposure { spread_cost: 500.0, ..asset(-1e6) };
    let book = of(large);
    let plain = rules(add_ons);
    let margin = margin(&plain, &value(0.0, 0.0), &tails(1000.0, 1400.0), &book);
    // 0.73 / sqrt(365) a day, and a hundredth of a day's volume.
    let impact = 1e6 * 0.73 / 365f64.sqrt() * 0.1;
    assert!(close(margin.maintenance_lines.get(Line::LiquidationCost), 500.0 + impact));
    assert!((impact - 3820.99).abs() < 0.01);
    // A tenth of a day to close: one day becomes a thirtieth more, two days a sixtieth.
    let [one, two] = [0.12 * ((31f64 / 30.0).sqrt() - 1.0), 0.17 * ((61f64 / 60.0).sqrt() - 1.0)];
    let initial = shortfall::margin::liquidation::horizon(
        plain.add_ons.liquidation.as_ref().unwrap(),
        &shortfall::margin::Level {
            horizon: shortfall::units::Years::from_days(2.0).unwrap(),
            ..plain.initial
        },
        1,
        &book.assets,
    );
    assert!((margin.maintenance_lines.get(Line::LiquidationHorizon) - 1e6 * one).abs() < 1e-6);
    assert!((initial - 1e6 * two).abs() < 1e-6);
    assert!((initial - 1e6 * one).abs() > 100.0, "negative control");
}

#[test]
fn a_hedged_book_is_unaffected_by_what_follows_net_size() {
    let liquidation = Some(Liquidation { participation: 0.1, impact: 1.0 });
    let oracle = Some(OracleRule { confidence: 1.0, deviations: 3.0, ..OracleRule::default() });
    let wrong_way = Some(WrongWay { collateral: 0.5, own_tokens: Vec::new() });
    let add_ons = AddOns { liquidation, oracle, wrong_way, ..AddOns::default() };
    let hedged = AssetExposure { balance: 1e6, ..asset(0.0) };
    let margin = margin(&rules(add_ons), &value(0.0, 0.0), &tails(1000.0, 1400.0), &of(hedged));
    assert_eq!(margin.maintenance_margin, 1000.0);
}

#[test]
fn basis_moves_every_expiry_against_the_account() {
    let basis = Some(Basis { shift: 0.05, perpetual: 0.002 });
    let exposed = AssetExposure { basis: 40_000.0, premium: 1e6, ..AssetExposure::default() };
    let add_ons = AddOns { basis, ..AddOns::default() };
    assert!(close(line(add_ons, &of(exposed), Line::Basis), 2_000.0 + 2_000.0));
}

#[test]
fn collateral_that_falls_with_the_account_is_charged() {
    let wrong_way = Some(WrongWay { collateral: 0.1, own_tokens: Vec::new() });
    let charged = |exposure| {
        line(AddOns { wrong_way: wrong_way.clone(), ..AddOns::default() }, &of(exposure), Line::WrongWay)
    };
    // 500,000 of collateral; positions of 300,000 beside it.
    let long = AssetExposure { balance: 500_000.0, ..asset(800_000.0) };
    assert!(close(charged(long), 30_000.0));
    // Positions of two million: no more than the collateral counts.
    assert!(close(charged(AssetExposure { net_delta: 2.5e6, ..long }), 50_000.0));
    // A short hedges its collateral; a loan is no collateral.
    assert_eq!(charged(AssetExposure { net_delta: -1e6, ..long }), 0.0);
    assert_eq!(charged(AssetExposure { balance: -500_000.0, ..long }), 0.0);
    // A token of the account's own group counts for nothing beyond what the haircut took.
    assert!(close(charged(AssetExposure { is_own_token: true, haircut: 0.2, ..long }), 400_000.0));
}

#[test]
fn stablecoins_lose_their_depeg() {
    let add_ons = AddOns { stablecoins: Some([0.02, 0.05]), ..AddOns::default() };
    let exposures = Exposures { stablecoins: [100_000.0, 200_000.0], ..Exposures::default() };
    assert!(close(line(add_ons.clone(), &exposures, Line::Stablecoin), 12_000.0));
    let owed = Exposures { stablecoins: [-100_000.0, 0.0], ..Exposures::default() };
    assert_eq!(line(add_ons, &owed, Line::Stablecoin), 0.0);
}

#[test]
fn doubtful_prices_are_charged() {
    let add_ons = AddOns {
        oracle: Some(OracleRule { confidence: 2.0, deviations: 3.0, ..OracleRule::default() }),
        ..AddOns::default()
    };
    // 2 * 0.001 + 3 * 0.73 sqrt(1 / 8760)
    let wanted = 1e6 * (0.002 + 3.0 * 0.73 / 8760f64.sqrt());
    assert!(close(line(add_ons, &of(asset(-1e6)), Line::Oracle), wanted));
}

#[test]
fn the_three_tools_of_article_28_add_up() {
    let add_ons = AddOns {
        stressed: Some(StressedWeight { case: "crash".to_owned(), weight: 0.25 }),
        lookback: Some("ten years".to_owned()),
        buffer: Some(Buffer { fraction: 0.25, level: 0.6 }),
        ..AddOns::default()
    };
    let mut tails = tails(1000.0, 1400.0);
    tails.stressed = Some([2000.0, 1000.0]);
    tails.lookback = Some([1300.0, 1300.0]);
    let margin = margin(&rules(add_ons), &value(0.0, 0.0), &tails, &Exposures::default());
    let of = |line| (margin.maintenance_lines.get(line), margin.initial_lines.get(line));
    // 0.75 * 1,000 + 0.25 * 2,000; a milder stress takes nothing off.
    assert_eq!(of(Line::StressedWeight), (250.0, 0.0));
    assert_eq!(of(Line::LookbackFloor), (50.0, 0.0));
    // 15 % of 1,300 and of 1,400.
    assert!(close(of(Line::ProcyclicalityBuffer).0, 195.0) && close(of(Line::ProcyclicalityBuffer).1, 210.0));
    assert!(close(margin.maintenance_margin, 1495.0) && close(margin.initial_margin, 1610.0));
}
