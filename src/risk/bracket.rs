//! Where an account's VaR must lie, from a pilot of its losses.

use crate::units::Confidence;

use super::tail::BINS;

/// Half-width of a bracket in standard deviations of the pilot's order statistic: a miss in less
/// than one account of a million, found and repaired when it happens.
const BRACKET_SIGMAS: f64 = 5.0;
/// Losses up to this many times the pilot's largest excess over the bracket are representable.
const HEADROOM: f64 = 64.0;
/// From this widening on, losses of several times the account's size are representable as well:
const UNSEEN_WIDENING: f64 = 256.0;
/// so many times, at first.
const UNSEEN_SIZES: f64 = 8.0;
/// Bits of a quantised loss: sums of 2^33 of them fit 64 bits.
const QUANTUM_BITS: i32 = 31;

/// Bins around a VaR, and the quantum in which losses above the bracket's floor are counted.
///
/// All four numbers are f32 (in any engine), so that every engine sorts a loss into the same bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// Losses below it do not matter.
    pub floor: f32,
    /// Bins per unit of loss.
    pub bins_per_loss: f32,
    /// Quanta per unit of loss; a power of two, so that the product is exact.
    pub quanta_per_loss: f32,
}

/// Ranks of a pilot that enclose a confidence: losses above the ceiling, and above the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelRanks {
    /// How many lie above the ceiling.
    pub above: usize,
    /// How many lie above the floor.
    pub inside: usize,
}

impl LevelRanks {
    /// Those of a pilot of `n` paths; `widening` is 1, more after a miss.
    pub fn new(confidence: Confidence, n: usize, widening: f64) -> Self {
        let expected = n as f64 * confidence.tail();
        let spread = widening * BRACKET_SIGMAS * (expected * confidence.get()).sqrt();
        let clamp = |rank: f64| rank.clamp(0.0, n as f64 - 1.0) as usize;
        Self {
            above: clamp((expected - spread).floor() - 1.0),
            inside: clamp((expected + spread).ceil() + 1.0),
        }
    }
}

/// An account's losses at the ranks of a level, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedLosses {
    /// The loss with [`LevelRanks::inside`] larger ones.
    pub floor: f32,
    /// The loss with [`LevelRanks::above`] larger ones.
    pub ceiling: f32,
    /// The largest.
    pub largest: f32,
}

impl RankedLosses {
    /// From the largest losses of a pilot, more than `ranks.inside` of them.
    pub fn new(losses: &[f32], ranks: LevelRanks) -> Self {
        let mut losses = largest(losses, ranks.inside + 1);
        let descending = |a: &f32, b: &f32| b.total_cmp(a);
        let (_, &mut floor, _) = losses.select_nth_unstable_by(ranks.inside, descending);
        let (top, &mut ceiling, _) = losses.select_nth_unstable_by(ranks.above, descending);
        let largest = top.iter().copied().max_by(f32::total_cmp).unwrap_or(ceiling);
        Self { floor, ceiling, largest }
    }
}

impl Bracket {
    /// How many of a pilot's `n` largest losses [`Bracket::new`] looks at.
    pub fn needed(n: usize, confidence: Confidence, widening: f64) -> usize {
        LevelRanks::new(confidence, n, widening).inside + 1
    }

    /// From the largest losses of a pilot of `n` paths, at least [`Bracket::needed`] of them; see
    /// [`Bracket::around`].
    pub fn new(losses: &[f32], n: usize, confidence: Confidence, widening: f64, scale: f64) -> Self {
        let ranks = LevelRanks::new(confidence, n, widening);
        Self::around(&RankedLosses::new(losses, ranks), widening, scale)
    }

