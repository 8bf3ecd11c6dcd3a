"""QuantLib in C++ (quantlib_peer.cpp): builds it, hands it W1, and reads what it found."""

import json
import subprocess
import statistics
import sys
from pathlib import Path

import numpy as np

import common

# A hundredth of a second a path: a tenth of the paths, and the times are scaled to all.
PATHS = 100_000


def build():
    here = Path(__file__).resolve().parent
    program = here.parents[1] / "target" / "peers" / "quantlib_peer"
    program.parent.mkdir(parents=True, exist_ok=True)
    source = here / "quantlib_peer.cpp"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["g++", "-O3", "-march=native", "-std=c++17", "-pthread", str(source), "-o", str(program),
                        "-lQuantLib"], check=True)
    return program


def text(work, paths):
    lines = [f"{paths} {work.steps} {work.assets} {work.tail!r} {len(work.asset)}"]
    row = lambda numbers: " ".join(repr(float(x)) for x in np.ravel(numbers))
    lines += map(row, [work.spot, work.drift, work.jumps, work.jump_mean, work.jump_sd, work.linear, work.mixing])
    for at in range(len(work.asset)):
        lines.append(f"{work.asset[at]} " + row([work.sign[at], work.strike[at], work.sd[at], work.quantity[at], work.base[at]]))
    return "\n".join(lines)


if __name__ == "__main__":
    asked = common.arguments()
    if asked.workload != "w1":
        sys.exit("QuantLib has no netting to compare")
    program = build()
    work = common.W1(asked.data)
    paths = asked.paths or PATHS
    runs = []
    for _ in range(asked.repeat):
        done = subprocess.run(["/usr/bin/env", "time", "-f", "%M", str(program), str(asked.threads)],
                              input=text(work, paths), text=True, capture_output=True, check=True)
        shortfall, error, wall, cpu = map(float, done.stdout.split())
        runs.append((wall, cpu, int(done.stderr.split()[-1]) << 10))
    scale = work.paths / paths
    walls = [wall * scale for wall, _, _ in runs]
    print(json.dumps({
        "name": "QuantLib C++ f64", "paths": paths, "scaled_from_paths": paths, "first_seconds": None,
        "wall_seconds": min(walls), "median_seconds": statistics.median(walls), "slowest_seconds": max(walls),
        "cpu_seconds": min(cpu for _, cpu, _ in runs) * scale,
        "peak_memory_bytes": max(memory for _, _, memory in runs), "result": [[shortfall, error]],
    }))
