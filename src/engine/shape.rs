//! What sizes an engine's work.

use super::{BLOCK, FACTORS};
use crate::risk::Tail;

/// Shape of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Accounts.
    pub accounts: u64,
    /// Holdings of all accounts.
    pub holdings: u64,
    /// Horizons.
    pub horizons: u64,
    /// Levels of an account.
    pub levels: u64,
    /// Rows of the cube: instruments at every horizon.
    pub rows: u64,
    /// Assets.
    pub assets: u64,
    /// Times at which factors are kept, at most.
    pub observations: u64,
}

impl Shape {
    /// Bytes of one tail for each account and level.
    pub fn tails_bytes(&self) -> u64 {
        self.accounts * self.levels * size_of::<Tail>() as u64
    }

    /// Entries of the accounts' holdings over all horizons.
    pub fn entries(&self) -> u64 {
        self.holdings * self.horizons
    }

    /// Factors of a path.
    pub fn factors(&self) -> u64 {
        self.observations * self.assets * FACTORS as u64
    }

    /// Numbers that a block of paths has: its factors and profits.
    pub fn block_cells(&self) -> u64 {
        (self.rows + self.factors()) * BLOCK as u64
    }
}
