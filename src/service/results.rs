//! Nightly results by query.

use super::api::{AccountState, MAX_RESULTS, ResultRow, ResultsAnswer, ResultsQuery};
use super::{Desk, DeskFault};
use crate::table::{Row, Table};

/// Table of the results in the folder of `shortfall run --out`.
const FILE: &str = "results.parquet";

impl Desk {
    /// Rows of the nightly results, in their order; those of accounts that `sees` allows.
    pub fn results(
        &self,
        query: &ResultsQuery,
        sees: &dyn Fn(&str) -> bool,
    ) -> Result<ResultsAnswer, DeskFault> {
        let most = query.limit.unwrap_or(MAX_RESULTS as u64);
        if !(1..=MAX_RESULTS as u64).contains(&most) {
            return Err(DeskFault::field("limit", most.to_string(), format!("1 to {MAX_RESULTS}")));
        }
        let missing = || DeskFault::NotFound { what: "nightly results", name: FILE.to_owned() };
        let path = self.config.results.as_ref().ok_or_else(missing)?.join(FILE);
        if !path.exists() {
            return Err(missing());
        }
        let table = Table::read(&path).map_err(|faults| DeskFault::Engine(faults.to_string()))?;
        let mut answer = ResultsAnswer { total: 0, rows: Vec::new() };
        let read = table.rows_any(|row| {
            let is_wanted = |column: &str, wanted: &Option<String>| {
                wanted.as_ref().is_none_or(|wanted| row.cell(column) == wanted)
            };
            let is_named = is_wanted("case", &query.case) && is_wanted("account", &query.account);
            if !is_named || !sees(row.cell("account")) {
                return Some(());
            }
            let found = result_row(row)?;
            if query.state.is_none_or(|state| state == found.state) {
                answer.total += 1;
                if answer.total > query.offset && (answer.rows.len() as u64) < most {
                    answer.rows.push(found);
                }
            }
            Some(())
        });
        read.map_err(|faults| DeskFault::Engine(faults.to_string()))?;
        Ok(answer)
    }
}

fn result_row(row: &Row<'_>) -> Option<ResultRow> {
    let number = |column: &str| row.number(column, "a number", |_| true);
    let health = row.optional_number("health", "a number or nothing", |_| true)?;
    let state = row.parsed("state", "liquidate, margin_call or healthy", |text| match text {
        "liquidate" => Some(AccountState::Liquidate),
        "margin_call" => Some(AccountState::MarginCall),
        "healthy" => Some(AccountState::Healthy),
        _ => None,
    });
    Some(ResultRow {
        case: row.text("case")?.to_owned(),
        account: row.text("account")?.to_owned(),
        paths: number("paths")? as u64,
        market_value: number("market_value")?,
        equity: number("equity")?,
        maintenance_expected_shortfall: number("maintenance_expected_shortfall")?,
        maintenance_standard_error: number("maintenance_standard_error")?,
        initial_expected_shortfall: number("initial_expected_shortfall")?,
        initial_standard_error: number("initial_standard_error")?,
        maintenance_margin: number("maintenance_margin")?,
        initial_margin: number("initial_margin")?,
        health,
        state: state?,
    })
}
