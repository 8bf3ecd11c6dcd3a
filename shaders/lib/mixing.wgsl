// The mixing variable of a Student-t shock as a function of one random word. The twin of src/engine/mixing.rs.

const MIXING_PARTS: u32 = 16u;
const MIXING_OCTAVES: u32 = 32u;
const MIXING_SEGMENTS: u32 = 1024u;

/// The cubic's segment, and the position in it from 0 to 1 in units of 2^-24.
fn locate(word: u32) -> vec2<u32> {
    let side = word >> 31u;
    let distance = select(~word, word, side == 0u);
    let t = 2u * distance + 1u;
    let zeros = countLeadingZeros(t);
    let normal = t << zeros;
    let part = (normal >> 27u) & (MIXING_PARTS - 1u);
    let position = (normal << 5u) >> 8u;
    return vec2<u32>((side * MIXING_OCTAVES + (31u - zeros)) * MIXING_PARTS + part, position);
}

/// The mixing variable of a group.
fn mixing_variable(group: u32, word: u32) -> f32 {
    let place = locate(word);
    let t = mul(f32(place.y), 1.0 / 16777216.0);
    let c = mixing_table[group * MIXING_SEGMENTS + place.x];
    return c.x + mul(t, c.y + mul(t, c.z + mul(t, c.w)));
}
