//! A book as a rulebook sees it: positions with marks, volatilities and times, all given.

use crate::closed_form::OptionKind;
use crate::closed_form::black::black_forward;
use crate::closed_form::special::normal_cdf;
use crate::units::DAYS_PER_YEAR;

const SECONDS_PER_YEAR: f64 = DAYS_PER_YEAR * 86_400.0;

/// A book of one account. Money in US dollars.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    /// Its name.
    pub name: String,
    /// Cash, negative for a debt.
    pub cash: f64,
    /// Inputs that the rulebook knows at the level of the book, by name.
    pub inputs: Inputs,
    /// What is traded.
    pub underlyings: Vec<Underlying>,
    /// What is held.
    pub positions: Vec<Position>,
}

/// Inputs by name.
pub type Inputs = Vec<(String, f64)>;

/// One underlying.
#[derive(Clone, Debug, PartialEq)]
pub struct Underlying {
    /// Its name: `BTC`.
    pub name: String,
    /// Price, above zero: the venue's index.
    pub spot: f64,
    /// Inputs of its own.
    pub inputs: Inputs,
    /// Expiries of its futures and options.
    pub expiries: Vec<Expiry>,
}

/// One expiry of an underlying.
#[derive(Clone, Debug, PartialEq)]
pub struct Expiry {
    /// Its name in the book.
    pub name: String,
    /// Seconds to expiry, zero or more.
    pub seconds: f64,
    /// Forward price, above zero.
    pub forward: f64,
    /// Discount factor, above zero.
    pub discount: f64,
    /// Rate per year, continuously compounded.
    pub rate: f64,
    /// Inputs of its own.
    pub inputs: Inputs,
}

impl Expiry {
    /// Years to expiry.
    pub fn years(&self) -> f64 {
        self.seconds / SECONDS_PER_YEAR
    }
}

/// One position.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// Its name in results.
    pub name: String,
    /// Index into [`Book::underlyings`].
    pub underlying: usize,
    /// What it is.
    pub kind: Kind,
    /// Whether it pays in the coin.
    pub inverse: bool,
    /// Units: coins of the underlying, negative for a short; of an inverse future its notional over its
    /// mark.
    pub quantity: f64,
    /// Price of one unit, if given.
    pub mark: Option<f64>,
    /// Price at which it was entered; the mark where none is given.
    pub entry: Option<f64>,
    /// Unrealised funding.
    pub funding: f64,
    /// Delta of one unit in coins, if given.
    pub delta: Option<f64>,
    /// Inputs of its own.
    pub inputs: Inputs,
    /// Losses of one unit by scenario, by the name of a scan: used instead of a valuation.
    pub arrays: Vec<(String, Vec<f64>)>,
}

/// Kinds of positions.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A European option.
    Option {
        /// Index into [`Underlying::expiries`].
        expiry: usize,
        /// Call or put.
        right: OptionKind,
        /// Strike, above zero.
        strike: f64,
        /// Annual implied volatility.
        volatility: f64,
    },
    /// A dated future; the index of its expiry.
    Future(usize),
    /// A perpetual future.
    Perpetual,
    /// A coin posted as collateral, by its name; parameters may differ by it.
    Collateral(String),
}

impl Kind {
    /// Its word in a book, as an index.
    pub(super) fn word(&self) -> usize {
        match self {
            Self::Option { .. } => 0,
            Self::Future(_) => 1,
            Self::Perpetual => 2,
            Self::Collateral(_) => 3,
        }
    }
}

/// Black-76 of one option at its own forward and volatility, discounted, in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Greeks {
    /// Value.
    pub value: f64,
    /// First derivative by the forward.
    pub delta: f64,
    /// Second derivative by the forward.
    pub gamma: f64,
    /// By 1.00 of volatility.
    pub vega: f64,
    /// By a year of passing time, at a fixed discount factor.
    pub theta: f64,
}

/// Value and derivatives of an option.
pub fn greeks(right: OptionKind, expiry: &Expiry, strike: f64, volatility: f64) -> Greeks {
    let Expiry { forward, discount, .. } = *expiry;
    let root = expiry.years().sqrt();
    let sd = volatility * root;
    let sign = if right == OptionKind::Call { 1.0 } else { -1.0 };
    let value = discount * black_forward(right, forward, strike, sd);
    if !(sd > 0.0) {
        let delta = if sign * (forward - strike) > 0.0 { sign * discount } else { 0.0 };
        return Greeks { value, delta, ..Greeks::default() };
    }
    let d1 = (forward / strike).ln() / sd + 0.5 * sd;
    let density = (-0.5 * d1 * d1).exp() / std::f64::consts::TAU.sqrt();
    Greeks {
        value,
        delta: discount * sign * normal_cdf(sign * d1),
        gamma: discount * density / (forward * sd),
        vega: discount * forward * density * root,
        theta: -0.5 * discount * forward * density * volatility / root,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central differences of step `h` err by `h^2` times a third derivative of order one.
    const DIFFERENCE: f64 = 1e-6;

    #[test]
    fn greeks_are_the_derivatives_of_the_value() {
        let expiry = Expiry {
            name: String::new(),
            seconds: 0.25 * SECONDS_PER_YEAR,
            forward: 1.0,
            discount: 0.97,
            rate: 0.1,
            inputs: Vec::new(),
        };
        for right in [OptionKind::Call, OptionKind::Put] {
            let at = |forward: f64, volatility: f64, seconds: f64| {
                greeks(right, &Expiry { forward, seconds, ..expiry.clone() }, 1.1, volatility)
            };
            let (h, seconds) = (1e-4, expiry.seconds);
            let here = at(1.0, 0.6, seconds);
            let delta = (at(1.0 + h, 0.6, seconds).value - at(1.0 - h, 0.6, seconds).value) / (2.0 * h);
            let gamma = (at(1.0 + h, 0.6, seconds).delta - at(1.0 - h, 0.6, seconds).delta) / (2.0 * h);
            let vega = (at(1.0, 0.6 + h, seconds).value - at(1.0, 0.6 - h, seconds).value) / (2.0 * h);
            let step = h * SECONDS_PER_YEAR;
            let theta = (at(1.0, 0.6, seconds - step).value - at(1.0, 0.6, seconds + step).value) / (2.0 * h);
            for (exact, difference) in
                [(here.delta, delta), (here.gamma, gamma), (here.vega, vega), (here.theta, theta)]
            {
                assert!((exact - difference).abs() < DIFFERENCE, "{exact} {difference}");
            }
        }
    }
}
