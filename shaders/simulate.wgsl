// Stage 1: factors of a tile of paths at every observation. The twin of src/engine/cpu/simulate.rs.
//
// One invocation is four neighbouring assets of one path, whose state stays in registers; those of a path
// are in one workgroup and give each other their normals. Neighbouring invocations are neighbouring paths.
// A dispatch takes steps `step_start..step_end`; between dispatches the state rests behind the last
// observation of `factors`.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> observations: array<Observation>;
/// `[observation][four]`
@group(0) @binding(2) var<storage, read> step_terms: array<StepTerms>;
/// Words at or above threshold `n` mean more than `n` jumps.
@group(0) @binding(3) var<storage, read> thresholds: array<u32>;
/// Lower factor by squares of four assets, `[four][other four][column]` up to the diagonal: a column of a square.
@group(0) @binding(4) var<storage, read> cholesky: array<vec4<f32>>;
/// Cubics, `[group][segment]`
@group(0) @binding(5) var<storage, read> mixing_table: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> sources: array<Source>;
/// `[four]`
@group(0) @binding(7) var<storage, read> asset_terms: array<AssetTerms>;
/// `[observation + 1][asset][FACTORS][stride]`
@group(0) @binding(8) var<storage, read_write> factors: array<f32>;

/// Fours of assets of a path, each an invocation.
const FOURS: u32 = (MAX_ASSETS + 3u) / 4u;

const STREAM_SPOT: u32 = 0u;
const STREAM_LEVEL: u32 = 0x10000u;
const STREAM_BASIS: u32 = 0x20000u;
const STREAM_MIXING: u32 = 0x30000u;
const STREAM_JUMP_COUNT: u32 = 0x40000u;
const STREAM_JUMP: u32 = 0x50000u;

/// Normals of a step, `[four][path]`.
var<workgroup> normals: array<vec4<f32>, WORKGROUP>;

var<private> path_words: vec2<u32>;
/// Which four, and the place of the path among those of the workgroup.
var<private> four: u32;
var<private> place: u32;
var<private> x: vec4<f32>;
var<private> level: vec4<f32>;
var<private> basis: vec4<f32>;

@compute @workgroup_size(WORKGROUP)
fn simulate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let paths_together = WORKGROUP / FOURS;
    four = lane / paths_together;
    place = lane % paths_together;
    let turn = group.x * paths_together + place;
    // All of a workgroup wait for each other: none ends early, those beyond the last path do it again.
    let is_wanted = turn < params.paths;
    let path = in_order(min(turn, params.paths - 1u), params.paths);
    let low = params.first_low + path;
    path_words = vec2<u32>(low, params.first_high + select(0u, 1u, low < path));
    if params.step_start > 0u {
        load(path);
    }
    let assets = asset_terms[four];
    var observation = params.observation;
    var step = params.step_start;
    while step < params.step_end {
        let now = observations[observation];
        let terms = step_terms[now.terms + four];
        let end = min(now.step_end, params.step_end);
        for (; step < end; step++) {
            step_once(now, terms, assets, step);
        }
        if step == now.step_end {
            if is_wanted {
                store(observation, path);
            }
            observation++;
        }
    }
    if observation < params.observations && is_wanted {
        store(params.observations, path);
    }
}

fn factor_index(observation: u32, asset: u32, factor: u32, path: u32) -> u32 {
    return ((observation * MAX_ASSETS + asset) * FACTORS + factor) * params.stride + path;
}

fn load(path: u32) {
    for (var k = 0u; k < min(4u, MAX_ASSETS - 4u * four); k++) {
        let first = factor_index(params.observations, 4u * four + k, 0u, path);
        x[k] = factors[first];
        level[k] = factors[first + params.stride];
        basis[k] = factors[first + 2u * params.stride];
    }
}

fn store(observation: u32, path: u32) {
    for (var k = 0u; k < min(4u, MAX_ASSETS - 4u * four); k++) {
        let first = factor_index(observation, 4u * four + k, 0u, path);
        factors[first] = x[k];
        factors[first + params.stride] = level[k];
        factors[first + 2u * params.stride] = basis[k];
    }
}

fn draw(step: u32, stream: u32) -> vec4<u32> {
    let counter = vec4<u32>(path_words, step, stream);
    return philox4x32_10(counter, vec2<u32>(params.seed_low, params.seed_high));
}

fn step_once(now: Observation, terms: StepTerms, assets: AssetTerms, step: u32) {
    let shock = mixed(correlated(four_normals(step, STREAM_SPOT)), assets.mixing_group, step);
    x = add4(x, add4(terms.drift, mul4(terms.sd, shock)));
    let kept = mul4(terms.decay, level);
    if (params.flags & VOLATILITY_MOVES) != 0u {
        let alone = mul4(terms.level_alone, four_normals(step, STREAM_LEVEL));
        level = add4(kept, add4(mul4(terms.level_on_spot, shock), alone));
    } else {
        level = kept;
    }
    if (params.flags & BASIS_MOVES) != 0u {
        basis = add4(basis, mul4(terms.basis_sd, four_normals(step, STREAM_BASIS)));
    }
    if now.threshold_count > 0u && params.sources > 0u {
        let word = draw(step, STREAM_JUMP_COUNT).x;
        // Most steps of most paths have no jump and end here.
        if word >= thresholds[now.thresholds] {
            jumps(now, terms, assets, step, word);
        }
    }
}

