// Products and sums that a compiler may neither fuse nor reorder, whatever WGSL lets it do.
//
// The result passes through an exclusive or with a zero that the compiler does not know, so that
// each operation rounds on its own, as in src/numeric. A product is guarded wherever an addition
// takes it, or it and the addition would become one fused operation. A sum is guarded where another
// sum or difference takes it, or terms would cancel ((x + c) - c becomes x) or change their order.

fn mul(a: f32, b: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(a * b) ^ guard_zero());
}

fn add(a: f32, b: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(a + b) ^ guard_zero());
}

fn mul4(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(a * b) ^ vec4<u32>(guard_zero()));
}

fn add4(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(a + b) ^ vec4<u32>(guard_zero()));
}
