//! 32-bit random words, one or a row of lanes.

use std::fmt::Debug;

use super::philox::philox_block;

/// One 32-bit word, or a row of them that is worked on in step.
pub trait Word: Copy + Send + Sync + Debug + 'static {
    /// The same word in every lane.
    fn splat(word: u32) -> Self;
    /// Sum modulo 2^32.
    fn wrapping_add(self, other: Self) -> Self;
    /// Bitwise exclusive or.
    fn xor(self, other: Self) -> Self;
    /// High and low word of the 64-bit product with `multiplier`.
    fn mul_hi_lo(self, multiplier: u32) -> (Self, Self);
    /// The word in lane `index`; a single word has lane 0 only.
    fn lane(self, index: usize) -> u32;
    /// Replaces the word in lane `index`.
    fn set_lane(&mut self, index: usize, word: u32);
    /// The block of [`philox4x32_10`](super::philox4x32_10), lane by lane.
    fn philox4x32_10(counter: [Self; 4], key: [u32; 2]) -> [Self; 4];
}

impl Word for u32 {
    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn wrapping_add(self, other: Self) -> Self {
        u32::wrapping_add(self, other)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn mul_hi_lo(self, multiplier: u32) -> (Self, Self) {
        let product = u64::from(self) * u64::from(multiplier);
        ((product >> 32) as u32, product as u32)
    }

    #[inline(always)]
    fn lane(self, index: usize) -> u32 {
        debug_assert!(index == 0);
        self
    }

    #[inline(always)]
    fn set_lane(&mut self, index: usize, word: u32) {
        debug_assert!(index == 0);
        *self = word;
    }

    #[inline(always)]
    fn philox4x32_10(counter: [Self; 4], key: [u32; 2]) -> [Self; 4] {
        philox_block(counter, key)
    }
}

/// `N` words side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct WordLanes<const N: usize>(pub [u32; N]);

impl<const N: usize> WordLanes<N> {
    /// `first`, `first + 1`, ... modulo 2^32: the low counter words of `N` neighbouring paths.
    #[inline(always)]
    pub fn consecutive(first: u32) -> Self {
        let mut words = [0; N];
        for (i, word) in words.iter_mut().enumerate() {
            *word = first.wrapping_add(i as u32);
        }
        Self(words)
    }
}

impl<const N: usize> Word for WordLanes<N> {
    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self([word; N])
    }

    #[inline(always)]
    fn wrapping_add(self, other: Self) -> Self {
        let mut words = self.0;
        for i in 0..N {
            words[i] = words[i].wrapping_add(other.0[i]);
        }
        Self(words)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        let mut words = self.0;
        for i in 0..N {
            words[i] ^= other.0[i];
        }
        Self(words)
    }

    #[inline(always)]
    fn mul_hi_lo(self, multiplier: u32) -> (Self, Self) {
        let (mut high, mut low) = ([0; N], [0; N]);
        for i in 0..N {
            (high[i], low[i]) = self.0[i].mul_hi_lo(multiplier);
        }
        (Self(high), Self(low))
    }

    #[inline(always)]
    fn lane(self, index: usize) -> u32 {
        self.0[index]
    }

    #[inline(always)]
    fn set_lane(&mut self, index: usize, word: u32) {
        self.0[index] = word;
    }

    #[inline(always)]
    fn philox4x32_10(counter: [Self; 4], key: [u32; 2]) -> [Self; 4] {
        let [c0, c1, c2, c3] = counter;
        let mut out = [Self([0; N]); 4];
        for i in 0..N {
            let block = philox_block([c0.0[i], c1.0[i], c2.0[i], c3.0[i]], key);
            out[0].0[i] = block[0];
            out[1].0[i] = block[1];
            out[2].0[i] = block[2];
            out[3].0[i] = block[3];
        }
        out
    }
}
