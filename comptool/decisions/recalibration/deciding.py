"""Predictions decided by a method of the family, and all methods compared for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from comptool.competition import Competition, load
from comptool.decisions.decision import Decision, decided
from comptool.decisions.own_evidence import own_evidence
from comptool.decisions.recalibration import METHODS
from comptool.decisions.recalibration.comparing import NONE, SETS, Comparison, compare
from comptool.decisions.recalibration.knowing import (
    Basis,
    Counts,
    Question,
    basis_of,
    usable_metric,
)
from comptool.decisions.recalibration.shares import TRAIN, UNIFORM
from comptool.decisions.sources import class_counts
from comptool.errors import ComptoolError
from comptool.evaluation.held_out import networks_of
from comptool.evaluation.out_of_fold import trained_counts
from comptool.predictions import Predictions
from comptool.runs import find_run, members, read_header

# A simulated test set has at most so many rows; more would only make intervals shorter.
LARGEST_SET = 5_000
NEED_HEAD = {"quota", "quota-optimal"}


def decide(
    source: Path,
    predictions: Predictions,
    facts: Mapping[str, Any],
    method: str,
    question: Question,
    competition: Path | None,
) -> tuple[Decision, list[str]]:
    """Decide a test set, and say what that rests on.

    Parameters
    ----------
    source
        The prediction file.
    predictions
        Its N rows.
    facts
        What is recorded with it.
    method
        Name of a method.
    question
        What was asked for.
    competition
        A ``comptool.toml``; None for the one here. Looked at if out-of-fold rows are needed.

    Raises
    ------
    UsageError, InputError
        If the method lacks what it needs, or a file cannot be used.
    """
    entry = METHODS.find(method)
    labelled, metric, trained = None, "accuracy", None
    if method == "prior" and question.oof is None:
        trained = _trained(facts, predictions.classes)
    if entry.fitted or question.oof is not None or (method == "prior" and trained is None):
        about = load(competition)
        labelled = own_evidence(question.oof, facts, about)
        metric = usable_metric(about.metric)
    basis = basis_of(source, predictions.classes, facts, question, labelled, metric, trained)
    answer = entry.load()(basis.known)(predictions.probabilities)
    result = decided(predictions, answer.labels)
    record = {"method": method, **answer.facts, **_told(predictions.classes, basis)}
    changed = replace(result.predictions, probabilities=answer.probabilities)
    return replace(result, predictions=changed, facts=record), _notes(
        method, predictions.classes, basis, record
    )


def _trained(facts: Mapping[str, Any], classes: Sequence[str]) -> Counts | None:
    """Rows per class that the models were trained on; None where their checkpoints do not say."""
    try:
        headers = [
            read_header(one) for run in facts.get("runs", []) for one in members(find_run(run))
        ]
    except ComptoolError:
        return None
    return trained_counts(headers, classes)


def _told(classes: Sequence[str], basis: Basis) -> dict[str, object]:
    told: dict[str, object] = {}
    if basis.known.target is not None:
        shares = basis.known.target.tolist()
        told["target_prior"] = dict(zip(classes, shares, strict=True))
    if basis.labelled is not None:
        told["out_of_fold"] = str(basis.labelled.path)
    elif basis.known.presumed is not None:
        told["trained_shares"] = dict(zip(classes, basis.known.presumed.tolist(), strict=True))
    return told


def _notes(
    method: str, classes: Sequence[str], basis: Basis, record: Mapping[str, object]
) -> list[str]:
    notes = []
    shares = record.get("shares")
    if isinstance(shares, list):
        notes.append(f"class shares estimated from the test set: {_shares(classes, shares)}")
    if basis.labelled is not None:
        notes += [basis.labelled.note] if basis.labelled.note else []
        notes.append(f"by {len(basis.labelled)} out-of-fold rows ({basis.labelled.path})")
    elif basis.known.presumed is not None:
        notes.append(f"from the shares trained on: {_shares(classes, basis.known.presumed)}")
    if basis.prior:
        notes.append(f"presuming that the test classes are {basis.prior}")
    shown = ("temperature", "tau", "estimated", "uncertain_rows")
    found = [f"{name} {record[name]:.4g}" for name in shown if isinstance(record.get(name), float)]
    return [*notes, *(f"{method}: {one}" for one in found)]


def _shares(classes: Sequence[str], shares: Iterable[float]) -> str:
    return ", ".join(f"{name} {share:.3f}" for name, share in zip(classes, shares, strict=True))


def compared(
    source: Path | None,
    num_rows: int | None,
    facts: Mapping[str, Any],
    question: Question,
    about: Competition,
    *,
    methods: Sequence[str] | None = None,
    num_sets: int = SETS,
    seed: int = 0,
) -> list[Comparison]:
    """All methods compared on simulated test sets.

    Parameters
    ----------
    source
        The prediction file, or None.
    num_rows
        Rows of the test set; None: as many as there are out-of-fold rows.
    facts
        What is recorded with the predictions.
    question
        What was asked for. Without a target prior, both an equal one and that of the training set
        (where its counts are known) are tried.
    about
        The competition.
    methods
        Names; None for all that can be used.
    num_sets, seed
        See :func:`~comptool.decisions.recalibration.comparing.compare`.

    Raises
    ------
    UsageError, InputError
        If there is no evidence, or a file cannot be used.
    """
    labelled = own_evidence(question.oof, facts, about)
    classes, source = labelled.predictions.classes, source or labelled.path
    metric = usable_metric(about.metric)
    if not facts.get("runs"):
        facts = {**facts, "runs": [str(folder) for folder in networks_of(labelled.path)]}
    usual = [UNIFORM, TRAIN] if class_counts(facts) else [UNIFORM]
    priors = [question.target_prior] if question.target_prior else usual
    found = []
    for prior in priors:
        asked = replace(question, target_prior=prior)
        basis = basis_of(source, classes, facts, asked, labelled, metric)
        names = methods or [
            name for name in METHODS.names if basis.known.head or name not in NEED_HEAD
        ]
        found.append(
            compare(
                basis.known,
                names,
                num_rows=min(num_rows or len(labelled), LARGEST_SET),
                prior=basis.prior,
                num_sets=num_sets,
                seed=seed,
            )
        )
    return found


def supported(
    source: Path,
    predictions: Predictions,
    facts: Mapping[str, Any],
    method: str,
    question: Question,
    competition: Path | None,
) -> str:
    """Whether out-of-fold rows say that a method helps, in one line; never an error."""
    if not question.oof and not facts.get("runs"):
        return "no run is recorded with these predictions: --oof RUN would say whether this helps"
    try:
        comparisons = compared(
            source, len(predictions), facts, question, load(competition), methods=[method]
        )
    except ComptoolError as error:
        return f"no out-of-fold rows say whether this helps: {error}"
    parts = []
    for one in comparisons:
        it = next(standing for standing in one.standings if standing.method != NONE)
        says = "helps" if it.helps else "hurts" if it.gain_high < 0 else "may help or hurt"
        gain = f"{it.gain:+.4f}, {it.gain_low:+.4f} to {it.gain_high:+.4f}"
        parts.append(f"{says} if the test classes are {one.prior} ({gain} {one.metric})")
    return f"by {comparisons[0].num_evidence} out-of-fold rows, {method} " + "; ".join(parts)
