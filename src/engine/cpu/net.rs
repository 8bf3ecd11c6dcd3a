//! Stage 3: accounts' losses on a block of paths. The twin of `shaders/net.wgsl`.

use std::borrow::Borrow;
use std::ops::Range;

use super::lines::Aligned;
use crate::engine::BLOCK;
use crate::engine::job::Netting;
use crate::numeric::{Float, Real};

/// One horizon's netting with quantities in the engine's precision.
pub struct Holdings<'a, S> {
    starts: &'a [u32],
    row: &'a [u32],
    quantity: Vec<S>,
    /// The rows from the first to the last that is held.
    rows: Range<usize>,
}

impl<'a, S: Float> Holdings<'a, S> {
    pub fn new(netting: &'a Netting) -> Self {
        let quantity = netting.quantity.iter().map(|&x| S::constant(x)).collect();
        let (first, last) = (netting.row.iter().min(), netting.row.iter().max());
        let rows = first.map_or(0, |&row| row as usize)..last.map_or(0, |&row| row as usize + 1);
        Self { starts: &netting.starts, row: &netting.row, quantity, rows }
    }

    /// The rows that holdings are in of a block's profits, `[row][BLOCK]`.
    pub fn held<'p>(&self, pnl: &'p [S]) -> &'p [[S; BLOCK]] {
        &pnl.as_chunks().0[self.rows.clone()]
    }

    /// The same, put into `room`: in their order they are fetched ahead, in that of the holdings they
    /// would not be.
    #[inline(always)]
    pub fn fetch(&self, pnl: &[S], room: &mut Vec<Aligned<S>>) {
        let held = self.held(pnl);
        room.resize(held.len(), Aligned::default());
        // A loop, which is compiled for the instruction set of whoever calls.
        for (room, row) in room.iter_mut().zip(held) {
            room.0 = *row;
        }
    }

    /// The rows from the first to the last that is held.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    pub fn accounts(&self) -> usize {
        self.starts.len() - 1
    }

    /// Rows that an account holds, and how much of each.
    #[inline(always)]
    pub fn of(&self, account: usize) -> (&[u32], &[S]) {
        let range = self.starts[account] as usize..self.starts[account + 1] as usize;
        (&self.row[range.clone()], &self.quantity[range])
    }

    /// Number of holdings of a range of accounts: its share of the work.
    pub fn start(&self, account: usize) -> usize {
        self.starts[account] as usize
    }
}

/// Losses of one account on a block of paths: minus the sum, in order, of quantity times profit;
/// `held` are the block's profits as [`Holdings::held`] or [`Holdings::fetch`] gives them.
#[inline(always)]
pub fn losses<R: Real>(
    holdings: &Holdings<'_, R::Scalar>,
    account: usize,
    held: &[impl Borrow<[R::Scalar; BLOCK]>],
    losses: &mut [R::Scalar; BLOCK],
) {
    let (rows, quantities) = holdings.of(account);
    // Four groups of lanes at a time stay in registers while the holdings go by. They are named one
    // by one: an array of them is a loop, which the compiler may turn into gathers.
    let width = 4 * R::LANES;
    for start in (0..BLOCK).step_by(width) {
        let [mut a, mut b, mut c, mut d] = [R::default(); 4];
        for (&row, &quantity) in rows.iter().zip(quantities) {
            let profits = &held[row as usize - holdings.rows.start].borrow()[start..][..width];
            let quantity = R::splat(quantity);
            a = a + quantity * R::load(profits);
            b = b + quantity * R::load(&profits[R::LANES..]);
            c = c + quantity * R::load(&profits[2 * R::LANES..]);
            d = d + quantity * R::load(&profits[3 * R::LANES..]);
        }
        let losses = &mut losses[start..][..width];
        (-a).store(losses);
        (-b).store(&mut losses[R::LANES..]);
        (-c).store(&mut losses[2 * R::LANES..]);
        (-d).store(&mut losses[3 * R::LANES..]);
    }
}
