"""PyTorch in f32 on a card, compiled by `torch.compile` where that can help.

Nobody knows beforehand which way is the fastest on a card: each that may be has a line of its own.
Nothing waits for the card but the last line of a run. `--device cpu` is for trying the program.
"""

import math
import sys

import numpy as np
import torch

import common

# Paths that a piece of the profits has: a thousand rows of them fit the card's second cache.
PIECE = 8192
# Accounts with more positions than this are netted as a dense product: cheaper than reading so many rows.
FEW = 48
# Of the memory that is free, the part for losses that await their selection.
SHARE = 0.25


def simulated(work, paths, device, fused):
    """A program that draws factors of all paths: [asset][path].

    `fused`: the compiler's own generator, its numbers never in memory; else the library's generator,
    which is cheaper for a number, and the compiler's code reads them.
    """
    drift, mixing = work.drift.tolist(), work.mixing.tolist()
    means, sds = work.jump_mean.tolist(), work.jump_sd.tolist()
    assets, steps = range(work.assets), work.steps
    thresholds = work.jump_thresholds().tolist()

    def walk(normal, uniform):
        x = [0.0] * work.assets
        for step in range(steps):
            z = [normal(step, asset) for asset in assets]
            x = [x[to] + (drift[to] + sum(mixing[source][to] * z[source] for source in range(to + 1))) for to in assets]
        for asset in assets:
            # The sum of n normal jumps is normal. Nothing on the way asks when they came.
            u = uniform(asset)
            n = sum((u > threshold).float() for threshold in thresholds[asset])
            x[asset] = x[asset] + n * means[asset] + torch.sqrt(n) * sds[asset] * normal(steps, asset)
        return torch.stack(x)

    @torch.compile(dynamic=False)
    def by_compiler():
        draw = lambda *_: torch.randn(paths, device=device)
        return walk(draw, lambda _: torch.rand(paths, device=device))

    read = torch.compile(lambda z, u: walk(lambda step, asset: z[step, asset], lambda asset: u[asset]), dynamic=False)

    def by_library():
        z = torch.randn((steps + 1, work.assets, paths), device=device)
        return read(z, torch.rand((work.assets, paths), device=device))

    return by_compiler if fused else by_library


@torch.compile(dynamic=False)
def losses(x, linear, bounds, options):
    """Loss of the whole book on every path; `x` is [asset][path]. See `common.W1.folded`."""
    profit = (torch.expm1(x) * linear[:, None]).sum(0)
    for asset in range(x.shape[0]):
        of = options[:, bounds[asset] : bounds[asset + 1], None]
        slope, up, down, forward, strike, base = of.unbind(0)
        up, down = torch.erf(x[asset] * slope + up), torch.erf(x[asset] * slope + down)
        profit = profit + (forward * torch.exp(x[asset]) * (1.0 + up) - strike * (1.0 + down) - base).sum(0)
    return -profit