/// This four's normals from a stream.
fn four_normals(step: u32, stream: u32) -> vec4<f32> {
    let words = draw(step, stream + four);
    return vec4<f32>(normal_pair(words.x, words.y), normal_pair(words.z, words.w));
}

/// Correlated shocks from independent normals: sums in the order of the assets.
fn correlated(own: vec4<f32>) -> vec4<f32> {
    let square = four * (four + 1u) / 2u * 4u;
    if FOURS == 1u {
        return diagonal(mul4(cholesky[square], vec4<f32>(own.x)), square, own);
    }
    // Those of the step before have been read.
    workgroupBarrier();
    normals[four * (WORKGROUP / FOURS) + place] = own;
    workgroupBarrier();
    if four == 0u {
        return diagonal(mul4(cholesky[square], vec4<f32>(own.x)), square, own);
    }
    var sum = after_first(mul4(cholesky[square], vec4<f32>(normals[place].x)), square, normals[place]);
    for (var other = 1u; other < four; other++) {
        let at = square + 4u * other;
        let normal = normals[other * (WORKGROUP / FOURS) + place];
        sum = after_first(plus_product(sum, cholesky[at], normal.x), at, normal);
    }
    let last = square + 4u * four;
    return diagonal(plus_product(sum, cholesky[last], own.x), last, own);
}

/// What a square adds after its first column.
fn after_first(sum: vec4<f32>, square: u32, normal: vec4<f32>) -> vec4<f32> {
    let second = plus_product(sum, cholesky[square + 1u], normal.y);
    let third = plus_product(second, cholesky[square + 2u], normal.z);
    return plus_product(third, cholesky[square + 3u], normal.w);
}

/// The same for the square on the diagonal, where each asset's sum ends at itself.
fn diagonal(sum: vec4<f32>, square: u32, normal: vec4<f32>) -> vec4<f32> {
    let second = plus_product(sum, cholesky[square + 1u], normal.y);
    let third = plus_product(second, cholesky[square + 2u], normal.z);
    let fourth = plus_product(third, cholesky[square + 3u], normal.w);
    return vec4<f32>(sum.x, second.y, third.z, fourth.w);
}

fn plus_product(sum: vec4<f32>, a: vec4<f32>, b: f32) -> vec4<f32> {
    return add4(sum, mul4(a, vec4<f32>(b)));
}

/// Shocks times the mixing variables of the assets' groups.
fn mixed(shock: vec4<f32>, groups: vec4<u32>, step: u32) -> vec4<f32> {
    let has_group = groups != vec4<u32>(NONE);
    if !any(has_group) {
        return shock;
    }
    var mixing = vec4<f32>(mixing_of(groups.x, step));
    // Neighbours are mostly of one group.
    if groups.y != groups.x {
        mixing = vec4<f32>(mixing.x, vec3<f32>(mixing_of(groups.y, step)));
    }
    if groups.z != groups.y {
        mixing = vec4<f32>(mixing.xy, vec2<f32>(mixing_of(groups.z, step)));
    }
    if groups.w != groups.z {
        mixing.w = mixing_of(groups.w, step);
    }
    return select(shock, mul4(mixing, shock), has_group);
}

fn mixing_of(group: u32, step: u32) -> f32 {
    if group == NONE {
        return 1.0;
    }
    return mixing_variable(group, draw(step, STREAM_MIXING + group / 4u)[group % 4u]);
}

/// All jumps of a path in one step.
fn jumps(now: Observation, terms: StepTerms, assets: AssetTerms, step: u32, count_word: u32) {
    for (var event = 0u; event < now.threshold_count; event++) {
        if count_word < thresholds[now.thresholds + event] {
            return;
        }
        let words = draw(step, STREAM_JUMP + event);
        let source = sources[pick(words.x)];
        let size = jump_size(source, words.y, words.z);
        if source.asset == NONE {
            let sizes = mul4(assets.loading, vec4<f32>(size));
            x = add4(x, sizes);
            shift_levels(terms, assets.common_shift, words.w);
        } else if source.asset / 4u == four {
            let own = vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(source.asset % 4u);
            x = select(x, add4(x, vec4<f32>(size)), own);
            shift_levels(terms, select(vec4<f32>(0.0), assets.own_shift, own), words.w);
        }
    }
}

/// Shifts volatility levels by what is left of their shifts: they have decayed since the jump, which came at
/// a uniform time of the step. A level is never -0, to which a shift of 0 would make a difference.
fn shift_levels(terms: StepTerms, shift: vec4<f32>, time: u32) {
    if any(shift != vec4<f32>(0.0)) {
        let since = mul4(terms.reversion, vec4<f32>(unit_uniform(time)));
        let left = vec4<f32>(exp(-since.x), exp(-since.y), exp(-since.z), exp(-since.w));
        level = add4(level, mul4(shift, left));
    }
}

fn pick(word: u32) -> u32 {
    for (var source = 0u; source < params.sources; source++) {
        if word < sources[source].threshold {
            return source;
        }
    }
    return params.sources - 1u;
}

fn jump_size(source: Source, first: u32, second: u32) -> f32 {
    if source.law == MERTON {
        return add(source.first, mul(source.second, normal_pair(first, second).x));
    }
    let exponential = neg_log_uniform(second);
    if first < source.up_threshold {
        return mul(source.first, exponential);
    }
    return -mul(source.second, exponential);
}
