//! Moves of futures against spot beyond the model's.

use super::{AssetExposure, Basis};

/// The charge: each expiry of each asset moves against the account by the shift, to first order;
/// expiries do not offset each other. Perpetuals likewise, by their premium.
pub fn charge(rule: &Basis, assets: &[AssetExposure]) -> f64 {
    assets.iter().map(|asset| rule.shift * asset.basis + rule.perpetual * asset.premium).sum()
}
