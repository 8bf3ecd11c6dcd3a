//! From tail figures to margins.

use crate::risk::TailEstimate;
use crate::units::{Confidence, Years};

/// Rules that turn Expected Shortfall into margins.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginRules {
    /// Level of the maintenance margin.
    pub maintenance: Level,
    /// Level of the initial margin.
    pub initial: Level,
    /// Least margin as a fraction of the account's gross notional: 0.01 is 1 %.
    pub floor: f64,
    /// Fraction taken off a positive balance of each asset when it counts as equity.
    pub haircuts: Vec<f64>,
}

/// A confidence and a horizon (the margin period of risk).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Confidence of the Expected Shortfall.
    pub confidence: Confidence,
    /// Time over which a position is carried before it is closed.
    pub horizon: Years,
}

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

/// An account's margin. Money in the reporting currency, requirements positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// Maintenance margin: Expected Shortfall at its level, floored.
    pub maintenance_margin: f64,
    /// Initial margin: likewise, and never below the maintenance margin.
    pub initial_margin: f64,
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

/// Applies the rules to an account.
pub fn margin(
    rules: &MarginRules,
    value: &AccountValue,
    maintenance: &TailEstimate,
    initial: &TailEstimate,
) -> Margin {
    let floor = rules.floor * value.gross_notional;
    // A book that cannot lose has an Expected Shortfall below zero; a margin does not pay out.
    let maintenance_margin = maintenance.expected_shortfall.max(floor).max(0.0);
    let initial_margin = initial.expected_shortfall.max(maintenance_margin);
    let state = if !(value.equity >= maintenance_margin) {
        State::Liquidate
    } else if !(value.equity >= initial_margin) {
        State::MarginCall
    } else {
        State::Healthy
    };
    let health = (maintenance_margin > 0.0).then(|| value.equity / maintenance_margin);
    Margin { maintenance_margin, initial_margin, health, state }
}
