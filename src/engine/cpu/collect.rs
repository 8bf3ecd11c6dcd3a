//! Netting a tile and collecting the tails: accounts are shared out among tasks.

use std::ops::Range;

use rayon::prelude::*;

use super::bounds::Bounds;
use super::excesses::{Excesses, Log};
use super::lines::Aligned;
use super::net::Holdings;
use super::tile::Tile;
use super::together::{Order, TOGETHER};
use super::{BLOCK, Job};
use crate::numeric::{Float, Real};
use crate::risk::{Bracket, Tail};

/// Tasks for each thread, so that uneven accounts even out.
const TASKS_PER_THREAD: usize = 8;
/// Holdings that cost as much as an account has to be looked at.
const ACCOUNT_WEIGHT: usize = 8;
/// The part of the work that an order of paths must spare for it to be kept up.
const LEAST_SPARED: u64 = 10;

/// What netting a tile reads.
pub struct Collecting<'a, S> {
    pub job: &'a Job,
    pub holdings: &'a [Holdings<'a, S>],
    pub brackets: &'a [Bracket],
    pub tile: &'a Tile<S>,
}

/// Accounts that one thread nets at a time, and their losses that are not yet in their tails.
pub struct Task<S> {
    accounts: Range<usize>,
    horizons: Vec<Horizon<S>>,
    excesses: Excesses,
}

/// How a task's accounts are netted at a horizon.
struct Horizon<S> {
    order: Order<S>,
    /// Levels of this horizon.
    levels: usize,
    /// Tails of the accounts in this order, `[account][level]`, among those of the task.
    tails: Vec<u32>,
    /// Blocks of the tile, a bit each, on which the accounts in this order are to be netted.
    blocks: Vec<u64>,
    /// Work on accounts that go together with no other, by weight, as far as there were bounds.
    work: u64,
    /// What of it bounds have left.
    netted: u64,
}

/// Room for what a thread works on.
pub struct Room<S> {
    profits: Vec<Aligned<S>>,
    /// Places of the accounts that are netted on a block.
    active: Vec<u32>,
    log: Log,
}

impl<S: Float> Task<S> {
    /// Tasks with about the same work for all accounts.
    pub fn share_out(job: &Job, holdings: &[Holdings<'_, S>], threads: usize) -> Vec<Self> {
        let ranges = account_ranges(holdings, job.accounts(), threads * TASKS_PER_THREAD);
        ranges.into_par_iter().map(|accounts| Self::new(job, holdings, accounts)).collect()
    }

    /// One of some accounts.
    pub fn new(job: &Job, holdings: &[Holdings<'_, S>], accounts: Range<usize>) -> Self {
        let levels = job.levels.len();
        let horizon = |(horizon, holdings): (usize, &Holdings<'_, S>)| {
            let order = Order::new(holdings, accounts.clone());
            let here = (0..levels).filter(|level| job.levels[*level].horizon == horizon);
            let of_account = |&account: &u32| {
                let first = (account as usize - accounts.start) * levels;
                here.clone().map(move |level| (first + level) as u32)
            };
            let tails = order.accounts().iter().flat_map(of_account).collect();
            let blocks = vec![u64::MAX; order.accounts().len()];
            Horizon { levels: here.clone().count(), tails, blocks, work: 0, netted: 0, order }
        };
        let horizons = holdings.iter().enumerate().map(horizon).collect();
        Self { excesses: Excesses::new(accounts.len() * levels), horizons, accounts }
    }

    /// Tails of the task, and their brackets, among those of all accounts.
    pub fn tails(&self, levels: usize) -> Range<usize> {
        self.accounts.start * levels..self.accounts.end * levels
    }

    /// Whether bounds have spared all tasks less than an order of paths costs.
    pub fn are_spared_little(tasks: &[Self]) -> bool {
        let horizons = || tasks.iter().flat_map(|task| &task.horizons);
        let work: u64 = horizons().map(|horizon| horizon.work).sum();
        let netted: u64 = horizons().map(|horizon| horizon.netted).sum();
        work - netted < work / LEAST_SPARED
    }

    /// Sorts what is left into the task's tails.
    pub fn finish(&mut self, tails: &mut [Tail], brackets: &[Bracket]) {
        self.excesses.sort_into(tails, brackets);
    }
}

impl<S: Float> Room<S> {
    pub fn new() -> Self {
        Self { profits: Vec::new(), active: Vec::new(), log: Log::new() }
    }
}

/// Bytes of all tasks for accounts with so many tails and holdings at all horizons, at most.
pub fn task_bytes<S: Float>(accounts: u64, tails: u64, entries: u64) -> u64 {
    let places = tails * size_of::<u32>() as u64 + accounts * size_of::<u64>() as u64;
    Excesses::bytes(tails) + places + Order::<S>::bytes(accounts, entries)
}

/// A task's work on a tile, for `pulp`; `tails` are those of its accounts, `[account][level]`.
pub struct CollectTile<'a, R: Real> {
    pub work: &'a Collecting<'a, R::Scalar>,
    pub task: &'a mut Task<R::Scalar>,
    pub tails: &'a mut [Tail],
    pub room: &'a mut Room<R::Scalar>,
}

impl<R: Real> pulp::WithSimd for CollectTile<'_, R> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        collect(self);
    }
}

