//! One pass over the paths, on which the tails of all accounts are collected.

use super::batch::Batch;
use super::bounds::{self, Extremes};
use super::clock::Clock;
use super::collect::{CollectTile, Collecting, Room, Task};
use super::net::Holdings;
use super::revalue::{Paired, revalue};
use super::simulate::{self, Consecutive, State};
use super::tile::Tile;
use crate::engine::Job;
use crate::engine::model::Model;
use crate::numeric::Real;
use crate::risk::{Bracket, Tail};

/// What all of a pass reads, and the time that its stages take. Its tails are collected by
/// `Pass::of_few` or `Pass::of_many` accounts.
pub struct Pass<'a, R: Paired> {
    pub instructions: pulp::Arch,
    pub job: &'a Job,
    pub model: &'a Model<R::Scalar>,
    pub holdings: &'a [Holdings<'a, R::Scalar>],
    pub brackets: &'a [Bracket],
    pub clock: Clock,
}

impl<R: Paired> Pass<'_, R> {
    /// Simulates a block of paths from the first on.
    pub fn simulate(&self, state: &mut State<R>, first: u64, factors: &mut [R::Scalar]) {
        let work = Simulate { model: self.model, state, first, factors };
        self.clock.simulate(|| self.instructions.dispatch(work));
    }

    /// Revalues a block of batches, of which there is one for all horizons or one for each.
    pub fn revalue(
        &self,
        batches: &[Batch<R::Scalar>],
        block: usize,
        pnl: &mut [R::Scalar],
        extremes: Option<&mut [Extremes<R::Scalar>]>,
    ) {
        let work = Revalue::<R> { model: self.model, batches, block, pnl, extremes };
        self.clock.revalue(|| self.instructions.dispatch(work));
    }

    /// Nets a tile for a task's accounts, whose tails these are.
    pub fn net(
        &self,
        tile: &Tile<R::Scalar>,
        task: &mut Task<R::Scalar>,
        tails: &mut [Tail],
        room: &mut Room<R::Scalar>,
    ) {
        let work = Collecting { job: self.job, holdings: self.holdings, brackets: self.brackets, tile };
        let collecting = CollectTile::<R> { work: &work, task, tails, room };
        self.clock.net(|| self.instructions.dispatch(collecting));
    }
}

// Work for `pulp`.

struct Simulate<'a, R: Real> {
    model: &'a Model<R::Scalar>,
    state: &'a mut State<R>,
    first: u64,
    factors: &'a mut [R::Scalar],
}

impl<R: Real> pulp::WithSimd for Simulate<'_, R> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        simulate::simulate::<R>(self.model, self.state, Consecutive(self.first), self.factors);
    }
}

struct Revalue<'a, R: Real> {
    model: &'a Model<R::Scalar>,
    batches: &'a [Batch<R::Scalar>],
    block: usize,
    pnl: &'a mut [R::Scalar],
    extremes: Option<&'a mut [Extremes<R::Scalar>]>,
}

impl<R: Paired> pulp::WithSimd for Revalue<'_, R> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { model, batches, block, pnl, extremes } = self;
        match batches {
            [all] => revalue::<R>(model, &model.curves, all.block(block), pnl),
            each => {
                for (horizon, batch) in each.iter().enumerate() {
                    let curves = model.curves.iter().filter(|curve| curve.horizon == horizon);
                    revalue::<R>(model, curves, batch.block(block), pnl);
                }
            }
        }
        if let Some(extremes) = extremes {
            bounds::extremes::<R>(pnl, extremes);
        }
    }
}
