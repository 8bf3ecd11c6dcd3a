//! Markets that change under accounts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use shortfall::service::api::{AssetUpdate, Balance, MarketUpdate, Patch, WhatIf};
use shortfall::service::config::Served;
use shortfall::service::{Cancel, Desk, DeskFault};

use crate::night::{Night, by_run, open, order};

fn moved(desk: &Desk, spot: f64) -> MarketUpdate {
    let assets = vec![AssetUpdate { asset: "BTC".to_owned(), spot: Some(spot), ..AssetUpdate::default() }];
    let as_of = desk.market().market.as_of;
    MarketUpdate { as_of, source: None, assets, forwards: Vec::new(), surfaces: Vec::new() }
}

#[test]
fn a_moved_market_is_a_run_in_it() {
    let night = Night::new();
    let desk = open(night.served());
    let mut update = moved(&desk, 70_000.0);
    update.assets[0].implied_shift = Some(0.1);
    let answer = desk.update_market(&update, &Cancel::default()).unwrap();
    assert_eq!((answer.market.version, answer.is_simulated), (2, false), "the same random numbers");
    let mut scenario = night.scenario();
    let market = &mut scenario.market;
    market.scale_prices(0, 70_000.0 / market.assets[0].spot);
    market.assets[0].spot = 70_000.0;
    market.assets[0].implied_volatility_shift = 0.1;
    let check = |desk: &Desk, scenario: &shortfall::scenario::Scenario| {
        for account in ["market-maker", "long-perpetuals", "short-strangle"] {
            let answer = desk.margin(account, false, &Cancel::default()).unwrap();
            assert_eq!(answer.figures, moved_by_run(&night, scenario, account), "{account}");
        }
    };
    check(&desk, &scenario);
    // Diffusive volatility moves the paths; time does where something expires on the way.
    update = moved(&desk, 70_000.0);
    update.assets[0].volatility = Some(0.9);
    let answer = desk.update_market(&update, &Cancel::default()).unwrap();
    assert_eq!((answer.market.version, answer.is_simulated), (3, true));
    scenario.market.assets[0].volatility_annual = 0.9;
    check(&desk, &scenario);
    update = moved(&desk, 71_000.0);
    update.as_of += SignedDuration::from_mins(10);
    assert!(desk.update_market(&update, &Cancel::default()).unwrap().is_simulated);
    scenario.market.as_of = update.as_of;
    scenario.market.scale_prices(0, 71_000.0 / 70_000.0);
    scenario.market.assets[0].spot = 71_000.0;
    check(&desk, &scenario);
}

/// Entry prices are cash in the market that is there, so the tables are read again in it.
fn moved_by_run(
    night: &Night,
    scenario: &shortfall::scenario::Scenario,
    account: &str,
) -> shortfall::service::api::Figures {
    let mut scenario = scenario.clone();
    scenario.portfolio = night.portfolio(&scenario.market);
    by_run(&scenario, account)
}

#[test]
fn readers_see_one_version_at_a_time() {
    let night = Night::new();
    let desk = Arc::new(open(night.served()));
    let expected = Mutex::new(std::collections::BTreeMap::new());
    let ends = AtomicBool::new(false);
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (desk, ends, seen) = (&desk, &ends, &seen);
            scope.spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let what_if = WhatIf {
                        account: Some("covered-call".to_owned()),
                        orders: vec![order("BTC-PERPETUAL", 1000.0)],
                        ..WhatIf::default()
                    };
                    let (version, before) = if reader == 0 {
                        let answer = desk.margin("covered-call", false, &Cancel::default()).unwrap();
                        (answer.market.version, answer.figures)
                    } else {
                        let answer = desk.what_if(&what_if, &Cancel::default()).unwrap();
                        (answer.market.version, answer.before)
                    };
                    seen.lock().unwrap().push((version, before));
                }
            });
        }
        for step in 0..6 {
            let note = desk.margin("covered-call", false, &Cancel::default()).unwrap();
            expected.lock().unwrap().insert(note.market.version, note.figures);
            let spot = 70_000.0 + 500.0 * f64::from(step);
            desk.update_market(&moved(&desk, spot), &Cancel::default()).unwrap();
        }
        let note = desk.margin("covered-call", false, &Cancel::default()).unwrap();
        expected.lock().unwrap().insert(note.market.version, note.figures);
        ends.store(true, Ordering::Relaxed);
    });
    let (expected, seen) = (expected.into_inner().unwrap(), seen.into_inner().unwrap());
    assert_eq!(expected.len(), 7);
    assert!(seen.len() > 20);
    for (version, figures) in &seen {
        assert_eq!(Some(figures), expected.get(version), "version {version}");
    }
    let distinct: std::collections::BTreeSet<u64> = seen.iter().map(|(version, _)| *version).collect();
    assert!(distinct.len() > 1, "readers saw {distinct:?}");
}

