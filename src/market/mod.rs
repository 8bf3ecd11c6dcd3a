//! The market: spots, forwards, volatility surfaces, and the dynamics of every asset.

mod correlation;
mod forecasts;
mod liquidity;
mod quotes;
mod read;
mod svi;
mod svi_fit;

pub use correlation::{Correlation, CorrelationFault};
pub use liquidity::{Book, Liquidity, PriceQuality, Side};
pub use read::{MAX_ASSETS, files, is_ticker, read};
pub use svi::{SliceFault, SviSlice};

use jiff::Timestamp;

use crate::units::Years;

/// A market at one instant, checked: every number finite and in its range, correlation positive
/// semidefinite, surfaces free of arbitrage.
#[derive(Clone, Debug)]
pub struct Market {
    /// The instant that the market was seen.
    pub as_of: Timestamp,
    /// Where its numbers come from.
    pub source: String,
    /// Discount rate, annual, continuously compounded: 0.05 is 5 % a year.
    pub discount_rate_annual: f64,
    /// Assets in the order of the correlation matrix.
    pub assets: Vec<Asset>,
    /// Student-t mixing groups; [`Asset::tail_group`] points here.
    pub tail_groups: Vec<TailGroup>,
    /// Jumps that hit all assets together.
    pub common_jumps: Option<Jumps>,
    /// Correlation of the diffusive shocks.
    pub correlation: Correlation,
}

/// One asset: what it costs now, and how it moves.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Ticker: `BTC`.
    pub name: String,
    /// Price of one unit in US dollars; above zero.
    pub spot: f64,
    /// Mark price of its perpetual in US dollars.
    pub perpetual_mark: f64,
    /// Drift of the price, annual: 0.1 is +10 % a year.
    pub drift_annual: f64,
    /// Volatility of the diffusive part, annual: 0.6 is 60 %.
    pub volatility_annual: f64,
    /// Index into [`Market::tail_groups`]; normal shocks without one.
    pub tail_group: Option<usize>,
    /// Jumps of this asset alone.
    pub own_jumps: Option<Jumps>,
    /// Multiplies the log size of every common jump.
    pub common_jump_loading: f64,
    /// How the level of implied volatility moves; still without it.
    pub implied_volatility: Option<ImpliedVolatility>,
    /// Log shift of implied volatility at every tenor; zero in a market as read, a stress sets it.
    pub implied_volatility_shift: f64,
    /// Standard deviation of the change of the annualised basis over one year: 0.1 is 10 points.
    pub basis_volatility_annual: f64,
    /// Funding that the holder of a long perpetual pays, annual fraction of its notional.
    pub funding_rate_annual: f64,
    /// Forward prices by expiry, ascending.
    pub forwards: Vec<Forward>,
    /// Implied volatility by expiry, ascending.
    pub surface: Vec<SurfaceSlice>,
    /// How it trades, if the market says so; margin rules for liquidation need it.
    pub liquidity: Option<Liquidity>,
    /// How far its price can be trusted, likewise.
    pub price_quality: Option<PriceQuality>,
}

impl Asset {
    /// An asset that only diffuses, at an annual volatility: its perpetual at spot, no drift, forwards at
    /// the discount rate.
    pub fn diffusing(name: String, spot: f64, volatility_annual: f64) -> Self {
        Self {
            name,
            spot,
            perpetual_mark: spot,
            drift_annual: 0.0,
            volatility_annual,
            tail_group: None,
            own_jumps: None,
            common_jump_loading: 0.0,
            implied_volatility: None,
            implied_volatility_shift: 0.0,
            basis_volatility_annual: 0.0,
            funding_rate_annual: 0.0,
            forwards: Vec::new(),
            surface: Vec::new(),
            liquidity: None,
            price_quality: None,
        }
    }
}

/// A forward price.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// When it delivers.
    pub expiry: Timestamp,
    /// Price in US dollars.
    pub price: f64,
}

/// Implied volatility of one expiry.
#[derive(Clone, Debug)]
pub struct SurfaceSlice {
    /// When the options expire.
    pub expiry: Timestamp,
    /// Total variance by log-moneyness.
    pub svi: SviSlice,
    /// Root mean square distance to the quotes, in volatility (0.01 is one point), if known.
    pub rmse_volatility: Option<f64>,
    /// Largest distance to a quote, likewise.
    pub max_error_volatility: Option<f64>,
}

/// Assets whose shocks share one Student-t mixing variable, so that their tails come together.
#[derive(Clone, Debug)]
pub struct TailGroup {
    /// Its name in the file.
    pub name: String,
    /// Degrees of freedom, above 2.
    pub degrees_of_freedom: f64,
}

/// A compound Poisson process of log jumps.
#[derive(Clone, Copy, Debug)]
pub struct Jumps {
    /// Expected number a year.
    pub intensity_annual: f64,
    /// Law of one log jump.
    pub size: JumpSize,
}

/// Law of the log size of a jump: 0.01 moves the price by about +1 %.
#[derive(Clone, Copy, Debug)]
pub enum JumpSize {
    /// Normal (Merton 1976).
    Merton {
        /// Mean of the log size.
        mean: f64,
        /// Standard deviation of the log size.
        sd: f64,
    },
    /// Asymmetric double exponential (Kou 2002).
    Kou {
        /// Probability of a jump upwards.
        up_probability: f64,
        /// Rate of the exponential law of upward jumps; their mean is its inverse.
        up_rate: f64,
        /// Rate of the exponential law of downward jumps.
        down_rate: f64,
    },
}

