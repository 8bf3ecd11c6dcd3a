"""PyTorch in f32 on the CPU, compiled by `torch.compile`, one thread a core over tiles. On a card: torch_card_peer.py."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

import common

TILE = 16384


class Terms:
    """The workload's numbers as tensors."""

    def __init__(self, work):
        f = lambda array: torch.tensor(np.asarray(array), dtype=torch.float32)
        self.steps, self.assets = work.steps, work.assets
        self.drift, self.mixing = f(work.drift * work.steps), f(work.mixing)
        self.spot, self.linear = f(work.spot), f(work.linear * work.spot)
        self.inverse_sd = f(1.0 / work.sd)
        self.half_sd, self.sd = f(0.5 * work.sd), f(work.sd)
        self.moneyness = f(np.log(work.spot[work.asset] / work.strike))
        # Options of one asset stand together.
        self.bounds = np.searchsorted(work.asset, np.arange(work.assets + 1)).tolist()
        self.sign = f(work.sign)
        self.forward = f(work.quantity * work.sign * work.spot[work.asset])
        self.strike = f(work.quantity * work.sign * work.strike)
        self.base = f(work.quantity * work.base)
        self.jumps = torch.tensor(work.jumps * work.steps)
        self.jump_mean, self.jump_sd = work.jump_mean, work.jump_sd


def log_returns(normals, mixing, drift):
    """Sum over steps of correlated shocks; `normals` is [step][asset][path]."""
    x = drift[:, None].expand(-1, normals.shape[2])
    for step in range(normals.shape[0]):
        z = normals[step]
        rows = [sum(mixing[source, to] * z[source] for source in range(to + 1)) for to in range(z.shape[0])]
        x = x + torch.stack(rows)
    return x


def losses(x, linear, bounds, inverse_sd, half_sd, sd, moneyness, sign, forward, strike, base):
    """Loss of the whole book on every path; `x` is [asset][path]."""
    profit = (torch.expm1(x) * linear[:, None]).sum(0)
    for asset in range(x.shape[0]):
        of = slice(bounds[asset], bounds[asset + 1])
        growth = torch.exp(x[asset])
        d1 = (x[asset] + moneyness[of, None]) * inverse_sd[of, None] + half_sd[of, None]
        up = torch.special.ndtr(sign[of, None] * d1)
        down = torch.special.ndtr(sign[of, None] * (d1 - sd[of, None]))
        value = forward[of, None] * growth * up - strike[of, None] * down - base[of, None]
        profit = profit + value.sum(0)
    return -profit


returns_compiled = torch.compile(log_returns, dynamic=False)
losses_compiled = torch.compile(losses, dynamic=False)


def tile(terms, generator, paths):
    normals = torch.randn((terms.steps, terms.assets, paths), generator=generator)
    x = returns_compiled(normals, terms.mixing, terms.drift)
    # All jumps of an asset at once: a Poisson number over all paths, each on a path of its own choice.
    counts = torch.poisson(terms.jumps * paths, generator=generator).long().tolist()
    for asset, count in enumerate(counts):
        where = torch.randint(0, paths, (count,), generator=generator)
        size = torch.randn(count, generator=generator)
        x[asset].index_add_(0, where, terms.jump_mean[asset] + terms.jump_sd[asset] * size)
    return losses_compiled(x, terms.linear, terms.bounds, terms.inverse_sd, terms.half_sd, terms.sd,
                           terms.moneyness, terms.sign, terms.forward, terms.strike, terms.base)


def w1(terms, work, paths, threads):
    tiles = -(-paths // TILE)
    all_losses = torch.empty(tiles * TILE)

    def run(index):
        generator = torch.Generator().manual_seed(index)
        all_losses[index * TILE : (index + 1) * TILE] = tile(terms, generator, TILE)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(tiles)))
    return common.shortfall(all_losses[:paths].numpy(), work.tail)


def w2(work, threads):
    holdings = torch.sparse_csr_tensor(
        torch.tensor(work.starts), torch.tensor(work.row, dtype=torch.int64), torch.tensor(work.quantity),
        size=(work.accounts, len(work.pnl)))
    pnl = torch.tensor(work.pnl)
    group, count = (64, round(work.paths * work.tail))
    parts = []
    for first in range(0, work.accounts, group):
        last = min(first + group, work.accounts)
        bounds = holdings.crow_indices()[[first, last]]
        of = slice(int(bounds[0]), int(bounds[1]))
        parts.append(torch.sparse_csr_tensor(
            holdings.crow_indices()[first : last + 1] - bounds[0], holdings.col_indices()[of],
            holdings.values()[of], size=(last - first, len(work.pnl))))

    def run(part):
        losses = -(part @ pnl)
        return torch.topk(losses, count, dim=1, sorted=False).values.double().mean(1)

    def all_accounts():
        with ThreadPoolExecutor(threads) as pool:
            found = torch.cat(list(pool.map(run, parts)))
        return torch.stack([found, torch.zeros_like(found)], dim=1).numpy()

    return all_accounts


if __name__ == "__main__":
    asked = common.arguments()
    # Threads over tiles, not inside an operation.
    torch.set_num_threads(1)
    name = "PyTorch f32, cpu"
    if asked.workload == "w1":
        work = common.W1(asked.data)
        terms = Terms(work)
        paths = asked.paths or work.paths
        with torch.no_grad():
            common.measure(name, lambda: w1(terms, work, paths, asked.threads), asked.repeat, paths)
    else:
        work = common.W2(asked.data)
        with torch.no_grad():
            common.measure(name, w2(work, asked.threads), asked.repeat, work.paths)
