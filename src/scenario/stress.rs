//! Stresses: a market as it would be after a shock.

use crate::market::Market;

/// A named shock to the market, at once and before the simulation starts.
#[derive(Clone, Debug)]
pub struct Stress {
    /// Its name in the report.
    pub name: String,
    /// What is shocked, in this order.
    pub shocks: Vec<Shock>,
}

/// One kind of shock.
#[derive(Clone, Debug, PartialEq)]
pub enum Shock {
    /// A recorded joint move.
    Replay(Replay),
    /// Relative move of spots by asset: -0.3 is -30 %.
    Spot(Vec<(usize, f64)>),
    /// Volatilities.
    Volatility {
        /// Factor on diffusive volatility.
        multiply: f64,
        /// Log shift of implied volatility at every tenor: 0.4 is +49 %.
        implied_shift: f64,
        /// Added to SVI's `rho`: negative makes puts dearer against calls.
        skew_shift: f64,
    },
    /// Blend of the correlation matrix.
    Correlation {
        /// Off-diagonal value to move toward.
        toward: f64,
        /// 0 leaves the matrix, 1 replaces it.
        weight: f64,
    },
    /// Factor on all jump intensities.
    JumpIntensity {
        /// The factor.
        multiply: f64,
    },
    /// Shift of the annualised basis: 0.1 adds 10 points a year to every forward.
    Basis {
        /// The shift.
        shift: f64,
    },
    /// Shift of the annual funding rate.
    Funding {
        /// The shift.
        shift: f64,
    },
    /// Volatilities of whole log returns by asset, jumps included: the diffusive part becomes what
    /// the jumps leave of them.
    TotalVolatility(Vec<(usize, f64)>),
    /// How assets trade.
    Liquidity {
        /// Factor on volume, depth and pools.
        multiply: f64,
        /// Factor on spreads.
        spread: f64,
    },
}

/// A recorded joint move of all assets.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Its name in the file of replays.
    pub crisis: String,
    /// Log return of each asset of the market.
    pub log_returns: Vec<f64>,
    /// Log shift of each asset's volatility, implied at every tenor and diffusive alike: a market
    /// that has crashed goes on moving.
    pub volatility_shifts: Vec<f64>,
}

/// Largest |rho| after a skew shock.
const MAX_RHO: f64 = 0.999;

impl Stress {
    /// The market after the shock. Forwards keep their annualised basis, smiles their shape in
    /// log-moneyness.
    pub fn apply(&self, market: &Market) -> Market {
        let mut stressed = market.clone();
        for shock in &self.shocks {
            shock.apply(&mut stressed);
        }
        stressed
    }
}

impl Shock {
    fn apply(&self, market: &mut Market) {
        match self {
            Self::Replay(replay) => {
                for (asset, log_return) in replay.log_returns.iter().enumerate() {
                    market.scale_prices(asset, log_return.exp());
                    let shift = replay.volatility_shifts[asset];
                    market.assets[asset].implied_volatility_shift += shift;
                    market.assets[asset].volatility_annual *= shift.exp();
                }
            }
            Self::Spot(moves) => {
                for &(asset, relative) in moves {
                    market.scale_prices(asset, 1.0 + relative);
                }
            }
            Self::Volatility { multiply, implied_shift, skew_shift } => {
                for asset in &mut market.assets {
                    asset.volatility_annual *= multiply;
                    asset.implied_volatility_shift += implied_shift;
                    for slice in &mut asset.surface {
                        slice.svi.rho = (slice.svi.rho + skew_shift).clamp(-MAX_RHO, MAX_RHO);
                    }
                }
            }
            Self::Correlation { toward, weight } => {
                market.correlation = market.correlation.blend(*toward, *weight);
            }
            Self::JumpIntensity { multiply } => {
                let own = market.assets.iter_mut().filter_map(|asset| asset.own_jumps.as_mut());
                for jumps in own.chain(market.common_jumps.as_mut()) {
                    jumps.intensity_annual *= multiply;
                }
            }
            Self::Basis { shift } => shift_basis(market, *shift),
            Self::Funding { shift } => {
                market.assets.iter_mut().for_each(|asset| asset.funding_rate_annual += shift);
            }
            Self::TotalVolatility(volatilities) => {
                for &(asset, volatility) in volatilities {
                    let jumps = market.covariance_annual(asset, asset)
                        - market.assets[asset].volatility_annual.powi(2);
                    market.assets[asset].volatility_annual =
                        (volatility * volatility - jumps).max(0.0).sqrt();
                }
            }
            Self::Liquidity { multiply, spread } => {
                for liquidity in market.assets.iter_mut().filter_map(|asset| asset.liquidity.as_mut()) {
                    liquidity.daily_volume *= multiply;
                    liquidity.half_spread = (liquidity.half_spread * spread).min(1.0);
                    liquidity.volatility_half_spread *= spread;
                    liquidity.book.iter_mut().for_each(|book| book.depth *= multiply);
                    liquidity.pool.iter_mut().for_each(|value| *value *= multiply);
                }
            }
        }
    }
}

fn shift_basis(market: &mut Market, shift: f64) {
    let as_of = market.as_of;
    for forward in market.assets.iter_mut().flat_map(|asset| &mut asset.forwards) {
        let tenor = crate::units::Years::between(as_of, forward.expiry).map_or(0.0, |tenor| tenor.get());
        forward.price *= (shift * tenor).exp();
    }
}
