//! Accounts: their margins, their changes, what becomes of them.

use shortfall::engine::cpu::CpuEngine;
use shortfall::report::AttributionResult;
use shortfall::run::{self, Silent};
use shortfall::scenario::Selection;
use shortfall::service::api::{Balance, Book, EventKind, LevelName, Patch};
use shortfall::service::{Cancel, DeskFault};

use crate::night::{Night, by_run, driver_by_run, open, order};

#[test]
fn margins_are_those_of_a_run() {
    let night = Night::new();
    let desk = open(night.served());
    let scenario = night.scenario();
    for account in &scenario.portfolio.accounts {
        let answer = desk.margin(&account.name, false, &Cancel::default()).unwrap();
        assert_eq!(answer.figures, by_run(&scenario, &account.name), "{}", account.name);
        assert_eq!(answer.worst_driver, driver_by_run(&scenario, &account.name), "{}", account.name);
    }
    let list = desk.accounts();
    assert_eq!(list.accounts.len(), scenario.portfolio.accounts.len());
    let health: Vec<f64> = list.accounts.iter().filter_map(|line| line.health).collect();
    assert!(health.windows(2).all(|pair| pair[0] <= pair[1]));
}

#[test]
fn margins_in_coins_are_those_of_a_run() {
    let night = Night::new();
    let mut served = night.served();
    served.scenario.reporting_asset = Some(0);
    let desk = open(served);
    let mut scenario = night.scenario();
    scenario.reporting_asset = Some(0);
    for account in ["basis-trade", "under-water"] {
        let answer = desk.margin(account, false, &Cancel::default()).unwrap();
        assert_eq!(answer.figures, by_run(&scenario, account), "{account}");
        assert_eq!(answer.worst_driver, driver_by_run(&scenario, account), "{account}");
    }
}

#[test]
fn an_attribution_is_that_of_a_run() {
    let night = Night::new();
    let desk = open(night.served());
    let mut scenario = night.scenario();
    scenario.attribution = Selection::Names(vec!["market-maker".to_owned()]);
    let outcome = run::run(&scenario, &mut CpuEngine::new(scenario.simulation.precision), &mut Silent);
    let accounts = outcome.unwrap().cases.swap_remove(0).accounts.unwrap();
    let by_run = accounts.iter().find(|case| case.attribution.is_some()).unwrap();
    assert!(by_run.greeks.is_some());
    let attribution = by_run.attribution.as_ref().unwrap();
    let by_run = AttributionResult::new(&scenario, attribution, by_run.greeks.as_ref());
    let answer = desk.margin("market-maker", true, &Cancel::default()).unwrap();
    let json = |value: &AttributionResult| serde_json::to_value(value).unwrap();
    assert_eq!(json(&answer.attribution.unwrap()), json(&by_run));
    assert_eq!(answer.worst_paths.unwrap().len(), 10);
}

#[test]
fn a_distribution_counts_every_path() {
    let night = Night::new();
    let desk = open(night.served());
    for level in [LevelName::Maintenance, LevelName::Initial] {
        let found = desk.distribution("market-maker", level, &Cancel::default()).unwrap();
        assert_eq!(found.counts.iter().sum::<u64>(), crate::night::PATHS);
        assert!(found.low < found.tail.value_at_risk && found.tail.expected_shortfall < found.high);
        // The mass above the Value at Risk is a hundredth, to within the bin that it falls into.
        let width = (found.high - found.low) / found.counts.len() as f64;
        let bin = ((found.tail.value_at_risk - found.low) / width) as usize;
        let above: u64 = found.counts[bin + 1..].iter().sum();
        let mass = 0.01 * crate::night::PATHS as f64;
        assert!(above as f64 <= mass && (above + found.counts[bin]) as f64 >= mass);
    }
}

#[test]
fn a_patch_is_a_run_with_the_rows_appended() {
    let night = Night::new();
    let desk = open(night.served());
    let rows = [("BTC-27MAR26-88000-C", 2.0), ("BTC-PERPETUAL", -7000.0), ("BTC-5FEB26-70000-P", -1.0)];
    for (instrument, quantity) in rows {
        let patch = Patch { positions: vec![order(instrument, quantity)], ..Patch::default() };
        let answer = desk.patch("market-maker", &patch, None, &Cancel::default()).unwrap();
        night.append("positions.csv", &format!("market-maker,{instrument},{quantity},"));
        assert_eq!(answer.figures, by_run(&night.scenario(), "market-maker"), "{instrument}");
        // Others keep the figures of a run, too.
        let other = desk.margin("short-strangle", false, &Cancel::default()).unwrap();
        assert_eq!(other.figures, by_run(&night.scenario(), "short-strangle"), "{instrument}");
    }
    assert_eq!(desk.account("market-maker").unwrap().revision, 4);
}

#[test]
fn expiries_within_the_horizon_come_and_go_with_accounts() {
    let night = Night::new();
    let desk = open(night.served());
    assert_eq!(desk.market().market.version, 1);
    // The only account that holds what expires tomorrow.
    desk.remove("short-strangle", None).unwrap();
    assert_eq!(desk.market().market.version, 2, "all paths were simulated again");
    let mut scenario = night.scenario();
    let table = std::fs::read_to_string(night.path("quickstart/positions.csv")).unwrap();
    let rest: Vec<&str> = table.lines().filter(|line| !line.starts_with("short-strangle")).collect();
    std::fs::write(night.path("quickstart/positions.csv"), rest.join("\n")).unwrap();
    let alone = night.scenario();
    assert_ne!(by_run(&scenario, "covered-call"), by_run(&alone, "covered-call"));
    scenario = alone;
    let answer = desk.margin("covered-call", false, &Cancel::default()).unwrap();
    assert_eq!(answer.figures, by_run(&scenario, "covered-call"));
}