    /// Around the losses at the ranks of [`LevelRanks::new`] with the same widening. `scale` is a size
    /// below which a loss is nothing.
    ///
    /// `widening` is 1, more after a miss. One bin is added at each end, so that an atom at a bound
    /// lies inside.
    pub fn around(ranked: &RankedLosses, widening: f64, scale: f64) -> Self {
        let RankedLosses { floor, ceiling, largest } = *ranked;
        let (ceiling, largest) = (f64::from(ceiling), f64::from(largest));
        // Wider after a miss: a loss that is the same on every path may be some units in the last
        // place of f32 away from what an engine in f64 makes of it.
        let least_width =
            widening * (1e-6 * ceiling.abs().max(f64::from(floor).abs())).max(1e-9 * scale).max(1e-30);
        let width = ((ceiling - f64::from(floor)) / (BINS as f64 - 2.0)).max(least_width / BINS as f64);
        let floor = (f64::from(floor) - width) as f32;
        let seen = (largest - f64::from(floor)).max(BINS as f64 * width);
        // A pilot without any loss says nothing about the size of one; the account's own size does.
        let unseen =
            if widening >= UNSEEN_WIDENING { widening / UNSEEN_WIDENING * UNSEEN_SIZES * scale } else { 0.0 };
        let reach = (HEADROOM * widening * seen).max(unseen);
        let quanta_per_loss = 2f64.powi(QUANTUM_BITS - reach.log2().ceil() as i32) as f32;
        Self { floor, bins_per_loss: (1.0 / width) as f32, quanta_per_loss }
    }

    /// Loss at the lower edge of a bin.
    pub fn edge(&self, bin: usize) -> f64 {
        f64::from(self.floor) + bin as f64 / f64::from(self.bins_per_loss)
    }
}

/// Losses that are looked at first to guess where the largest begin.
const SAMPLE: usize = 512;

/// A part of the losses, in any order, that has the `needed` largest and usually few others.
///
/// Most accounts of a large book spend their pilot here: a scan against a guessed threshold costs
/// a small part of a selection from all.
pub fn largest(losses: &[f32], needed: usize) -> Vec<f32> {
    let n = losses.len();
    if n < 4 * SAMPLE || needed * 8 > n {
        return losses.to_vec();
    }
    let mut sample: [f32; SAMPLE] = std::array::from_fn(|i| losses[i * (n / SAMPLE)]);
    // Twice the expected rank and some more: too few are found almost never.
    let rank = (2 * needed * SAMPLE / n + 16).min(SAMPLE - 1);
    let (_, &mut threshold, _) = sample.select_nth_unstable_by(rank, |a, b| b.total_cmp(a));
    // Each loss is written behind those that were found, and stays there if it is one of them: no
    // branch that would be guessed wrongly.
    let mut found = vec![0.0; n / 2];
    let mut count = 0;
    for &loss in losses {
        if count == found.len() {
            return losses.to_vec();
        }
        found[count] = loss;
        count += usize::from(loss >= threshold);
    }
    if count < needed {
        return losses.to_vec();
    }
    found.truncate(count);
    found
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::numeric::PhiloxRng;

    #[test]
    fn the_largest_are_the_largest() {
        let mut rng = PhiloxRng::new(1, 0);
        let draws: Vec<f32> = (0..8192).map(|_| rng.random::<f32>()).collect();
        let ascending: Vec<f32> = (0..8192).map(|i| i as f32).collect();
        let descending: Vec<f32> = ascending.iter().rev().copied().collect();
        // The sample sees none of the large ones, or nothing but them.
        let hidden: Vec<f32> = (0..8192).map(|i| if i % 16 == 0 { 0.0 } else { i as f32 }).collect();
        let seen: Vec<f32> = (0..8192).map(|i| if i % 16 == 0 { 1.0 } else { 0.0 }).collect();
        for losses in [draws, ascending, descending, hidden, seen, vec![0.0; 8192], vec![1.0; 100]] {
            for needed in [1, 63, 130, 1025, 5000] {
                let sorted = |losses: &[f32]| {
                    let mut all = losses.to_vec();
                    all.sort_unstable_by(|a, b| b.total_cmp(a));
                    all.truncate(needed);
                    all
                };
                assert_eq!(sorted(&largest(&losses, needed)), sorted(&losses), "{needed}");
            }
        }
    }
}
