//! Markets: updates, versions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::MarketStamp;

/// New numbers of the market. What is not named stays, but for forwards and the perpetual's mark:
/// they follow the spot price of their asset, their ratio to it held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarketUpdate {
    /// When this market was seen; not before the market that it follows.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Where the numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Assets that change.
    #[serde(default)]
    pub assets: Vec<AssetUpdate>,
    /// Forwards: an asset that is named here has exactly these.
    #[serde(default)]
    pub forwards: Vec<ForwardUpdate>,
    /// Volatility surfaces: an asset that is named here has exactly these slices.
    #[serde(default)]
    pub surfaces: Vec<SliceUpdate>,
}

/// New numbers of one asset; ranges as in the market file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetUpdate {
    /// Its name.
    pub asset: String,
    /// Price in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<f64>,
    /// Mark of the perpetual in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perpetual_mark: Option<f64>,
    /// Volatility of the diffusion, annual: 0.6 is 60 %. Moves the paths, which are simulated again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatility: Option<f64>,
    /// Log shift of implied volatility at every tenor against the surfaces: 0.1 is +10.5 %; in [-3, 3].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implied_shift: Option<f64>,
    /// What longs of a perpetual pay, annual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding_rate: Option<f64>,
}

/// A forward price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardUpdate {
    /// The asset.
    pub asset: String,
    /// When it delivers.
    #[schema(value_type = String, format = DateTime)]
    pub expiry: Timestamp,
    /// Price in US dollars.
    pub forward: f64,
}

/// A slice of a volatility surface: raw SVI of total variance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SliceUpdate {
    /// The asset.
    pub asset: String,
    /// When the options expire.
    #[schema(value_type = String, format = DateTime)]
    pub expiry: Timestamp,
    /// Level.
    pub a: f64,
    /// Slope of the wings.
    pub b: f64,
    /// Skew.
    pub rho: f64,
    /// Shift in log-moneyness.
    pub m: f64,
    /// Smoothness at the bottom.
    pub sigma: f64,
}

/// A market as it is kept: every number that updates change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketAnswer {
    /// Which market.
    pub market: MarketStamp,
    /// Its numbers, as the update that would make it.
    pub numbers: MarketUpdate,
}

/// What a market update did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketUpdateAnswer {
    /// The market that answers are made from now.
    pub market: MarketStamp,
    /// Instruments revalued.
    pub instruments: u64,
    /// Accounts margined.
    pub accounts: u64,
    /// Whether the paths were simulated again; else only the revaluation was repeated.
    pub is_simulated: bool,
    /// Wall time, seconds.
    pub elapsed_seconds: f64,
}

/// Markets that are kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketVersions {
    /// The one that answers are made from.
    pub current: u64,
    /// All that are kept, ascending.
    pub versions: Vec<MarketVersion>,
}

/// One kept market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MarketVersion {
    /// Its number.
    pub version: u64,
    /// When it was seen.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// When the service received it.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// Where its numbers come from.
    pub source: String,
}
