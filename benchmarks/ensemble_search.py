"""Searching ensemble weights: comptool's greedy selection against a loop around scikit-learn.

    python benchmarks/ensemble_search.py [--members 20] [--steps 50] [--naive-steps 1] [--runs 3]

A validation set of 6,550 rows and 60 classes, float32 as `comptool infer` writes it, 8 % of the
cells present; mean average precision. The naive loop scores the mean of every candidate ensemble
with scikit-learn. Its steps all take the same time, so a few are timed (``--naive-steps``)
and the time of all of them is worked out; the weights of both after those steps have to agree.
Prints one JSON object. Goal: under 5 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import tracemalloc

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.metrics import average_precision_score

from comptool.metrics import find
from comptool.postprocess.ensemble.search import search

ROWS, CLASSES = 6_550, 60
GOAL_SECONDS = 5.0

Floats = npt.NDArray[np.float32]


def library(members: int) -> tuple[npt.NDArray[np.int8], list[Floats]]:
    """Targets and members of different skill that share part of their errors."""
    random = np.random.default_rng(0)
    targets = (random.random((ROWS, CLASSES)) < 0.08).astype(np.int8)
    shared = random.normal(-3, 1, targets.shape)
    found = []
    for skill in random.uniform(2, 4, members):
        logits = shared + random.normal(0, 1.5, targets.shape) + skill * targets
        found.append((1 / (1 + np.exp(-logits))).astype(np.float32))
    return targets, found


def naive(targets: npt.NDArray[np.int8], members: list[Floats], steps: int) -> tuple[Floats, int]:
    """Sorted initialisation and forward selection, scored anew each time; weights, scorings."""
    scorings = 0

    def score(bag: list[int]) -> float:
        nonlocal scorings
        scorings += 1
        mean = np.mean([members[member] for member in bag], axis=0)
        return float(average_precision_score(targets, mean))

    order = sorted(range(len(members)), key=lambda member: -score([member]))
    starts = [order[: number + 1] for number in range(len(order))]
    values = [score(start) for start in starts]
    bag, best = starts[int(np.argmax(values))], max(values)
    chosen = bag
    for _ in range(steps):
        values = [score([*bag, member]) for member in order]
        bag = [*bag, order[int(np.argmax(values))]]
        if max(values) > best:
            best, chosen = max(values), bag
    return np.bincount(chosen, minlength=len(members)) / len(chosen), scorings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--naive-steps", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    targets, members = library(options.members)
    seconds, computing = [], []
    for _ in range(options.runs):
        start, used = time.perf_counter(), time.process_time()
        search(members, targets, find("map", "multilabel"), steps=options.steps)
        seconds.append(time.perf_counter() - start)
        computing.append(time.process_time() - used)
    tracemalloc.start()
    ours = search(members, targets, find("map", "multilabel"), steps=options.naive_steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    start = time.perf_counter()
    theirs, scorings = naive(targets, members, options.naive_steps)
    each = (time.perf_counter() - start) / scorings
    median = statistics.median(seconds)
    whole = each * options.members * (options.steps + 2)
    document = {
        "benchmark": "ensemble_search",
        "rows": ROWS,
        "classes": CLASSES,
        "members": options.members,
        "steps": options.steps,
        "runs": options.runs,
        "median_seconds": round(median, 2),
        "median_cpu_seconds": round(statistics.median(computing), 2),
        "naive_seconds_worked_out": round(whole, 1),
        "naive_scorings_timed": scorings,
        "times_faster": round(whole / median, 1),
        "weights_agree": bool(np.allclose(ours, theirs)),
        "peak_memory_over_members": round(peak / sum(member.nbytes for member in members), 2),
        "goal_seconds": GOAL_SECONDS,
        "met": median < GOAL_SECONDS,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit_learn": sklearn.__version__,
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
