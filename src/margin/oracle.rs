//! Prices that are uncertain or old.

use super::{AssetExposure, Manipulation, OracleRule};

/// The charge: each asset's net delta moves against the account by the uncertainty of its price.
/// Assets do not offset each other: a wrong price is one's own.
///
/// # Formula
/// `|delta| (f w + k sigma sqrt(age))`, with `w` the half-width of the price's confidence interval,
/// `f` and `k` of the rule, `sigma` the asset's annual volatility and the age in years.
pub fn charge(rule: &OracleRule, assets: &[AssetExposure]) -> f64 {
    let of = |asset: &AssetExposure| {
        let quoted = rule.quality.as_ref().map(|quality| quality[asset.asset]);
        let Some(quality) = quoted.or(asset.risk.price_quality) else { return 0.0 };
        let moved = asset.risk.deviation(quality.staleness.get());
        asset.net_delta.abs() * (rule.confidence * quality.confidence + rule.deviations * moved)
    };
    assets.iter().map(of).sum()
}

/// The charge for prices that can be pushed: what an account would gain by the largest move in its
/// favour that gains more than it costs. With it in the margin such a move gains nothing.
///
/// # Formula
/// Sum over assets of `|delta| d`, `d` the largest move with `|delta| d > cost(d)`, the cost against the
/// asset's pool by the cheapest duration; see [`crate::oracle::Pushes`].
pub fn manipulation(rule: &Manipulation, assets: &[AssetExposure]) -> f64 {
    let of = |asset: &AssetExposure| {
        let Some(pool) = rule.pool(asset.asset, asset.risk.liquidity) else { return 0.0 };
        let dollars = asset.net_delta * asset.currency_price;
        asset.net_delta.abs() * rule.pushes.largest_paying(dollars, pool).abs()
    };
    assets.iter().map(of).sum()
}
