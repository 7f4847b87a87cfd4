"""The ``score`` command: answers or predictions against known labels, per class and in total.

A grade has the two parts of a leaderboard, public and private.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import tasks
from comptool.competition.config import FILE, load
from comptool.competition.schema import from_environment, read_facts
from comptool.errors import InputError, UsageError, counted, quoted
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.predictions import RESERVED
from comptool.io.provenance import PracticeFacts
from comptool.io.tables import check_ids, write_table
from comptool.metrics.curve_areas import precisions_and_areas
from comptool.metrics.metric_registry import (
    CLASSES,
    METRICS,
    PROBABILITIES,
    RANKING,
    UNKNOWN,
    Floats,
    Metric,
    Targets,
    find,
)
from comptool.metrics.multilabel import at_thresholds, count
from comptool.registry import is_user_object
from comptool.reports.answer_tables import (
    PRIVATE,
    PUBLIC,
    AnswerTables,
    asked_columns,
    codes_of,
    lists_of,
    part_column,
    submitted_cells,
    submitted_classes,
    submitted_numbers,
    true_labels,
)
from comptool.tasks import Task
from comptool.tasks.labels import (
    PRESENT,
    WRITTEN,
    Matrix,
    matrix_of_columns,
    matrix_of_numbers,
    split_lists,
)
from comptool.tasks.multilabel_task import ANSWERED

Rows = npt.NDArray[np.bool_]

HASH_BYTES = 8
PUBLIC_SHARE = 0.3


@dataclass(frozen=True)
class Grade:
    """Public and private score; None for a part without rows or an undefined metric."""

    metric: str
    public: float | None
    private: float | None
    num_public: int
    num_private: int

    def __str__(self) -> str:
        graded = [
            f"{part} {figure(value)} ({counted(rows, 'row')})"
            for part, value, rows in self._graded()
        ]
        return "  ".join([self.metric, *(graded or ["no row is graded"])])

    def summary(self) -> dict[str, object]:
        """The grade as one JSON object; a part without rows is left out."""
        parts = self._graded()
        values = {part: value for part, value, _ in parts}
        return {"metric": self.metric, **values, **{f"num_{part}": n for part, _, n in parts}}

    def _graded(self) -> list[tuple[str, float | None, int]]:
        public = (PUBLIC, self.public, self.num_public)
        private = (PRIVATE, self.private, self.num_private)
        return [part for part in (public, private) if part[-1]]


def figure(value: float | None) -> str:
    """A metric's value in a message.

    >>> figure(0.5), figure(None)
    ('0.50000', 'undefined')
    """
    return "undefined" if value is None else f"{value:.5f}"


@dataclass(frozen=True)
class Parts:
    """Masks of the public and the private rows, shape (N,)."""

    public: Rows
    private: Rows

    def grade(self, metric: str, value: Callable[[Rows], float]) -> Grade:
        """The grade, where ``value`` computes the metric of some rows.

        It is None where ``value`` raises an `InputError`: a part may be empty or of a single class.
        """
        public, private = (_or_none(value, part) for part in (self.public, self.private))
        return Grade(metric, public, private, int(self.public.sum()), int(self.private.sum()))


def _or_none(value: Callable[[Rows], float], part: Rows) -> float | None:
    try:
        return value(part)
    except InputError:
        return None


def parts_of(truth: pd.DataFrame, public: float | None) -> Parts:
    """The parts by a column of the answers, else by the ids."""
    column = part_column(truth)
    if public is None and column is not None:
        named = truth[column].str.strip().str.lower().to_numpy()
        return Parts(named == PUBLIC, named == PRIVATE)
    share = PUBLIC_SHARE if public is None else public
    shown = np.array([_draw(name) < share for name in truth.iloc[:, 0]], dtype=np.bool_)
    return Parts(shown, ~shown)


def _draw(identity: str) -> float:
    """Pseudo-random number in [0, 1) by id."""
    digest = hashlib.sha256(identity.encode()).digest()[:HASH_BYTES]
    return float(int.from_bytes(digest, "big") / 256**HASH_BYTES)


def aligned(
    submission: Path, ids: Sequence[str], answers: Path, wanted: Sequence[str]
) -> npt.NDArray[np.intp]:
    """Row of the submission for each answer."""
    places = {name: row for row, name in enumerate(ids)}
    missing = [name for name in wanted if name not in places]
    known = set(wanted)
    extra = [name for name in ids if name not in known]
    if missing or extra:
        sides = [
            f"{len(some)} ids {what}: {quoted(some)}"
            for some, what in ((missing, "are missing"), (extra, "are not asked for"))
            if some
        ]
        raise InputError(f"its ids are not those of {answers}: {'; '.join(sides)}", file=submission)
    return np.array([places[name] for name in wanted], np.intp)


def graded_metric(
    task: Task, recorded: PracticeFacts, name: str | None, classes: Sequence[str] | None = None
) -> Metric:
    """The metric by name, else the one recorded with the answers, the competition's or the task's.

    The options of ``comptool.toml`` are for the metric that it names.
    """
    name = name or recorded.metric
    own = read_facts(FILE).get("metric") if FILE.exists() else None
    if FILE.exists() and (name in (None, own) or is_user_object(name)):
        here = load()
        if here.task == task.name:
            return here.find_metric(name, classes=classes)
        name = name or here.metric
    return find(name or task.default_metric, task, classes=classes)


NUMBERS = ("average_precision", "roc_area", "precision", "recall", "f1")


def class_table(targets: Targets, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """One row per class, the smallest average precision first; answers are those above one half."""
    precisions, areas = precisions_and_areas(targets, probabilities)
    counts = count(targets, probabilities, ANSWERED)
    measured = counts.present > 0
    frame = pd.DataFrame(
        {
            "class": list(classes),
            "average_precision": precisions,
            "roc_area": areas,
            "precision": np.where(measured, counts.precision(), np.nan),
            "recall": np.where(measured, counts.recall(), np.nan),
            "f1": np.where(measured, counts.f_beta(), np.nan),
            "present": counts.present,
            "absent": (targets == 0).sum(axis=0),
            "unknown": (targets == -1).sum(axis=0),
        }
    )
    worst_first = frame.sort_values("average_precision", kind="stable", na_position="last")
    return worst_first.reset_index(drop=True)


def table_text(table: pd.DataFrame) -> str:
    """The table as text, with the macro means and the skipped classes."""
    measured = table[table["average_precision"].notna()]
    lines = []
    if len(measured):
        lines.append(measured.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
        means = measured[list(NUMBERS)].mean()
        lines.append(
            f"mean of {len(measured)} classes: average precision {means['average_precision']:.4f}, "
            f"ROC area {means['roc_area']:.4f}, F1 {means['f1']:.4f}"
        )
    left_out = table.loc[table["average_precision"].isna(), "class"]
    if len(left_out):
        names = ", ".join(f"'{name}'" for name in left_out)
        lines.append(f"left out, without a present cell: {names}")
    return "\n".join(lines)


@dataclass(frozen=True)
class LabelGrade(Grade):
    """Grade of a multi-label submission."""

    classes: tuple[str, ...] = ()  # names of the K classes
    # int8 of shape (N, K): 1 present, 0 absent, -1 unknown
    targets: Matrix = field(default_factory=lambda: np.empty((0, 0), np.int8), repr=False)
    # floats of shape (N, K)
    probabilities: npt.NDArray[np.floating] = field(
        default_factory=lambda: np.empty((0, 0)), repr=False
    )
    of_decisions: bool = False  # whether the submission has answers and no probabilities
    out_of_fold: bool = False  # whether all rows are one part, the rows of an out-of-fold file
    # classes without a present cell by part, left out of means
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    task: str = ""

    def __str__(self) -> str:
        if self.out_of_fold:
            return f"{self.metric}  {figure(self.private)} ({self.num_private} out-of-fold rows)"
        return super().__str__()

    def metrics(self) -> dict[str, float]:
        """All defined metrics on all rows."""
        found = {}
        for metric in METRICS[self.task]:
            if not metric.takes and (metric.needs_decisions or not self.of_decisions):
                try:
                    found[metric.name] = metric.score(self.targets, self.probabilities)
                except InputError:
                    continue
        return found

    def notes(self) -> list[str]:
        """Sentences on every metric and the skipped classes."""
        values = ", ".join(f"{name} {value:.5f}" for name, value in self.metrics().items())
        notes = [f"all {len(self.targets)} rows: {values}"]
        parts = [f"{part} {quoted(names)}" for part, names in self.left_out.items()]
        if parts:
            notes.append(f"without a present cell, so left out of map and auc: {'; '.join(parts)}")
        return notes

    def summary(self) -> dict[str, object]:
        """The grade as one JSON object."""
        return {**super().summary(), "all": self.metrics(), "left_out": dict(self.left_out)}


def task_of_answers(truth: pd.DataFrame, recorded: PracticeFacts) -> Task:
    """The task of answers, by their record, the competition here, or their content."""
    facts = (read_facts(FILE) if FILE.exists() else {}) | from_environment(os.environ)
    task = recorded.task or facts.get("task")
    return tasks.find(task) if task else tasks.by_shape(cells=len(_cell_columns(truth)) > 1)


def _cell_columns(truth: pd.DataFrame) -> list[str]:
    others = [str(name) for name in truth.columns[1:] if name not in RESERVED]
    return [
        name
        for name in others
        if (values := set(truth[name].str.strip())) - {""} and values <= WRITTEN.keys()
    ]


def grade_cells(
    task: Task, tables: AnswerTables, *, public: float | None = None, metric: str | None = None
) -> LabelGrade:
    """Grade a multi-label submission; the rest as in `grade`, with the default metric ``map``.

    The submission has ids with one probability (or 1 and 0) per class, in columns or rows, or with
    a list of classes; an out-of-fold file (with a column ``fold``) is graded on the rows that it
    has. The answers have one column or row per class of 1, 0, -1 and blank, or a list of classes.
    UsageError if the metric is unknown, or needs probabilities where there are none; InputError if
    a file, the ids or the classes do not fit.
    """
    classes, tables = _classes(task, tables)
    submission, truth = tables.submission, tables.truth
    measure = graded_metric(task, tables.recorded, metric, classes)
    given = submitted_cells(tables, classes, measure.reads)
    if given.kind == CLASSES and measure.reads not in (CLASSES, UNKNOWN):
        raise UsageError(
            f"{measure.name} needs probabilities, and {submission} holds lists of classes"
        )
    answered = given.predictions
    out_of_fold = answered.fold is not None
    if out_of_fold:
        truth = truth[truth.iloc[:, 0].isin(answered.ids)].reset_index(drop=True)
    order = aligned(submission, list(answered.ids), tables.answers, truth.iloc[:, 0].tolist())
    targets, cells = _targets(tables, truth, classes), answered.probabilities[order]
    everything = np.ones(len(truth), dtype=np.bool_)
    parts = Parts(~everything, everything) if out_of_fold else parts_of(truth, public)
    wanted, ranked = targets, cells
    if given.kind == RANKING and measure.is_ours:
        ranked = given.filled()[order]
        unknown = (targets == -1).all(axis=1, keepdims=True)
        wanted = np.hstack([targets, np.where(unknown, -1, np.zeros_like(targets))])
    grade = parts.grade(measure.name, lambda rows: measure.score(wanted[rows], ranked[rows]))
    return LabelGrade(
        **vars(grade),
        classes=classes,
        targets=targets,
        probabilities=cells,
        of_decisions=given.kind != PROBABILITIES,
        out_of_fold=out_of_fold,
        left_out=_left_out(parts, targets, classes),
        task=task.name,
    )


def _classes(task: Task, tables: AnswerTables) -> tuple[tuple[str, ...], AnswerTables]:
    """The classes, and the tables with a row per image."""
    if tables.recorded.classes:
        return tuple(tables.recorded.classes), tables
    here, truth, table = tables.known_classes, tables.truth, tables.table
    if here is not None:
        wide = tables.wide(task, here)
        if set(here) & {*wide.truth.columns, *wide.table.columns}:
            return here, wide
    columns = _cell_columns(truth)
    if len(columns) > 1:
        return tuple(columns), tables
    lists = [truth[_list_column(truth)], table[tables.answer or table.columns[1]]]
    named = {one for each in lists for cell in split_lists(each) for one in cell}
    return here or tuple(sorted(named)), tables


def _list_column(table: pd.DataFrame) -> str:
    """The column with lists of classes: the first after the id, except the part column."""
    part = part_column(table)
    return next(str(name) for name in table.columns[1:] if name != part)


def _targets(tables: AnswerTables, truth: pd.DataFrame, classes: Sequence[str]) -> Matrix:
    if set(classes) & set(truth.columns):
        return matrix_of_columns(tables.answers, truth, classes)
    matrix = np.zeros((len(truth), len(classes)), dtype=np.int8)
    cells, first = truth[_list_column(truth)], tables.first_number
    listed = lists_of(tables.answers, cells, classes, first)
    for row, places in enumerate(listed):
        matrix[row, places] = PRESENT
    return matrix


def _left_out(parts: Parts, targets: Matrix, classes: Sequence[str]) -> dict[str, list[str]]:
    found = {}
    for part, rows in ((PUBLIC, parts.public), (PRIVATE, parts.private)):
        there = (targets[rows] == PRESENT).any(axis=0)
        if rows.any() and not there.all():
            found[part] = [name for name, seen in zip(classes, there, strict=True) if not seen]
    return found


def grade(
    submission: Path, answers: Path, *, public: float | None = None, metric: str | None = None
) -> Grade:
    """Grade a submission.

    The task is that of the practice competition recorded with the answers, else of the competition
    in the working directory, else of the answers themselves.

    Parameters
    ----------
    submission
        Ids with what ``submit`` writes: one class, its number, one probability, a column per class
        (a prediction file with ``pred`` is graded by that), a list, the K most probable classes,
        numbers; columns before the id are ignored.
    answers
        Ids with the true class or numbers in the label column of comptool.toml, otherwise in that
        of the submission, otherwise in the first; or one 0/1 column (or row) per class, or a list
        of classes.
    public
        Share of the public part, 0 to 1, see `parts_of`.
    metric
        Its name; by default the one recorded with the answers, else the competition's.

    Raises
    ------
    UsageError
        If the metric is unknown, or needs probabilities and there are none.
    InputError
        If a file cannot be used, the ids differ, or a class is unknown.
    """
    tables = AnswerTables.read(submission, answers)
    task = task_of_answers(tables.truth, tables.recorded)
    graded: Grade = task.step("grade")(task, tables, public=public, metric=metric)
    return graded


def grade_classes(
    task: Task, tables: AnswerTables, *, public: float | None = None, metric: str | None = None
) -> Grade:
    """Grade a single-label submission; for the parameters see `grade`."""
    submission, answers = tables.submission, tables.answers
    _check_ids(tables)
    labels = true_labels(tables)
    asked = graded_metric(task, tables.recorded, metric)
    given = submitted_classes(tables.wide(task, tables.known_classes), labels, asked.reads)
    if given.kind != PROBABILITIES and asked.reads == PROBABILITIES:
        what = "one class a row" if given.kind == CLASSES else "lists of classes"
        raise UsageError(f"{asked.name} needs probabilities, and {submission} holds {what}")
    answered = given.predictions
    decided = None
    if answered.pred is not None:
        decided = codes_of(submission, pd.Series(answered.pred, name="pred"), answered.classes)
    order = aligned(submission, list(answered.ids), answers, tables.truth.iloc[:, 0].tolist())
    targets = indices_of(answers, labels, answered.classes, f"submission {submission} has")
    measure = graded_metric(task, tables.recorded, metric, answered.classes)
    is_ranking = measure.is_ours and measure.reads == RANKING
    filled = given.filled() if is_ranking else answered.probabilities
    probabilities = filled[order]

    def value(rows: Rows) -> float:
        pred = None if decided is None else decided[order][rows]
        return measure.score(targets[rows], probabilities[rows], pred=pred)

    return parts_of(tables.truth, public).grade(measure.name, value)


def grade_numbers(
    task: Task, tables: AnswerTables, *, public: float | None = None, metric: str | None = None
) -> Grade:
    """Grade a submission of numbers; for the parameters see `grade`."""
    submission, answers, truth = tables.submission, tables.answers, tables.truth
    _check_ids(tables)
    known = tables.known_classes
    if known is None or not set(known) <= {*truth.columns}:
        known = tuple(name for name in asked_columns(tables.table) if name in truth.columns)
    known = known or tuple(asked_columns(tables.table))
    answered = submitted_numbers(tables, known).predictions
    measure = graded_metric(task, tables.recorded, metric, known)
    order = aligned(submission, list(answered.ids), answers, truth.iloc[:, 0].tolist())
    targets, found = numbers_of(answers, truth, known), answered.probabilities[order]
    return parts_of(truth, public).grade(
        measure.name, lambda rows: measure.score(targets[rows], found[rows])
    )


def _check_ids(tables: AnswerTables) -> None:
    ids = tables.truth.iloc[:, 0]
    check_ids(tables.answers, str(ids.name), ids.to_numpy(dtype=object))


def numbers_of(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[Any]:
    """The true numbers of a table, shape (N, T), in the columns of the predictions."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(
            "has no column of these numbers of the predictions",
            file=path,
            values=missing,
            mend="Its columns are the id and the numbers, called as in the training table",
        )
    return matrix_of_numbers(path, table, columns)


