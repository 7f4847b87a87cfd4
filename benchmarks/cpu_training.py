"""Training on a CPU, from JPEGs: ``comptool train`` against timm's train.py.

    python benchmarks/cpu_training.py [--timm-scripts FOLDER] [--images 640] [--size 64]

MobileNetV2 from random weights on generated JPEGs, the same for both, with AdamW, float32 and
batches of 32; each training is a whole process of three epochs, in turn. ``images_per_second`` is
that of the epochs from the second on by each program's own account (``metrics.csv``; timm's mean of
an epoch), ``seconds`` the wall time of the process, ``cpu_seconds`` what it and its workers have
computed. Ratios are medians over the turns; above 1 comptool is faster.

comptool does flips, quarter turns and a cut-out of half the side (``--augment flips --cutout
0.5``). timm runs four times: as it comes, with its own augmentation (crop, flip, jitter) and number
of workers; the same with ``--channels-last``; and both with the nearest to our augmentation that it
has (``same_work``: horizontal and vertical flips, one rectangle of 2 to 33 % of each image in one
colour) and one worker per core.

timm's scripts are not part of its package: take the tag of the installed version from
https://github.com/huggingface/pytorch-image-models. Without them comptool is measured alone. Prints
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from cards import ratio
from gpu_training import CLASSES, EPOCHS, RATE, Setting, train_options, write_images
from program import children_cpu_seconds, comptool

SAME_WORK = (
    "--hflip 0.5 --vflip 0.5 --scale 1 1 --ratio 1 1 --color-jitter 0 --reprob 1 --remode rand"
).split()
CHANNELS_LAST = ["--channels-last"]
Measured = dict[str, float]


def peers() -> dict[str, list[str]]:
    """What timm's train.py is given beside what both are given."""
    same_work = [*SAME_WORK, "-j", str(len(os.sched_getaffinity(0)))]
    return {
        "as_it_comes": [],
        "channels_last": CHANNELS_LAST,
        "same_work": same_work,
        "same_work_channels_last": [*same_work, *CHANNELS_LAST],
    }


def ours(folder: Path, setting: Setting) -> Measured:
    """One training by comptool."""
    options = train_options(setting, "cpu")
    done = comptool(folder, "train", "--run-name", "row", "--force", *options)
    history = pd.read_csv(folder / "weights" / "row" / "metrics.csv")
    return measured(list(history["images_per_second"]), done.seconds, done.cpu_seconds)


def theirs(folder: Path, setting: Setting, script: Path, more: list[str]) -> Measured:
    """One training by timm."""
    shared = {
        "--data-dir": folder / "timm", "--model": setting.model, "--num-classes": CLASSES,
        "--img-size": setting.size, "--batch-size": setting.batch_size, "--epochs": EPOCHS,
        "--opt": "adamw", "--lr": 1e-3, "--device": "cpu", "--output": folder / "timm-runs",
        "--log-interval": 1_000_000,
    }  # fmt: skip
    given = [str(word) for pair in shared.items() for word in pair]
    start, before = time.perf_counter(), children_cpu_seconds()
    done = subprocess.run(
        [sys.executable, str(script), *given, *more], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{done.args}\n{done.stdout}{done.stderr}")
    # Of the two lines of an epoch the later one stays.
    rates = {int(epoch): float(rate) for epoch, rate in RATE.findall(done.stdout + done.stderr)}
    return measured(list(rates.values()), seconds, children_cpu_seconds() - before)


def measured(rates: list[float], seconds: float, cpu_seconds: float) -> Measured:
    """What is kept of a training."""
    return {
        "images_per_second": round(statistics.median(rates[1:]), 1),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
    }


def measure(folder: Path, setting: Setting, scripts: Path | None, turns: int) -> dict[str, Any]:
    """All turns, and the medians of their ratios."""
    write_images(folder, setting)
    os.environ["COMPTOOL_CACHE"] = str(folder / "cache")
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(turns):
        turn = {"comptool": ours(folder, setting)}
        if scripts is not None:
            for name, more in peers().items():
                turn[name] = theirs(folder, setting, scripts / "train.py", more)
        for name, values in turn.items():
            print(f"{name}: {values}", file=sys.stderr, flush=True)
            for key, value in values.items():
                found.setdefault(name, {}).setdefault(key, []).append(value)
    own = found["comptool"]
    ratios = {
        name: {
            "images_per_second": ratio(own["images_per_second"], peer["images_per_second"]),
            "seconds": ratio(peer["seconds"], own["seconds"]),
            "cpu_seconds": ratio(peer["cpu_seconds"], own["cpu_seconds"]),
        }
        for name, peer in found.items()
        if name != "comptool"
    }
    return {"ratios": ratios, "turns": found}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timm-scripts", type=Path, help="folder of train.py")
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    setting = Setting(options.model, options.size, options.images, 32, (2, 1.4), options.size)
    scripts = options.timm_scripts and options.timm_scripts.resolve(strict=True)
    with tempfile.TemporaryDirectory() as name:
        result = measure(Path(name), setting, scripts, options.turns)
    given = {"model": options.model, "images": options.images, "size": options.size}
    print(json.dumps({"benchmark": "cpu_training", **given, **result}, indent=1))


if __name__ == "__main__":
    main()
