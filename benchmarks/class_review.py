"""How well the review of one class per image finds labels that were changed on purpose.

    COMPTOOL_REAL_DATA=DIR python benchmarks/class_review.py [--seeds 3] [--write FOLDER]

Real chips of vehicles (MSTAR, 1,200 images, 10 classes) under COMPTOOL_REAL_DATA; without it,
generated features. A tenth or a fifth of the labels is changed: to any other class, or (``pair``)
each class to the next one alone. Out-of-fold probabilities come from extra trees, five folds, on
the pixels in the middle of the chip (95 % right on unchanged labels) and on histograms (81 %).
Prints one JSON object: average precision of four rankings of all rows, the review's, that of the
bare probability of the label (self-confidence), of its margin over the most probable other class,
and of cleanlab's adjusted margin; precision and recall of the rows that the review lists, of those
that the confident joint counts, and of those that cleanlab prunes; and the estimated number of
wrong labels over the true one.

``--write`` makes tables of the chips with a tenth of the labels changed instead, with out-of-fold
rows on their pixels, for ``comptool review oof.csv --truth truth.csv``.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from hand_features import histograms, pixels
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold

from comptool.label_review.confident_learning import class_doubt, confident_joint, review_rows

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]
RATES = (0.1, 0.2)


def real_data() -> tuple[dict[str, Floats], Labels] | None:
    """Features by name and labels of MSTAR, if it is there."""
    folder = Path(os.environ.get("COMPTOOL_REAL_DATA", "")) / "mstar"
    if not (folder / "train.csv").is_file():
        return None
    frame = pd.read_csv(folder / "train.csv", dtype=str)
    files = [folder / path for path in frame["image_path"]]
    rows = {
        made.__name__: np.stack([made(path) for path in files]) for made in (pixels, histograms)
    }
    return rows, pd.factorize(frame["label"], sort=True)[0].astype(np.int64)


def generated_data() -> tuple[dict[str, Floats], Labels]:
    """1,200 rows of features that tell 10 classes clearly, and less clearly."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 1200)
    centres = random.normal(size=(10, 30))[labels]
    return {
        name: centres + random.normal(scale=scale, size=centres.shape)
        for name, scale in (("clear", 1.5), ("less-clear", 2.5))
    }, labels


def out_of_fold(rows: Floats, labels: Labels, seed: int) -> Floats:
    """Probabilities of rows that the trees have not seen, shape (N, K)."""
    probabilities = np.zeros((len(labels), int(labels.max()) + 1))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    for train, held in folds.split(rows, labels):
        trees = ExtraTreesClassifier(200, min_samples_leaf=2, n_jobs=-1, random_state=seed)
        trees.fit(rows[train], labels[train])
        probabilities[held] = trees.predict_proba(rows[held])
    return probabilities


def changed(truth: Labels, rate: float, pair: bool, seed: int) -> Labels:
    """Labels of which a share is wrong."""
    random = np.random.default_rng(seed)
    num_classes = int(truth.max()) + 1
    steps = np.ones(len(truth), np.int64) if pair else random.integers(1, num_classes, len(truth))
    return np.where(random.random(len(truth)) < rate, (truth + steps) % num_classes, truth)


def measure(features: str, rows: Floats, truth: Labels, seed: int) -> Iterator[dict[str, object]]:
    """Each figure for each kind of change."""
    for rate in RATES:
        for pair in (False, True):
            labels = changed(truth, rate, pair, seed)
            probabilities = out_of_fold(rows, labels, seed)
            case = {"features": features, "changed": rate, "kind": "pair" if pair else "any"}
            for name, value in figures(labels, truth, probabilities):
                yield {**case, "figure": name, "value": value}


def figures(labels: Labels, truth: Labels, probabilities: Floats) -> Iterable[tuple[str, float]]:
    """Rankings, lists and the estimate."""
    wrong = labels != truth
    yield "accuracy", float((probabilities.argmax(axis=1) == truth).mean())
    rankings = {"review": class_doubt(labels, probabilities)[0]}
    for name, method in (("self-confidence", "self_confidence"), ("margin", "normalized_margin")):
        rankings[name] = -get_label_quality_scores(labels, probabilities, method=method)
    rankings["adjusted margin"] = -get_label_quality_scores(
        labels, probabilities, method="normalized_margin", adjust_pred_probs=True
    )
    for name, scores in rankings.items():
        yield f"average precision, {name}", float(average_precision_score(wrong, scores))
    ids, classes = [str(row) for row in range(len(labels))], list(map(str, range(labels.max() + 1)))
    table = review_rows(ids, classes, labels, probabilities)
    listed = table["id"].astype(int).to_numpy()
    lists = {
        "review": listed,
        "confident": listed[table["confident"] == 1],
        "cleanlab": find_label_issues(labels, probabilities).nonzero()[0],
    }
    for name, found in lists.items():
        yield f"precision, {name}", float(wrong[found].mean())
        yield f"recall, {name}", float(wrong[found].sum() / wrong.sum())
    yield "estimate over truth", confident_joint(labels, probabilities).wrong / float(wrong.sum())


def write(folder: Path, seed: int) -> None:
    """Tables of MSTAR with wrong labels, true ones and out-of-fold rows."""
    found = real_data()
    if found is None:
        raise SystemExit("COMPTOOL_REAL_DATA has to name the folder of real images")
    features, truth = found
    source = Path(os.environ["COMPTOOL_REAL_DATA"]).resolve() / "mstar"
    table = pd.read_csv(source / "train.csv", dtype=str)
    names = np.array(sorted(set(table["label"])))
    labels = changed(truth, RATES[0], pair=False, seed=seed)
    probabilities = pd.DataFrame(out_of_fold(features["pixels"], labels, seed), columns=names)
    folder.mkdir(parents=True)
    (folder / "images").symlink_to(source / "images")
    table[["image_id", "label"]].to_csv(folder / "truth.csv", index=False)
    table.assign(label=names[labels]).to_csv(folder / "train.csv", index=False)
    probabilities.insert(0, "image_id", table["image_id"])
    probabilities.to_csv(folder / "oof.csv", index=False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.write is not None:
        write(options.write, seed=0)
        return
    found = real_data()
    features, truth = found or generated_data()
    results = [
        one
        for name, rows in features.items()
        for seed in range(options.seeds)
        for one in measure(name, rows, truth, seed)
    ]
    case = ["features", "changed", "kind", "figure"]
    means = pd.DataFrame(results).groupby(case, sort=False)["value"].mean().round(3)
    document = {
        "benchmark": "class_review",
        "data": "generated" if found is None else "mstar",
        "seeds": options.seeds,
        "mean_over_seeds": means.reset_index().to_dict("records"),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
