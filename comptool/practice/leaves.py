"""The leaf practice competitions: how much of a leaf is rusty, as a number and as a grade.

``rust`` asks for the covered share in percent, ``rust-grades`` for a severity from 0 to 4 as a
rater gives it: the share in steps, of which a tenth of the training rows is one step off. The
answers of the test rows are right. All leaves are drawn: an ellipse in any direction, and spots of
any size on it, whose pixels are counted.
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
from comptool.practice.make_practice import in_parallel, write_png

TRAIN_ROWS, TEST_ROWS = 6000, 2000  # at full scale
FEWEST_ROWS = {"train": 60, "test": 40}
PARTS = {"train": 1, "test": 2}
SIDE = 64  # pixels
CHUNK = 128  # leaves drawn together; the bytes do not depend on it
BOUNDS = (2.0, 8.0, 20.0, 40.0)  # percent, above which the next grade begins
DISAGREEING = 0.1  # share of the training rows with a neighbouring grade
MOST_COVERED = 70.0  # percent


@dataclass(frozen=True)
class _Leaf:
    path: Path
    wanted: float  # percent under rust, about
    seed: tuple[int, ...]


@dataclass(frozen=True)
class LeafCompetition:
    """A practice competition of rusty leaves; called, it fills a folder with one."""

    label: str
    task: str
    metric: str
    question: str  # for the README
    evaluation: str  # the same, where init reads the metric
    of_shares: Callable[[npt.NDArray[np.float64], np.random.Generator | None], list[str]]
    classes: tuple[str, ...]

    def __call__(
        self,
        folder: Path,
        *,
        scale: float,
        seed: int,
        say: Callable[[str], None],
        processes: int | None = None,
        quiet: bool = True,
    ) -> dict[str, object]:
        """Fill an empty folder; see `comptool.practice.practice_registry`.

        Leaves are ``train/<id>.png`` and ``test/<id>.png``, at least 60 and 40.
        """
        tables = {}
        for part, whole in zip(PARTS, (TRAIN_ROWS, TEST_ROWS), strict=True):
            rng = np.random.default_rng([seed, PARTS[part]])
            count = max(FEWEST_ROWS[part], round(whole * scale))
            ids = [f"leaf_{number:06d}" for number in rng.choice(1_000_000, count, replace=False)]
            paths = [f"{part}/{one}.png" for one in ids]
            (folder / part).mkdir()
            # Most leaves are little affected, and every severity is there.
            wanted = MOST_COVERED * rng.beta(0.6, 1.6, count)
            leaves = [
                _Leaf(folder / path, share, (seed, PARTS[part], row))
                for row, (path, share) in enumerate(zip(paths, wanted.tolist(), strict=True))
            ]
            jobs = [leaves[at : at + CHUNK] for at in range(0, count, CHUNK)]
            drawn = in_parallel(_draw, jobs, processes=processes, quiet=quiet)
            shares = np.array([share for chunk in drawn for share in chunk])
            labels = self.of_shares(shares, rng if part == "train" else None)
            tables[part] = pd.DataFrame({"image_id": ids, "path": paths, self.label: labels})
        self._write(folder, tables["train"], tables["test"])
        say(f"{len(tables['train'])} training leaves, {len(tables['test'])} test")
        return {"task": self.task, "metric": self.metric, "classes": list(self.classes)}

    def _write(self, folder: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
        write_table(folder / "train.csv", train)
        write_table(folder / "test.csv", test.drop(columns=self.label))
        write_table(folder / "answers.csv", test[["image_id", self.label]])
        sample = test[["image_id"]].assign(**{self.label: "0"})
        write_table(folder / "sample_submission.csv", sample)
        text = (
            "A practice competition made by comptool; every leaf is drawn.\n\n"
            f"{self.question}\n\n"
            f"## Evaluation\n\n{self.evaluation}\n"
            "answers.csv is what the organiser would keep; 'comptool score' alone reads it.\n"
        )
        (folder / "README.txt").write_text(text, encoding="utf-8")


def as_percent(shares: npt.NDArray[np.float64], rng: np.random.Generator | None) -> list[str]:
    """The shares with one digit after the point."""
    return [f"{share:.1f}" for share in shares]


def as_grades(shares: npt.NDArray[np.float64], rng: np.random.Generator | None) -> list[str]:
    """Grades 0 to 4 of the shares; with ``rng`` those of a rater, who is sometimes one off."""
    grades = np.searchsorted(BOUNDS, shares)
    if rng is not None:
        step = rng.choice([-1, 1], len(grades)) * (rng.random(len(grades)) < DISAGREEING)
        grades = np.clip(grades + step, 0, len(BOUNDS))
    return [str(grade) for grade in grades]


def _draw(leaves: list[_Leaf]) -> list[float]:
    """Draw and write leaves; gives the percent of each under rust."""
    return [_draw_leaf(leaf) for leaf in leaves]


def _draw_leaf(leaf: _Leaf) -> float:
    rng = np.random.default_rng(leaf.seed)
    green = np.zeros((SIDE, SIDE), np.uint8)
    axes = (int(rng.integers(22, 29)), int(rng.integers(11, 17)))
    centre = tuple((SIDE // 2 + rng.integers(-3, 4, 2)).tolist())
    cv2.ellipse(green, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    rows, columns = np.nonzero(green)
    rust = np.zeros_like(green)
    while 100 * (rust & green).sum() < leaf.wanted * len(rows) - 50:
        at = rng.integers(len(rows))
        cv2.circle(rust, (int(columns[at]), int(rows[at])), int(rng.integers(1, 5)), 1, -1)
    rust &= green
    # Blue first: soil, leaf, rust.
    colours = np.array([[60, 80, 100], [50, 140, 60], [40, 90, 170]]) + rng.integers(
        -12, 13, (3, 3)
    )
    pixels = colours[green + rust] + rng.normal(0, 12, (SIDE, SIDE, 3))
    write_png(leaf.path, np.clip(pixels, 0, 255).astype(np.uint8))
    return float(100 * rust.sum() / len(rows))


simulate_rust = LeafCompetition(
    "covered",
    "regression",
    "rmse",
    "Say for each leaf of test.csv how many percent of it are rusty.",
    "Submissions are scored by the root mean squared error (RMSE).",
    as_percent,
    ("covered",),
)
simulate_rust_grades = LeafCompetition(
    "severity",
    "ordinal",
    "quadratic-kappa",
    "Grade each leaf of test.csv from 0 (no rust) to 4.",
    "Submissions are scored by the quadratic weighted kappa.",
    as_grades,
    tuple(map(str, range(len(BOUNDS) + 1))),
)
