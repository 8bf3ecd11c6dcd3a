"""CuPy in f32 on a card: arrays, its own random numbers, and one kernel for the book."""

import cupy
import numpy as np

import common

TILE = 1 << 18

book = cupy.ElementwiseKernel(
    "raw float32 x, int32 paths, int32 assets, raw float32 linear, int32 options, raw int32 asset, raw float32 terms",
    "float32 loss",
    """
    float profit = 0.0f;
    for (int a = 0; a < assets; ++a) profit += linear[a] * expm1f(x[a * paths + i]);
    for (int o = 0; o < options; ++o) {
        const float sign = terms[o * 7], inverse_sd = terms[o * 7 + 1], moneyness = terms[o * 7 + 2];
        const float sd = terms[o * 7 + 3], forward = terms[o * 7 + 4], strike = terms[o * 7 + 5];
        const float at = x[asset[o] * paths + i];
        const float d1 = (at + moneyness) * inverse_sd + 0.5f * sd;
        profit += forward * expf(at) * normcdff(sign * d1) - strike * normcdff(sign * (d1 - sd)) - terms[o * 7 + 6];
    }
    loss = -profit;
    """,
    "book",
)


def w1(work, paths):
    f = lambda array: cupy.asarray(array, dtype=cupy.float32)
    terms = f(np.stack([
        work.sign, 1.0 / work.sd, np.log(work.spot[work.asset] / work.strike), work.sd,
        work.quantity * work.sign * work.spot[work.asset], work.quantity * work.sign * work.strike,
        work.quantity * work.base], axis=1))
    linear, asset = f(work.linear * work.spot), cupy.asarray(work.asset, dtype=cupy.int32)
    mixing, drift = f(work.mixing.T), f(work.drift)[:, None]
    random = cupy.random.Generator(cupy.random.Philox4x3210(1))
    counts = np.random.default_rng(1)
    parts = []
    for _ in range(-(-paths // TILE)):
        x = cupy.zeros((work.assets, TILE), dtype=cupy.float32)
        for _ in range(work.steps):
            x += mixing @ random.standard_normal((work.assets, TILE), dtype=cupy.float32) + drift
        # All jumps of an asset at once: a Poisson number, each on a path of its own choice.
        for to in range(work.assets):
            count = int(counts.poisson(work.jumps[to] * work.steps * TILE))
            size = work.jump_mean[to] + work.jump_sd[to] * random.standard_normal(count, dtype=cupy.float32)
            cupy.add.at(x[to], random.integers(0, TILE, count), size.astype(cupy.float32))
        parts.append(book(x, TILE, work.assets, linear, len(work.asset), asset, terms, size=TILE))
    return common.shortfall(cupy.concatenate(parts)[:paths].get(), work.tail)


def w2(work, group=512):
    from cupyx.scipy.sparse import csr_matrix

    holdings = csr_matrix(
        (cupy.asarray(work.quantity), cupy.asarray(work.row), cupy.asarray(work.starts, dtype=cupy.int32)),
        shape=(work.accounts, len(work.pnl)))
    pnl, count = cupy.asarray(work.pnl), round(work.paths * work.tail)

    def run():
        found = np.zeros((work.accounts, 2))
        for first in range(0, work.accounts, group):
            losses = -(holdings[first : first + group] @ pnl)
            worst = cupy.partition(losses, work.paths - count, axis=1)[:, -count:]
            found[first : first + group, 0] = worst.astype(cupy.float64).mean(axis=1).get()
        return found

    return run


if __name__ == "__main__":
    asked = common.arguments()
    if asked.workload == "w1":
        work = common.W1(asked.data)
        paths = asked.paths or work.paths
        common.measure("CuPy f32", lambda: w1(work, paths), asked.repeat, paths)
    else:
        work = common.W2(asked.data)
        common.measure("CuPy f32", w2(work), asked.repeat, work.paths)
