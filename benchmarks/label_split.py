"""Splits of the 60-label AICOSS table: by lot, by iterative stratification, searched, refined.

    COMPTOOL_REAL_DATA=DIR python benchmarks/label_split.py [--seeds 100] [--runs 3]

Reads ``labels/mlrsnet_corrected.csv.gz`` there; without it, tables of the same shape are drawn. A
tenth is held out of the whole table (109,161 x 60) and of a drawn 65,496 rows, the size of the
challenge. The criterion is the standard deviation over classes of the difference of class shares,
in percentage points; the smaller the better. The seed search is timed against the loop over
scikit-learn that it replaces, in turn, and has to find the same numbers; so is ``comptool split``,
from file to file, against a script of pandas and that loop, which has to find the same split.
Prints one JSON object. Goals for 65,496 rows: the search 20 times as fast, file to file 5 times.
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
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from sklearn.model_selection import train_test_split

from comptool.splits.multilabel_folds import hold_out, refine, search, split_labels

SHARE = 0.1
ROWS, CLASSES, DRAWN = 109_161, 60, 65_496
CORE_GOAL, FILES_GOAL = 20.0, 5.0
TABLE = "labels/mlrsnet_corrected.csv.gz"
TOML = """task = "multilabel"
metric = "map"
[data]
train = "train.csv"
id = "id"
label = {classes}
[modalities]
rgb = "path"
"""
PEER = """
import sys
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

frame = pd.read_csv("train.csv", dtype={"id": str})
labels = frame[frame.columns[2:]]
best, chosen = np.inf, None
for seed in range(int(sys.argv[1])):
    train, val = train_test_split(labels, test_size=float(sys.argv[2]), random_state=seed)
    criterion = np.std(100 * (train.mean() - val.mean()))
    if criterion < best:
        best, chosen = criterion, val.index
