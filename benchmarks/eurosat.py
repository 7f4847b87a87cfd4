"""The EuroSAT networks from random weights, by their source's recipe and by ours.

    COMPTOOL_REAL_DATA=DIR python benchmarks/eurosat.py [--only MODEL ...] [--gpu] [--partial FILE]

``eurosat/`` with its given split: 6,400 images to train on, 1,600 to validate. Every row is one
network through train, tta (three views) and evaluate, by a recipe whose schedule is shortened with
its epochs. The checkpoint is that of the best validated epoch, as everywhere; the last epoch's
accuracy, which no choice has touched, stands beside it. Without ``--gpu`` the rows are what a CPU
can do in an hour, the largest network on images of half the side; with it, all networks at 64
pixels for the 80 epochs of the source. ``--quick`` tries the rows of either on little, those of
``--gpu`` also with ``--device cpu``. Prints one JSON object; with ``--partial`` a stopped run goes
on.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
from program import Results, comptool, long_options, real_images

SUBMISSION = Path(__file__).resolve().parents[1] / "submissions" / "eurosat"
MODELS = ("eurosat-baseline", "eurosat-cbam", "eurosat-bmta")
FULL = 80  # epochs of the source
SHARED = ("--pretrained", "no", "--batch-size", 64, "--weight-decay", 0.05)
SOURCE = (
    "--lr", 1e-3, "--warmup-epochs", 0, "--cycle-mul", 2, "--patience", 15,
    "--class-weights", SUBMISSION / "class-weights.toml",
)  # fmt: skip
# The source defines its augmentation, and its published code trains without it.
RECIPES: dict[str, tuple[object, ...]] = {
    "source": (*SOURCE, "--augment", SUBMISSION / "source.yaml"),
    "source, not augmented": (*SOURCE, "--augment", "none"),
    "ours": ("--lr", 2e-3, "--augment", "flips", "--label-smoothing", 0.1, "--ema", 0.999),
}


@dataclass(frozen=True)
class Row:
    """One training: ``size`` in pixels; the recipe's name; the seeds that it is done with."""

    model: str
    size: int
    epochs: int
    recipe: str
    seeds: int = 1

    def __str__(self) -> str:
        return f"{self.model}, {self.size} px, {self.epochs} epochs, {self.recipe}"

    @property
    def options(self) -> tuple[object, ...]:
        """Of train; the first cycle of the source's schedule is shortened with the epochs."""
        cycle = () if self.recipe == "ours" else ("--cycle-epochs", 15 * self.epochs / FULL)
        return (
            *SHARED, *RECIPES[self.recipe], *cycle,
            "--model", self.model, "--img-size", self.size, "--epochs", self.epochs,
        )  # fmt: skip


CPU = [
    *(Row("eurosat-baseline", 64, 8, recipe, seeds=3) for recipe in RECIPES),
    *(
        Row(model, size, 1, recipe)
        for model, size in zip(MODELS, (64, 64, 32), strict=True)
        for recipe in ("source", "ours")
    ),
    *(Row("eurosat-baseline", 32, 1, recipe) for recipe in ("source", "ours")),
]
GPU = [Row(model, 64, FULL, recipe, seeds=3) for model in MODELS for recipe in RECIPES]
QUICK = [Row("eurosat-baseline", 16, 2, recipe) for recipe in RECIPES]
# On so few images of each class that a CPU gets through the largest network.
QUICK_GPU, FEW = [replace(row, epochs=4, seeds=1) for row in GPU], 16


def prepare(folder: Path, seed: int, *, images: Path, few: int | None) -> None:
    """The competition by its given split, the same for every seed; few images of each class or all.

    tta asks for a test set, here one held-out image.
    """
    data = folder / "data"
    data.mkdir()
    (data / "images").symlink_to(images / "images")
    table = pd.read_csv(images / "train.csv", dtype=str)
    if few is not None:
        table = table.groupby(["split", "label"]).head(few)
    table.to_csv(data / "train.csv", index=False)
    held_out = table[table["split"] == "val"]
    held_out[["image_id", "image_path"]].head(1).to_csv(data / "test.csv", index=False)
    comptool(folder, "init", "data", "--name", "eurosat")
    comptool(folder, "split", "--from-column", "split")


def measure(
    folder: Path, name: str, seed: int, *, rows: dict[str, Row], where: tuple[object, ...]
) -> dict[str, object]:
    """What a row's validation says, and what it took."""
    trained = comptool(
        folder, "train", "--run-name", "row", "--force", "--seed", seed, *where,
        *rows[name].options,
    )  # fmt: skip
    views = comptool(folder, "tta", "row", "--transforms", "flips", "--force", "--bf16")
    seen = comptool(folder, "evaluate", "row", "--bootstrap", 0).result
    history = pd.read_csv(folder / "weights" / "row" / "metrics.csv")
    return {
        "accuracy": seen["figures"]["accuracy"]["value"],
        "accuracy_with_views": views.result["evidence"]["tta"],
        "accuracy_of_last_epoch": float(history["val_accuracy"].iloc[-1]),
        "least_class_accuracy": min(each["value"] for each in seen["per_class"].values()),
        "kappa": seen["figures"]["kappa"]["value"],
        "confidence_gap": seen["figures"]["confidence-gap"]["value"],
        "train_loss": float(history["train_loss"].iloc[-1]),
        "epochs": len(history),
        "train_seconds": trained.seconds,
        "train_cpu_seconds": trained.cpu_seconds,
    }


def summary(row: Row, found: list[dict[str, float]]) -> dict[str, object]:
    """The mean of each figure over the seeds, and the accuracy of each."""
    means = {name: round(statistics.mean(each[name] for each in found), 4) for name in found[0]}
    return {"options": " ".join(map(str, row.options)).replace(f"{SUBMISSION}/", "")} | means | {
        "accuracy_of_seeds": [round(each["accuracy"], 4) for each in found]
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = long_options(__doc__, "few images or small ones, few epochs")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    parser.add_argument("--gpu", action="store_true", help="80 epochs of all networks, on a GPU")
    parser.add_argument("--device", default="cuda", help="of --gpu; cpu, to try it with --quick")
    options = parser.parse_args()
    few = FEW if options.gpu and options.quick else None
    make = partial(prepare, images=real_images(parser) / "eurosat", few=few)
    # On one CPU thread bf16 is 1.5 times as fast as float32 where the processor has it.
    on_cpu = ("--device", "cpu", "--amp", "bf16", "-j", 0)
    where = ("--device", options.device) if options.gpu else on_cpu
    wanted = GPU if options.gpu else CPU
    if options.quick:
        wanted = QUICK_GPU if options.gpu else QUICK
    rows = {str(row): row for row in wanted if row.model in options.only}
    results = Results(options.partial)
    # One seed of every row before the second of any.
    for seed in range(max((row.seeds for row in rows.values()), default=0)):
        names = [name for name, row in rows.items() if seed < row.seeds]
        results.of_seed(seed, names, make, partial(measure, rows=rows, where=where))
    table = {
        name: summary(row, results.seeds(name, range(row.seeds))) for name, row in rows.items()
    }
    print(json.dumps({"benchmark": "eurosat", "quick": options.quick, "results": table}, indent=2))


if __name__ == "__main__":
    main()
