// An account's losses, for the stages that bind `pairs` and `pnl`.

/// Minus the sum of quantity times profit on four paths, from the account's first two pairs of holdings on.
fn loss_of(holder: Holder, quad: u32, first_pair: vec4<u32>, second_pair: vec4<u32>) -> vec4<f32> {
    let place = profit_place(0u, 4u * quad) / 4u;
    var sum = vec4<f32>(0.0);
    var first = first_pair;
    var second = second_pair;
    var pair = holder.first_pair;
    let whole = pair + holder.holdings / 2u;
    // Four holdings at a time: their profits are asked for together, and the loop's own work is shared.
    for (; pair + 2u <= whole; pair += 2u) {
        let a = first;
        let b = second;
        first = pairs[pair + 2u];
        second = pairs[pair + 3u];
        sum = with_holding(sum, a.xy, place);
        sum = with_holding(sum, a.zw, place);
        sum = with_holding(sum, b.xy, place);
        sum = with_holding(sum, b.zw, place);
    }
    if pair < whole {
        sum = with_holding(sum, first.xy, place);
        sum = with_holding(sum, first.zw, place);
        first = second;
    }
    if holder.holdings % 2u == 1u {
        sum = with_holding(sum, first.xy, place);
    }
    return -sum;
}

fn with_holding(sum: vec4<f32>, holding: vec2<u32>, place: u32) -> vec4<f32> {
    let quantity = vec4<f32>(bitcast<f32>(holding.y));
    return add4(sum, mul4(quantity, pnl[place + holding.x * (BLOCK / 4u)]));
}
