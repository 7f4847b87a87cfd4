"""The ``evaluate`` command: metrics of a run or a prediction file with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.classes import left_out
from comptool.competition.config import load
from comptool.competition.likeness import effective_rows, read_weights
from comptool.errors import UsageError
from comptool.io import provenance
from comptool.io.atomic import refuse_existing, together
from comptool.io.predictions import Predictions
from comptool.io.provenance import PracticeFacts
from comptool.io.runs import damaged_record
from comptool.io.tables import check_ids, refuse_missing
from comptool.metrics import Metric, find
from comptool.metrics.bootstrap import (
    ENDS,
    IntervalEstimate,
    figures_with_intervals,
    share_with_interval,
    value_or_nan,
)
from comptool.metrics.curve_areas import WeightedRanking
from comptool.metrics.multiclass import Confusion, class_shares
from comptool.metrics.reliability import Confidences
from comptool.postprocess.oof import find_out_of_fold, networks_of, read_labelled
from comptool.reports.answer_tables import AnswerTables, true_labels
from comptool.reports.plots import draw_confusion, draw_numbers, draw_reliability, save_picture
from comptool.reports.score import (
    aligned,
    grade_cells,
    graded_metric,
    indices_of,
    numbers_of,
    task_of_answers,
)
from comptool.tasks import Task

ACCURACY, ECE = "accuracy", "ece"
# Draws of the calibration error of a calibrated model, at most: their mean is exact to 1 %.
DRAWS = 200
UNITS = {"confidence-gap": " points"}


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of predictions against labels."""

    evaluated: Path
    truth: Path
    classes: tuple[str, ...]
    # class indices (N,), 1, 0 and -1 (unknown) (N, K), or numbers (N, T)
    targets: npt.NDArray[Any]
    probabilities: npt.NDArray[np.floating]  # or numbers, (N, T)
    # Of the answers, or of all known cells of a multi-label task; None for numbers.
    confidences: Confidences | None
    # True class (row) by answered class (column), (K, K); None without class indices.
    confusion: npt.NDArray[np.number] | None
    metric: str
    figures: dict[str, IntervalEstimate]
    # Recall of each class, average precision for multi-label tasks, or absolute error of a number.
    per_class: dict[str, IntervalEstimate]
    notes: tuple[str, ...] = ()
    # Learnt fusion weights of each network by its folder: the share of the first kind of attention
    # in every block, as named in ``metrics.csv``, and their mean.
    fusion: dict[str, dict[str, float]] = field(default_factory=dict)
    # Mean and central 95 % of the calibration error of a calibrated model with these confidences.
    calibrated: IntervalEstimate | None = None
    # Table of importance weights, and those of the rows, (N,); None: all alike.
    like_test: Path | None = None
    importance: npt.NDArray[np.float64] | None = None

    @property
    def of_class(self) -> str:
        """Name of the ``per_class`` metric."""
        if self.confidences is None:
            return "mean absolute error"
        return "average precision" if self.confusion is None else "accuracy"

    def __str__(self) -> str:
        lines = [f"{self.evaluated}: {len(self.targets)} rows, labels of {self.truth}"]
        if self.importance is not None:
            rows = effective_rows(self.importance)
            lines.append(f"weighted by {self.like_test}: they count as {rows:.0f} rows")
        width = max(map(len, self.figures))
        lines += [
            f"{name:<{width}}  {figure}{UNITS.get(name, '')}{self._beside(name)}"
            for name, figure in self.figures.items()
        ]
        if self.confidences is not None or len(self.classes) > 1:
            unit = "number" if self.confidences is None else "class"
            lines.append(f"{self.of_class} of each {unit}")
            width = max(map(len, self.classes))
            lines += [f"  {name:<{width}}  {figure}" for name, figure in self.per_class.items()]
        for folder, alphas in self.fusion.items():
            lines.append(f"fusion weights of {folder}, share of the coordinate attention")
            lines += [f"  {name:<10}  {alpha:.4f}" for name, alpha in alphas.items()]
        return "\n".join(lines)

    def _beside(self, name: str) -> str:
        if name != ECE or self.calibrated is None:
            return ""
        return f"; of a calibrated model with these confidences {self.calibrated}"

    def document(self) -> dict[str, Any]:
        """The evaluation as JSON values."""
        found = {
            "evaluated": str(self.evaluated),
            "truth": str(self.truth),
            "rows": len(self.targets),
            "classes": list(self.classes),
            "figures": {name: figure.document() for name, figure in self.figures.items()},
            "per_class": {name: figure.document() for name, figure in self.per_class.items()},
            "fusion_weights": self.fusion,
            "warnings": list(self.notes),
            "metric": self.metric,
        }
        if self.importance is not None:
            found["like_test"] = str(self.like_test)
            found["effective_rows"] = effective_rows(self.importance)
        if self.calibrated is not None:
            found["ece_if_calibrated"] = self.calibrated.document()
        if self.confusion is not None:
            found["confusion"] = self.confusion.astype(int).tolist()
        return found


