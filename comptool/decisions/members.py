"""The members of an ensemble: read, checked against one another, aligned, averaged, recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import provenance
from comptool.decisions.ensemble import (
    ANSWERED,
    POWER,
    Doubles,
    Floats,
    by_class,
    combine,
    normalised_weights,
)
from comptool.decisions.sources import task_here
from comptool.errors import InputError
from comptool.machine import compute_threads, threads
from comptool.outputs import together
from comptool.predictions import RANKS, Predictions, read_predictions, write_predictions

Folds = npt.NDArray[np.integer] | None
# Facts about how a member was made, which say nothing about the ensemble.
MADE = ("ensemble", "recalibration", "views", "merge", "weights", "evidence", "out_of_fold")
# What leads from a member to its out-of-fold rows.
TRACE = ("runs", "out_of_fold", "ensemble")


@dataclass(frozen=True)
class Ensemble:
    """An ensemble that has been written.

    Parameters
    ----------
    predictions
        The result.
    weights
        Share of each member.
    agreement
        Share, 0 to 1, of the rows for which all members have the same most probable class; for a
        multi-label task, of the cells that all members answer alike, above one half or not.
    task
        ``"multiclass"`` or ``"multilabel"``.
    notes
        Sentences for the person who asked.
    """

    predictions: Predictions
    weights: list[float]
    agreement: float
    task: str
    notes: tuple[str, ...]

    def text(self) -> str:
        """Rows and agreement, as a sentence."""
        of_what = "cells, image by class" if self.task == "multilabel" else "them"
        rows = f"{len(self.predictions)} rows"
        return f"{rows}; all members agree on {self.agreement:.1%} of {of_what}"


def ensemble_files(
    paths: Sequence[Path],
    output: Path,
    *,
    method: str = "mean",
    weights: Sequence[float] | None = None,
    power: float = POWER,
    class_weights: Doubles | None = None,
    made: Mapping[str, object] | None = None,
    more: Mapping[str, object] | None = None,
    force: bool = False,
) -> Ensemble:
    """Read the members, combine them, and write the ensemble with its record.

    Parameters
    ----------
    paths
        Prediction files; rows are ordered as in the first.
    output
        Where the ensemble goes.
    method, weights, power
        See :func:`comptool.decisions.ensemble.combine`.
    class_weights
        Weights of each class by itself in place of the method, shape (M, K), the sum over members
        one; multi-label.
    made
        More for the record of the ensemble: how the weights came about.
    more
        More facts of the predictions.
    force
        Whether an existing ``output`` is replaced.

    Raises
    ------
    UsageError
        If the weights do not fit.
    InputError
        If a file cannot be used, or the files differ in task, classes, class order or ids.
    """
    shares = normalised_weights(weights, len(paths))
    facts = {path: provenance.facts(path) for path in paths}
    task = _common_task(facts)
    # One is checked while the next is parsed.
    with threads(compute_threads()) as pool:
        members = list(pool.map(partial(read_predictions, task=task), paths))
    members = aligned(members, paths)
    tables = [member.probabilities for member in members]
    if class_weights is None:
        combined = combine(tables, method, weights, task, power=power)
    else:
        combined = by_class(tables, class_weights)
    result, notes = _result(members, paths, combined)
    shared, dropped = shared_facts(facts)
    read = provenance.hashes(paths)
    arguments: dict[str, object] = {"method": method, "weights": weights}
    known: dict[str, object] = {"members": [str(path) for path in paths], "method": method}
    known |= {"weights": shares, "made_of": [_trace(facts[path]) for path in paths]}
    if method == "power":
        known["power"] = arguments["power"] = power
    scores = {"scores": RANKS} if method == "rank-mean" and len(members) > 1 else {}
    if class_weights is not None:
        known["class_weights"] = class_weights.tolist()
    with together():
        write_predictions(output, result, force=force)
        provenance.record(
            output,
            command="ensemble",
            arguments=arguments,
            inputs=read,
            facts={**shared, **scores, "ensemble": known | dict(made or {}), **(more or {})},
        )
    return Ensemble(result, shares, _agreement(members, task), task, (*notes, *dropped))


def _trace(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: facts[key] for key in TRACE if facts.get(key)}


def _agreement(members: Sequence[Predictions], task: str) -> float:
    tables = [member.probabilities for member in members]
    multilabel = task == "multilabel"
    answers = np.stack([p > ANSWERED if multilabel else p.argmax(axis=1) for p in tables])
    return float((answers == answers[0]).all(axis=0).mean())


def _common_task(facts: Mapping[Path, Mapping[str, Any]]) -> str:
    tasks = {path: known["task"] for path, known in facts.items() if "task" in known}
    if len(set(tasks.values())) > 1:
        said = ", ".join(f"{path}: {task}" for path, task in tasks.items())
        raise InputError(f"these predictions are of different tasks ({said})")
    return str(next(iter(tasks.values()), None) or task_here())


def _result(
    members: Sequence[Predictions], paths: Sequence[Path], probabilities: Floats
) -> tuple[Predictions, list[str]]:
    first, notes = members[0], []
    if any(member.pred is not None for member in members):
        names = ", ".join(str(p) for p, m in zip(paths, members, strict=True) if m.pred is not None)
        notes.append(f"the decisions (column pred) of {names} are left out")
    fold = first.fold
    if any(_differs(fold, member.fold) for member in members):
        notes.append("the members' folds differ: the column fold is left out")
        fold = None
    return replace(first, probabilities=probabilities, pred=None, fold=fold), notes


def _differs(fold: Folds, other: Folds) -> bool:
    if fold is None or other is None:
        return fold is not other
    return not np.array_equal(fold, other)


def aligned(members: Sequence[Predictions], paths: Sequence[Path]) -> list[Predictions]:
    """The members with their rows in the order of the first.

    Raises
    ------
    InputError
        If a member has other classes, another class order or other ids than the first.
    """
    first = members[0]
    index = pd.Index(first.ids)
    for member, path in zip(members[1:], paths[1:], strict=True):
        _check_classes(first.classes, member.classes, paths[0], path)
    return [first] + [
        in_order(index, member, paths[0], path)
        for member, path in zip(members[1:], paths[1:], strict=True)
    ]


def in_order(index: pd.Index, member: Predictions, first: Path, path: Path) -> Predictions:
    """The rows of ``member`` in the order of the ids of ``index``.

    Parameters
    ----------
    index
        N distinct ids.
    member
        Predictions of the same N ids in any order.
    first, path
        Files that the ids of ``index`` and ``member`` are from, for the message.

    Raises
    ------
    InputError
        If an id of one is not in the other; names up to three.
    """
    if np.array_equal(index.to_numpy(), member.ids):
        return member
    own = pd.Index(member.ids)
    rows = own.get_indexer(index)
    extra = own[index.get_indexer(own) < 0]
    if len(extra):
        raise InputError(f"{len(extra)} ids are not in {first}", file=path, values=extra.tolist())
    missing = index[rows < 0]
    if len(missing):
        raise InputError(f"lacks {len(missing)} ids of {first}", file=path, values=missing.tolist())
    return member.take(rows)


def _check_classes(classes: Sequence[str], other: Sequence[str], first: Path, path: Path) -> None:
    extra = [name for name in other if name not in set(classes)]
    if extra:
        raise InputError(f"has classes that {first} lacks", file=path, values=extra)
    missing = [name for name in classes if name not in set(other)]
    if missing:
        raise InputError(f"lacks classes of {first}", file=path, values=missing)
    if tuple(classes) != tuple(other):
        raise InputError(
            f"has the classes in another order than {first} ({', '.join(classes)})",
            file=path,
            values=other,
            mend="Make both with the same class order; columns are never guessed",
        )


def shared_facts(facts: Mapping[Path, Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Facts on which all members that know them agree, and sentences about those dropped.

    ``runs`` are put together; a ``leak`` (why an out-of-fold file is no evidence) in one member is
    a leak in the ensemble.

    Parameters
    ----------
    facts
        Facts of each member; empty for a file without a record.
    """
    keys = dict.fromkeys(key for known in facts.values() for key in known if key not in MADE)
    shared: dict[str, Any] = {}
    notes = []
    for key in keys:
        values = [known[key] for known in facts.values() if key in known]
        if key == "runs":
            shared[key] = list(dict.fromkeys(run for runs in values for run in runs))
        elif key == "leak":
            shared[key] = next((value for value in values if value), None)
        elif all(value == values[0] for value in values):
            shared[key] = values[0]
        else:
            notes.append(f"the members' {key} differ and are not handed on")
    return shared, notes
