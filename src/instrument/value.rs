//! What one unit of an instrument is worth now, and the terms by which it is worth something else
//! at a later observation of a path.
//!
//! Every instrument's profit is written as
//!
//! ```text
//! cu U + cv V + offset + (option on the path - option now)
//! ```
//!
//! where `U` and `V` are `expm1` of path quantities (see [`CurvePoint`]). The linear part is exact
//! in relative terms and an option is kept as its out-of-the-money side, so that a hedged book,
//! a small difference of large numbers, loses little to rounding.

mod exposure;

pub use exposure::UnitExposure;

use super::black::{LEAST_VARIANCE, Spread, Variance, option_value};
use super::{Instrument, Kind, OptionTerms, Settlement};
use crate::market::{Asset, Market, SviSlice};
use crate::numeric::Real;
use crate::units::Years;

/// A change of the annualised basis acts on a perpetual's premium for about this long: funding
/// pulls the mark back to the index within its interval of hours, up to a day.
const PERPETUAL_BASIS_DAYS: f64 = 1.0;

/// Why an instrument cannot be valued in a market.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    /// It expired before the market was seen.
    #[error("an instrument that has not expired")]
    Expired,
    /// No forward for its expiry.
    #[error("an expiry within the forwards of {0}")]
    NoForward(String),
    /// No volatility for its expiry.
    #[error(
        "an expiry that the volatility surface of {asset} has ({expiries}), or an implied_volatility of its own"
    )]
    NoVolatility {
        /// The asset.
        asset: String,
        /// Expiries that there are.
        expiries: String,
    },
}

/// An instrument at a market.
#[derive(Clone, Debug)]
pub struct UnitValue {
    /// Value of one unit in US dollars; zero for a future at its mark.
    pub market_value: f64,
    /// Exposure of one unit in US dollars: spot price, or the notional of a future or option.
    pub notional: f64,
    asset: usize,
    kind: Kind,
    spot: f64,
    /// Mark of the future, or forward of the option; the spot price for spot, nothing for cash.
    forward: f64,
    /// Years to expiry; zero for spot and perpetuals.
    tenor: f64,
    /// Total variance and the option's out-of-the-money value; options only.
    smile: Option<Smile>,
    funding_rate_annual: f64,
    discount_rate_annual: f64,
}

#[derive(Clone, Copy, Debug)]
struct Smile {
    terms: OptionTerms,
    svi: SviSlice,
    /// Factor on total variance from the market's shift of the volatility level.
    level: f64,
    /// Sign of the out-of-the-money side.
    otm_sign: f64,
    /// Value of that side now, in dollars, with its weight.
    otm_value: f64,
}

/// Derivatives of one option's value today by the simple return of its spot (0.1 is +10 %), the
/// implied volatility of its strike held: Black's greeks. Money in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensitivity {
    /// First derivative: delta times the price.
    pub delta: f64,
    /// Second derivative: gamma times the price squared.
    pub gamma: f64,
    /// Total variance of its strike today, over the life that remains at the observation.
    pub variance: f64,
}

/// Path quantities that instruments of one asset, expiry and settlement share at an observation.
///
/// With `x` the log return of spot, `q` the change of the annualised basis:
/// `g = x + q basis_years + carry`, the log return of the forward. Linear: `U = expm1(g)`, `V = 0`.
/// Inverse: `U = expm1(x)`, `V = expm1(x - g)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Index of the asset.
    pub asset: usize,
    /// Which `U` and `V`.
    pub settlement: Settlement,
    /// Years over which a change of the annualised basis acts.
    pub basis_years: f64,
    /// Log change of the forward over spot from the passing of time.
    pub carry: f64,
    /// How much the log level of volatility moves for one of the reference tenor; options only.
    pub volatility_factor: Option<f64>,
}

