"""Metrics of a user's file or of a package, in one of two forms.

``f(targets, probabilities[, weights])`` gets arrays. A function with the parameters ``solution``
and ``submission``, or ``row_id_column_name``, gets tables, as the metrics that organisers publish
on Kaggle: the columns are those of the competition's sample submission, so far as it is known, and
the ids number the rows. Further keyword parameters are options of the metric.

Attributes of the function say what its signature does not: ``greater_is_better`` (True),
``reads`` ("probabilities", "classes", "numbers", or "ranking" with ``k``; by default what the
sample submission can hold).
"""

from __future__ import annotations

import inspect
import numbers
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from comptool.errors import (
    ComptoolError,
    InputError,
    UsageError,
    UserFunctionError,
    quoted,
    unknown_name,
)
from comptool.metrics.metric_registry import (
    CLASSES,
    NUMBERS,
    RANKING,
    READS,
    UNKNOWN,
    Floats,
    Metric,
    Targets,
    Weighted,
    Weights,
)
from comptool.registry import users_code

ROW_ID = "row_id_column_name"
TABLES = ("solution", "submission")
WEIGHTS = "weights"
# What functions of a package of ours or of scikit-learn call targets and predictions does not
# matter: they are given by position.
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Signature:
    """The form of a metric function, and the keyword parameters that are its options."""

    of_tables: bool
    weighted: bool
    options: Mapping[str, bool]  # whether it is required, by name

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> Signature:
        """A UsageError for parameters that are of neither form."""
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return cls(of_tables=False, weighted=False, options={})
        places = [one.name for one in parameters.values() if one.kind in POSITIONAL]
        of_tables = tuple(places[:2]) == TABLES or ROW_ID in parameters
        taken = [*places[:2], ROW_ID if of_tables else WEIGHTS]
        variadic = any(one.kind is one.VAR_POSITIONAL for one in parameters.values())
        if len(places) < 2 and not variadic:
            raise UsageError(
                f"{name} takes ({', '.join(parameters)}); a metric is a function of (targets, "
                "probabilities), of (targets, probabilities, weights), or of (solution, "
                "submission, row_id_column_name)"
            )
        options = {
            one.name: one.default is one.empty
            for one in parameters.values()
            if one.name not in taken and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        }
        return cls(of_tables, WEIGHTS in parameters and not of_tables, options)

    def in_words(self) -> dict[str, str]:
        """Whether each option is needed, by name."""
        words = {True: "needed", False: "may be given"}
        return {name: words[needed] for name, needed in self.options.items()}

    def checked(self, name: str, options: Mapping[str, object]) -> dict[str, object]:
        """The options by parameter; a UsageError for an unknown or a missing one."""
        given = {option.replace("-", "_"): value for option, value in options.items()}
        for option in given:
            if option not in self.options:
                raise (
                    unknown_name(f"option of the metric '{name}'", option, self.options)
                    if self.options
                    else UsageError(f"the metric '{name}' takes no '{option}'; it takes no options")
                )
        missing = [one for one, required in self.options.items() if required and one not in given]
        if missing:
            raise UsageError(
                f"the metric '{name}' needs {quoted(missing)}: {missing[0]} = VALUE under "
                f"[metric-options] in comptool.toml (comptool init --metric-option "
                f"{missing[0]}=VALUE)"
            )
        return given


