//! Stage 4: losses above their brackets' floors, on their way into the tails. The twin of
//! `shaders/net.wgsl`.

use super::lines::Aligned;
use crate::engine::BLOCK;
use crate::numeric::Float;
use crate::risk::{Bracket, Tail};

/// Losses above their brackets' floors in the order in which they are found: one block of paths after
/// the other, and in each one tail after the other, in the order of their places.
///
/// What is written one after the other is never waited for. Written to where its tail is, each loss
/// would wait for memory of its own.
pub struct Log {
    excesses: Vec<f32>,
    len: usize,
    /// Places that a block has.
    places: usize,
    /// How many each place of each block found, `[block][place]`.
    counts: Vec<u8>,
    /// Where each block begins.
    starts: Vec<usize>,
}

/// Losses of a log at most: those that some ten thousand accounts find on a tile, in a megabyte.
const LOG: usize = 1 << 18;
/// More losses of a block above a bracket's floor are rare: on average there is one.
const LIKELY: usize = 4;

impl Log {
    /// Bytes of a log, but for what [`Log::block_bytes`] says.
    pub const BYTES: u64 = (LOG * size_of::<f32>()) as u64;

    /// Bytes for each block of so many places.
    pub fn block_bytes(places: u64) -> u64 {
        places * size_of::<u8>() as u64
    }

    /// An empty log.
    pub fn new() -> Self {
        Self { excesses: vec![0.0; LOG], len: 0, places: 0, counts: Vec::new(), starts: Vec::new() }
    }

    /// Begins with blocks of so many places.
    pub fn begin(&mut self, places: usize) {
        self.len = 0;
        self.places = places;
        self.counts.clear();
        self.starts.clear();
    }

    /// Begins the next block.
    pub fn begin_block(&mut self) {
        self.starts.push(self.len);
        self.counts.resize(self.starts.len() * self.places, 0);
    }

    /// Whether there may be no room for the losses of one more place.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.len > LOG - BLOCK
    }

    /// Writes down those of a place's losses that reach `floor`; the first `valid` of them count.
    #[inline(always)]
    pub fn push<S: Float>(&mut self, losses: &[S; BLOCK], valid: usize, place: usize, floor: f32) {
        let mut above = Above::new(losses, floor, valid);
        let count = above.count();
        let block = self.counts.len() - self.places;
        self.counts[block + place] = count as u8;
        let room: &mut [f32; BLOCK] = self.excesses[self.len..].first_chunk_mut().expect("it is not full");
        // A branch that goes one way as often as the other costs more than all of this: as many as a
        // block is likely to have are written in any case, and counted where they are there.
        for slot in &mut room[..LIKELY] {
            *slot = excess(losses[above.lane()], floor);
            above = above.rest();
        }
        for slot in &mut room[LIKELY..] {
            if above.is_empty() {
                break;
            }
            *slot = excess(losses[above.lane()], floor);
            above = above.rest();
        }
        self.len += count;
    }
}

/// Losses above their bracket's floor, not yet in their tails.
///
/// A tail has kilobytes and lies far from the next: one is visited when it has many to take, so that
/// the wait for its memory is shared by them.
pub struct Excesses {
    /// How many are kept for each tail.
    counts: Vec<u8>,
    kept: Vec<Kept>,
    /// Where each block of a log has been read to.
    read: Vec<usize>,
}

/// Losses kept for one tail at most.
const KEPT: usize = 128;

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
        Self { counts: vec![0; tails], kept: vec![Kept([0.0; KEPT]); tails], read: Vec::new() }
    }

    /// Takes all losses out of a log. `indices` says which tail a place is; `brackets` are those of the
    /// tails.
    #[inline(always)]
    pub fn take(&mut self, log: &mut Log, indices: &[u32], tails: &mut [Tail], brackets: &[Bracket]) {
        self.read.clone_from(&log.starts);
        for (place, &index) in indices.iter().enumerate() {
            let index = index as usize;
            let kept = &mut self.kept[index].0;
            let mut end = usize::from(self.counts[index]);
            for (read, counts) in self.read.iter_mut().zip(log.counts.chunks_exact(log.places)) {
                let count = usize::from(counts[place]);
                if end + count.max(LIKELY) > KEPT {
                    sort_into(&mut tails[index], &kept[..end], &brackets[index]);
                    end = 0;
                }
                let found = &log.excesses[*read..];
                // As many as are likely are copied in any case, which takes no branch.
                match (found.first_chunk::<LIKELY>(), kept[end..].first_chunk_mut::<LIKELY>()) {
                    (Some(found), Some(kept)) if count <= LIKELY => *kept = *found,
                    _ => kept[end..][..count].copy_from_slice(&found[..count]),
                }
                end += count;
                *read += count;
            }
            self.counts[index] = end as u8;
        }
        log.len = 0;
        log.starts.fill(0);
        log.counts.fill(0);
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

/// Loss above a bracket's floor.
#[inline(always)]
pub fn excess<S: Float>(loss: S, floor: f32) -> f32 {
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
    fn losses_reach_their_tails_however_many_come_at_once() {
        let bracket = Bracket { floor: 1.0, bins_per_loss: 8.0, quanta_per_loss: 1024.0 };
        // Two places, of which the first is the second tail: it finds none to all lanes, block by block,
        // and none again; the other all lanes or none.
        let count = |place: usize, block: usize| match place {
            0 => block.min(2 * BLOCK - block),
            _ => BLOCK * usize::from(block > BLOCK),
        };
        let loss = |count: usize, lane: usize| if lane < count { 1.0 + lane as f32 / 16.0 } else { 0.5 };
        let (mut tails, mut expected) = (vec![Tail::default(); 2], vec![Tail::default(); 2]);
        let (mut log, mut excesses) = (Log::new(), Excesses::new(2));
        let mut times_full = 0;
        log.begin(2);
        // So many that the log is full in the middle of a block, time and again.
        for block in (0..=2 * BLOCK).cycle().take(10_000) {
            log.begin_block();
            for (place, index) in [(0, 1), (1, 0)] {
                if log.is_full() {
                    excesses.take(&mut log, &[1, 0], &mut tails, &[bracket; 2]);
                    times_full += 1;
                }
                let losses: [f32; BLOCK] = std::array::from_fn(|lane| loss(count(place, block), lane));
                log.push(&losses, BLOCK, place, bracket.floor);
                let above = losses.iter().map(|loss| loss - bracket.floor).filter(|excess| *excess >= 0.0);
                above.for_each(|excess| expected[index].add(excess, &bracket));
            }
        }
        excesses.take(&mut log, &[1, 0], &mut tails, &[bracket; 2]);
        assert_ne!(tails, expected, "some are still kept");
        excesses.sort_into(&mut tails, &[bracket; 2]);
        assert_eq!(tails, expected);
        assert!(times_full > 1, "a log was never full");
    }
}