#[test]
fn accounts_change_while_the_market_does() {
    let night = Night::new();
    let desk = open(night.served());
    std::thread::scope(|scope| {
        let trading = scope.spawn(|| {
            for _ in 0..10 {
                let patch = Patch { positions: vec![order("BTC-PERPETUAL", 100.0)], ..Patch::default() };
                desk.patch("market-maker", &patch, None, &Cancel::default()).unwrap();
            }
        });
        for step in 0..4 {
            desk.update_market(&moved(&desk, 71_000.0 + f64::from(step)), &Cancel::default()).unwrap();
        }
        trading.join().unwrap();
    });
    let account = desk.account("market-maker").unwrap();
    assert_eq!(account.revision, 11);
    let rows = account.book.positions.iter().filter(|row| row.instrument == "BTC-PERPETUAL");
    assert_eq!(rows.map(|row| row.quantity).sum::<f64>(), 61_000.0);
    let again = WhatIf { hypothetical: Some(account.book), ..WhatIf::default() };
    let figures = desk.margin("market-maker", false, &Cancel::default()).unwrap().figures;
    assert_eq!(desk.what_if(&again, &Cancel::default()).unwrap().before, figures);
}

#[test]
fn an_old_answer_is_explained() {
    let night = Night::new();
    let desk = open(night.served());
    let before = desk.margin("market-maker", false, &Cancel::default()).unwrap();
    desk.update_market(&moved(&desk, 65_000.0), &Cancel::default()).unwrap();
    let explained = desk.explain("market-maker", None, 1, &Cancel::default()).unwrap();
    assert_eq!((explained.figures, explained.market.version), (before.figures, 1));
    assert_eq!(explained.worst_driver, before.worst_driver);
    assert_eq!(desk.market_versions().versions.len(), 2);
    let gone = desk.explain("market-maker", None, 9, &Cancel::default());
    assert!(matches!(gone, Err(DeskFault::NotFound { what: "market version", .. })));
}

#[test]
fn an_answer_is_explained_as_it_was_whatever_has_changed_since() {
    let night = Night::new();
    let desk = open(night.served());
    let none = Cancel::default();
    let trade =
        |quantity: f64| Patch { positions: vec![order("BTC-PERPETUAL", quantity)], ..Patch::default() };
    let mut answers = vec![desk.margin("market-maker", false, &none).unwrap()];
    answers.push(desk.patch("market-maker", &trade(50_000.0), None, &none).unwrap());
    desk.update_market(&moved(&desk, 65_000.0), &none).unwrap();
    answers.push(desk.margin("market-maker", false, &none).unwrap());
    answers.push(desk.patch("market-maker", &trade(-90_000.0), None, &none).unwrap());
    // The only account whose expiry within the horizon decides when paths are looked at.
    desk.remove("short-strangle", None).unwrap();
    answers.push(desk.margin("market-maker", false, &none).unwrap());
    desk.remove("market-maker", None).unwrap();
    let named: Vec<(u64, u64)> = answers.iter().map(|a| (a.revision, a.market.version)).collect();
    assert_eq!(named, [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3)]);
    assert_ne!(answers[3].figures, answers[4].figures, "other times, other paths");
    for answer in answers {
        let (revision, version) = (answer.revision, answer.market.version);
        let explained = desk.explain("market-maker", Some(revision), version, &none).unwrap();
        assert_eq!(explained.figures, answer.figures, "revision {revision}, market {version}");
        assert_eq!((explained.revision, explained.worst_driver), (revision, answer.worst_driver));
    }
    let gone = desk.explain("market-maker", None, 1, &none);
    assert!(matches!(gone, Err(DeskFault::NotFound { what: "account", .. })));
}

