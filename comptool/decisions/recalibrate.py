"""One recalibration from file to file: settings, head classes or prior, decision, record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from comptool import provenance
from comptool.competition import load
from comptool.decisions import alternating, sources
from comptool.decisions.decision import Decision
from comptool.decisions.histogram import count_table
from comptool.decisions.quotas import by_quota, most_frequent, named_heads, quota
from comptool.decisions.recalibration import CELL_METHODS, METHODS
from comptool.decisions.recalibration.config import (
    FRACTION,
    THRESHOLDS,
    TOP_K_HEAD,
    Settings,
)
from comptool.errors import InputError
from comptool.outputs import together
from comptool.predictions import Predictions, write_predictions

__all__ = ["Outcome", "Settings", "quota", "recalibrate_file"]

# Loaded for the methods that need it: scipy and the metrics are half a second.
FAMILY = "comptool.decisions.recalibration"


@dataclass(frozen=True)
class Outcome:
    """A recalibration that has been written, for the person who asked."""

    source: Path
    output: Path
    result: Decision
    notes: tuple[str, ...]

    def text(self) -> str:
        """Notes, the class counts before and after, and warnings."""
        head = self.result.facts.get("head")
        columns: dict[str, list[Any]] = {
            "before": self.result.before.tolist(),
            "after": self.result.after.tolist(),
        }
        classes = self.result.predictions.classes
        if isinstance(head, list):
            columns["role"] = ["head" if name in head else "tail" for name in classes]
        warnings = [f"warning: {warning}" for warning in self.result.warnings]
        return "\n".join([*self.notes, count_table(classes, columns), *warnings])

    def summary(self) -> dict[str, object]:
        """The outcome as one JSON object."""
        classes = self.result.predictions.classes
        return {
            "output": self.output,
            "input": self.source,
            "rows": len(self.result.predictions),
            **self.result.facts,
            "before": dict(zip(classes, self.result.before.tolist(), strict=True)),
            "after": dict(zip(classes, self.result.after.tolist(), strict=True)),
            "warnings": self.result.warnings,
        }


class Asked(NamedTuple):
    """One recalibration: predictions of a file, what is recorded with it, what was asked for."""

    source: Path
    predictions: Predictions
    facts: Mapping[str, Any]
    settings: Settings
    competition: Path | None

    def question(self) -> Any:
        """What every method of the family shares of the settings."""
        return import_module(f"{FAMILY}.knowing").question_of(self.settings)

    def counts(self, instead: str) -> npt.NDArray[np.int64]:
        """Training images of each class; the error where nobody knows them says what else to do."""
        return sources.count_vector(self.source, self.predictions.classes, self.facts, instead)


def recalibrate_file(
    source: Path,
    output: Path,
    settings: Settings,
    *,
    competition: Path | None = None,
    force: bool = False,
) -> Outcome:
    """Read predictions, decide them, and write them with the column ``pred`` and a record.

    Parameters
    ----------
    source
        Predictions.
    output
        Where the decided ones go.
    settings
        What was asked for.
    competition
        A ``comptool.toml``, looked at for out-of-fold rows alone.
    force
        Whether an existing ``output`` is replaced.

    Raises
    ------
    UsageError
        If the settings contradict one another, or nothing says which classes are head classes.
    InputError
        If the predictions cannot be used, or a method lacks the out-of-fold rows that it needs.
    """
    settings.check()
    facts = provenance.facts(source)
    if _of_cells(settings.method, facts):
        settings.check_cells()
        predictions, decide = sources.read_cells(source, facts), _cells
    else:
        predictions = sources.read_multiclass(source, facts)
        _refuse_one_row(source, len(predictions), settings.method)
        decide = {"quota": _quota, "can": _can}.get(settings.method, _family)
    result, note = decide(Asked(source, predictions, facts, settings, competition))
    read = provenance.hashes([source])
    counts = sources.class_counts(facts)
    known = {**facts, **({"class_counts": counts} if counts else {})}
    with together():
        write_predictions(output, result.predictions, force=force)
        provenance.record(
            output,
            command="recalibrate",
            arguments=asdict(settings),
            inputs=read,
            facts={**known, "recalibration": result.facts},
        )
    return Outcome(source, output, result, tuple(note))


def _of_cells(method: str, facts: Mapping[str, Any]) -> bool:
    """Whether a method of several labels was asked for."""
    task = facts.get("task") or sources.task_here()
    return method == THRESHOLDS or (task == "multilabel" and method in CELL_METHODS)


def _refuse_one_row(source: Path, num_rows: int, method: str) -> None:
    if num_rows < 2 and METHODS.find(method).of_sets:
        raise InputError(
            f"one row is no test set, and {method} looks at all rows together",
            file=source,
            mend="Take the most probable class as it is: comptool submit",
        )


def _family(asked: Asked) -> tuple[Decision, list[str]]:
    decided: tuple[Decision, list[str]] = import_module(f"{FAMILY}.deciding").decide(
        asked.source,
        asked.predictions,
        asked.facts,
        asked.settings.method,
        asked.question(),
        asked.competition,
    )
    return decided


def _cells(asked: Asked) -> tuple[Decision, list[str]]:
    about = load(asked.competition)
    labelled = import_module("comptool.decisions.own_evidence").own_evidence(
        asked.settings.oof, asked.facts, about
    )
    decided: tuple[Decision, list[str]] = import_module(f"{FAMILY}.deciding_cells").decide_cells(
        asked.predictions, labelled, asked.settings, about.metric
    )
    return decided


def _quota(asked: Asked) -> tuple[Decision, list[str]]:
    settings, predictions = asked.settings, asked.predictions
    fraction = FRACTION if settings.fraction is None else settings.fraction
    if settings.head_classes is not None:
        head, why = named_heads(settings.head_classes, predictions.classes), "as given"
    else:
        k = TOP_K_HEAD if settings.top_k_head is None else settings.top_k_head
        head, why = _frequent(asked, k)
    result = by_quota(predictions, head, fraction)
    names = [predictions.classes[index] for index in head]
    support = import_module(f"{FAMILY}.deciding").supported(
        asked.source, predictions, asked.facts, "quota", asked.question(), asked.competition
    )
    return result, [
        f"head classes in the order they take rows: {', '.join(names) or 'none'} ({why})",
        f"each takes {result.facts['rows_per_head_class']} of {len(predictions)} rows; this "
        "presumes that the test classes are nearly equally frequent, and does harm where they are "
        "not",
        support,
    ]


def _frequent(asked: Asked, k: int) -> tuple[list[int], str]:
    if k == 0:
        return [], "--top-k-head 0"
    counts = asked.counts("Name the head classes: --head-classes a,b,c,d")
    head = most_frequent(counts, k)
    why = f"the {k} with the most training images"
    least = counts[head].min()
    tied = [c for c in np.flatnonzero(counts == least).tolist() if c not in head]
    if tied:
        names = ", ".join(asked.predictions.classes[c] for c in tied)
        why += f"; {names} has as many ({least}) and comes later in class order"
    return head, why


def _can(asked: Asked) -> tuple[Decision, list[str]]:
    settings, predictions = asked.settings, asked.predictions
    num_classes = len(predictions.classes)
    prior = np.full(num_classes, 1 / num_classes)
    presumed = "are equally frequent"
    if settings.prior == "train":
        counts = asked.counts("Take --prior uniform")
        prior, presumed = counts / counts.sum(), "have the training set's shares"
    result = alternating.by_alternating(
        predictions,
        prior,
        alpha=alternating.ALPHA if settings.alpha is None else settings.alpha,
        iterations=alternating.ITERATIONS if settings.iterations is None else settings.iterations,
        top_k=settings.top_k,
        threshold=(
            alternating.THRESHOLD
            if settings.entropy_threshold is None
            else settings.entropy_threshold
        ),
    )
    return result, [
        f"{result.facts['uncertain_rows']} of {len(predictions)} rows are uncertain and "
        f"re-adjusted; this presumes that the test classes {presumed}"
    ]
