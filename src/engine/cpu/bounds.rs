//! On which blocks of paths can an account lose more than its brackets' floors?
//!
//! The least and the greatest profit of every row on a block give the account's greatest loss on it, as
//! if all rows were at their worst on one path. It is summed in the order and the precision of a loss,
//! and rounding never turns a smaller number into a larger one: what stays below the floor does so on
//! every path. No loss above a floor is missed.

use super::BLOCK;
use super::excesses::excess;
use super::net::Holdings;
use crate::numeric::{Float, Real};

/// The least and the greatest profit of a row on a block; numbers alone, infinities included.
pub type Extremes<S> = [S; 2];

/// Finds the extremes of the rows of a block, `[row][BLOCK]`.
#[inline(always)]
pub fn extremes<R: Real>(pnl: &[R::Scalar], extremes: &mut [Extremes<R::Scalar>]) {
    for (row, extremes) in pnl.as_chunks::<BLOCK>().0.iter().zip(extremes) {
        let mut least = R::constant(f64::INFINITY);
        let mut greatest = R::constant(f64::NEG_INFINITY);
        for start in (0..BLOCK).step_by(R::LANES) {
            let profits = R::load(&row[start..]);
            // In this order what is not a number, which no tail counts, is passed over.
            least = profits.min(least);
            greatest = profits.max(greatest);
        }
        let [mut lows, mut highs] = [[R::Scalar::default(); BLOCK]; 2];
        least.store(&mut lows);
        greatest.store(&mut highs);
        let mut width = R::LANES;
        while width > 1 {
            width /= 2;
            for lane in 0..width {
                lows[lane] = lows[lane].min(lows[lane + width]);
                highs[lane] = highs[lane].max(highs[lane + width]);
            }
        }
        *extremes = [lows[0], highs[0]];
    }
}

/// Extremes of all rows on the blocks of a tile, of which there are 64 at most.
pub struct Bounds<S> {
    /// `[row][least, greatest][block]`.
    profits: Vec<S>,
    /// Blocks, in whole vectors.
    width: usize,
}

impl<S: Float> Bounds<S> {
    /// Room for those of so many blocks.
    pub fn new(rows: usize, blocks: usize) -> Self {
        let width = blocks.next_multiple_of(WIDEST);
        Self { profits: vec![S::default(); rows * 2 * width], width }
    }

    /// Takes those of each block, `[block][row]`.
    pub fn set(&mut self, extremes: &[Vec<Extremes<S>>]) {
        for (block, extremes) in extremes.iter().enumerate() {
            for (profits, [least, greatest]) in self.profits.chunks_mut(2 * self.width).zip(extremes) {
                profits[block] = *least;
                profits[self.width + block] = *greatest;
            }
        }
    }

    /// The blocks, a bit each, on which an account may have a loss that is not below `floor`; any bits
    /// for blocks that the tile does not have.
    #[inline(always)]
    pub fn blocks_above<R: Real<Scalar = S>>(
        &self,
        holdings: &Holdings<'_, S>,
        account: usize,
        floor: f32,
    ) -> u64 {
        let (rows, quantities) = holdings.of(account);
        let mut blocks = 0;
        for start in (0..self.width).step_by(R::LANES) {
            let mut least = R::default();
            for (&row, &quantity) in rows.iter().zip(quantities) {
                let worst = row as usize * 2 + usize::from(quantity < S::default());
                let profits = R::load(&self.profits[worst * self.width + start..]);
                least = least + R::splat(quantity) * profits;
            }
            let losses = -least;
            for lane in 0..R::LANES {
                let is_below = excess(losses.lane(lane), floor) < 0.0;
                blocks |= u64::from(!is_below) << (start + lane);
            }
        }
        blocks
    }
}

