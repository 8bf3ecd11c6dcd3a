// Losses at some ranks among an account's on the first paths, from which its brackets are made. The twin of
// `RankedLosses::new` in src/risk/bracket.rs.
//
// A workgroup is one account. Each invocation keeps the losses of some paths as words that are ordered as
// they are; a rank is found bit by bit, by counting how many losses are as large.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> holders: array<Holder>;
/// Row and quantity of two holdings; an account's begin with a pair.
@group(0) @binding(2) var<storage, read> pairs: array<vec4<u32>>;
/// `[block][row][BLOCK]`
@group(0) @binding(3) var<storage, read> pnl: array<vec4<f32>>;
/// Levels by horizon: a dispatch takes `level_start..level_end`.
@group(0) @binding(4) var<storage, read> levels: array<u32>;
/// Of each level, how many losses lie above the floor and above the ceiling.
@group(0) @binding(5) var<storage, read> ranks: array<vec2<u32>>;
/// Floor, ceiling and the largest loss, `[account][level]`
@group(0) @binding(6) var<storage, read_write> ranked: array<vec4<f32>>;

/// Fours of paths of an invocation.
const OWN_QUADS: u32 = RANKED_PATHS / (4u * WORKGROUP);
const TOP_BIT: u32 = 0x80000000u;

var<private> keys: array<vec4<u32>, OWN_QUADS>;
/// Losses at least as large as each of the three candidates, by bit.
var<workgroup> counts: array<array<atomic<u32>, 3>, 32>;

@compute @workgroup_size(WORKGROUP)
fn rank(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let item = group.x + group.y * grid.x;
    if item >= params.accounts {
        return;
    }
    let holder = holders[in_order(item, params.accounts)];
    let first = pairs[holder.first_pair];
    let second = pairs[holder.first_pair + 1u];
    for (var k = 0u; k < OWN_QUADS; k++) {
        let quad = k * WORKGROUP + lane;
        keys[k] = vec4<u32>(0u);
        if 4u * quad < params.paths {
            let path = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
            let all = ordered(loss_of(holder, quad, first, second));
            keys[k] = select(vec4<u32>(0u), all, path < vec4<u32>(params.paths));
        }
    }
    for (var index = params.level_start; index < params.level_end; index++) {
        let level = levels[index];
        let found = at_ranks(vec3<u32>(ranks[level], 0u), lane);
        if lane == 0u {
            let losses = vec3<f32>(number(found.x), number(found.y), number(found.z));
            ranked[holder.account * params.levels + level] = vec4<f32>(losses, 0.0);
        }
    }
}

/// The words with so many larger ones or, among equals, before them.
fn at_ranks(wanted: vec3<u32>, lane: u32) -> vec3<u32> {
    workgroupBarrier();
    for (var bit = lane; bit < 32u; bit += WORKGROUP) {
        for (var k = 0u; k < 3u; k++) {
            atomicStore(&counts[bit][k], 0u);
        }
    }
    workgroupBarrier();
    var found = vec3<u32>(0u);
    for (var bit = 0u; bit < 32u; bit++) {
        let candidate = found | vec3<u32>(TOP_BIT >> bit);
        var own = vec3<u32>(0u);
        for (var k = 0u; k < OWN_QUADS; k++) {
            own += as_large(keys[k].x, candidate) + as_large(keys[k].y, candidate);
            own += as_large(keys[k].z, candidate) + as_large(keys[k].w, candidate);
        }
        atomicAdd(&counts[bit][0], own.x);
        atomicAdd(&counts[bit][1], own.y);
        atomicAdd(&counts[bit][2], own.z);
        workgroupBarrier();
        let all = vec3<u32>(
            atomicLoad(&counts[bit][0]), atomicLoad(&counts[bit][1]), atomicLoad(&counts[bit][2]));
        found = select(found, candidate, all > wanted);
    }
    return found;
}

fn as_large(key: u32, candidates: vec3<u32>) -> vec3<u32> {
    return select(vec3<u32>(0u), vec3<u32>(1u), vec3<u32>(key) >= candidates);
}

/// Words in the order of `f32::total_cmp`.
fn ordered(loss: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(loss);
    let is_negative = bits >= vec4<u32>(TOP_BIT);
    return bits ^ select(vec4<u32>(TOP_BIT), vec4<u32>(0xFFFFFFFFu), is_negative);
}

/// The loss of a word.
fn number(key: u32) -> f32 {
    return bitcast<f32>(key ^ select(0xFFFFFFFFu, TOP_BIT, key >= TOP_BIT));
}
