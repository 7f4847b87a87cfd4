"""Grading multi-label submissions: cells, image by class, that are present, absent or unknown."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.classes import against, competition_classes
from comptool.competition import FILE, load
from comptool.errors import InputError, UsageError, quoted
from comptool.evaluation.class_table import class_table
from comptool.evaluation.f_scores import at_thresholds
from comptool.evaluation.grades import (
    PRIVATE,
    PUBLIC,
    Grade,
    Parts,
    aligned,
    figure,
    part_column,
    parts_of,
    usual_metric,
)
from comptool.evaluation.metrics import MULTILABEL_METRICS, score
from comptool.facts import from_environment, read_facts
from comptool.label_matrix import PRESENT, Matrix, matrix_of_columns, matrix_of_lists, split_lists
from comptool.predictions import RESERVED, Predictions, read_predictions
from comptool.tables import check_ids, read_table

DEFAULT_METRIC = "map"
CELLS = frozenset({"0", "1", "-1", "", "0.0", "1.0", "-1.0"})


@dataclass(frozen=True)
class LabelGrade(Grade):
    """What a multi-label submission is worth.

    Parameters
    ----------
    classes
        Names of the K classes.
    targets
        int8 of shape (N, K): 1 present, 0 absent, -1 unknown.
    probabilities
        Floats of shape (N, K).
    of_decisions
        Whether the submission has answers and no probabilities.
    out_of_fold
        Whether all rows are one part, the rows of an out-of-fold file.
    left_out
        Classes without a present cell by the part in which they are none; no mean counts them.
    """

    classes: tuple[str, ...] = ()
    targets: Matrix = field(default_factory=lambda: np.empty((0, 0), np.int8), repr=False)
    probabilities: npt.NDArray[np.floating] = field(
        default_factory=lambda: np.empty((0, 0)), repr=False
    )
    of_decisions: bool = False
    out_of_fold: bool = False
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.out_of_fold:
            return f"{self.metric}  {figure(self.private)} ({self.num_private} out-of-fold rows)"
        return super().__str__()

    def metrics(self) -> dict[str, float]:
        """Every metric that is defined, on all rows."""
        found = {}
        for metric in MULTILABEL_METRICS:
            if metric.of_decisions or not self.of_decisions:
                try:
                    found[metric.name] = score(metric.name, self.targets, self.probabilities)
                except InputError:
                    continue
        return found

    def class_table(self) -> pd.DataFrame:
        """Every class's numbers on all rows, see `comptool.evaluation.class_table.class_table`."""
        return class_table(self.targets, self.probabilities, self.classes)

    def f_table(self, thresholds: Sequence[float]) -> pd.DataFrame:
        """Macro, micro and sample F1 on all rows at each threshold, a row each."""
        return pd.DataFrame(at_thresholds(self.targets, self.probabilities, thresholds))

    def notes(self) -> list[str]:
        """Every metric on all rows, and the classes that are left out, as sentences."""
        values = ", ".join(f"{name} {value:.5f}" for name, value in self.metrics().items())
        notes = [f"all {len(self.targets)} rows: {values}"]
        parts = [f"{part} {quoted(names)}" for part, names in self.left_out.items()]
        if parts:
            notes.append(f"without a present cell and left out of the means: {'; '.join(parts)}")
        return notes

    def summary(self) -> dict[str, object]:
        """The grade as one JSON object."""
        return {**super().summary(), "all": self.metrics(), "left_out": dict(self.left_out)}


def is_multilabel(truth: pd.DataFrame, recorded: Mapping[str, Any]) -> bool:
    """Whether answers are multi-label, by their record, the competition here, or their look.

    Parameters
    ----------
    truth
        The answers; ids in the first column.
    recorded
        Facts of the practice competition that they belong to; may be empty.
    """
    facts = (read_facts(FILE) if FILE.exists() else {}) | from_environment(os.environ)
    task = recorded.get("task") or facts.get("task")
    return task == "multilabel" if task else len(_cell_columns(truth)) > 1


def _cell_columns(truth: pd.DataFrame) -> list[str]:
    """Columns of 0, 1, -1 and blank, in the table's order."""
    others = [str(name) for name in truth.columns[1:] if name not in RESERVED]
    return [
        name
        for name in others
        if (values := set(truth[name].str.strip())) - {""} and values <= CELLS
    ]


