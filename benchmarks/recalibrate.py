"""Time of ``comptool recalibrate`` from file to file, against a plain pandas script.

    python benchmarks/recalibrate.py [--rows 1000000] [--runs 5]

Both sides are whole processes, run in turn on the same CSV (10 classes, float32 as ``comptool
infer`` writes them); their answers are compared. Prints one JSON object. Goals for 1,000,000 rows:
2 seconds, and 2.5 times as fast as the script.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from program import children_cpu_seconds

CLASSES = 10
HEAD = 4
FRACTION = 0.1
LIMIT, RATIO = 2.0, 2.5
PEER = """
import sys
import pandas as pd

source, output, head, fraction = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
frame = pd.read_csv(source, dtype={"id": str})
classes = list(frame.columns[1:])
left = frame
for name in classes[:head]:
    order = left.sort_values(name, ascending=False, kind="stable").index
    taken = order[: int(fraction * len(frame))]
    frame.loc[taken, "pred"] = name
    left = left.drop(taken)
frame.loc[left.index, "pred"] = left[classes[head:]].idxmax(axis=1)
frame.to_csv(output, index=False)
"""


def write_predictions(path: Path, rows: int) -> None:
    """Long-tailed probabilities of ``rows`` images."""
    logits = np.random.default_rng(0).normal(scale=1.5, size=(rows, CLASSES))
    logits[:, :HEAD] += 1.5
    shares = np.exp(logits)
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    columns = {str(index): shares[:, index] for index in range(CLASSES)}
    pl.DataFrame({"id": [f"{row:07d}" for row in range(rows)], **columns}).write_csv(path)


def seconds(command: list[str]) -> tuple[float, float]:
    """Wall and CPU time of a process that has to end well."""
    start, before = time.perf_counter(), children_cpu_seconds()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start, children_cpu_seconds() - before


def measure(folder: Path, rows: int, runs: int) -> dict[str, object]:
    """Time both sides ``runs`` times in turn."""
    source, ours, peers = (folder / name for name in ("preds.csv", "ours.csv", "peers.csv"))
    write_predictions(source, rows)
    head = ",".join(str(index) for index in range(HEAD))
    comptool = [sys.executable, "-m", "comptool", "recalibrate", str(source), "-o", str(ours)]
    comptool += ["--head-classes", head, "--fraction", str(FRACTION), "--force", "-q"]
    pandas = [sys.executable, "-c", PEER, str(source), str(peers), str(HEAD), str(FRACTION)]
    times: dict[str, list[float]] = {"comptool": [], "pandas": []}
    computed: dict[str, list[float]] = {"comptool": [], "pandas": []}
    for _ in range(runs):
        for name, command in (("comptool", comptool), ("pandas", pandas)):
            wall, cpu = seconds(command)
            times[name].append(wall)
            computed[name].append(cpu)
    answers = [pl.read_csv(path, columns=["pred"])["pred"] for path in (ours, peers)]
    medians = {name: round(statistics.median(values), 3) for name, values in times.items()}
    ratio = statistics.median(theirs / ours for ours, theirs in zip(*times.values(), strict=True))
    return {
        "benchmark": "recalibrate",
        "rows": rows,
        "classes": CLASSES,
        "megabytes": round(source.stat().st_size / 1e6, 1),
        "runs": runs,
        "median_seconds": medians,
        "median_cpu_seconds": {
            name: round(statistics.median(values), 3) for name, values in computed.items()
        },
        "all_seconds": {name: [round(v, 3) for v in values] for name, values in times.items()},
        "times_faster": round(ratio, 2),
        "same_answers": bool((answers[0] == answers[1]).all()),
        "limit_seconds": LIMIT,
        "ratio_wanted": RATIO,
        "met": medians["comptool"] < LIMIT and ratio >= RATIO,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options.rows, options.runs), indent=2))


if __name__ == "__main__":
    main()
