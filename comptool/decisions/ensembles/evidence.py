"""The out-of-fold rows of an ensemble's members, side by side, or why they cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool.competition import Competition
from comptool.decisions.own_evidence import own_evidence, side_by_side
from comptool.errors import UsageError
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
        For nested scores, shape (N,); see `comptool.evaluation.out_of_fold.nested_folds`.
    paths
        The M out-of-fold files.
    classes
        The K class names.
    rows
        Ids and folds of the training, with the first member's probabilities.
    table
        Where the labels are from.
    notes
        Sentences on where the rows are from.
    """

    members: list[npt.NDArray[np.floating]]
    targets: npt.NDArray[np.integer]
    folds: npt.NDArray[np.integer]
    paths: list[Path]
    classes: tuple[str, ...]
    rows: Predictions
    table: Path
    notes: list[str] = field(default_factory=list)


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
        lead to. A run on all data has no such rows; those of its folded sibling stand in.
    competition
        Says where labels are found.

    Raises
    ------
    UsageError
        If not as many are named as there are members, or a record names no run.
    InputError
        If a member has no evidence (and why), or the members differ in classes, rows or folds.
    """
    if named and len(named) != len(predictions):
        raise UsageError(
            f"{len(named)} times --oof for {len(predictions)} prediction files: name one for each, "
            "in their order, or none"
        )
    if named:
        found = [read_labelled(name, competition) for name in named]
    else:
        found = [_rows_of(path, facts[path], competition) for path in predictions]
    first = found[0]
    return Evidence(
        members=[one.probabilities for one in side_by_side(found)],
        targets=first.targets,
        folds=nested_folds(first.predictions.ids, first.predictions.fold),
        paths=[one.path for one in found],
        classes=first.predictions.classes,
        rows=first.predictions,
        table=first.table,
        notes=[*_notes(found), *_recalibrated(predictions, facts)],
    )


def _notes(found: Sequence[Labelled]) -> list[str]:
    return list(dict.fromkeys(one.note for one in found if one.note))


def _recalibrated(
    predictions: Sequence[Path], facts: Mapping[Path, Mapping[str, Any]]
) -> list[str]:
    return [
        f"warning: {path} was recalibrated, and the out-of-fold rows that weigh it were not"
        for path in predictions
        if facts[path].get("recalibration")
    ]


def _rows_of(path: Path, facts: Mapping[str, Any], competition: Competition) -> Labelled:
    if not facts.get("runs"):
        raise UsageError(
            f"{path} was made by no run that is recorded: name each member's run, in the order of "
            "the files, with --oof RUN"
        )
    return own_evidence(None, facts, competition)
