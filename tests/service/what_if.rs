//! Questions that change nothing.

use shortfall::service::api::{Balance, Book, Figures, HedgeRequest, Position, WhatIf, WhatIfBatch};
use shortfall::service::{Cancel, Desk, DeskFault};

use crate::night::{Night, by_run, open, order};

fn figures(desk: &Desk, account: &str) -> Figures {
    desk.margin(account, false, &Cancel::default()).unwrap().figures
}

fn what_if(account: &str, orders: Vec<Position>) -> WhatIf {
    WhatIf { account: Some(account.to_owned()), orders, ..WhatIf::default() }
}

/// An order of every kind: held and not, entered at a price, within the horizon, several at once.
fn orders() -> Vec<(&'static str, Vec<Position>)> {
    let entered = |instrument: &str, quantity: f64, price: f64| Position {
        entry_price: Some(price),
        ..order(instrument, quantity)
    };
    let implied = Position { implied_volatility: Some(0.8), ..order("SOL_USDC-27MAR26-90-P", -300.0) };
    vec![
        ("market-maker,BTC-PERPETUAL,-25000,,", vec![order("BTC-PERPETUAL", -25_000.0)]),
        ("market-maker,BTC-27MAR26-90000-C,3,,", vec![order("BTC-27MAR26-90000-C", 3.0)]),
        ("market-maker,ETH_USDC-PERPETUAL,40,2100,", vec![entered("ETH_USDC-PERPETUAL", 40.0, 2100.0)]),
        ("market-maker,BTC-PERPETUAL,5000,70000,", vec![entered("BTC-PERPETUAL", 5000.0, 70_000.0)]),
        ("market-maker,BTC-5FEB26-72000-P,-2,,", vec![order("BTC-5FEB26-72000-P", -2.0)]),
        ("market-maker,BTC-6FEB26,-20000,,", vec![order("BTC-6FEB26", -20_000.0)]),
        ("market-maker,SOL_USDC-27MAR26-90-P,-300,,0.8", vec![implied]),
        (
            "market-maker,ETH,2,,\nmarket-maker,ETH,-2,,\nmarket-maker,SOL,7,,",
            vec![order("ETH", 2.0), order("ETH", -2.0), order("SOL", 7.0)],
        ),
    ]
}

#[test]
fn a_what_if_is_a_run_with_the_rows_appended() {
    let mut checked = 0;
    for (rows, orders) in orders() {
        let night = Night::new();
        night.volatility_column();
        let desk = open(night.served());
        let before = by_run(&night.scenario(), "market-maker");
        let answer = desk.what_if(&what_if("market-maker", orders.clone()), &Cancel::default()).unwrap();
        night.append("positions.csv", rows);
        let after = by_run(&night.scenario(), "market-maker");
        assert_eq!((&answer.before, &answer.after), (&before, &after), "{rows}");
        assert_ne!(answer.before, answer.after, "{rows}");
        // The account stays as it is; and priced from the start gives the same as priced on the way.
        assert_eq!(figures(&desk, "market-maker"), before, "{rows}");
        assert_eq!(figures(&open(night.served()), "market-maker"), after, "{rows}");
        checked += 1;
    }
    assert_eq!(checked, 8);
}

#[test]
fn balances_and_hypothetical_books_are_margined_too() {
    let night = Night::new();
    let desk = open(night.served());
    let book = desk.account("market-maker").unwrap().book;
    let balances = vec![
        Balance { asset: "USD".to_owned(), amount: -1250.0 },
        Balance { asset: "BTC".to_owned(), amount: 0.25 },
    ];
    let of_account = WhatIf { balances: balances.clone(), ..what_if("market-maker", Vec::new()) };
    let of_account = desk.what_if(&of_account, &Cancel::default()).unwrap();
    let hypothetical = WhatIf { hypothetical: Some(book), balances, ..WhatIf::default() };
    let hypothetical = desk.what_if(&hypothetical, &Cancel::default()).unwrap();
    assert_eq!(of_account.before, hypothetical.before);
    assert_eq!(of_account.after, hypothetical.after);
    night.append("balances.csv", "market-maker,USD,-1250\nmarket-maker,BTC,0.25");
    assert_eq!(of_account.after, by_run(&night.scenario(), "market-maker"));
    // A book of nothing needs nothing.
    let nothing = WhatIf { hypothetical: Some(Book::default()), ..WhatIf::default() };
    let nothing = desk.what_if(&nothing, &Cancel::default()).unwrap();
    assert_eq!((nothing.after.initial_margin, nothing.after.health), (0.0, None));
}

