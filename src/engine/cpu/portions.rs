//! How much is worked on at a time.

use super::BLOCK;
use super::alike::PathOrder;
use super::bounds::Extremes;
use super::collect::task_bytes;
use super::excesses::Log;
use super::few::FEW_TAILS;
use crate::engine::Shape;
use crate::numeric::Float;
use crate::risk::Tail;

/// Most blocks of a tile; threads wait for each other after each, so that many are better.
pub const TILE_BLOCKS: usize = 64;
/// What a tile of many rows is kept to, for it to stay in the third cache while the accounts take them,
/// and the blocks that it has all the same.
const TILE_BYTES: u64 = 8 << 20;
const LEAST_BLOCKS: usize = 16;
/// Blocks whose paths are ordered together, in whole tiles; more paths have more that move alike.
pub const BATCH_BLOCKS: usize = 128;
/// What the factors of such a batch are kept to.
const BATCH_BYTES: u64 = 16 << 20;

/// Tiles of a batch whose paths are put in order, with so many bytes of factors a block.
pub fn batch_tiles(tile_blocks: usize, factor_bytes: u64) -> usize {
    let blocks = BATCH_BLOCKS.min((BATCH_BYTES / factor_bytes.max(1)) as usize);
    (blocks / tile_blocks).max(1)
}

/// Blocks of a tile, and bytes of a pass, within what is allowed, or the least that there can be.
pub fn plan<S: Float>(shape: &Shape, most_blocks: usize, allowed: u64) -> (usize, u64) {
    let scalar = size_of::<S>() as u64;
    let threads = rayon::current_num_threads() as u64;
    let (tails, entries) = (shape.accounts * shape.levels, shape.entries());
    let tasks = task_bytes::<S>(shape.accounts * shape.horizons, tails, entries);
    let row_block = (shape.rows * BLOCK as u64 * scalar).max(1);
    let factor_block = shape.factors() * BLOCK as u64 * scalar;
    let fixed = entries * scalar + tasks + threads * (row_block + Log::BYTES);
    // Each thread has what it needs for itself.
    let own = tasks + tails * size_of::<Tail>() as u64 + row_block + factor_block;
    let fixed = if tails <= FEW_TAILS { fixed + threads * own } else { fixed };
    let least = (2 * threads).max(LEAST_BLOCKS as u64);
    let cached = (TILE_BYTES / row_block).max(least).min(most_blocks as u64);
    let is_ordered = PathOrder::helps(shape.accounts, shape.factors());
    // Two tiles, of which one is revalued while the other is netted, and batches: one is simulated while
    // that of each horizon, or another, is revalued.
    let bytes = |blocks: u64| {
        let tile_block = 2 * row_block + Log::block_bytes(tails);
        let more = if is_ordered {
            let tiles = batch_tiles(blocks as usize, factor_block) as u64;
            let batches =
                (1 + shape.horizons) * factor_block + shape.horizons * PathOrder::block_bytes(shape.assets);
            // Of both tiles, as they are found and as accounts need them.
            let bounds = 2 * 2 * shape.rows * size_of::<Extremes<S>>() as u64;
            tiles * batches + bounds
        } else {
            2 * factor_block
        };
        fixed + blocks * (tile_block + more)
    };
    let blocks = (1..=cached).rev().find(|blocks| bytes(*blocks) <= allowed).unwrap_or(1);
    (blocks as usize, bytes(blocks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_allowance_has_small_portions() {
        let shape = Shape {
            accounts: 100_000,
            holdings: 2_000_000,
            horizons: 2,
            levels: 2,
            rows: 2_000,
            assets: 50,
            observations: 4,
        };
        let (blocks, bytes) = plan::<f32>(&shape, TILE_BLOCKS, u64::MAX);
        assert_eq!(blocks, LEAST_BLOCKS.max(2 * rayon::current_num_threads()));
        let (fewer, less) = plan::<f32>(&shape, TILE_BLOCKS, bytes - 1);
        assert!(fewer < blocks && less < bytes, "{fewer} of {blocks} blocks, {less} of {bytes} bytes");
        assert_eq!(plan::<f32>(&shape, TILE_BLOCKS, 0).0, 1, "the least that there can be");
    }
}
