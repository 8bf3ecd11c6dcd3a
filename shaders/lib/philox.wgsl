// Philox4x32-10. The twin of src/numeric/philox.rs. Products come from one of the files product_*.wgsl.

const WEYL: vec2<u32> = vec2<u32>(0x9E3779B9u, 0xBB67AE85u);

/// Four random words for a counter and a key. The rounds stand one by one: a loop would count and be
/// checked, which costs as much as a round.
fn philox4x32_10(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    let k1 = key + WEYL;
    let k2 = k1 + WEYL;
    let k3 = k2 + WEYL;
    let k4 = k3 + WEYL;
    let k5 = k4 + WEYL;
    let k6 = k5 + WEYL;
    let k7 = k6 + WEYL;
    let k8 = k7 + WEYL;
    let k9 = k8 + WEYL;
    let c = philox_round(philox_round(philox_round(philox_round(counter, key), k1), k2), k3);
    let d = philox_round(philox_round(philox_round(philox_round(c, k4), k5), k6), k7);
    return philox_round(philox_round(d, k8), k9);
}

fn philox_round(c: vec4<u32>, k: vec2<u32>) -> vec4<u32> {
    let a = product(c.x, 0xD2511F53u);
    let b = product(c.z, 0xCD9E8D57u);
    return vec4<u32>(b.x ^ c.y ^ k.x, b.y, a.x ^ c.w ^ k.y, a.y);
}
