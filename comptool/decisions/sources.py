"""Which prediction file a decision starts from, and what its record says of the training set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool import provenance, runs
from comptool.classes import against
from comptool.competition import FILE
from comptool.errors import ComptoolError, InputError, UsageError
from comptool.facts import from_environment, read_facts
from comptool.predictions import Predictions, read_predictions, refuse_ranks


def latest_step(candidates: Sequence[Path]) -> tuple[Path, str]:
    """The first file of ``candidates`` that is there, and the sentence that says why it.

    Parameters
    ----------
    candidates
        Prediction files, the last step of the chain first.

    Raises
    ------
    InputError
        If there is none.
    """
    present = [path for path in candidates if path.exists()]
    if not present:
        looked = ", ".join(str(path) for path in candidates)
        raise InputError(
            f"no predictions here (looked for {looked})", mend="Make them: comptool infer"
        )
    taken = present[0]
    reason = f"taking {taken}, the last step of the chain that is here"
    newer = [path for path in present[1:] if path.stat().st_mtime > taken.stat().st_mtime]
    if newer:
        names = " and ".join(str(path) for path in newer)
        reason += f"; made before {names}, so it may be out of date"
    return taken, reason


def task_here() -> str:
    """The task that ``COMPTOOL_TASK`` or comptool.toml names, ``"multiclass"`` if neither does.

    Raises
    ------
    UsageError, InputError
        If one of them is not in order.
    """
    known = (read_facts(FILE) if FILE.exists() else {}) | from_environment(os.environ)
    return str(known.get("task", "multiclass"))


def read_multiclass(path: Path, facts: Mapping[str, Any]) -> Predictions:
    """Predictions of one class per image.

    Raises
    ------
    InputError
        If they are multi-label or of other classes than the record says, or the file is not in
        order.
    """
    task = facts.get("task") or task_here()
    if task != "multiclass":
        raise InputError(
            "these predictions are multi-label, and one class per image is decided here",
            file=path,
            mend="Each class of theirs stands alone: submit them as they are, or their answers "
            "above a threshold (comptool submit --threshold), or move each class by itself "
            "(comptool recalibrate --method thresholds, temperature, vector or isotonic; "
            "--compare tells which helps)",
        )
    return read_recorded(path, task, facts)


def read_cells(path: Path, facts: Mapping[str, Any]) -> Predictions:
    """Multi-label predictions of probabilities.

    Raises
    ------
    InputError
        If they are of one class per image, of other classes than the record says, or ranks, or the
        file is not in order.
    """
    refuse_ranks(path, facts)
    return read_recorded(path, "multilabel", facts)


def read_recorded(path: Path, task: str, facts: Mapping[str, Any]) -> Predictions:
    """Predictions whose classes are those that their record names, if it names any.

    Parameters
    ----------
    path
        The prediction file.
    task
        ``"multiclass"`` or ``"multilabel"``.
    facts
        What is recorded with it.

    Raises
    ------
    InputError
        If the record says that they are of another task or other classes, or the file is not in
        order.
    """
    if facts.get("task", task) != task:
        raise InputError(
            f"these predictions are {facts['task']} ones, and the competition is {task}",
            file=path,
            mend="Give the predictions of a run of this competition",
        )
    predictions = read_predictions(path, task=task)
    recorded = tuple(facts.get("classes") or predictions.classes)
    if predictions.classes != recorded:
        raise InputError(
            "its class columns are not those that its record names: "
            f"{against(predictions.classes, recorded)}",
            file=path,
            mend=f"If the file is right, delete {provenance.meta_path(path)}",
        )
    return predictions


def class_counts(facts: Mapping[str, Any]) -> dict[str, int] | None:
    """Training images per class as published, before any balancing; None where nothing says.

    Taken from the facts recorded with the predictions, otherwise from the header of the first run
    that made them and is still there.
    """
    counts = facts.get("class_counts")
    for name in [] if counts else facts.get("runs") or []:
        try:
            counts = runs.read_header(runs.members(runs.find_run(name))[0])["class_counts"]
            break
        except ComptoolError:
            continue
    return {str(name): int(count) for name, count in counts.items()} if counts else None


def count_vector(
    path: Path, classes: Sequence[str], facts: Mapping[str, Any], instead: str
) -> npt.NDArray[np.int64]:
    """Training images of each class, of shape (K,), in the order of ``classes``.

    Parameters
    ----------
    path
        The prediction file, for the message.
    classes
        The K class names.
    facts
        What is recorded with the file.
    instead
        What to type where nobody knows the counts.

    Raises
    ------
    UsageError
        If neither the record nor a run says how many training images the classes have.
    InputError
        If a class has no count.
    """
    counts = class_counts(facts)
    if counts is None:
        raise UsageError(
            f"{path}: neither {provenance.meta_path(path).name} nor a run says how many training "
            f"images each class has. {instead}"
        )
    missing = [name for name in classes if name not in counts]
    if missing:
        raise InputError(
            "the recorded class counts lack a class", file=path, values=missing, mend=instead
        )
    return np.array([counts[name] for name in classes], dtype=np.int64)
