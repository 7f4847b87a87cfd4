"""Answers of least expected cost.

A row with the probabilities p gets the class k with the least sum over j of ``p[j] * cost[j, k]``
(C. Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001). With a cost of 1 for every
mistake that is the most probable class. The probabilities have to be calibrated: the answers of an
overconfident network are nearer to its most probable classes than they should be.

The costs are a matrix, or follow from a taxonomy: the cost of a mistake is the number of edges from
a class up to the lowest common ancestor with the other, the greater one of the two numbers where
their depths differ (L. Bertinetto et al., "Making Better Mistakes", CVPR 2020, arXiv 1912.09393,
use its height).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from comptool.errors import InputError, UsageError
from comptool.io.tables import read_table, refuse_rows
from comptool.metrics import Metric
from comptool.metrics.bootstrap import NORMAL
from comptool.metrics.metric_options import read_matrix
from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    Indices,
    LabelledRows,
    rows_to_one,
)

CLASS, PARENT = "class", "parent"
# Of one, expected costs that differ by less are equal: the more probable class is answered.
CLOSE = 1e-12


def cost(
    context: CalibrationContext, *, cost: Path | None = None, tree: Path | None = None
) -> Apply:
    """Answer each row with the class of least expected cost; probabilities stay.

    Without a matrix or a taxonomy, the costs are those of the metric expected-cost.
    """
    names = context.classes
    if not names:
        raise UsageError("costs are by the names of the classes, which are not known")
    costs = costs_of(names, context.metric, cost, tree)

    def apply(probabilities: Floats) -> Answer:
        p = rows_to_one(probabilities)
        expected = p @ costs
        labels = cheapest(p, costs)
        rows = np.arange(len(p))
        facts = {
            "costs": costs.tolist(),
            "expected_cost": float(expected[rows, labels].mean()),
            "expected_cost_plain": float(expected[rows, p.argmax(axis=1)].mean()),
        }
        return Answer(p, labels, facts, np.ones(len(p), np.bool_))

    return apply


def costs_of(
    classes: Sequence[str], metric: Metric, matrix: Path | None, tree: Path | None
) -> Doubles:
    """The costs (K, K), true class by answered class, of a file, else of the metric.

    Raises
    ------
    UsageError
        If both files are given, or there are no costs.
    InputError
        If a file is wrong.
    """
    if matrix is not None and tree is not None:
        raise UsageError("--cost and --tree exclude each other")
    if matrix is not None:
        return np.array(read_matrix(matrix, tuple(classes), named=True, least=0))
    if tree is not None:
        return tree_costs(read_tree(tree), classes, tree)
    if not has_costs(metric):
        raise UsageError(
            "--method cost needs the costs: --cost MATRIX.csv (true class by answered class) or "
            "--tree TAXONOMY.csv"
        )
    return np.array(metric.given["cost"], dtype=np.float64)


def has_costs(metric: Metric) -> bool:
    """Whether a metric has a cost matrix."""
    return "cost" in metric.given


def cheapest(probabilities: Floats, costs: Doubles) -> Indices:
    """The class of least expected cost of each row, (N,); of equal ones the most probable.

    Examples
    --------
    >>> cheapest(np.array([[0.6, 0.4]]), np.array([[0.0, 1.0], [2.0, 0.0]]))
    array([1])
    """
    expected = probabilities @ costs
    slack = CLOSE * max(1.0, float(np.abs(costs).max()))
    least = expected <= expected.min(axis=1, keepdims=True) + slack
    return np.asarray(np.where(least, probabilities, -1).argmax(axis=1))


def measured(evidence: LabelledRows, costs: Doubles) -> dict[str, float]:
    """Mean cost on labelled rows of the most probable classes and of the cheapest, and the gain.

    Nothing is fitted to the rows, so these are unbiased. ``gain_low`` and ``gain_high`` are the
    normal interval of 95 % of the mean gain.
    """
    p, rows = rows_to_one(evidence.probabilities), evidence.targets
    plain, ours = costs[rows, p.argmax(axis=1)], costs[rows, cheapest(p, costs)]
    gains = plain - ours
    error = NORMAL * float(gains.std()) / np.sqrt(len(gains))
    gain = float(gains.mean())
    return {
        "plain": float(plain.mean()),
        "out_of_fold_cost": float(ours.mean()),
        "gain": gain,
        "gain_low": gain - error,
        "gain_high": gain + error,
    }


def read_tree(path: Path) -> dict[str, tuple[str, ...]]:
    """The ancestors of each class of a taxonomy, the nearest first.

    The table has a column ``class`` and either ``parent`` (one row for each class and inner node;
    a blank parent, or one without a row, is a root) or a column for each level of the taxonomy, in
    any order.

    Raises
    ------
    InputError
        If a class is repeated, a cell is blank, levels are not nested, or parents go in a circle.
    """
    frame = read_table(path, required=(CLASS,))
    names = frame[CLASS]
    refuse_rows(path, names, (names.str.strip() == "").to_numpy(), "the class is blank")
    refuse_rows(path, names, names.duplicated(), "this class has a row already")
    if PARENT in frame.columns:
        return _of_parents(path, dict(zip(names, frame[PARENT], strict=True)))
    levels = [str(column) for column in frame.columns if column != CLASS]
    if not levels:
        raise InputError(
            "a taxonomy has the column 'class' and either 'parent' or one column for each level",
            file=path,
            values=list(map(str, frame.columns)),
        )
    for level in levels:
        refuse_rows(path, frame[level], (frame[level].str.strip() == "").to_numpy(), "is blank")
    # Of nested levels the wider one has fewer names.
    levels.sort(key=lambda level: -frame[level].nunique())
    for narrow, wide in pairwise(levels):
        first = frame.groupby(narrow)[wide].transform("first")
        refuse_rows(
            path,
            frame[wide],
            (frame[wide] != first).to_numpy(),
            f"this row has another '{wide}' than an earlier one of the same '{narrow}', and levels "
            "are nested",
        )
    return {
        name: tuple(f"{level}={value}" for level, value in zip(levels, row, strict=True))
        for name, row in zip(names, frame[levels].to_numpy(), strict=True)
    }


def _of_parents(path: Path, parents: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found = {}
    for row, name in enumerate(parents, start=1):
        above: list[str] = []
        parent = parents[name]
        while parent.strip():
            if parent == name or parent in above:
                raise InputError(
                    "the parents go in a circle",
                    file=path,
                    row=row,
                    column=PARENT,
                    values=[parents[name]],
                )
            above.append(parent)
            parent = parents.get(parent, "")
        found[name] = tuple(above)
    return found


def tree_costs(
    ancestors: Mapping[str, Sequence[str]], classes: Sequence[str], path: Path
) -> Doubles:
    """Edges, (K, K), from a class up to the lowest common ancestor; the greater of both numbers.

    Classes without a common ancestor meet in a root above all. An InputError if a class has no row.

    Examples
    --------
    >>> tree_costs({"cat": ["pet"], "dog": ["pet"], "oak": ["tree"]}, ["cat", "dog", "oak"],
    ...            Path("t.csv")).tolist()
    [[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0]]
    """
    missing = [name for name in classes if name not in ancestors]
    if missing:
        raise InputError("has no row for classes", file=path, column=CLASS, values=missing)
    ways = [(name, *ancestors[name], None) for name in classes]  # None: the root above all
    places = [{node: height for height, node in enumerate(way)} for way in ways]
    found = np.zeros((len(classes), len(classes)))
    for one, way in enumerate(ways):
        for other in range(one):
            height, node = next((h, n) for h, n in enumerate(way) if n in places[other])
            found[one, other] = found[other, one] = max(height, places[other][node])
    return found
