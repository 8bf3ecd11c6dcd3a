"""What all peers share: the workloads' files, timing, memory, and the line that each prints."""

import argparse
import json
import os
import resource
import statistics
import sys
import time
import traceback
from pathlib import Path

import numpy as np

def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=["w1", "w2", "night"])
    parser.add_argument("--data", type=Path, required=True, help="folder of `shortfall bench --export`")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--paths", type=int, help="fewer paths of w1; the result is scaled, and says so")
    parser.add_argument("--every", type=int, default=16, help="one of so many accounts of the night; scaled, and says so")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()

class W1:
    """Correlated Merton assets in equal steps, and a book of linear instruments and options.

    Rates are zero, so that the forward is the spot, and an option is worth
    `sign (S N(sign d1) - K N(sign d2))`.
    """

    def __init__(self, folder):
        work = json.loads((folder / "w1.json").read_text())
        self.paths = work["paths"]
        self.steps = work["steps"]
        self.tail = 1.0 - work["confidence"]
        dt = work["horizon_years"] / self.steps
        column = lambda name: np.array([asset[name] for asset in work["assets"]])
        self.assets = len(work["assets"])
        self.spot = column("spot")
        volatility = column("volatility_annual")
        intensity = column("jump_intensity_annual")
        self.jump_mean = column("jump_mean")
        self.jump_sd = column("jump_sd")
        # Expected jumps of one asset in one step; the martingale's compensator is in the drift.
        self.jumps = intensity * dt
        growth = np.expm1(self.jump_mean + 0.5 * self.jump_sd**2)
        self.drift = (-0.5 * volatility**2 - intensity * growth) * dt
        # Shocks of a step are `normals @ mixing`.
        correlation = np.array(work["correlation"])
        self.mixing = np.linalg.cholesky(correlation).T * (volatility * np.sqrt(dt))

        linear = [i for i in work["instruments"] if i["kind"] == "linear"]
        options = [i for i in work["instruments"] if i["kind"] == "option"]
        # Linear instruments of one asset are one position: nobody would revalue them one by one.
        self.linear = np.zeros(self.assets)
        for instrument in linear:
            self.linear[instrument["asset"]] += instrument["quantity"]
        of = lambda name, kind=float: np.array([option[name] for option in options], dtype=kind)
        self.asset = of("asset", int)
        self.sign = of("sign")
        self.strike = of("strike")
        self.quantity = of("quantity")
        self.volatility = of("volatility_annual")
        # Standard deviation of the log price over the life that remains at the horizon.
        self.sd = self.volatility * np.sqrt(of("years") - work["horizon_years"])
        self.base = black(self.sign, self.spot[self.asset], self.strike, self.volatility * np.sqrt(of("years")))

    def folded(self):
        """Numbers of each option with all that is the same on every path folded in, `[6][option]`: slope,
        up, down, forward, strike, base. Its profit where its asset's log-return is x is

            forward exp(x) (1 + erf(x slope + up)) - strike (1 + erf(x slope + down)) - base
        """
        root = self.sign * np.sqrt(0.5)
        moneyness = np.log(self.spot[self.asset] / self.strike) / self.sd
        half = 0.5 * self.quantity * self.sign
        return np.stack([root / self.sd, root * (moneyness + 0.5 * self.sd), root * (moneyness - 0.5 * self.sd),
                         half * self.spot[self.asset], half * self.strike, self.quantity * self.base])

    def jump_thresholds(self):
        """For each asset: as many jumps come over all steps as of these a uniform number exceeds. What lies
        beyond the last bit of a uniform number is left out."""
        mean = self.jumps * self.steps
        thresholds, term = [np.exp(-mean)], np.exp(-mean)
        while (1.0 - thresholds[-1]).max() > 2.0**-24:
            term = term * mean / len(thresholds)
            thresholds.append(thresholds[-1] + term)
        return np.stack(thresholds[:-1], axis=1)


def black(sign, forward, strike, sd):
    from scipy.special import ndtr

    d1 = np.log(forward / strike) / sd + 0.5 * sd
    return sign * (forward * ndtr(sign * d1) - strike * ndtr(sign * (d1 - sd)))

