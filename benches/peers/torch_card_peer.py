"""PyTorch in f32 on a card, compiled by `torch.compile` where that can help.

Nobody knows beforehand which way is the fastest on a card: each that may be has a line of its own.
Nothing waits for the card but the last line of a run. `--device cpu` is for trying the program.
"""

import math
import sys
import time
import warnings

import numpy as np
import torch

import common

# Paths that a piece of the profits has: a thousand rows of them fit the card's second cache.
PIECE = 8192
# Accounts with more positions than this are netted as a dense product: cheaper than reading so many rows.
FEW = 48
# Accounts of a group: fewer where the memory asks for it.
MOST = 1024
# Of the memory that is free, the part for losses that await their selection.
SHARE = 0.25

# Reductions: the compiler tries which shape of a kernel is the fastest. Others have one shape, or take long to compile.
TUNED = {"max_autotune_pointwise": True}


def simulated(work, paths, device, fused):
    """A program that draws factors of all paths, [asset] tensors of [path].

    `fused`: the compiler's own generator inside its kernels, its normals never in memory; else the library's,
    which takes less time for a number, and compiled code reads them.
    """
    drift, mixing = work.drift.tolist(), work.mixing.tolist()
    means, sds = work.jump_mean.tolist(), work.jump_sd.tolist()
    assets, thresholds = range(work.assets), work.jump_thresholds().tolist()
    # Of more steps in one kernel the compiler interleaves so many generators that they spill from the registers.
    stretch = max(steps for steps in range(1, 5) if work.steps % steps == 0)

    def walk(x, normals):
        """Steps of all assets; of each step its normals."""
        for z in normals:
            x = [x[to] + (drift[to] + sum(mixing[source][to] * z[source] for source in range(to + 1))) for to in assets]
        return x

    def jump(x, z, u):
        """The sum of n normal jumps is normal. Nothing on the way asks when they came."""
        n = [sum((u[asset] > threshold).float() for threshold in thresholds[asset]) for asset in assets]
        return [x[a] + n[a] * means[a] + torch.sqrt(n[a]) * sds[a] * z[a] for a in assets]

    def draw(generator):
        return [generator(paths, device=device) for _ in assets]

    @torch.compile(dynamic=False)
    def walk_stretch(x):
        return walk(x, [draw(torch.randn) for _ in range(stretch)])

    @torch.compile(dynamic=False)
    def jump_alone(x):
        return jump(x, draw(torch.randn), draw(torch.rand))

    def by_compiler():
        x = [torch.zeros(paths, device=device) for _ in assets]
        for _ in range(0, work.steps, stretch):
            x = walk_stretch(x)
        return jump_alone(x)

    @torch.compile(dynamic=False)
    def read(z, u):
        return jump(walk([0.0 for _ in assets], z[:-1].unbind(0)), z[-1], u)

    def by_library():
        z = torch.randn((work.steps + 1, work.assets, paths), device=device)
        return read(z, torch.rand((work.assets, paths), device=device))

    return by_compiler if fused else by_library


@torch.compile(dynamic=False, options=TUNED)
def losses(x, linear, bounds, options):
    """Loss of the whole book on every path. See `common.W1.folded`."""
    profit = 0.0
    for asset in range(len(x)):
        growth = torch.exp(x[asset])
        of = options[:, bounds[asset] : bounds[asset + 1], None]
        slope, up, down, forward, strike, base = of.unbind(0)
        up, down = torch.erf(x[asset] * slope + up), torch.erf(x[asset] * slope + down)
        value = (forward * growth * (1.0 + up) - strike * (1.0 + down) - base).sum(0)
        profit = profit + linear[asset] * torch.expm1(x[asset]) + value
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
        room = int(free_bytes(self.device) * SHARE / (4 * paths))
        size = max(1, min(accounts, room, MOST))
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
        if self.way == "sparse":
            return Sparse(starts, row, quantity, self.shape[1], self.device)
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
    """A product with compressed sparse rows."""

    def __init__(self, starts, row, quantity, rows, device):
        self.accounts = len(starts) - 1
        self.holdings = torch.sparse_csr_tensor(
            torch.from_numpy(starts.astype(np.int32)), torch.from_numpy(row.astype(np.int32)),
            torch.from_numpy(quantity), size=(self.accounts, rows), device=device)

    def net(self, pnl, losses):
        losses[:] = self.holdings @ pnl


class Gathered:
    """Accounts of few positions as a table with a fixed number of them, netted by compiled code."""

    kernel = None

    def __init__(self, starts, row, quantity, width, device):
        self.accounts = len(starts) - 1
        at = np.minimum(starts[:-1, None] + np.arange(width), max(len(row) - 1, 0))
        is_held = np.arange(width) < np.diff(starts)[:, None]
        self.row = torch.from_numpy(np.where(is_held, row[at], 0).astype(np.int32)).to(device)
        self.quantity = torch.from_numpy(np.where(is_held, quantity[at], 0.0).astype(np.float32)).to(device)

    def net(self, pnl, losses):
        for first in range(0, pnl.shape[1], PIECE):
            of = slice(first, first + PIECE)
            arguments = self.row, self.quantity, pnl[:, of], losses[:, of]
            if Gathered.kernel is None:
                Gathered.kernel = fastest_gather(arguments)
            Gathered.kernel(*arguments)


def gather(row, quantity, pnl, losses):
    losses.copy_((quantity[:, :, None] * pnl[row]).sum(1))


# Accounts and paths as one dimension of a kernel, or as two, whose holdings are read once for many paths.
FLAT = {**TUNED, "assert_indirect_indexing": False}
TILED = {**FLAT, "triton.prefer_nd_tiling": True, "triton.tile_reductions": True}


def fastest_gather(arguments):
    """The form of the kernel that takes less time on the card; on a processor they are the same."""
    best, least = None, math.inf
    for options in (TILED, FLAT) if arguments[0].is_cuda else (FLAT,):
        try:
            kernel = torch.compile(gather, dynamic=True, options=options)
            seconds = seconds_of(lambda: kernel(*arguments)) if arguments[0].is_cuda else 0.0
            if seconds < least:
                best, least = kernel, seconds
        except Exception as fault:
            print(f"a form of the kernel is left out: {fault}"[:1000], file=sys.stderr)
    return best


def seconds_of(work):
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


WAYS = {
    "dense": "dense",
    "gathered": "gathered, compiled",
    "sparse": "CSR",
}


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
    warnings.filterwarnings("ignore", message="Sparse")
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
            both = lambda books, pnls: torch.stack([tails(pnl) for tails, pnl in zip(books, pnls)], dim=1).cpu().numpy()
            checked = both(of(work.books[0].paths), pnls)
            timed = of(paths)
            run = lambda: both(timed, long)
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
