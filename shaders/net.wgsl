// Stages 3 and 4: accounts' losses and their tails. The twin of src/engine/cpu/net.rs.
//
// A workgroup takes many accounts over the same few paths, whose profits it reads again and again: they
// stay in the cache beside its cores, which a block's thousand rows fill, where the accounts of many
// workgroups over many paths would read them from memory that all share. An invocation is four
// neighbouring paths of one account at a time.

@group(0) @binding(0) var<uniform> params: Params;
/// Those with most holdings first, so that neighbours are done at the same time.
@group(0) @binding(1) var<storage, read> holders: array<Holder>;
@group(0) @binding(2) var<storage, read> holdings: array<Holding>;
/// `[block][row][BLOCK]`
@group(0) @binding(3) var<storage, read> pnl: array<vec4<f32>>;
/// `[account][level]`
@group(0) @binding(4) var<storage, read> brackets: array<BracketTerms>;
/// Horizon of each level.
@group(0) @binding(5) var<storage, read> level_horizon: array<u32>;
/// `[account][level][TAIL_WORDS]`
@group(0) @binding(6) var<storage, read_write> tails: array<atomic<u32>>;
/// `[account][stride]`, where losses are kept.
@group(0) @binding(7) var<storage, read_write> losses: array<vec4<f32>>;

/// Fours of paths of a workgroup: a line of the cache of each row.
const QUADS: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn net(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let quads = (params.slice_end - params.slice_start + 3u) / 4u;
    let turn = (group.y + group.z * grid.y) * QUADS + lane % QUADS;
    if turn >= quads {
        return;
    }
    let quad = params.slice_start / 4u + in_order(turn, quads);
    let first = group.x * params.accounts_together;
    let end = min(first + params.accounts_together, params.accounts);
    for (var item = first + lane / QUADS; item < end; item += WORKGROUP / QUADS) {
        let holder = holders[in_order(item, params.accounts)];
        let loss = -profit(holder, quad);
        if (params.flags & KEEP_LOSSES) != 0u {
            losses[holder.account * (params.stride / 4u) + quad] = loss;
        }
        for (var level = 0u; level < params.levels; level++) {
            if level_horizon[level] == params.horizon {
                sort_above(loss, holder.account * params.levels + level, quad);
            }
        }
    }
}

/// Sum of quantity times profit on four paths.
fn profit(holder: Holder, quad: u32) -> vec4<f32> {
    let place = profit_place(0u, 4u * quad) / 4u;
    var sum = vec4<f32>(0.0);
    var entry = holder.start;
    // Four at a time: their profits are asked for together, and the loop's own work is shared.
    for (; entry + 4u <= holder.end; entry += 4u) {
        sum = with_holding(sum, entry, place);
        sum = with_holding(sum, entry + 1u, place);
        sum = with_holding(sum, entry + 2u, place);
        sum = with_holding(sum, entry + 3u, place);
    }
    for (; entry < holder.end; entry++) {
        sum = with_holding(sum, entry, place);
    }
    return sum;
}

fn with_holding(sum: vec4<f32>, entry: u32, place: u32) -> vec4<f32> {
    let holding = holdings[entry];
    return add4(sum, mul4(vec4<f32>(holding.quantity), pnl[place + holding.row * (BLOCK / 4u)]));
}

/// Sorts those of four losses into a tail that reach its floor.
fn sort_above(loss: vec4<f32>, tail: u32, quad: u32) {
    let bracket = brackets[tail];
    let excess = loss - vec4<f32>(bracket.floor);
    if any(excess >= vec4<f32>(0.0)) {
        for (var k = 0u; k < 4u; k++) {
            if excess[k] >= 0.0 && 4u * quad + k < params.slice_end {
                collect(excess[k], bracket, tail * TAIL_WORDS);
            }
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