def indices_of(
    path: Path, labels: pd.Series[str], classes: Sequence[str], owner: str
) -> npt.NDArray[np.intp]:
    """The index of the class of each row, shape (N,); InputError for an unknown class."""
    index = {name: place for place, name in enumerate(classes)}
    for row, name in enumerate(labels, start=1):
        if name not in index:
            what = f"is a class that the {owner} no column for"
            raise InputError(what, file=path, row=row, column=str(labels.name), values=[name])
    return np.array([index[name] for name in labels], np.intp)


def report(
    graded: Grade,
    submission: Path,
    answers: Path,
    per_class: Path | None = None,
    thresholds: str | None = None,
    *,
    force: bool = False,
) -> tuple[list[str], dict[str, Any]]:
    """Text and JSON of a multi-label grade: every metric, the table of classes, F1 at thresholds.

    ``per_class`` is the path of the table; ``thresholds`` are numbers from 0 to 1, separated by
    commas. UsageError if a table is asked for a single-label grade, or a threshold is no such
    number; InputError if the table cannot be written.
    """
    if not isinstance(graded, LabelGrade):
        if per_class is not None or thresholds is not None:
            raise UsageError("--per-class and --thresholds are for multi-label answers")
        return [], {}
    texts, facts = graded.notes(), dict[str, Any]()
    if thresholds is not None:
        figures = at_thresholds(graded.targets, graded.probabilities, _numbers(thresholds))
        table = pd.DataFrame(figures)
        shown = table.to_string(index=False, float_format=lambda value: f"{value:.4f}")
        texts.append(f"F1\n{shown}")
        facts["f1"] = table.to_dict("records")
    if per_class is not None:
        table = class_table(graded.targets, graded.probabilities, graded.classes)
        arguments = {"submission": submission, "answers": answers, "per_class": per_class}
        inputs = provenance.hashes([submission, answers])
        with together():
            write_table(per_class, table, force=force)
            provenance.record(per_class, command="score", arguments=arguments, inputs=inputs)
        texts.append(table_text(table))
        facts["per_class"] = str(per_class)
    return texts, facts


def _numbers(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [float("nan")]
    if not all(0 <= value <= 1 for value in values):
        raise UsageError(f"--thresholds must be numbers from 0 to 1 with commas, not '{text}'")
    return values
