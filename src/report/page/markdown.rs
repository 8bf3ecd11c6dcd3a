//! A run in Markdown, for a chat: sums, the neediest accounts, stresses, and what made it.

use std::fmt::Write;

use super::by_need;
use super::input::{Saved, SavedCase};
use super::sections::{health, money, with_error};
use crate::report::number::count;

/// Accounts in the table.
const MOST_ACCOUNTS: usize = 20;

/// The run as Markdown.
pub fn markdown(saved: &Saved) -> String {
    let summary = &saved.summary;
    let mut text = String::new();
    let _ = writeln!(text, "## {}\n", plain(&summary.scenario));
    let _ = writeln!(
        text,
        "Market of {}, money in {}; ± is one standard error, losses and margins are positive.\n",
        plain(&summary.as_of),
        plain(&summary.currency)
    );
    if let Some(case) = summary.cases.first() {
        accounts(case, &mut text);
    }
    if summary.cases.len() > 1 {
        cases(&summary.cases, &mut text);
    }
    let device = &saved.manifest.device;
    let _ = writeln!(
        text,
        "Run `{}`, shortfall {}, {} {}, {}, seed {}.",
        code(&saved.manifest.run_id),
        plain(&saved.manifest.shortfall_version),
        plain(&device.engine),
        plain(&device.detail),
        plain(&summary.precision),
        summary.seed
    );
    text
}

fn accounts(case: &SavedCase, text: &mut String) {
    if let Some(reason) = &case.failure {
        let _ = writeln!(text, "The base case has no result: {}\n", plain(reason));
        return;
    }
    let accounts = by_need(case);
    text.push_str("| account | state | health | equity | ES, maintenance | ES, initial | maintenance margin | initial margin |\n");
    text.push_str("|---|---|--:|--:|--:|--:|--:|--:|\n");
    for a in accounts.iter().take(MOST_ACCOUNTS) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            plain(&a.account),
            plain(&a.state.replace('_', " ")),
            health(a.health),
            money(a.equity, a.equity),
            with_error(a.maintenance.expected_shortfall, a.maintenance.standard_error),
            with_error(a.initial.expected_shortfall, a.initial.standard_error),
            money(a.maintenance_margin, a.maintenance_margin),
            money(a.initial_margin, a.initial_margin),
        );
    }
    text.push('\n');
    for failed in &case.failed_accounts {
        let _ = writeln!(text, "No figures of {}: {}\n", plain(&failed.account), plain(&failed.reason));
    }
    if accounts.len() > MOST_ACCOUNTS {
        let _ =
            writeln!(text, "The {MOST_ACCOUNTS} neediest of {} accounts.\n", count(accounts.len() as u64));
    }
}

fn cases(cases: &[SavedCase], text: &mut String) {
    text.push_str("| case | stress P&L | equity | maintenance margin | initial margin | liquidate | margin call | healthy |\n");
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for case in cases {
        let totals = &case.totals;
        let sum = |x: f64| money(x, x);
        let _ = match &case.failure {
            Some(reason) => {
                writeln!(text, "| {} | no result: {} | | | | | | |", plain(&case.name), plain(reason))
            }
            None => writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                plain(&case.name),
                sum(totals.stress_profit),
                sum(totals.equity),
                sum(totals.maintenance_margin),
                sum(totals.initial_margin),
                count(totals.liquidate),
                count(totals.margin_call),
                count(totals.healthy)
            ),
        };
    }
    text.push('\n');
}

/// A text in a cell: nothing in it is markup, a link or the end of a line.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => plain.push(' '),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '~' | '@' => {
                plain.push('\\');
                plain.push(c);
            }
            c => plain.push(c),
        }
    }
    plain
}

/// A text between backticks.
fn code(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}