def w1(work, paths, device, fused):
    """Tiles as large as the memory for their normals allows: all paths, on any card of today."""
    f = lambda array: torch.tensor(array, dtype=torch.float32, device=device)
    linear, options = f(work.linear * work.spot), f(work.folded())
    # Options of one asset stand together.
    bounds = np.searchsorted(work.asset, np.arange(work.assets + 1)).tolist()
    room = free_bytes(device) * SHARE / (4 * work.assets * (work.steps + 4))
    tiles = math.ceil(paths / room)
    simulate = simulated(work, -(-paths // tiles), device, fused)
    count = round(paths * work.tail)

    def run():
        parts = [losses(simulate(), linear, bounds, options) for _ in range(tiles)]
        worst = torch.topk(torch.cat(parts)[:paths], count, sorted=False).values.double()
        excess = worst - worst.min()
        variance = (excess**2).mean() * work.tail - (excess.mean() * work.tail) ** 2
        return torch.stack([worst.mean(), torch.sqrt(variance / paths) / work.tail]).cpu().numpy()

    return run


class Tails:
    """Netting of a book and the Expected Shortfall of each of its accounts, in groups that fit the memory.

    The losses of a group are stored, and its tails selected from them; `pnl` has any number of paths.
    """

    def __init__(self, book, way, device):
        # Losses are positive.
        self.starts, self.row, self.quantity = book.starts, book.row, -book.quantity.astype(np.float32)
        self.shape, self.tail, self.device = (book.accounts, len(book.pnl)), book.tail, device
        self.way = way

    def prepare(self, paths):
        """Holdings of every group on the card; what a card's own program would find there."""
        accounts, rows = self.shape
        most = int(free_bytes(self.device) * SHARE / (4 * paths))
        size = max(1, min(accounts, most, 1024))
        bounds = list(range(0, accounts, size))
        if self.way == "gathered":
            few = int(np.searchsorted(np.diff(self.starts), FEW, side="right"))
            bounds = sorted({*bounds, few} - {accounts})
        self.groups = [self.group(first, last) for first, last in zip(bounds, bounds[1:] + [accounts])]
        self.losses = torch.empty((max(g.accounts for g in self.groups), paths), device=self.device)
        return self

    def group(self, first, last):
        starts = self.starts[first : last + 1] - self.starts[first]
        of = slice(self.starts[first], self.starts[last])
        row, quantity = self.row[of], self.quantity[of]
        widest = int(np.diff(starts).max())
        if self.way == "gathered" and widest <= FEW:
            return Gathered(starts, row, quantity, widest, self.device)
        if self.way.startswith("sparse"):
            piece = PIECE if self.way == "sparse, in pieces" else None
            return Sparse(starts, row, quantity, self.shape[1], piece, self.device)
        return Dense(starts, row, quantity, self.shape[1], self.device)

    def __call__(self, pnl):
        """Expected Shortfall of every account, on the card."""
        mass = pnl.shape[1] * self.tail
        count = math.ceil(mass - 1e-6)
        found = []
        for group in self.groups:
            losses = self.losses[: group.accounts]
            group.net(pnl, losses)
            worst = torch.topk(losses, count, dim=1, sorted=False).values
            # Of the least of them only that part counts which fills the tail.
            found.append((worst.sum(1, dtype=torch.float64) - (count - mass) * worst.amin(1).double()) / mass)
        return torch.cat(found)


class Dense:
    """A product of dense matrices, without TF32."""

    def __init__(self, starts, row, quantity, rows, device):
        self.accounts = len(starts) - 1
        dense = np.zeros((self.accounts, rows), dtype=np.float32)
        np.add.at(dense, (np.repeat(np.arange(self.accounts), np.diff(starts)), row), quantity)
        self.quantity = torch.from_numpy(dense).to(device)

    def net(self, pnl, losses):
        torch.mm(self.quantity, pnl, out=losses)


class Sparse:
    """A product with compressed sparse rows, of all paths at once or piece by piece."""

    def __init__(self, starts, row, quantity, rows, piece, device):
        self.accounts, self.piece = len(starts) - 1, piece
        self.holdings = torch.sparse_csr_tensor(
            torch.from_numpy(starts.astype(np.int32)), torch.from_numpy(row.astype(np.int32)),
            torch.from_numpy(quantity), size=(self.accounts, rows), device=device)

    def net(self, pnl, losses):
        paths = pnl.shape[1]
        for first in range(0, paths, self.piece or paths):
            of = slice(first, min(first + (self.piece or paths), paths))
            losses[:, of] = self.holdings @ pnl[:, of]


class Gathered:
    """Accounts of few positions as a table with a fixed number of them, netted by compiled code."""

    def __init__(self, starts, row, quantity, width, device):
        self.accounts = len(starts) - 1
        at = np.minimum(starts[:-1, None] + np.arange(width), max(len(row) - 1, 0))
        is_held = np.arange(width) < np.diff(starts)[:, None]
        self.row = torch.from_numpy(np.where(is_held, row[at], 0).astype(np.int64)).to(device)
        self.quantity = torch.from_numpy(np.where(is_held, quantity[at], 0.0).astype(np.float32)).to(device)

    def net(self, pnl, losses):
        for first in range(0, pnl.shape[1], PIECE):
            of = slice(first, first + PIECE)
            gather(self.row, self.quantity, pnl[:, of], losses[:, of])


@torch.compile(dynamic=True)
def gather(row, quantity, pnl, losses):
    losses.copy_((quantity[:, :, None] * pnl[row]).sum(1))


WAYS = {"dense": "dense", "gathered": "gathered, compiled", "sparse, in pieces": "CSR in pieces", "sparse": "CSR"}


def free_bytes(device):
    # A processor's memory is other programs' as well.
    if device != "cuda":
        return 1 << 30
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info()[0]


def repeated(pnl, paths):
    """The profits over again, up to so many paths."""
    times = -(-paths // pnl.shape[1])
    return pnl.repeat(1, times)[:, :paths].contiguous() if times > 1 else pnl[:, :paths].contiguous()


def main():
    asked = common.arguments()
    device = asked.device
    # Figures are in f32 proper.
    torch.set_float32_matmul_precision("highest")
    on_card = device == "cuda"
    if on_card:
        torch.cuda.init()
    forget = torch.cuda.reset_peak_memory_stats if on_card else lambda: None
    usual = dict(settle=torch.cuda.synchronize if on_card else lambda: None, warm=3 if on_card else 1,
                 peak=torch.cuda.max_memory_allocated if on_card else common.peak_bytes, memory="card" if on_card else "host")

    def one(fused):
        def way(name):
            forget()
            torch.manual_seed(1)
            common.measure(name, w1(work, paths, device, fused), asked.repeat, paths, **usual)
        return way

    def many(kind):
        def way(name):
            forget()
            tails = Tails(work, kind, device).prepare(work.paths)
            run = lambda: tails(pnl).cpu().numpy()
            found = run()
            common.measure(name, run, asked.repeat, work.paths, result=np.stack([found, 0.0 * found], axis=1), **usual)
        return way

    def all_night(kind):
        def way(name):
            forget()
            of = lambda count: [Tails(book, kind, device).prepare(count) for book in work.books]
            checked = np.stack([tails(pnl).cpu().numpy() for tails, pnl in zip(of(work.books[0].paths), pnls)], axis=1)
            timed = of(paths)
            run = lambda: [tails(pnl).cpu().numpy() for tails, pnl in zip(timed, long)]
            # One run to warm up: it lasts long enough for the clocks.
            common.measure(name, run, asked.repeat, paths, scale=work.scale, result=checked,
                           scaled_from_accounts=len(work.accounts), scale_of_holdings=work.scale_of_holdings,
                           accounts=work.accounts.tolist(), **{**usual, "warm": 1})
        return way

    name = f"PyTorch f32, {device}"
    with torch.no_grad():
        if asked.workload == "w1":
            work = common.W1(asked.data)
            paths = asked.paths or work.paths
            return common.each([(f"{name}, compiler's normals", one(True)), (f"{name}, library's normals", one(False))])
        if asked.workload == "w2":
            work = common.W2(asked.data)
            pnl = torch.from_numpy(work.pnl).to(device)
            return common.each([(f"{name}, {WAYS[kind]}", many(kind)) for kind in WAYS])
        work = common.Night(asked.data, asked.every)
        paths = asked.paths or work.paths
        pnls = [torch.from_numpy(book.pnl).to(device) for book in work.books]
        long = [repeated(pnl, paths) for pnl in pnls]
        return common.each([(f"{name}, {WAYS[kind]}", all_night(kind)) for kind in WAYS])


if __name__ == "__main__":
    sys.exit(main())