#[test]
fn accounts_are_created_replaced_and_removed() {
    let night = Night::new();
    let desk = open(night.served());
    let none = Cancel::default();
    let book = Book {
        description: "a new one".to_owned(),
        positions: vec![order("BTC-PERPETUAL", 1000.0)],
        balances: vec![Balance { asset: "USD".to_owned(), amount: 5000.0 }],
    };
    let created = desk.create("new", book.clone(), &none).unwrap();
    assert_eq!((created.revision, created.figures.equity), (1, 5000.0));
    assert!(matches!(desk.create("new", book.clone(), &none), Err(DeskFault::Exists(_))));
    let stale = desk.replace("new", Book::default(), Some(7), &none);
    assert!(matches!(stale, Err(DeskFault::Conflict { found: 1, .. })));
    let replaced = desk.replace("new", Book::default(), Some(1), &none).unwrap();
    assert_eq!((replaced.revision, replaced.figures.initial_margin), (2, 0.0));
    assert_eq!(desk.account("new").unwrap().book, Book::default());
    assert!(matches!(desk.remove("new", Some(1)), Err(DeskFault::Conflict { found: 2, .. })));
    desk.remove("new", Some(2)).unwrap();
    assert!(matches!(desk.account("new"), Err(DeskFault::NotFound { .. })));
    // A revision is not given twice: what an answer named is what is found under it.
    assert_eq!(desk.create("new", book.clone(), &none).unwrap().revision, 3);
    assert_eq!(desk.revision("new", Some(1)).unwrap().book, book);
    assert_eq!(desk.revision("new", Some(2)).unwrap().book, Book::default());
    assert!(matches!(desk.revision("new", Some(9)), Err(DeskFault::NotFound { what: "revision", .. })));
    assert!(matches!(desk.create(" x", book.clone(), &none), Err(DeskFault::Invalid(_))));
    assert!(matches!(desk.create(&"x".repeat(129), book, &none), Err(DeskFault::Invalid(_))));
}

#[test]
fn rows_that_repeat_are_netted_at_last() {
    let night = Night::new();
    let desk = open(night.served());
    let none = Cancel::default();
    desk.create("busy", Book { positions: vec![order("BTC-PERPETUAL", 1.0)], ..Book::default() }, &none)
        .unwrap();
    for trade in 0..9 {
        let patch =
            Patch { positions: vec![order("BTC-PERPETUAL", 1.0 + f64::from(trade))], ..Patch::default() };
        desk.patch("busy", &patch, None, &none).unwrap();
        let rows = desk.account("busy").unwrap().book.positions;
        assert!(rows.len() <= 2, "{} rows after trade {trade}", rows.len());
    }
    let rows = desk.account("busy").unwrap().book.positions;
    assert_eq!(rows.iter().map(|row| row.quantity).sum::<f64>(), 46.0);
    let hypothetical = shortfall::service::api::WhatIf {
        hypothetical: Some(desk.account("busy").unwrap().book),
        ..Default::default()
    };
    let figures = desk.margin("busy", false, &none).unwrap().figures;
    assert_eq!(desk.what_if(&hypothetical, &none).unwrap().before, figures);
}

#[test]
fn events_are_numbered_and_can_be_resumed() {
    let night = Night::new();
    let mut served = night.served();
    served.config.warnings = vec![2.0, 1.2];
    served.config.events_kept = 5;
    let desk = open(served);
    let none = Cancel::default();
    let mut news = desk.subscribe();
    let cash = |amount: f64| Patch {
        balances: vec![Balance { asset: "USD".to_owned(), amount }],
        ..Patch::default()
    };
    // short-strangle starts at a health of about 1.5 with all its equity in cash.
    let figures = desk.margin("short-strangle", false, &none).unwrap().figures;
    let spare = figures.equity - figures.maintenance_margin;
    desk.patch("short-strangle", &cash(-0.8 * spare), None, &none).unwrap();
    desk.patch("short-strangle", &cash(-0.3 * spare), None, &none).unwrap();
    desk.patch("short-strangle", &cash(2.0 * spare), None, &none).unwrap();
    let page = desk.events_since(0, 100);
    let kinds: Vec<EventKind> = page.events.iter().map(|event| event.kind).collect();
    let warned = [EventKind::Margin, EventKind::Warning, EventKind::MarginCall];
    let all = [&warned[..], &[EventKind::Margin, EventKind::Liquidation], &[EventKind::Margin]].concat();
    let numbers: Vec<u64> = page.events.iter().map(|event| event.sequence).collect();
    assert_eq!((numbers, kinds), (vec![2, 3, 4, 5, 6], all[1..].to_vec()));
    assert!(page.is_gap, "the first of six is no longer kept");
    assert_eq!(page.events[0].level, Some(1.2));
    let later = desk.events_since(4, 1);
    assert_eq!((later.events.len(), later.events[0].sequence, later.next, later.is_gap), (1, 5, 5, false));
    let nothing = desk.events_since(6, 10);
    assert_eq!((nothing.events.len(), nothing.next, nothing.is_gap), (0, 6, false));
    assert!(desk.events_since(99, 10).is_gap, "a number that was never given");
    for sequence in 1..=6 {
        assert_eq!(news.try_recv().unwrap().sequence, sequence);
    }
}