#[test]
fn revisions_are_kept_as_long_as_versions_and_no_more_than_fit() {
    let night = Night::new();
    let mut served = night.served();
    served.config.versions_kept_for = std::time::Duration::from_secs(60);
    let now = Arc::new(Mutex::new("2026-02-04T22:00:00Z".parse::<Timestamp>().unwrap()));
    let kept = |served: Served| {
        let clock = Arc::clone(&now);
        let desk = Desk::open_at(served, Arc::new(move || *clock.lock().unwrap())).unwrap();
        let mut kept = Vec::new();
        for _ in 0..4 {
            *now.lock().unwrap() += SignedDuration::from_secs(40);
            let cash = vec![Balance { asset: "USD".to_owned(), amount: 1.0 }];
            let patch = Patch { balances: cash, ..Patch::default() };
            desk.patch("covered-call", &patch, None, &Cancel::default()).unwrap();
            let revisions = desk.revisions("covered-call").unwrap().revisions;
            kept.push(revisions.iter().map(|kept| kept.revision).collect::<Vec<_>>());
        }
        kept
    };
    assert_eq!(kept(served.clone()), [vec![1], vec![1, 2], vec![2, 3], vec![3, 4]]);
    // Room for one of them: that of the last change always stays.
    served.config.versions_limit = 1;
    assert_eq!(kept(served), [vec![1], vec![2], vec![3], vec![4]]);
}

#[test]
fn versions_go_when_their_time_has_come() {
    let night = Night::new();
    let mut served = night.served();
    served.config.versions_kept_for = std::time::Duration::from_secs(60);
    let now = Arc::new(Mutex::new("2026-02-04T22:00:00Z".parse::<Timestamp>().unwrap()));
    let clock = Arc::clone(&now);
    let desk = Desk::open_at(served, Arc::new(move || *clock.lock().unwrap())).unwrap();
    let mut kept = Vec::new();
    for _ in 0..4 {
        *now.lock().unwrap() += SignedDuration::from_secs(40);
        desk.update_market(&moved(&desk, 70_000.0), &Cancel::default()).unwrap();
        kept.push(desk.market_versions().versions.iter().map(|v| v.version).collect::<Vec<_>>());
    }
    assert_eq!(kept, [vec![1, 2], vec![1, 2, 3], vec![2, 3, 4], vec![3, 4, 5]]);
}

#[test]
fn a_stale_market_is_flagged_or_refused() {
    let night = Night::new();
    let as_of = night.scenario().market.as_of;
    let at = move |seconds: i64| move || as_of + SignedDuration::from_secs(seconds);
    let mut served = night.served();
    served.config.market_age_limit = Some(std::time::Duration::from_secs(60));
    let young = Desk::open_at(served.clone(), Arc::new(at(59))).unwrap();
    assert!(!young.margin("covered-call", false, &Cancel::default()).unwrap().market.is_stale);
    let old = Desk::open_at(served.clone(), Arc::new(at(61))).unwrap();
    assert!(old.margin("covered-call", false, &Cancel::default()).unwrap().market.is_stale);
    served.config.refuse_stale = true;
    let refusing = Desk::open_at(served, Arc::new(at(61))).unwrap();
    let refused = refusing.margin("covered-call", false, &Cancel::default());
    assert!(matches!(refused, Err(DeskFault::StaleMarket { .. })));
    assert!(!refusing.status().is_ready);
}

#[test]
fn a_wrong_market_changes_nothing() {
    let night = Night::new();
    let desk = open(night.served());
    let before = desk.margin("market-maker", false, &Cancel::default()).unwrap();
    let mut update = moved(&desk, f64::NAN);
    update.assets.push(AssetUpdate { asset: "NOPE".to_owned(), ..AssetUpdate::default() });
    update.as_of -= SignedDuration::from_hours(1);
    let Err(DeskFault::Invalid(faults)) = desk.update_market(&update, &Cancel::default()) else {
        panic!("refused")
    };
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["as_of", "assets[0].spot", "assets[1].asset"]);
    // An account that holds what has expired by then is named.
    let mut late = moved(&desk, 70_000.0);
    late.as_of += SignedDuration::from_hours(24);
    let Err(DeskFault::Invalid(faults)) = desk.update_market(&late, &Cancel::default()) else {
        panic!("refused")
    };
    assert_eq!(faults[0].field, "short-strangle.positions[2].instrument");
    assert_eq!(desk.margin("market-maker", false, &Cancel::default()).unwrap().figures, before.figures);
    assert_eq!(desk.market().market.version, 1);
}

#[test]
fn what_does_not_fit_is_refused_beforehand() {
    let night = Night::new();
    let mut served = night.served();
    served.config.memory_limit = Some(1 << 20);
    assert!(matches!(Desk::open(served), Err(DeskFault::TooLarge { .. })));
}
