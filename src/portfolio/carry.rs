//! A portfolio after the market has moved under it.

use std::borrow::Cow;

use super::{Holding, Portfolio};
use crate::instrument::{Instrument, Kind, UnitValue};
use crate::market::Market;

impl Portfolio {
    /// The portfolio once its instruments are worth `stressed` instead of `base`: what inverse
    /// futures made is paid in coins, and the coins are held on. Without them a short inverse
    /// future would stop hedging the coins it hedges.
    pub fn carried(&self, market: &Market, base: &[UnitValue], stressed: &[UnitValue]) -> Cow<'_, Self> {
        let coins: Vec<f64> =
            base.iter().zip(stressed).map(|(base, stressed)| base.coins_to(stressed)).collect();
        // The base case, and stresses that move no inverse future.
        if coins.iter().all(|coins| *coins == 0.0) {
            return Cow::Borrowed(self);
        }
        let mut carried = self.clone();
        for account in &mut carried.accounts {
            let mut by_asset = vec![0.0; market.assets.len()];
            for holding in &account.holdings {
                let instrument = holding.instrument as usize;
                by_asset[self.instruments[instrument].asset] += holding.quantity * coins[instrument];
            }
            for (asset, amount) in by_asset.into_iter().enumerate().filter(|(_, amount)| *amount != 0.0) {
                let spot = spot_of(&mut carried.instruments, market, asset);
                match account.holdings.binary_search_by_key(&spot, |holding| holding.instrument) {
                    Ok(place) => account.holdings[place].quantity += amount,
                    Err(place) => {
                        account.holdings.insert(place, Holding { instrument: spot, quantity: amount })
                    }
                }
            }
        }
        Cow::Owned(carried)
    }
}

/// The spot of an asset among the instruments, added if nobody held it.
fn spot_of(instruments: &mut Vec<Instrument>, market: &Market, asset: usize) -> u32 {
    let is_spot = |instrument: &Instrument| instrument.asset == asset && instrument.kind == Kind::Spot;
    let index = instruments.iter().position(is_spot).unwrap_or_else(|| {
        instruments.push(Instrument { name: market.assets[asset].name.clone(), asset, kind: Kind::Spot });
        instruments.len() - 1
    });
    u32::try_from(index).expect("row limits keep the count below 2^32")
}
