// Adds the limbs of all tails to 64-bit totals and clears them. It has no twin: the CPU adds 64-bit numbers.

@group(0) @binding(0) var<uniform> params: Params;
/// `[account][level][TAIL_WORDS]`
@group(0) @binding(1) var<storage, read_write> tails: array<u32>;
/// The same places: each bin's count, sum and squares, then the overflows; low word before high word.
@group(0) @binding(2) var<storage, read_write> totals: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn fold(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let index = id.x + id.y * grid.x * WORKGROUP;
    let parts = BINS + 2u;
    if index / parts >= params.accounts * params.levels {
        return;
    }
    let tail = index / parts * TAIL_WORDS;
    let bin = index % parts;
    let place = tail + bin * BIN_LIMBS;
    if tails[place] == 0u {
        return;
    }
    increase(place, vec2<u32>(tails[place], 0u));
    tails[place] = 0u;
    if bin == BINS + 1u {
        return;
    }
    increase(place + 2u, limb(tails[place + 1u], 0u));
    increase(place + 2u, limb(tails[place + 2u], 16u));
    increase(place + 4u, limb(tails[place + 3u], 0u));
    increase(place + 4u, limb(tails[place + 4u], 16u));
    increase(place + 4u, vec2<u32>(0u, tails[place + 5u]));
    for (var word = 1u; word < BIN_LIMBS; word++) {
        tails[place + word] = 0u;
    }
}

/// `word * 2^shift` in 64 bits, for a shift of 0 or 16.
fn limb(word: u32, shift: u32) -> vec2<u32> {
    if shift == 0u {
        return vec2<u32>(word, 0u);
    }
    return vec2<u32>(word << shift, word >> (32u - shift));
}

/// Adds to a 64-bit total; one that does not fit stays at the largest number, as on the CPU.
fn increase(place: u32, more: vec2<u32>) {
    let low = totals[place] + more.x;
    let carry = select(0u, 1u, low < more.x);
    let high = totals[place + 1u] + more.y;
    let sum = high + carry;
    if high < more.y || sum < carry {
        totals[place] = 0xFFFFFFFFu;
        totals[place + 1u] = 0xFFFFFFFFu;
        return;
    }
    totals[place] = low;
    totals[place + 1u] = sum;
}
