//! The table for people: every case with its neediest accounts first, then all cases together.

use super::document::{AccountResult, CaseResult, Document, DriverResult, FailedAccountResult, TailResult};
use super::number::{count, decimals, grouped};
use crate::margin::{Line, Version};
use crate::risk::FEW_TAIL_PATHS;

/// Accounts of a case that are shown; the rest is in the files.
pub const SHOWN_ACCOUNTS: usize = 60;
/// Longer names of accounts are cut.
const NAME_WIDTH: usize = 24;
/// Marks a standard error from too few paths.
const FEW: &str = "!";
/// Healths beyond it say only that they are large.
const LARGE_HEALTH: f64 = 1000.0;

/// How the table is shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Characters in a line; columns that do not fit are left out, the least needed first.
    pub width: usize,
    /// Whether states are coloured.
    pub colour: bool,
}

/// The table of a document.
pub fn render(document: &Document, style: Style) -> String {
    let level = |level: &super::document::LevelResult| {
        format!("ES {}% over {}", percent(level.confidence), days(level.horizon_days))
    };
    let mut text = format!(
        "{}: market of {}, money in {}, seed {}\n\
         {}maintenance margin from {}, initial margin from {}; ± one standard error\n",
        plain(&document.scenario),
        document.as_of,
        document.currency,
        document.seed,
        shown_rules(&document.margin_rules),
        level(&document.levels.maintenance),
        level(&document.levels.initial),
    );
    for case in &document.cases {
        text.push('\n');
        text.push_str(&render_case(document, case, style));
    }
    text.push_str(&render_lines(document, style));
    if document.cases.len() > 1 {
        text.push('\n');
        text.push_str(&render_totals(document, style));
    }
    text.push_str(&super::attribution::render(document, style));
    text
}

fn render_case(document: &Document, case: &CaseResult, style: Style) -> String {
    let name = bold(&plain(&case.name), style);
    if let Some(reason) = &case.failure {
        return format!("{name}: no result, {}\n", plain(reason));
    }
    let device = &document.device;
    let mut text = format!(
        "{name}: {} paths of {} step{}, {} {} ({}), {:.2} s\n",
        count(case.paths),
        case.steps,
        if case.steps == 1 { "" } else { "s" },
        device.engine,
        document.precision,
        plain(&device.name),
        case.elapsed_seconds,
    );
    let ranked = ranked(&case.accounts);
    let shown = &ranked[..ranked.len().min(SHOWN_ACCOUNTS)];
    let columns = account_columns(document, shown, case.name != "base");
    text.push_str(&lay_out(columns, style));
    text.push_str(&few_tail_paths(case));
    text.push_str(&missed_tolerance(document, case));
    text.push_str(&failed_accounts(case));
    if ranked.len() > shown.len() {
        text.push_str(&format!(
            "  … and {} less needy accounts: --out DIR writes all of them, --json prints them\n",
            count((ranked.len() - shown.len()) as u64)
        ));
    }
    text
}

/// What the mark of a standard error from few paths means.
fn few_tail_paths(case: &CaseResult) -> String {
    let tails = case.accounts.iter().flat_map(|account| [&account.maintenance, &account.initial]);
    let Some(few) =
        tails.filter(|tail| tail.few_tail_paths).min_by(|a, b| a.tail_paths.total_cmp(&b.tail_paths))
    else {
        return String::new();
    };
    let enough = (case.paths as f64 * FEW_TAIL_PATHS / few.tail_paths).ceil();
    format!(
        "  {FEW}: only {} paths in the tail, so its standard errors are too small; use {} paths or more\n",
        few.tail_paths,
        count(enough as u64)
    )
}

/// That the paths were used up before the tolerance held.
fn missed_tolerance(document: &Document, case: &CaseResult) -> String {
    let errors = case.accounts.iter().flat_map(|account| {
        let error = |tail: &TailResult| tail.standard_error / tail.expected_shortfall.abs();
        [&account.maintenance, &account.initial].map(|tail| (error(tail), account))
    });
    let largest = errors.filter(|(error, _)| error.is_finite()).max_by(|a, b| a.0.total_cmp(&b.0));
    match (document.tolerance, largest) {
        (Some(tolerance), Some((error, account))) if error > tolerance => format!(
            "  ! the tolerance of {:.3} % does not hold yet: the standard error of {} is {:.3} %; allow more --paths\n",
            100.0 * tolerance,
            plain(&account.account),
            100.0 * error
        ),
        _ => String::new(),
    }
}

