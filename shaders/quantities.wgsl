// Stage 2, first part: what the rows of a curve point share on a path. The twin of `quantities` in
// src/engine/cpu/revalue.rs.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> curves: array<CurveTerms>;
/// `[observation + 1][asset][FACTORS][stride]`
@group(0) @binding(2) var<storage, read> factors: array<f32>;
/// `[curve][QUANTITIES][stride]`
@group(0) @binding(3) var<storage, read_write> kept: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn quantities(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let item = id.y + id.z * grid.y;
    if id.x >= params.paths || item >= params.curves {
        return;
    }
    let path = in_order(id.x, params.paths);
    let index = in_order(item, params.curves);
    let curve = curves[index];
    let x = factor(curve, curve.asset, 0u, path);
    let basis_move = add(mul(curve.basis_years, factor(curve, curve.asset, 2u, path)), curve.carry);
    let g = add(x, basis_move);
    var u = 0.0;
    var v = 0.0;
    if curve.settlement == LINEAR {
        u = expm1(g);
    } else {
        u = expm1(x);
        v = expm1(-basis_move);
    }
    keep(index, 0u, path, g);
    keep(index, 1u, path, u);
    keep(index, 2u, path, v);
    if curve.moves_volatility != 0u {
        let shift = mul(curve.volatility_factor, factor(curve, curve.asset, 1u, path));
        keep(index, 3u, path, exp(shift));
        keep(index, 4u, path, exp(-shift));
    }
    if params.numeraire != NONE {
        let coin = factor(curve, params.numeraire, 0u, path);
        keep(index, 5u, path, expm1(coin));
        keep(index, 6u, path, mul(params.numeraire_inverse_spot, exp(-coin)));
    }
}

fn factor(curve: CurveTerms, asset: u32, index: u32, path: u32) -> f32 {
    return factors[((curve.observation * MAX_ASSETS + asset) * FACTORS + index) * params.stride + path];
}

fn keep(curve: u32, quantity: u32, path: u32, value: f32) {
    kept[(curve * QUANTITIES + quantity) * params.stride + path] = value;
}
