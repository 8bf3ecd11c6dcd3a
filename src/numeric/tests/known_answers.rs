//! Philox against published words.

use crate::numeric::philox::philox_block;
use crate::numeric::{Word, WordLanes, philox4x32_10};

const FILE: &str = include_str!("../../../tests/data/philox4x32_10.csv");

/// A row of the file.
pub struct KnownAnswer {
    pub counter: [u32; 4],
    pub key: [u32; 2],
    pub words: [u32; 4],
}

/// The file that the CPU and the GPU are both held to.
pub fn philox_known_answers() -> Vec<KnownAnswer> {
    let rows = FILE.lines().filter(|line| !line.starts_with('#')).skip(1);
    let all: Vec<_> = rows.map(known_answer).collect();
    assert!(all.len() > 20, "the file has rows");
    all
}

fn known_answer(row: &str) -> KnownAnswer {
    let mut fields = row.split(',');
    let mut field = || fields.next().expect("a row has three fields");
    KnownAnswer { counter: hex(field()), key: hex(field()), words: hex(field()) }
}

fn hex<const N: usize>(field: &str) -> [u32; N] {
    let words = field.split(' ').map(|word| u32::from_str_radix(word, 16).expect("a word is hex"));
    words.collect::<Vec<_>>().try_into().expect("each field has its number of words")
}

#[test]
fn published_words_are_met() {
    for KnownAnswer { counter, key, words } in philox_known_answers() {
        assert_eq!(philox4x32_10(counter, key), words);
        // Negative control: another key, and another counter.
        assert_ne!(philox4x32_10(counter, [key[0] ^ 1, key[1]]), words);
        assert_ne!(philox4x32_10([counter[0], counter[1], counter[2], counter[3] ^ 1], key), words);
    }
}

#[test]
fn published_words_are_met_in_every_lane() {
    for KnownAnswer { counter, key, words } in philox_known_answers() {
        // The neighbours are other counters, so that lanes cannot be mixed up unseen.
        for place in 0..16 {
            let mut row = counter.map(WordLanes::<16>::splat);
            row[0] = WordLanes::consecutive(counter[0].wrapping_sub(place));
            let block = philox4x32_10(row, key);
            assert_eq!(block.map(|word| word.lane(place as usize)), words);
            let neighbour = (place as usize + 1) % 16;
            assert_ne!(block.map(|word| word.lane(neighbour)), words, "negative control");
        }
    }
}

/// The 64-bit product is the one that 16-bit halves make, as a GPU without 64-bit integers does it.
#[test]
fn products_of_halves_are_the_same() {
    let edges = super::edge_words();
    for &a in &edges {
        for &b in &edges {
            let (al, ah, bl, bh) = (a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16);
            let m = ah * bl + ((al * bl) >> 16);
            let n = al * bh + (m & 0xFFFF);
            let high = ah * bh + (m >> 16) + (n >> 16);
            assert_eq!(a.mul_hi_lo(b), (high, a.wrapping_mul(b)));
        }
    }
}

#[test]
fn a_block_is_what_the_word_makes_of_it() {
    assert_eq!(philox4x32_10([1, 2, 3, 4], [5, 6]), philox_block([1, 2, 3, 4], [5, 6]));
}
