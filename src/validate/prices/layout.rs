//! The recognised headers, and rows read by them.

use super::JumpModel;
use super::fault::{Faults, quoted};
use crate::closed_form::{EuropeanOption, KouModel, MertonModel, OptionKind};

/// The headers that are understood; columns in any order, further columns are carried along, and
/// `days_act365` may stand for `t`.
pub const RECOGNISED_HEADERS: [&str; 4] = [
    "cp,strike,spot,q,r,t,vol (Black-Scholes)",
    "cp,strike,spot,q,r,t,total_vol,lambda,gamma (Merton, Haug's parameters)",
    "cp,strike,spot,q,r,t,sigma,lambda,mean_log_jump,sd_log_jump (Merton)",
    "cp,strike,spot,q,r,t,sigma,lambda,p_up,eta1,eta2 (Kou)",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Black,
    MertonHaug,
    Merton,
    Kou,
}

/// A column that holds a number, and the numbers it may hold.
#[derive(Debug, Clone, Copy)]
struct Quantity {
    column: &'static str,
    low: f64,
    high: f64,
    expected: &'static str,
}

const fn quantity(column: &'static str, low: f64, high: f64, expected: &'static str) -> Quantity {
    Quantity { column, low, high, expected }
}

const VOLATILITY: &str = "a volatility per year, in [0, 100] (0.2 is 20 %)";
const RATE: &str = "a rate per year, in [-10, 10] (0.05 is 5 %)";
const PRICE: &str = "a price above zero, in [1e-12, 1e15]";
const LAMBDA: Quantity = quantity("lambda", 0.0, 1e6, "jumps per year, in [0, 1e6]");

const MARKET: [Quantity; 4] = [
    quantity("strike", 1e-12, 1e15, PRICE),
    quantity("spot", 1e-12, 1e15, PRICE),
    quantity("q", -10.0, 10.0, RATE),
    quantity("r", -10.0, 10.0, RATE),
];
const YEARS: Quantity = quantity("t", 0.0, 100.0, "years to expiry, in [0, 100]");
const DAYS: Quantity =
    quantity("days_act365", 0.0, 36_500.0, "days to expiry of a 365-day year, in [0, 36500]");
const BLACK: [Quantity; 1] = [quantity("vol", 0.0, 100.0, VOLATILITY)];
const MERTON_HAUG: [Quantity; 3] = [
    quantity("total_vol", 0.0, 100.0, VOLATILITY),
    LAMBDA,
    quantity("gamma", 0.0, 1.0, "the share of variance from jumps, in [0, 1]"),
];
const MERTON: [Quantity; 4] = [
    quantity("sigma", 0.0, 100.0, VOLATILITY),
    LAMBDA,
    quantity("mean_log_jump", -5.0, 5.0, "a mean log return per jump, in [-5, 5]"),
    quantity("sd_log_jump", 0.0, 5.0, "a standard deviation of the log jump, in [0, 5]"),
];
const KOU: [Quantity; 5] = [
    quantity("sigma", 0.0, 100.0, VOLATILITY),
    LAMBDA,
    quantity("p_up", 0.0, 1.0, "the probability that a jump is upward, in [0, 1]"),
    quantity("eta1", 1.000_001, 1e9, "a rate above 1, in [1.000001, 1e9] (or the price has no mean)"),
    quantity("eta2", 1e-3, 1e9, "a rate above 0, in [0.001, 1e9]"),
];

impl Model {
    const ALL: [Self; 4] = [Self::Black, Self::MertonHaug, Self::Merton, Self::Kou];

    fn quantities(self) -> &'static [Quantity] {
        match self {
            Self::Black => &BLACK,
            Self::MertonHaug => &MERTON_HAUG,
            Self::Merton => &MERTON,
            Self::Kou => &KOU,
        }
    }
}

/// Which cell of a row holds what.
#[derive(Debug)]
pub(super) struct Layout {
    model: Model,
    kind_cell: usize,
    market_cells: [usize; 4],
    expiry: Quantity,
    expiry_cell: usize,
    model_cells: Vec<usize>,
}

impl Layout {
    /// Recognises a header, or says in `faults` why it cannot.
    pub(super) fn recognise(header: &[&str], line: u64, faults: &mut Faults) -> Option<Self> {
        let complete: Vec<Model> =
            Model::ALL.into_iter().filter(|m| missing(*m, header).is_empty()).collect();
        let &[model] = complete.as_slice() else {
            faults.line(line, "header", &describe(header, &complete), &recognised());
            return None;
        };
        let expiry = if header.contains(&YEARS.column) { YEARS } else { DAYS };
        if header.contains(&YEARS.column) && header.contains(&DAYS.column) {
            faults.line(line, "header", "both t and days_act365", "only one of them");
        }
        let mut cell = |column: &str| {
            let mut places = (0..header.len()).filter(|&i| header[i] == column);
            let place = places.next();
            if places.next().is_some() {
                faults.line(line, "header", &format!("column {column} twice"), "each column once");
            }
            place
        };
        let [strike, spot, dividend_yield, rate] = MARKET.map(|q| cell(q.column));
        Some(Self {
            model,
            kind_cell: cell("cp")?,
            market_cells: [strike?, spot?, dividend_yield?, rate?],
            expiry,
            expiry_cell: cell(expiry.column)?,
            model_cells: model.quantities().iter().map(|q| cell(q.column)).collect::<Option<_>>()?,
        })
    }

