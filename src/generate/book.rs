//! Accounts and what they hold: sizes by a power law, from market makers in everything to clients
//! with a position or two.

use std::collections::HashSet;
use std::io::{self, Write};

use rand::RngExt;

use super::listing::Listed;
use super::market::{Synthetic, uniform};
use super::{Night, stream};
use crate::numeric::{PhiloxRng, Real};

/// Number of positions of the account of rank `r` goes as `r^-SLOPE`: Zipf's law.
const SLOPE: f64 = 1.0;
/// An account holds at most this part of the venue.
const WIDEST: f64 = 0.9;
/// Dollars of notional of a client's position, in the middle.
const CLIENT_NOTIONAL: f64 = 5_000.0;

/// All accounts.
pub struct Book<'a> {
    night: &'a Night,
    market: &'a Synthetic,
    listing: &'a [Listed],
    /// Cumulated popularity.
    cumulated: Vec<f64>,
    /// Positions of each account, descending.
    sizes: Vec<usize>,
}

/// An account's line in the accounts file.
fn name(rank: usize, accounts: usize) -> (String, &'static str) {
    match rank {
        rank if rank * 1000 < accounts => (format!("maker-{:05}", rank + 1), "Market maker"),
        rank if rank * 50 < accounts => (format!("fund-{:05}", rank + 1), "Fund"),
        rank => (format!("client-{:07}", rank + 1), "Client"),
    }
}

impl<'a> Book<'a> {
    pub fn new(night: &'a Night, market: &'a Synthetic, listing: &'a [Listed]) -> Self {
        let mut sum = 0.0;
        let cumulated = listing
            .iter()
            .map(|listed| {
                sum += listed.popularity;
                sum
            })
            .collect();
        Self { night, market, listing, cumulated, sizes: sizes(night, listing.len()) }
    }

    pub fn write_accounts(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "account,description")?;
        for rank in 0..self.sizes.len() {
            let (name, description) = name(rank, self.sizes.len());
            writeln!(out, "{name},{description}")?;
        }
        Ok(())
    }

    /// Gives the number of rows.
    pub fn write_positions(&self, out: &mut dyn Write) -> io::Result<u64> {
        writeln!(out, "account,instrument,quantity,entry_price")?;
        let mut rows = 0;
        for (rank, &size) in self.sizes.iter().enumerate() {
            let (name, _) = name(rank, self.sizes.len());
            let mut rng = self.rng(rank);
            let notional = self.notional(size);
            let mut chosen = self.choose(size, &mut rng);
            chosen.sort_unstable();
            rows += chosen.len() as u64;
            for index in chosen {
                let listed = &self.listing[index];
                let size = Real::exp(1.2 * normal(&mut rng)) * notional / listed.notional;
                // Nobody is short of spot: that would be a loan.
                let is_long = rng.random::<f64>() < 0.55 || !listed.name.contains('-');
                let sign = if is_long { 1.0 } else { -1.0 };
                write!(out, "{name},{},{},", listed.name, short(sign * size))?;
                match listed.mark {
                    Some(mark) if rng.random::<f64>() < 0.3 => {
                        writeln!(out, "{}", short(mark * uniform(&mut rng, 0.93, 1.07)))?;
                    }
                    _ => writeln!(out)?,
                }
            }
        }
        Ok(rows)
    }

    pub fn write_balances(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "account,asset,amount")?;
        for (rank, &size) in self.sizes.iter().enumerate() {
            let (name, _) = name(rank, self.sizes.len());
            // Another stream than the account's positions.
            let mut rng = self.rng(rank + self.sizes.len());
            // Large books are hedged: their risk grows slower than their notional.
            let risk = self.notional(size) * (size as f64).sqrt();
            writeln!(out, "{name},USDC,{}", short(risk * uniform(&mut rng, 0.2, 3.0)))?;
            if rng.random::<f64>() < 0.3 {
                let asset =
                    &self.market.assets[(rng.random::<f64>() * 3.0) as usize % self.market.assets.len()];
                let amount = risk * uniform(&mut rng, 0.1, 0.5) / asset.spot;
                writeln!(out, "{name},{},{}", asset.name, short(amount))?;
            }
        }
        Ok(())
    }

    fn rng(&self, index: usize) -> PhiloxRng {
        PhiloxRng::new(self.night.seed, stream::BOOK + ((index as u64 + 1) << 8))
    }

    /// Dollars of notional of a position of an account with `size` positions.
    fn notional(&self, size: usize) -> f64 {
        CLIENT_NOTIONAL * (size as f64).powf(0.9)
    }

    /// Different instruments, the popular ones more often.
    fn choose(&self, size: usize, rng: &mut PhiloxRng) -> Vec<usize> {
        if size * 6 < self.listing.len() {
            let total = self.cumulated.last().copied().unwrap_or(0.0);
            let mut chosen = HashSet::with_capacity(size);
            let mut order = Vec::with_capacity(size);
            while order.len() < size {
                let x = rng.random::<f64>() * total;
                let index = self.cumulated.partition_point(|&sum| sum <= x).min(self.listing.len() - 1);
                if chosen.insert(index) {
                    order.push(index);
                }
            }
            return order;
        }
        // Weighted sampling without replacement (Efraimidis and Spirakis 2006): the largest keys
        // `u^(1/weight)`, here as the smallest exponential times.
        let mut keys: Vec<(f64, usize)> = self
            .listing
            .iter()
            .enumerate()
            .map(|(index, listed)| {
                (-Real::log(1.0 - 0.999_999_9 * rng.random::<f64>()) / listed.popularity, index)
            })
            .collect();
        keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        keys.into_iter().take(size).map(|(_, index)| index).collect()
    }
}

/// Positions of each account: a power law with the asked total, cut at both ends.
fn sizes(night: &Night, instruments: usize) -> Vec<usize> {
    let accounts = night.accounts as usize;
    let widest = ((instruments as f64 * WIDEST) as usize).max(1);
    let sized = |scale: f64| -> Vec<usize> {
        let size = |rank: usize| (scale * ((rank + 1) as f64).powf(-SLOPE)).round() as usize;
        (0..accounts).map(|rank| size(rank).clamp(1, widest)).collect()
    };
    let (mut low, mut high) = (0.0, night.positions as f64 * accounts as f64);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        let total: usize = sized(middle).iter().sum();
        if (total as u64) < night.positions { low = middle } else { high = middle }
    }
    sized(high)
}

/// A standard normal.
fn normal(rng: &mut PhiloxRng) -> f64 {
    let (z, _) = f64::normal_pair(rng.random::<u32>(), rng.random::<u32>());
    z
}

/// A number in four significant digits.
fn short(x: f64) -> f64 {
    format!("{x:.3e}").parse().expect("a printed number reads back")
}
