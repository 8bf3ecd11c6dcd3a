//! First-order exposures of one unit, for margin rules and sensitivities-based margins.

use jiff::Timestamp;

use super::UnitValue;
use crate::instrument::{Kind, OptionTerms, Settlement};

/// What one unit of an instrument is exposed to, today. Money in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitExposure {
    /// Derivative by the simple return of spot: 1,000 gains 10 when spot rises by 1 %.
    pub delta: f64,
    /// Derivative by the log of its strike's implied volatility; 0 but for options.
    pub vega: f64,
    /// Derivative by its strike's annual implied volatility, per 1.00; 0 but for options.
    pub volatility_vega: f64,
    /// Derivative by the annualised basis of its expiry, per 1.00; of a perpetual by its premium.
    pub basis: f64,
    /// Years to expiry; 0 for spot and perpetuals.
    pub tenor: f64,
    /// Index of its asset.
    pub asset: usize,
    /// When it expires.
    pub expiry: Option<Timestamp>,
    /// Whether it is a perpetual, whose `basis` is one of its premium.
    pub is_perpetual: bool,
    /// Terms of an option.
    pub option: Option<OptionTerms>,
    /// Value of one unit.
    pub market_value: f64,
    /// Spot price, or the notional of a future.
    pub notional: f64,
}

impl UnitValue {
    /// Forward of its expiry, mark of a perpetual, spot price, in US dollars; 0 for cash.
    pub fn forward(&self) -> f64 {
        self.forward
    }

    /// Years to expiry; 0 for spot and perpetuals.
    pub fn tenor(&self) -> f64 {
        self.tenor
    }

    /// Annual implied volatility of an option's strike; `None` for other kinds.
    pub fn implied_volatility(&self) -> Option<f64> {
        self.sensitivity(0.0).map(|sensitivity| (sensitivity.variance / self.tenor).sqrt())
    }

    /// First-order exposures of one unit.
    pub fn exposure(&self) -> UnitExposure {
        let (delta, vega, volatility_vega, option) = match (self.kind, self.sensitivity(0.0)) {
            (Kind::Option(terms), Some(sensitivity)) => {
                // Black: dV/d ln(sigma) = F phi(d1) s, which is gamma times the total variance.
                let vega = sensitivity.gamma * sensitivity.variance;
                let volatility = (sensitivity.variance / self.tenor).sqrt();
                (sensitivity.delta, vega, vega / volatility, Some(terms))
            }
            (Kind::Cash, _) => (0.0, 0.0, 0.0, None),
            _ => (self.forward_delta(), 0.0, 0.0, None),
        };
        let basis = match self.kind {
            Kind::Cash | Kind::Spot => 0.0,
            Kind::Perpetual(_) => delta,
            Kind::Future(..) => delta * self.tenor,
            // The dollar value of an option paid in coins goes with the ratio of spot to forward.
            Kind::Option(terms) => match terms.settlement {
                Settlement::Linear => delta * self.tenor,
                Settlement::Inverse => (delta - self.market_value) * self.tenor,
            },
        };
        UnitExposure {
            delta,
            vega,
            volatility_vega,
            basis,
            tenor: self.tenor,
            asset: self.asset,
            expiry: self.kind.expiry(),
            is_perpetual: matches!(self.kind, Kind::Perpetual(_)),
            option,
            market_value: self.market_value,
            notional: self.notional,
        }
    }

    /// Delta of spot and futures.
    fn forward_delta(&self) -> f64 {
        match self.kind {
            Kind::Perpetual(Settlement::Inverse) | Kind::Future(Settlement::Inverse, _) => {
                self.spot / self.forward
            }
            _ => self.forward,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::instrument::UnitValue;
    use crate::scenario;

    /// Bump of central differences: their error is of its square, a millionth of the third derivative.
    const BUMP: f64 = 1e-4;
    const TOLERANCE: f64 = 1e-5;

    #[test]
    fn exposures_are_the_slopes_of_full_revaluation() {
        let scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        let market = &scenario.market;
        let mut slopes = 0;
        for instrument in &scenario.portfolio.instruments {
            let unit = UnitValue::new(market, instrument).unwrap();
            let exposure = unit.exposure();
            let slope = |moved: &dyn Fn(&mut crate::market::Market, f64)| {
                let profit = |bump: f64| {
                    let mut market = market.clone();
                    moved(&mut market, bump);
                    unit.profit_to(&UnitValue::new(&market, instrument).unwrap())
                };
                (profit(BUMP) - profit(-BUMP)) / (2.0 * BUMP)
            };
            let close = |found: f64, wanted: f64| (found - wanted).abs() <= TOLERANCE * unit.notional;
            let spot = slope(&|market, bump| market.scale_prices(instrument.asset, 1.0 + bump));
            // Black's delta holds the volatility of the strike, the revaluation that of the moneyness.
            if exposure.option.is_none() {
                assert!(close(spot, exposure.delta), "{}: {spot} {exposure:?}", instrument.name);
            }
            let vega =
                slope(&|market, bump| market.assets[instrument.asset].implied_volatility_shift += bump);
            assert!(close(vega, exposure.vega), "{}: {vega} {exposure:?}", instrument.name);
            if exposure.expiry.is_some() && exposure.option.is_none() {
                let basis = slope(&|market, bump| {
                    for forward in &mut market.assets[instrument.asset].forwards {
                        forward.price *= (bump * exposure.tenor).exp();
                    }
                });
                assert!(close(basis, exposure.basis), "{}: {basis} {exposure:?}", instrument.name);
                assert!(!close(basis, -exposure.basis), "negative control");
                slopes += 1;
            }
        }
        assert!(slopes > 0, "the book holds dated futures");
    }
}
