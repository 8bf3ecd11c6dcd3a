//! Full-revaluation VaR and ES of eleven option books under Merton jumps.

use crate::books::{Leg, books};
use crate::table::read;
use crate::tolerance::{BOOK_RELATIVE, close};
use shortfall::closed_form::black::black_forward;
use shortfall::closed_form::expected_shortfall::{LossGrid, book_tail};
use shortfall::closed_form::{MertonModel, OptionKind};

/// In coin only options are divided by the forward; `U` counts as money in both units, which is
/// how the reference table has it.
fn leg_value(leg: &Leg, forward_now: f64, forward: f64, day: f64, coin: bool) -> f64 {
    let option = |kind| {
        let sd = leg.iv * ((leg.expiry_days - day) / 365.0).sqrt();
        let value = black_forward(kind, forward, leg.strike, sd);
        leg.qty * if coin { value / forward } else { value }
    };
    match leg.kind.as_str() {
        "C" => option(OptionKind::Call),
        "P" => option(OptionKind::Put),
        "U" => leg.qty * forward,
        "I" => leg.qty * (1.0 / forward_now - 1.0 / forward) * if coin { 1.0 } else { forward },
        other => panic!("leg type {other}"),
    }
}

#[test]
fn option_books() {
    let books = books();
    let grid = LossGrid { kinks: Vec::new(), panel_width_max: 0.02 };
    let (mut worst, mut impossible) = (0f64, 0);
    for row in read("option_books_es.csv", 168) {
        let legs = &books.portfolios[row.text("portfolio")];
        let (day, coin) = (row.number("horizon_days_365"), row.text("unit") == "coin");
        let value = |forward: f64, day: f64| -> f64 {
            legs.iter().map(|leg| leg_value(leg, books.forward_now, forward, day, coin)).sum()
        };
        let now = value(books.forward_now, 0.0);
        assert!(close(now, row.number("V0"), 1e-11), "{row}\nours {now}");
        let model = MertonModel {
            volatility: row.number("sigma"),
            intensity: row.number("lambda"),
            mean_log_jump: row.number("mean_log_jump"),
            sd_log_jump: row.number("sd_log_jump"),
        };
        let law = model.law(day / 365.0).expect("valid");
        let loss = |x: f64| now - value(books.forward_now * x.exp(), day);
        let ours = book_tail(loss, &law, &grid, row.number("alpha")).expect("valid");
        // A long option can lose its premium and no more: where the table says otherwise it is wrong.
        let premium = row.number("V0");
        let long_option = row.text("portfolio") == "long_call_7d";
        if long_option && row.number("ES") > premium * (1.0 + BOOK_RELATIVE) {
            impossible += 1;
            assert!(ours.expected_shortfall <= premium * (1.0 + 1e-10), "{row} ours {ours:?}");
            assert!(close(ours.value_at_risk, row.number("VaR"), BOOK_RELATIVE), "{row} ours {ours:?}");
            continue;
        }
        for (ours, column) in [(ours.value_at_risk, "VaR"), (ours.expected_shortfall, "ES")] {
            let exact = row.number(column);
            assert!(close(ours, exact, BOOK_RELATIVE), "{row}\n{column} ours {ours}");
            worst = worst.max((ours / exact - 1.0).abs());
        }
    }
    assert_eq!(impossible, 1, "rows of the table that exceed the premium");
    println!("worst relative error {worst:e}, {impossible} rows impossible");
}
