//! `validate --prices FILE.csv`: a table of European options, valued by closed form and by Monte Carlo.
//!
//! The header decides the model (see [`RECOGNISED_HEADERS`]). Comments, extra columns and every cell
//! are written back as they were read, with `value`, `mc_value` and `mc_standard_error` appended.
//! Faults are collected over the whole file; where there is one, nothing is produced.

mod fault;
mod layout;
mod table;

use crate::closed_form::{ClosedFormError, EuropeanOption, KouModel, MertonModel, black_price};
use std::collections::BTreeMap;

pub use layout::RECOGNISED_HEADERS;
pub use table::{BYTES_MAX, ROWS_MAX};

use fault::Faults;
use table::Table;

/// The columns appended to the table.
pub const RESULT_COLUMNS: [&str; 3] = ["value", "mc_value", "mc_standard_error"];

/// The law of the underlying of a group of options; every parameter is checked before use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum JumpModel {
    /// Geometric Brownian motion.
    Black {
        /// Volatility per year, zero or more: 0.2 is 20 %.
        volatility: f64,
    },
    /// Compensated lognormal jumps.
    Merton(MertonModel),
    /// Compensated double-exponential jumps.
    Kou(KouModel),
}

/// A Monte Carlo price and its standard error, both discounted, in the currency of the spot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonteCarloEstimate {
    /// Mean of the discounted payoff.
    pub mean: f64,
    /// Standard error of the mean, zero or more; zero where the payoff is certain.
    pub standard_error: f64,
}

/// Why a group of options could not be simulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MonteCarloFailure {
    /// What happened and what would help, in one sentence.
    pub reason: String,
}

/// What simulates; the engine implements it, the tests have a plain double.
pub trait MonteCarloPricer {
    /// Estimates of all `options`, in their order.
    ///
    /// The options of one call share spot, rate, dividend yield and expiry, so that they can be
    /// priced on the same paths; there is at least one. The expiry may be zero and the volatility
    /// may be zero: the payoff is then certain (or driven by jumps alone).
    ///
    /// # Errors
    /// [`MonteCarloFailure`] with a reason to show beside the first line of the group.
    fn price(
        &mut self,
        options: &[EuropeanOption],
        model: &JumpModel,
    ) -> Result<Vec<MonteCarloEstimate>, MonteCarloFailure>;
}

/// Prices every row of the CSV text `input`; `file_name` only names the file in faults.
///
/// Returns the same text with [`RESULT_COLUMNS`] appended: the closed form or converged series and
/// the Monte Carlo mean with 15 significant digits, its standard error with 6.
///
/// # Errors
/// [`crate::fault::Faults`]: all of them together, each with line, column, what was found and what
/// would be right. Values are computed only once the whole file has been found readable.
pub fn price_table(
    input: &str,
    file_name: &str,
    mc: &mut dyn MonteCarloPricer,
) -> Result<String, crate::fault::Faults> {
    let mut faults = Faults::new(file_name);
    let table = Table::read(input, &mut faults);
    faults.none_or_all()?;
    let results = table.map(|table| (price_rows(&table, mc, &mut faults), table));
    faults.none_or_all()?;
    Ok(results.map(|(results, table)| table.write(&results)).unwrap_or_default())
}

/// What is appended to one row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RowResult {
    value: f64,
    simulated: MonteCarloEstimate,
}

/// Results in the order of the rows; incomplete if a fault was noted.
fn price_rows(table: &Table<'_>, mc: &mut dyn MonteCarloPricer, faults: &mut Faults) -> Vec<RowResult> {
    let mut results = BTreeMap::new();
    for group in groups(table) {
        let first = &table.rows[group[0]];
        let options: Vec<EuropeanOption> = group.iter().map(|&i| table.rows[i].option).collect();
        let values = match closed_form_values(&options, &first.model) {
            Ok(values) => values,
            Err(error) => {
                faults.row(first.line, "model and expiry", &error.to_string());
                continue;
            }
        };
        let estimates = match mc.price(&options, &first.model) {
            Ok(estimates) if estimates.len() == options.len() => estimates,
            Ok(estimates) => {
                let found = format!("{} estimates for {} options", estimates.len(), options.len());
                faults.result(first.line, "mc_value", &found, "one estimate for each option");
                continue;
            }
            Err(failure) => {
                faults.row(first.line, "simulation", &failure.to_string());
                continue;
            }
        };
        for ((&row, &value), &simulated) in group.iter().zip(&values).zip(&estimates) {
            check_result(table.rows[row].line, value, simulated, faults);
            results.insert(row, RowResult { value, simulated });
        }
    }
    results.into_values().collect()
}

/// Rows that can share paths, in order of first appearance.
fn groups(table: &Table<'_>) -> Vec<Vec<usize>> {
    let mut place = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, row) in table.rows.iter().enumerate() {
        let option = &row.option;
        let shared = [option.spot, option.rate, option.dividend_yield, option.expiry_years];
        let key: Vec<u64> =
            shared.into_iter().chain(model_parameters(&row.model)).map(f64::to_bits).collect();
        let group = *place.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(index);
    }
    groups
}

/// All parameters of a model; one table has one kind of model, so the kind need not be told apart.
fn model_parameters(model: &JumpModel) -> [f64; 5] {
    match *model {
        JumpModel::Black { volatility } => [volatility, 0.0, 0.0, 0.0, 0.0],
        JumpModel::Merton(m) => [m.volatility, m.intensity, m.mean_log_jump, m.sd_log_jump, 0.0],
        JumpModel::Kou(k) => [k.volatility, k.intensity, k.p_up, k.eta_up, k.eta_down],
    }
}

/// Closed-form values of options that share their expiry: the law is built once.
fn closed_form_values(options: &[EuropeanOption], model: &JumpModel) -> Result<Vec<f64>, ClosedFormError> {
    let Some(first) = options.first() else { return Ok(Vec::new()) };
    match model {
        JumpModel::Black { volatility } => options.iter().map(|o| black_price(o, *volatility)).collect(),
        JumpModel::Merton(merton) => {
            let law = merton.law(first.expiry_years)?;
            options.iter().map(|option| law.price(option)).collect()
        }
        JumpModel::Kou(kou) => {
            let law = kou.law(first.expiry_years)?;
            options.iter().map(|option| law.price(option)).collect()
        }
    }
}

fn check_result(line: u64, value: f64, simulated: MonteCarloEstimate, faults: &mut Faults) {
    let finite_positive = |x: f64| x >= 0.0 && x.is_finite();
    if !finite_positive(value) {
        faults.result(line, "value", &value.to_string(), "a finite price (are the parameters realistic?)");
    }
    if !simulated.mean.is_finite() {
        faults.result(line, "mc_value", &simulated.mean.to_string(), "a finite simulated price");
    }
    if !finite_positive(simulated.standard_error) {
        let found = simulated.standard_error.to_string();
        faults.result(line, "mc_standard_error", &found, "a finite standard error, zero or more");
    }
}
