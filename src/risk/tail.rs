//! A tail in integers: the same bits in any order of paths, tiles, threads, devices and machines.

use super::Bracket;
use crate::units::Confidence;

/// Bins inside a bracket; one more holds all above.
pub const BINS: usize = 64;
/// Squares are kept of losses without their lowest bits: 40 bits each, 2^24 of them fit.
pub const SQUARE_SHIFT: u32 = 11;
/// A variance is taken from squares whose unit is below this part of a bin: a uniform law over a bin
/// has a standard deviation of 0.29 of it.
const RESOLVED_BINS: f64 = 0.25;
/// Quantised losses stay below it; the last value says that a loss did not fit.
pub const QUANTA_LIMIT: u32 = (1 << 31) - 1;

/// Count, sum and sum of squares of the losses of one bin, in quanta above the bracket's floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Number of losses.
    pub count: u64,
    /// Their sum in quanta.
    pub sum: u64,
    /// Sum of the squares of `quanta >> SQUARE_SHIFT`.
    pub square: u64,
}

/// Losses of one account at one level, `[BINS + 1]`. Tails of disjoint paths merge by addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Bins in ascending order of loss; the last holds everything above the bracket.
    pub bins: [Bin; BINS + 1],
    /// Losses too large for their quantum.
    pub overflows: u64,
}

impl Default for Tail {
    fn default() -> Self {
        Self { bins: [Bin::default(); BINS + 1], overflows: 0 }
    }
}

/// Expected Shortfall and Value at Risk, loss positive, in the unit of the losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailEstimate {
    /// Expected Shortfall: mean of the worst `1 - confidence` of paths.
    pub expected_shortfall: f64,
    /// Its standard error.
    pub expected_shortfall_error: f64,
    /// Value at Risk: the loss that `1 - confidence` of paths exceed.
    pub value_at_risk: f64,
    /// Its standard error.
    pub value_at_risk_error: f64,
    /// Paths that made the estimate.
    pub paths: u64,
}

/// Paths in a tail below which a standard error says too little: it is taken from their own spread,
/// and few paths of a heavy tail have seldom seen how far it reaches.
pub const FEW_TAIL_PATHS: f64 = 10.0;

/// Why a tail gives no estimate; the run repairs both by simulating the account again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TailFault {
    /// The VaR lies outside the bracket.
    #[error("its Value at Risk lies outside of every bracket that was tried")]
    OutsideBracket,
    /// A loss was too large for its quantum.
    #[error("it has a loss that is too large to be counted")]
    Overflow,
}

impl Tail {
    /// Sorts one loss in; `excess` is the loss above the bracket's floor, at least zero.
    #[inline(always)]
    pub fn add(&mut self, excess: f32, bracket: &Bracket) {
        let bin = ((excess * bracket.bins_per_loss) as u32).min(BINS as u32) as usize;
        let quanta = ((excess * bracket.quanta_per_loss) as u32).min(QUANTA_LIMIT);
        if quanta == QUANTA_LIMIT {
            self.overflows += 1;
        }
        let coarse = u64::from(quanta >> SQUARE_SHIFT);
        let bin = &mut self.bins[bin];
        bin.count += 1;
        bin.sum += u64::from(quanta);
        bin.square = bin.square.saturating_add(coarse * coarse);
    }

