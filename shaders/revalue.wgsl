// Stage 2: profit of one unit of every row on every path. The twin of src/engine/cpu/revalue.rs.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
/// `[curve][QUANTITIES][stride]`
@group(0) @binding(2) var<storage, read> quantities: array<f32>;
/// `[row][stride]`
@group(0) @binding(3) var<storage, read_write> pnl: array<f32>;

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn revalue(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let item = id.y + id.z * grid.y;
    if id.x >= params.paths || item >= params.rows {
        return;
    }
    let path = in_order(id.x, params.paths);
    let index = in_order(item, params.rows);
    let row = rows[index];
    let profit = profit_of(row, path);
    if params.numeraire != NONE {
        let growth = quantity(row.curve, 5u, path);
        let inverse_price = quantity(row.curve, 6u, path);
        pnl[index * params.stride + path] = mul(add(profit, -mul(row.market_value, growth)), inverse_price);
    } else {
        pnl[index * params.stride + path] = profit;
    }
}

fn quantity(curve: u32, index: u32, path: u32) -> f32 {
    return quantities[(curve * QUANTITIES + index) * params.stride + path];
}

fn profit_of(row: Row, path: u32) -> f32 {
    let u = quantity(row.curve, 1u, path);
    let v = quantity(row.curve, 2u, path);
    let linear = add(add(mul(row.u, u), mul(row.v, v)), row.offset);
    if row.is_option == 0u {
        return linear;
    }
    let k = add(row.log_moneyness, -quantity(row.curve, 0u, path));
    let forward = add(row.forward, mul(row.forward, u));
    let strike = add(row.strike, mul(row.strike, v));
    let level = quantity(row.curve, 3u, path);
    let inverse_level = quantity(row.curve, 4u, path);
    let value = option_value(row.sign, forward, strike, k, total_variance(row, k), level, inverse_level);
    return add(linear, add(value, -row.base));
}
