"""How well the label review finds labels that were changed on purpose.

    COMPTOOL_REAL_DATA=DIR python benchmarks/label_review.py [--seeds 3] [--practice FOLDER ...]

Real images and labels (UC Merced, 674 images, 17 labels) under COMPTOOL_REAL_DATA; without it,
generated ones. In every class a share of the positives, drawn between 0 and 40 %, is deleted and
2 % of the absent cells are marked present. Out-of-fold probabilities come from extra trees on
colour and edge histograms, five folds: a weak model, as in the first hour of a competition. Prints
one JSON object: precision and recall of the first k cells by three scores: the review's; the bare
probability of the other label (self-confidence); and that probability less its mean over the
cells with that label, less the same of the given label (the adjusted margin of confident learning).

``--practice`` takes folders of ``comptool simulate aicoss`` instead, whose training labels have
lost positives that complete_labels.csv still has; ``chance`` is the precision of an unordered list.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from hand_features import histograms
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import KFold

from comptool.label_review.issues import precision_and_recall, review

AT = (20, 50, 100, 200, 500, 1000)
Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]


def real_data() -> tuple[Floats, Labels] | None:
    """Features and labels of UC Merced, if it is there."""
    folder = Path(os.environ.get("COMPTOOL_REAL_DATA", "")) / "ucmerced"
    if not (folder / "train.csv").is_file():
        return None
    frame = pd.read_csv(folder / "train.csv")
    rows = np.stack([histograms(folder / path) for path in frame["img_path"]])
    return rows, frame.iloc[:, 2:].to_numpy(dtype=np.int64)


def generated_data() -> tuple[Floats, Labels]:
    """674 rows of features that tell 17 labels more or less clearly."""
    random = np.random.default_rng(0)
    labels = (random.random((674, 17)) < random.uniform(0.05, 0.5, 17)).astype(np.int64)
    return labels @ random.normal(size=(17, 40)) + random.normal(scale=1.5, size=(674, 40)), labels


def out_of_fold(rows: Floats, labels: Labels, seed: int) -> Floats:
    """Probabilities of rows that the trees have not seen."""
    probabilities = np.zeros(labels.shape)
    for train, held in KFold(5, shuffle=True, random_state=seed).split(rows):
        trees = ExtraTreesClassifier(200, min_samples_leaf=2, n_jobs=-1, random_state=seed)
        trees.fit(rows[train], labels[train])
        probabilities[held] = np.stack([p[:, 1] for p in trees.predict_proba(rows[held])], axis=1)
    return probabilities


def ranked(labels: Labels, scores: Floats, label: int) -> pd.DataFrame:
    """Cells with this label, the largest score first."""
    rows, columns = np.argwhere(labels == label)[np.argsort(-scores[labels == label])].T
    return pd.DataFrame({"id": rows.astype(str), "class": columns.astype(str)})


def adjusted_margin(labels: Labels, probabilities: Floats) -> Floats:
    """Margin of present over absent, each less its mean over the cells so marked; (N, K)."""
    present, absent = (
        np.average(one, axis=0, weights=labels == label)
        for label, one in ((1, probabilities), (0, 1 - probabilities))
    )
    return (probabilities - present) - (1 - probabilities - absent)


def measure(rows: Floats, truth: Labels, seed: int) -> Iterable[dict[str, object]]:
    """Precision and recall of both rankings, for deleted and for added labels."""
    random = np.random.default_rng(seed)
    chances = random.random(truth.shape)
    deleted = (truth == 1) & (chances < random.uniform(0, 0.4, truth.shape[1]))
    added = (truth == 0) & (chances < 0.02)
    labels = np.where(deleted, 0, np.where(added, 1, truth))
    yield from compare(labels, truth, out_of_fold(rows, labels, seed))


def measure_practice(folder: Path, seed: int) -> Iterable[dict[str, object]]:
    """The same for the deleted labels of a practice competition."""
    given, whole = (
        pd.read_csv(folder / name, index_col=0) for name in ("train.csv", "complete_labels.csv")
    )
    rows = np.stack([histograms(folder / path) for path in given.pop("img_path")])
    labels, truth = (table.to_numpy(dtype=np.int64) for table in (given, whole))
    yield from compare(labels, truth, out_of_fold(rows, labels, seed))


def compare(labels: Labels, truth: Labels, probabilities: Floats) -> Iterable[dict[str, object]]:
    """Precision and recall of the rankings, where cells of a kind are wrong."""
    ids, classes = ([str(index) for index in range(size)] for size in truth.shape)
    for kind, label in (("missing", 0), ("extra", 1)):
        changed = (labels == label) & (truth != label)
        if not changed.any():
            continue
        chance = changed.sum() / (labels == label).sum()
        wrong = [(str(row), str(column)) for row, column in np.argwhere(changed)]
        ours = review(ids, classes, labels, probabilities, kinds=[kind])
        sign = 1 - 2 * label
        margin = adjusted_margin(labels, probabilities)
        tables = {
            "review": ours,
            "self_confidence": ranked(labels, sign * probabilities, label),
            "adjusted_margin": ranked(labels, sign * margin, label),
        }
        for name, table in tables.items():
            for found in precision_and_recall(table, wrong, AT):
                yield {
                    "kind": kind,
                    "ranking": name,
                    "wrong": len(wrong),
                    **found,
                    "chance": chance,
                }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--practice", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    if options.practice:
        data = "practice"
        results = [one for folder in options.practice for one in measure_practice(folder, 0)]
    else:
        found = real_data()
        data = "generated" if found is None else "ucmerced"
        rows, truth = found or generated_data()
        results = [one for seed in range(options.seeds) for one in measure(rows, truth, seed)]
    means = pd.DataFrame(results).groupby(["kind", "ranking", "k"], sort=False).mean().round(3)
    document = {
        "benchmark": "label_review",
        "data": data,
        "seeds": len(options.practice) or options.seeds,
        "mean_over_seeds": means.reset_index().to_dict("records"),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
