"""Runs the engine and its peers one after the other, holds their figures against each other, and shows both.

Exits with 1 where a peer's Expected Shortfall is not the engine's:
- w1: every program draws its own paths; the difference may be five standard errors of it.
- w2: all net the same profits; the difference may be rounding, 1e-4 of the figure.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "target" / "peers"
SIGMAS = 5.0
ROUNDING = 1e-4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shortfall", type=Path, required=True, help="the engine's binary")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--workload", choices=["w1", "w2"], action="append")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-install", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def engine(asked, workload, data):
    """What `shortfall bench` measures, in the form of the peers' lines."""
    names = {"w1": ["w1", "w1-exact"], "w2": ["w2"]}[workload]
    command = [asked.shortfall, "bench", "--json", "--repeat", str(asked.repeat)]
    for name in names:
        command += ["--workload", name]
    if asked.device == "cpu":
        command += ["--engine", "cpu", "--engine", "cpu-f64"]
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for m in report["measurements"]:
        figure = m["first_account"]
        exact = ", one exact step" if m["workload"] == "w1-exact" else ""
        yield {
            "workload": workload, "name": f"shortfall {m['engine']}{exact}", "paths": m["paths"],
            "wall_seconds": m["total_seconds"], "median_seconds": m["median_seconds"],
            "slowest_seconds": m["slowest_seconds"], "cpu_seconds": m["cpu_seconds"],
            "peak_memory_bytes": m["peak_memory_bytes"],
            "result": [[figure["expected_shortfall"], figure["standard_error"]]], "is_engine": True,
        }


def peers(asked, workload, data):
    common = BUILD / "venv/bin/python"
    numba = BUILD / "venv-numba/bin/python"
    if asked.device == "cuda":
        programs = [(common, "torch_peer.py"), (common, "cupy_peer.py")]
    else:
        programs = [(numba, "numba_peer.py"), (common, "torch_peer.py"), (common, "jax_peer.py"), (common, "numpy_peer.py")]
        if workload == "w1" and Path("/usr/include/ql/quantlib.hpp").exists():
            programs.append((common, "quantlib_peer.py"))
    # Libraries that were told to use less than the processor has are let go.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    for python, program in programs:
        print(f"{workload}: {program}", file=sys.stderr)
        command = [python, HERE / program, workload, "--data", data, "--repeat", str(asked.repeat)]
        command += ["--device", asked.device]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
        if done.returncode != 0:
            raise SystemExit(f"{program} failed on {workload}")
        for line in done.stdout.splitlines():
            yield {"workload": workload, "is_engine": False, **json.loads(line)}


def faults(workload, entries, data):
    """What does not agree with the engine's f32."""
    if workload == "w2":
        wanted = np.load(data / "w2-es.npy")
        for entry in (e for e in entries if not e["is_engine"]):
            distance = np.abs(np.array(entry["result"])[:, 0] / wanted - 1.0).max()
            entry["distance"] = f"{distance:.1e} relative"
            if not distance <= ROUNDING:
                yield f"w2: {entry['name']} differs by {distance:.1e} of an account's figure"
        return
    shortfall, error = entries[0]["result"][0]
    for entry in entries[1:]:
        other, other_error = entry["result"][0]
        sigmas = (other - shortfall) / math.hypot(error, other_error)
        entry["distance"] = f"{sigmas:+.1f} standard errors"
        if not abs(sigmas) <= SIGMAS:
            yield f"w1: {entry['name']} has {other:.1f} ± {other_error:.1f}, the engine {shortfall:.1f} ± {error:.1f}"


def table(entries):
    engine = entries[0]
    titles = ["", "wall (slowest)", "CPU", "memory", "wall / engine", "CPU / engine", "Expected Shortfall"]
    rows = [titles]
    for entry in entries:
        scaled = " (scaled)" if entry.get("scaled_from_paths") else ""
        cpu = entry["cpu_seconds"]
        rows.append([
            entry["name"] + scaled,
            f"{entry['wall_seconds']:.3f} ({entry['slowest_seconds']:.3f}) s",
            f"{cpu:.2f} s" if cpu is not None else "",
            f"{entry['peak_memory_bytes'] / 2**20:.0f} MiB",
            f"{entry['wall_seconds'] / engine['wall_seconds']:.2f}",
            f"{cpu / engine['cpu_seconds']:.2f}" if cpu is not None and engine["cpu_seconds"] else "",
            entry.get("distance", ""),
        ])
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows)


def main():
    asked = arguments()
    load = os.getloadavg()[0]
    found, wrong = [], []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        subprocess.run([asked.shortfall, "bench", "--export", data], check=True, stderr=subprocess.DEVNULL)
        for workload in asked.workload or ["w1", "w2"]:
            entries = [*engine(asked, workload, data), *peers(asked, workload, data)]
            wrong += faults(workload, entries, data)
            found += entries
            if not asked.json:
                print(f"{workload}, {asked.repeat} repetitions, load of the machine before {load:.1f}\n{table(entries)}\n")
    if asked.json:
        for entry in found:
            entry["result"] = entry["result"][:1]
        print(json.dumps({"load_before": load, "load_after": os.getloadavg()[0], "repeat": asked.repeat,
                          "cpus": len(os.sched_getaffinity(0)), "measurements": found}, indent=1))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
