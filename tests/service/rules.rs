//! Margin rules that look at stresses: each has a cube of its own, and the bits of a run.

use shortfall::margin::{Line, StressedWeight};
use shortfall::scenario::{self, Scenario};
use shortfall::service::api::{Patch, WhatIf};
use shortfall::service::config::Served;
use shortfall::service::{Cancel, Desk, DeskFault};

use crate::night::{Night, PATHS, by_run, open, order};

const STRESSED: &str = "March 2020";
const LOOKBACK: &str = "volatility up";

/// A quarter of a stress, and another one as a floor.
fn look_at_stresses(scenario: &mut Scenario) {
    let rules = &mut scenario.margin.add_ons;
    rules.stressed = Some(StressedWeight { case: STRESSED.to_owned(), weight: 0.25 });
    rules.lookback = Some(LOOKBACK.to_owned());
}

fn served(night: &Night) -> Served {
    let mut served = night.served();
    look_at_stresses(&mut served.scenario);
    served
}

fn scenario(night: &Night) -> Scenario {
    let mut scenario = scenario::read(&night.path("quickstart.yaml")).unwrap_or_else(|f| panic!("{f}"));
    scenario.simulation.paths = PATHS;
    look_at_stresses(&mut scenario);
    scenario
}

#[test]
fn margins_are_those_of_a_run_with_its_stresses() {
    let night = Night::new();
    let desk = open(served(&night));
    let scenario = scenario(&night);
    let mut lines = [0.0; 2];
    for account in &scenario.portfolio.accounts {
        let figures = desk.margin(&account.name, false, &Cancel::default()).unwrap().figures;
        assert_eq!(figures, by_run(&scenario, &account.name), "{}", account.name);
        lines[0] += figures.initial_components.get(Line::StressedWeight);
        lines[1] += figures.initial_components.get(Line::LookbackFloor);
    }
    assert!(lines.iter().all(|sum| *sum > 0.0), "the rules add nothing: {lines:?}");
    let [alone, with] = [night.served(), served(&night)].map(|served| open(served).status().cube_bytes);
    assert!(with >= 3 * alone, "a cube for each case: {with} of {alone}");
}

#[test]
fn in_coins_too() {
    let night = Night::new();
    let mut served = served(&night);
    served.scenario.reporting_asset = Some(0);
    let desk = open(served);
    let mut scenario = scenario(&night);
    scenario.reporting_asset = Some(0);
    for account in ["basis-trade", "under-water", "market-maker"] {
        let figures = desk.margin(account, false, &Cancel::default()).unwrap().figures;
        assert_eq!(figures, by_run(&scenario, account), "{account}");
    }
}

#[test]
fn what_ifs_and_changes_are_those_of_a_run() {
    let night = Night::new();
    let desk = open(served(&night));
    let none = Cancel::default();
    // An inverse perpetual, whose profit under a stress is carried in coins; an option that is new to the
    // cubes; and one that expires within the horizon.
    for (instrument, quantity) in
        [("BTC-PERPETUAL", -70_000.0), ("BTC-27MAR26-88000-C", 2.0), ("BTC-5FEB26-70000-P", -1.0)]
    {
        let asked = WhatIf {
            account: Some("market-maker".to_owned()),
            orders: vec![order(instrument, quantity)],
            ..WhatIf::default()
        };
        let after = desk.what_if(&asked, &none).unwrap().after;
        let patch = Patch { positions: asked.orders, ..Patch::default() };
        let changed = desk.patch("market-maker", &patch, None, &none).unwrap().figures;
        night.append("positions.csv", &format!("market-maker,{instrument},{quantity},"));
        let by_run = by_run(&scenario(&night), "market-maker");
        assert_eq!(after, by_run, "{instrument}");
        assert_eq!(changed, by_run, "{instrument}");
    }
}

#[test]
fn a_moved_market_moves_its_stresses() {
    let night = Night::new();
    let desk = open(served(&night));
    let none = Cancel::default();
    let before = desk.margin("covered-call", false, &none).unwrap();
    let mut update = desk.market().numbers;
    update.assets[0].implied_shift = Some(0.1);
    desk.update_market(&update, &none).unwrap();
    let mut scenario = scenario(&night);
    scenario.market.assets[0].implied_volatility_shift = 0.1;
    scenario.portfolio = night.portfolio(&scenario.market);
    let figures = desk.margin("covered-call", false, &none).unwrap().figures;
    assert_eq!(figures, by_run(&scenario, "covered-call"));
    assert_ne!(figures, before.figures);
    let explained = desk.explain("covered-call", Some(1), 1, &none).unwrap();
    assert_eq!(explained.figures, before.figures);
}

#[test]
fn cubes_that_do_not_fit_are_refused_before_they_are_made() {
    let night = Night::new();
    let mut without = night.served();
    let needed = 2 * open(night.served()).status().cube_bytes + (4 << 20);
    without.config.memory_limit = Some(needed);
    assert!(Desk::open(without).is_ok());
    let mut with = served(&night);
    with.config.memory_limit = Some(needed);
    let refused = Desk::open(with);
    assert!(matches!(refused, Err(DeskFault::TooLarge { .. })), "{:?}", refused.err());
}
