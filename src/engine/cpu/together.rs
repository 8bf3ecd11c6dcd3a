//! Accounts that hold mostly the same rows, netted together: a row is loaded once for all of them.

use std::cmp::Reverse;
use std::ops::Range;

use super::lines::Aligned;
use super::net::{self, Holdings};
use crate::engine::BLOCK;
use crate::numeric::{Float, Real};

/// Accounts that are netted together.
pub const TOGETHER: usize = 4;
/// Rows for each holding of an account, beyond which it has too little to share.
const ROWS_PER_HOLDING: usize = 8;
/// How many holdings ahead a row is looked for in the other accounts of a group.
const SOON: usize = 16;
/// Holdings that cost as much, each account by itself, as a row does for all accounts together.
const ROW_WEIGHT: usize = 2;

/// Accounts in the order in which they are netted.
pub struct Order<S> {
    /// Of accounts that are netted together.
    groups: Vec<Group<S>>,
    /// All accounts: those of the groups, group by group, then the others.
    accounts: Vec<u32>,
}

/// Rows that accounts of a group hold, and what each has of them: each account's holdings in its own
/// order, and nothing of the rows between them.
struct Group<S> {
    rows: Vec<u32>,
    quantities: Vec<[S; TOGETHER]>,
}

impl<S: Float> Order<S> {
    /// Bytes of the order of so many accounts with so many holdings, at most.
    pub fn bytes(accounts: u64, holdings: u64) -> u64 {
        let row = size_of::<u32>() + TOGETHER * size_of::<S>();
        accounts * size_of::<u32>() as u64 + holdings / ROW_WEIGHT as u64 * row as u64
    }

    /// Puts those together that hold much the same.
    pub fn new(holdings: &Holdings<'_, S>, accounts: Range<usize>) -> Self {
        let held = |account: &usize| holdings.of(*account).0.len();
        let least = holdings.rows().len() / ROWS_PER_HOLDING;
        let mut large: Vec<usize> = accounts.clone().filter(|account| held(account) >= least).collect();
        large.sort_by_key(|account| Reverse(held(account)));
        let mut order = Self { groups: Vec::new(), accounts: Vec::with_capacity(accounts.len()) };
        let mut is_grouped = vec![false; accounts.len()];
        for together in large.as_chunks::<TOGETHER>().0 {
            let most_rows = together.iter().map(held).sum::<usize>() / ROW_WEIGHT;
            if let Some(group) = Group::new(holdings, together, most_rows) {
                order.groups.push(group);
                order.accounts.extend(together.map(|account| account as u32));
                together.iter().for_each(|account| is_grouped[account - accounts.start] = true);
            }
        }
        let others = accounts.clone().filter(|account| !is_grouped[account - accounts.start]);
        order.accounts.extend(others.map(|account| account as u32));
        order
    }

    /// All accounts, in this order.
    pub fn accounts(&self) -> &[u32] {
        &self.accounts
    }

    /// How many of them, the first, can be netted together.
    pub fn together(&self) -> usize {
        self.groups.len() * TOGETHER
    }

    /// Whether accounts can be netted together on a block: whether there are any, and all profits are
    /// finite. Nothing of an infinite profit would not be nothing.
    #[inline(always)]
    pub fn go_together<R: Real<Scalar = S>>(&self, held: &[Aligned<S>]) -> bool {
        if self.groups.is_empty() {
            return false;
        }
        let zero = R::splat(S::default());
        let mut sum = R::default();
        for row in held {
            let mut of_row = R::default();
            for start in (0..BLOCK).step_by(R::LANES) {
                of_row = of_row + zero * R::load(&row.0[start..]);
            }
            sum = sum + of_row;
        }
        (0..R::LANES).all(|lane| sum.lane(lane) == S::default())
    }

    /// Losses of the next accounts, and how many they are; `place` is the number of those before them.
    #[inline(always)]
    pub fn losses<R: Real<Scalar = S>>(
        &self,
        holdings: &Holdings<'_, S>,
        place: usize,
        held: &[Aligned<S>],
        go_together: bool,
        losses: &mut [Aligned<S>; TOGETHER],
    ) -> usize {
        match self.groups.get(place / TOGETHER) {
            Some(group) if go_together => {
                group.losses::<R>(holdings.rows().start, held, losses);
                TOGETHER
            }
            _ => {
                net::losses::<R>(holdings, self.accounts[place] as usize, held, &mut losses[0].0);
                1
            }
        }
    }
}