#[test]
fn a_batch_is_its_what_ifs_one_by_one() {
    let night = Night::new();
    let desk = open(night.served());
    let mut what_ifs: Vec<WhatIf> =
        orders().into_iter().take(4).map(|(_, orders)| what_if("covered-call", orders)).collect();
    what_ifs.insert(1, what_if("nobody", Vec::new()));
    let batch = desk.what_ifs(&WhatIfBatch { what_ifs: what_ifs.clone() }, &Cancel::default()).unwrap();
    assert_eq!(batch.answers.len(), what_ifs.len());
    for (index, (item, what_if)) in batch.answers.iter().zip(&what_ifs).enumerate() {
        match desk.what_if(what_if, &Cancel::default()) {
            Ok(alone) => {
                let answer = item.answer.as_ref().unwrap();
                assert_eq!((&answer.before, &answer.after), (&alone.before, &alone.after));
                let difference = answer.after.initial_margin - answer.before.initial_margin;
                assert_eq!(answer.difference.initial_margin, difference);
                assert_eq!(answer.difference.equity, answer.after.equity - answer.before.equity);
            }
            Err(fault) => {
                assert_eq!((index, &fault.refusal()), (1, item.refusal.as_ref().unwrap()));
            }
        }
    }
}

#[test]
fn a_hedge_lowers_the_margin_as_far_as_one_instrument_can() {
    let night = Night::new();
    let desk = open(night.served());
    let request = HedgeRequest {
        account: Some("long-perpetuals".to_owned()),
        hypothetical: None,
        instruments: ["SOL_USDC-PERPETUAL", "BTC-PERPETUAL", "ETH_USDC-PERPETUAL"]
            .map(str::to_owned)
            .to_vec(),
        most_units: None,
    };
    let answer = desk.hedge(&request, &Cancel::default()).unwrap();
    let before = figures(&desk, "long-perpetuals");
    assert_eq!(answer.before, before);
    assert!(answer.hedges.windows(2).all(|pair| pair[0].reduction >= pair[1].reduction));
    for hedge in &answer.hedges {
        let at = |quantity: f64| {
            let what_if = what_if("long-perpetuals", vec![order(&hedge.instrument, quantity)]);
            desk.what_if(&what_if, &Cancel::default()).unwrap().after
        };
        // The account is long: all hedges are sales, and each does what it says.
        assert!(hedge.per_unit > 0.0 && hedge.quantity < 0.0, "{hedge:?}");
        assert_eq!(at(hedge.quantity), hedge.after);
        assert_eq!(before.initial_margin - hedge.after.initial_margin, hedge.reduction);
        assert!(hedge.reduction > 0.01 * before.initial_margin, "{hedge:?}");
        for other in [0.9, 1.1] {
            assert!(at(other * hedge.quantity).initial_margin >= hedge.after.initial_margin, "{hedge:?}");
        }
        // The first unit lowers it by what the derivative says.
        let small = 0.001 * hedge.quantity;
        let slope = (at(small).initial.expected_shortfall - before.initial.expected_shortfall) / small;
        assert!((slope / hedge.per_unit - 1.0).abs() < 0.02, "{slope} {}", hedge.per_unit);
    }
    // A limit is kept.
    let limited = HedgeRequest { most_units: Some(100.0), ..request };
    let limited = desk.hedge(&limited, &Cancel::default()).unwrap();
    assert!(limited.hedges.iter().all(|hedge| hedge.quantity.abs() <= 100.0));
}

#[test]
fn what_is_wrong_is_named_all_at_once() {
    let night = Night::new();
    let desk = open(night.served());
    let orders = vec![
        order("BTC-PERPETUAL", f64::NAN),
        order("BTC-PERPETUAL", 1e16),
        Position { entry_price: Some(-1.0), ..order("BTC-PERPETUAL", 1.0) },
    ];
    let Err(DeskFault::Invalid(faults)) = desk.what_if(&what_if("covered-call", orders), &Cancel::default())
    else {
        panic!("refused")
    };
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["orders[0].quantity", "orders[1].quantity", "orders[2].entry_price"]);
    let orders =
        vec![order("BTC-PERPETUAL", 1.0), order("NOPE-PERPETUAL", 1.0), order("BTC-27MAR26-1-X", 1.0)];
    let Err(DeskFault::Invalid(faults)) = desk.what_if(&what_if("covered-call", orders), &Cancel::default())
    else {
        panic!("refused")
    };
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["orders[1].instrument", "orders[2].instrument"]);
    let neither = desk.what_if(&WhatIf::default(), &Cancel::default());
    assert!(matches!(neither, Err(DeskFault::Invalid(_))));
    let unknown = desk.what_if(&what_if("nobody", Vec::new()), &Cancel::default());
    assert!(matches!(unknown, Err(DeskFault::NotFound { .. })));
}

#[test]
fn a_cancelled_question_stops() {
    let night = Night::new();
    let desk = open(night.served());
    let cancel = Cancel::default();
    cancel.cancel();
    let asked = what_if("market-maker", vec![order("BTC-27MAR26-91000-C", 3.0)]);
    assert_eq!(desk.what_if(&asked, &cancel).unwrap_err(), DeskFault::Cancelled);
    assert!(desk.what_if(&asked, &Cancel::default()).is_ok());
}
