//! Stage 3 and 4: accounts' losses on a block of paths, and their tails. The twin of
//! `shaders/net.wgsl`.

use std::borrow::Borrow;
use std::ops::Range;

use crate::engine::BLOCK;
use crate::engine::job::Netting;
use crate::numeric::{Float, Real};
use crate::risk::{Bracket, Tail};

/// Numbers of a block of paths, in whole lines of the cache: a vector is one load.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Aligned<S>(pub [S; BLOCK]);

impl<S: Float> Default for Aligned<S> {
    fn default() -> Self {
        Self([S::default(); BLOCK])
    }
}

impl<S> Borrow<[S; BLOCK]> for Aligned<S> {
    fn borrow(&self) -> &[S; BLOCK] {
        &self.0
    }
}

/// One horizon's netting with quantities in the engine's precision.
pub struct Holdings<'a, S> {
    starts: &'a [u32],
    row: &'a [u32],
    quantity: Vec<S>,
    /// The rows from the first to the last that is held.
    rows: Range<usize>,
}

impl<'a, S: Real> Holdings<'a, S> {
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
    pub fn fetch(&self, pnl: &[S], room: &mut Vec<Aligned<S>>) {
        room.clear();
        room.extend(self.held(pnl).iter().map(|row| Aligned(*row)));
    }

    pub fn accounts(&self) -> usize {
        self.starts.len() - 1
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
    let range = holdings.starts[account] as usize..holdings.starts[account + 1] as usize;
    let (rows, quantities) = (&holdings.row[range.clone()], &holdings.quantity[range]);
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

/// Losses above their bracket's floor, not yet in their tails.
///
/// A tail has kilobytes and lies far from the next: one is visited when it has many to take, so that
/// the wait for its memory is shared by them.
pub struct Excesses {
    /// How many are kept for each tail: apart from them, as whoever waits for a number waits, and
    /// nobody waits for what is written.
    counts: Vec<u8>,
    kept: Vec<Kept>,
}

/// Losses kept for one tail at most.
const KEPT: usize = 64;

#[derive(Clone)]
#[repr(align(64))]
struct Kept([f32; KEPT]);

impl Excesses {
    /// Memory for so many tails.
    pub fn bytes(tails: u64) -> u64 {
        tails * (1 + size_of::<Kept>() as u64)
    }

    /// Room for so many tails, nothing kept.
    pub fn new(tails: usize) -> Self {
        Self { counts: vec![0; tails], kept: vec![Kept([0.0; KEPT]); tails] }
    }

    /// Keeps those of a block of losses that reach the bracket of tail `index`; `valid` of them count.
    #[inline(always)]
    pub fn keep<S: Float>(
        &mut self,
        losses: &[S; BLOCK],
        valid: usize,
        index: usize,
        bracket: &Bracket,
        tail: &mut Tail,
    ) {
        let mut excesses = Aligned([0.0; BLOCK]);
        let mut is_above = Aligned([0; BLOCK]);
        for lane in 0..BLOCK {
            excesses.0[lane] = losses[lane].to_f64() as f32 - bracket.floor;
            is_above.0[lane] = u8::from(excesses.0[lane] >= 0.0);
        }
        if valid < BLOCK {
            is_above.0[valid..].fill(0);
        }
        let (count, kept) = (&mut self.counts[index], &mut self.kept[index].0);
        // Eight flags at a time, nearly all of them zero.
        for (eight, flags) in is_above.0.as_chunks::<8>().0.iter().enumerate() {
            let mut flags = u64::from_le_bytes(*flags);
            while flags != 0 {
                let lane = 8 * eight + flags.trailing_zeros() as usize / 8;
                kept[usize::from(*count)] = excesses.0[lane];
                *count += 1;
                if usize::from(*count) == KEPT {
                    sort_into(tail, kept, bracket);
                    *count = 0;
                }
                flags &= flags - 1;
            }
        }
    }

    /// Sorts what is kept into the tails; `brackets` are those of the same indices.
    pub fn sort_into(&mut self, tails: &mut [Tail], brackets: &[Bracket]) {
        let kept = self.counts.iter_mut().zip(&self.kept);
        for ((tail, bracket), (count, kept)) in tails.iter_mut().zip(brackets).zip(kept) {
            sort_into(tail, &kept.0[..usize::from(*count)], bracket);
            *count = 0;
        }
    }
}

#[inline(never)]
fn sort_into(tail: &mut Tail, excesses: &[f32], bracket: &Bracket) {
    for excess in excesses {
        tail.add(*excess, bracket);
    }
}