fn failed_accounts(case: &CaseResult) -> String {
    let shown = case.failed_accounts.iter().take(SHOWN_ACCOUNTS);
    let line = |failed: &FailedAccountResult| {
        format!("  {}: no result, {}\n", plain(&failed.account), plain(&failed.reason))
    };
    let mut text: String = shown.map(line).collect();
    if case.failed_accounts.len() > SHOWN_ACCOUNTS {
        text.push_str(&format!("  … {} accounts without a result in all\n", case.failed_accounts.len()));
    }
    text
}

/// Accounts by need: lowest health first, see [`AccountResult::need`].
fn ranked(accounts: &[AccountResult]) -> Vec<&AccountResult> {
    let mut ranked: Vec<&AccountResult> = accounts.iter().collect();
    let need = AccountResult::need;
    ranked.sort_by(|&a, &b| need(a).total_cmp(&need(b)).then_with(|| a.account.cmp(&b.account)));
    ranked
}

/// A column of a table.
struct Column {
    title: String,
    cells: Vec<String>,
    left: bool,
    /// Columns with the highest number go first where the line is short; 0 stays.
    spare: u8,
    /// Colour of each cell, as the number of an ANSI escape.
    colours: Vec<Option<&'static str>>,
}

impl Column {
    fn new(title: impl Into<String>, spare: u8, cells: Vec<String>) -> Self {
        Self { title: title.into(), cells, left: false, spare, colours: Vec::new() }
    }

    fn left(self) -> Self {
        Self { left: true, ..self }
    }

