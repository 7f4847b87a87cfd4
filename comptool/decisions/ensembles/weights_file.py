"""``ensemble.json``: searched weights, whose they are, and what they were worth.

Holds ``format`` (1), ``task``, ``classes``, ``metric``, ``search`` (how it was done), ``scores``
and ``members``: of each the prediction file, its ``runs``, its out-of-fold file, its score alone
and its ``weight``, one number or one per class by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool.decisions.ensembles.evidence import Evidence
from comptool.decisions.ensembles.nested import Searched
from comptool.errors import InputError
from comptool.outputs import atomic_output

FORMAT = 1
SUFFIX = ".json"

Doubles = npt.NDArray[np.float64]


def write_weights(
    path: Path,
    predictions: Sequence[Path],
    facts: Mapping[Path, Mapping[str, Any]],
    evidence: Evidence,
    found: Searched,
    how: Mapping[str, object],
    *,
    force: bool = False,
) -> None:
    """Write searched weights, atomically.

    Parameters
    ----------
    path
        Where to.
    predictions, facts
        The members' prediction files and what is recorded with them.
    evidence, found
        What was searched on, and what was found.
    how
        Settings of the search.
    force
        Whether an existing file is replaced.
    """
    rows = zip(predictions, evidence.paths, found.alone, found.weights, strict=True)
    members = [
        {
            "predictions": str(member),
            "runs": facts[member].get("runs") or [],
            "out_of_fold": str(held),
            "alone": alone,
            "weight": _named(weight, evidence.classes),
        }
        for member, held, alone, weight in rows
    ]
    document = {
        "format": FORMAT,
        "task": "multilabel" if evidence.targets.ndim == 2 else "multiclass",
        "classes": list(evidence.classes),
        "metric": found.metric,
        "search": dict(how),
        "scores": scores(found),
        "members": members,
    }
    with atomic_output(path, force=force) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def scores(found: Searched) -> dict[str, object]:
    """The figures of a search, for a record."""
    return {
        "nested": found.nested.document(),
        "in_sample": found.in_sample,
        "equal_weights": found.equal.document(),
        "best_single": found.single.document(),
        "rows": found.num_rows,
        "folds": found.num_folds,
    }


def read_weights(
    path: Path, predictions: Sequence[Path], facts: Mapping[Path, Mapping[str, Any]]
) -> tuple[Doubles, tuple[str, ...], str]:
    """Weights of these prediction files, the classes they are for, and how they were matched.

    Files are matched by the runs that made them where the records of all name these, and by their
    order otherwise.

    Parameters
    ----------
    path
        From `write_weights`.
    predictions, facts
        The prediction files and what is recorded with them.

    Returns
    -------
    numpy.ndarray, tuple, str
        Shape (M,), or (M, K) for weights per class; the K classes; a sentence.

    Raises
    ------
    InputError
        If the file is no such file, or its members are not these.
    """
    document = _document(path)
    members, classes = document["members"], tuple(document["classes"])
    if len(members) != len(predictions):
        raise InputError(
            f"has weights of {len(members)} members, and {len(predictions)} prediction files are "
            "given",
            file=path,
            values=[member["predictions"] for member in members],
        )
    runs = [facts[one].get("runs") or [] for one in predictions]
    theirs = [member["runs"] for member in members]
    order, how = list(range(len(members))), "the weights are taken in the order of the files"
    if all(runs) and all(theirs) and all(theirs.count(one) == 1 for one in theirs):
        missing = [", ".join(one) for one in runs if one not in theirs]
        if missing or any(runs.count(one) > 1 for one in runs):
            raise InputError(
                "has no weights for these runs, or one run is given twice",
                file=path,
                values=missing or [", ".join(one) for one in runs],
                mend="Give one prediction file of each: " + "; ".join(map(", ".join, theirs)),
            )
        order, how = [theirs.index(one) for one in runs], "each file has the weight of its run"
    weights = np.array([_numbers(members[place]["weight"], classes) for place in order])
    return weights, classes, how


def _document(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError("there is no such file of weights", file=path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT or not document["members"]:
            raise ValueError(f"format {document['format']}")
        for member in document["members"]:
            _numbers(member["weight"], document["classes"])
            member.setdefault("runs", [])
        if len({isinstance(member["weight"], dict) for member in document["members"]}) > 1:
            raise ValueError("some weights are per class and some are not")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"holds no weights of an ensemble ({error})",
            file=path,
            mend="Make it: comptool ensemble --search greedy",
        ) from error
    found: dict[str, Any] = document
    return found


def _named(weight: Any, classes: Sequence[str]) -> object:
    if np.ndim(weight) == 0:
        return float(weight)
    return dict(zip(classes, weight.tolist(), strict=True))


def _numbers(weight: Any, classes: Sequence[str]) -> list[float] | float:
    if isinstance(weight, dict):
        return [float(weight[name]) for name in classes]
    return float(weight)