/// Terms of one unit of an instrument at an observation. Money in US dollars.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Coefficient of `U`.
    pub u: f64,
    /// Coefficient of `V`.
    pub v: f64,
    /// Constant part.
    pub offset: f64,
    /// The out-of-the-money option, if any.
    pub option: Option<OptionPart>,
    /// Value now; needed where the reporting currency is an asset.
    pub market_value: f64,
}

/// The out-of-the-money option of [`Terms`].
#[derive(Clone, Copy, Debug)]
pub struct OptionPart {
    /// +1 call, -1 put.
    pub sign: f64,
    /// Forward now in dollars, with its weight; times `1 + U` on the path.
    pub forward: f64,
    /// Strike in dollars, with its weight; times `1 + V` on the path.
    pub strike: f64,
    /// `ln(K/F)` now; minus `g` on the path.
    pub log_moneyness: f64,
    /// Total variance over the life that remains.
    pub variance: Variance<f64>,
    /// Value now.
    pub base: f64,
}

/// Whether a smile moves with the forward or stays with the strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmileRule {
    /// Volatility is a function of log-moneyness on the path.
    #[default]
    StickyMoneyness,
    /// Volatility of a strike stays what it is now.
    StickyStrike,
}

impl UnitValue {
    /// Values an instrument.
    pub fn new(market: &Market, instrument: &Instrument) -> Result<Self, ValueFault> {
        let asset = &market.assets[instrument.asset];
        let rate = market.discount_rate_annual;
        let spot = asset.spot;
        let mut unit = Self {
            market_value: 0.0,
            notional: spot,
            asset: instrument.asset,
            kind: instrument.kind,
            spot,
            forward: spot,
            tenor: 0.0,
            smile: None,
            funding_rate_annual: asset.funding_rate_annual,
            discount_rate_annual: rate,
        };
        if let Some(expiry) = instrument.kind.expiry() {
            let tenor = Years::between(market.as_of, expiry).filter(|tenor| tenor.get() > 0.0);
            unit.tenor = tenor.ok_or(ValueFault::Expired)?.get();
            let forward = asset.forward(market.as_of, expiry, rate);
            unit.forward = forward.ok_or_else(|| ValueFault::NoForward(asset.name.clone()))?;
        }
        match instrument.kind {
            Kind::Cash => (unit.market_value, unit.notional, unit.forward) = (1.0, 1.0, 0.0),
            Kind::Spot => unit.market_value = spot,
            Kind::Perpetual(settlement) => {
                unit.forward = asset.perpetual_mark;
                unit.notional = future_notional(settlement, unit.forward);
            }
            Kind::Future(settlement, _) => unit.notional = future_notional(settlement, unit.forward),
            Kind::Option(terms) => unit.value_option(asset, terms)?,
        }
        Ok(unit)
    }

    fn value_option(&mut self, asset: &Asset, terms: OptionTerms) -> Result<(), ValueFault> {
        let svi = match (terms.volatility_annual, asset.slice(terms.expiry)) {
            (Some(volatility), _) => SviSlice::flat(volatility, self.tenor),
            (None, Some(slice)) => slice.svi,
            (None, None) => {
                let expiries: Vec<String> = asset.surface.iter().map(|s| s.expiry.to_string()).collect();
                let expiries = if expiries.is_empty() { "none".to_owned() } else { expiries.join(", ") };
                return Err(ValueFault::NoVolatility { asset: asset.name.clone(), expiries });
            }
        };
        let level = (2.0 * asset.implied_volatility_shift).exp();
        let intrinsic = terms.right.sign() * (self.forward - terms.strike);
        let otm_sign = if intrinsic > 0.0 { -terms.right.sign() } else { terms.right.sign() };
        let weight = self.weight(terms.settlement, 0.0);
        let k = (terms.strike / self.forward).ln();
        let variance = (svi.total_variance(k) * level).max(LEAST_VARIANCE);
        let signed = otm_sign * weight;
        let spread = Spread::new(otm_sign, variance);
        let otm_value = option_value(signed * self.forward, signed * terms.strike, k, spread, 1.0, 1.0);
        self.market_value = weight * intrinsic.max(0.0) + otm_value;
        self.smile = Some(Smile { terms, svi, level, otm_sign, otm_value });
        Ok(())
    }

