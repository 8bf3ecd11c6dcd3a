// Stages 3 and 4: accounts' losses and their tails. The twin of src/engine/cpu/net.rs.
//
// One invocation is four neighbouring paths of one account. Accounts run fastest over the grid, so that
// those who read the same paths run together.

@group(0) @binding(0) var<uniform> params: Params;
/// Where each account's holdings start, `[accounts + 1]`
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> holdings: array<Holding>;
/// `[row][stride]`
@group(0) @binding(3) var<storage, read> pnl: array<vec4<f32>>;
/// `[account][level]`
@group(0) @binding(4) var<storage, read> brackets: array<BracketTerms>;
/// Horizon of each level.
@group(0) @binding(5) var<storage, read> level_horizon: array<u32>;
/// `[account][level][TAIL_WORDS]`
@group(0) @binding(6) var<storage, read_write> tails: array<atomic<u32>>;
/// `[account][stride]`, where losses are kept.
@group(0) @binding(7) var<storage, read_write> losses: array<vec4<f32>>;

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(1, WORKGROUP, 1)
fn net(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let item = id.x + id.z * grid.x;
    let quads = (params.slice_end - params.slice_start + 3u) / 4u;
    if id.y >= quads || item >= params.accounts {
        return;
    }
    let account = in_order(item, params.accounts);
    let quad = params.slice_start / 4u + in_order(id.y, quads);
    let stride = params.stride / 4u;
    var sum = vec4<f32>(0.0);
    for (var entry = starts[account]; entry < starts[account + 1u]; entry++) {
        let holding = holdings[entry];
        sum = guard4(sum + guard4(holding.quantity * pnl[holding.row * stride + quad]));
    }
    let loss = -sum;
    if (params.flags & KEEP_LOSSES) != 0u {
        losses[account * stride + quad] = loss;
    }
    for (var level = 0u; level < params.levels; level++) {
        if level_horizon[level] == params.horizon {
            let index = account * params.levels + level;
            let bracket = brackets[index];
            let excess = loss - vec4<f32>(bracket.floor);
            if any(excess >= vec4<f32>(0.0)) {
                for (var k = 0u; k < 4u; k++) {
                    if excess[k] >= 0.0 && 4u * quad + k < params.slice_end {
                        collect(excess[k], bracket, index * TAIL_WORDS);
                    }
                }
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
