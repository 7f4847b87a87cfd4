"""One recalibration from file to file: settings, head classes or prior, decision, record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comptool import provenance
from comptool.decisions import alternating, sources
from comptool.decisions.decision import Decision
from comptool.decisions.histogram import count_table
from comptool.decisions.quotas import by_quota, class_indices, most_frequent, quota
from comptool.errors import UsageError
from comptool.outputs import together
from comptool.predictions import Predictions, write_predictions

__all__ = ["Outcome", "Settings", "quota", "recalibrate_file"]

TOP_K_HEAD = 4
FRACTION = 0.1
QUOTA_SETTINGS = ("top_k_head", "head_classes", "fraction")
CAN_SETTINGS = ("alpha", "entropy_threshold", "top_k", "iterations", "prior")


@dataclass(frozen=True)
class Settings:
    """What was asked for; None stands for the method's own default.

    Parameters
    ----------
    method
        ``"quota"`` or ``"can"``.
    top_k_head
        How many of the most frequent training classes are head classes.
    head_classes
        Their names instead, separated by commas, in the order in which they take rows.
    fraction
        Share of the rows that each head class takes, 0 to 1.
    alpha, entropy_threshold, top_k, iterations
        See :func:`comptool.decisions.alternating.by_alternating`.
    prior
        ``"uniform"`` or ``"train"``: class shares that CAN presumes in the test set.
    """

    method: str = "quota"
    top_k_head: int | None = None
    head_classes: str | None = None
    fraction: float | None = None
    alpha: float | None = None
    entropy_threshold: float | None = None
    top_k: int | None = None
    iterations: int | None = None
    prior: str | None = None

    def check(self) -> None:
        """Refuse settings that the method would not use.

        Raises
        ------
        UsageError
            If there is one.
        """
        foreign, owner = (
            (CAN_SETTINGS, "can") if self.method == "quota" else (QUOTA_SETTINGS, "quota")
        )
        for name in foreign:
            if getattr(self, name) is not None:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} belongs to --method {owner}, not to {self.method}")
        if self.head_classes is not None and self.top_k_head is not None:
            raise UsageError("--head-classes and --top-k-head both say which classes are head")


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


def recalibrate_file(
    source: Path, output: Path, settings: Settings, *, force: bool = False
) -> Outcome:
    """Read predictions, decide them, and write them with the column ``pred`` and a record.

    Raises
    ------
    UsageError
        If the settings contradict one another, or nothing says which classes are head classes.
    InputError
        If the predictions cannot be used.
    """
    settings.check()
    facts = provenance.facts(source)
    predictions = sources.read_multiclass(source, facts)
    decide = _quota if settings.method == "quota" else _can
    result, note = decide(source, predictions, facts, settings)
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


def _quota(
    source: Path, predictions: Predictions, facts: Mapping[str, Any], settings: Settings
) -> tuple[Decision, list[str]]:
    fraction = FRACTION if settings.fraction is None else settings.fraction
    if settings.head_classes is not None:
        names = [name.strip() for name in settings.head_classes.split(",") if name.strip()]
        head, why = class_indices(names, predictions.classes), "as given"
    else:
        k = TOP_K_HEAD if settings.top_k_head is None else settings.top_k_head
        head, why = _frequent(source, predictions, facts, k)
    result = by_quota(predictions, head, fraction)
    names = [predictions.classes[index] for index in head]
    return result, [
        f"head classes in the order they take rows: {', '.join(names) or 'none'} ({why})",
        f"each takes {result.facts['rows_per_head_class']} of {len(predictions)} rows; this "
        "presumes that the test classes are nearly equally frequent, and does harm where they are "
        "not",
    ]


def _frequent(
    source: Path, predictions: Predictions, facts: Mapping[str, Any], k: int
) -> tuple[list[int], str]:
    if k == 0:
        return [], "--top-k-head 0"
    instead = "Name the head classes: --head-classes a,b,c,d"
    counts = sources.count_vector(source, predictions.classes, facts, instead)
    head = most_frequent(counts, k)
    why = f"the {k} with the most training images"
    least = counts[head].min()
    tied = [c for c in np.flatnonzero(counts == least).tolist() if c not in head]
    if tied:
        names = ", ".join(predictions.classes[c] for c in tied)
        why += f"; {names} has as many ({least}) and comes later in class order"
    return head, why


def _can(
    source: Path, predictions: Predictions, facts: Mapping[str, Any], settings: Settings
) -> tuple[Decision, list[str]]:
    num_classes = len(predictions.classes)
    prior = np.full(num_classes, 1 / num_classes)
    presumed = "are equally frequent"
    if settings.prior == "train":
        instead = "Take --prior uniform"
        counts = sources.count_vector(source, predictions.classes, facts, instead)
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
