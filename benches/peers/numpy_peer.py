"""NumPy and SciPy in f64, tiles of paths that fit the cache, one thread a core (NumPy lets go of the GIL)."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import csr_array
from scipy.special import ndtr

import common

TILE = 8192


def w1_tile(work, seed, paths, losses):
    rng = np.random.Generator(np.random.SFC64(seed))
    x = np.zeros((paths, work.assets))
    for _ in range(work.steps):
        x += work.drift
        x += rng.standard_normal((paths, work.assets)) @ work.mixing
    # Nothing on the way asks when a jump came, so all jumps of an asset are drawn at once: a Poisson
    # number over all paths, each on a path of its own choice.
    for asset in range(work.assets):
        count = rng.poisson(work.jumps[asset] * work.steps * paths)
        where = rng.integers(0, paths, count)
        np.add.at(x[:, asset], where, rng.normal(work.jump_mean[asset], work.jump_sd[asset], count))
    growth = np.expm1(x)
    profit = growth @ (work.linear * work.spot)
    for option in range(len(work.asset)):
        asset, sign, sd = work.asset[option], work.sign[option], work.sd[option]
        d1 = x[:, asset] * (sign / sd)
        d1 += sign * (np.log(work.spot[asset] / work.strike[option]) / sd + 0.5 * sd)
        value = (1.0 + growth[:, asset]) * ndtr(d1) * (sign * work.spot[asset])
        d1 -= sign * sd
        value -= ndtr(d1) * (sign * work.strike[option])
        value -= work.base[option]
        value *= work.quantity[option]
        profit += value
    np.negative(profit, out=losses)


def w1(work, paths, threads):
    losses = np.empty(paths)
    seeds = np.random.SeedSequence(1).spawn(-(-paths // TILE))

    def tile(index):
        part = losses[index * TILE : (index + 1) * TILE]
        w1_tile(work, seeds[index], len(part), part)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(tile, range(len(seeds))))
    return common.shortfall(losses, work.tail)


def w2(work, holdings, threads, group=64):
    result = np.empty((work.accounts, 2))

    def accounts(first):
        losses = -(holdings[first : first + group] @ work.pnl)
        for index, each in enumerate(losses):
            result[first + index] = common.shortfall(each, work.tail)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(accounts, range(0, work.accounts, group)))
    return result


if __name__ == "__main__":
    asked = common.arguments()
    if asked.workload == "w1":
        work = common.W1(asked.data)
        paths = asked.paths or work.paths
        common.measure("NumPy f64", lambda: w1(work, paths, asked.threads), asked.repeat, paths)
    else:
        work = common.W2(asked.data)
        holdings = csr_array((work.quantity, work.row, work.starts), shape=(work.accounts, len(work.pnl)))
        common.measure("NumPy/SciPy f32", lambda: w2(work, holdings, asked.threads), asked.repeat, work.paths)
