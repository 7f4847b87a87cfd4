"""The out-of-fold rows that stand for a prediction file: those of the runs that made it.

Of predictions of several runs, the rows are mixed as the predictions were: by the recorded weights
of an ensemble, equally otherwise. (Ensembles of ranks and votes are taken as means here, and the
views of test-time augmentation are not repeated: out-of-fold rows are those of the plain image.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from comptool.competition import Competition
from comptool.decisions.ensemble import by_class
from comptool.decisions.ensembles.evidence import side_by_side
from comptool.evaluation.out_of_fold import Labelled, read_labelled


def own_evidence(named: str | None, facts: Mapping[str, Any], competition: Competition) -> Labelled:
    """The out-of-fold rows that were named, or those of the runs that made the predictions.

    Parameters
    ----------
    named
        A run or an out-of-fold file, or None.
    facts
        What is recorded with the predictions.
    competition
        Says where labels are found.

    Raises
    ------
    InputError
        If there are none, they are no evidence, or those of several runs do not fit together.
    """
    runs = [str(run) for run in facts.get("runs") or []]
    if named is not None or len(runs) < 2:
        return read_labelled(named or (runs[0] if runs else None), competition)
    found = [read_labelled(run, competition) for run in runs]
    rows = [one.probabilities for one in side_by_side(found)]
    mixed = by_class(rows, _weights(facts, len(runs)))
    trained = [one.trained for one in found if one.trained is not None]
    first = found[0]
    return replace(
        first,
        predictions=replace(first.predictions, probabilities=mixed),
        trained=sum(trained[1:], trained[0]) if trained else None,
    )


def _weights(facts: Mapping[str, Any], num_runs: int) -> Any:
    """Weights of the runs, shape (M,) or (M, K), if each run is a member; else equal ones."""
    recorded: Sequence[Any] = ()
    ensemble = facts.get("ensemble")
    if isinstance(ensemble, dict):
        recorded = ensemble.get("class_weights") or ensemble.get("weights") or ()
    if len(recorded) != num_runs:
        return np.full(num_runs, 1 / num_runs)
    return np.array(recorded, dtype=np.float64)