impl JumpSize {
    /// `E[exp(loading * J)] - 1`, the compensator of one jump scaled by `loading`; `None` where
    /// the expectation does not exist (a Kou rate not above the loading).
    pub fn expected_growth(&self, loading: f64) -> Option<f64> {
        let growth = match *self {
            Self::Merton { mean, sd } => (loading * mean + 0.5 * (loading * sd).powi(2)).exp_m1(),
            Self::Kou { up_probability, up_rate, down_rate } => {
                if !(loading < up_rate && -loading < down_rate) {
                    return None;
                }
                up_probability * up_rate / (up_rate - loading)
                    + (1.0 - up_probability) * down_rate / (down_rate + loading)
                    - 1.0
            }
        };
        growth.is_finite().then_some(growth)
    }

    /// `E[J^2]`, the second moment of a log jump.
    pub fn second_moment(&self) -> f64 {
        match *self {
            Self::Merton { mean, sd } => mean * mean + sd * sd,
            Self::Kou { up_probability, up_rate, down_rate } => {
                let exponential = |rate: f64| 2.0 / (rate * rate);
                up_probability * exponential(up_rate) + (1.0 - up_probability) * exponential(down_rate)
            }
        }
    }
}

/// Ornstein-Uhlenbeck dynamics of the log level of implied volatility.
#[derive(Clone, Copy, Debug)]
pub struct ImpliedVolatility {
    /// Speed of return to the start, per year.
    pub mean_reversion_annual: f64,
    /// Volatility of the log level, annual.
    pub volatility_annual: f64,
    /// Correlation with the asset's own diffusive shock, in [-1, 1] (leverage: negative).
    pub spot_correlation: f64,
    /// Log shift at a common jump.
    pub common_jump_shift: f64,
    /// Log shift at an own jump.
    pub own_jump_shift: f64,
    /// Tenor at which the log level moves one for one.
    pub reference_tenor: Years,
    /// A tenor `t` moves by `(reference / max(t, minimum))^power`.
    pub term_power: f64,
    /// Tenors below it move like it.
    pub minimum_tenor: Years,
}

impl ImpliedVolatility {
    /// How much an expiry of `tenor` moves when the reference tenor moves by one.
    pub fn term_factor(&self, tenor: Years) -> f64 {
        (self.reference_tenor.get() / tenor.get().max(self.minimum_tenor.get())).powf(self.term_power)
    }
}

impl Market {
    /// Index of an asset by its name.
    pub fn asset_index(&self, name: &str) -> Option<usize> {
        self.assets.iter().position(|asset| asset.name == name)
    }

    /// Covariance of two assets' log returns over a year, diffusion and jumps together.
    ///
    /// # Formula
    /// `R_ij s_i s_j + lambda_c l_i l_j E[J_c^2]`, and `lambda_i E[J_i^2]` more on the diagonal.
    pub fn covariance_annual(&self, first: usize, second: usize) -> f64 {
        let (a, b) = (&self.assets[first], &self.assets[second]);
        let power = |jumps: &Jumps| jumps.intensity_annual * jumps.size.second_moment();
        let common = self.common_jumps.as_ref().map_or(0.0, power);
        let own = a.own_jumps.as_ref().filter(|_| first == second).map_or(0.0, power);
        self.correlation.get(first, second) * a.volatility_annual * b.volatility_annual
            + common * a.common_jump_loading * b.common_jump_loading
            + own
    }

    /// Volatility of an asset's log return over a year, diffusion and jumps together: 0.6 is 60 %.
    pub fn total_volatility_annual(&self, asset: usize) -> f64 {
        self.covariance_annual(asset, asset).sqrt()
    }

    /// Multiplies all prices of an asset: spot, perpetual mark and forwards.
    pub fn scale_prices(&mut self, asset: usize, factor: f64) {
        let asset = &mut self.assets[asset];
        asset.spot *= factor;
        asset.perpetual_mark *= factor;
        asset.forwards.iter_mut().for_each(|forward| forward.price *= factor);
    }
}

impl Asset {
    /// Forward price for an expiry in `tenor` years: as listed, or on the line between the
    /// annualised bases of its neighbours; `None` outside the listed expiries. An asset without
    /// forwards is carried at the discount rate.
    pub fn forward(&self, as_of: Timestamp, expiry: Timestamp, discount_rate_annual: f64) -> Option<f64> {
        let tenor = Years::between(as_of, expiry)?.get();
        if self.forwards.is_empty() {
            return Some(self.spot * (discount_rate_annual * tenor).exp());
        }
        let basis = |f: &Forward| {
            let years = Years::between(as_of, f.expiry).map_or(0.0, Years::get);
            (years, (f.price / self.spot).ln() / years)
        };
        let after = self.forwards.iter().position(|f| f.expiry >= expiry)?;
        if self.forwards[after].expiry == expiry {
            return Some(self.forwards[after].price);
        }
        let (t1, b1) = basis(&self.forwards[after]);
        let (t0, b0) = basis(&self.forwards[after.checked_sub(1)?]);
        let rate = b0 + (b1 - b0) * (tenor - t0) / (t1 - t0);
        Some(self.spot * (rate * tenor).exp())
    }

    /// The volatility slice of an expiry, if the market has it.
    pub fn slice(&self, expiry: Timestamp) -> Option<&SurfaceSlice> {
        self.surface.iter().find(|slice| slice.expiry == expiry)
    }
}
