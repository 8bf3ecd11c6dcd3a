//! The classic margin from sensitivities, to stand beside Expected Shortfall: delta, vega and
//! curvature, each a square root of correlated weighted sensitivities, added up.
//!
//! The form is that of FRTB's sensitivities-based method (Basel Committee, MAR21) and of ISDA SIMM.
//! Their tables of weights and correlations are for other markets, so weights and correlations are
//! those of the scenario's own dynamics.

use super::Level;
use crate::closed_form::special::{normal_density, normal_upper_quantile};
use crate::instrument::{Instrument, UnitExposure, UnitValue};
use crate::market::{ImpliedVolatility, Jumps, Market};
use crate::portfolio::Account;

/// A margin from sensitivities. Money in the reporting currency; each part at least zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GreeksMargin {
    /// Of spot.
    pub delta: f64,
    /// Of the level of implied volatility.
    pub vega: f64,
    /// Of what delta misses of a large move of spot.
    pub curvature: f64,
}

impl GreeksMargin {
    /// The margin: the parts do not offset each other.
    pub fn total(&self) -> f64 {
        self.delta + self.vega + self.curvature
    }
}

/// Weights, correlations and sensitivities of one market at one level.
pub struct Sensitivities {
    units: Vec<UnitSensitivity>,
    /// Risk weights of spot and of the level of implied volatility, by asset.
    delta_weights: Vec<f64>,
    vega_weights: Vec<f64>,
    /// Correlations, `[asset][asset]`.
    spot_correlation: Vec<Vec<f64>>,
    volatility_correlation: Vec<Vec<f64>>,
    /// US dollars for one unit of the reporting currency.
    price: f64,
}

/// Of one unit of an instrument, in US dollars.
#[derive(Clone, Copy)]
struct UnitSensitivity {
    asset: usize,
    delta: f64,
    /// By the log level of implied volatility at the reference tenor.
    vega: f64,
    /// Profit beyond delta when spot moves up and down by its risk weight.
    curvature: [f64; 2],
}

impl Sensitivities {
    /// Of instruments in a market. `reporting_asset` is the coin in which money is reported.
    ///
    /// # Errors
    /// The reason where an instrument has no value after a move.
    pub fn new(
        market: &Market,
        instruments: &[Instrument],
        units: &[UnitValue],
        level: &Level,
        reporting_asset: Option<usize>,
    ) -> Result<Self, String> {
        let assets = market.assets.len();
        let years = level.horizon.get();
        let shortfall = normal_shortfall(level);
        let spot = |i: usize, j: usize| market.covariance_annual(i, j) * years;
        let volatility = |i: usize, j: usize| level_covariance(market, i, j, years);
        let weights = |covariance: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..assets).map(|i| shortfall * covariance(i, i).sqrt()).collect()
        };
        let delta_weights = weights(&spot);
        let moved = [1.0, -1.0].map(|sign| {
            let mut market = market.clone();
            for (asset, weight) in delta_weights.iter().enumerate() {
                market.scale_prices(asset, (sign * weight).exp());
            }
            market
        });
        let unit = |(instrument, unit): (&Instrument, &UnitValue)| -> Result<UnitSensitivity, String> {
            let exposure = unit.exposure();
            let mut curvature = [0.0; 2];
            for (curvature, (market, sign)) in curvature.iter_mut().zip(moved.iter().zip([1.0, -1.0])) {
                let stressed = UnitValue::new(market, instrument)
                    .map_err(|fault| format!("{}: {fault}", instrument.name))?;
                let linear = exposure.delta * (sign * delta_weights[exposure.asset]).exp_m1();
                // Only options curve; of futures it would be rounding.
                *curvature = if exposure.option.is_some() { unit.profit_to(&stressed) - linear } else { 0.0 };
            }
            let vega = level_vega(market, &exposure);
            Ok(UnitSensitivity { asset: exposure.asset, delta: exposure.delta, vega, curvature })
        };
        Ok(Self {
            units: instruments.iter().zip(units).map(unit).collect::<Result<_, _>>()?,
            vega_weights: weights(&volatility),
            delta_weights,
            spot_correlation: correlation(assets, &spot),
            volatility_correlation: correlation(assets, &volatility),
            price: reporting_asset.map_or(1.0, |asset| market.assets[asset].spot),
        })
    }

    /// The margin of an account.
    ///
    /// # Formula
    /// With `k = phi(z) / (1 - c)`, the normal law's Expected Shortfall in standard deviations:
    /// - delta `sqrt(sum r_ij W_i W_j)`, `W_i = k sigma_i sqrt(h) delta_i`;
    /// - vega likewise, with the standard deviation of the log level of implied volatility over `h`;
    /// - curvature `sqrt(max(0, sum K_i^2 + sum_{i != j} r_ij^2 S_i S_j))`, where `S_i` is the larger
    ///   loss beyond delta of a move up or down by `k sigma_i sqrt(h)`, `K_i` is `S_i` or zero, and
    ///   two negative `S` do not count (MAR21.5).
    pub fn margin(&self, account: &Account) -> GreeksMargin {
        let assets = self.delta_weights.len();
        let (mut delta, mut vega) = (vec![0.0; assets], vec![0.0; assets]);
        let mut curvature = vec![[0.0; 2]; assets];
        for holding in &account.holdings {
            let unit = &self.units[holding.instrument as usize];
            let quantity = holding.quantity / self.price;
            delta[unit.asset] += quantity * unit.delta * self.delta_weights[unit.asset];
            vega[unit.asset] += quantity * unit.vega * self.vega_weights[unit.asset];
            for (sum, profit) in curvature[unit.asset].iter_mut().zip(unit.curvature) {
                *sum -= quantity * profit;
            }
        }
        let losses: Vec<f64> = curvature.iter().map(|[up, down]| up.max(*down)).collect();
        GreeksMargin {
            delta: aggregate(&delta, &self.spot_correlation),
            vega: aggregate(&vega, &self.volatility_correlation),
            curvature: aggregate_curvature(&losses, &self.spot_correlation),
        }
    }
}

