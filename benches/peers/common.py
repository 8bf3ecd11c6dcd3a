"""What all peers share: the workloads' files, timing, memory, and the line that each prints."""

import argparse
import json
import os
import resource
import statistics
import time
from pathlib import Path

import numpy as np

def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=["w1", "w2"])
    parser.add_argument("--data", type=Path, required=True, help="folder of `shortfall bench --export`")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--paths", type=int, help="fewer paths of w1; the result is scaled, and says so")
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
        self.expected_shortfall = work["expected_shortfall"]
        self.standard_error = work["standard_error"]

def black(sign, forward, strike, sd):
    from scipy.special import ndtr

    d1 = np.log(forward / strike) / sd + 0.5 * sd
    return sign * (forward * ndtr(sign * d1) - strike * ndtr(sign * (d1 - sd)))

class W2:
    """Holdings of many accounts, and the profit of one unit of every instrument on every path."""

    def __init__(self, folder):
        self.pnl = np.load(folder / "w2-pnl.npy")
        self.starts = np.load(folder / "w2-starts.npy").astype(np.int64)
        self.row = np.load(folder / "w2-row.npy").astype(np.int32)
        self.quantity = np.load(folder / "w2-quantity.npy")
        self.expected_shortfall = np.load(folder / "w2-es.npy")
        self.accounts = len(self.starts) - 1
        self.paths = self.pnl.shape[1]
        self.tail = 0.01

def shortfall(losses, tail):
    """Expected Shortfall by selection, and its standard error. The tail's mass is a whole number."""
    count = round(len(losses) * tail)
    worst = np.partition(losses, len(losses) - count)[-count:].astype(np.float64)
    excess = worst - worst.min()
    variance = np.mean(excess**2) * tail - (np.mean(excess) * tail) ** 2
    return worst.mean(), np.sqrt(variance / len(losses)) / tail

def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

def measure(name, work, repeat, paths=None, **more):
    """Runs `work()` once to compile and warm up, then times it, and prints a line of JSON."""
    start = time.perf_counter()
    work()
    first = time.perf_counter() - start
    runs = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        runs.append((time.perf_counter() - wall, time.process_time() - cpu))
    result = np.atleast_2d(np.asarray(result, dtype=np.float64))
    walls = [wall for wall, _ in runs]
    print(json.dumps({
        "name": name,
        "paths": paths,
        "first_seconds": first,
        "wall_seconds": min(walls),
        "median_seconds": statistics.median(walls),
        "slowest_seconds": max(walls),
        "cpu_seconds": min(cpu for _, cpu in runs),
        "peak_memory_bytes": peak_bytes(),
        **more,
        "result": result.tolist(),
    }))
