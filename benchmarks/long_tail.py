"""Three stages, two stages and the long-tail kit on data with a long tail.

    COMPTOOL_REAL_DATA=DIR python benchmarks/long_tail.py [--only ntire mstar] [--partial FILE]

``ntire``: a practice competition (``comptool simulate ntire``), SAR chips of which 81 % are of
class 0; of each class the training table keeps what it has at a smaller scale, so that a small
training set meets a full test set. ``mstar``: real SAR chips of ten vehicles, cut to their middle
and made long-tailed: the seed draws the order of the classes, 40 chips of each to be the test set,
and from the rest as many as ``COUNTS`` says. The test sets are balanced, or nearly, and no training
sees them.

Every row is one small network from random weights, all with the same settings and with equal
epochs in total, over however many runs; the last epoch is kept, so that no choice of an epoch
flatters a row. An epoch of a stage without the largest class, or of a balanced subset, has fewer
images: ``images`` tells how many a row has seen. Its figure is the balanced accuracy that
``comptool score`` finds on the test labels. Seeds change the data and the training. Prints one
JSON object; with ``--partial`` a stopped run goes on.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from practice import practice
from program import Results, comptool, long_options, real_images
from real_data import write_download

from comptool.io.predictions import read_predictions, write_predictions
from comptool.io.runs import read_header
from comptool.practice.chips import train_counts_ntire

MODEL, SIZE = "eurosat-baseline", 32
RATE, CLASSIFIER_RATE = 0.01, 0.002
OPTIONS: tuple[object, ...] = (
    "--img-size", SIZE, "--batch-size", 32, "--optimizer", "sgd", "--weight-decay", 1e-4,
    "--warmup-epochs", 0.5, "--augment", "flips", "--pretrained", "no", "--fold", "none",
    "--device", "cpu", "-j", 0,
)  # fmt: skip
WEIGHTS = ("--weighting", "effective")
# Of the practice competition: the scale of its test set, and that of what is trained on.
SCALE, TRAIN_SCALE = 0.02, 0.003
# Training chips of each class of the long-tailed mstar, and test chips of every class.
COUNTS, TEST_COUNT = (80, 57, 41, 29, 21, 15, 11, 8, 6, 4), 40
# The row of which the probabilities are adjusted after training, and its name.
PLAIN, ADJUSTED = "plain", "plain, logits adjusted afterwards"


@dataclass(frozen=True)
class Tail:
    """Long-tailed data, and the sizes of its stages.

    ``epochs`` are those of the three stages, of which the last has two parts; ``per_class`` the
    rows of each class in a balanced subset.
    """

    make: Callable[[Path, Path, int], None]
    epochs: tuple[int, int, int, int]
    per_class: int


@dataclass(frozen=True)
class Stage:
    """One run of ``comptool train``; a row's second stage starts from its first, and so on."""

    run: str
    epochs: int
    options: tuple[object, ...] = ()
    rate: float = RATE
    model: str = MODEL


def simulated(folder: Path, data: Path, seed: int) -> None:
    """Make the practice competition, which needs no ``data``."""
    practice(folder, "ntire", SCALE, seed, train_counts_ntire(TRAIN_SCALE))


def chips(folder: Path, data: Path, seed: int) -> None:
    """Make the real chips of ``data`` long-tailed."""
    source = data / "mstar"
    table = pd.read_csv(source / "train.csv", dtype=str)
    random = np.random.default_rng(seed)
    order = random.permutation(sorted(table["label"].unique()))
    train, test = [], []
    for name, count in zip(order, COUNTS, strict=True):
        rows = table[table["label"] == name]
        rows = rows.iloc[random.permutation(len(rows))]
        test.append(rows[:TEST_COUNT])
        train.append(rows[TEST_COUNT : TEST_COUNT + count])
    middle = folder / "middle"
    for path in pd.concat([*train, *test])["image_path"]:
        write_middle(source / path, middle / path)
    write_download(folder, middle, *(pd.concat(part).sort_index() for part in (train, test)))


