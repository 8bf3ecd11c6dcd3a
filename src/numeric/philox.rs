//! Philox4x32-10, a counter-based generator: J. K. Salmon, M. A. Moraes,
//! R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011.

use super::word::Word;

/// Four random words for a counter and a key; every counter gives an
/// independent block, so any subset of draws can be made anywhere.
///
/// Lanes share the key, so the round keys are worked out once.
#[inline(always)]
pub fn philox4x32_10<W: Word>(counter: [W; 4], key: [u32; 2]) -> [W; 4] {
    W::philox4x32_10(counter, key)
}

/// Multipliers and key increments of the paper, section 2.2.
const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEP: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: u32 = 10;

#[inline(always)]
pub(super) fn philox_block(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    // Words are the lower halves of 64 bits, whatever is above them: a product is a word as it is, and
    // the multiplication of lanes reads lower halves alone.
    let [mut c0, mut c1, mut c2, mut c3] = counter.map(u64::from);
    for round in 0..ROUNDS {
        let key0 = key[0].wrapping_add(KEY_STEP[0].wrapping_mul(round));
        let key1 = key[1].wrapping_add(KEY_STEP[1].wrapping_mul(round));
        let product0 = (c0 & LOWER) * u64::from(MULTIPLIER[0]);
        let product1 = (c2 & LOWER) * u64::from(MULTIPLIER[1]);
        c0 = (product1 >> 32) ^ c1 ^ u64::from(key0);
        c1 = product1;
        c2 = (product0 >> 32) ^ c3 ^ u64::from(key1);
        c3 = product0;
    }
    [c0, c1, c2, c3].map(|word| word as u32)
}

const LOWER: u64 = 0xFFFF_FFFF;