/// Lanes of the widest vectors.
const WIDEST: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;

    use super::super::lines::{Aligned, profits};
    use super::super::net;
    use super::*;
    use crate::engine::Netting;
    use crate::numeric::{Lanes, PhiloxRng};

    const ROWS: usize = 12;
    const BLOCKS: usize = 21;
    const ACCOUNTS: usize = 17;

    /// Accounts of a few rows, long, short or both; one holds nothing, and one a row twice.
    fn book(rng: &mut PhiloxRng) -> Netting {
        let mut netting = Netting { starts: vec![0, 0], row: vec![3, 3], quantity: vec![1.5, -1.0] };
        netting.starts.push(2);
        for account in 2..ACCOUNTS {
            for _ in 0..=rng.random_range(0..4) {
                netting.row.push(rng.random_range(0..ROWS as u32));
                let size: f64 = rng.random_range(0.0..10.0);
                netting.quantity.push(if account % 3 == 0 { size - 5.0 } else { size });
            }
            netting.starts.push(netting.row.len() as u32);
        }
        netting
    }

    /// Profits of a block, those of a row near each other.
    fn near<S: Float>(wild: &[f64], rng: &mut PhiloxRng) -> Vec<S> {
        let levels: [f64; ROWS] = std::array::from_fn(|_| rng.random_range(-10.0..10.0));
        profits(&levels, wild, rng)
    }

    struct Both<'a, R: Real> {
        holdings: &'a Holdings<'a, R::Scalar>,
        blocks: &'a [Vec<R::Scalar>],
        floor: f32,
    }

    impl<R: Real> pulp::WithSimd for Both<'_, R> {
        /// Blocks to net and blocks that lose as much, for each account.
        type Output = Vec<(u64, u64)>;
        #[inline(always)]
        fn with_simd<P: pulp::Simd>(self, _: P) -> Vec<(u64, u64)> {
            let Self { holdings, blocks, floor } = self;
            let mut bounds = Bounds::new(ROWS, blocks.len());
            let of_block = |pnl: &Vec<R::Scalar>| {
                let mut found = vec![[R::Scalar::default(); 2]; ROWS];
                extremes::<R>(pnl, &mut found);
                found
            };
            bounds.set(&blocks.iter().map(of_block).collect::<Vec<_>>());
            let of_account = |account: usize| {
                let mut above = 0;
                for (block, pnl) in blocks.iter().enumerate() {
                    let mut held: Vec<Aligned<R::Scalar>> = Vec::new();
                    holdings.fetch(pnl, &mut held);
                    let mut losses = [R::Scalar::default(); BLOCK];
                    net::losses::<R>(holdings, account, &held, &mut losses);
                    let is_above = losses.iter().any(|loss| excess(*loss, floor) >= 0.0);
                    above |= u64::from(is_above) << block;
                }
                (bounds.blocks_above::<R>(holdings, account, floor), above)
            };
            (0..holdings.accounts()).map(of_account).collect()
        }
    }

    /// Blocks that need not be netted, of those on which nothing is above the floor.
    fn spared<R: Real>(seed: u64, floor: f32, wild: &[f64]) -> Result<(u32, u32), TestCaseError> {
        let rng = &mut PhiloxRng::new(seed, 0);
        let netting = book(rng);
        let holdings = Holdings::new(&netting);
        let blocks: Vec<Vec<R::Scalar>> = (0..BLOCKS).map(|_| near(wild, rng)).collect();
        let work = || Both::<R> { holdings: &holdings, blocks: &blocks, floor };
        let found = pulp::Arch::new().dispatch(work());
        prop_assert_eq!(&found, &pulp::Arch::Scalar.dispatch(work()), "baseline instructions");
        let (mut spared, mut below) = (0, 0);
        for (account, (to_net, above)) in found.into_iter().enumerate() {
            prop_assert_eq!(above & !to_net, 0, "account {} loses on a block that is not netted", account);
            let all = (1 << BLOCKS) - 1;
            spared += (all & !to_net).count_ones();
            below += (all & !above).count_ones();
        }
        Ok((spared, below))
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 60,
            rng_seed: proptest::test_runner::RngSeed::Fixed(7),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_loss_above_a_floor_is_missed(seed in any::<u64>(), floor in -50f32..50.0) {
            let wild = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e30, -1e30];
            for wild in [&[], &wild[..1], &wild[..2], &wild[2..3], &wild] {
                // Floors that losses meet exactly as well.
                for floor in [floor, 0.0] {
                    spared::<Lanes<f64, 8>>(seed, floor, wild)?;
                    let (spared, below) = spared::<Lanes<f32, 16>>(seed, floor, wild)?;
                    // Where profits are near each other bounds are near what they bound.
                    prop_assert!(wild.len() > 3 || 2 * spared >= below, "{spared} of {below} are spared");
                }
            }
        }
    }
}
