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
                let instrument = spot_of(&mut carried.instruments, market, asset);
                account.holdings.push(Holding { instrument, quantity: amount });
            }
        }
        Cow::Owned(carried)
    }

    /// Makes cash the first holding, for figures in coins of an asset: there a dollar is what moves.
    pub fn hold_cash(&mut self, asset: usize) {
        let cash = u32::try_from(self.instruments.len()).expect("row limits keep the count below 2^32");
        self.instruments.push(Instrument { name: "USD".to_owned(), asset, kind: Kind::Cash });
        for account in self.accounts.iter_mut().filter(|account| account.cash != 0.0) {
            account.holdings.insert(0, Holding { instrument: cash, quantity: account.cash });
        }
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

#[cfg(test)]
mod tests {
    use crate::engine::{BLOCK, cpu::CpuEngine};
    use crate::instrument::Kind;
    use crate::scenario::{self, Precision};

    #[test]
    fn a_dollar_moves_against_the_coin() {
        let mut scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        scenario.reporting_asset = Some(0);
        let job = crate::run::job(&scenario, &scenario.market).unwrap();
        let dollar = scenario.portfolio.instruments.len() as u32;
        let cube = CpuEngine::new(Precision::F64).cube_f64(&job, 0..BLOCK as u64);
        let spot = scenario.market.assets[0].spot;
        let mut checked = 0;
        for curve in &job.curves {
            for row in curve.rows.clone().filter(|&row| job.rows[row].instrument == dollar) {
                let factors = curve.observation * job.assets * crate::engine::FACTORS * BLOCK;
                for lane in 0..BLOCK {
                    let later = spot * cube.factors[0][factors + lane].exp();
                    let expected = 1.0 / later - 1.0 / spot;
                    assert!((cube.pnl[0][row * BLOCK + lane] - expected).abs() < 1e-13 / spot);
                    checked += 1;
                }
            }
        }
        assert_eq!(checked, 2 * BLOCK, "a row for each horizon");
        let held = |account: &super::super::Account| account.holdings.len() as u32;
        let cash = scenario.portfolio.accounts.iter().filter(|account| account.cash != 0.0).count() as u32;
        let before: u32 = scenario.portfolio.accounts.iter().map(held).sum();
        assert_eq!(job.netting[0].row.len() as u32, before + cash);
        assert!(cash > 0 && scenario.portfolio.instruments.iter().all(|i| i.kind != Kind::Cash));
    }
}