/// The root of the correlated sum of weighted sensitivities.
fn aggregate(weighted: &[f64], correlation: &[Vec<f64>]) -> f64 {
    let rows = weighted.iter().zip(correlation);
    let row = |(a, row): (&f64, &Vec<f64>)| a * row.iter().zip(weighted).map(|(r, b)| r * b).sum::<f64>();
    rows.map(row).sum::<f64>().max(0.0).sqrt()
}

fn aggregate_curvature(losses: &[f64], correlation: &[Vec<f64>]) -> f64 {
    let mut square = 0.0;
    for (i, &a) in losses.iter().enumerate() {
        for (j, &b) in losses.iter().enumerate() {
            square += match i == j {
                true => a.max(0.0).powi(2),
                false if a < 0.0 && b < 0.0 => 0.0,
                false => correlation[i][j].powi(2) * a * b,
            };
        }
    }
    square.max(0.0).sqrt()
}

/// Expected Shortfall of the standard normal law.
fn normal_shortfall(level: &Level) -> f64 {
    let tail = level.confidence.tail();
    normal_density(normal_upper_quantile(tail)) / tail
}

/// Derivative by the log level of implied volatility at the reference tenor; none where it stands still.
fn level_vega(market: &Market, exposure: &UnitExposure) -> f64 {
    let dynamics = market.assets[exposure.asset].implied_volatility.as_ref();
    let tenor = crate::units::Years::new(exposure.tenor);
    dynamics.zip(tenor).map_or(0.0, |(dynamics, tenor)| exposure.vega * dynamics.term_factor(tenor))
}

/// Covariance of two assets' log levels of implied volatility after some years.
///
/// # Formula
/// `h D((k_i + k_j) h) (o_i o_j r_i r_j R_ij + lambda_c d_i d_j)` with `D(a) = (1 - exp(-a)) / a`; on
/// the diagonal `o_i^2` stands for the first product and own jumps come in.
fn level_covariance(market: &Market, first: usize, second: usize, years: f64) -> f64 {
    let (a, b) = (&market.assets[first], &market.assets[second]);
    let (Some(x), Some(y)) = (&a.implied_volatility, &b.implied_volatility) else { return 0.0 };
    let intensity = |jumps: &Option<Jumps>| jumps.as_ref().map_or(0.0, |jumps| jumps.intensity_annual);
    let (shared, own) = match first == second {
        true => (1.0, intensity(&a.own_jumps) * x.own_jump_shift.powi(2)),
        false => (x.spot_correlation * y.spot_correlation * market.correlation.get(first, second), 0.0),
    };
    let common = intensity(&market.common_jumps) * x.common_jump_shift * y.common_jump_shift;
    let decay = (x.mean_reversion_annual + y.mean_reversion_annual) * years;
    let mean_decay = if decay > 0.0 { -(-decay).exp_m1() / decay } else { 1.0 };
    let of = |dynamics: &ImpliedVolatility| dynamics.volatility_annual;
    years * mean_decay * (shared * of(x) * of(y) + common + own)
}

fn correlation(assets: usize, covariance: &dyn Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    let entry = |i: usize, j: usize| {
        let scale = (covariance(i, i) * covariance(j, j)).sqrt();
        match i == j {
            true => 1.0,
            false if scale > 0.0 => covariance(i, j) / scale,
            false => 0.0,
        }
    };
    (0..assets).map(|i| (0..assets).map(|j| entry(i, j)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_hand() {
        let half = vec![vec![1.0, 0.5], vec![0.5, 1.0]];
        // 3^2 + 5^2 + 2 * 0.5 * 15 = 49
        assert_eq!(aggregate(&[3.0, 5.0], &half), 7.0);
        // 3^2 + 5^2 - 15 = 19: a hedge counts by its correlation.
        assert!((aggregate(&[3.0, -5.0], &half) - 19f64.sqrt()).abs() < 1e-12);
        // Curvature: 9 + 25 + 2 * 0.25 * 15 = 41.5; two gains are none; a gain offsets a loss in part.
        assert!((aggregate_curvature(&[3.0, 5.0], &half) - 41.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(aggregate_curvature(&[-3.0, -5.0], &half), 0.0);
        assert!((aggregate_curvature(&[-3.0, 5.0], &half) - 17.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn the_normal_factor_is_the_published_one() {
        // 2.665214220345808 at 99 % (McNeil, Frey and Embrechts 2005, section 2.2).
        assert!((normal_shortfall(&Level::default()) - 2.665_214_220_345_808).abs() < 1e-12);
    }
}
