//! Liquidation as a table for people.

use super::number::{count, decimals, grouped};
use super::text::plain;
use crate::liquidation::{
    AccountRisk, Analysis, Cascade, Fund, FundSize, LiquidationPrice, Reduction, Surface,
};

/// Accounts that are shown; JSON has all.
const SHOWN_ACCOUNTS: usize = 60;
/// Trades of one account that are shown.
const SHOWN_TRADES: usize = 4;

/// The tables of an analysis.
pub fn render(analysis: &Analysis) -> String {
    let mut text = format!(
        "{}: over {:.3} days, {} recalculations, {} paths; money in {}; ± one standard error\n",
        plain(&analysis.case),
        analysis.horizon_days,
        analysis.checks,
        count(analysis.paths),
        analysis.currency,
    );
    let largest = analysis.accounts.iter().map(|a| a.maintenance_margin).fold(0.0, f64::max);
    let decimals = decimals(largest);
    let rows = analysis.accounts.iter().take(SHOWN_ACCOUNTS).map(|account| ladder(account, decimals));
    text.push_str(&table(
        &[
            "account",
            "rung",
            "health",
            "equity",
            "maintenance",
            "breach",
            "at end only",
            "loss beyond, looked at",
            "at end only",
        ],
        rows.collect(),
    ));
    text.push_str(&format!(
        "  margins along paths are interpolated: {:.2} % off (root mean square), {:.2} % at most, over {} joint moves\n",
        100.0 * analysis.curve_error.root_mean_square,
        100.0 * analysis.curve_error.largest,
        analysis.curve_error.moves,
    ));
    text.push_str(&prices(analysis, decimals));
    text.push_str(&format!(
        "\ninsurance fund: ES {}% of losses beyond collateral\n",
        100.0 * analysis.fund.confidence
    ));
    let fund = [("with recalculations", &analysis.fund.recalculated), ("at end only", &analysis.fund.at_end)];
    text.push_str(&table(
        &["", "cover-1", "cover-2", "all accounts"],
        fund.map(|(name, size)| fund_row(name, size, decimals)).to_vec(),
    ));
    text.push_str(&fund_sample(&analysis.fund));
    if !analysis.cascades.is_empty() {
        text.push_str("\ncascades: all prices fall at once, liquidations move them further\n");
        text.push_str(&table(
            &[
                "fall",
                "liquidated",
                "loss beyond",
                "with cascade",
                "loss beyond",
                "waves",
                "traded",
                "largest move",
            ],
            analysis.cascades.iter().map(|cascade| cascade_row(cascade, decimals)).collect(),
        ));
    }
    analysis.surface.iter().for_each(|surface| text.push_str(&render_surface(surface)));
    text
}

fn ladder(account: &AccountRisk, decimals: usize) -> Vec<String> {
    let breach = &account.breach;
    let loss = |delay: Option<&crate::liquidation::Delayed>| {
        delay.map_or("–".to_owned(), |d| {
            format!(
                "{} ± {}",
                grouped(d.loss_beyond_collateral, decimals),
                grouped(d.standard_error, decimals)
            )
        })
    };
    vec![
        plain(&account.account),
        account.rung.name().to_owned(),
        shown_health(account.health),
        grouped(account.equity, decimals),
        grouped(account.maintenance_margin, decimals),
        format!("{:.2} ± {:.2} %", 100.0 * breach.probability, 100.0 * breach.probability_error),
        format!("{:.2} %", 100.0 * breach.probability_at_end),
        loss(breach.delays.first()),
        loss(breach.delays.last()),
    ]
}

fn prices(analysis: &Analysis, decimals: usize) -> String {
    let mut text = String::new();
    for account in &analysis.accounts {
        let found = &account.liquidation_prices;
        if found.is_empty() && account.reduction.is_none() {
            continue;
        }
        text.push_str(&format!("\n{}\n", plain(&account.account)));
        for price in found {
            text.push_str(&format!(
                "  equity meets the margin at {} {} ({:+.1} %), health there {}\n",
                price.asset,
                grouped(price.price, super::number::decimals(price.price)),
                100.0 * price.relative_move,
                price.health_there.map_or("–".to_owned(), |health| format!("{health:.4}")),
            ));
            text.push_str(&push(account, price));
        }
        account.reduction.iter().for_each(|reduction| text.push_str(&trades(reduction, decimals)));
    }
    text
}

