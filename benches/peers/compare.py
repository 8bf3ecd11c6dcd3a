"""Runs the engine and its peers one after the other, holds their figures against each other, and shows both.

Exits with 1 where a program failed, or a peer's Expected Shortfall is not the engine's:
- w1: every program draws its own paths; the difference may be five standard errors of it.
- w2, night: all net the same profits; the difference may be rounding, 1e-4 of the figure.

Everything is measured `--repeat` times after a run to warm up, but for the night on the CPU: once. Of the night the
peers do one of 16 accounts, a share of all positions, and their times are shown scaled. On an accelerator the engines
are its GPUs and the CPU in f32: the references of the night would take minutes.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "target" / "peers"
SIGMAS = 5.0
ROUNDING = 1e-4
# Seconds after which a program is given up.
PATIENCE = 600
# The same of a peer on a card: work of seconds, and minutes of a compiler at most.
PATIENCE_ON_CARD = 150


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shortfall", type=Path, required=True, help="the engine's binary")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--workload", choices=["w1", "w2", "night"], action="append",
                        help="may be repeated; the night with --device cuda alone [default: w1 and w2]")
    parser.add_argument("--python", help="runs the peers, all of whose libraries it must have "
                        "[default: the environments of run.sh]")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-install", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def progress(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def gpus(shortfall):
    """Engines of this machine's hardware adapters, as `--engine` takes them."""
    found = json.loads(subprocess.run([shortfall, "devices", "--json"], capture_output=True, check=True).stdout)
    return [f"gpu:{a['pci_bus_id'] or a['name']}" for a in found["adapters"] if a["kind"] == "hardware"]


def output(command, patience, **more):
    """What a program prints, and whether it failed or was given up; its complaints are shown as they come."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=patience, **more)
        return done.stdout, done.returncode != 0
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(), True


def engine(asked, workload, wrong):
    """What `shortfall bench` measures, in the form of the peers' lines."""
    names = {"w1": ["w1", "w1-exact"], "w2": ["w2"], "night": ["night"]}[workload]
    engines = ["cpu", "cpu-f64"]
    if asked.device == "cuda":
        cards = gpus(asked.shortfall)
        if not cards:
            wrong.append(f"{workload}: the engine sees no GPU")
        engines = [*cards, "cpu"]
    for name in names:
        for contender in engines:
            repeat = 1 if (name, contender) == ("night", "cpu") else asked.repeat
            progress(f"{name}: shortfall {contender}")
            command = [asked.shortfall, "bench", "--json", "--workload", name, "--engine", contender]
            text, failed = output([*command, "--repeat", str(repeat)], PATIENCE)
            measured = json.loads(text)["measurements"] if text and not failed else []
            if not measured:
                wrong.append(f"shortfall {contender} failed on {name}")
            for m in measured:
                figure = m["first_account"]
                exact = ", one exact step" if name == "w1-exact" else ""
                yield {
                    "workload": workload, "name": f"shortfall {m['engine']}{exact}", "paths": m["paths"],
                    "device": m["device"], "repeat": repeat, "stages": m["stages"], "pilot_seconds": m["pilot_seconds"],
                    "wall_seconds": m["total_seconds"], "median_seconds": m["median_seconds"],
                    "slowest_seconds": m["slowest_seconds"], "cpu_seconds": m["cpu_seconds"],
                    "peak_memory_bytes": m["peak_memory_bytes"],
                    "result": [[figure["expected_shortfall"], figure["standard_error"]]], "is_engine": True,
                }


