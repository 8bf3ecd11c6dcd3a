//! Generalised Black-Scholes: Black (1976) on the forward, discounted.

use super::special::normal_cdf;
use super::{ClosedFormError, within};

/// Call or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptionKind {
    /// Pays `max(S - K, 0)`.
    Call,
    /// Pays `max(K - S, 0)`.
    Put,
}

/// A European option and the market it is valued in, without a volatility model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EuropeanOption {
    /// Call or put.
    pub kind: OptionKind,
    /// Spot price, above zero, in the currency of the strike.
    pub spot: f64,
    /// Strike price, above zero.
    pub strike: f64,
    /// Interest rate per year, continuously compounded: 0.05 is 5 %.
    pub rate: f64,
    /// Dividend, funding or foreign yield per year, continuously compounded; equal to `rate` for an
    /// option on a future (Black-76, with `spot` the futures price).
    pub dividend_yield: f64,
    /// Time to expiry in years of 365 days, zero or more.
    pub expiry_years: f64,
}

impl EuropeanOption {
    /// Forward price `S exp((r - q) t)`.
    pub fn forward(&self) -> f64 {
        self.spot * ((self.rate - self.dividend_yield) * self.expiry_years).exp()
    }

    /// Discount factor `exp(-r t)`.
    pub fn discount(&self) -> f64 {
        (-self.rate * self.expiry_years).exp()
    }

    /// Refuses prices that are not above zero, a negative or absurd time, and absurd rates.
    ///
    /// # Errors
    /// [`ClosedFormError::OutOfRange`] naming the first field that is out of range.
    pub fn check(&self) -> Result<(), ClosedFormError> {
        const PRICE: &str = "a price in (1e-12, 1e15)";
        const RATE: &str = "a rate per year in [-10, 10] (0.05 is 5 %)";
        within("spot", self.spot, 1e-12, 1e15, PRICE)?;
        within("strike", self.strike, 1e-12, 1e15, PRICE)?;
        within("rate", self.rate, -10.0, 10.0, RATE)?;
        within("dividend_yield", self.dividend_yield, -10.0, 10.0, RATE)?;
        within("expiry_years", self.expiry_years, 0.0, 100.0, "years in [0, 100]")
    }
}

/// Black-Scholes-Merton price with yield, in the currency of spot and strike.
///
/// `exp(-rt) [F N(d1) - K N(d2)]` for a call, `d1,2 = ln(F/K)/(v sqrt t) +- v sqrt(t)/2`
/// (Haug 1998, pp. 2-8). `volatility` per year, 0.2 is 20 %. Zero time or zero volatility give the
/// discounted intrinsic value of the forward.
///
/// # Errors
/// [`ClosedFormError::OutOfRange`] for an option that [`EuropeanOption::check`] refuses, or a
/// volatility outside [0, 100].
///
/// ```
/// use shortfall::closed_form::{OptionKind, EuropeanOption, black_price};
/// let option = EuropeanOption {
///     kind: OptionKind::Put, spot: 75.0, strike: 70.0, rate: 0.1, dividend_yield: 0.05, expiry_years: 0.5,
/// };
/// assert!((black_price(&option, 0.35)? - 4.086953828635354).abs() < 1e-13); // Haug (1998)
/// # Ok::<(), shortfall::closed_form::ClosedFormError>(())
/// ```
pub fn black_price(option: &EuropeanOption, volatility: f64) -> Result<f64, ClosedFormError> {
    option.check()?;
    within("volatility", volatility, 0.0, 100.0, "a volatility per year in [0, 100] (0.2 is 20 %)")?;
    let sd = volatility * option.expiry_years.sqrt();
    let forward_value = black_forward(option.kind, option.forward(), option.strike, sd);
    Ok(option.discount() * forward_value)
}

/// Undiscounted Black (1976) value on a forward; `sd` is the standard deviation of the log return
/// over the whole life, dimensionless, zero or more. All arguments are taken as given.
pub fn black_forward(kind: OptionKind, forward: f64, strike: f64, sd: f64) -> f64 {
    weighted_black(kind, forward.ln(), strike.ln(), sd)
}

/// Black value with the logarithms of weight times forward and weight times strike.
///
/// A mixture adds terms `w_n Black(F_n, K)` whose `F_n` alone may overflow although `w_n F_n`
/// does not.
pub(crate) fn weighted_black(kind: OptionKind, log_forward: f64, log_strike: f64, sd: f64) -> f64 {
    let log_moneyness = log_forward - log_strike;
    let sign = match kind {
        OptionKind::Call => 1.0,
        OptionKind::Put => -1.0,
    };
    if sd <= 0.0 {
        return (sign * (log_forward.exp() - log_strike.exp())).max(0.0);
    }
    let d1 = log_moneyness / sd + 0.5 * sd;
    let d2 = d1 - sd;
    let value = log_forward.exp() * normal_cdf(sign * d1) - log_strike.exp() * normal_cdf(sign * d2);
    (sign * value).max(0.0)
}