/// Accounts inside, blocks outside, horizons outermost: the rows of one horizon on one block of paths
/// stay in the second cache while all accounts pass over them.
#[inline(always)]
fn collect<R: Real>(tile: CollectTile<'_, R>) {
    let CollectTile { work, task, tails, room } = tile;
    let Room { profits, active, log } = room;
    let brackets = &work.brackets[task.tails(work.job.levels.len())];
    let mut losses = [Aligned::default(); TOGETHER];
    for (horizon, holdings) in task.horizons.iter_mut().zip(work.holdings) {
        log.begin(horizon.tails.len());
        match work.tile.bounds() {
            Some(bounds) => horizon.bound::<R>(bounds, holdings, brackets, work.tile.blocks().len()),
            None => horizon.blocks.fill(u64::MAX),
        }
        for (block, pnl) in work.tile.blocks().enumerate() {
            holdings.fetch(pnl, profits);
            log.begin_block();
            let valid = (work.tile.paths() - block * BLOCK).min(BLOCK);
            let go_together = horizon.order.go_together::<R>(profits);
            horizon.list_active(block, active);
            let mut next = 0;
            while next < active.len() {
                let first = active[next] as usize;
                let count = horizon.order.losses::<R>(holdings, first, profits, go_together, &mut losses);
                for (account, losses) in (first..).zip(&losses[..count]) {
                    for place in account * horizon.levels..(account + 1) * horizon.levels {
                        if log.is_full() {
                            task.excesses.take(log, &horizon.tails, tails, brackets);
                        }
                        log.push(&losses.0, valid, place, brackets[horizon.tails[place] as usize].floor);
                    }
                }
                next += count;
            }
        }
        task.excesses.take(log, &horizon.tails, tails, brackets);
    }
}

impl<S: Float> Horizon<S> {
    /// Finds the blocks on which each account is to be netted, of so many that the tile has.
    #[inline(always)]
    fn bound<R: Real<Scalar = S>>(
        &mut self,
        bounds: &Bounds<S>,
        holdings: &Holdings<'_, S>,
        brackets: &[Bracket],
        tile_blocks: usize,
    ) {
        // Accounts that go together hold so much that they are spared nothing.
        let together = self.order.together();
        for (place, blocks) in self.blocks.iter_mut().enumerate().skip(together) {
            let account = self.order.accounts()[place] as usize;
            let tails = &self.tails[place * self.levels..][..self.levels];
            let floor = tails.iter().map(|tail| brackets[*tail as usize].floor).fold(f32::INFINITY, f32::min);
            *blocks = bounds.blocks_above::<R>(holdings, account, floor) & (u64::MAX >> (64 - tile_blocks));
            let weight = (ACCOUNT_WEIGHT + holdings.of(account).0.len()) as u64;
            self.work += tile_blocks as u64 * weight;
            self.netted += u64::from(blocks.count_ones()) * weight;
        }
    }

    /// Lists the accounts that are to be netted on a block.
    #[inline(always)]
    fn list_active(&self, block: usize, active: &mut Vec<u32>) {
        active.resize(self.blocks.len(), 0);
        // A branch for each would often be guessed wrongly.
        let mut count = 0;
        for (place, blocks) in self.blocks.iter().enumerate() {
            active[count] = place as u32;
            count += (blocks >> block & 1) as usize;
        }
        active.truncate(count);
    }
}

/// Ranges of accounts with about the same work.
fn account_ranges<S: Float>(
    holdings: &[Holdings<'_, S>],
    accounts: usize,
    tasks: usize,
) -> Vec<Range<usize>> {
    let weight = |account: usize| holdings.first().map_or(0, |h| h.start(account)) + ACCOUNT_WEIGHT * account;
    let total = weight(accounts);
    let mut ranges = Vec::with_capacity(tasks);
    let mut start = 0;
    for task in 1..=tasks {
        let target = total * task / tasks;
        let end =
            if task == tasks { accounts } else { partition_point(start, accounts, |a| weight(a) < target) };
        if end > start {
            ranges.push(start..end);
        }
        start = end;
    }
    ranges
}

/// First value in `low..high` for which `before` does not hold, or `high`.
fn partition_point(mut low: usize, mut high: usize, before: impl Fn(usize) -> bool) -> usize {
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}