impl<S: Float> Group<S> {
    /// None where the accounts hold more rows than that.
    fn new(holdings: &Holdings<'_, S>, accounts: &[usize; TOGETHER], most_rows: usize) -> Option<Self> {
        let mut ahead = accounts.map(|account| holdings.of(account));
        let mut group = Self { rows: Vec::new(), quantities: Vec::new() };
        loop {
            // A row that comes soon in another account had better wait for it.
            let soonest = |row: &u32| {
                let soon = |(rows, _): &(&[u32], &[S])| rows.iter().take(SOON).position(|other| other == row);
                ahead.iter().filter_map(soon).filter(|distance| *distance > 0).min().unwrap_or(SOON)
            };
            let next = ahead.iter().filter_map(|(rows, _)| rows.first().copied());
            let Some(row) = next.max_by_key(soonest) else { return Some(group) };
            if group.rows.len() == most_rows {
                return None;
            }
            let mut quantities = [S::default(); TOGETHER];
            for (ahead, quantity) in ahead.iter_mut().zip(&mut quantities) {
                if let ([next, rows @ ..], [held, others @ ..]) = *ahead
                    && *next == row
                {
                    *quantity = *held;
                    *ahead = (rows, others);
                }
            }
            group.rows.push(row);
            group.quantities.push(quantities);
        }
    }

