//! The rule language: what it says, and what it refuses.

use shortfall::rulebook::{MarginFault, open, read, read_book};

/// A rulebook of every kind of component, small enough to follow by hand.
const SMALL: &str = r#"
name: small
effective: 2026-01-01
title: a small rulebook
source: this test
parameters:
  move_size: {BTC: 10%, default: 50%}
tables:
  tiers: [[0, 1%], [1000, 2%]]
inputs:
  extra: {at: underlying, default: 7}
  needed: {at: book}
components:
  size: {at: position, sum: abs(quantity) * price}
  largest: {at: position, max: abs(quantity) * price}
  tiered: {at: underlying, sum: "progressive(tiers, size)"}
  longs: {at: position, where: quantity > 0, sum: quantity}
  up:
    at: underlying
    scan:
      scenarios: [{price: [-move_size, move_size]}]
margins:
  maintenance: -up + tiered
  initial: size + 0 * longs
"#;

const BOOK: &str = r#"{
  "underlyings": {"BTC": {"spot": 100, "inputs": {"extra": 1}}, "ETH": {"spot": 10}},
  "positions": [
    {"kind": "perpetual", "underlying": "BTC", "quantity": 30},
    {"kind": "perpetual", "underlying": "BTC", "quantity": -10},
    {"kind": "collateral", "underlying": "ETH", "quantity": 1e1}
  ]
}"#;

#[test]
fn components_reduce_from_level_to_level() {
    let rulebook = read("small.yaml", SMALL).unwrap();
    let book = read_book("book.json", BOOK, &rulebook).unwrap();
    let result = rulebook.margin(&book).unwrap();
    let total = |name: &str| result.components.iter().find(|c| c.name == name).unwrap().total.unwrap();
    assert_eq!(total("size"), 3_000.0 + 1_000.0 + 100.0);
    assert_eq!(total("largest"), 3_000.0);
    // BTC 4,000: 1 % of 1,000 and 2 % of 3,000; ETH 100: 1 %.
    assert_eq!(total("tiered"), 70.0 + 1.0);
    assert_eq!(total("longs"), 40.0);
    // BTC net long 20 at 100 falls 10 %, ETH 10 at 10 falls 50 %.
    assert_eq!(total("up"), -(200.0 + 50.0));
    assert_eq!((result.maintenance, result.initial), (250.0 + 71.0, 4_100.0));
}

#[test]
fn what_has_no_value_is_a_fault_and_no_number() {
    let text = SMALL.replace("initial: size + 0 * longs", "initial: max(size, needed)");
    let rulebook = read("small.yaml", &text).unwrap();
    let book = read_book("book.json", BOOK, &rulebook).unwrap();
    let fault = rulebook.margin(&book).unwrap_err();
    let expected = MarginFault::Missing {
        component: "the initial margin".to_owned(),
        what: "`needed`".to_owned(),
        entity: "the book".to_owned(),
    };
    assert_eq!(fault, expected);

    // A parameter without a value for an asset: HYPE is not in Deribit's rulebook.
    let rulebook = open("deribit-pm", None).unwrap();
    let book = r#"{"underlyings": {"HYPE": {"spot": 30}}, "positions": [{"kind": "perpetual", "underlying": "HYPE", "quantity": 1}]}"#;
    let fault = rulebook.margin(&read_book("b", book, &rulebook).unwrap()).unwrap_err();
    assert!(
        matches!(&fault, MarginFault::Missing { what, entity, .. } if what == "`price_range`" && entity == "HYPE"),
        "{fault}"
    );

    // Rules for perpetuals alone are no rules for an option, and a margin of zero would be wrong.
    let text = SMALL.replace("parameters:", "covers: [perpetual]\nparameters:");
    let rulebook = read("small.yaml", &text).unwrap();
    let fault = rulebook.margin(&read_book("book.json", BOOK, &rulebook).unwrap()).unwrap_err();
    assert!(matches!(fault, MarginFault::NotCovered { kind: "collateral", .. }), "{fault}");

    let text = SMALL.replace("initial: size + 0 * longs", "initial: size / (cash - cash)");
    let rulebook = read("small.yaml", &text).unwrap();
    let fault = rulebook.margin(&read_book("book.json", BOOK, &rulebook).unwrap()).unwrap_err();
    assert!(matches!(fault, MarginFault::NotFinite { .. }), "{fault}");
}

#[test]
fn every_fault_of_a_rulebook_is_reported() {
    let text = SMALL
        .replace("sum: abs(quantity) * price}", "sum: abs(quantty) * price}")
        .replace("max: abs(quantity) * price", "max: abs(quantity")
        .replace("maintenance: -up + tiered", "maintenance: -up + spot")
        .replace("effective: 2026-01-01", "effective: soon")
        .replace("price: [-move_size, move_size]", "price: [-move_size, move_size], volatility: sideways");
    let faults = read("small.yaml", &text).unwrap_err().to_string();
    for part in ["`quantty`", "it ends where", "`spot` has no value per book", "`soon`", "`sideways`"] {
        assert!(faults.contains(part), "{part} in {faults}");
    }
    assert!(faults.starts_with("5 faults"), "{faults}");
}

#[test]
fn every_fault_of_a_book_is_reported() {
    let rulebook = open("derive-pm2", None).unwrap();
    let text = r#"{
  "cash": "much",
  "underlyings": {"BTC": {"spot": -1, "expiries": {"a": {"forward": 1, "seconds": 1, "expires": "2026-01-01T00:00:00Z"}}}},
  "positions": [
    {"kind": "option", "underlying": "BTC", "expiry": "b", "right": "call", "strike": 1, "quantity": 1, "volatility": 1},
    {"kind": "swap", "underlying": "ETH", "quantity": 1, "size": 2}
  ]
}"#;
    let faults = read_book("book.json", text, &rulebook).unwrap_err().to_string();
    for part in ["book.json:2:11: cash", "book.json:3:35: underlyings.BTC.spot", "without `as_of`"] {
        assert!(faults.contains(part), "{part} in {faults}");
    }
    let text = r#"{
  "inputs": {"stable": 1},
  "underlyings": {"BTC": {"spot": 1, "expiries": {"a": {"forward": 1, "seconds": 1}}}},
  "positions": [
    {"kind": "option", "underlying": "BTC", "expiry": "b", "right": "call", "strike": 0, "quantity": 1, "volatility": 21},
    {"kind": "swap", "underlying": "ETH", "quantity": 1e16},
    {"kind": "perpetual", "underlying": "BTC", "quantity": 1, "arrays": {"worst_tail": [1, 2]}}
  ]
}"#;
    let faults = read_book("book.json", text, &rulebook).unwrap_err().to_string();
    for part in [
        "input `stable`",
        "positions[0].expiry",
        "positions[0].strike",
        "positions[0].volatility",
        "positions[1].kind",
        "positions[1].underlying",
        "positions[1].quantity",
        "8 losses",
    ] {
        assert!(faults.contains(part), "{part} in {faults}");
    }
}

#[test]
fn hostile_texts_are_faults() {
    let rulebook = open("derive-pm2", None).unwrap();
    for text in [
        "",
        "[]",
        "{",
        "null",
        "{\"underlyings\": {}, \"positions\": [null]}",
        "{\"underlyings\": 3, \"positions\": {}}",
    ] {
        assert!(read_book("b", text, &rulebook).is_err(), "{text}");
        assert!(read("r", text).is_err(), "{text}");
    }
}
