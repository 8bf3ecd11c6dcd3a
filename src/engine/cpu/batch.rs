//! Factors of the paths of some tiles.

use std::ops::Range;

use super::BLOCK;
use super::lines::Lines;
use crate::engine::FACTORS;
use crate::engine::model::Model;
use crate::numeric::Float;

/// Factors of consecutive paths, or of these in another order.
pub struct Batch<S> {
    /// `[block][observation][asset][factor][BLOCK]`.
    factors: Lines<S>,
    /// Numbers of a block.
    block_len: usize,
    /// The first of the paths.
    first: u64,
    paths: usize,
}

impl<S: Float> Batch<S> {
    /// Numbers of a block of paths.
    pub fn block_len(model: &Model<S>) -> usize {
        (model.observations.len() * model.assets * FACTORS * BLOCK).max(1)
    }

    /// Room for so many blocks; no paths.
    pub fn new(model: &Model<S>, blocks: usize) -> Self {
        let block_len = Self::block_len(model);
        Self { factors: Lines::new(blocks * block_len), block_len, first: 0, paths: 0 }
    }

    /// Makes it that of the next paths, as many as there is room for.
    pub fn begin(&mut self, left: &mut Range<u64>) {
        let room = (self.factors.len() / self.block_len * BLOCK) as u64;
        self.first = left.start;
        left.start += room.min(left.end - left.start);
        self.paths = (left.start - self.first) as usize;
    }

    /// How many paths there are.
    pub fn paths(&self) -> usize {
        self.paths
    }

    /// Factors of a block, `[observation][asset][factor][BLOCK]`.
    pub fn block(&self, block: usize) -> &[S] {
        &self.factors[block * self.block_len..][..self.block_len]
    }

    /// The first path of each block, and where its factors go.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = (u64, &mut [S])> {
        let blocks = self.factors.chunks_mut(self.block_len).take(self.paths.div_ceil(BLOCK));
        (self.first..).step_by(BLOCK).zip(blocks)
    }

    /// Takes the paths of another batch in an order.
    pub fn take(&mut self, other: &Self, order: &[u32]) {
        (self.first, self.paths) = (other.first, other.paths);
        let places = |path: &u32| (*path as usize / BLOCK) * self.block_len + *path as usize % BLOCK;
        let places: Vec<usize> = order.iter().map(places).collect();
        // A factor at a time: those of all paths are near each other while they are looked for.
        for factor in (0..self.block_len / BLOCK).map(|factor| factor * BLOCK) {
            let from = &other.factors[factor..];
            for (block, places) in places.chunks(BLOCK).enumerate() {
                let to = &mut self.factors[block * self.block_len + factor..][..BLOCK];
                for (to, place) in to.iter_mut().zip(places) {
                    *to = from[*place];
                }
            }
        }
    }
}
