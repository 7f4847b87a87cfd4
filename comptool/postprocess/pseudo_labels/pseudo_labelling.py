"""The ``pseudolabel`` command: predictions and a test table in, ``pseudo.csv`` out.

``pseudo.csv``: the rows of a test table whose labels a model is sure of.

Columns: the id, the path columns and the group column of the test table; the competition's label
column; ``confidence`` (its label's probability, 0 to 1); ``round`` (1, 2, ...: the round in which
the row got the label it has); ``fold``, always -1 (trained on, never validated). With soft labels
one column per class follows, called ``soft:<class>`` (``soft:sedan``), in the checkpoint's class
order; a row's soft values are the probabilities as predicted and sum to one. A class name cannot be
mistaken for another column, as nothing else begins with ``soft:``. A multi-label table has one
column per class in place of the label column, with 1 (present), 0 (absent) and -1 (not known), or
joined lists where the competition has them; its ``confidence`` is the mean over the known cells of
the probability of their label. The record's facts hold ``folder``, ``classes``, ``class_counts``
(published), ``kept``, ``round`` and ``soft``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.classes import check_classes, competition_classes
from comptool.competition.config import Competition
from comptool.competition.samples import read_samples, test_samples, training_samples
from comptool.errors import InputError, quoted
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.predictions import Predictions, refuse_ranks
from comptool.io.provenance import PredictionFacts, PseudoLabelFacts
from comptool.io.tables import refuse_rows, write_table
from comptool.postprocess import inputs
from comptool.postprocess.calibration.recalibration import count_table
from comptool.postprocess.inputs import in_order
from comptool.postprocess.pseudo_labels.config import PrecisionTarget, Rule
from comptool.postprocess.pseudo_labels.expected_precision import (
    ExpectedPrecision,
    PrecisionThreshold,
    agreeing,
    promise,
)
from comptool.postprocess.pseudo_labels.rounds import answers_of, table
from comptool.tasks import Task


@dataclass(frozen=True)
class PseudoLabels:
    """A pseudo-label table that has been written."""

    classes: tuple[str, ...]
    round: int
    rows: int
    counts: dict[str, list[int]]
    notes: list[str]
    expected: Mapping[str, object] = field(default_factory=dict)
    by_class: tuple[ExpectedPrecision, ...] = ()

    def text(self) -> str:
        """Notes, counts and, class by class, the expected precision."""
        columns: dict[str, Sequence[int | str]] = {**self.counts}
        if self.by_class:
            columns["expected precision"] = [one.brief() for one in self.by_class]
        return "\n".join([*self.notes, count_table(self.classes, columns)])


def pseudolabel_file(
    source: Path,
    output: Path,
    competition: Competition,
    rule: Rule,
    *,
    test: Path | None = None,
    soft: bool = False,
    previous: Path | None = None,
    wanted: PrecisionTarget | None = None,
    agree: Sequence[Path] = (),
    allow_empty: bool = False,
    force: bool = False,
) -> PseudoLabels:
    """Label the test rows that a prediction file is sure of, and write them with a record.

    The label is the most probable class or, where the predictions have been decided, that of their
    column ``pred``; a decision against a large probability is thus never a sure one.

    Parameters
    ----------
    source
        Predictions of exactly the test table's ids.
    output
        Where the table goes.
    competition
        Its test table is labelled; its training table's ids are refused.
    rule
        Which rows are kept.
    test
        Another test table than the competition's.
    soft
        Whether the class probabilities are written too.
    previous
        The table of the round before.
    wanted
        What out-of-fold rows are asked for; None to have them report where there are any.
    agree
        More prediction files of the same rows: one that answers otherwise keeps a row out, or a
        multi-label cell not known.
    allow_empty
        Whether a table without rows is written; otherwise it is an error.
    force
        Whether an existing ``output`` is replaced.

    Raises
    ------
    UsageError
        If the rule has a part that is for another task.
    InputError
        If a file cannot be used, the predictions are ranks, classes or ids differ, ids are labelled
        training ids, or no row is kept.
    """
    samples = (
        test_samples(competition)
        if test is None
        else read_samples(test, competition, labelled=False)
    )
    facts = provenance.facts(source, PredictionFacts)
    refuse_ranks(source, facts)
    ids = pd.Index(samples.frame[samples.id])
    predictions = in_order(ids, _read(source, facts, competition), samples.source, source)
    classes = predictions.classes
    others = [provenance.facts(path, PredictionFacts) for path in agree]
    promised = promise(rule, wanted or PrecisionTarget(), classes, facts, competition, others)
    rule = promised.rule
    allowed = _agreeing(predictions, ids, samples.source, agree, competition) if agree else None
    kept = competition.kind.step("pseudo-label")(
        predictions, samples, competition.label, rule,
        previous=previous, soft=soft, allowed=allowed,
    )  # fmt: skip
    if not kept.rows.size and not allow_empty:
        raise _nothing_kept(source, predictions, competition.kind, allowed)
    notes = _refuse_labelled(competition, samples.source, ids[kept.rows])
    looked_at = (source, samples.source, previous, *agree)
    read = provenance.hashes(path for path in looked_at if path is not None)
    arguments = {**asdict(rule), "threshold": rule.bound, "soft": soft, "previous": previous}
    known = PseudoLabelFacts(
        runs=facts.runs or [],
        class_counts=inputs.class_counts(facts),
        folder=os.path.relpath(samples.folder, output.parent),
        classes=list(classes),
        kept=dict(zip(classes, kept.counts["kept"], strict=True)),
        round=kept.number,
        soft=soft,
        expected=promised.expected or None,
    )
    with together():
        write_table(output, table(samples, kept), force=force)
        provenance.record(
            output, command="pseudolabel", arguments=arguments, inputs=read, facts=known
        )
    notes += _of_evidence(promised, predictions) + _of_agreement(allowed)
    notes += _of_decisions(source, predictions, competition, soft)
    notes += _notes(rule, classes, kept.counts["kept"])
    found = (kept.number, len(kept.rows), kept.counts, notes, promised.expected)
    return PseudoLabels(classes, *found, promised.by_class)


def _read(source: Path, facts: PredictionFacts, competition: Competition) -> Predictions:
    """Predictions of the competition's task and classes."""
    if competition.kind.cells:
        predictions = inputs.read_recorded(source, competition.task, facts)
    else:
        predictions = inputs.read_multiclass(source, facts)
        _check_decisions(source, predictions)
    known = competition_classes(competition)
    if known is not None:
        check_classes(source, predictions.classes, known, "the competition")
    return predictions