    fn width(&self) -> usize {
        self.cells.iter().chain([&self.title]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

fn account_columns(document: &Document, accounts: &[&AccountResult], stressed: bool) -> Vec<Column> {
    let size = |account: &AccountResult| account.maintenance.expected_shortfall.abs();
    let largest = document.cases.iter().flat_map(|case| &case.accounts).map(size).fold(0.0, f64::max);
    let decimals = decimals(largest);
    let money = |of: &dyn Fn(&AccountResult) -> f64| -> Vec<String> {
        accounts.iter().map(|account| grouped(of(account), decimals)).collect()
    };
    let with_error = |of: &dyn Fn(&TailResult) -> (f64, f64)| -> Vec<String> {
        let pair = |tail: &TailResult| {
            let (figure, error) = of(tail);
            let mark = if tail.few_tail_paths { FEW } else { "" };
            (grouped(figure, decimals), format!("{}{mark}", grouped(error, decimals)))
        };
        align_errors(accounts.iter().map(|account| pair(&account.maintenance)).collect())
    };
    let level = &document.levels.maintenance;
    let level = format!("{}% {}", percent(level.confidence), days(level.horizon_days));
    let names = accounts.iter().map(|account| cut(&plain(&account.account), NAME_WIDTH)).collect();
    let health = accounts.iter().map(|account| shown_health(account.health)).collect();
    let states = accounts.iter().map(|account| account.state.replace('_', " ")).collect();
    let drivers = accounts.iter().map(|account| shown_driver(account.worst_driver.as_ref())).collect();
    let mut columns = vec![
        Column::new("account", 0, names).left(),
        Column::new("market value", 4, money(&|a| a.market_value)),
        Column::new(
            format!("ES {level}"),
            0,
            with_error(&|tail| (tail.expected_shortfall, tail.standard_error)),
        ),
        Column::new(
            format!("VaR {level}"),
            5,
            with_error(&|tail| (tail.value_at_risk, tail.value_at_risk_standard_error)),
        ),
        Column::new("maintenance", 2, money(&|a| a.maintenance_margin)),
        Column::new("initial", 3, money(&|a| a.initial_margin)),
        Column::new("equity", 1, money(&|a| a.equity)),
        Column::new("health", 0, health),
        Column {
            colours: accounts.iter().map(|account| colour_of(account.state)).collect(),
            ..Column::new("state", 0, states).left()
        },
        Column::new("worst driver, part of loss", 6, drivers).left(),
    ];
    if stressed {
        columns.insert(1, Column::new("stress P&L", 7, money(&|a| a.stress_profit)));
    }
    columns
}

/// What the maintenance margins of the base case are made of, where that is more than Expected
/// Shortfall.
fn render_lines(document: &Document, style: Style) -> String {
    let base = document.cases.first().map_or(&[][..], |case| &case.accounts);
    let is_used = |line: Line| base.iter().any(|a| a.maintenance_components.get(line) != 0.0);
    let lines: Vec<Line> = Line::ALL.into_iter().filter(|line| is_used(*line)).collect();
    if lines.iter().all(|line| *line == Line::ExpectedShortfall) {
        return String::new();
    }
    let ranked = ranked(base);
    let shown = &ranked[..ranked.len().min(SHOWN_ACCOUNTS)];
    let decimals = decimals(shown.iter().map(|a| a.maintenance_margin).fold(0.0, f64::max));
    let money = |of: &dyn Fn(&AccountResult) -> f64| -> Vec<String> {
        shown.iter().map(|account| grouped(of(account), decimals)).collect()
    };
    let names = shown.iter().map(|account| cut(&plain(&account.account), NAME_WIDTH)).collect();
    let mut columns = vec![Column::new("account", 0, names).left()];
    for (index, line) in lines.into_iter().enumerate() {
        let cells = money(&|account| account.maintenance_components.get(line));
        columns.push(Column::new(line_title(line), index as u8 + 1, cells));
    }
    columns.push(Column::new("maintenance", 0, money(&|account| account.maintenance_margin)));
    format!(
        "\n{}: maintenance margins of the base case in {}, by component\n{}",
        bold("components", style),
        document.currency,
        lay_out(columns, style)
    )
}

/// Titles short enough for all of them to stand in one line.
fn line_title(line: Line) -> &'static str {
    match line {
        Line::ExpectedShortfall => "ES",
        Line::ErrorAllowance => "error",
        Line::StressedWeight => "stressed",
        Line::LookbackFloor => "lookback",
        Line::Floor => "floor",
        Line::ShortOptionMinimum => "short options",
        Line::ProcyclicalityBuffer => "buffer",
        Line::LiquidationCost => "closing cost",
        Line::LiquidationHorizon => "closing time",
        Line::Basis => "basis",
        Line::WrongWay => "wrong way",
        Line::Stablecoin => "stablecoin",
        Line::Oracle => "oracle",
        Line::OracleManipulation => "pushed oracle",
        Line::MaintenanceFloor => "to maintenance",
    }
}

fn shown_rules(version: &Version) -> String {
    let name = version.name.as_deref().map(|name| format!("rules {}", plain(name)));
    let since = version.effective.map(|date| format!("in force since {date}"));
    let parts: Vec<String> = [name, since].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("{}; ", parts.join(", ")) }
}

fn render_totals(document: &Document, style: Style) -> String {
    let done: Vec<&CaseResult> = document.cases.iter().filter(|case| case.failure.is_none()).collect();
    let size = done.iter().map(|case| case.totals.maintenance_margin.abs()).fold(0.0, f64::max);
    let decimals = decimals(size);
    let money = |of: &dyn Fn(&CaseResult) -> f64| -> Vec<String> {
        done.iter().map(|case| grouped(of(case), decimals)).collect()
    };
    let counted = |of: &dyn Fn(&CaseResult) -> u64| -> Vec<String> {
        done.iter().map(|case| count(of(case))).collect()
    };
    let columns = vec![
        Column::new("case", 0, done.iter().map(|case| plain(&case.name)).collect()).left(),
        Column::new("stress P&L", 3, money(&|case| case.totals.stress_profit)),
        Column::new("market value", 4, money(&|case| case.totals.market_value)),
        Column::new("equity", 5, money(&|case| case.totals.equity)),
        Column::new("maintenance", 1, money(&|case| case.totals.maintenance_margin)),
        Column::new("initial", 2, money(&|case| case.totals.initial_margin)),
        Column::new("liquidate", 0, counted(&|case| case.totals.liquidate)),
        Column::new("margin call", 0, counted(&|case| case.totals.margin_call)),
        Column::new("healthy", 0, counted(&|case| case.totals.healthy)),
    ];
    let failed: String = document
        .cases
        .iter()
        .filter(|case| case.failure.is_some())
        .map(|case| format!("  {}: no result\n", plain(&case.name)))
        .collect();
    format!(
        "{}: sums over accounts in {}, and accounts in each state; {:.2} s\n{}{failed}",
        bold("all cases", style),
        document.currency,
        document.elapsed_seconds,
        lay_out(columns, style)
    )
}

/// Columns side by side, as many as fit; says which did not.
fn lay_out(mut columns: Vec<Column>, style: Style) -> String {
    let mut hidden = Vec::new();
    loop {
        let width: usize = columns.iter().map(|column| column.width() + 2).sum();
        let sparest = columns.iter().enumerate().max_by_key(|(_, column)| column.spare);
        match sparest {
            Some((index, column)) if width > style.width && column.spare > 0 => {
                hidden.push(columns.remove(index).title);
            }
            _ => break,
        }
    }
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let mut text = String::new();
    let mut line = |cells: &dyn Fn(&Column) -> (&str, Option<&'static str>)| {
        let mut shown = String::new();
        for column in &columns {
            let (cell, colour) = cells(column);
            let width = column.width();
            let padded = if column.left { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            shown.push_str("  ");
            shown.push_str(&match colour.filter(|_| style.colour) {
                Some(colour) => format!("\u{1b}[{colour}m{padded}\u{1b}[0m"),
                None => padded,
            });
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    };
    line(&|column| (&column.title, None));
    for row in 0..rows {
        line(&|column| (&column.cells[row], column.colours.get(row).copied().flatten()));
    }
    if !hidden.is_empty() {
        text.push_str(&format!("  (no room for {}; --json and --out have all)\n", hidden.join(", ")));
    }
    text
}

/// `1,234 ± 56` with the figures and their errors each under one another.
fn align_errors(pairs: Vec<(String, String)>) -> Vec<String> {
    let width = |of: &dyn Fn(&(String, String)) -> usize| pairs.iter().map(of).max().unwrap_or(0);
    let (left, right) = (width(&|pair| pair.0.chars().count()), width(&|pair| pair.1.chars().count()));
    pairs.iter().map(|(figure, error)| format!("{figure:>left$} ± {error:>right$}")).collect()
}

fn shown_health(health: Option<f64>) -> String {
    match health {
        None => "–".to_owned(),
        Some(health) if health >= LARGE_HEALTH => format!(">{}", grouped(LARGE_HEALTH, 0)),
        Some(health) if health <= -LARGE_HEALTH => format!("<-{}", grouped(LARGE_HEALTH, 0)),
        // Never `1.00` for an account that is below it.
        Some(health) => format!("{:.2}", (health * 100.0).floor() / 100.0),
    }
}

fn shown_driver(driver: Option<&DriverResult>) -> String {
    driver.map_or_else(|| "–".to_owned(), DriverResult::to_string)
}

fn colour_of(state: &str) -> Option<&'static str> {
    match state {
        "liquidate" => Some("1;31"),
        "margin_call" => Some("33"),
        _ => Some("32"),
    }
}

fn bold(text: &str, style: Style) -> String {
    if style.colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn percent(confidence: f64) -> f64 {
    (confidence * 1e8).round() / 1e6
}

pub(super) fn days(days: f64) -> String {
    crate::units::Years::from_days(days).map_or_else(String::new, |years| years.to_string())
}

/// Text without control characters: names come from files, and a terminal obeys escapes.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: usize) -> String {
        let column = |title: &str, spare, cells: [&str; 2]| {
            Column::new(title, spare, cells.map(str::to_owned).to_vec())
        };
        let columns = vec![
            column("account", 0, ["a", "long-name"]).left(),
            column("VaR", 2, ["1", "22,222"]),
            column("equity", 1, ["3", "4"]),
        ];
        lay_out(columns, Style { width, colour: false })
    }

    #[test]
    fn columns_that_do_not_fit_are_named() {
        assert_eq!(
            table(80),
            "  account       VaR  equity\n  a               1       3\n  long-name  22,222       4\n"
        );
        assert!(table(20).ends_with("  long-name       4\n  (no room for VaR; --json and --out have all)\n"));
        assert!(table(1).contains("(no room for VaR, equity;"), "{}", table(1));
    }

    #[test]
    fn a_health_below_one_never_reads_as_one() {
        assert_eq!(shown_health(Some(0.9999)), "0.99");
        assert_eq!(shown_health(Some(1.0)), "1.00");
        assert_eq!(shown_health(None), "–");
        assert_eq!(shown_health(Some(1e9)), ">1,000");
        assert_eq!(shown_health(Some(-2.341)), "-2.35");
    }

    #[test]
    fn names_cannot_write_escapes() {
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(cut("abcdef", 4), "abc…");
    }
}
