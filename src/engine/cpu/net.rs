//! Stage 3 and 4: accounts' losses on a block of paths, and their tails. The twin of
//! `shaders/net.wgsl`.

use crate::engine::BLOCK;
use crate::engine::job::Netting;
use crate::numeric::{Float, Real};
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
    let (rows, quantities) = (&holdings.row[range.clone()], &holdings.quantity[range]);
    // Four groups of lanes at a time stay in registers while the holdings go by. They are named one
    // by one: an array of them is a loop, which the compiler may turn into gathers.
    let width = 4 * R::LANES;
    for start in (0..BLOCK).step_by(width) {
        let [mut a, mut b, mut c, mut d] = [R::default(); 4];
        for (&row, &quantity) in rows.iter().zip(quantities) {
            let profits = &pnl[row as usize * BLOCK + start..][..width];
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

/// Losses above their bracket's floor, not yet in their tails.
///
/// They are few and their tails far apart in memory: kept until there are many, the waits for their
/// tails overlap instead of holding up the netting.
#[derive(Default)]
pub struct Excesses(Vec<(u32, f32)>);

impl Excesses {
    /// Kept at most: well inside a cache.
    const MOST: usize = 1 << 15;
    /// Memory of the most.
    pub const BYTES: u64 = (Self::MOST * size_of::<(u32, f32)>()) as u64;

    /// Room for a block more.
    pub fn is_full(&self) -> bool {
        self.0.len() + BLOCK > Self::MOST
    }

    /// Keeps those of a block of losses that reach the bracket of tail `index`; `valid` of them count.
    #[inline(always)]
    pub fn keep<S: Float>(&mut self, losses: &[S; BLOCK], valid: usize, bracket: &Bracket, index: usize) {
        let mut excesses = [0.0; BLOCK];
        let mut is_above = [0; BLOCK];
        for lane in 0..BLOCK {
            excesses[lane] = losses[lane].to_f64() as f32 - bracket.floor;
            is_above[lane] = u8::from(excesses[lane] >= 0.0);
        }
        is_above[valid..].fill(0);
        // Eight flags at a time, nearly all of them zero.
        for (eight, flags) in is_above.as_chunks::<8>().0.iter().enumerate() {
            let mut flags = u64::from_le_bytes(*flags);
            while flags != 0 {
                let lane = 8 * eight + flags.trailing_zeros() as usize / 8;
                self.0.push((index as u32, excesses[lane]));
                flags &= flags - 1;
            }
        }
    }

    /// Sorts all into the tails; `brackets` are those of the same indices.
    #[inline(always)]
    pub fn sort_into(&mut self, tails: &mut [Tail], brackets: &[Bracket]) {
        for &(index, excess) in &self.0 {
            tails[index as usize].add(excess, &brackets[index as usize]);
        }
        self.0.clear();
    }
}
