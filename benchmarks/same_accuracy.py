"""Whether what makes training fast costs accuracy: two ways of the same training, three seeds.

    COMPTOOL_REAL_DATA=DIR python benchmarks/same_accuracy.py [--only mstar eurosat] [--quick]

``plain``: every image is decoded in every epoch, by worker processes, and nothing is tried or
compiled. ``default``: what ``comptool train`` does by itself, images decoded once and the way of
computing measured. MobileNetV2 from random weights, ``--augment weak``, accuracy of the last
epoch's weights on rows that no training has seen (see `real_data.py`). Of each way the mean and the
standard deviation over the seeds are given, and of the other the difference to ``plain``, seed by
seed, with its 95 % interval (Student's t): the ways are the same as far as it holds 0. Prints one
JSON object; with ``--partial`` a stopped run goes on.
"""

from __future__ import annotations

import json
import statistics
from functools import partial
from pathlib import Path

from program import Results, comptool, long_options, real_images
from real_data import held_out, write_download
from scipy.stats import t as student

SEEDS = (0, 1, 2)
MODEL = "mobilenetv2"
# Side in pixels, batch size, epochs.
SETTINGS = {"mstar": (96, 16, 12), "eurosat": (64, 64, 6)}
PLAIN = "plain"
# What the command line adds.
WAYS: dict[str, tuple[object, ...]] = {
    PLAIN: ("--cache", "off", "--compile", "off", "--data-on", "cpu", "-j", 1),
    "default": (),
}


def prepare(images: Path, folder: Path, seed: int) -> None:
    """A download with its facts, and a table of which every row is trained on."""
    write_download(folder, images, *held_out(images / "train.csv"))
    comptool(folder, "init", "data", "--name", images.name)


def measure(data: str, quick: bool, folder: Path, way: str, seed: int) -> dict[str, object]:
    """Accuracy on the held-out rows of a training of its own, and its CPU seconds."""
    side, batch_size, epochs = SETTINGS[data]
    options = ["--model", MODEL, "--pretrained", "no", "--img-size", side, "-b", batch_size]
    options += ["--augment", "weak", "--epochs", 1 if quick else epochs, "--fold", "none"]
    options += ["--seed", seed, "--device", "cpu", "--run-name", way]
    trained = comptool(folder, "train", *options, *WAYS[way])
    comptool(folder, "infer", way, "--device", "cpu", "--force")
    comptool(folder, "submit", "--force")
    graded = comptool(
        folder, "score", f"submissions/{data}.csv", "--answers", "answers.csv", "--public", 0
    )
    return {
        "accuracy": round(graded.result["private"], 4),
        "train_cpu_seconds": trained.cpu_seconds,
    }


def summary(results: Results, data: str) -> dict[str, object]:
    """Accuracies of each way, and how far they are from those of the plain one."""
    found = {way: [one["accuracy"] for one in results.seeds(way, SEEDS, data)] for way in WAYS}
    document: dict[str, object] = {}
    for way, accuracies in found.items():
        document[way] = {
            "accuracies": accuracies,
            "mean": round(statistics.mean(accuracies), 4),
            "standard_deviation": round(statistics.stdev(accuracies), 4),
        }
        if way != PLAIN:
            pairs = zip(accuracies, found[PLAIN], strict=True)
            document[way] |= difference([own - plain for own, plain in pairs])
    return document


def difference(values: list[float]) -> dict[str, object]:
    """The mean difference, its 95 % interval, and whether that holds 0."""
    mean = statistics.mean(values)
    spread = statistics.stdev(values) / len(values) ** 0.5
    reach = float(student.ppf(0.975, len(values) - 1)) * spread
    low, high = round(mean - reach, 4), round(mean + reach, 4)
    return {"difference": round(mean, 4), "interval": [low, high], "same": low <= 0 <= high}


def main() -> None:
    """Measure and print."""
    parser = long_options(__doc__, "one epoch")
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    options = parser.parse_args()
    images = real_images(parser)
    results = Results(options.partial)
    document: dict[str, object] = {"benchmark": "same_accuracy", "quick": options.quick}
    for data in options.only:
        for seed in SEEDS:
            results.of_seed(
                seed,
                WAYS,
                partial(prepare, images / data),
                partial(measure, data, options.quick),
                data,
            )
        document[data] = summary(results, data)
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