def grade_cells(
    submission: Path,
    answers: Path,
    truth: pd.DataFrame,
    recorded: Mapping[str, Any],
    *,
    public: float | None = None,
    metric: str | None = None,
) -> LabelGrade:
    """Grade a multi-label submission.

    Parameters
    ----------
    submission
        Ids with one probability (or 1 and 0) per class, in any order of the columns, or with a
        list of classes. An out-of-fold file (with a column ``fold``) is graded as a whole on the
        rows that it has.
    answers, truth
        Ids with one column per class of 1, 0, -1 and blank, or with a list of classes.
    recorded
        Facts of the practice competition that they belong to; may be empty.
    public, metric
        See `comptool.evaluation.scoring.grade`; the usual metric is ``map``.

    Raises
    ------
    UsageError
        If the metric is unknown, or needs probabilities and there are none.
    InputError
        If a file cannot be used, or the ids or the classes differ.
    """
    name = metric or usual_metric(recorded, DEFAULT_METRIC)
    of_decisions = MULTILABEL_METRICS.find(name).of_decisions
    table = read_table(submission)
    classes = _classes(truth, recorded, table)
    answered, decided = _answered(submission, table, classes)
    if decided and not of_decisions:
        raise UsageError(f"{name} needs probabilities, and {submission} holds lists of classes")
    out_of_fold = answered.fold is not None
    if out_of_fold:
        truth = truth[truth.iloc[:, 0].isin(answered.ids)].reset_index(drop=True)
    order = aligned(submission, list(answered.ids), answers, truth.iloc[:, 0].tolist())
    targets, cells = _targets(answers, truth, classes), answered.probabilities[order]
    everything = np.ones(len(truth), dtype=np.bool_)
    parts = Parts(~everything, everything) if out_of_fold else parts_of(truth, public)
    grade = parts.grade(name, lambda rows: score(name, targets[rows], cells[rows]))
    return LabelGrade(
        name,
        grade.public,
        grade.private,
        grade.num_public,
        grade.num_private,
        classes=classes,
        targets=targets,
        probabilities=cells,
        of_decisions=decided,
        out_of_fold=out_of_fold,
        left_out=_left_out(parts, targets, classes),
    )


def _classes(
    truth: pd.DataFrame, recorded: Mapping[str, Any], table: pd.DataFrame
) -> tuple[str, ...]:
    """The classes by the record, the competition here, or the answers' columns or lists."""
    if recorded.get("classes"):
        return tuple(recorded["classes"])
    here = competition_classes(load()) if FILE.exists() else None
    if here is not None and set(here) & {*truth.columns, *table.columns}:
        return here
    columns = _cell_columns(truth)
    if len(columns) > 1:
        return tuple(columns)
    lists = [frame[_list_column(frame)] for frame in (truth, table)]
    named = {one for each in lists for cell in split_lists(each) for one in cell}
    return here or tuple(sorted(named))


def _list_column(table: pd.DataFrame) -> str:
    """The column with lists of classes: the first after the id that names no part."""
    part = part_column(table)
    return next(str(name) for name in table.columns[1:] if name != part)


def _targets(answers: Path, truth: pd.DataFrame, classes: Sequence[str]) -> Matrix:
    if set(classes) & set(truth.columns):
        return matrix_of_columns(answers, truth, classes)
    return matrix_of_lists(answers, truth[_list_column(truth)], classes)


def _answered(path: Path, table: pd.DataFrame, classes: Sequence[str]) -> tuple[Predictions, bool]:
    """A submission in the order of ``classes``, and whether it holds lists."""
    id_column = str(table.columns[0])
    if len(table.columns) == 2 and table.columns[1] not in classes:
        ids = table[id_column].to_numpy(dtype=object)
        check_ids(path, id_column, ids)
        listed = matrix_of_lists(path, table.iloc[:, 1], classes).astype(np.float64)
        return Predictions(ids, tuple(classes), listed, id_column=id_column), True
    found = read_predictions(path, task="multilabel")
    if set(found.classes) != set(classes):
        raise InputError(
            "its class columns are not those of the answers: "
            f"{against(sorted(found.classes), sorted(classes))}",
            file=path,
            mend="Its layout is that of the sample submission: comptool submit",
        )
    order = [found.classes.index(name) for name in classes]
    cells = found.probabilities[:, order]
    return Predictions(found.ids, tuple(classes), cells, fold=found.fold), False


def _left_out(parts: Parts, targets: Matrix, classes: Sequence[str]) -> dict[str, list[str]]:
    found = {}
    for part, rows in ((PUBLIC, parts.public), (PRIVATE, parts.private)):
        there = (targets[rows] == PRESENT).any(axis=0)
        if rows.any() and not there.all():
            found[part] = [name for name, seen in zip(classes, there, strict=True) if not seen]
    return found