def evaluate(
    name: str | None,
    *,
    answers: Path | None = None,
    competition: Path | None = None,
    resamples: int,
    seed: int = 0,
    like_test: Path | None = None,
) -> Evaluation:
    """Evaluate a run on its out-of-fold rows, or predictions on known answers.

    Parameters
    ----------
    name
        A run, an out-of-fold file or, with ``answers``, a prediction file; None: the newest run.
    answers
        Ids with the true class, with one 0/1 column per class, or with the numbers; None: the
        labels of the tables that the run was trained with.
    competition
        A ``comptool.toml``; None: the one in the working directory, otherwise detected.
    resamples, seed
        Bootstrap resamples of the intervals, 0 for none, and the random seed.
    like_test
        A table of importance weights by which the out-of-fold rows count, see
        `comptool.competition.likeness`; None: all alike.

    Raises
    ------
    UsageError
        If there are answers and no predictions, or answers and ``like_test``.
    InputError
        If a file is damaged, ids or classes differ, or the rows are not out-of-fold evidence.
    """
    path = evaluated_file(name, answers)
    refuse_weighted_answers(answers, like_test)
    metric: Metric
    weights = None
    twice: list[str] = []
    if answers is None:
        here = load(competition)
        labelled = read_labelled(name, here)
        truth, predictions, targets = labelled.table, labelled.predictions, labelled.targets
        task, metric = here.kind, here.find_metric(classes=predictions.classes)
        if like_test is not None:
            weights = read_weights(like_test, predictions.ids, path)
            drawn = provenance.recall(truth)
            if drawn is not None and drawn.arguments.get("like_test"):
                twice.append(
                    f"{truth} holds out rows that look like the test set already (split "
                    "--like-test): they are weighted twice"
                )
    else:
        truth = answers
        predictions, targets, task = _answered(path, answers)
        recorded = provenance.facts(answers.resolve().parent, PracticeFacts)
        metric = graded_metric(task, recorded, None, predictions.classes)
    answered, confusion = None, None
    if targets.ndim == 1:
        answered = _decided(path, predictions)
        probabilities = np.eye(len(predictions.classes))[answered]
        confusion = Confusion.of(targets, probabilities).matrix()
    confidences = None
    if not task.numbers:
        confidences = Confidences.of(targets, predictions.probabilities, answered)
    measured = _measured(task, metric)
    values = _figures(measured, targets, predictions.probabilities, answered, confidences)
    figures, per_class = _with_intervals(values, len(targets), resamples, seed, weights)
    calibrated = None
    if resamples and confusion is not None and weights is None:
        figures, per_class = _of_shares(figures, confusion)
    if resamples and confidences is not None and len(confidences.row) and weights is None:
        errors = confidences.errors_if_calibrated(min(resamples, DRAWS), seed)
        calibrated = IntervalEstimate(errors.mean(), *np.quantile(errors, ENDS).tolist())
    named = dict(zip(predictions.classes, per_class, strict=True))
    networks = networks_of(path)
    notes = [note for folder, header in networks.items() if (note := left_out(folder, header))]
    runs = dict.fromkeys(one for folder in networks for one in (folder, folder.parent))
    notes += filter(None, map(damaged_record, runs))
    notes += twice
    fusion = {
        str(folder): header.fusion_weights
        for folder, header in networks.items()
        if header.fusion_weights
    }
    return Evaluation(
        path,
        truth,
        predictions.classes,
        targets,
        predictions.probabilities,
        confidences,
        confusion,
        metric.name,
        figures,
        named,
        tuple(notes),
        fusion,
        calibrated,
        like_test,
        weights,
    )


def refuse_weighted_answers(answers: Path | None, like_test: Path | None) -> None:
    """Raise a UsageError if both are given."""
    if answers is not None and like_test is not None:
        raise UsageError(
            "--like-test weights held-out rows to look like the test set; leave --answers out"
        )


def evaluated_file(name: str | None, answers: Path | None) -> Path:
    """The predictions for :func:`evaluate`, with the same parameters."""
    if answers is None:
        return find_out_of_fold(name).path
    if name is None:
        raise UsageError("--answers needs a prediction file to evaluate, such as preds.csv")
    for path in (Path(name), answers):
        refuse_missing(path)
    return Path(name)


def _answered(path: Path, answers: Path) -> tuple[Predictions, npt.NDArray[Any], Task]:
    tables = AnswerTables.read(path, answers)
    task = task_of_answers(tables.truth, tables.recorded)
    if task.cells:
        graded = grade_cells(task, tables)
        ids = np.array([""] * len(graded.targets), dtype=object)
        return Predictions(ids, graded.classes, graded.probabilities), graded.targets, task
    predictions = task.read(path)
    wanted = tables.truth.iloc[:, 0]
    check_ids(answers, str(wanted.name), wanted.to_numpy(dtype=object))
    order = aligned(path, predictions.ids.tolist(), answers, wanted.tolist())
    targets: npt.NDArray[Any]
    if task.numbers:
        targets = numbers_of(answers, tables.truth, predictions.classes)
    else:
        labels = true_labels(tables)
        targets = indices_of(answers, labels, predictions.classes, "predictions have")
    return predictions.take(order), targets, task


