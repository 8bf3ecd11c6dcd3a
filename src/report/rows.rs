//! The columns of `results.csv` and `results.parquet`: one row per case and account.

use crate::margin::Line;

use super::document::{AccountResult, CaseResult, Document, TailResult};

/// A column: its name and how to get its cell.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) cell: Cell,
}

/// How to get a cell; numbers that do not exist are `None`.
pub(super) enum Cell {
    Text(fn(&CaseResult, &AccountResult) -> Option<String>),
    Count(fn(&CaseResult) -> u64),
    Number(fn(&AccountResult) -> Option<f64>),
}

const fn text(name: &'static str, cell: fn(&CaseResult, &AccountResult) -> Option<String>) -> Column {
    Column { name, cell: Cell::Text(cell) }
}

const fn number(name: &'static str, cell: fn(&AccountResult) -> Option<f64>) -> Column {
    Column { name, cell: Cell::Number(cell) }
}

macro_rules! tail_columns {
    ($level:ident, $prefix:literal) => {{
        fn tail(account: &AccountResult) -> &TailResult {
            &account.$level
        }
        [
            number(concat!($prefix, "_tail_paths"), |a| finite(tail(a).tail_paths)),
            text(concat!($prefix, "_few_tail_paths"), |_, a| Some(tail(a).few_tail_paths.to_string())),
            number(concat!($prefix, "_expected_shortfall"), |a| finite(tail(a).expected_shortfall)),
            number(concat!($prefix, "_standard_error"), |a| finite(tail(a).standard_error)),
            number(concat!($prefix, "_confidence_interval_95_low"), |a| {
                finite(tail(a).confidence_interval_95.low)
            }),
            number(concat!($prefix, "_confidence_interval_95_high"), |a| {
                finite(tail(a).confidence_interval_95.high)
            }),
            number(concat!($prefix, "_value_at_risk"), |a| finite(tail(a).value_at_risk)),
            number(concat!($prefix, "_value_at_risk_standard_error"), |a| {
                finite(tail(a).value_at_risk_standard_error)
            }),
        ]
    }};
}

/// The columns of the lines of both margins.
macro_rules! line_columns {
    ($($line:ident $name:literal),* $(,)?) => {
        [
            $(number(concat!("maintenance_margin_", $name), |a| {
                finite(a.maintenance_components.get(Line::$line))
            }),)*
            $(number(concat!("initial_margin_", $name), |a| finite(a.initial_components.get(Line::$line))),)*
        ]
    };
}

/// All columns in their order.
pub(super) fn columns() -> Vec<Column> {
    let mut columns = vec![
        text("case", |case, _| Some(case.name.clone())),
        text("account", |_, a| Some(a.account.clone())),
        text("description", |_, a| Some(a.description.clone())),
        Column { name: "paths", cell: Cell::Count(|case| case.paths) },
        number("market_value", |a| finite(a.market_value)),
        number("equity", |a| finite(a.equity)),
        number("gross_notional", |a| finite(a.gross_notional)),
        number("stress_profit", |a| finite(a.stress_profit)),
    ];
    columns.extend(tail_columns!(maintenance, "maintenance"));
    columns.extend(tail_columns!(initial, "initial"));
    columns.extend([
        number("maintenance_margin", |a| finite(a.maintenance_margin)),
        number("initial_margin", |a| finite(a.initial_margin)),
        number("health", |a| a.health),
        text("state", |_, a| Some(a.state.to_owned())),
        text("worst_driver_asset", |_, a| a.worst_driver.as_ref().map(|driver| driver.asset.clone())),
        number("worst_driver_share_of_loss", |a| {
            a.worst_driver.as_ref().and_then(|driver| finite(driver.share_of_loss))
        }),
        number("worst_driver_mean_return", |a| {
            a.worst_driver.as_ref().and_then(|driver| finite(driver.mean_return))
        }),
    ]);
    columns.extend(line_columns![
        ExpectedShortfall "expected_shortfall",
        ErrorAllowance "error_allowance",
        StressedWeight "stressed_weight",
        LookbackFloor "lookback_floor",
        Floor "floor",
        ShortOptionMinimum "short_option_minimum",
        ProcyclicalityBuffer "procyclicality_buffer",
        LiquidationCost "liquidation_cost",
        LiquidationHorizon "liquidation_horizon",
        Basis "basis",
        WrongWay "wrong_way",
        Stablecoin "stablecoin",
        Oracle "oracle",
        OracleManipulation "oracle_manipulation",
        MaintenanceFloor "maintenance_floor",
    ]);
    columns
}

/// Rows in the order of cases and accounts.
pub(super) fn rows(document: &Document) -> impl Iterator<Item = (&CaseResult, &AccountResult)> {
    document.cases.iter().flat_map(|case| case.accounts.iter().map(move |account| (case, account)))
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_column() {
        let names: Vec<&str> = columns().iter().map(|column| column.name).collect();
        for prefix in ["maintenance_margin", "initial_margin"] {
            for line in Line::ALL {
                let name = format!("{prefix}_{}", line.name());
                assert!(names.contains(&name.as_str()), "{name}");
            }
        }
    }
}
