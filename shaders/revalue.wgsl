// Stage 2: profit of one unit of every row on every path. The twin of src/engine/cpu/revalue.rs.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
/// `[curve][QUANTITIES][stride]`
@group(0) @binding(2) var<storage, read> quantities: array<f32>;
/// `[block][row][BLOCK]`
@group(0) @binding(3) var<storage, read_write> pnl: array<f32>;

/// Paths of an invocation, a workgroup apart: a row is read once for all of them.
const ROW_PATHS: u32 = 4u;

@compute @workgroup_size(WORKGROUP)
fn revalue(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let item = group.y + group.z * grid.y;
    if item >= params.rows {
        return;
    }
    let index = in_order(item, params.rows);
    let row = rows[index];
    for (var k = 0u; k < ROW_PATHS; k++) {
        let turn = (group.x * ROW_PATHS + k) * WORKGROUP + lane;
        if turn < params.paths {
            let path = in_order(turn, params.paths);
            pnl[profit_place(index, path)] = reported(row, path);
        }
    }
}

/// The profit in the unit of the report.
fn reported(row: Row, path: u32) -> f32 {
    let profit = profit_of(row, path);
    if params.numeraire == NONE {
        return profit;
    }
    let growth = quantity(row.curve, 5u, path);
    let inverse_price = quantity(row.curve, 6u, path);
    return mul(add(profit, -mul(row.market_value, growth)), inverse_price);
}

fn quantity(curve: u32, index: u32, path: u32) -> f32 {
    return quantities[(curve * QUANTITIES + index) * params.stride + path];
}

fn profit_of(row: Row, path: u32) -> f32 {
    let u = quantity(row.curve, 1u, path);
    let v = quantity(row.curve, 2u, path);
    let linear = add(add(mul(row.u, u), mul(row.v, v)), row.offset);
    if row.kind == LINEAR_ROW {
        return linear;
    }
    let k = add(row.log_moneyness, -quantity(row.curve, 0u, path));
    let forward = add(row.forward, mul(row.forward, u));
    let strike = add(row.strike, mul(row.strike, v));
    let level = quantity(row.curve, 3u, path);
    let inverse_level = quantity(row.curve, 4u, path);
    let value = option_value(forward, strike, k, spread_of(row, k), level, inverse_level);
    return add(linear, add(value, -row.base));
}
