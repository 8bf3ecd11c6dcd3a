// Adds legs to an account's profits in a cube that stays on the device. The twin of `Net` in
// src/engine/cpu/resident.rs. One invocation is four neighbouring paths.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> legs: array<Holding>;
/// `[block][row][BLOCK]`
@group(0) @binding(2) var<storage, read> pnl: array<vec4<f32>>;
/// `[path]`
@group(0) @binding(3) var<storage, read_write> profits: array<vec4<f32>>;

/// Here a slice is one of the legs, and all paths are taken.
@compute @workgroup_size(WORKGROUP)
fn add_legs(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = (params.paths + 3u) / 4u;
    if id.x >= quads {
        return;
    }
    let quad = in_order(id.x, quads);
    var sum = profits[quad];
    for (var index = params.slice_start; index < params.slice_end; index++) {
        let leg = legs[index];
        sum = add4(sum, mul4(vec4<f32>(leg.quantity), pnl[profit_place(leg.row, 4u * quad) / 4u]));
    }
    profits[quad] = sum;
}
