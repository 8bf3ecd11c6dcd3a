//! Memory in whole lines of the cache: what lies across two of them costs two for each load.

use std::borrow::Borrow;
use std::ops::{Deref, DerefMut};

use crate::engine::BLOCK;
use crate::numeric::Float;

/// Bytes of a line.
const LINE: usize = 64;

/// Numbers of a block of paths, in whole lines: a vector is one load.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Aligned<S>(pub [S; BLOCK]);

impl<S: Float> Default for Aligned<S> {
    fn default() -> Self {
        Self([S::default(); BLOCK])
    }
}

impl<S> Borrow<[S; BLOCK]> for Aligned<S> {
    fn borrow(&self) -> &[S; BLOCK] {
        &self.0
    }
}

/// Numbers of which the first starts a line. An allocation alone need not: it may start anywhere in
/// one, from run to run.
pub struct Lines<S> {
    memory: Vec<S>,
    first: usize,
}

impl<S: Float> Lines<S> {
    /// So many zeros.
    pub fn new(len: usize) -> Self {
        let spare = LINE / size_of::<S>();
        let mut memory = vec![S::default(); len + spare];
        let first = memory.as_ptr().align_offset(LINE).min(spare);
        memory.truncate(first + len);
        Self { memory, first }
    }
}

impl<S> Deref for Lines<S> {
    type Target = [S];

    fn deref(&self) -> &[S] {
        &self.memory[self.first..]
    }
}

impl<S> DerefMut for Lines<S> {
    fn deref_mut(&mut self) -> &mut [S] {
        &mut self.memory[self.first..]
    }
}

/// Profits for tests, a row of a block around each level: some are zero of either sign, and `wild` some
/// others, infinite ones or no numbers.
#[cfg(test)]
pub fn profits<S: Float>(levels: &[f64], wild: &[f64], rng: &mut crate::numeric::PhiloxRng) -> Vec<S> {
    use rand::RngExt;
    let mut profits = Vec::with_capacity(levels.len() * BLOCK);
    for level in levels {
        for _ in 0..BLOCK {
            let x = level + rng.random_range(-1.0..1.0);
            profits.push(S::constant(if x.abs() < 0.1 { 0.0 * x } else { x }));
        }
    }
    for x in wild {
        let at = rng.random_range(0..profits.len());
        profits[at] = S::constant(*x);
    }
    profits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_start_where_the_cache_has_them() {
        for len in [0, 1, 63, 64, 65, 1 << 16] {
            let lines = Lines::<f32>::new(len);
            assert_eq!((lines.len(), lines.as_ptr() as usize % LINE), (len, 0));
            let lines = Lines::<f64>::new(len);
            assert_eq!((lines.len(), lines.as_ptr() as usize % LINE), (len, 0));
        }
    }
}