    /// Dollars now for one dollar of undiscounted value, `elapsed` years from now with nothing
    /// else moved.
    fn weight(&self, settlement: Settlement, elapsed: f64) -> f64 {
        match settlement {
            Settlement::Inverse => self.spot / self.forward,
            Settlement::Linear => (-self.discount_rate_annual * (self.tenor - elapsed)).exp(),
        }
    }

    /// When its value is fixed on a path that is looked at after `horizon_years`: then, or at its
    /// expiry if that comes before. What is paid at expiry stays what it is in dollars.
    pub fn observed_years(&self, horizon_years: f64) -> f64 {
        if self.kind.expiry().is_some() { self.tenor.min(horizon_years) } else { horizon_years }
    }

    /// The curve point and the terms at an observation `elapsed` years from now, which must come
    /// from [`UnitValue::observed_years`].
    pub fn at(&self, market: &Market, smile_rule: SmileRule, elapsed: f64) -> (CurvePoint, Terms) {
        let settlement = match self.kind {
            Kind::Cash | Kind::Spot => Settlement::Linear,
            Kind::Perpetual(settlement) | Kind::Future(settlement, _) => settlement,
            Kind::Option(terms) => terms.settlement,
        };
        let dated = self.kind.expiry().is_some();
        let remaining = if dated { self.tenor - elapsed } else { 0.0 };
        let basis_years = match self.kind {
            Kind::Perpetual(_) => PERPETUAL_BASIS_DAYS / crate::units::DAYS_PER_YEAR,
            _ => remaining,
        };
        let carry = if dated { -(self.forward / self.spot).ln() / self.tenor * elapsed } else { 0.0 };
        let mut point =
            CurvePoint { asset: self.asset, settlement, basis_years, carry, volatility_factor: None };
        let ratio = self.spot / self.forward;
        let funding = match self.kind {
            Kind::Perpetual(_) => -self.funding_rate_annual * elapsed,
            _ => 0.0,
        };
        let (u, v, offset) = match (self.smile, settlement) {
            (None, Settlement::Linear) => (self.forward, 0.0, funding * self.forward),
            (None, Settlement::Inverse) => (ratio, -ratio, funding),
            (Some(smile), _) => self.intrinsic_part(smile, elapsed),
        };
        let option = self.smile.map(|smile| {
            let dynamics = market.assets[self.asset].implied_volatility;
            let tenor = Years::new(remaining).unwrap_or_else(|| Years::new(0.0).expect("zero"));
            point.volatility_factor = Some(dynamics.map_or(0.0, |d| d.term_factor(tenor)));
            self.option_part(smile, smile_rule, elapsed, remaining)
        });
        (point, Terms { u, v, offset, option, market_value: self.market_value })
    }

    /// An option in the money now is its intrinsic value, which is linear, and the other side.
    fn intrinsic_part(&self, smile: Smile, elapsed: f64) -> (f64, f64, f64) {
        let sign = smile.terms.right.sign();
        if smile.otm_sign == sign {
            return (0.0, 0.0, 0.0);
        }
        let strike = smile.terms.strike;
        match smile.terms.settlement {
            Settlement::Inverse => (sign * self.spot, -sign * strike * self.spot / self.forward, 0.0),
            Settlement::Linear => {
                let later = self.weight(Settlement::Linear, elapsed);
                let now = self.weight(Settlement::Linear, 0.0);
                (sign * later * self.forward, 0.0, sign * (later - now) * (self.forward - strike))
            }
        }
    }

