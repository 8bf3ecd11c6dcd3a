//! What the synthetic venue lists: spots and perpetuals of all assets, dated futures of some,
//! options of the largest.

use std::collections::BTreeSet;

use super::Night;
use super::market::{EXPIRIES, Synthetic, years};

/// An instrument, and what one unit of it is in dollars of notional.
pub struct Listed {
    pub name: String,
    pub notional: f64,
    /// A price near which it may have been entered; `None` for spot and options.
    pub mark: Option<f64>,
    /// How often it is held against others.
    pub popularity: f64,
}

/// Lists as many instruments as the night asks for, the most traded first where there are few.
pub fn list(night: &Night, market: &Synthetic) -> Vec<Listed> {
    let wanted = night.instruments as usize;
    let mut listed = Vec::with_capacity(wanted);
    for (index, asset) in market.assets.iter().enumerate() {
        let rank = (index + 1) as f64;
        let linear = asset.spot;
        listed.push(Listed {
            name: format!("{}_USDC-PERPETUAL", asset.name),
            notional: linear,
            mark: Some(asset.spot),
            popularity: 3.0 / rank,
        });
        let name = asset.name.clone();
        listed.push(Listed { name, notional: linear, mark: None, popularity: 1.5 / rank });
        if index < 3 {
            let name = format!("{}-PERPETUAL", asset.name);
            listed.push(Listed { name, notional: 1.0, mark: Some(asset.spot), popularity: 2.0 / rank });
        }
    }
    for (index, asset) in market.assets[..market.future_assets()].iter().enumerate() {
        for expiry in [3, 5, 6] {
            let inverse = index < 3;
            let base = if inverse { asset.name.clone() } else { format!("{}_USDC", asset.name) };
            listed.push(Listed {
                name: format!("{base}-{}", EXPIRIES[expiry].1),
                notional: if inverse { 1.0 } else { asset.spot },
                mark: Some(asset.forward(expiry)),
                popularity: 0.6 / (index + 1) as f64,
            });
        }
    }
    // Spots and perpetuals may crowd the options out of a small venue; half of it is theirs.
    let others = listed.len().min(if wanted > 20 { wanted.div_ceil(2) } else { wanted });
    listed.truncate(others);
    options(market, wanted - others, &mut listed);
    listed
}

/// Adds `wanted` options: an asset has half as many as the one before, over all expiries, with
/// ever finer strikes.
fn options(market: &Synthetic, wanted: usize, listed: &mut Vec<Listed>) {
    let assets = market.option_assets();
    let total = f64::from((1u32 << assets) - 1);
    let mut left = wanted;
    for index in 0..assets {
        let share = f64::from(1u32 << (assets - 1 - index)) / total;
        let quota = if index + 1 == assets { left } else { ((wanted as f64 * share) as usize).min(left) };
        left -= quota;
        options_of(market, index, quota, listed);
    }
}

fn options_of(market: &Synthetic, index: usize, quota: usize, listed: &mut Vec<Listed>) {
    let asset = &market.assets[index];
    let base = if index < 2 { asset.name.clone() } else { format!("{}_USDC", asset.name) };
    let mut names = BTreeSet::new();
    let mut spacing = 0.8;
    // Each round halves the distance between strikes; four digits of a strike are always enough.
    while names.len() < quota {
        let reach = (2.4 / spacing) as i32;
        for (expiry, (_, date, _)) in EXPIRIES.iter().enumerate() {
            let sd = asset.volatility * years(expiry).sqrt();
            for step in -reach..=reach {
                let moneyness = f64::from(step) * spacing;
                let strike = strike_text(asset.forward(expiry) * (1.0 + moneyness * sd * 0.35).max(0.05));
                let right = if (step >= 0) ^ (step % 2 != 0) { "C" } else { "P" };
                let name = format!("{base}-{date}-{strike}-{right}");
                if names.len() < quota && names.insert(name.clone()) {
                    let popularity =
                        0.4 * (-0.5 * moneyness * moneyness).exp() / (index + 1) as f64 / (expiry + 1) as f64;
                    listed.push(Listed { name, notional: asset.spot, mark: None, popularity });
                }
            }
        }
        spacing /= 2.0;
    }
}

/// A strike in four significant digits, as names write it: `80000`, `1d355`.
fn strike_text(strike: f64) -> String {
    let digits = (3 - strike.log10().floor() as i32).max(0) as usize;
    let scale = 10f64.powi(strike.log10().floor() as i32 - 3);
    let text = format!("{:.digits$}", (strike / scale).round() * scale);
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    text.replacen('.', "d", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strikes_are_written_as_venues_do() {
        for (strike, text) in [
            (80_000.0, "80000"),
            (81_234.0, "81230"),
            (1.3549, "1d355"),
            (0.012346, "0d01235"),
            (12.5, "12d5"),
        ] {
            assert_eq!(strike_text(strike), text);
        }
    }
}