    /// Reads one row; every cell at fault is noted, and nothing returned if there is one.
    pub(super) fn row(
        &self,
        record: &csv::StringRecord,
        line: u64,
        faults: &mut Faults,
    ) -> Option<(EuropeanOption, JumpModel)> {
        let mut number = |quantity: Quantity, cell: usize| read(quantity, record.get(cell)?, line, faults);
        let market = [0, 1, 2, 3].map(|i| number(MARKET[i], self.market_cells[i]));
        let expiry = number(self.expiry, self.expiry_cell);
        let quantities = self.model.quantities().iter().zip(&self.model_cells);
        let parameters: Vec<Option<f64>> = quantities.map(|(q, &cell)| number(*q, cell)).collect();
        let kind = match record.get(self.kind_cell).unwrap_or_default().trim() {
            "C" | "c" => Some(OptionKind::Call),
            "P" | "p" => Some(OptionKind::Put),
            other => {
                faults.cell(line, "cp", other, "C (call) or P (put)");
                None
            }
        };
        let parameters: Vec<f64> = parameters.into_iter().collect::<Option<_>>()?;
        let model = self.jump_model(&parameters, line, faults);
        let [strike, spot, dividend_yield, rate] = market;
        let days_per_unit = if self.expiry.column == DAYS.column { 365.0 } else { 1.0 };
        let option = EuropeanOption {
            kind: kind?,
            spot: spot?,
            strike: strike?,
            rate: rate?,
            dividend_yield: dividend_yield?,
            expiry_years: expiry? / days_per_unit,
        };
        Some((option, model?))
    }

    /// The model from its parameters in the order of [`Model::quantities`], and what ties them together.
    fn jump_model(&self, parameters: &[f64], line: u64, faults: &mut Faults) -> Option<JumpModel> {
        match (self.model, parameters) {
            (Model::Black, &[volatility]) => Some(JumpModel::Black { volatility }),
            (Model::MertonHaug, &[total, lambda, gamma]) => {
                if lambda == 0.0 && gamma > 0.0 {
                    let expected = "above 0 where gamma is (or gamma 0)";
                    faults.cell(line, "lambda", "0", expected);
                    return None;
                }
                haug_parameters(total, lambda, gamma, line, faults).map(JumpModel::Merton)
            }
            (Model::Merton, &[volatility, intensity, mean_log_jump, sd_log_jump]) => {
                Some(JumpModel::Merton(MertonModel { volatility, intensity, mean_log_jump, sd_log_jump }))
            }
            (Model::Kou, &[volatility, intensity, p_up, eta_up, eta_down]) => {
                if volatility == 0.0 && intensity > 0.0 {
                    faults.cell(line, "sigma", "0", "above 0 where lambda is (the density must be smooth)");
                    return None;
                }
                Some(JumpModel::Kou(KouModel { volatility, intensity, p_up, eta_up, eta_down }))
            }
            _ => None,
        }
    }
}

/// Haug (1998, p. 9): `delta = v sqrt(gamma/lambda)`, `z = v sqrt(1-gamma)`, mean log jump
/// `-delta^2/2`, so that a jump has mean zero.
fn haug_parameters(
    total: f64,
    lambda: f64,
    gamma: f64,
    line: u64,
    faults: &mut Faults,
) -> Option<MertonModel> {
    let delta = if gamma > 0.0 { total * (gamma / lambda).sqrt() } else { 0.0 };
    // The mean log jump must stay within its own range, -5.
    if delta > 10f64.sqrt() {
        let found = format!("total_vol {total}, lambda {lambda}, gamma {gamma}: jumps of {delta}");
        faults.line(line, "jump size", &found, "total_vol sqrt(gamma/lambda) of at most 3.16");
        return None;
    }
    Some(MertonModel {
        volatility: total * (1.0 - gamma).sqrt(),
        intensity: lambda,
        mean_log_jump: -0.5 * delta * delta,
        sd_log_jump: delta,
    })
}

fn read(quantity: Quantity, cell: &str, line: u64, faults: &mut Faults) -> Option<f64> {
    let number = cell.trim().parse::<f64>().ok();
    let number = number.filter(|n| *n >= quantity.low && *n <= quantity.high);
    if number.is_none() {
        faults.cell(line, quantity.column, cell, quantity.expected);
    }
    // Minus zero is zero.
    number.map(|n| n + 0.0)
}

/// The required columns of a model that a header lacks.
fn missing(model: Model, header: &[&str]) -> Vec<&'static str> {
    let market = MARKET.iter().map(|q| q.column);
    let own = model.quantities().iter().map(|q| q.column);
    let lacks = |column: &&str| !header.contains(column);
    let mut missing: Vec<&str> = std::iter::once("cp").chain(market).chain(own).filter(lacks).collect();
    if lacks(&YEARS.column) && lacks(&DAYS.column) {
        missing.push("t or days_act365");
    }
    missing
}

fn describe(header: &[&str], complete: &[Model]) -> String {
    if !complete.is_empty() {
        return format!("columns of {} models at once ({complete:?})", complete.len());
    }
    let nearest = Model::ALL.into_iter().min_by_key(|m| missing(*m, header).len());
    let lacking = nearest.map(|model| missing(model, header).join(", ")).unwrap_or_default();
    format!("{} (nearest header lacks {lacking})", quoted(&header.join(",")))
}

fn recognised() -> String {
    format!("one of: {}; days_act365 may stand for t", RECOGNISED_HEADERS.join("; "))
}
