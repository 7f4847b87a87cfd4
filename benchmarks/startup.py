"""Time until the program answers: ``--help``, and every command on files of a few rows.

    python benchmarks/startup.py [--timm-scripts FOLDER] [--runs 7]

Each command is a whole process, in turn with a bare Python, with a two-line pandas script that
reads and writes a table, and with ``timm train.py --help``. What it imports is asked of Python once
more (``-X importtime``): how many modules, their seconds, and the packages that take most of them.
``train`` is one epoch of three updates with MobileNetV2; ``infer`` has a network whose graph is
kept, once with ONNX Runtime and once with torch. Limits: 0.3 seconds for ``--help``, 1 second for a
command without torch, and ``--help`` 40 times as soon as timm's.

timm's script is not part of timm's package: take it from the tag of the installed version,
https://github.com/huggingface/pytorch-image-models. Prints one JSON object.
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
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from import_times import imports
from program import children_cpu_seconds

HELP_LIMIT = 0.3
COMMAND_LIMIT = 1.0
TIMM, HELP = "timm train.py --help", "--help"
COMPTOOL = [sys.executable, "-m", "comptool"]
# Each has to stand in a folder of its own: the facts of a competition are those of a folder.
ONE, SEVERAL = "one-label", "several-labels"
TINY = "--model mobilenetv2_100 --img-size 64 --epochs 1 --batch-size 8 --pretrained no -j 0 -q"
PANDAS = "import pandas as pd; pd.read_csv('submissions/preds.csv').to_csv('peer.csv', index=False)"
CLASSES = ("barn", "crop", "lake")


@dataclass(frozen=True)
class Command:
    """A command line that is measured.

    ``limit``: seconds, None for peers, and where torch is needed or pictures are drawn;
    ``folder``: where it runs.
    """

    name: str
    line: tuple[str, ...]
    limit: float | None = None
    folder: str = ONE


def own(
    line: str, limit: float | None = COMMAND_LIMIT, name: str = "", where: str = ONE
) -> Command:
    """A command of comptool, by what is typed after its name."""
    return Command(name or line.split()[0], (*COMPTOOL, *line.split()), limit, where)


COMMANDS = (
    Command("python", (sys.executable, "-c", "pass")),
    Command("pandas", (sys.executable, "-c", PANDAS)),
    own("--help", HELP_LIMIT),
    own("train --help", name="train --help"),
    own("models"),
    own("losses"),
    own("init . --force"),
    own("inspect --force"),
    own("split --force"),
    own("split --folds 2 --force -o two.csv", None, "split --folds (scikit-learn)"),
    own(f"train {TINY} --dry-run --run-name dry", None, "train --dry-run"),
    # Where no graph of the run that it replaces is wanted.
    own(f"train {TINY} --force", None, where=SEVERAL),
    own("prior --force", None, where=SEVERAL),
    own("review --force"),
    own("infer --device cpu --force", name="infer (graph kept)"),
    own("infer --device cpu --backend torch --force", None, "infer --backend torch"),
    own("tta --device cpu --force", name="tta (graph kept)"),
    own("pseudolabel --threshold 0 --force"),
    own("ensemble --force"),
    own("recalibrate --head-classes barn --fraction 0.25 --force"),
    own("submit --force"),
    own("score submissions/one-label.csv --answers answers.csv"),
    own("runs"),
    own("evaluate"),
    own("features --force", None),
    own("profile --steps 1 infer --device cpu", name="profile infer (graph kept)"),
    own("simulate ntire --scale 0.0001 -o practice -j 1 --force", None),
)


def prepare(folder: Path) -> None:
    """Two small competitions, one of one label per image and one of several, each with a run."""
    for name in (ONE, SEVERAL):
        place = folder / name
        write_tables(place)
        if name == SEVERAL:
            write_several(place)
        for line in ("init . -q", "split -q", f"train {TINY}", "infer --device cpu -q"):
            run((*COMPTOOL, *line.split()), place)


def write_tables(folder: Path) -> None:
    """Images of three classes, and the tables that an organiser would hand out."""
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(0)
    train, test = ["id,path,label"], ["id,path"]
    for number in range(32):
        path = f"images/{number}.png"
        cv2.imwrite(str(folder / path), random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        if number < 24:
            train.append(f"{number},{path},{CLASSES[number % 3]}")
        else:
            test.append(f"{number},{path}")
    answers = ["id,label", *(f"{row.partition(',')[0]},barn" for row in test[1:])]
    tables = {"train": train, "test": test, "sample_submission": answers, "answers": answers}
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_several(folder: Path) -> None:
    """The same images with a column per class."""
    rows = ["id,path,barn,lake", *(f"{n},images/{n}.png,{n % 2},{n // 2 % 2}" for n in range(24))]
    (folder / "train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    sample = ["id,barn,lake", *(f"{n},0,0" for n in range(24, 32))]
    (folder / "sample_submission.csv").write_text("\n".join(sample) + "\n", encoding="utf-8")


def run(command: tuple[str, ...], folder: Path) -> None:
    """Run a command that has to end well."""
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


def measure(folder: Path, commands: tuple[Command, ...], runs: int) -> dict[str, object]:
    """Time every command ``runs`` times in turn, after one run that is not counted."""
    prepare(folder)
    times: dict[str, list[float]] = {command.name: [] for command in commands}
    computed: dict[str, list[float]] = {command.name: [] for command in commands}
    for turn in range(runs + 1):
        for command in commands:
            start, before = time.perf_counter(), children_cpu_seconds()
            run(command.line, folder / command.folder)
            if turn:
                times[command.name].append(time.perf_counter() - start)
                computed[command.name].append(children_cpu_seconds() - before)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "median_seconds": {name: round(value, 3) for name, value in medians.items()},
        # Other programs on the machine lengthen the wall time, and hardly these.
        "median_cpu_seconds": {
            name: round(statistics.median(values), 3) for name, values in computed.items()
        },
        "missed": {
            command.name: command.limit
            for command in commands
            if command.limit is not None and medians[command.name] > command.limit
        },
        **sooner(times),
        "imports": {
            command.name: imports(command.line, folder / command.folder) for command in commands
        },
    }


def sooner(times: dict[str, list[float]]) -> dict[str, object]:
    """How many times as soon as timm's ``--help`` ours is there: median over the turns."""
    if TIMM not in times:
        return {"note": "no --timm-scripts FOLDER was given: comptool alone"}
    ratios = [theirs / ours for theirs, ours in zip(times[TIMM], times[HELP], strict=True)]
    return {"help_sooner_than_timm": round(statistics.median(ratios), 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timm-scripts", type=Path, help="folder of timm's train.py")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    commands = COMMANDS
    if options.timm_scripts is not None:
        script = (options.timm_scripts / "train.py").resolve(strict=True)
        commands += (Command(TIMM, (sys.executable, str(script), "--help")),)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # What commands keep between runs is theirs alone.
        os.environ["COMPTOOL_CACHE"] = str(folder / "cache")
        document = measure(folder, commands, options.runs)
    found = {"cpus": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({"benchmark": "startup", "runs": options.runs, **document, **found}, indent=2))


if __name__ == "__main__":
    main()
