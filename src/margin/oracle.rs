//! Prices that are uncertain or old.

use super::{AssetExposure, OracleRule};

/// The charge: each asset's net delta moves against the account by the uncertainty of its price.
/// Assets do not offset each other: a wrong price is one's own.
///
/// # Formula
/// `|delta| (f w + k sigma sqrt(age))`, with `w` the half-width of the price's confidence interval,
/// `f` and `k` of the rule, `sigma` the asset's annual volatility and the age in years.
pub fn charge(rule: &OracleRule, assets: &[AssetExposure]) -> f64 {
    let of = |asset: &AssetExposure| {
        let Some(quality) = asset.risk.price_quality else { return 0.0 };
        let moved = asset.risk.deviation(quality.staleness.get());
        asset.net_delta.abs() * (rule.confidence * quality.confidence + rule.deviations * moved)
    };
    assets.iter().map(of).sum()
}
