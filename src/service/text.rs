//! Answers as people read them on a terminal.

use super::api::{AccountState, Figures, WhatIfAnswer};
use crate::margin::Line;
use crate::report::number::{count, decimals, grouped};

/// A what-if as a table: before, after, difference.
pub fn what_if(answer: &WhatIfAnswer) -> String {
    let WhatIfAnswer { before, after, difference, market, .. } = answer;
    let size =
        before.initial_margin.abs().max(after.initial_margin.abs()).max(difference.initial_margin.abs());
    let places = decimals(size);
    let money = |x: f64| grouped(x, places);
    let ratio = |x: Option<f64>| x.map_or("–".to_owned(), |x| grouped(x, 2));
    let with_error = |es: f64, error: f64| format!("{} ± {}", money(es), money(error));
    let level = |confidence: f64, days: f64| format!("ES {}% {days}d", (confidence * 1e4).round() / 1e2);
    let tail = |figures: &Figures, is_initial: bool| {
        let tail = if is_initial { &figures.initial } else { &figures.maintenance };
        with_error(tail.expected_shortfall, tail.standard_error)
    };
    let (m, i) = (&before.maintenance, &before.initial);
    let mut rows = vec![
        row("", "before".to_owned(), "after".to_owned(), "difference".to_owned()),
        row(
            "initial margin",
            money(before.initial_margin),
            money(after.initial_margin),
            signed(difference.initial_margin, places),
        ),
        row(
            "maintenance margin",
            money(before.maintenance_margin),
            money(after.maintenance_margin),
            signed(difference.maintenance_margin, places),
        ),
        row(
            &level(i.confidence, i.horizon_days),
            tail(before, true),
            tail(after, true),
            signed(difference.initial_expected_shortfall, places),
        ),
        row(
            &level(m.confidence, m.horizon_days),
            tail(before, false),
            tail(after, false),
            signed(difference.maintenance_expected_shortfall, places),
        ),
        row("equity", money(before.equity), money(after.equity), signed(difference.equity, places)),
        row(
            "gross notional",
            money(before.gross_notional),
            money(after.gross_notional),
            signed(difference.gross_notional, places),
        ),
        row(
            "health",
            ratio(before.health),
            ratio(after.health),
            difference.health.map_or("–".to_owned(), |x| signed(x, 2)),
        ),
        row("state", state(before.state).to_owned(), state(after.state).to_owned(), String::new()),
    ];
    let components = after.initial_components.iter().zip(before.initial_components.iter());
    let is_shown = |((line, after), (_, before)): &((Line, f64), (Line, f64))| {
        *line != Line::ExpectedShortfall && (*after != 0.0 || *before != 0.0)
    };
    // The Expected Shortfall has a row of its own.
    let components = components.filter(is_shown).map(|((line, after), (_, before))| {
        let name = format!("  {}", line.name().replace('_', " "));
        row(&name, money(before), money(after), signed(after - before, places))
    });
    rows.splice(2..2, components);
    let stale = if market.is_stale { ", STALE" } else { "" };
    format!(
        "{}: market {} of {}{stale}, {} paths, money in {}; ± one standard error\n\n{}",
        answer.account.as_deref().unwrap_or("empty account"),
        market.version,
        market.as_of,
        count(answer.paths),
        answer.currency,
        aligned(&rows),
    )
}

type Row = [String; 4];

fn row(name: &str, before: String, after: String, difference: String) -> Row {
    [name.to_owned(), before, after, difference]
}

fn signed(x: f64, places: usize) -> String {
    let text = grouped(x, places);
    if x > 0.0 { format!("+{text}") } else { text }
}

fn state(state: AccountState) -> &'static str {
    match state {
        AccountState::Liquidate => "liquidate",
        AccountState::MarginCall => "margin call",
        AccountState::Healthy => "healthy",
    }
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[Row]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    let line = |row: &Row| {
        let [name, before, after, difference] = row;
        let line = format!(
            "  {name:<0$}  {before:>1$}  {after:>2$}  {difference:>3$}",
            widths[0], widths[1], widths[2], widths[3]
        );
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}
