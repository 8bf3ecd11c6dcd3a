//! Accounts and what they hold.

mod carry;
mod read;

pub use read::{Sources, read};

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
    /// Holdings, each instrument once, ascending. A coin balance is a holding of its spot.
    pub holdings: Vec<Holding>,
}

/// Stablecoins that count as dollars, in the order of [`Account::stablecoins`].
pub const STABLECOINS: [&str; 2] = ["USDC", "USDT"];

/// A quantity of an instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holding {
    /// Index into [`Portfolio::instruments`].
    pub instrument: u32,
    /// Units, negative for a short; see [`crate::instrument::Settlement`] for what a unit is.
    pub quantity: f64,
}