class Book:
    """Holdings of many accounts, smaller ones first, and the profit of one unit of every row on every path."""

    def __init__(self, starts, row, quantity, pnl, tail):
        self.starts, self.row, self.quantity = starts.astype(np.int64), row.astype(np.int32), quantity
        self.pnl, self.tail = pnl, tail
        self.accounts = len(starts) - 1
        self.paths = pnl.shape[1]


class W2(Book):
    """10,000 accounts of 20 positions each."""

    def __init__(self, folder):
        load = lambda name: np.load(folder / f"w2-{name}.npy")
        super().__init__(load("starts"), load("row"), load("quantity"), load("pnl"), 0.01)


class Night:
    """One of `every` accounts of a clearing house's night, in the order of their sizes, so that they
    hold their share of all positions; a `Book` for each level of confidence and horizon.

    Its profits are those of the night's first paths, and `paths` is how many the night has.
    """

    def __init__(self, folder, every):
        work = json.loads((folder / "night.json").read_text())
        self.paths = work["paths"]
        pnl = np.load(folder / "night-pnl.npy")
        self.accounts, self.books = None, []
        for level in work["levels"]:
            load = lambda name: np.load(folder / f"night-{name}-{level['horizon']}.npy")
            starts, row, quantity = load("starts").astype(np.int64), load("row"), load("quantity")
            sizes = np.diff(starts)
            if self.accounts is None:
                self.accounts = np.argsort(sizes, kind="stable")[every // 2 :: every]
                # How much more the whole night is, by accounts and by what they hold.
                self.scale = len(sizes) / len(self.accounts)
                self.scale_of_holdings = int(sizes.sum()) / int(sizes[self.accounts].sum())
            held = np.concatenate([np.arange(starts[a], starts[a + 1]) for a in self.accounts])
            # A horizon has rows of its own.
            rows, row = np.unique(row[held], return_inverse=True)
            starts = np.concatenate([[0], np.cumsum(sizes[self.accounts])])
            tail = 1.0 - level["confidence"]
            self.books.append(Book(starts, row, quantity[held], pnl[rows], tail))

def shortfall(losses, tail):
    """Expected Shortfall by selection, and its standard error. The tail's mass is a whole number."""
    count = round(len(losses) * tail)
    worst = np.partition(losses, len(losses) - count)[-count:].astype(np.float64)
    excess = worst - worst.min()
    variance = np.mean(excess**2) * tail - (np.mean(excess) * tail) ** 2
    return worst.mean(), np.sqrt(variance / len(losses)) / tail

def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

def measure(name, work, repeat, paths=None, settle=lambda: None, warm=1, scale=1.0, peak=peak_bytes, **more):
    """Runs `work()` `warm` times to compile and warm up, then times it, and prints a line of JSON.

    `settle()` waits for a device before each look at the clock. `scale` times the seconds are shown,
    where `work()` is a part of the whole. `result`, where it is not what `work()` returns.
    """
    start = time.perf_counter()
    for _ in range(warm):
        work()
    settle()
    first = time.perf_counter() - start
    runs = []
    for _ in range(repeat):
        settle()
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        settle()
        runs.append(((time.perf_counter() - wall) * scale, (time.process_time() - cpu) * scale))
    result = np.atleast_2d(np.asarray(more.pop("result", result), dtype=np.float64))
    walls = [wall for wall, _ in runs]
    print(json.dumps({
        "name": name,
        "paths": paths,
        "first_seconds": first,
        "wall_seconds": min(walls),
        "median_seconds": statistics.median(walls),
        "slowest_seconds": max(walls),
        "cpu_seconds": min(cpu for _, cpu in runs),
        "peak_memory_bytes": peak(),
        **more,
        "result": result.tolist(),
    }), flush=True)


def each(ways):
    """Measures every way of doing one thing. One that fails is told, and leaves the others."""
    failed = 0
    for name, way in ways:
        try:
            way(name)
        except Exception:
            failed += 1
            print(f"{name} failed: {traceback.format_exc()[-2000:]}", file=sys.stderr)
    return 1 if failed else 0