def write_middle(source: Path, target: Path) -> None:
    """The middle half of a chip, where the vehicle is; a JPEG is written without further loss."""
    image = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
    height, width = image.shape
    target.parent.mkdir(parents=True, exist_ok=True)
    middle = image[height // 4 : height - height // 4, width // 4 : width - width // 4]
    target.write_bytes(cv2.imencode(".png", middle)[1].tobytes())


TAILS = {
    # The proportions of submissions/three-stage/run.sh on a practice competition.
    "ntire": Tail(simulated, (5, 15, 5, 3), 100),
    # Half of the source's epochs.
    "mstar": Tail(chips, (10, 50, 10, 5), 40),
}


def stages(tail: Tail, largest: str) -> dict[str, tuple[Stage, ...]]:
    """The stages of every row."""
    one, two, three, four = tail.epochs
    whole, late = sum(tail.epochs), three + four
    subset = ("--per-class", tail.per_class)
    anew = ("--reset-head", "--freeze", "backbone")
    deferred = ("--loss", "ldam", *WEIGHTS, "--defer-weights", whole - late)
    plain, start = Stage("plain", whole), Stage("start", whole - late)
    return {
        PLAIN: (plain,),
        ADJUSTED: (plain,),
        "class-balanced weights": (Stage("weights", whole, WEIGHTS),),
        "class-aware sampling": (Stage("sampling", whole, ("--balance", "class-aware")),),
        "balanced mixup": (Stage("mixup", whole, ("--balanced-mixup", 0.2)),),
        "balanced softmax": (Stage("softmax", whole, ("--loss", "balanced-softmax")),),
        "LDAM, deferred weights": (Stage("ldam", whole, deferred, model=f"{MODEL}+cosine"),),
        "two stages: class-aware classifier": (
            start,
            Stage("classifier-aware", late, (*anew, "--balance", "class-aware")),
        ),
        "two stages: classifier on a balanced subset": (
            start,
            Stage("classifier-subset", late, (*anew, *subset)),
        ),
        "two stages: class-balanced weights": (
            start,
            Stage("weights-late", late, WEIGHTS, CLASSIFIER_RATE),
        ),
        "three stages": (
            Stage("stage-1", one, ("--mixup", 1)),
            Stage("stage-2", two, ("--drop-classes", largest)),
            Stage("stage-3a", three, subset),
            Stage("stage-3b", four, (*subset, "--freeze", "backbone"), CLASSIFIER_RATE),
        ),
    }


def train(folder: Path, row: tuple[Stage, ...], seed: int) -> int:
    """Train what of a row is not trained yet; the images that all its stages have seen."""
    images, parent = 0, None
    for stage in row:
        if not (folder / "weights" / stage.run).exists():
            begin = ("--init-from", parent) if parent else ()
            comptool(
                folder, "train", "--run-name", stage.run, "--model", stage.model, "--seed", seed,
                "--epochs", stage.epochs, "--lr", stage.rate, *OPTIONS, *begin, *stage.options,
            )  # fmt: skip
        parent = stage.run
        counts = read_header(folder / "weights" / stage.run)["trained_counts"]
        images += stage.epochs * sum(counts.values())
    return images


def score(folder: Path, title: str, seed: int, *, tail: Tail) -> dict[str, float]:
    """Balanced accuracy on the test labels, and the images that were seen."""
    row = stages(tail, counts(folder).index[0])[title]
    images = train(folder, row, seed)
    answer = "submissions/preds.csv"
    comptool(folder, "infer", row[-1].run, "-o", answer, "--force", "--device", "cpu", "-j", 0)
    if title == ADJUSTED:
        adjust(folder / answer, read_header(folder / "weights" / row[-1].run)["trained_counts"])
    graded = comptool(
        folder, "score", answer, "--answers", "answers.csv", "--metric", "balanced-accuracy",
        "--public", 0,
    )  # fmt: skip
    return {"balanced_accuracy": round(graded.result["private"], 4), "images": images}


def adjust(path: Path, counts: dict[str, int]) -> None:
    """Divide probabilities by the shares trained on (Menon et al. 2021, section 4.1, tau 1).

    ``comptool recalibrate`` searches tau on rows that were held out, and here all are trained on.
    """
    found = read_predictions(path)
    raised = found.probabilities / np.array([counts[name] for name in found.classes])
    adjusted = raised / raised.sum(axis=1, keepdims=True)
    write_predictions(path, replace(found, probabilities=adjusted), force=True)


def prepare(
    folder: Path, seed: int, *, name: str, tail: Tail, data: Path, results: Results
) -> None:
    """The competition of one seed; its numbers of chips are the same for every seed."""
    tail.make(folder, data, seed)
    comptool(folder, "init", "data", "--name", name, "--metric", "balanced-accuracy")
    test = len(pd.read_csv(folder / "answers.csv", dtype=str))
    results.get(f"{name} counts", lambda: {"train": counts(folder).tolist(), "test": test})


def counts(folder: Path) -> pd.Series:
    """Training chips by class, falling."""
    return pd.read_csv(folder / "data" / "train.csv", dtype=str).iloc[:, -1].value_counts()


def summary(name: str, results: Results, seeds: range) -> dict[str, object]:
    """Per row: mean and deviation of the balanced accuracy over the seeds, and each."""
    table: dict[str, object] = {}
    for title in stages(TAILS[name], ""):
        rows = results.seeds(title, seeds, of=name)
        scores = [row["balanced_accuracy"] for row in rows]
        table[title] = {
            "balanced_accuracy": round(statistics.mean(scores), 4),
            "deviation": round(statistics.stdev(scores), 4) if len(scores) > 1 else None,
            "seeds": scores,
            "images": rows[0]["images"],
        }
    return table


def main() -> None:
    """Measure and print."""
    parser = long_options(__doc__, "1 epoch a stage")
    parser.add_argument("--only", nargs="+", choices=list(TAILS), default=list(TAILS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = real_images(parser) if "mstar" in options.only else Path()
    tails = {name: TAILS[name] for name in options.only}
    if options.quick:
        options.seeds = 1
        tails = {name: replace(tail, epochs=(1, 1, 1, 1)) for name, tail in tails.items()}
    results, seeds = Results(options.partial), range(options.seeds)
    for seed in seeds:
        for name, tail in tails.items():
            make = partial(prepare, name=name, tail=tail, data=data, results=results)
            results.of_seed(seed, stages(tail, ""), make, partial(score, tail=tail), of=name)
    document = {"benchmark": "long_tail", "model": MODEL, "options": " ".join(map(str, OPTIONS))}
    document |= {"seeds": options.seeds, "quick": options.quick}
    document |= {
        name: {
            **results.found[f"{name} counts"],
            "epochs": tail.epochs,
            "per_class": tail.per_class,
            "rows": summary(name, results, seeds),
        }
        for name, tail in tails.items()
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