def _check_decisions(source: Path, predictions: Predictions) -> None:
    if predictions.pred is not None:
        told = f"no such class; the classes are {quoted(predictions.classes)}"
        answers = pd.Series(predictions.pred, name="pred")
        refuse_rows(source, answers, answers_of(predictions) < 0, told)


def _agreeing(
    predictions: Predictions,
    ids: pd.Index,
    first: Path,
    paths: Sequence[Path],
    competition: Competition,
) -> npt.NDArray[np.bool_]:
    """Rows, or multi-label cells, that every other file answers alike."""
    task, others = competition.kind, []
    for path in paths:
        facts = provenance.facts(path, PredictionFacts)
        other = in_order(ids, _read(path, facts, competition), first, path)
        check_classes(path, other.classes, predictions.classes, "the predictions")
        others.append(other.probabilities)
    own = task.answers(predictions.probabilities) if task.cells else answers_of(predictions)
    return agreeing(own, others, task)


def _of_evidence(promised: PrecisionThreshold, predictions: Predictions) -> list[str]:
    if promised.expected and predictions.pred is not None:
        undecided = "out-of-fold rows tell of the predictions before they were decided"
        return [*promised.notes, undecided]
    return promised.notes


def _of_agreement(allowed: npt.NDArray[np.bool_] | None) -> list[str]:
    if allowed is None:
        return []
    what, left = ("cells", "not known") if allowed.ndim == 2 else ("rows", "left out")
    return [f"the files agree on {int(allowed.sum())} of {allowed.size} {what}; others are {left}"]


def _of_decisions(
    source: Path, predictions: Predictions, competition: Competition, soft: bool
) -> list[str]:
    """What becomes of decisions in the predictions."""
    if predictions.pred is None:
        return []
    if competition.kind.cells:
        return [f"the decisions (column pred) of {source} are left out"]
    told = (
        f"the labels are the decisions (column pred) of {source}, each as sure as its probability"
    )
    return [f"{told}; the soft labels know nothing of them" if soft else told]


def _nothing_kept(
    source: Path, predictions: Predictions, task: Task, allowed: npt.NDArray[np.bool_] | None
) -> InputError:
    confidence, rows = predictions.probabilities, f"{len(predictions)} rows"
    if not task.cells:
        confidence = confidence[np.arange(len(predictions)), answers_of(predictions)]
    if allowed is not None:
        confidence = confidence[allowed]
        rows = f"{len(confidence)} {'cells' if allowed.ndim == 2 else 'rows'} that --agree leaves"
    accept = "or accept an empty table with --allow-empty"
    if not confidence.size:
        mend = f"Ask fewer files with --agree, {accept}"
        return InputError("the files of --agree answer every row otherwise", file=source, mend=mend)
    told = f"no row is sure enough to be kept; the surest of {rows} has {confidence.max():.4f}"
    return InputError(told, file=source, mend=f"Lower --threshold, {accept}")


def _refuse_labelled(competition: Competition, test: Path, ids: pd.Index) -> list[str]:
    if competition.train is None:
        return ["no training table here: ids cannot be compared with labelled ones"]
    training = training_samples(competition)
    labelled = ids[ids.isin(training.frame[training.id])]
    if len(labelled):
        raise InputError(
            f"{len(labelled)} of the rows that would be kept have ids that are labelled in "
            f"{training.source} already",
            file=test,
            values=labelled.tolist(),
            mend="Take these rows out of the test table, or give another one with --test",
        )
    return []


def _notes(rule: Rule, classes: Sequence[str], kept: Sequence[int]) -> list[str]:
    without = [name for name, count in zip(classes, kept, strict=True) if count == 0]
    if rule.balance and without and sum(kept):
        return [f"warning: classes without a row, which balance leaves out: {', '.join(without)}"]
    return []
