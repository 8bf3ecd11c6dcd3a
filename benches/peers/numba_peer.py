"""Numba in f32, parallel over tiles of paths, fast maths, vectorised by SVML where it is installed."""

import ctypes
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def load_svml():
    """Makes Intel's vector functions from the wheel known before LLVM looks for them."""
    import llvmlite.binding

    folder = Path(sys.prefix) / "lib"
    for name in ["libintlc.so.5", "libirc.so", "libimf.so", "libsvml.so"]:
        if (folder / name).exists():
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
            llvmlite.binding.load_library_permanently(str(folder / name))


load_svml()

import numba
import numpy as np
from numba import float32, njit, prange, uint32, uint64
from numba.core import config

import common

TILE = 1024
HALF_ROOT = np.float32(math.sqrt(0.5))


@njit(fastmath=True, inline="always")
def mix(counter):
    """SplitMix64's finaliser: a counter becomes 64 random bits, without a state to carry."""
    z = counter * uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@njit(fastmath=True, inline="always")
def uniform(bits):
    return (float32(bits) + float32(0.5)) * float32(2.0**-32)


@njit(parallel=True, fastmath=True)
def w1_losses(seed, paths, steps, drift, mixing, jumps, jump_mean, jump_sd, spot, linear,
              asset, sign, strike, sd, log_moneyness, quantity, base, by_counter, losses):
    assets = len(spot)
    for tile in prange((paths + TILE - 1) // TILE):
        x = np.zeros((assets, TILE), dtype=np.float32)
        z = np.empty((assets, TILE), dtype=np.float32)
        spots = np.empty(TILE, dtype=np.float32)
        loss = np.zeros(TILE, dtype=np.float32)
        start = uint64(seed) + uint64(tile) * uint64(TILE * 64 * 1024)
        for step in range(steps):
            if not by_counter:
                for source in range(assets):
                    for i in range(TILE):
                        z[source, i] = float32(np.random.standard_normal())
            for pair in range(assets // 2 if by_counter else 0):
                block = start + uint64((step * 8 + pair) * TILE)
                for i in range(TILE):
                    bits = mix(block + uint64(i))
                    radius = math.sqrt(float32(-2.0) * math.log(uniform(uint32(bits >> uint64(32)))))
                    angle = float32(2.0 * math.pi) * uniform(uint32(bits))
                    z[2 * pair, i] = radius * math.cos(angle)
                    z[2 * pair + 1, i] = radius * math.sin(angle)
            for to in range(assets):
                for i in range(TILE):
                    x[to, i] += drift[to]
                for source in range(to + 1):
                    weight = mixing[source, to]
                    for i in range(TILE):
                        x[to, i] += weight * z[source, i]
        # Nothing on the way asks when a jump came: a Poisson number of them over the tile's paths
        # and steps, each on a path of its own choice.
        for to in range(assets):
            for _ in range(np.random.poisson(jumps[to] * steps * TILE)):
                i = np.random.randint(0, TILE)
                x[to, i] += float32(np.random.normal(jump_mean[to], jump_sd[to]))
        for to in range(assets):
            for i in range(TILE):
                loss[i] -= linear[to] * spot[to] * math.expm1(x[to, i])
        for option in range(len(asset)):
            of = asset[option]
            s, k, d, m = sign[option], strike[option], sd[option], log_moneyness[option]
            q, b, inverse, s0 = quantity[option], base[option], float32(1.0) / sd[option], spot[of]
            if option == 0 or asset[option - 1] != of:
                for i in range(TILE):
                    spots[i] = s0 * math.exp(x[of, i])
            for i in range(TILE):
                d1 = (x[of, i] + m) * inverse + float32(0.5) * d
                up = float32(0.5) * math.erfc(-s * d1 * HALF_ROOT)
                down = float32(0.5) * math.erfc(-s * (d1 - d) * HALF_ROOT)
                loss[i] -= q * (s * (spots[i] * up - k * down) - b)
        for i in range(min(TILE, paths - tile * TILE)):
            losses[tile * TILE + i] = loss[i]


def w1(work, paths, by_counter):
    f = lambda array: array.astype(np.float32)
    losses = np.empty(paths, dtype=np.float32)
    w1_losses(1, paths, work.steps, f(work.drift), f(work.mixing), work.jumps, work.jump_mean, work.jump_sd,
              f(work.spot), f(work.linear), work.asset, f(work.sign), f(work.strike), f(work.sd),
              f(np.log(work.spot[work.asset] / work.strike)), f(work.quantity), f(work.base), by_counter, losses)
    return common.shortfall(losses, work.tail)


@njit(nogil=True, fastmath=True)
def net(starts, row, quantity, pnl, first, losses):
    """Losses of some accounts on all paths. A piece of them stays in the cache while holdings go by."""
    paths = pnl.shape[1]
    for account in range(len(losses)):
        for begin in range(0, paths, 4096):
            piece = losses[account, begin : begin + 4096]
            piece[:] = float32(0.0)
            for at in range(starts[first + account], starts[first + account + 1]):
                held, profits = quantity[at], pnl[row[at], begin : begin + 4096]
                for i in range(len(piece)):
                    piece[i] -= held * profits[i]


def w2(work, threads, group=8):
    """Numba nets; NumPy, whose selection is vectorised where Numba's is not, finds the tails."""
    result = np.empty((work.accounts, 2))

    def accounts(first):
        losses = np.empty((min(group, work.accounts - first), work.paths), dtype=np.float32)
        net(work.starts, work.row, work.quantity, work.pnl, first, losses)
        for index, each in enumerate(losses):
            result[first + index] = common.shortfall(each, work.tail)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(accounts, range(0, work.accounts, group)))
    return result


if __name__ == "__main__":
    asked = common.arguments()
    numba.set_num_threads(asked.threads)
    name = "Numba f32" + (", SVML" if config.USING_SVML else ", no SVML")
    if asked.workload == "w1":
        work = common.W1(asked.data)
        paths = asked.paths or work.paths
        # Numba's own normals as they come, and normals from a hand-written generator that vectorises.
        for by_counter, generator in [(False, "own normals"), (True, "hand-written normals")]:
            common.measure(f"{name}, {generator}", lambda: w1(work, paths, by_counter), asked.repeat, paths)
    else:
        work = common.W2(asked.data)
        common.measure(name, lambda: w2(work, asked.threads), asked.repeat, work.paths)
