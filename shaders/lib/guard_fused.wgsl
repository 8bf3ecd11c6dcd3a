// The guards of guard_bitwise.wgsl for a device whose compiler leaves fused operations as they are.
//
// Each is a fused operation with a number that the compiler does not know: the product plus -0, the first
// term times one. Both are exact, so that the result is rounded once, and an operation that is fused already
// can take no other in. It costs one instruction, as the plain operation would; the exclusive or is a second
// one. A compiler that takes fused operations apart may reorder them (a * one + a * b becomes
// a * (one + b), as in Mesa's software adapter), so this is only for those on which all bits were compared.

fn mul(a: f32, b: f32) -> f32 {
    return fma(a, b, guard_minus_zero());
}

fn add(a: f32, b: f32) -> f32 {
    return fma(a, guard_one(), b);
}

fn mul4(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return fma(a, b, vec4<f32>(guard_minus_zero()));
}

fn add4(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return fma(a, vec4<f32>(guard_one()), b);
}
