//! Stage 3 and 4: accounts' losses on a block of paths, and their tails. The twin of
//! `shaders/net.wgsl`.

use crate::engine::BLOCK;
use crate::engine::job::Netting;
use crate::numeric::Real;
use crate::risk::{Bracket, Tail};

/// One horizon's netting with quantities in the engine's precision.
pub struct Holdings<'a, S> {
    starts: &'a [u32],
    row: &'a [u32],
    quantity: Vec<S>,
}

impl<'a, S: Real> Holdings<'a, S> {
    pub fn new(netting: &'a Netting) -> Self {
        let quantity = netting.quantity.iter().map(|&x| S::constant(x)).collect();
        Self { starts: &netting.starts, row: &netting.row, quantity }
    }

    pub fn accounts(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of holdings of a range of accounts: its share of the work.
    pub fn start(&self, account: usize) -> usize {
        self.starts[account] as usize
    }
}

/// Losses of one account on a block of paths: minus the sum, in order, of quantity times profit.
#[inline(always)]
pub fn losses<R: Real>(
    holdings: &Holdings<'_, R::Scalar>,
    account: usize,
    pnl: &[R::Scalar],
    losses: &mut [R::Scalar; BLOCK],
) {
    let range = holdings.starts[account] as usize..holdings.starts[account + 1] as usize;
    // Four groups of lanes at a time stay in registers while the holdings go by.
    const GROUPS: usize = 4;
    let mut start = 0;
    while start < BLOCK {
        let mut sums = [R::default(); GROUPS];
        for (&row, &quantity) in holdings.row[range.clone()].iter().zip(&holdings.quantity[range.clone()]) {
            let profits = &pnl[row as usize * BLOCK + start..][..GROUPS * R::LANES];
            for (group, sum) in sums.iter_mut().enumerate() {
                *sum = *sum + R::splat(quantity) * R::load(&profits[group * R::LANES..]);
            }
        }
        for (group, sum) in sums.iter().enumerate() {
            (-*sum).store(&mut losses[start + group * R::LANES..]);
        }
        start += GROUPS * R::LANES;
    }
}

/// Sorts a block of losses into an account's tail; `valid` of them count.
#[inline(always)]
pub fn collect<S: crate::numeric::Float>(
    losses: &[S; BLOCK],
    valid: usize,
    bracket: &Bracket,
    tail: &mut Tail,
) {
    for loss in &losses[..valid] {
        let excess = loss.to_f64() as f32 - bracket.floor;
        if excess >= 0.0 {
            tail.add(excess, bracket);
        }
    }
}