    /// What an option's profit starts from, today; see [`Sensitivity`]. `None` for other kinds.
    /// `elapsed` is that of [`UnitValue::at`].
    pub fn sensitivity(&self, elapsed: f64) -> Option<Sensitivity> {
        let Smile { terms, svi, level, .. } = self.smile?;
        let k = (terms.strike / self.forward).ln();
        let variance = (svi.total_variance(k) * level).max(LEAST_VARIANCE);
        let root = variance.sqrt();
        let d1 = -k / root + 0.5 * root;
        let sign = terms.right.sign();
        let forward = self.weight(terms.settlement, 0.0) * self.forward;
        let density = (-0.5 * d1 * d1).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let left = (self.tenor - elapsed) / self.tenor;
        Some(Sensitivity {
            delta: sign * forward * (sign * d1).normal_cdf(),
            gamma: forward * density / root,
            variance: (variance * left).max(LEAST_VARIANCE),
        })
    }

    fn option_part(&self, smile: Smile, rule: SmileRule, elapsed: f64, remaining: f64) -> OptionPart {
        let SviSlice { a, b, rho, m, sigma } = smile.svi;
        let strike = smile.terms.strike;
        let log_moneyness = (strike / self.forward).ln();
        let scale = smile.level * remaining / self.tenor;
        let (a, b) = match rule {
            SmileRule::StickyMoneyness => (a, b),
            SmileRule::StickyStrike => (smile.svi.total_variance(log_moneyness), 0.0),
        };
        let weight = self.weight(smile.terms.settlement, elapsed);
        OptionPart {
            sign: smile.otm_sign,
            forward: weight * self.forward,
            strike: weight * strike,
            log_moneyness,
            variance: Variance { a: a * scale, b: b * scale, rho, m, sigma_squared: sigma * sigma },
            base: smile.otm_value,
        }
    }

    /// Profit of one unit when the market moves at once from this one to `stressed`, in dollars.
    pub fn profit_to(&self, stressed: &Self) -> f64 {
        match self.kind {
            Kind::Cash | Kind::Spot | Kind::Option(_) => stressed.market_value - self.market_value,
            Kind::Perpetual(Settlement::Linear) | Kind::Future(Settlement::Linear, _) => {
                self.dollars_to(stressed)
            }
            Kind::Perpetual(Settlement::Inverse) | Kind::Future(Settlement::Inverse, _) => {
                stressed.spot * self.coins_to(stressed)
            }
        }
    }

    /// Coins that one unit pays when the market moves at once from this one to `stressed`: inverse
    /// futures only, everything else pays in dollars.
    pub fn coins_to(&self, stressed: &Self) -> f64 {
        match self.kind {
            Kind::Perpetual(Settlement::Inverse) | Kind::Future(Settlement::Inverse, _) => {
                1.0 / self.forward - 1.0 / stressed.forward
            }
            _ => 0.0,
        }
    }

    /// Dollars that one unit pays when the market moves at once from this one to `stressed`: linear
    /// futures only.
    pub fn dollars_to(&self, stressed: &Self) -> f64 {
        match self.kind {
            Kind::Perpetual(Settlement::Linear) | Kind::Future(Settlement::Linear, _) => {
                stressed.forward - self.forward
            }
            _ => 0.0,
        }
    }

    /// What a future entered at `entry_price` has made per unit: dollars (linear) and coins (inverse).
    pub fn unrealised(&self, entry_price: f64) -> Unrealised {
        match self.kind {
            Kind::Perpetual(Settlement::Linear) | Kind::Future(Settlement::Linear, _) => {
                Unrealised { dollars: self.forward - entry_price, coins: 0.0 }
            }
            Kind::Perpetual(Settlement::Inverse) | Kind::Future(Settlement::Inverse, _) => {
                Unrealised { dollars: 0.0, coins: 1.0 / entry_price - 1.0 / self.forward }
            }
            Kind::Cash | Kind::Spot | Kind::Option(_) => Unrealised::default(),
        }
    }
}

/// Profit that a future has made since its entry, per unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Unrealised {
    /// In US dollars.
    pub dollars: f64,
    /// In coins of its asset.
    pub coins: f64,
}

fn future_notional(settlement: Settlement, mark: f64) -> f64 {
    match settlement {
        Settlement::Inverse => 1.0,
        Settlement::Linear => mark,
    }
}
