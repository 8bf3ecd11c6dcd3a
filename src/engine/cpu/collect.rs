//! Netting a tile and collecting the tails: accounts are shared out among tasks.

use std::ops::Range;

use rayon::prelude::*;

use super::excesses::{Excesses, Log};
use super::lines::Aligned;
use super::net::Holdings;
use super::together::{Order, TOGETHER};
use super::{BLOCK, Job};
use crate::numeric::{Float, Real};
use crate::risk::{Bracket, Tail};

/// Tasks for each thread, so that uneven accounts even out.
const TASKS_PER_THREAD: usize = 8;
/// Holdings that cost as much as an account has to be looked at.
const ACCOUNT_WEIGHT: usize = 8;

/// What netting a tile reads.
pub struct Collecting<'a, S> {
    pub job: &'a Job,
    pub holdings: &'a [Holdings<'a, S>],
    pub brackets: &'a [Bracket],
    pub tile: &'a [S],
    /// Numbers of a block of the tile.
    pub row_len: usize,
    /// Paths of the tile.
    pub count: usize,
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
}

/// Room for what a thread works on.
pub struct Room<S> {
    profits: Vec<Aligned<S>>,
    log: Log,
}

impl<S: Float> Task<S> {
    /// Tasks with about the same work for all accounts.
    pub fn share_out(job: &Job, holdings: &[Holdings<'_, S>], threads: usize) -> Vec<Self> {
        let ranges = account_ranges(holdings, job.accounts(), threads * TASKS_PER_THREAD);
        ranges.into_par_iter().map(|accounts| Self::new(job, holdings, accounts)).collect()
    }

    fn new(job: &Job, holdings: &[Holdings<'_, S>], accounts: Range<usize>) -> Self {
        let levels = job.levels.len();
        let horizon = |(horizon, holdings): (usize, &Holdings<'_, S>)| {
            let order = Order::new(holdings, accounts.clone());
            let here = (0..levels).filter(|level| job.levels[*level].horizon == horizon);
            let of_account = |&account: &u32| {
                let first = (account as usize - accounts.start) * levels;
                here.clone().map(move |level| (first + level) as u32)
            };
            let tails = order.accounts().iter().flat_map(of_account).collect();
            Horizon { levels: here.clone().count(), tails, order }
        };
        let horizons = holdings.iter().enumerate().map(horizon).collect();
        Self { excesses: Excesses::new(accounts.len() * levels), horizons, accounts }
    }

    /// Tails of the task, and their brackets, among those of all accounts.
    pub fn tails(&self, levels: usize) -> Range<usize> {
        self.accounts.start * levels..self.accounts.end * levels
    }

    /// Sorts what is left into the task's tails.
    pub fn finish(&mut self, tails: &mut [Tail], brackets: &[Bracket]) {
        self.excesses.sort_into(tails, brackets);
    }
}

impl<S: Float> Room<S> {
    pub fn new() -> Self {
        Self { profits: Vec::new(), log: Log::new() }
    }
}

/// Bytes of all tasks for accounts with so many tails and holdings at all horizons, at most.
pub fn task_bytes<S: Float>(accounts: u64, tails: u64, entries: u64) -> u64 {
    Excesses::bytes(tails) + tails * size_of::<u32>() as u64 + Order::<S>::bytes(accounts, entries)
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
    let Room { profits, log } = room;
    let brackets = &work.brackets[task.tails(work.job.levels.len())];
    let mut losses = [Aligned::default(); TOGETHER];
    for (horizon, holdings) in task.horizons.iter().zip(work.holdings) {
        log.begin(horizon.tails.len());
        for (block, pnl) in work.tile.chunks(work.row_len).enumerate() {
            holdings.fetch(pnl, profits);
            log.begin_block();
            let valid = (work.count - block * BLOCK).min(BLOCK);
            let go_together = horizon.order.go_together::<R>(profits);
            let mut account = 0;
            while account < horizon.order.accounts().len() {
                let count = horizon.order.losses::<R>(holdings, account, profits, go_together, &mut losses);
                for losses in &losses[..count] {
                    for place in account * horizon.levels..(account + 1) * horizon.levels {
                        if log.is_full() {
                            task.excesses.take(log, &horizon.tails, tails, brackets);
                        }
                        log.push(&losses.0, valid, place, brackets[horizon.tails[place] as usize].floor);
                    }
                    account += 1;
                }
            }
        }
        task.excesses.take(log, &horizon.tails, tails, brackets);
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
