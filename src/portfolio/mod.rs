//! Accounts and what they hold.

mod build;
mod carry;
mod read;

pub use build::{Builder, MAX_QUANTITY, PositionRow, RowFault};
pub use read::{
    ENTRY_PRICE, IMPLIED_VOLATILITY, Sources, is_entry_price, is_implied_volatility, is_quantity, read,
    read_into,
};

use std::collections::HashMap;

use crate::instrument::Instrument;

/// All accounts of a run and the instruments that anybody holds.
#[derive(Clone, Debug, Default)]
pub struct Portfolio {
    /// Accounts in the order of their names.
    pub accounts: Vec<Account>,
    /// Distinct instruments; [`Holding::instrument`] points here.
    pub instruments: Vec<Instrument>,
}

/// One account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// What it does, in the words of its file; may be empty.
    pub description: String,
    /// Cash in US dollars: balances in dollars and stablecoins, and what linear futures have made
    /// since their entry.
    pub cash: f64,
    /// Coin balances posted as collateral, `(asset, amount)`: also part of the holdings; haircuts
    /// are taken from these alone.
    pub balances: Vec<(usize, f64)>,
    /// Balances in stablecoins, `[USDC, USDT]`: also part of the cash; depeg charges are taken from
    /// these alone.
    pub stablecoins: [f64; 2],
    /// Holdings: coin balances (of their spot) by asset, then the rows of positions in their order,
    /// an instrument as often as it has rows. What engines net, in this order.
    pub holdings: Vec<Holding>,
}

/// Stablecoins that count as dollars, in the order of [`Account::stablecoins`].
pub const STABLECOINS: [&str; 2] = ["USDC", "USDT"];

impl Account {
    /// Net quantity of each instrument, in the order of its first holding; without those that are
    /// nothing.
    pub fn net_holdings(&self) -> Vec<Holding> {
        let pairs = self.holdings.iter().map(|holding| (holding.instrument, holding.quantity));
        let net = net(pairs).into_iter();
        net.map(|(instrument, quantity)| Holding { instrument, quantity }).collect()
    }
}

/// Quantities by key, those of one key added in their order; in the order of the keys' first place,
/// without those that are zero.
pub fn net(pairs: impl Iterator<Item = (u32, f64)>) -> Vec<(u32, f64)> {
    let mut place = HashMap::new();
    let mut net: Vec<(u32, f64)> = Vec::with_capacity(pairs.size_hint().0);
    for (key, quantity) in pairs {
        let at = *place.entry(key).or_insert(net.len());
        match net.get_mut(at) {
            Some(sum) => sum.1 += quantity,
            None => net.push((key, quantity)),
        }
    }
    net.retain(|(_, quantity)| *quantity != 0.0);
    net
}

/// What a row of a portfolio's tables says of an account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rows<'a> {
    /// It is there.
    Account {
        /// What it does.
        description: &'a str,
    },
    /// It holds this.
    Position(PositionRow<'a>),
    /// It has this balance.
    Balance {
        /// Coin or dollar.
        asset: &'a str,
        /// Its amount.
        amount: f64,
    },
}

/// A quantity of an instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holding {
    /// Index into [`Portfolio::instruments`].
    pub instrument: u32,
    /// Units, negative for a short; see [`crate::instrument::Settlement`] for what a unit is.
    pub quantity: f64,
}
