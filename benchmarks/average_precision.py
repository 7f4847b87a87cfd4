"""Average precision of 60 classes: comptool's sort of labelled keys against scikit-learn's loop.

    python benchmarks/average_precision.py [--runs 9]

Tables of 6,550 x 60 (a validation set) and 44,000 x 60 (a test set), probabilities as `comptool
infer` writes them (float32) and as doubles; 8 % of the cells are present. Both sides run in turn,
scikit-learn on one core, comptool the larger table on all of them, and have to agree to 1e-12.
Prints one JSON object. Goal: 15 times faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from comptool.metrics.curve_areas import average_precisions

CLASSES = 60
ROWS = (6_550, 44_000)
GOAL = 15.0


def table(rows: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """Targets, and probabilities that lean towards them."""
    random = np.random.default_rng(0)
    targets = (random.random((rows, CLASSES)) < 0.08).astype(np.int8)
    logits = random.normal(-3, 1.5, (rows, CLASSES)) + 4 * targets
    return targets, 1 / (1 + np.exp(-logits))


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(rows: int, dtype: type[np.floating], runs: int) -> dict[str, object]:
    """Time both sides ``runs`` times in turn, after one run that warms up."""
    targets, doubles = table(rows)
    probabilities = doubles.astype(dtype)
    calls: dict[str, Callable[[], npt.NDArray[np.floating]]] = {
        "comptool": lambda: average_precisions(targets, probabilities),
        "scikit_learn": lambda: average_precision_score(targets, probabilities, average=None),
    }
    ours, theirs = (call() for call in calls.values())
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            times[name].append(seconds(call))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["scikit_learn"] / medians["comptool"]
    return {
        "rows": rows,
        "classes": CLASSES,
        "dtype": np.dtype(dtype).name,
        "median_milliseconds": {name: round(1e3 * value, 2) for name, value in medians.items()},
        "times_faster": round(ratio, 1),
        "largest_difference": float(np.abs(ours - theirs).max()),
        "goal": GOAL,
        "met": ratio >= GOAL,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    document = {
        "benchmark": "average_precision",
        "runs": options.runs,
        "tables": [
            measure(rows, dtype, options.runs)
            for rows in ROWS
            for dtype in (np.float32, np.float64)
        ],
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
