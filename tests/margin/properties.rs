//! Properties of margins for any book and any rules.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use shortfall::margin::{
    AddOns, AssetExposure, Basis, Buffer, Charge, Exposures, Line, Liquidation, Margin, MarginRules,
    OracleRule, ShortOptions, ShortStrike, StressedWeight, Tails, WrongWay, margin,
};
use shortfall::units::Confidence;

use crate::book::{asset, tail, value};

const CASES: u32 = 500;

/// A book: tails, equity, gross notional and exposures.
#[derive(Clone, Debug)]
struct Book {
    tails: [f64; 2],
    gross: f64,
    exposures: Exposures,
}

fn books() -> impl Strategy<Value = Book> {
    let asset = (-1e8..1e8, -1e7..1e7, 0.0..1e6, 0.0..1e6, 0.0..1e6, any::<bool>()).prop_map(
        |(net_delta, balance, spread_cost, basis, premium, is_own_token)| AssetExposure {
            balance,
            spread_cost,
            basis,
            premium,
            is_own_token,
            haircut: 0.2,
            ..asset(net_delta)
        },
    );
    let strike = (0.0..1e6, 0.0..1e4, 0.0..1e6, 0.0..1e4).prop_map(|(a, b, c, d)| ShortStrike {
        call_notional: a,
        call_premium: b,
        put_notional: c,
        put_premium: d,
    });
    let exposures =
        (prop::collection::vec(asset, 0..4), prop::collection::vec(strike, 0..4), [-1e6..1e6, -1e6..1e6])
            .prop_map(|(assets, short_options, stablecoins)| Exposures {
                assets,
                short_options,
                stablecoins,
            });
    ([-1e6..1e6, -1e6..1e6], 0.0..1e8, exposures).prop_map(|(tails, gross, exposures)| Book {
        tails,
        gross,
        exposures,
    })
}

/// Every add-on at once.
fn all() -> AddOns {
    AddOns {
        short_options: Some(ShortOptions { notional: 0.01, premium: 0.5 }),
        liquidation: Some(Liquidation { participation: 0.1, impact: 1.0 }),
        basis: Some(Basis { shift: 0.05, perpetual: 0.002 }),
        wrong_way: Some(WrongWay { collateral: 0.1, own_tokens: Vec::new() }),
        stablecoins: Some([0.02, 0.05]),
        oracle: Some(OracleRule { confidence: 1.0, deviations: 3.0, ..OracleRule::default() }),
        stressed: Some(StressedWeight { case: "a".to_owned(), weight: 0.25 }),
        lookback: Some("b".to_owned()),
        buffer: Some(Buffer { fraction: 0.25, level: 0.5 }),
    }
}

/// The add-ons whose bit is set.
fn some(bits: u32) -> AddOns {
    let all = all();
    fn keep<T>(rule: Option<T>, bits: u32, bit: u32) -> Option<T> {
        rule.filter(|_| bits >> bit & 1 == 1)
    }
    AddOns {
        short_options: keep(all.short_options, bits, 0),
        liquidation: keep(all.liquidation, bits, 1),
        basis: keep(all.basis, bits, 2),
        wrong_way: keep(all.wrong_way, bits, 3),
        stablecoins: keep(all.stablecoins, bits, 4),
        oracle: keep(all.oracle, bits, 5),
        stressed: keep(all.stressed, bits, 6),
        lookback: keep(all.lookback, bits, 7),
        buffer: keep(all.buffer, bits, 8),
    }
}

fn rules(add_ons: AddOns) -> MarginRules {
    MarginRules {
        charge: Charge::UpperBound(Confidence::new(0.95).expect("a confidence")),
        floor: 0.01,
        add_ons,
        ..MarginRules::default()
    }
}

fn of(book: &Book, rules: &MarginRules) -> Margin {
    let [maintenance, initial] = book.tails;
    let reference = |used: bool| used.then_some([1.5 * maintenance, 0.7 * initial]);
    let tails = Tails {
        own: [tail(maintenance), tail(initial)],
        stressed: reference(rules.add_ons.stressed.is_some()),
        lookback: reference(rules.add_ons.lookback.is_some()),
    };
    margin(rules, &value(0.0, book.gross), &tails, &book.exposures)
}

fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&strategy, test).unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn lines_add_up_and_only_expected_shortfall_may_be_negative() {
    check((books(), 0u32..512), |(book, bits)| {
        let margin = of(&book, &rules(some(bits)));
        prop_assert_eq!(margin.maintenance_margin, margin.maintenance_lines.total());
        prop_assert_eq!(margin.initial_margin, margin.initial_lines.total());
        prop_assert!(margin.maintenance_margin >= 0.01 * book.gross * (1.0 - 1e-12));
        prop_assert!(margin.initial_margin >= margin.maintenance_margin);
        for (line, amount) in margin.maintenance_lines.iter().chain(margin.initial_lines.iter()) {
            prop_assert!(amount >= 0.0 || line == Line::ExpectedShortfall, "{}: {amount}", line.name());
        }
        Ok(())
    });
}

#[test]
fn a_further_component_never_lowers_a_margin() {
    check((books(), 0u32..512, 0u32..9), |(book, bits, bit)| {
        let (with, without) =
            (of(&book, &rules(some(bits | 1 << bit))), of(&book, &rules(some(bits & !(1 << bit)))));
        let slack = 1e-9 * without.maintenance_margin.abs();
        prop_assert!(with.maintenance_margin >= without.maintenance_margin - slack);
        prop_assert!(with.initial_margin >= without.initial_margin - slack);
        Ok(())
    });
}

#[test]
fn twice_the_book_needs_twice_the_margin_but_for_what_grows_with_size() {
    let doubled = |book: &Book| {
        let mut twice = book.clone();
        twice.tails = twice.tails.map(|x| 2.0 * x);
        twice.gross *= 2.0;
        twice.exposures.stablecoins = twice.exposures.stablecoins.map(|x| 2.0 * x);
        for a in &mut twice.exposures.assets {
            for x in [&mut a.net_delta, &mut a.balance, &mut a.spread_cost, &mut a.basis, &mut a.premium] {
                *x *= 2.0;
            }
        }
        for s in &mut twice.exposures.short_options {
            let sides = [&mut s.call_notional, &mut s.call_premium, &mut s.put_notional, &mut s.put_premium];
            sides.into_iter().for_each(|x| *x *= 2.0);
        }
        twice
    };
    let without_size = 0b1_1111_1101;
    check((books(), 0u32..512), |(book, bits)| {
        // A factor of two is exact in binary, but for the last step of a lift.
        let rules = rules(some(bits & without_size));
        let (one, two) = (of(&book, &rules), of(&doubled(&book), &rules));
        prop_assert!(
            (two.maintenance_margin - 2.0 * one.maintenance_margin).abs() <= 1e-12 * two.maintenance_margin
        );
        Ok(())
    });
    // With it, a large position needs more than twice.
    let rules = rules(some(0b10));
    let large = Book {
        tails: [1.0, 1.0],
        gross: 0.0,
        exposures: Exposures { assets: vec![asset(1e7)], ..Exposures::default() },
    };
    let (one, two) = (of(&large, &rules), of(&doubled(&large), &rules));
    assert!(two.maintenance_margin > 2.5 * one.maintenance_margin, "negative control");
}