def properties(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """The properties of a registry entry that attributes of the function give."""
    reads = getattr(function, "reads", UNKNOWN)
    if reads and reads not in READS:
        raise UsageError(f"{name}.reads is {reads!r}; it can be {', '.join(READS)}")
    greater = getattr(function, "greater_is_better", True)
    if not isinstance(greater, bool):
        raise UsageError(f"{name}.greater_is_better is {greater!r}; it is True or False")
    given: dict[str, Any] = {}
    if reads == RANKING:
        k = getattr(function, "k", None)
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise UsageError(f"{name}.k is {k!r}; a metric of rankings says how many classes")
        given = {"k": k}
    return {"reads": reads, "greater_is_better": greater, "given": given}


def prepare(
    metric: Metric,
    function: Callable[..., Any],
    targets: Targets,
    probabilities: Floats,
    pred: Targets | None = None,
) -> Weighted:
    """The metric of these predictions as a function of row weights.

    It is computed at once on all rows, so that a function that cannot be used is refused; on some
    of the rows, where a class may be missing, a failure means that it is not defined there. A
    function without weights gets each row as often as its weight says.

    Raises
    ------
    UserFunctionError
        If the function raises, or returns no finite number.
    """
    signature = Signature.of(metric.name, function)
    options = signature.checked(metric.name, metric.user_options)
    if signature.of_tables:
        tables = _Tables.of(metric, targets, probabilities, pred)

        def value(rows: Any = None, weights: Weights | None = None) -> object:
            solution, submission = tables.of_rows(rows)
            extra = {ROW_ID: tables.id} if ROW_ID in _parameters(function) else {}
            return function(solution, submission, **extra, **options)

        columns = f"; its tables have the columns {quoted(list(tables.submission.columns))}"
    else:

        def value(rows: Any = None, weights: Weights | None = None) -> object:
            taken = (
                (targets, probabilities) if rows is None else (targets[rows], probabilities[rows])
            )
            extra = {} if weights is None else {WEIGHTS: weights}
            return function(*taken, **extra, **options)

        columns = ""
    on_all_rows = _checked(metric, lambda: value(), columns)

    def weighed(weights: Weights | None = None) -> float:
        if weights is None or (weights == 1).all():
            return on_all_rows
        try:
            if signature.weighted:
                return _checked(metric, lambda: value(weights=weights), columns)
            rows = np.repeat(np.arange(len(targets)), weights.astype(np.intp))
            return _checked(metric, lambda: value(rows), columns)
        except UserFunctionError as error:
            raise InputError(f"{metric.name} is not defined on these rows: {error}") from None

    return weighed


def _parameters(function: Callable[..., Any]) -> Mapping[str, object]:
    return inspect.signature(function).parameters


def _checked(metric: Metric, call: Callable[[], object], columns: str) -> float:
    try:
        with users_code(metric.name):
            found = call()
    except ComptoolError:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
        column = columns if isinstance(error, (KeyError, AttributeError, IndexError)) else ""
        raise UserFunctionError(f"{_place(metric, error)} raised {told}{column}") from error
    if isinstance(found, np.ndarray) and found.ndim == 0:
        found = found[()]
    if not isinstance(found, numbers.Real):
        kind = type(found).__name__
        raise UserFunctionError(f"{metric.name} returned {found!r:.40} ({kind}), not one number")
    number = float(found)
    if not np.isfinite(number):
        raise UserFunctionError(f"{metric.name} returned {number}, which is not a score")
    return number


def _place(metric: Metric, error: Exception) -> str:
    """The metric with the line of its file where the error arose."""
    file = metric.target.rpartition(":")[0]
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.endswith(file)
    ]
    return f"{metric.name} (line {lines[-1]})" if lines and metric.is_users else metric.name


@dataclass(frozen=True)
class _Tables:
    """The true and the predicted answers as tables without ids."""

    solution: pd.DataFrame
    submission: pd.DataFrame
    id: str

    @classmethod
    def of(
        cls, metric: Metric, targets: Targets, probabilities: Floats, pred: Targets | None
    ) -> _Tables:
        num_classes = probabilities.shape[1] if probabilities.ndim == 2 else 1
        classes = metric.classes or tuple(map(str, range(num_classes)))
        label = metric.columns.label or "label"
        single = metric.columns.num_answers == 1
        if metric.reads == NUMBERS or (targets.ndim == 2 and not single):
            pair = (_cells_of(targets), probabilities.reshape(len(targets), -1))
            names = classes if len(classes) == pair[1].shape[1] else (label,)
        elif targets.ndim == 2:
            pair = (_lists(targets == 1, classes), _lists(probabilities > 0.5, classes))
            names = (label,)
        elif metric.reads in (CLASSES, RANKING) or (single and not _is_probability(classes)):
            texts = _as_read(classes)
            ranked = np.argsort(-probabilities, axis=1, kind="stable")
            if metric.reads == RANKING:
                k = metric.given["k"]
                answers = np.array([" ".join(map(str, texts[row[:k]])) for row in ranked], object)
            else:
                answers = texts[ranked[:, 0] if pred is None else pred]
            pair, names = (texts[targets], answers), (label,)
        elif single:
            pair, names = ((targets == 1).astype(np.int64), probabilities[:, 1]), (label,)
        else:
            pair = (np.eye(num_classes, dtype=np.int64)[targets], probabilities)
            names = classes
        frames = [
            pd.DataFrame(values.reshape(len(targets), -1), columns=list(names)) for values in pair
        ]
        return cls(frames[0], frames[1], metric.columns.id)

    def of_rows(self, rows: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Both tables with ids, in new copies, as functions may delete columns."""
        made = []
        for table in (self.solution, self.submission):
            some = table.copy() if rows is None else table.iloc[rows].reset_index(drop=True)
            some.insert(0, self.id, np.arange(len(some)))
            made.append(some)
        return made[0], made[1]


def _cells_of(targets: Targets) -> Any:
    """Targets as columns; unknown cells are NaN."""
    cells = targets.reshape(len(targets), -1)
    if np.issubdtype(cells.dtype, np.integer) and (cells == -1).any():
        return np.where(cells == -1, np.nan, cells)
    return cells


def _lists(answered: Any, classes: tuple[str, ...]) -> Any:
    names = np.array(classes, dtype=object)
    return np.array([" ".join(names[row]) for row in answered], dtype=object)


def _is_probability(classes: tuple[str, ...]) -> bool:
    """Whether a single answer column may hold the probability of the second of two classes."""
    return len(classes) == 2 and all(name.isdecimal() for name in classes)


def _as_read(classes: tuple[str, ...]) -> Any:
    """The class names as pandas reads them from a CSV: whole numbers as integers."""
    if all(name.lstrip("-").isdecimal() for name in classes):
        return np.array([int(name) for name in classes])
    return np.array(classes, dtype=object)
