"""JAX in f32: one jitted program over tiles of paths."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import common

TILE = 16384


def w1_program(work, paths):
    f = lambda array: jnp.asarray(array, dtype=jnp.float32)
    tiles = -(-paths // TILE)
    # Shapes are fixed: room for ten standard deviations more jumps than expected.
    expected = work.jumps * work.steps * TILE
    room = int(np.max(expected + 10.0 * np.sqrt(expected))) + 10
    options = tuple(f(a) for a in (
        work.sign, 1.0 / work.sd, np.log(work.spot[work.asset] / work.strike), 0.5 * work.sd, work.sd,
        work.quantity * work.sign * work.spot[work.asset], work.quantity * work.sign * work.strike,
        work.quantity * work.base))
    bounds = np.searchsorted(work.asset, np.arange(work.assets + 1))

    def tile(key_and_counts):
        key, counts = key_and_counts
        paths_key, where_key, size_key = jax.random.split(key, 3)

        def step(x, key):
            z = jax.random.normal(key, (work.assets, TILE), dtype=jnp.float32)
            return x + f(work.drift)[:, None] + f(work.mixing).T @ z, None

        x, _ = lax.scan(step, jnp.zeros((work.assets, TILE), jnp.float32), jax.random.split(paths_key, work.steps))
        where = jax.random.randint(where_key, (work.assets, room), 0, TILE)
        sizes = f(work.jump_mean)[:, None] + f(work.jump_sd)[:, None] * jax.random.normal(size_key, (work.assets, room))
        sizes = jnp.where(jnp.arange(room) < counts[:, None], sizes, 0.0)
        x = x.at[jnp.arange(work.assets)[:, None], where].add(sizes)
        profit = (f(work.linear * work.spot)[:, None] * jnp.expm1(x)).sum(0)
        for asset in range(work.assets):
            growth = jnp.exp(x[asset])

            def option(profit, terms, x=x[asset], growth=growth):
                sign, inverse_sd, moneyness, half_sd, sd, forward, strike, base = terms
                d1 = (x + moneyness) * inverse_sd + half_sd
                up = 0.5 * lax.erfc(-sign * d1 * np.float32(np.sqrt(0.5)))
                down = 0.5 * lax.erfc(-sign * (d1 - sd) * np.float32(np.sqrt(0.5)))
                return profit + (forward * growth * up - strike * down - base), None

            of = slice(bounds[asset], bounds[asset + 1])
            profit, _ = lax.scan(option, profit, tuple(a[of] for a in options))
        return -profit

    @jax.jit
    def program():
        # The fastest generator for the normals; Poisson numbers are made for the default one alone.
        keys = jax.random.split(jax.random.key(1, impl="unsafe_rbg"), tiles)
        counts = jax.random.poisson(jax.random.key(1), f(expected), (tiles, work.assets))
        return lax.map(tile, (keys, counts)).reshape(-1)[:paths]

    return lambda: common.shortfall(np.asarray(program()), work.tail)


def w2_program(work):
    positions = np.diff(work.starts)
    assert (positions == positions[0]).all()
    row = jnp.asarray(work.row.reshape(work.accounts, -1))
    quantity = jnp.asarray(work.quantity.reshape(work.accounts, -1))
    count = round(work.paths * work.tail)
    pnl = jnp.asarray(work.pnl)

    @jax.jit
    def program(pnl):
        def account(held):
            row, quantity = held
            losses = lax.fori_loop(
                0, row.shape[0], lambda i, sum: sum - quantity[i] * pnl[row[i]], jnp.zeros(work.paths, jnp.float32))
            return lax.top_k(losses, count)[0].mean()

        return lax.map(account, (row, quantity))

    def run():
        found = np.asarray(program(pnl), dtype=np.float64)
        return np.stack([found, np.zeros_like(found)], axis=1)

    return run


if __name__ == "__main__":
    asked = common.arguments()
    name = f"JAX f32, {jax.default_backend()}"
    if asked.workload == "w1":
        work = common.W1(asked.data)
        paths = asked.paths or work.paths
        common.measure(name, w1_program(work, paths), asked.repeat, paths)
    else:
        work = common.W2(asked.data)
        common.measure(name, w2_program(work), asked.repeat, work.paths)
