"""Prediction files: writing, reading and averaging their ranks, against pandas.

    python benchmarks/tables.py [--runs 3] [--rows 100000] [--members 7] [--member-rows 44000]

60 classes, float32 as `comptool infer` writes them. Writing and reading are calls in one process,
in turn, and what was written has to come back to the last bit; both also in memory (/dev/shm, where
there is one), because comptool waits until its files are on the disk and pandas does not. The mean
of ranks is from files to file, two whole processes in turn: ``comptool ensemble --method
rank-mean`` and a plain pandas script, which have to give the same numbers. Prints one JSON object.
Goals: CSV written 20 times as fast as by ``to_csv``, the mean of ranks 4 times as fast.
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
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from program import children_cpu_seconds

from comptool.io.predictions import SUFFIXES, Predictions, read_predictions, write_predictions

CLASSES = 60
MEMORY = Path("/dev/shm")
WRITE_GOAL, RANK_GOAL = 20.0, 4.0
PEER = """
import sys
import pandas as pd

frames = [pd.read_csv(path, dtype={"id": str}, index_col="id") for path in sys.argv[2:]]
mean = sum(frame.rank(pct=True).loc[frames[0].index] for frame in frames) / len(frames)
mean.to_csv(sys.argv[1])
"""


def predictions(rows: int, seed: int) -> Predictions:
    """Multi-label probabilities of ``rows`` images, as of one of several like models."""
    logits = np.random.default_rng(0).normal(-3, 1.5, (rows, CLASSES))
    logits += np.random.default_rng(1 + seed).normal(0, 0.7, (rows, CLASSES))
    return Predictions(
        np.array([f"{row:06d}" for row in range(rows)], dtype=object),
        tuple(f"class {index:02d}" for index in range(CLASSES)),
        (1 / (1 + np.exp(-logits))).astype(np.float32),
    )


def in_turn(calls: Mapping[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Wall times of each call; nothing that another has written still waits for the disk."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            os.sync()
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return times


def report(times: Mapping[str, list[float]], ours: str, peer: str) -> dict[str, object]:
    """Medians and all times, and the median ratio of two of them within a turn."""
    return {
        "median_seconds": {name: round(statistics.median(t), 3) for name, t in times.items()},
        "all_seconds": {name: [round(value, 3) for value in t] for name, t in times.items()},
        "times_faster": times_faster(times, ours, peer),
    }


def times_faster(times: Mapping[str, list[float]], ours: str, peer: str) -> float:
    """Median ratio of two calls within a turn."""
    ratios = [theirs / own for own, theirs in zip(times[ours], times[peer], strict=True)]
    return round(statistics.median(ratios), 1)


def written_and_read(folder: Path, rows: int, runs: int) -> dict[str, object]:
    """One table, written and read by comptool in each of its forms and by pandas and polars."""
    table = predictions(rows, 0)
    frame = pd.DataFrame(table.probabilities, columns=list(table.classes))
    frame.insert(0, "id", table.ids)
    paths = {suffix: folder / f"p{suffix}" for suffix in SUFFIXES}
    theirs = folder / "pandas.csv"
    writing: dict[str, Callable[[], object]] = {
        f"comptool {suffix}": partial(write_predictions, path, table, force=True)
        for suffix, path in paths.items()
    }
    writes = in_turn(writing | {"pandas .csv": lambda: frame.to_csv(theirs, index=False)}, runs)
    reading: dict[str, Callable[[], object]] = {
        f"comptool {suffix}": partial(read_predictions, path, task="multilabel")
        for suffix, path in paths.items()
    }
    reading["pandas .csv"] = lambda: pd.read_csv(paths[".csv"], dtype={"id": str})
    reading["polars .csv, types guessed"] = lambda: pl.read_csv(paths[".csv"])
    reads = in_turn(reading, runs)
    back = [read_predictions(path, sums_to_one=False) for path in paths.values()]
    exact = all(
        found.ids.tolist() == table.ids.tolist()
        and found.probabilities.astype(np.float32).tobytes() == table.probabilities.tobytes()
        for found in back
    )
    wrote = report(writes, "comptool .csv", "pandas .csv")
    met = times_faster(writes, "comptool .csv", "pandas .csv") >= WRITE_GOAL
    return {
        "rows": rows,
        "megabytes": {
            suffix: round(path.stat().st_size / 1e6, 1) for suffix, path in paths.items()
        },
        "exact": exact,
        "write": wrote | {"goal": WRITE_GOAL, "met": met},
        "read": report(reads, "comptool .csv", "pandas .csv"),
    }


def in_memory(rows: int, runs: int) -> dict[str, object] | None:
    """`written_and_read` without a disk, where Linux lends such a folder."""
    if not os.access(MEMORY, os.W_OK):
        return None
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        return written_and_read(Path(folder), rows, runs)


def ranked(folder: Path, rows: int, members: int, runs: int) -> dict[str, object]:
    """The mean of the ranks of several files."""
    paths = [folder / f"member{index}.csv" for index in range(members)]
    for index, path in enumerate(paths):
        write_predictions(path, predictions(rows, index))
    # Of several labels per image; nothing else is known of the competition.
    environment = os.environ | {"COMPTOOL_TASK": "multilabel"}
    own = [sys.executable, "-m", "comptool", "ensemble", *map(str, paths)]
    own += ["--method", "rank-mean", "-o", "ours.csv", "--force", "-q"]
    commands = {
        "comptool": own,
        "pandas": [sys.executable, "-c", PEER, "theirs.csv", *map(str, paths)],
    }
    computed: dict[str, list[float]] = {name: [] for name in commands}

    def run(name: str) -> None:
        before = children_cpu_seconds()
        subprocess.run(commands[name], cwd=folder, env=environment, check=True, capture_output=True)
        computed[name].append(children_cpu_seconds() - before)

    times = in_turn({name: partial(run, name) for name in commands}, runs)
    answers = [pl.read_csv(folder / name)[:, 1:].to_numpy() for name in ("ours.csv", "theirs.csv")]
    return {
        "members": members,
        "rows": rows,
        **report(times, "comptool", "pandas"),
        "median_cpu_seconds": {n: round(statistics.median(t), 3) for n, t in computed.items()},
        "largest_difference": float(np.abs(answers[0] - answers[1]).max()),
        "goal": RANK_GOAL,
        "met": times_faster(times, "comptool", "pandas") >= RANK_GOAL,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=7)
    parser.add_argument("--member-rows", type=int, default=44_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        document = {
            "benchmark": "tables",
            "classes": CLASSES,
            "runs": options.runs,
            "table": written_and_read(Path(folder), options.rows, options.runs),
            "table_in_memory": in_memory(options.rows, options.runs),
            "rank_mean": ranked(Path(folder), options.member_rows, options.members, options.runs),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
