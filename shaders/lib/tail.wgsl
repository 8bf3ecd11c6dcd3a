// A tail in integers. The twin of `Tail::add` in src/risk/tail.rs.
//
// 64-bit sums are kept in limbs of 16 bits, each summed in a u32: up to 65,536 losses fit between two folds.

const BINS: u32 = 64u;
const SQUARE_SHIFT: u32 = 11u;
const QUANTA_LIMIT: u32 = 0x7FFFFFFFu;
/// Words of a bin between folds: count, sum (2 limbs), squares (3 limbs).
const BIN_LIMBS: u32 = 6u;
/// Words of a tail: bins, the one above, overflows; even.
const TAIL_WORDS: u32 = (BINS + 1u) * BIN_LIMBS + 2u;
const OVERFLOWS: u32 = (BINS + 1u) * BIN_LIMBS;

struct Sorted {
    bin: u32,
    quanta: u32,
}

/// The bin and the quanta of a loss above the floor, both saturating as in the twin.
fn sort_loss(excess: f32, bracket: BracketTerms) -> Sorted {
    let bins = excess * bracket.bins_per_loss;
    let quanta = excess * bracket.quanta_per_loss;
    let bin = u32(select(f32(BINS), bins, bins < f32(BINS)));
    let whole = u32(select(2147483648.0, quanta, quanta < 2147483648.0));
    return Sorted(bin, min(whole, QUANTA_LIMIT));
}

/// `coarse * coarse` of at most 20 bits, in limbs of 16, 16 and 8 bits.
fn square_limbs(coarse: u32) -> vec3<u32> {
    let high = coarse >> 10u;
    let low = coarse & 0x3FFu;
    let cross = high * low;
    // square = high^2 2^20 + cross 2^11 + low^2
    let bottom = low * low + ((cross & 0x1FFu) << 11u);
    let top = high * high + (cross >> 9u) + (bottom >> 20u);
    let rest = bottom & 0xFFFFFu;
    return vec3<u32>(rest & 0xFFFFu, (rest >> 16u) | ((top & 0xFFFu) << 4u), top >> 12u);
}
