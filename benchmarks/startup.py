"""Time until the program answers: ``--help``, and the commands that never need torch.

    python benchmarks/startup.py [--runs 7]

Each command is a whole process on files of four rows, in turn with a bare Python and with a
two-line pandas script that reads and writes the same file. Prints one JSON object. Limits: 0.3
seconds for ``--help``, 1 second for a command without torch.
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

from program import children_cpu_seconds

HELP_LIMIT = 0.3
COMMAND_LIMIT = 1.0
COMPTOOL = [sys.executable, "-m", "comptool"]
PREDS = "id,a,b,c\n1,0.98,0.01,0.01\n2,0.1,0.8,0.1\n3,0.3,0.3,0.4\n4,0.5,0.4,0.1\n"
TABLES = {
    "comptool.toml": 'task = "multiclass"\nmetric = "accuracy"\n[data]\ntrain = "train.csv"\n'
    'test = "test.csv"\nsample-submission = "sample_submission.csv"\nid = "id"\nlabel = "label"\n'
    '[modalities]\nimage = "path"\n',
    "train.csv": "id,path,label\n7,7.png,c\n8,8.png,a\n9,9.png,b\n",
    "test.csv": "id,path\n1,1.png\n2,2.png\n3,3.png\n4,4.png\n",
    "sample_submission.csv": "id,label\n1,a\n2,a\n3,a\n4,a\n",
    "submissions/preds.csv": PREDS,
    # That they are there is all that `init` looks for.
    **{f"{number}.png": "" for number in (1, 2, 3, 4, 7, 8, 9)},
}
PANDAS = "import pandas as pd; pd.read_csv('submissions/preds.csv').to_csv('peer.csv', index=False)"
# Name, command line, limit in seconds or None for a peer.
MEASURED: tuple[tuple[str, list[str], float | None], ...] = (
    ("python", [sys.executable, "-c", "pass"], None),
    ("pandas", [sys.executable, "-c", PANDAS], None),
    ("--help", [*COMPTOOL, "--help"], HELP_LIMIT),
    ("train --help", [*COMPTOOL, "train", "--help"], COMMAND_LIMIT),
    ("models", [*COMPTOOL, "models"], COMMAND_LIMIT),
    ("losses", [*COMPTOOL, "losses"], COMMAND_LIMIT),
    ("init", [*COMPTOOL, "init", ".", "--force"], COMMAND_LIMIT),
    ("pseudolabel", [*COMPTOOL, "pseudolabel", "--force"], COMMAND_LIMIT),
    ("ensemble", [*COMPTOOL, "ensemble", "--force"], COMMAND_LIMIT),
    (
        "recalibrate",
        [*COMPTOOL, "recalibrate", "--head-classes", "a", "--fraction", "0.25", "--force"],
        COMMAND_LIMIT,
    ),
    ("submit", [*COMPTOOL, "submit", "--force"], COMMAND_LIMIT),
)


def measure(folder: Path, runs: int) -> dict[str, object]:
    """Time every command ``runs`` times in turn, after one run that is not counted."""
    for name, text in TABLES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    times: dict[str, list[float]] = {name: [] for name, _, _ in MEASURED}
    computed: dict[str, list[float]] = {name: [] for name, _, _ in MEASURED}
    for turn in range(runs + 1):
        for name, command, _ in MEASURED:
            start, before = time.perf_counter(), children_cpu_seconds()
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            if turn:
                times[name].append(time.perf_counter() - start)
                computed[name].append(children_cpu_seconds() - before)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "benchmark": "startup",
        "runs": runs,
        "median_seconds": {name: round(value, 3) for name, value in medians.items()},
        # Other programs on the machine lengthen the wall time, and hardly these.
        "median_cpu_seconds": {
            name: round(statistics.median(values), 3) for name, values in computed.items()
        },
        "missed": {
            name: limit
            for name, _, limit in MEASURED
            if limit is not None and medians[name] > limit
        },
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options.runs), indent=2))


if __name__ == "__main__":
    main()
