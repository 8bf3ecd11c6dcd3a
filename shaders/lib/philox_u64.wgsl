// Philox4x32-10 with 64-bit products. The twin of src/numeric/philox.rs.

/// High and low word of a product.
fn mul_hi_lo(a: u32, b: u32) -> vec2<u32> {
    let p = u64(a) * u64(b);
    return vec2<u32>(u32(p >> 32u), u32(p));
}

/// Four random words for a counter and a key.
fn philox4x32_10(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        let a = mul_hi_lo(c.x, 0xD2511F53u);
        let b = mul_hi_lo(c.z, 0xCD9E8D57u);
        c = vec4<u32>(b.x ^ c.y ^ k.x, b.y, a.x ^ c.w ^ k.y, a.y);
        k = k + vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}