frame["fold"] = -1
frame.loc[chosen, "fold"] = 0
frame.to_csv("theirs.csv", index=False)
"""
Labels = npt.NDArray[np.int8]


def real_labels() -> Labels | None:
    """The label table under COMPTOOL_REAL_DATA, if there is one."""
    path = Path(os.environ.get("COMPTOOL_REAL_DATA", "")) / TABLE
    if not path.is_file():
        return None
    return pl.read_csv(path)[:, 2:].to_numpy().astype(np.int8)


def generated_labels() -> Labels:
    """Scenes of 46 kinds, each with labels that it mostly has and labels that it rarely has."""
    random = np.random.default_rng(0)
    kinds = random.random((46, CLASSES)) ** (2 + 10 * random.random(CLASSES))
    kind = random.integers(46, size=ROWS)
    return (random.random((ROWS, CLASSES)) < kinds[kind]).astype(np.int8)


def loop_over_scikit_learn(frame: pd.DataFrame, seeds: range) -> list[float]:
    """The published rule: a random split per seed, means of both sides, their spread."""
    criteria = []
    for seed in seeds:
        train, val = train_test_split(frame, test_size=SHARE, random_state=seed, shuffle=True)
        criteria.append(float(np.std(100 * (train.mean() - val.mean()))))
    return criteria


def timed(call: Callable[[], object], times: list[float]) -> object:
    """Result of ``call``; its wall time is added to ``times``."""
    start = time.perf_counter()
    result = call()
    times.append(time.perf_counter() - start)
    return result


def measure(labels: Labels, seeds: range, runs: int) -> dict[str, object]:
    """Criteria of every way to split, and times of ``runs`` runs in turn."""
    frame = pd.DataFrame(labels.astype(np.int64))
    first = search(labels, SHARE, seeds, "random")
    searched = search(labels, SHARE, seeds)
    refined = split_labels(labels, SHARE, seeds=seeds).refined
    from_random = refine(labels, first.fold)
    assert refined is not None
    calls: dict[str, Callable[[], object]] = {
        "scikit_learn_loop": lambda: loop_over_scikit_learn(frame, seeds),
        "random_search": lambda: search(labels, SHARE, seeds, "random"),
        "draws_alone": lambda: [np.random.RandomState(s).permutation(len(labels)) for s in seeds],
        "iterative_once": lambda: hold_out(labels, SHARE),
        "iterative_search": lambda: search(labels, SHARE, seeds),
        "refine_best_random": lambda: refine(labels, first.fold),
        "refine_searched": lambda: refine(labels, searched.fold),
        "search_and_refine": lambda: split_labels(labels, SHARE, seeds=seeds),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    theirs: list[float] = []
    for _ in range(runs):
        for name, call in calls.items():
            result = timed(call, times[name])
            if name == "scikit_learn_loop" and isinstance(result, list):
                theirs = result
    medians = {name: statistics.median(values) for name, values in times.items()}
    loop, ours = times["scikit_learn_loop"], times["random_search"]
    ratio = statistics.median(theirs / own for own, theirs in zip(ours, loop, strict=True))
    return {
        "rows": len(labels),
        "classes": labels.shape[1],
        "criterion": {
            "random_best": rounded(first.scores.min()),
            "random_worst": rounded(first.scores.max()),
            "random_best_seed": first.best,
            "random_best_refined": rounded(from_random.after),
            "iterative_median": rounded(np.median(searched.scores)),
            "iterative_best": rounded(searched.scores.min()),
            "iterative_worst": rounded(searched.scores.max()),
            "iterative_best_seed": searched.best,
            "iterative_best_refined": rounded(refined.after),
        },
        "better_than_best_random": rounded(first.scores.min() / refined.after),
        "same_as_scikit_learn": bool(np.allclose(first.scores, theirs, rtol=0, atol=1e-9)),
        "median_seconds": {name: rounded(value) for name, value in medians.items()},
        "all_seconds": {name: [rounded(v) for v in values] for name, values in times.items()},
        "times_faster_than_scikit_learn_loop": rounded(ratio),
        "goal": CORE_GOAL,
        "met": ratio >= CORE_GOAL,
    }


def from_file_to_file(labels: Labels, num_seeds: int, runs: int) -> dict[str, object]:
    """The published search as two whole processes: a command, and a script of pandas."""
    with tempfile.TemporaryDirectory() as folder:
        classes = [f"class {index:02d}" for index in range(labels.shape[1])]
        ids = [f"{row:06d}" for row in range(len(labels))]
        table = pl.DataFrame({"id": ids, "path": [f"{name}.jpg" for name in ids]})
        table.hstack(pl.DataFrame(labels, schema=classes)).write_csv(Path(folder, "train.csv"))
        Path(folder, "comptool.toml").write_text(TOML.format(classes=json.dumps(classes)))
        own = [sys.executable, "-m", "comptool", "split", "--strategy", "random", "--no-refine"]
        own += ["--seeds", str(num_seeds), "--val", str(SHARE), "-o", "ours.csv", "--force", "-q"]
        commands = {
            "comptool": own,
            "script": [sys.executable, "-c", PEER, str(num_seeds), str(SHARE)],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():
                run = partial(subprocess.run, command, cwd=folder, check=True, capture_output=True)
                timed(run, times[name])
        folds = [pl.read_csv(Path(folder, name))["fold"] for name in ("ours.csv", "theirs.csv")]
    ratio = statistics.median(theirs / ours for ours, theirs in zip(*times.values(), strict=True))
    return {
        "all_seconds": {name: [rounded(v) for v in values] for name, values in times.items()},
        "same_split": folds[0].equals(folds[1]),
        "times_faster": rounded(ratio),
        "goal": FILES_GOAL,
        "met": ratio >= FILES_GOAL,
    }


def rounded(value: float | np.floating) -> float:
    """Four digits after the point."""
    return round(float(value), 4)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    labels = real_labels()
    source = "generated" if labels is None else TABLE
    labels = generated_labels() if labels is None else labels
    drawn = np.sort(np.random.default_rng(0).choice(len(labels), DRAWN, replace=False))
    seeds = range(options.seeds)
    document = {
        "benchmark": "label_split",
        "labels": source,
        "share": SHARE,
        "seeds": options.seeds,
        "runs": options.runs,
        "tables": [measure(table, seeds, options.runs) for table in (labels[drawn], labels)],
        "from_file_to_file": from_file_to_file(labels[drawn], options.seeds, options.runs),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
