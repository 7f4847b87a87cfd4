"""The AICOSS practice competition: 60 labels per aerial image, some deleted.

What it has from the real competition: the layout and the names of its files, columns and classes;
65,496 training and 43,665 test pictures of 188 x 188 px at full scale; labels that occur together
(a car park has cars and pavement); class frequencies from half a percent to more than half. What is
ours: the scenes are drawn, a label is true exactly when its things fill their share of the picture
(`comptool.practice.aerial_scenes`), and the positives that are missing from the training labels are
known. The test labels are complete.

Exactly the share asked for is deleted. A positive is the likelier to go the more its class is
overlooked (`ClassRule.missed`) and the less of the picture it fills, so that classes lose
different shares, as they do in tables labelled by hand.

Below a fifth of the full scale it is a small edition that a CPU can train on: 96 x 96 px, 20 of
the classes, and only the scenes in which those matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.io.tables import write_table
from comptool.practice.aerial_scenes import (
    CLASSES,
    KINDS,
    RULES,
    SMALL_CLASSES,
    ClassRule,
    SceneKind,
    photograph,
)
from comptool.practice.make_practice import in_parallel

# What fills this many times its class's least share is missed at the class's usual rate.
USUAL_SIZE = 4.0
SIZE_EFFECT = 0.5
LARGEST_EFFECT = 2.0


def labels_kept(
    shares: npt.NDArray[np.float64],
    deleted: float,
    rng: np.random.Generator,
    rules: tuple[ClassRule, ...] = RULES,
) -> npt.NDArray[np.bool_]:
    """The true labels that are left after deletion, of shape (N, K).

    ``shares`` is the share of each of N pictures that each of the K classes of ``rules`` fills, and
    ``deleted`` the share of the positives to delete. Every class that has positives keeps at least
    one of them; where that is in the way, fewer are deleted.
    """
    least = np.array([rule.least for rule in rules])
    truth = shares >= least
    rows, columns = np.nonzero(truth)
    size = USUAL_SIZE * least[columns] / shares[rows, columns]
    effect = np.minimum(size**SIZE_EFFECT, LARGEST_EFFECT)
    weight = np.array([rule.missed for rule in rules])[columns] * effect
    # The smallest exponential waiting times are a draw without replacement in proportion to weight.
    waiting = rng.exponential(size=len(rows)) / weight
    latest = np.zeros(len(rules))
    np.maximum.at(latest, columns, waiting)
    waiting[waiting == latest[columns]] = np.inf
    chosen = np.argsort(waiting, kind="stable")[: round(deleted * len(rows))]
    chosen = chosen[np.isfinite(waiting[chosen])]
    kept = truth.copy()
    kept[rows[chosen], columns[chosen]] = False
    return kept


TRAIN_ROWS, TEST_ROWS = 65496, 43665
FEWEST_ROWS = {"train": 120, "test": 80}
FULL_EDITION_SCALE = 0.2  # from here on all classes and the full size
SIDE, SMALL_SIDE = 188, 96
MOST_DELETED = 0.9
REPEATED_SCENES = 0.015  # share of the pictures that show the scene of another one again
JPEG_QUALITY = 92
CHUNK = 64  # pictures handed to a process at once; the bytes do not depend on it
PARTS = {"train": 1, "test": 2}


@dataclass(frozen=True)
class Edition:
    """What depends on the scale."""

    side: int  # pixels along a side
    classes: tuple[str, ...]  # names of the label columns
    weights: tuple[float, ...]  # how often each of `KINDS` is met, relative to the others


@dataclass(frozen=True)
class _Picture:
    path: Path
    kind: SceneKind
    side: int
    scene_seed: tuple[int, ...]
    camera_seed: tuple[int, ...]
    displaced: bool


def simulate(
    folder: Path,
    *,
    scale: float,
    seed: int,
    say: Callable[[str], None],
    processes: int | None = None,
    quiet: bool = True,
    deleted: float = 0.2,
) -> dict[str, object]:
    """Fill an empty folder with a practice AICOSS; see `comptool.practice.practice_registry`.

    Pictures are ``train/TRAIN_<number>.jpg`` and ``test/TEST_<number>.jpg``, at least 120 and 80;
    ``answers.csv`` has the test labels, ``complete_labels.csv`` the training labels before the
    share ``deleted`` of their positives, 0 to 0.9, is gone from ``train.csv``, and from it alone.
    """
    if not (0 < scale <= 1 and 0 <= deleted <= MOST_DELETED):
        raise ValueError(f"scale is {scale}, deleted is {deleted}; one is out of range")
    edition = edition_of(scale)
    chunks, counts = [], []
    for part, rows in (("train", TRAIN_ROWS), ("test", TEST_ROWS)):
        (folder / part).mkdir()
        counts.append(max(FEWEST_ROWS[part], round(rows * scale)))
        pictures = _plan(folder, part, counts[-1], edition, seed)
        chunks += [pictures[at : at + CHUNK] for at in range(0, counts[-1], CHUNK)]
    drawn = np.concatenate(in_parallel(_draw, chunks, processes=processes, quiet=quiet))
    shares = {"train": drawn[: counts[0]], "test": drawn[counts[0] :]}
    return _write_tables(folder, shares, edition, deleted, np.random.default_rng([seed, 3]), say)


def edition_of(scale: float) -> Edition:
    """The edition that is made at a scale above 0 and at most 1."""
    if scale < FULL_EDITION_SCALE:
        return Edition(SMALL_SIDE, SMALL_CLASSES, tuple(kind.small for kind in KINDS))
    return Edition(SIDE, CLASSES, tuple(kind.weight for kind in KINDS))


def _plan(folder: Path, part: str, count: int, edition: Edition, seed: int) -> list[_Picture]:
    """What is drawn, in the order of the table."""
    root = (seed, PARTS[part])
    rng = np.random.default_rng(root)
    kinds = _spread(count, np.array(edition.weights))
    scenes = np.arange(count)
    # Rows of one kind still stand together: the one before shows a scene of the same kind.
    again = (rng.random(count) < REPEATED_SCENES) & (np.diff(kinds, prepend=-1) == 0)
    again[1:] &= ~again[:-1]
    scenes[again] -= 1
    order = rng.permutation(count)
    return [
        _Picture(
            folder / part / f"{_identity(part, place)}.jpg",
            KINDS[kinds[row]],
            edition.side,
            (*root, 0, int(scenes[row])),
            (*root, 1, int(row)),
            bool(again[row]),
        )
        for place, row in enumerate(order)
    ]


def _spread(count: int, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    # Kinds of ``count`` rows in the proportions of the weights, to within one row each.
    reached = np.cumsum(weights) / weights.sum()
    return np.searchsorted(reached, (np.arange(count) + 0.5) / count)


def _identity(part: str, place: int) -> str:
    return f"{part.upper()}_{place:05d}"


def _draw(pictures: list[_Picture]) -> npt.NDArray[np.float64]:
    """Draw and write some pictures; the share that each of the 60 classes fills of them."""
    cv2.setNumThreads(1)
    shares = np.empty((len(pictures), len(CLASSES)))
    for row, one in enumerate(pictures):
        pixels, shares[row] = photograph(
            one.kind,
            one.side,
            np.random.default_rng(one.scene_seed),
            np.random.default_rng(one.camera_seed),
            displaced=one.displaced,
        )
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
        one.path.write_bytes(encoded.tobytes())
    return shares


def _write_tables(
    folder: Path,
    shares: dict[str, npt.NDArray[np.float64]],
    edition: Edition,
    deleted: float,
    rng: np.random.Generator,
    say: Callable[[str], None],
) -> dict[str, object]:
    columns = [CLASSES.index(name) for name in edition.classes]
    rules = tuple(RULES[column] for column in columns)
    least = np.array([rule.least for rule in rules])
    complete, answers = (shares[part][:, columns] >= least for part in ("train", "test"))
    kept = labels_kept(shares["train"][:, columns], deleted, rng, rules)
    train, test = _rows("train", len(kept)), _rows("test", len(answers))
    write_table(folder / "train.csv", _with_labels(train, kept, edition))
    write_table(folder / "test.csv", test)
    identities = test[["img_id"]]
    write_table(folder / "answers.csv", _with_labels(identities, answers, edition))
    nothing = np.zeros_like(answers)
    write_table(folder / "sample_submission.csv", _with_labels(identities, nothing, edition))
    whole = _with_labels(train[["img_id"]], complete, edition)
    write_table(folder / "complete_labels.csv", whole)
    lost = 1 - kept.sum() / max(complete.sum(), 1)
    (folder / "README.txt").write_text(_readme(edition, lost), encoding="utf-8")
    say(
        f"{len(kept)} training and {len(answers)} test pictures of {edition.side} px, "
        f"{len(rules)} classes, {complete.sum(axis=1).mean():.1f} labels a picture, "
        f"{lost:.1%} of the training labels deleted"
    )
    missed = 1 - kept.sum(axis=0) / np.maximum(complete.sum(axis=0), 1)
    return {
        "task": "multilabel",
        "metric": "map",
        "classes": list(edition.classes),
        "class_counts": dict(zip(edition.classes, kept.sum(axis=0).tolist(), strict=True)),
        "deleted": dict(zip(edition.classes, missed.round(4).tolist(), strict=True)),
    }


def _rows(part: str, count: int) -> pd.DataFrame:
    names = [_identity(part, place) for place in range(count)]
    return pd.DataFrame({"img_id": names, "img_path": [f"{part}/{name}.jpg" for name in names]})


def _with_labels(
    rows: pd.DataFrame, labels: npt.NDArray[np.bool_], edition: Edition
) -> pd.DataFrame:
    cells = pd.DataFrame(labels.astype(int), columns=list(edition.classes), index=rows.index)
    return pd.concat([rows, cells], axis=1).astype(str)


def _readme(edition: Edition, lost: float) -> str:
    names = "\n".join(edition.classes)
    return (
        "A practice competition made by comptool; every picture is drawn.\n\n"
        "Give the probability of every class for each picture of test.csv. Graded by the mean\n"
        "over classes of the average precision.\n"
        f"{lost:.0%} of the positives are missing from train.csv: they stand there as 0.\n"
        "answers.csv (the test labels) and complete_labels.csv (the training labels with nothing\n"
        "missing) are what the organiser would keep; only scoring and measuring read them.\n\n"
        f"{names}\n"
    )
