"""What losses for missing labels gain where positives are known to be missing.

    python benchmarks/partial_labels.py [--seeds 3] [--deleted 0.4] [--partial FILE] [--quick]

A practice competition of aerial scenes (``comptool simulate aicoss``) whose training labels have
lost a known share of their positives, in training and in validation alike; the test labels are
complete. Every row is one small network from random weights through train and infer, graded by
``comptool score`` on the complete test labels (macro mAP). ``bce_complete`` learnt from the labels
before deletion: what there is to win back. The ``partial-asl`` rows take an absent label as not
annotated (``split --map-zero-to-unknown``); ``selective_prior`` has the prior of ``comptool prior``
from the ``ignore`` run. Seeds change the competition and the training; gains are against bce on the
same seed. Prints one JSON object; with ``--partial`` a stopped run goes on.
"""

from __future__ import annotations

import json
import statistics
from functools import partial
from pathlib import Path

import pandas as pd
from program import Results, comptool, long_options, row_key

MODEL = "mobilenetv3_small_100"
UNKNOWN = ("--folds", "unknown.csv", "--loss", "partial-asl", "--loss-option")
PRIOR = ("--prior", "prior.csv")
# The row's name and the options of train; ignore comes before the row that needs its prior.
ROWS: dict[str, tuple[str, ...]] = {
    "bce": ("--loss", "bce"),
    "bce_complete": ("--loss", "bce", "--folds", "data/complete.csv"),
    "asl": ("--loss", "asl"),
    "partial-asl_negative": (*UNKNOWN, "mode=negative"),
    "partial-asl_ignore": (*UNKNOWN, "mode=ignore"),
    "partial-asl_selective": (*UNKNOWN, "mode=selective"),
    "partial-asl_selective_prior": (*UNKNOWN, "mode=selective", *PRIOR),
}


def prepare(folder: Path, seed: int, *, scale: float, deleted: float) -> None:
    """The competition, a hold-out as given, one with unknown zeros, and one with all labels."""
    comptool(
        folder, "simulate", "aicoss", "-o", "data", "--scale", scale, "--deleted", deleted,
        "--seed", seed,
    )  # fmt: skip
    comptool(folder, "init", "data", "--name", "aicoss")
    comptool(folder, "split", "--val", 0.15)
    comptool(folder, "split", "--val", 0.15, "--map-zero-to-unknown", "-o", "unknown.csv")
    rows = pd.read_csv(folder / "folds.csv", dtype=str)[["img_id", "img_path", "fold"]]
    labels = pd.read_csv(folder / "data" / "complete_labels.csv", dtype=str)
    rows.merge(labels, on="img_id").to_csv(folder / "data" / "complete.csv", index=False)


def score(folder: Path, row: str, seed: int, *, epochs: int) -> dict[str, float]:
    """Macro mAP on the complete test labels."""
    if "prior.csv" in ROWS[row]:
        comptool(folder, "prior", "partial-asl_ignore", "-o", "prior.csv", "--force", "-j", 0)
    done = comptool(
        folder, "train", "--model", MODEL, "--run-name", row, "--pretrained", "no", "--force",
        "--img-size", 64, "--epochs", epochs, "--seed", seed, "--device", "cpu", "-j", 0,
        *ROWS[row],
    )  # fmt: skip
    comptool(folder, "infer", row, "--force", "--device", "cpu", "-j", 0)
    graded = comptool(
        folder, "score", "submissions/preds.csv", "--answers", "data/answers.csv", "--public", 0
    )
    return {"map": round(graded.result["private"], 4), "train_seconds": done.seconds}


def summary(results: Results, seeds: range) -> dict[str, object]:
    """Per row: mean over the seeds, each seed, and the gain over bce in points of mAP."""
    table: dict[str, object] = {}
    for row in ROWS:
        scores, plain = (
            [one["map"] for one in results.seeds(name, seeds)] for name in (row, "bce")
        )
        gains = [round(100 * (one - other), 2) for one, other in zip(scores, plain, strict=True)]
        table[row] = {
            "map": round(statistics.mean(scores), 4),
            "seeds": scores,
            "gain_over_bce": round(statistics.mean(gains), 2),
            "gains": gains,
        }
    return table


def main() -> None:
    """Measure and print."""
    parser = long_options(__doc__, "1 epoch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.015)
    parser.add_argument("--deleted", type=float, default=0.4, help="share of the positives")
    parser.add_argument("--epochs", type=int, default=16)
    options = parser.parse_args()
    if options.quick:
        options.scale, options.epochs, options.seeds = 0.002, 1, 1
    results, seeds = Results(options.partial), range(options.seeds)
    make = partial(prepare, scale=options.scale, deleted=options.deleted)
    for seed in seeds:
        if row_key(seed, "partial-asl_selective_prior") not in results.found:
            # Its weights are needed.
            results.found.pop(row_key(seed, "partial-asl_ignore"), None)
        results.of_seed(seed, ROWS, make, partial(score, epochs=options.epochs))
    settings = ("seeds", "scale", "deleted", "epochs", "quick")
    document = {"benchmark": "partial_labels", "model": MODEL}
    document |= {name: getattr(options, name) for name in settings}
    print(json.dumps(document | {"results": summary(results, seeds)}, indent=2))


if __name__ == "__main__":
    main()
