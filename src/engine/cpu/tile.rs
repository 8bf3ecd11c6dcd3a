//! A tile: profits of some blocks of paths, and their bounds.

use super::BLOCK;
use super::bounds::{Bounds, Extremes};
use super::lines::Lines;
use crate::engine::model::Model;
use crate::numeric::Float;

/// Profits of some paths.
pub struct Tile<S> {
    /// `[block][row][BLOCK]`.
    pnl: Lines<S>,
    /// Numbers of a block.
    row_len: usize,
    /// Extremes of each block and row, where paths are in an order.
    extremes: Vec<Vec<Extremes<S>>>,
    bounds: Bounds<S>,
    is_ordered: bool,
    paths: usize,
}

impl<S: Float> Tile<S> {
    /// Room for so many blocks, no paths; with bounds where paths are to come in an order.
    pub fn new(model: &Model<S>, blocks: usize, is_ordered: bool) -> Self {
        let rows = model.rows.len();
        let row_len = (rows * BLOCK).max(1);
        let bounded = if is_ordered { rows } else { 0 };
        Self {
            pnl: Lines::new(blocks * row_len),
            row_len,
            extremes: vec![vec![[S::default(); 2]; bounded]; blocks],
            bounds: Bounds::new(bounded, blocks),
            is_ordered,
            paths: 0,
        }
    }

    /// Makes it that of so many other paths.
    pub fn begin(&mut self, paths: usize, is_ordered: bool) {
        (self.paths, self.is_ordered) = (paths, is_ordered);
    }

    /// How many paths there are.
    pub fn paths(&self) -> usize {
        self.paths
    }

    /// Profits of each block, `[row][BLOCK]`.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = &[S]> {
        self.pnl.chunks(self.row_len).take(self.paths.div_ceil(BLOCK))
    }

    /// Where the profits of each block go, `[row][BLOCK]`, and their extremes, where they are worth
    /// looking at.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = (&mut [S], Option<&mut [Extremes<S>]>)> {
        let blocks = self.paths.div_ceil(BLOCK);
        let is_ordered = self.is_ordered;
        let extremes = self.extremes.iter_mut().map(move |of_block| is_ordered.then_some(&mut of_block[..]));
        self.pnl.chunks_mut(self.row_len).zip(extremes).take(blocks)
    }

    /// Bounds of its profits, where they are worth looking at.
    pub fn bounds(&self) -> Option<&Bounds<S>> {
        self.is_ordered.then_some(&self.bounds)
    }

    /// Makes the bounds of a tile that has just been revalued.
    pub fn bound(&mut self) {
        if self.is_ordered {
            self.bounds.set(&self.extremes);
        }
    }
}
