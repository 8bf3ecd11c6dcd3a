//! The margin from sensitivities against Expected Shortfall, where both must be the same, and where
//! they must differ.

use shortfall::margin::greeks::GreeksMargin;
use shortfall::report::Document;
use shortfall::report::manifest::Started;
use shortfall::run::{AccountCase, Outcome};

use crate::book::{hold, normal, quickstart, run};

/// Standard errors that a sampled figure may be off, and the part of second order in moves of 0.1 %.
const ERRORS: f64 = 5.0;
const SECOND_ORDER: f64 = 0.01;

fn only(outcome: &Outcome) -> (&AccountCase, [GreeksMargin; 2]) {
    let account = &outcome.cases[0].accounts.as_ref().expect("it ran")[0];
    (account, account.greeks.expect("it was selected"))
}

fn agree(account: &AccountCase, [maintenance, initial]: [f64; 2]) -> bool {
    [(&account.maintenance, maintenance), (&account.initial, initial)].into_iter().all(|(tail, found)| {
        let slack = ERRORS * tail.expected_shortfall_error + SECOND_ORDER * tail.expected_shortfall;
        (tail.expected_shortfall - found).abs() <= slack
    })
}

#[test]
fn a_linear_book_of_normal_returns_has_one_margin() {
    let mut scenario = normal([0.02, 0.03, 0.04]);
    // The quickstart correlation of BTC and ETH is high, so the hedge matters.
    hold(&mut scenario, &[("BTC", 10.0), ("ETH_USDC-PERPETUAL", -200.0), ("SOL", 1000.0)]);
    let outcome = run(&scenario);
    let (account, greeks) = only(&outcome);
    assert!(agree(account, greeks.map(|g| g.total())), "{account:?}");
    assert_eq!((greeks[0].vega, greeks[0].curvature), (0.0, 0.0));
    let unhedged = greeks.map(|g| 1.2 * g.total());
    assert!(!agree(account, unhedged), "negative control");
}

#[test]
fn vega_is_the_shortfall_of_a_book_that_only_volatility_moves() {
    let mut scenario = normal([0.02, 0.03, 0.04]);
    let dynamics = quickstart().market.assets[0].implied_volatility;
    scenario.market.assets.iter_mut().for_each(|asset| asset.volatility_annual = 1e-7);
    scenario.market.assets[0].implied_volatility = dynamics.map(|mut dynamics| {
        // A volatility of volatility so small that its effect is linear.
        dynamics.volatility_annual = 0.02;
        dynamics
    });
    // A straddle at the money; what its time is worth over a day is no risk of volatility.
    let strike = "73000";
    let (call, put) = (format!("BTC-27MAR26-{strike}-C"), format!("BTC-27MAR26-{strike}-P"));
    hold(&mut scenario, &[(&call, 100.0), (&put, 100.0)]);
    let outcome = run(&scenario);
    let (account, greeks) = only(&outcome);
    let theta = |level: &shortfall::attribution::LevelAttribution| {
        let theta = level.by_greek.iter().filter(|(greek, _)| greek.name() != "vega");
        theta.map(|(_, component)| component.expected_shortfall).sum::<f64>()
    };
    let attribution = account.attribution.as_ref().expect("it was selected");
    let others = [theta(&attribution.maintenance), theta(&attribution.initial)];
    let found = [greeks[0].vega + others[0], greeks[1].vega + others[1]];
    assert!(greeks[0].vega > 100.0 && agree(account, found), "{greeks:?} {account:?}");
    assert!(!agree(account, [others[0], others[1]]), "negative control");
}

#[test]
fn curvature_is_what_a_large_move_costs_beyond_delta() {
    let mut scenario = quickstart();
    hold(&mut scenario, &[("BTC-27MAR26-73000-C", -10.0), ("BTC-27MAR26-73000-P", -10.0)]);
    let [short, _] = only(&run(&scenario)).1;
    hold(&mut scenario, &[("BTC-27MAR26-73000-C", 10.0), ("BTC-27MAR26-73000-P", 10.0)]);
    let [long, _] = only(&run(&scenario)).1;
    assert!(short.curvature > 0.0 && long.curvature == 0.0, "{short:?} {long:?}");
    assert_eq!((short.delta, short.vega), (long.delta, long.vega));
    let double = {
        hold(&mut scenario, &[("BTC-27MAR26-73000-C", -20.0), ("BTC-27MAR26-73000-P", -20.0)]);
        only(&run(&scenario)).1[0]
    };
    assert!((double.total() / short.total() - 2.0).abs() < 1e-12);
}

#[test]
fn the_causes_of_the_difference_add_up_to_it() {
    let scenario = quickstart();
    let outcome = run(&scenario);
    let manifest = Started::now(&scenario).expect("its files are there").finish(&scenario, &outcome, None);
    let document = Document::new(&scenario, &outcome, manifest);
    let mut checked = 0;
    for account in &document.cases[0].accounts {
        let attribution = account.attribution.as_ref().expect("all were selected");
        for (level, tail) in
            [(&attribution.maintenance, &account.maintenance), (&attribution.initial, &account.initial)]
        {
            let margin = level.greeks_margin.as_ref().expect("a run has it");
            let sum = |of: &dyn Fn(&shortfall::report::greeks::Cause) -> f64| {
                margin.causes.iter().map(of).sum::<f64>()
            };
            let close =
                |a: f64, b: f64| (a - b).abs() <= 1e-9 * (margin.total + tail.expected_shortfall.abs());
            assert!(close(sum(&|c| c.expected_shortfall), tail.expected_shortfall), "{}", account.account);
            assert!(close(sum(&|c| c.greeks_margin), margin.total));
            assert!(close(margin.difference, tail.expected_shortfall - margin.total));
            checked += 1;
        }
    }
    assert_eq!(checked, 12);
    // Fat tails and jumps: the normal law asks less of a plain long than the simulation.
    let long =
        document.cases[0].accounts.iter().find(|a| a.account == "long-perpetuals").expect("an account");
    let maintenance = &long.attribution.as_ref().expect("it was selected").maintenance;
    assert!(
        maintenance.greeks_margin.as_ref().expect("a run has it").difference
            > 0.1 * long.maintenance.expected_shortfall
    );
}
