"""What gradient calibration gains where one of two modalities is much noisier than the other.

    python benchmarks/gradient_calibration.py [--seeds 3] [--noise 60] [--partial FILE] [--quick]

A practice competition of SAR and EO pairs (``comptool simulate mavoc``) whose EO chips, in training
and in test alike, get noise of that many grey levels (standard deviation; they have 256). Of each
class the training table keeps what it has at a smaller scale, so that a small training set meets a
full test set, whose classes are nearly equally frequent; training takes one image of each class in
turn. Every row is one small two-stream network from random weights through train and infer, all
with the same settings and equal epochs, and its figure is the accuracy that ``comptool score``
finds on the hidden test labels. No row keeps an epoch by its score. ``sar_alone`` is one stream
without the noisy modality.

The optimizer is SGD: AdamW divides each weight's gradient by its usual size, so that a factor which
all gradients of an encoder always have means nothing to it. The last rows have AdamW.
Seeds change the competition, the noise and the training; gains are against the row of the same
optimizer without auxiliary heads and calibration, on the same seed. Prints one JSON object; with
``--partial`` a stopped run goes on.
"""

from __future__ import annotations

import csv
import json
import statistics
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from practice import practice
from program import Results, comptool, long_options

from comptool.practice.chips import train_counts_mavoc

MODEL, SIZE = "eurosat-baseline-dual", 32
# Of the practice competition: the scale of its test set, and that of what is trained on.
SCALE, TRAIN_SCALE = 0.02, 0.003
SGD = ("--optimizer", "sgd", "--lr", 0.01)
ADAMW = ("--optimizer", "adamw", "--lr", 0.001)
HEADS, INTRA = ("--auxiliary-heads",), ("--calibrate-gradients", "intra")
INTER = ("--calibrate-gradients", "inter")
# The row's name, the one that it is compared with, and the options of train.
ROWS: dict[str, tuple[str, tuple[object, ...]]] = {
    "none": ("none", SGD),
    "intra": ("none", (*SGD, *INTRA)),
    "heads": ("none", (*SGD, *HEADS)),
    "heads_inter": ("none", (*SGD, *HEADS, *INTER)),
    "heads_both": ("none", (*SGD, *HEADS, *INTRA, *INTER)),
    "sar_alone": ("none", (*SGD, "--model", MODEL.removesuffix("-dual"), "--modality", "sar")),
    "adamw": ("adamw", ADAMW),
    "adamw_intra": ("adamw", (*ADAMW, *INTRA)),
    "adamw_both": ("adamw", (*ADAMW, *HEADS, *INTRA, *INTER)),
}


def prepare(folder: Path, seed: int, *, noise: float) -> None:
    """The practice competition with a small training table and noisy EO chips."""
    practice(folder, "mavoc", SCALE, seed, train_counts_mavoc(TRAIN_SCALE))
    data = folder / "data"
    tables = [pd.read_csv(data / f"{name}.csv", dtype=str) for name in ("train", "test")]
    random = np.random.default_rng(seed)
    for path in pd.concat(tables)["eo_path"]:
        chip = cv2.imread(str(data / path), cv2.IMREAD_GRAYSCALE)
        noisy = np.clip(chip + random.normal(0, noise, chip.shape), 0, 255)
        cv2.imwrite(str(data / path), noisy.round().astype(np.uint8))
    comptool(folder, "init", "data", "--name", "mavoc")


def score(folder: Path, row: str, seed: int, *, epochs: int) -> dict[str, object]:
    """Accuracy on the test labels, and the last epoch's measurements of the gradients."""
    done = comptool(
        folder, "train", "--model", MODEL, "--run-name", row, "--pretrained", "no", "--force",
        "--img-size", SIZE, "--weight-decay", 1e-4, "--epochs", epochs, "--seed", seed,
        "--balance", "class-aware", "--batch-size", 16, "--fold", "none", "--device", "cpu",
        "-j", 0, *ROWS[row][1],
    )  # fmt: skip
    comptool(folder, "infer", row, "--force", "--device", "cpu", "-j", 0)
    graded = comptool(
        folder, "score", "submissions/preds.csv", "--answers", "answers.csv", "--public", 0
    )
    with (folder / "weights" / row / "metrics.csv").open(newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    measured = {
        name: round(float(value), 4)
        for name, value in last.items()
        if name.startswith("gradient_") or "objective_weight" in name
    }
    return {
        "accuracy": round(graded.result["private"], 4),
        "last_epoch": measured,
        "train_cpu_seconds": done.cpu_seconds,
    }


def summary(results: Results, seeds: range) -> dict[str, object]:
    """Per row: mean over the seeds, each seed, the gain in points, and the last epoch's ratios."""
    table: dict[str, object] = {}
    for row, (reference, _) in ROWS.items():
        mine, its = (results.seeds(name, seeds) for name in (row, reference))
        scores = [one["accuracy"] for one in mine]
        gains = [
            round(100 * (one - other["accuracy"]), 1)
            for one, other in zip(scores, its, strict=True)
        ]
        table[row] = {
            "accuracy": round(statistics.mean(scores), 4),
            "seeds": scores,
            "compared_with": reference,
            "gain": round(statistics.mean(gains), 1),
            "gains": gains,
            "last_epoch": {
                name: round(statistics.mean(one["last_epoch"][name] for one in mine), 3)
                for name in mine[0]["last_epoch"]
            },
            "train_cpu_seconds": [one["train_cpu_seconds"] for one in mine],
        }
    return table


def main() -> None:
    """Measure and print."""
    parser = long_options(__doc__, "1 epoch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=60, help="of the EO chips, in grey levels")
    parser.add_argument("--epochs", type=int, default=18)
    options = parser.parse_args()
    if options.quick:
        options.epochs, options.seeds = 1, 1
    results, seeds = Results(options.partial), range(options.seeds)
    for seed in seeds:
        results.of_seed(
            seed, ROWS, partial(prepare, noise=options.noise), partial(score, epochs=options.epochs)
        )
    settings = ("seeds", "noise", "epochs", "quick")
    document = {"benchmark": "gradient_calibration", "model": MODEL}
    document |= {name: getattr(options, name) for name in settings}
    print(json.dumps(document | {"results": summary(results, seeds)}, indent=2))


if __name__ == "__main__":
    main()
