//! Answers about accounts.

use shortfall::service::api::{Position, WhatIf};
use shortfall::service::{Cancel, Desk};

use crate::night::{Night, by_run};

pub fn order(instrument: &str, quantity: f64) -> Position {
    Position { instrument: instrument.to_owned(), quantity, entry_price: None, implied_volatility: None }
}

fn desk(night: &Night) -> Desk {
    Desk::open(night.served()).unwrap_or_else(|fault| panic!("{fault}"))
}

#[test]
fn margins_are_those_of_a_run() {
    let night = Night::new();
    let desk = desk(&night);
    let scenario = night.scenario();
    for account in &scenario.portfolio.accounts {
        let answer = desk.margin(&account.name, false, &Cancel::default()).unwrap();
        assert_eq!(answer.figures, by_run(&scenario, &account.name), "{}", account.name);
    }
}

#[test]
fn a_what_if_is_a_run_with_the_row_appended() {
    let night = Night::new();
    let desk = desk(&night);
    let before = by_run(&night.scenario(), "market-maker");
    let what_if = WhatIf {
        account: Some("market-maker".to_owned()),
        orders: vec![order("BTC-PERPETUAL", -25_000.0)],
        ..WhatIf::default()
    };
    let answer = desk.what_if(&what_if, &Cancel::default()).unwrap();
    night.append("positions.csv", "market-maker,BTC-PERPETUAL,-25000,");
    let after = by_run(&night.scenario(), "market-maker");
    assert_eq!((&answer.before, &answer.after), (&before, &after));
    assert_ne!(answer.before, answer.after);
    // The account stays as it is.
    assert_eq!(desk.margin("market-maker", false, &Cancel::default()).unwrap().figures, before);
}
