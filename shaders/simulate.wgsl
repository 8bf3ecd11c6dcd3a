// Stage 1: factors of a tile of paths at every observation. The twin of src/engine/cpu/simulate.rs.
//
// One invocation is one path. A dispatch takes steps `step_start..step_end`; between dispatches the state
// rests behind the last observation of `factors`. MAX_ASSETS comes from the host.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> observations: array<Observation>;
/// `[observation][asset]`
@group(0) @binding(2) var<storage, read> step_terms: array<StepTerms>;
/// Words at or above threshold `n` mean more than `n` jumps.
@group(0) @binding(3) var<storage, read> thresholds: array<u32>;
/// Lower factor, row-major `[asset][asset]`
@group(0) @binding(4) var<storage, read> cholesky: array<f32>;
/// Cubics, `[group][segment]`
@group(0) @binding(5) var<storage, read> mixing_table: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> sources: array<Source>;
@group(0) @binding(7) var<storage, read> asset_terms: array<AssetTerms>;
/// `[observation + 1][asset][FACTORS][stride]`
@group(0) @binding(8) var<storage, read_write> factors: array<f32>;

override WORKGROUP: u32 = 64u;

const STREAM_SPOT: u32 = 0u;
const STREAM_LEVEL: u32 = 0x10000u;
const STREAM_BASIS: u32 = 0x20000u;
const STREAM_MIXING: u32 = 0x30000u;
const STREAM_JUMP_COUNT: u32 = 0x40000u;
const STREAM_JUMP: u32 = 0x50000u;

/// Normals come four at a time.
const PADDED_ASSETS: u32 = (MAX_ASSETS + 3u) / 4u * 4u;

var<private> path_words: vec2<u32>;
var<private> x: array<f32, MAX_ASSETS>;
var<private> level: array<f32, MAX_ASSETS>;
var<private> basis: array<f32, MAX_ASSETS>;
var<private> shock: array<f32, MAX_ASSETS>;
var<private> normal: array<f32, PADDED_ASSETS>;

@compute @workgroup_size(WORKGROUP)
fn simulate(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.paths {
        return;
    }
    let path = in_order(id.x, params.paths);
    let low = params.first_low + path;
    path_words = vec2<u32>(low, params.first_high + select(0u, 1u, low < path));
    if params.step_start > 0u {
        load(path);
    }
    var observation = params.observation;
    for (var step = params.step_start; step < params.step_end; step++) {
        step_once(observations[observation], step);
        if step + 1u == observations[observation].step_end {
            store(observation, path);
            observation++;
        }
    }
    if observation < params.observations {
        store(params.observations, path);
    }
}

fn factor_index(observation: u32, asset: u32, factor: u32, path: u32) -> u32 {
    return ((observation * MAX_ASSETS + asset) * FACTORS + factor) * params.stride + path;
}

fn load(path: u32) {
    for (var asset = 0u; asset < MAX_ASSETS; asset++) {
        x[asset] = factors[factor_index(params.observations, asset, 0u, path)];
        level[asset] = factors[factor_index(params.observations, asset, 1u, path)];
        basis[asset] = factors[factor_index(params.observations, asset, 2u, path)];
    }
}

fn store(observation: u32, path: u32) {
    for (var asset = 0u; asset < MAX_ASSETS; asset++) {
        factors[factor_index(observation, asset, 0u, path)] = x[asset];
        factors[factor_index(observation, asset, 1u, path)] = level[asset];
        factors[factor_index(observation, asset, 2u, path)] = basis[asset];
    }
}

fn draw(step: u32, stream: u32) -> vec4<u32> {
    let counter = vec4<u32>(path_words, step, stream);
    return philox4x32_10(counter, vec2<u32>(params.seed_low, params.seed_high));
}

