//! What closing a book costs, and the risk that is carried while a large position is closed.

use super::{AssetExposure, Level, Liquidation};
use crate::market::Side;
use crate::units::DAYS_PER_YEAR;

/// Half-spreads of all holdings, and the price impact of closing each asset's net delta.
///
/// Assets without liquidity have no cost; a scenario with the rule refuses them.
pub fn cost(rule: &Liquidation, assets: &[AssetExposure]) -> f64 {
    let impact = |asset: &AssetExposure| {
        let Some(liquidity) = asset.risk.liquidity else { return 0.0 };
        let dollars = asset.net_delta * asset.currency_price;
        let side = if dollars >= 0.0 { Side::Sell } else { Side::Buy };
        let daily = asset.risk.deviation(1.0 / DAYS_PER_YEAR);
        liquidity.impact_cost(dollars, side, daily, rule.impact) / asset.currency_price
    };
    assets.iter().map(|asset| asset.spread_cost + impact(asset)).sum()
}

/// Days that closing an asset's net delta takes at the rule's part of the volume.
pub fn days_to_close(rule: &Liquidation, asset: &AssetExposure) -> f64 {
    let dollars = (asset.net_delta * asset.currency_price).abs();
    asset.risk.liquidity.map_or(0.0, |liquidity| dollars / (rule.participation * liquidity.daily_volume))
}

/// Expected Shortfall that closing evenly over [`days_to_close`] adds to that of the horizon.
///
/// # Formula
/// A position carried for the horizon `h` and then sold evenly over `T` has the variance of one
/// carried for `h + T/3`, since `integral (1 - t/T)^2 dt = T/3`. Each asset's net delta is charged
/// its own Expected Shortfall times `sqrt(1 + T/(3h)) - 1`; assets do not offset each other.
pub fn horizon(rule: &Liquidation, level: &Level, index: usize, assets: &[AssetExposure]) -> f64 {
    let days = level.horizon.days();
    let charge = |asset: &AssetExposure| {
        let tail = asset.risk.tails[index];
        let unit = if asset.net_delta >= 0.0 { tail.long } else { tail.short };
        let longer = (1.0 + days_to_close(rule, asset) / (3.0 * days)).sqrt() - 1.0;
        asset.net_delta.abs() * unit.max(0.0) * longer
    };
    assets.iter().map(charge).sum()
}
