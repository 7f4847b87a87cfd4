"""The out-of-fold rows of an ensemble's members, side by side, or why they cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.classes import against
from comptool.competition import Competition
from comptool.decisions.members import in_order
from comptool.errors import InputError, UsageError
from comptool.evaluation.out_of_fold import Labelled, nested_folds, read_labelled
from comptool.predictions import Predictions


@dataclass(frozen=True)
class Evidence:
    """Labelled rows as all members predict them, none having been trained on them.

    Parameters
    ----------
    members
        M arrays of probabilities of shape (N, K).
    targets
        Class indices of shape (N,), or 1, 0 and -1 of shape (N, K).
    folds
        For nested scores, shape (N,): those of the training, or five by the ids if all rows are
        of one fold.
    paths
        The M out-of-fold files.
    classes
        The K class names.
    """

    members: list[npt.NDArray[np.floating]]
    targets: npt.NDArray[np.integer]
    folds: npt.NDArray[np.integer]
    paths: list[Path]
    classes: tuple[str, ...]


def gather(
    predictions: Sequence[Path],
    facts: Mapping[Path, Mapping[str, Any]],
    named: Sequence[str],
    competition: Competition,
) -> Evidence:
    """The out-of-fold rows of the runs that made the predictions.

    Parameters
    ----------
    predictions
        The members' prediction files.
    facts
        What is recorded with each.
    named
        Runs or out-of-fold files in the order of the members; empty for those that the records
        name. A run on all data has no such rows; its folded sibling can be named for it.
    competition
        Says where labels are found.

    Raises
    ------
    UsageError
        If not as many are named as there are members, or a record does not name one run.
    InputError
        If a member has no evidence (and why), or the members differ in classes, rows or folds.
    """
    if named and len(named) != len(predictions):
        raise UsageError(
            f"{len(named)} times --oof for {len(predictions)} prediction files: name one for each, "
            "in their order, or none"
        )
    names = list(named) or [_run_of(path, facts[path]) for path in predictions]
    found = [read_labelled(name, competition) for name in names]
    first = found[0]
    return Evidence(
        members=[one.probabilities for one in side_by_side(found)],
        targets=first.targets,
        folds=nested_folds(first),
        paths=[one.path for one in found],
        classes=first.predictions.classes,
    )


def side_by_side(found: Sequence[Labelled]) -> list[Predictions]:
    """The members' predictions with their rows in the order of the first.

    Raises
    ------
    InputError
        If a member has other classes, rows or folds than the first.
    """
    first = found[0]
    return [first.predictions, *(_aligned(first, other) for other in found[1:])]


def _run_of(path: Path, facts: Mapping[str, Any]) -> str:
    runs = facts.get("runs") or []
    if len(runs) != 1:
        made = f"{len(runs)} runs" if runs else "no run that is recorded"
        raise UsageError(
            f"{path} was made by {made}: name each member's run, in the order of the files, with "
            "--oof RUN"
        )
    return str(runs[0])


def _aligned(first: Labelled, other: Labelled) -> Predictions:
    one, two = first.predictions, other.predictions
    if one.classes != two.classes:
        raise InputError(
            f"its classes are not those of {first.path}: {against(two.classes, one.classes)}",
            file=other.path,
        )
    rows = in_order(pd.Index(one.ids), two, first.path, other.path)
    if one.fold is not None and rows.fold is not None:
        differ = np.flatnonzero(one.fold != rows.fold)
        if differ.size:
            raise InputError(
                f"{differ.size} rows are of another fold than in {first.path}: each member would "
                "have been trained on rows that the other is judged by",
                file=other.path,
                values=one.ids[differ].tolist(),
                mend="Leave one out, or train both on the same folds",
            )
    return rows