def _decided(path: Path, predictions: Predictions) -> npt.NDArray[np.integer]:
    """The answered class of each row, (N,): column ``pred``, else the most probable."""
    if predictions.pred is None:
        return np.asarray(predictions.probabilities.argmax(axis=1))
    answers = pd.Series(predictions.pred, name="pred")
    return indices_of(path, answers, predictions.classes, "predictions have")


Value = Callable[[npt.NDArray[np.floating]], float]
Values = Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]


def _measured(task: Task, metric: Metric) -> list[Metric]:
    """The metric and those that are shown for every competition of the task."""
    shown = task.shown_metrics
    own = [] if metric.name in shown else [metric]
    return [*own, *(find(name, task) for name in shown)]


def _figures(
    measured: Sequence[Metric],
    targets: npt.NDArray[Any],
    probabilities: npt.NDArray[np.floating],
    answered: npt.NDArray[np.integer] | None,
    confidences: Confidences | None,
) -> tuple[dict[str, Value], Values]:
    """Each figure, and those of the K classes or numbers, as functions of the row weights."""
    figures: dict[str, Value] = {}
    for metric in measured:
        value = metric.prepare(targets, probabilities, pred=answered)
        figures[metric.name] = partial(value_or_nan, value)
    if confidences is None:
        errors = np.abs(probabilities - targets)
        return figures, lambda weights: np.average(errors, axis=0, weights=weights)
    figures[ECE] = lambda weights: confidences.reliability(weights).error
    if answered is None:
        return figures, WeightedRanking(targets, probabilities).precisions
    figures["confidence-gap"] = confidences.gap
    confusion = Confusion.of(targets, np.eye(probabilities.shape[1])[answered])
    return figures, lambda weights: class_shares(confusion.matrix(weights))


def _with_intervals(
    values: tuple[dict[str, Value], Values],
    num_rows: int,
    resamples: int,
    seed: int,
    importance: npt.NDArray[np.float64] | None,
) -> tuple[dict[str, IntervalEstimate], list[IntervalEstimate]]:
    figures, per_class = values

    def everything(counts: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        weights = counts if importance is None else counts * importance
        return np.array([*(value(weights) for value in figures.values()), *per_class(weights)])

    found = figures_with_intervals(everything, num_rows, resamples, seed)
    named = dict(zip(figures, found, strict=False))
    if ECE in named:
        # Chance raises it, in a resample twice: resamples lie above a small error, not around it.
        named[ECE] = named[ECE].alone()
    return named, found[len(figures) :]


def _of_shares(
    figures: dict[str, IntervalEstimate], confusion: npt.NDArray[np.number]
) -> tuple[dict[str, IntervalEstimate], list[IntervalEstimate]]:
    """The figures with Jeffreys' interval of the accuracy; the accuracy of each class with its."""
    right, rows = np.diag(confusion), confusion.sum(axis=1)
    pairs = zip(right.tolist(), rows.tolist(), strict=True)
    if ACCURACY in figures:
        whole = share_with_interval(float(right.sum()), float(rows.sum()))
        figures = {**figures, ACCURACY: whole}
    return figures, [share_with_interval(*pair) for pair in pairs]


CONFUSION, RELIABILITY, NUMBERS = "confusion.png", "reliability.png", "numbers.png"


def picture_paths(folder: Path | None, *, force: bool = False) -> list[Path]:
    """Paths of the pictures of classes in a folder; none without a folder."""
    paths = [] if folder is None else [folder / name for name in (CONFUSION, RELIABILITY)]
    for path in paths:
        refuse_existing(path, force)
    return paths


def draw(
    found: Evaluation,
    folder: Path | None,
    arguments: Mapping[str, object],
    *,
    force: bool = False,
) -> list[Path]:
    """Draw all pictures, or none."""
    if folder is None:
        return []
    drawn = {}
    if found.confidences is None:
        drawn[NUMBERS] = draw_numbers(found.targets, found.probabilities, found.classes)
    else:
        weights = np.ones(len(found.targets)) if found.importance is None else found.importance
        reliability = found.confidences.reliability(weights)
        drawn[RELIABILITY] = draw_reliability(reliability, found.figures[ECE].value)
    if found.confusion is not None:
        drawn[CONFUSION] = draw_confusion(found.confusion, found.classes)
    read = filter(None, [found.evaluated, found.truth, found.like_test])
    inputs = provenance.hashes(read)
    with together():
        for name, picture in drawn.items():
            save_picture(folder / name, picture, force=force)
            provenance.record(folder / name, command="evaluate", arguments=arguments, inputs=inputs)
    return [folder / name for name in drawn]
