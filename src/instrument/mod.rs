//! What can be held: spot, perpetuals, dated futures, European options; named as venues name them.

pub mod black;
mod name;
mod value;

pub use name::{NameFault, parse};
pub use value::{
    CurvePoint, OptionPart, Sensitivity, SmileRule, Terms, UnitExposure, UnitValue, Unrealised, ValueFault,
};

use jiff::Timestamp;

/// An instrument of one asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Instrument {
    /// Its name on the venue: `BTC-27MAR26-80000-C`.
    pub name: String,
    /// Index of its asset in the market.
    pub asset: usize,
    /// What it is.
    pub kind: Kind,
}

/// Kinds of instruments and their terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A US dollar. Cash is an instrument only where money is reported in coins of an asset, which
    /// is then its asset.
    Cash,
    /// The asset itself; quantity in coins.
    Spot,
    /// A perpetual future.
    Perpetual(Settlement),
    /// A dated future.
    Future(Settlement, Timestamp),
    /// A European option; quantity in coins.
    Option(OptionTerms),
}

/// In what an instrument pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settlement {
    /// In the coin. Futures: quantity in US dollars of notional. Options: quantity in coins, the
    /// dollar payoff is converted to coins at the settlement price.
    Inverse,
    /// In dollars; quantity in coins.
    Linear,
}

/// Terms of a European option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptionTerms {
    /// Call or put.
    pub right: Right,
    /// Strike in US dollars, above zero.
    pub strike: f64,
    /// When it expires.
    pub expiry: Timestamp,
    /// In what it pays.
    pub settlement: Settlement,
    /// Annual implied volatility given with the position; the market's surface without it.
    pub volatility_annual: Option<f64>,
}

/// Call or put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The right to buy.
    Call,
    /// The right to sell.
    Put,
}

impl Right {
    /// +1 for a call, -1 for a put.
    pub fn sign(self) -> f64 {
        match self {
            Self::Call => 1.0,
            Self::Put => -1.0,
        }
    }
}

impl Kind {
    /// When it expires; `None` for spot and perpetuals.
    pub fn expiry(&self) -> Option<Timestamp> {
        match *self {
            Self::Cash | Self::Spot | Self::Perpetual(_) => None,
            Self::Future(_, expiry) => Some(expiry),
            Self::Option(terms) => Some(terms.expiry),
        }
    }
}
