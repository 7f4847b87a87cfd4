"""The out-of-fold rows that stand for a prediction file: made as it was made, of held-out rows.

Predictions of several runs are the mean of their networks, and so are the rows. Test-time
augmentation and searches of weights leave their rows beside their output. Any other ensemble's rows
are combined by its own method and weights; its record keeps what its members were made of. Ranks
are those among the out-of-fold rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition import Competition
from comptool.decisions.ensemble import POWER, by_class, combine
from comptool.decisions.members import in_order
from comptool.decisions.siblings import folded_sibling
from comptool.errors import ComptoolError, InputError
from comptool.evaluation.out_of_fold import Labelled, read_labelled
from comptool.predictions import Predictions
from comptool.runs import OOF, find_run, members

Floats = npt.NDArray[np.floating]


def own_evidence(named: str | None, facts: Mapping[str, Any], competition: Competition) -> Labelled:
    """The out-of-fold rows that were named, or those of what the predictions were made of.

    Parameters
    ----------
    named
        A run or an out-of-fold file, or None.
    facts
        What is recorded with the predictions; without a run, the newest one is taken.
    competition
        Says where labels are found.

    Raises
    ------
    InputError
        If there are none, they are no evidence, or those of several members do not fit together.
    """
    if named is not None or not facts.get("runs"):
        return read_labelled(named, competition)
    if facts.get("out_of_fold"):
        return _recorded(Path(facts["out_of_fold"]), competition)
    ensemble = facts.get("ensemble") or {}
    if ensemble.get("made_of"):
        parts = [_of_member(one, competition) for one in ensemble["made_of"]]
        mixed = _mixed(parts, lambda tables: _combined(tables, ensemble, competition.task))
        if not ensemble.get("weights_file"):
            return mixed
        told = f"the weights of {ensemble['weights_file']} may have been chosen on these rows"
        return replace(mixed, note="; ".join(filter(None, (mixed.note, told))))
    found = [_of_run(str(run), competition) for run in facts["runs"]]
    if len(found) == 1:
        return found[0]
    counts = np.array([_num_networks(run) for run in facts["runs"]])
    return _mixed(found, lambda tables: by_class(tables, counts / counts.sum()))


def side_by_side(found: Sequence[Labelled]) -> list[Predictions]:
    """The members' predictions with their rows in the order of the first.

    Raises
    ------
    InputError
        If a member has other classes, rows or folds than the first.
    """
    first = found[0]
    return [first.predictions, *(_aligned(first, other) for other in found[1:])]


def _recorded(path: Path, competition: Competition) -> Labelled:
    if not path.is_file():
        raise InputError(
            "the out-of-fold rows that are recorded with these predictions are gone",
            file=path,
            mend="Make the predictions again, or name a run: --oof RUN",
        )
    return read_labelled(str(path), competition)


def _of_member(facts: Mapping[str, Any], competition: Competition) -> Labelled:
    if not facts.get("runs"):
        raise InputError("no run is recorded with a member of this ensemble")
    return own_evidence(None, facts, competition)


def _of_run(run: str, competition: Competition) -> Labelled:
    """The rows of a run, or of the folded sibling of a run on all rows."""
    folder = find_run(run)
    sibling = None if (folder / OOF).exists() else folded_sibling(folder)
    if sibling is None:
        return read_labelled(run, competition)
    said = f"{folder} held no rows out: those of {sibling}, the same training in folds, stand in"
    return replace(read_labelled(str(sibling), competition), note=said)


def _num_networks(run: str) -> int:
    try:
        return len(members(find_run(run)))
    except ComptoolError:  # its rows are there, its checkpoints are not
        return 1


def _mixed(found: Sequence[Labelled], mix: Callable[[list[Floats]], Floats]) -> Labelled:
    rows = side_by_side(found)
    trained = [one.trained for one in found if one.trained is not None]
    return replace(
        found[0],
        predictions=replace(rows[0], probabilities=mix([one.probabilities for one in rows])),
        trained=sum(trained[1:], trained[0]) if trained else None,
        note="; ".join(dict.fromkeys(one.note for one in found if one.note)),
    )


def _combined(tables: list[Floats], ensemble: Mapping[str, Any], task: str) -> Floats:
    """Members combined as the record of an ensemble says."""
    if ensemble.get("class_weights"):
        return by_class(tables, np.array(ensemble["class_weights"], dtype=np.float64))
    power = ensemble.get("power", POWER)
    return combine(tables, ensemble["method"], ensemble["weights"], task, power=power)


def _check_same_rows(first: Labelled, other: Labelled) -> None:
    ids, others = (set(one.predictions.ids) for one in (first, other))
    for more, here, there in ((others - ids, other, first), (ids - others, first, other)):
        if more:
            raise InputError(
                f"{len(more)} of the rows that it was validated on are not those of {there.path}, "
                "whose run may have been trained on them",
                file=here.path,
                values=sorted(more),
                mend="Leave one out, or train both on the same folds",
            )


def _aligned(first: Labelled, other: Labelled) -> Predictions:
    one, two = first.predictions, other.predictions
    other.check_classes(one.classes, first.path)
    _check_same_rows(first, other)
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