/// Whether it pays to push the oracle to a price.
fn push(account: &AccountRisk, price: &LiquidationPrice) -> String {
    let Some(push) = &price.push else { return String::new() };
    let makes = if account.health.is_none_or(|health| health >= 1.0) { "fail" } else { "pass" };
    format!(
        "    pushing the oracle there makes it {makes}: {:+.1} % held for {:.0} s, {} USD at a time; costs {}, gains at most {} USD: {}\n",
        100.0 * push.attack.deviation,
        push.attack.seconds,
        grouped(push.attack.capital, 0),
        grouped(push.attack.cost, 0),
        grouped(push.gain, 0),
        if push.pays { "it pays" } else { "it does not pay" },
    )
}

fn trades(reduction: &Reduction, decimals: usize) -> String {
    let shown = reduction.trades.iter().take(SHOWN_TRADES);
    let mut shown: Vec<String> =
        shown.map(|trade| format!("{:+.4} {}", trade.quantity, plain(&trade.instrument))).collect();
    if reduction.trades.len() > SHOWN_TRADES {
        shown.push(format!("{} more", reduction.trades.len() - SHOWN_TRADES));
    }
    let after = shown_health(reduction.health_after);
    let deposit = grouped(reduction.deposit_instead, decimals);
    let notional = grouped(reduction.notional, decimals);
    match reduction.is_restored {
        true => format!(
            "  restored to health {after} by {} ({notional} of notional), or a deposit of {deposit}\n",
            shown.join(", ")
        ),
        false => format!(
            "  no trades restore it (health {after} after {notional} of notional); a deposit of {deposit} does\n"
        ),
    }
}

/// How far the fund's figures can be trusted.
fn fund_sample(fund: &Fund) -> String {
    let needed = fund.paths_needed.map_or("no path loses anything".to_owned(), |paths| {
        format!("--paths {paths} makes the error of all accounts a tenth of it")
    });
    match fund.is_sampled_enough {
        true => format!("  {:.0} paths in the tail; {needed}\n", fund.tail_paths),
        false => format!(
            "  ! too few paths: {:.1} in the tail, not a figure to act on; {needed}\n",
            fund.tail_paths
        ),
    }
}

fn fund_row(name: &str, size: &FundSize, decimals: usize) -> Vec<String> {
    let money = |x: f64, error: f64| format!("{} ± {}", grouped(x, decimals), grouped(error, decimals));
    vec![
        name.to_owned(),
        money(size.cover_1, size.cover_1_error),
        money(size.cover_2, size.cover_2_error),
        money(size.all, size.all_error),
    ]
}

fn cascade_row(cascade: &Cascade, decimals: usize) -> Vec<String> {
    let traded: f64 = cascade.waves.iter().map(|wave| wave.traded).sum();
    let moved = cascade.waves.iter().map(|wave| wave.largest_move).fold(0.0, f64::max);
    vec![
        format!("-{:.0} %", 100.0 * cascade.fall),
        cascade.liquidated_by_fall.to_string(),
        grouped(cascade.loss_without, decimals),
        cascade.liquidated.to_string(),
        grouped(cascade.loss_with, decimals),
        format!("{}{}", cascade.waves.len(), if cascade.is_cut_off { "+" } else { "" }),
        grouped(traded, decimals),
        format!("{:.1} %", 100.0 * moved),
    ]
}

fn render_surface(surface: &Surface) -> String {
    let percent = |x: &f64| format!("{:+.0} %", 100.0 * x);
    let mut header = vec![format!("{} \\ {}", surface.rows, surface.columns)];
    header.extend(surface.moves.iter().map(percent));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = surface.moves.iter().zip(&surface.health).map(|(x, row)| {
        std::iter::once(percent(x)).chain(row.iter().map(|health| shown_health(*health))).collect()
    });
    format!(
        "\n{}: health after moves of {} (rows) and {} (columns); below 1 it is liquidated\n{}",
        plain(&surface.account),
        surface.rows,
        surface.columns,
        table(&header, rows.collect())
    )
}

/// Never `1.00` for an account that is below it.
fn shown_health(health: Option<f64>) -> String {
    health.map_or("–".to_owned(), |health| match health {
        health if health >= 1000.0 => ">1,000".to_owned(),
        health => format!("{:.2}", (health * 100.0).floor() / 100.0),
    })
}

/// Cells under one another; the first column to the left.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (column, (cell, width)) in cells.into_iter().zip(&widths).enumerate() {
            text.push_str(&match column {
                0 => format!("  {cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
        }
        format!("{}\n", text.trim_end())
    };
    let mut text = line(header.to_vec());
    rows.iter().for_each(|row| text.push_str(&line(row.iter().map(String::as_str).collect())));
    text
}
