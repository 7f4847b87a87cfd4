"""From options and files to what a recalibration may know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool.decisions import sources
from comptool.decisions.quotas import most_frequent, named_heads
from comptool.decisions.recalibration.config import FRACTION, TOP_K_HEAD, Settings
from comptool.decisions.recalibration.known import Evidence, Known
from comptool.decisions.recalibration.shares import shares_of
from comptool.errors import InputError
from comptool.evaluation import metrics
from comptool.evaluation.out_of_fold import Labelled

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """What was asked for, as far as every method shares it; None stands for the default.

    Parameters
    ----------
    oof
        A run or an out-of-fold file.
    target_prior
        ``"uniform"``, ``"train"`` or a file of class shares.
    top_k_head, head_classes, fraction
        Quotas: how many of the most frequent classes have one, or which, and how much.
    """

    oof: str | None = None
    target_prior: str | None = None
    top_k_head: int | None = None
    head_classes: str | None = None
    fraction: float | None = None


def question_of(settings: Settings) -> Question:
    """What every method shares of the settings."""
    names = Question.__dataclass_fields__
    return Question(**{name: getattr(settings, name) for name in names})


@dataclass(frozen=True)
class Basis:
    """What is known, and in which words.

    Parameters
    ----------
    known
        For the methods.
    prior
        What the test classes were presumed to be, in words; empty if nothing was said.
    labelled
        The out-of-fold rows, or None.
    """

    known: Known
    prior: str
    labelled: Labelled | None


def basis_of(
    source: Path,
    classes: Sequence[str],
    facts: Mapping[str, Any],
    question: Question,
    labelled: Labelled | None,
    metric: str,
    trained: Counts | None = None,
) -> Basis:
    """What is known of these predictions.

    Parameters
    ----------
    source
        The prediction file, for messages.
    classes
        Its K classes.
    facts
        What is recorded with it.
    question
        What was asked for.
    labelled
        Out-of-fold rows of the runs that made it, or None.
    metric
        What searched settings are to maximise.
    trained
        Rows per class that the models were trained on, shape (K,), where ``labelled`` is None.

    Raises
    ------
    UsageError
        If the class counts are needed and nobody knows them, or no class has a name that is given.
    InputError
        If the out-of-fold rows have other classes, or a file of shares cannot be used.
    """
    if labelled is not None:
        labelled.check_classes(classes, source)
    counts = partial(
        sources.count_vector, source, tuple(classes), facts, "Give a file: --target-prior FILE"
    )
    target, prior = None, ""
    if question.target_prior is not None:
        target, prior = shares_of(question.target_prior, classes, counts)
    if labelled is not None:
        trained = labelled.trained
    known = Known(
        evidence=None if labelled is None else evidence_of(labelled, classes),
        presumed=None if trained is None else trained / trained.sum(),
        target=target,
        head=tuple(_head(source, classes, facts, question)),
        fraction=FRACTION if question.fraction is None else question.fraction,
        metric=metric,
    )
    return Basis(known, prior, labelled)


def evidence_of(labelled: Labelled, classes: Sequence[str]) -> Evidence:
    """The rows as the methods take them.

    Raises
    ------
    InputError
        If a class has no row: nothing could be said of it.
    """
    evidence = Evidence(labelled.predictions.probabilities, labelled.targets)
    absent = [name for name, n in zip(classes, evidence.counts(), strict=True) if n == 0]
    if absent:
        raise InputError(
            "no out-of-fold row is of these classes, of which nothing can be said",
            file=labelled.path,
            values=absent,
            mend="Validate more rows: comptool split --folds 5 and comptool train --fold all",
        )
    return evidence


def usable_metric(name: str) -> str:
    """The competition's metric, or accuracy where it is none of one class per image."""
    return name if name in metrics.METRICS else "accuracy"


def _head(
    source: Path, classes: Sequence[str], facts: Mapping[str, Any], question: Question
) -> list[int]:
    if question.head_classes is not None:
        return named_heads(question.head_classes, classes)
    counts = sources.class_counts(facts)
    k = question.top_k_head
    if counts is None or any(name not in counts for name in classes):
        if k:
            sources.count_vector(source, tuple(classes), facts, "Name them: --head-classes a,b")
        return []
    if k is None and len(classes) <= TOP_K_HEAD:
        return []
    vector = sources.count_vector(source, tuple(classes), facts, "")
    return most_frequent(vector, TOP_K_HEAD if k is None else k)