def peers(asked, workload, data, wrong):
    common = asked.python or BUILD / "venv/bin/python"
    numba = asked.python or BUILD / "venv-numba/bin/python"
    if asked.device == "cuda":
        programs = [(common, "torch_card_peer.py"), (common, "cupy_peer.py")]
    else:
        programs = [(numba, "numba_peer.py"), (common, "torch_peer.py"), (common, "jax_peer.py"), (common, "numpy_peer.py")]
        if workload == "w1" and Path("/usr/include/ql/quantlib.hpp").exists():
            programs.append((common, "quantlib_peer.py"))
    # Libraries that were told to use less than the processor has are let go.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    for python, program in programs:
        progress(f"{workload}: {program}")
        command = [python, HERE / program, workload, "--data", data, "--repeat", str(asked.repeat)]
        command += ["--device", asked.device]
        text, failed = output(command, PATIENCE_ON_CARD if asked.device == "cuda" else PATIENCE, env=environment)
        # One that fails keeps what it measured before, and leaves the others.
        if failed:
            wrong.append(f"{program} failed on {workload}")
        for line in text.splitlines():
            try:
                measured = json.loads(line)
            except ValueError:
                # What a library prints, or half a line of a program that was given up.
                print(line, file=sys.stderr)
                continue
            yield {"workload": workload, "is_engine": False, "repeat": asked.repeat, **measured}


def faults(workload, entries, data):
    """What does not agree with the engine's f32."""
    others = [entry for entry in entries if not entry["is_engine"]]
    if workload != "w1":
        wanted = np.load(data / f"{workload}-es.npy")
        for entry in others:
            found, of = np.array(entry["result"]), entry.pop("accounts", slice(None))
            # Standard errors of w2 have nothing to be held against, and a missed bracket is no figure.
            found = found[:, 0] if workload == "w2" else found
            is_known = ~np.isnan(wanted[of])
            distance = np.abs(found / wanted[of] - 1.0)[is_known].max()
            entry["distance"] = f"{distance:.1e} relative"
            entry["compared_figures"] = int(is_known.sum())
            if not distance <= ROUNDING:
                yield f"{workload}: {entry['name']} differs by {distance:.1e} of an account's figure"
        return
    if not entries or not entries[0]["is_engine"]:
        return
    shortfall, error = entries[0]["result"][0]
    for entry in entries[1:]:
        other, other_error = entry["result"][0]
        sigmas = (other - shortfall) / math.hypot(error, other_error)
        entry["distance"] = f"{sigmas:+.1f} standard errors"
        if not abs(sigmas) <= SIGMAS:
            yield f"w1: {entry['name']} has {other:.1f} ± {other_error:.1f}, the engine {shortfall:.1f} ± {error:.1f}"


def seconds(seconds):
    return f"{seconds:.3f} s" if seconds >= 0.1 else f"{seconds * 1e3:.2f} ms"


def memory(entry):
    if entry["peak_memory_bytes"] is None:
        return ""
    return f"{entry['peak_memory_bytes'] / 2**20:.0f} MiB" + (" (card)" if entry.get("memory") == "card" else "")


def table(entries):
    engine = entries[0]
    titles = ["", "wall (slowest)", "CPU", "memory", "wall / engine", "CPU / engine", "Expected Shortfall"]
    rows = [titles]
    for entry in entries:
        is_scaled = entry.get("scaled_from_paths") or entry.get("scaled_from_accounts")
        scaled = " (scaled)" if is_scaled else ""
        cpu = entry["cpu_seconds"]
        rows.append([
            entry["name"] + scaled,
            f"{seconds(entry['wall_seconds'])} ({seconds(entry['slowest_seconds'])})",
            f"{cpu:.2f} s" if cpu is not None else "",
            memory(entry),
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
    asked.shortfall = asked.shortfall.resolve()
    workloads = asked.workload or ["w1", "w2"]
    if "night" in workloads and asked.device != "cuda":
        raise SystemExit("the night has peers on a card alone: --device cuda")
    load = os.getloadavg()[0]
    found, wrong = [], []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for workload in workloads:
            progress(f"{workload}: files for the peers")
            if output([asked.shortfall, "bench", "--export", data, "--workload", workload], PATIENCE)[1]:
                wrong.append(f"{workload}: the files for the peers could not be written")
                continue
            entries = []
            for entry in chain(engine(asked, workload, wrong), peers(asked, workload, data, wrong)):
                entries.append(entry)
                progress(f"  {entry['name']}: {seconds(entry['wall_seconds'])}")
            wrong += faults(workload, entries, data)
            found += entries
            if entries and not asked.json:
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
