/// High and low word of a product, from products of 16-bit halves, which every adapter has.
fn product(a: u32, b: u32) -> vec2<u32> {
    let al = a & 0xFFFFu;
    let ah = a >> 16u;
    let bl = b & 0xFFFFu;
    let bh = b >> 16u;
    let ll = al * bl;
    let m = ah * bl + (ll >> 16u);
    let n = al * bh + (m & 0xFFFFu);
    return vec2<u32>(ah * bh + (m >> 16u) + (n >> 16u), a * b);
}
