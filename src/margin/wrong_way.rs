//! Collateral that falls when the account loses.

use super::{AssetExposure, WrongWay};

/// The charge.
///
/// # Formula
/// - A token of the account's own group counts for nothing: its balance less the haircut.
/// - Otherwise, where the account's positions lose as a collateral asset falls, the fraction times
///   the smaller of the balance and the positions' net delta, the balance itself left out.
pub fn charge(rule: &WrongWay, assets: &[AssetExposure]) -> f64 {
    let of = |asset: &AssetExposure| {
        let collateral = asset.balance.max(0.0);
        if asset.is_own_token {
            return collateral * (1.0 - asset.haircut);
        }
        rule.collateral * collateral.min((asset.net_delta - asset.balance).max(0.0))
    };
    assets.iter().map(of).sum()
}
