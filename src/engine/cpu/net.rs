//! Stage 3 and 4: accounts' losses on a block of paths, and their tails. The twin of
//! `shaders/net.wgsl`.

use std::borrow::Borrow;
use std::ops::Range;

use super::lines::Aligned;
use crate::engine::BLOCK;
use crate::engine::job::Netting;
use crate::numeric::{Float, Real};
use crate::risk::{Bracket, Tail};

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
/// More losses of a block above a bracket's floor are rare: on average there is one.
const LIKELY: usize = 3;

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
        let mut above = Above::new(losses, bracket.floor, valid);
        let mut count = usize::from(self.counts[index]);
        let kept = &mut self.kept[index].0;
        if count + above.count() > KEPT - LIKELY {
            sort_into(tail, &kept[..count], bracket);
            sort_above(tail, above, losses, bracket);
            self.counts[index] = 0;
            return;
        }
        // A branch that goes one way as often as the other costs more than all of this: as many as a
        // block is likely to have are written in any case, and counted where they are there.
        for _ in 0..LIKELY {
            kept[count] = excess(losses[above.lane()], bracket.floor);
            count += usize::from(!above.is_empty());
            above = above.rest();
        }
        while !above.is_empty() {
            kept[count] = excess(losses[above.lane()], bracket.floor);
            count += 1;
            above = above.rest();
        }
        self.counts[index] = count as u8;
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

#[inline(never)]
fn sort_above<S: Float>(tail: &mut Tail, mut above: Above, losses: &[S; BLOCK], bracket: &Bracket) {
    while !above.is_empty() {
        tail.add(excess(losses[above.lane()], bracket.floor), bracket);
        above = above.rest();
    }
}

/// Loss above a bracket's floor.
#[inline(always)]
fn excess<S: Float>(loss: S, floor: f32) -> f32 {
    loss.to_f64() as f32 - floor
}

/// Lanes of a block, a bit each. Lane `8 i + j` is bit `8 j + i`: eight flags side by side are a word,
/// and eight such words make one without a bit having to be moved.
#[derive(Clone, Copy)]
struct Above(u64);

impl Above {
    /// Those of the first `valid` lanes whose loss is not below `floor`.
    #[inline(always)]
    fn new<S: Float>(losses: &[S; BLOCK], floor: f32, valid: usize) -> Self {
        let mut flags = Aligned([0u8; BLOCK]);
        for lane in 0..BLOCK {
            flags.0[lane] = u8::from(excess(losses[lane], floor) >= 0.0) << (lane / 8);
        }
        let words = flags.0.as_chunks::<8>().0.iter();
        let mut bits = words.fold(0, |bits, word| bits | u64::from_le_bytes(*word));
        for lane in valid..BLOCK {
            bits &= !(1 << (lane % 8 * 8 + lane / 8));
        }
        Self(bits)
    }

    #[inline(always)]
    fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// One of them; any lane where there is none.
    #[inline(always)]
    fn lane(self) -> usize {
        let bit = self.0.trailing_zeros() as usize;
        (bit % 8 * 8 + bit / 8) % BLOCK
    }

    /// All but [`Above::lane`].
    #[inline(always)]
    fn rest(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_valid_lane_above_is_visited_once() {
        // Where the losses lie, and how many lanes are valid.
        for (step, valid) in [(1, 64), (1, 63), (1, 1), (2, 64), (3, 64), (7, 37), (64, 64), (65, 64)] {
            let losses = std::array::from_fn(|lane| if lane % step == step - 1 { 2.0f32 } else { 1.5 });
            let mut above = Above::new(&losses, 2.0, valid);
            let mut lanes = Vec::new();
            while !above.is_empty() {
                lanes.push(above.lane());
                above = above.rest();
            }
            lanes.sort_unstable();
            let expected: Vec<usize> = (0..valid).filter(|lane| losses[*lane] >= 2.0).collect();
            assert_eq!(lanes, expected, "every {step}th of {valid}");
        }
    }

    #[test]
    fn kept_losses_reach_the_tail_however_many_come_at_once() {
        let bracket = Bracket { floor: 1.0, bins_per_loss: 8.0, quanta_per_loss: 1024.0 };
        let loss = |block: usize, lane: usize| if lane < block { 1.0 + lane as f32 / 16.0 } else { 0.5 };
        let (mut kept, mut expected) = (vec![Tail::default(); 2], Tail::default());
        let mut excesses = Excesses::new(2);
        // From none to all lanes, and back.
        for block in (0..=BLOCK).chain((0..=BLOCK).rev()) {
            let losses: [f32; BLOCK] = std::array::from_fn(|lane| loss(block, lane));
            excesses.keep(&losses, BLOCK, 1, &bracket, &mut kept[1]);
            let above = losses.iter().map(|loss| loss - bracket.floor).filter(|excess| *excess >= 0.0);
            above.for_each(|excess| expected.add(excess, &bracket));
        }
        assert_ne!(kept[1], expected, "some are still kept");
        excesses.sort_into(&mut kept, &[bracket; 2]);
        assert_eq!(kept, [Tail::default(), expected]);
    }
}
