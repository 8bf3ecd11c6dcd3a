// Stages 3 and 4: accounts' losses and their tails. The twin of src/engine/cpu/net.rs.
//
// A workgroup takes many accounts over the same few paths, whose profits it reads again and again: they
// stay in the cache beside its cores, which a block's thousand rows fill, where the accounts of many
// workgroups over many paths would read them from memory that all share. Where accounts are few, it takes
// more paths instead. An invocation is four neighbouring paths of one account at a time.

@group(0) @binding(0) var<uniform> params: Params;
/// Those with most holdings first, so that neighbours are done at the same time.
@group(0) @binding(1) var<storage, read> holders: array<Holder>;
/// Row and quantity of two holdings; an account's begin with a pair.
@group(0) @binding(2) var<storage, read> pairs: array<vec4<u32>>;
/// `[block][row][BLOCK]`
@group(0) @binding(3) var<storage, read> pnl: array<vec4<f32>>;
/// Levels by horizon: a dispatch takes `level_start..level_end`.
@group(0) @binding(4) var<storage, read> levels: array<u32>;
/// `[account][level]`
@group(0) @binding(5) var<storage, read> brackets: array<BracketTerms>;
/// `[account][level][TAIL_WORDS]`
@group(0) @binding(6) var<storage, read_write> tails: array<atomic<u32>>;
/// `[account][stride]`, where losses are kept.
@group(0) @binding(7) var<storage, read_write> losses: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn net(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let quads = (params.slice_end - params.slice_start + 3u) / 4u;
    let turn = (group.y + group.z * grid.y) * NET_QUADS + lane % NET_QUADS;
    if turn >= quads {
        return;
    }
    let quad = params.slice_start / 4u + in_order(turn, quads);
    let side_by_side = WORKGROUP / NET_QUADS;
    let end = min((group.x + 1u) * params.accounts_together, params.accounts);
    var item = group.x * params.accounts_together + lane / NET_QUADS;
    if item >= end {
        return;
    }
    // What comes next is asked for before it is needed: the wait for it would be longer than the work.
    var next = holders[in_order(item, params.accounts)];
    var next_first = pairs[next.first_pair];
    var next_second = pairs[next.first_pair + 1u];
    for (; item < end; item += side_by_side) {
        let holder = next;
        next = holders[in_order(min(item + side_by_side, end - 1u), params.accounts)];
        let tail = holder.account * params.levels;
        let level = levels[params.level_start];
        let bracket = brackets[tail + level];
        let loss = loss_of(holder, quad, next_first, next_second);
        next_first = pairs[next.first_pair];
        next_second = pairs[next.first_pair + 1u];
        if (params.flags & KEEP_LOSSES) != 0u {
            losses[holder.account * (params.stride / 4u) + quad] = loss;
        }
        sort_above(loss, bracket, tail + level, quad);
        for (var other = params.level_start + 1u; other < params.level_end; other++) {
            sort_above(loss, brackets[tail + levels[other]], tail + levels[other], quad);
        }
    }
}

/// Sorts those of four losses into a tail that reach its floor.
fn sort_above(loss: vec4<f32>, bracket: BracketTerms, tail: u32, quad: u32) {
    let excess = loss - vec4<f32>(bracket.floor);
    let bits = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), excess >= vec4<f32>(0.0));
    var above = bits.x | bits.y | bits.z | bits.w;
    // Neighbours work on one loss each at the same time, whichever of the four it is.
    while above != 0u {
        let k = firstTrailingBit(above);
        above &= above - 1u;
        if 4u * quad + k < params.slice_end {
            let half = select(excess.xy, excess.zw, k >= 2u);
            collect(select(half.x, half.y, (k & 1u) != 0u), bracket, tail * TAIL_WORDS);
        }
    }
}

/// Sorts one loss into a tail.
fn collect(excess: f32, bracket: BracketTerms, tail: u32) {
    let sorted = sort_loss(excess, bracket);
    let bin = tail + sorted.bin * BIN_LIMBS;
    let square = square_limbs(sorted.quanta >> SQUARE_SHIFT);
    atomicAdd(&tails[bin], 1u);
    atomicAdd(&tails[bin + 1u], sorted.quanta & 0xFFFFu);
    atomicAdd(&tails[bin + 2u], sorted.quanta >> 16u);
    atomicAdd(&tails[bin + 3u], square.x);
    atomicAdd(&tails[bin + 4u], square.y);
    atomicAdd(&tails[bin + 5u], square.z);
    if sorted.quanta == QUANTA_LIMIT {
        atomicAdd(&tails[tail + OVERFLOWS], 1u);
    }
}