    /// Adds the tail of other paths.
    pub fn merge(&mut self, other: &Self) {
        self.overflows += other.overflows;
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.count += more.count;
            bin.sum += more.sum;
            bin.square = bin.square.saturating_add(more.square);
        }
    }

    /// The figures of `paths` paths.
    ///
    /// The tail's probability mass ends inside one bin. That bin's losses are taken as uniform
    /// with the bin's own mean and variance, which is exact for an atom; the error in Expected
    /// Shortfall is of second order in a bin's width.
    pub fn estimate(
        &self,
        bracket: &Bracket,
        confidence: Confidence,
        paths: u64,
    ) -> Result<TailEstimate, TailFault> {
        if self.overflows > 0 {
            return Err(TailFault::Overflow);
        }
        let mass = paths as f64 * confidence.tail();
        let quantum = 1.0 / f64::from(bracket.quanta_per_loss);
        let floor = f64::from(bracket.floor);
        let mut count = 0.0;
        let mut sum = 0.0;
        let mut square = 0.0;
        for index in (0..=BINS).rev() {
            let bin = &self.bins[index];
            if bin.count == 0 {
                continue;
            }
            let n = bin.count as f64;
            let moments = Moments::of(bin, quantum);
            if count + n < mass {
                count += n;
                sum += moments.sum;
                square += moments.square;
                continue;
            }
            let edges = (bracket.edge(index) - floor, bracket.edge(index + 1) - floor);
            // Squares too coarse for a bin say nothing of the spread inside one.
            let is_resolved = moments.resolution <= RESOLVED_BINS / f64::from(bracket.bins_per_loss);
            // Above the bracket nothing bounds the shape, so only an atom can hold the VaR.
            if index == BINS && (!is_resolved || moments.half_width() > 0.0) {
                return Err(TailFault::OutsideBracket);
            }
            let half_width = if is_resolved {
                moments.half_width()
            } else {
                (moments.mean - edges.0).min(edges.1 - moments.mean).max(0.0)
            };
            let inside = mass - count;
            let share = inside / n;
            let clamp = |x: f64| if index == BINS { x } else { x.clamp(edges.0, edges.1) };
            let quantile = clamp(moments.mean + half_width * (1.0 - 2.0 * share));
            let mean_above = clamp(moments.mean + half_width * (1.0 - share));
            let shortfall = (sum + inside * mean_above) / mass;
            // Second moment of (L - q)+ over all paths, from sums about the floor.
            let part = inside * ((mean_above - quantile).powi(2) + (half_width * share).powi(2) / 3.0);
            let excess_square = square - 2.0 * quantile * sum + quantile * quantile * count + part;
            let excess_mean = (shortfall - quantile) * mass / paths as f64;
            let variance = (excess_square.max(0.0) / paths as f64 - excess_mean * excess_mean).max(0.0);
            let density = self.density(index, bracket, paths);
            let spread = (confidence.get() * confidence.tail() / paths as f64).sqrt();
            return Ok(TailEstimate {
                expected_shortfall: floor + shortfall,
                expected_shortfall_error: (variance / paths as f64).sqrt() / confidence.tail(),
                value_at_risk: floor + quantile,
                value_at_risk_error: if density > 0.0 { spread / density } else { 0.0 },
                paths,
            });
        }
        Err(TailFault::OutsideBracket)
    }

    /// Probability density around a bin, from the bins within two standard deviations of rank.
    fn density(&self, index: usize, bracket: &Bracket, paths: u64) -> f64 {
        let above: u64 = self.bins[index..].iter().map(|bin| bin.count).sum();
        let wanted = 2.0 * (above as f64).sqrt().max(1.0);
        for reach in 1..BINS {
            let low = index.saturating_sub(reach);
            let high = (index + reach).min(BINS - 1);
            let count: u64 = self.bins[low..=high].iter().map(|bin| bin.count).sum();
            if count as f64 >= 2.0 * wanted || (low == 0 && high == BINS - 1) {
                let width = (high - low + 1) as f64 / f64::from(bracket.bins_per_loss);
                return count as f64 / paths as f64 / width;
            }
        }
        0.0
    }
}

/// Moments of a bin's losses above the floor, in the unit of the losses.
struct Moments {
    sum: f64,
    square: f64,
    mean: f64,
    variance: f64,
    /// Unit of the squares' roots.
    resolution: f64,
}

impl Moments {
    fn of(bin: &Bin, quantum: f64) -> Self {
        let n = bin.count as f64;
        let sum = bin.sum as f64 * quantum;
        let mean = sum / n;
        // Squares were taken of losses rounded down to `coarse`; their mean is known exactly.
        let coarse = quantum * f64::from(1u32 << SQUARE_SHIFT);
        let raw = bin.square as f64 * coarse * coarse / n;
        let shifted = (mean - 0.5 * coarse).max(0.0);
        let variance = (raw - shifted * shifted).max(0.0);
        // Below the rounding of the squares a variance is none.
        let variance = if variance <= coarse * coarse { 0.0 } else { variance };
        Self { sum, square: n * (variance + mean * mean), mean, variance, resolution: coarse }
    }

    /// Half-width of the uniform law with this variance.
    fn half_width(&self) -> f64 {
        (3.0 * self.variance).sqrt()
    }
}

/// VaR and ES by sorting: the yardstick. Reorders the losses.
///
/// The tail's mass `n (1 - confidence)` need not be whole: the loss at its end counts in part.
pub fn exact(losses: &mut [f64], confidence: Confidence) -> TailEstimate {
    losses.sort_unstable_by(|a, b| b.total_cmp(a));
    let n = losses.len() as f64;
    let mass = n * confidence.tail();
    let whole = (mass.floor() as usize).min(losses.len() - 1);
    let quantile = losses[whole];
    let sum: f64 = losses[..whole].iter().sum();
    let shortfall = (sum + (mass - whole as f64) * quantile) / mass;
    let square: f64 = losses[..whole].iter().map(|loss| (loss - quantile).powi(2)).sum();
    let mean = (shortfall - quantile) * mass / n;
    let variance = (square / n - mean * mean).max(0.0);
    let step = ((n * confidence.get() * confidence.tail()).sqrt() as usize).max(1);
    let (low, high) = (whole.saturating_sub(step), (whole + step).min(losses.len() - 1));
    let slope = (losses[low] - losses[high]) / (high - low).max(1) as f64 * n;
    TailEstimate {
        expected_shortfall: shortfall,
        expected_shortfall_error: (variance / n).sqrt() / confidence.tail(),
        value_at_risk: quantile,
        value_at_risk_error: (confidence.get() * confidence.tail() / n).sqrt() * slope,
        paths: losses.len() as u64,
    }
}
