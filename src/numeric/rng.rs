//! Philox as a `rand` generator, for host code that wants a sequence.

use std::convert::Infallible;

use rand::TryRng;

use super::philox4x32_10;

/// The words of Philox4x32-10 in the order of its counter: words 0 to 3 of counter
/// `[0, 0, stream]`, then of `[1, 0, stream]`, and so on.
#[derive(Clone, Debug)]
pub struct PhiloxRng {
    key: [u32; 2],
    stream: [u32; 2],
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl PhiloxRng {
    /// The generator of a seed. Streams of one seed are independent sequences.
    pub fn new(seed: u64, stream: u64) -> Self {
        let halves = |x: u64| [x as u32, (x >> 32) as u32];
        Self { key: halves(seed), stream: halves(stream), block: 0, words: [0; 4], used: 4 }
    }

    fn word(&mut self) -> u32 {
        if self.used == self.words.len() {
            let counter = [self.block as u32, (self.block >> 32) as u32, self.stream[0], self.stream[1]];
            self.words = philox4x32_10(counter, self.key);
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }
}

impl TryRng for PhiloxRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.word());
        Ok(low | u64::from(self.word()) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            let word = self.word().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, RngExt};

    use super::*;

    /// Known answers of Random123 for `philox4x32 10`: counter, key, words.
    const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];

    #[test]
    fn the_sequence_is_that_of_the_published_words() {
        for (counter, key, words) in KNOWN {
            let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            let mut rng = PhiloxRng::new(join(key[0], key[1]), join(counter[2], counter[3]));
            rng.block = join(counter[0], counter[1]);
            assert_eq!([rng.next_u32(), rng.next_u32(), rng.next_u32(), rng.next_u32()], words);
            // The counter goes on, and around.
            let next = rng.block;
            assert_eq!(next, join(counter[0], counter[1]).wrapping_add(1));
        }
    }

    #[test]
    fn words_bytes_and_streams_fit_together() {
        let mut words = PhiloxRng::new(7, 1);
        let mut bytes = PhiloxRng::new(7, 1);
        let mut filled = [0; 11];
        bytes.fill_bytes(&mut filled);
        let (a, b, c) = (words.next_u32(), words.next_u32(), words.next_u32());
        assert_eq!(filled[..4], a.to_le_bytes());
        assert_eq!(filled[4..8], b.to_le_bytes());
        assert_eq!(filled[8..], c.to_le_bytes()[..3]);
        assert_eq!(PhiloxRng::new(7, 1).next_u64(), u64::from(a) | u64::from(b) << 32);
        assert_ne!(PhiloxRng::new(7, 2).next_u32(), a);
        let mean: f64 = (0..10_000).map(|_| words.random::<f64>()).sum::<f64>() / 10_000.0;
        // Five standard deviations of the mean of 10,000 uniforms.
        assert!((mean - 0.5).abs() < 5.0 * (1.0f64 / 12.0 / 10_000.0).sqrt());
    }
}
