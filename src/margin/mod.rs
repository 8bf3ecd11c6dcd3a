//! From tail figures to margins: one file for each component.
//!
//! A margin is the sum of its [`Lines`]: the Expected Shortfall, what the rules lift it to, and the
//! add-ons. [`margin`] is a pure function of the rules, the account and the tails.

pub mod basis;
mod charge;
mod exposure;
pub mod greeks;
pub mod history;
mod line;
pub mod liquidation;
pub mod oracle;
pub mod procyclicality;
mod rules;
pub mod short_option;
pub mod stablecoin;
pub mod wrong_way;

pub use exposure::{AssetExposure, AssetRisk, Exposing, Exposures, ShortStrike, UnitTail};
pub use line::{LINES, Line, Lines};
pub use rules::{
    AddOns, Basis, Buffer, Charge, Level, Liquidation, Manipulation, MarginRules, OracleRule, ShortOptions,
    StressedWeight, Version, WrongWay,
};

use crate::risk::TailEstimate;

/// What an account is worth before its margin is known. Money in the reporting currency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AccountValue {
    /// Value of all holdings and cash.
    pub market_value: f64,
    /// Value after haircuts.
    pub equity: f64,
    /// Sum of the absolute notionals of all holdings.
    pub gross_notional: f64,
    /// Profit of the stress itself; zero in the base case.
    pub stress_profit: f64,
}

/// Tails of one account at the levels of the maintenance and the initial margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tails {
    /// In the market of the case.
    pub own: [TailEstimate; 2],
    /// Expected Shortfalls under the stress of the stressed weight, where a rule names one.
    pub stressed: Option<[f64; 2]>,
    /// Expected Shortfalls under the stress of the lookback floor, likewise.
    pub lookback: Option<[f64; 2]>,
}

impl Tails {
    /// Of a case by itself.
    pub fn own(maintenance: TailEstimate, initial: TailEstimate) -> Self {
        Self { own: [maintenance, initial], stressed: None, lookback: None }
    }
}

/// An account's margin. Money in the reporting currency, requirements positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// Maintenance margin: the sum of its lines.
    pub maintenance_margin: f64,
    /// Initial margin: likewise, and never below the maintenance margin.
    pub initial_margin: f64,
    /// What the maintenance margin is made of.
    pub maintenance_lines: Lines,
    /// What the initial margin is made of.
    pub initial_lines: Lines,
    /// Equity over maintenance margin; `None` where the margin is zero.
    pub health: Option<f64>,
    /// What the account must or must not do.
    pub state: State,
}

/// State of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Equity below the maintenance margin.
    Liquidate,
    /// Equity below the initial margin: no new risk.
    MarginCall,
    /// Equity covers the initial margin.
    Healthy,
}

impl State {
    /// As reports show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Liquidate => "liquidate",
            Self::MarginCall => "margin_call",
            Self::Healthy => "healthy",
        }
    }
}

/// Applies the rules to an account. Rules that look at exposures see those that are given.
pub fn margin(rules: &MarginRules, value: &AccountValue, tails: &Tails, exposures: &Exposures) -> Margin {
    let maintenance_lines = lines(rules, value, tails, exposures, 0);
    let mut initial_lines = lines(rules, value, tails, exposures, 1);
    let maintenance_margin = maintenance_lines.total();
    initial_lines.lift(Line::MaintenanceFloor, maintenance_margin);
    let initial_margin = initial_lines.total();
    let state = if !(value.equity >= maintenance_margin) {
        State::Liquidate
    } else if !(value.equity >= initial_margin) {
        State::MarginCall
    } else {
        State::Healthy
    };
    let health = (maintenance_margin > 0.0).then(|| value.equity / maintenance_margin);
    Margin { maintenance_margin, initial_margin, maintenance_lines, initial_lines, health, state }
}

/// Lines of one level: 0 maintenance, 1 initial.
fn lines(
    rules: &MarginRules,
    value: &AccountValue,
    tails: &Tails,
    exposures: &Exposures,
    index: usize,
) -> Lines {
    let add_ons = &rules.add_ons;
    let level = [&rules.maintenance, &rules.initial][index];
    let own = &tails.own[index];
    let mut lines = Lines::default();
    lines.add(Line::ExpectedShortfall, own.expected_shortfall);
    lines.add(Line::ErrorAllowance, rules.charge.allowance(own));
    if let (Some(rule), Some(stressed)) = (&add_ons.stressed, tails.stressed) {
        let more = (stressed[index] - own.expected_shortfall).max(0.0);
        lines.add(Line::StressedWeight, rule.weight * more);
    }
    if let Some(lookback) = tails.lookback {
        lines.lift(Line::LookbackFloor, lookback[index]);
    }
    // A book that cannot lose has an Expected Shortfall below zero; a margin does not pay out.
    lines.lift(Line::Floor, (rules.floor * value.gross_notional).max(0.0));
    if let Some(rule) = &add_ons.short_options {
        lines.lift(Line::ShortOptionMinimum, short_option::minimum(rule, &exposures.short_options));
    }
    if let Some(buffer) = &add_ons.buffer {
        lines.add(Line::ProcyclicalityBuffer, buffer.fraction * buffer.level * lines.total());
    }
    if let Some(rule) = &add_ons.liquidation {
        lines.add(Line::LiquidationCost, liquidation::cost(rule, &exposures.assets));
        lines.add(Line::LiquidationHorizon, liquidation::horizon(rule, level, index, &exposures.assets));
    }
    if let Some(rule) = &add_ons.basis {
        lines.add(Line::Basis, basis::charge(rule, &exposures.assets));
    }
    if let Some(rule) = &add_ons.wrong_way {
        lines.add(Line::WrongWay, wrong_way::charge(rule, &exposures.assets));
    }
    if let Some(depegs) = &add_ons.stablecoins {
        lines.add(Line::Stablecoin, stablecoin::charge(depegs, &exposures.stablecoins));
    }
    if let Some(rule) = &add_ons.oracle {
        lines.add(Line::Oracle, oracle::charge(rule, &exposures.assets));
        let pushed = rule.manipulation.as_ref().map(|rule| oracle::manipulation(rule, &exposures.assets));
        lines.add(Line::OracleManipulation, pushed.unwrap_or(0.0));
    }
    lines
}