    /// The bits of [`net::losses`] of each account, where profits are finite: a sum that starts at zero is
    /// never minus zero (a sum is that only where both numbers are), so that nothing of a row, zero or
    /// minus zero, adds nothing to it.
    #[inline(always)]
    fn losses<R: Real<Scalar = S>>(
        &self,
        first: usize,
        held: &[Aligned<S>],
        losses: &mut [Aligned<S>; TOGETHER],
    ) {
        let [of_a, of_b, of_c, of_d] = losses;
        // A vector of lanes at a time: four sums and their row stay in registers, in all of them where
        // there are 16, and it takes as long with more.
        for start in (0..BLOCK).step_by(R::LANES) {
            let [mut a, mut b, mut c, mut d] = [R::default(); TOGETHER];
            for (&row, quantities) in self.rows.iter().zip(&self.quantities) {
                let profits = R::load(&held[row as usize - first].0[start..][..R::LANES]);
                let [of_a, of_b, of_c, of_d] = *quantities;
                a = a + R::splat(of_a) * profits;
                b = b + R::splat(of_b) * profits;
                c = c + R::splat(of_c) * profits;
                d = d + R::splat(of_d) * profits;
            }
            (-a).store(&mut of_a.0[start..]);
            (-b).store(&mut of_b.0[start..]);
            (-c).store(&mut of_c.0[start..]);
            (-d).store(&mut of_d.0[start..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::engine::Netting;
    use crate::engine::cpu::lines::profits;
    use crate::numeric::{Lanes, PhiloxRng};

    /// Parts of the rows that an account holds.
    const DENSITIES: [f64; 5] = [0.0, 0.02, 0.5, 0.9, 1.0];
    const ACCOUNTS: usize = 23;

    /// Accounts of all densities in one order of the rows, most of them; some go their own way, or hold
    /// rows twice.
    fn book(rows: u32, rng: &mut PhiloxRng) -> Netting {
        let mut netting = Netting { starts: vec![0], ..Netting::default() };
        // An odd number, so that each row comes once.
        let stride = 2 * rng.random_range(0..rows) + 1;
        for _ in 0..ACCOUNTS {
            let density = DENSITIES[rng.random_range(0..DENSITIES.len())];
            let turn = if rng.random_range(0..4) == 0 { rng.random_range(0..rows) } else { 0 };
            for index in 0..rows {
                let times = if rng.random_range(0..50) == 0 { 2 } else { 1 };
                for _ in 0..times {
                    if rng.random::<f64>() < density {
                        netting.row.push((index + turn) * stride % rows);
                        netting.quantity.push(rng.random_range(-10.0..10.0));
                    }
                }
            }
            netting.starts.push(netting.row.len() as u32);
        }
        netting
    }

    struct Both<'a, R: Real> {
        holdings: &'a Holdings<'a, R::Scalar>,
        order: &'a Order<R::Scalar>,
        held: &'a [Aligned<R::Scalar>],
        go_together: Option<bool>,
    }

    impl<R: Real> pulp::WithSimd for Both<'_, R> {
        /// Accounts netted together, and whether all losses are those of each by itself.
        type Output = (usize, bool);
        #[inline(always)]
        fn with_simd<P: pulp::Simd>(self, _: P) -> (usize, bool) {
            let Self { holdings, order, held, .. } = self;
            let go_together = self.go_together.unwrap_or_else(|| order.go_together::<R>(held));
            let (mut place, mut together, mut is_same) = (0, 0, true);
            let mut losses = [Aligned::default(); TOGETHER];
            while place < order.accounts().len() {
                let count = order.losses::<R>(holdings, place, held, go_together, &mut losses);
                together += if count == TOGETHER { count } else { 0 };
                for losses in &losses[..count] {
                    let mut alone = [R::Scalar::default(); BLOCK];
                    net::losses::<R>(holdings, order.accounts()[place] as usize, held, &mut alone);
                    let bits = |loss: &R::Scalar| loss.to_f64().to_bits();
                    is_same &= losses.0.iter().map(bits).eq(alone.iter().map(bits));
                    place += 1;
                }
            }
            (together, is_same)
        }
    }

    fn both<R: Real>(netting: &Netting, profits: &[R::Scalar], go_together: Option<bool>) -> (usize, bool) {
        let holdings = Holdings::new(netting);
        let order = Order::new(&holdings, 0..holdings.accounts());
        let mut accounts = order.accounts().to_vec();
        accounts.sort_unstable();
        assert!(accounts.into_iter().eq(0..holdings.accounts() as u32), "each account comes once");
        let mut held = Vec::new();
        holdings.fetch(profits, &mut held);
        let work = || Both::<R> { holdings: &holdings, order: &order, held: &held, go_together };
        let best = pulp::Arch::new().dispatch(work());
        assert_eq!(best, pulp::Arch::Scalar.dispatch(work()), "baseline instructions");
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 60,
            rng_seed: proptest::test_runner::RngSeed::Fixed(7),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn together_is_as_alone(seed in any::<u64>(), log_rows in 0u32..8) {
            let rows = 1 << log_rows;
            let rng = &mut PhiloxRng::new(seed, 0);
            let netting = book(rows, rng);
            let wild = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
            for wild in [&[], &wild[..1], &wild[..2], &wild] {
                prop_assert!(both::<Lanes<f32, 16>>(&netting, &profits(&vec![0.0; rows as usize], wild, rng), None).1, "f32");
                prop_assert!(both::<Lanes<f64, 8>>(&netting, &profits(&vec![0.0; rows as usize], wild, rng), None).1, "f64");
            }
        }
    }

    /// Accounts that hold all rows but some, and what they lose on profits with those in the last.
    fn dense(last: f32) -> (Netting, Vec<f32>) {
        let mut netting = Netting { starts: vec![0], ..Netting::default() };
        for account in 0..9 {
            for row in (0..100).filter(|row| row % 10 != account) {
                netting.row.push(row);
                netting.quantity.push(f64::from(row) - 40.0);
                // As the coins that an inverse future has made come after it, the spot of each row.
                if (row + account) % 7 == 0 {
                    netting.row.push(0);
                    netting.quantity.push(0.5);
                }
            }
            netting.starts.push(netting.row.len() as u32);
        }
        let mut profits: Vec<f32> = (0..100 * BLOCK).map(|at| (at % 17) as f32 - 8.0).collect();
        profits[99 * BLOCK..].fill(last);
        (netting, profits)
    }

    #[test]
    fn what_is_held_alike_goes_together_on_finite_profits() {
        let (netting, profits) = dense(3.0);
        assert_eq!(both::<Lanes<f32, 16>>(&netting, &profits, None), (8, true));
        let (netting, profits) = dense(f32::INFINITY);
        assert_eq!(both::<Lanes<f32, 16>>(&netting, &profits, None), (0, true));
    }

    /// Negative control: what is not held would count.
    #[test]
    fn together_on_infinite_profits_would_be_wrong() {
        let (mut netting, profits) = dense(f32::INFINITY);
        netting.row.iter_mut().filter(|row| **row == 99).for_each(|row| *row = 98);
        netting.row[0] = 99;
        assert_eq!(both::<Lanes<f32, 16>>(&netting, &profits, Some(true)), (8, false));
        assert_eq!(both::<Lanes<f32, 16>>(&netting, &profits, None), (0, true));
    }

    #[test]
    fn what_is_held_apart_stays_apart() {
        let mut netting = Netting { starts: vec![0], ..Netting::default() };
        for account in 0..8 {
            netting.row.extend(account * 50..(account + 1) * 50);
            netting.quantity.extend([1.0; 50]);
            netting.starts.push(netting.row.len() as u32);
        }
        let profits: Vec<f32> = vec![1.0; 400 * BLOCK];
        assert_eq!(both::<Lanes<f32, 16>>(&netting, &profits, None), (0, true));
    }
}