fn step_once(observation: Observation, step: u32) {
    normals(step, STREAM_SPOT);
    correlate(step);
    for (var asset = 0u; asset < MAX_ASSETS; asset++) {
        let terms = step_terms[observation.terms + asset];
        x[asset] = add(x[asset], add(terms.drift, mul(terms.sd, shock[asset])));
    }
    if (params.flags & VOLATILITY_MOVES) != 0u {
        normals(step, STREAM_LEVEL);
        for (var asset = 0u; asset < MAX_ASSETS; asset++) {
            let terms = step_terms[observation.terms + asset];
            let kept = mul(terms.decay, level[asset]);
            let moved = add(mul(terms.level_on_spot, shock[asset]), mul(terms.level_alone, normal[asset]));
            level[asset] = add(kept, moved);
        }
    } else {
        for (var asset = 0u; asset < MAX_ASSETS; asset++) {
            level[asset] = mul(step_terms[observation.terms + asset].decay, level[asset]);
        }
    }
    if (params.flags & BASIS_MOVES) != 0u {
        normals(step, STREAM_BASIS);
        for (var asset = 0u; asset < MAX_ASSETS; asset++) {
            let moved = mul(step_terms[observation.terms + asset].basis_sd, normal[asset]);
            basis[asset] = add(basis[asset], moved);
        }
    }
    if observation.threshold_count > 0u && params.sources > 0u {
        let word = draw(step, STREAM_JUMP_COUNT).x;
        // Most steps of most paths have no jump and end here.
        if word >= thresholds[observation.thresholds] {
            jumps(observation, step, word);
        }
    }
}

/// Fills `normal` in blocks of four from a stream.
fn normals(step: u32, stream: u32) {
    for (var block = 0u; block < PADDED_ASSETS / 4u; block++) {
        let words = draw(step, stream + block);
        let first = normal_pair(words.x, words.y);
        let second = normal_pair(words.z, words.w);
        normal[4u * block] = first.x;
        normal[4u * block + 1u] = first.y;
        normal[4u * block + 2u] = second.x;
        normal[4u * block + 3u] = second.y;
    }
}

/// Correlated shocks from independent normals, times the mixing variable of the asset's group.
fn correlate(step: u32) {
    var drawn_group = NONE;
    var mixing = 0.0;
    for (var asset = 0u; asset < MAX_ASSETS; asset++) {
        var sum = mul(cholesky[asset * MAX_ASSETS], normal[0]);
        for (var other = 1u; other <= asset; other++) {
            sum = add(sum, mul(cholesky[asset * MAX_ASSETS + other], normal[other]));
        }
        let group = asset_terms[asset].mixing_group;
        if group != NONE {
            if group != drawn_group {
                mixing = mixing_variable(group, draw(step, STREAM_MIXING + group / 4u)[group % 4u]);
                drawn_group = group;
            }
            sum = mul(mixing, sum);
        }
        shock[asset] = sum;
    }
}

/// All jumps of a path in one step.
fn jumps(observation: Observation, step: u32, count_word: u32) {
    for (var event = 0u; event < observation.threshold_count; event++) {
        if count_word < thresholds[observation.thresholds + event] {
            return;
        }
        let words = draw(step, STREAM_JUMP + event);
        let source = sources[pick(words.x)];
        let size = jump_size(source, words.y, words.z);
        let early = unit_uniform(words.w);
        if source.asset == NONE {
            for (var asset = 0u; asset < MAX_ASSETS; asset++) {
                let terms = asset_terms[asset];
                jump(observation, asset, mul(terms.loading, size), terms.common_shift, early);
            }
        } else {
            jump(observation, source.asset, size, asset_terms[source.asset].own_shift, early);
        }
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

fn jump(observation: Observation, asset: u32, size: f32, shift: f32, early: f32) {
    x[asset] = add(x[asset], size);
    // The shift has decayed since the jump, which came at a uniform time of the step.
    let left = exp(-mul(step_terms[observation.terms + asset].reversion, early));
    level[asset] = add(level[asset], mul(shift, left));
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
