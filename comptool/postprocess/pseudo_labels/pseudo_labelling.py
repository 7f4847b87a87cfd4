"""The ``pseudolabel`` command: confidently predicted test rows written as ``pseudo.csv``.

Columns of ``pseudo.csv``: the id, path and group columns of the test table; the competition's label
column; ``confidence`` (probability of the label, 0 to 1); ``round`` (from 1, in which the row got
its label); ``fold``, always -1 (trained on, never validated). With soft labels, one column per
class, ``soft:<class>``, in the class order of the checkpoint: the probabilities as predicted, which
sum to one. No other column begins with ``soft:``. A multi-label table has one column per class
instead of the label column, with 1 (present), 0 (absent) and -1 (not annotated), or joined lists if
the competition has them; ``confidence`` is the mean probability of the labels of the annotated
cells. The recorded facts are ``folder``, ``classes``, ``class_counts`` (of training images),
``kept``, ``round`` and ``soft``.
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
from comptool.options import part
from comptool.postprocess import inputs
from comptool.postprocess.calibration.recalibration import count_table
from comptool.postprocess.inputs import in_order
from comptool.postprocess.pseudo_labels.config import PrecisionTarget, PseudolabelConfig, Rule
from comptool.postprocess.pseudo_labels.expected_precision import (
    ExpectedPrecision,
    agreeing,
    promise,
)
from comptool.postprocess.pseudo_labels.selection import answers_of, table
from comptool.tasks import Task


@dataclass(frozen=True)
class PseudoLabels:
    """A written table of pseudo-labels."""

    classes: tuple[str, ...]
    round: int
    rows: int
    counts: dict[str, list[int]]  # rows or cells of each class, by title
    notes: list[str]
    expected: Mapping[str, object] = field(default_factory=dict)
    by_class: tuple[ExpectedPrecision, ...] = ()

    def text(self) -> str:
        """Notes, and counts and expected precision of each class."""
        columns: dict[str, Sequence[int | str]] = {**self.counts}
        if self.by_class:
            columns["expected precision"] = [one.brief() for one in self.by_class]
        return "\n".join([*self.notes, count_table(self.classes, columns)])


def pseudolabel_file(
    source: Path, competition: Competition, asked: PseudolabelConfig
) -> PseudoLabels:
    """Write the confidently predicted test rows as pseudo-labels, with a record.

    The label is the most probable class or, for recalibrated predictions, the column ``pred``,
    whose probability is compared with the threshold. The predictions ``source`` have exactly the
    ids of the test table; ids of the training table are refused. Without a target precision, the
    precision is only estimated, if possible. Rows (multi-label: cells) for which the files to agree
    give different answers are left out (multi-label: not annotated).

    Raises
    ------
    UsageError
        If the rule has a part for another task, or the task has no classes.
    InputError
        If a file is invalid, the predictions are ranks, classes or ids differ, ids are in the
        training table, or no row is kept.
    """
    output, agree = asked.output, asked.agree
    label_rows = competition.kind.step("pseudo-label")
    if asked.test is None:
        images = test_samples(competition)
    else:
        images = read_samples(asked.test, competition, labelled=False)
    samples = images.by_bag()
    facts = provenance.facts(source, PredictionFacts)
    refuse_ranks(source, facts)
    ids = pd.Index(samples.frame[samples.id])
    predictions = in_order(ids, _read(source, facts, competition), samples.source, source)
    classes = predictions.classes
    others = [provenance.facts(path, PredictionFacts) for path in agree]
    rule, wanted = part(asked, Rule), part(asked, PrecisionTarget)
    promised = promise(rule, wanted, classes, facts, competition, others)
    rule = promised.rule
    allowed = _agreeing(predictions, ids, samples.source, agree, competition) if agree else None
    kept = label_rows(
        predictions, samples, competition.label, rule,
        previous=asked.previous, soft=asked.soft, allowed=allowed,
    )  # fmt: skip
    if not kept.rows.size and not asked.allow_empty:
        raise _nothing_kept(source, predictions, competition.kind, allowed)
    notes = _refuse_labelled(competition, samples.source, ids[kept.rows])
    read = provenance.hashes(filter(None, (source, samples.source, asked.previous, *agree)))
    options = {"threshold": rule.bound, "soft": asked.soft, "previous": asked.previous}
    arguments = {**asdict(rule), **options}
    known = PseudoLabelFacts(
        runs=facts.runs or [],
        class_counts=inputs.class_counts(facts),
        folder=os.path.relpath(samples.folder, output.parent),
        classes=list(classes),
        kept=dict(zip(classes, kept.counts["kept"], strict=True)),
        round=kept.number,
        soft=asked.soft,
        expected=promised.expected or None,
    )
    with together():
        write_table(output, table(samples, kept, images), force=asked.force)
        provenance.record(
            output, command="pseudolabel", arguments=arguments, inputs=read, facts=known
        )
    notes += promised.notes
    if promised.expected and predictions.pred is not None:
        notes.append("the expected precision is that of the predictions before recalibration")
    if allowed is not None:
        unit, rest = ("cells", "not annotated") if allowed.ndim == 2 else ("rows", "left out")
        notes.append(
            f"the files agree on {int(allowed.sum())} of {allowed.size} {unit}; others are {rest}"
        )
    if predictions.pred is not None:
        notes.append(_of_decisions(source, competition, asked.soft))
    without = [name for name, count in zip(classes, kept.counts["kept"], strict=True) if not count]
    if rule.balance and without and kept.rows.size:
        notes.append(f"warning: classes without a row, ignored by --balance: {', '.join(without)}")
    found = (kept.number, len(kept.rows), kept.counts, notes, promised.expected)
    return PseudoLabels(classes, *found, promised.by_class)


def _read(source: Path, facts: PredictionFacts, competition: Competition) -> Predictions:
    """Predictions of the competition's task and classes."""
    if competition.kind.cells:
        predictions = inputs.read_recorded(source, competition.task, facts)
    else:
        predictions = inputs.read_multiclass(source, facts)
        if predictions.pred is not None:
            reason = f"no such class; the classes are {quoted(predictions.classes)}"
            answers = pd.Series(predictions.pred, name="pred")
            refuse_rows(source, answers, answers_of(predictions) < 0, reason)
    known = competition_classes(competition)
    if known is not None:
        check_classes(source, predictions.classes, known, "the competition")
    return predictions


def _agreeing(
    predictions: Predictions,
    ids: pd.Index,
    first: Path,
    paths: Sequence[Path],
    competition: Competition,
) -> npt.NDArray[np.bool_]:
    """Mask of the rows (multi-label: cells) with the same answer in all files."""
    task, others = competition.kind, []
    for path in paths:
        facts = provenance.facts(path, PredictionFacts)
        other = in_order(ids, _read(path, facts, competition), first, path)
        check_classes(path, other.classes, predictions.classes, "the predictions")
        others.append(other.probabilities)
    own = task.answers(predictions.probabilities) if task.cells else answers_of(predictions)
    return agreeing(own, others, task)


def _of_decisions(source: Path, competition: Competition, soft: bool) -> str:
    if competition.kind.cells:
        return f"the decisions (column pred) of {source} are left out"
    note = f"the labels are the decisions (column pred) of {source}, with their probabilities"
    return f"{note}; the soft labels are the plain probabilities" if soft else note


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
        mend = f"Give fewer files with --agree, {accept}"
        return InputError("the files of --agree differ in every row", file=source, mend=mend)
    reason = f"no row is confident enough; the most confident of {rows} has {confidence.max():.4f}"
    return InputError(reason, file=source, mend=f"Lower --threshold, {accept}")


def _refuse_labelled(competition: Competition, test: Path, ids: pd.Index) -> list[str]:
    if competition.train is None:
        return ["no training table here: ids cannot be compared with training ids"]
    training = training_samples(competition).by_bag()
    labelled = ids[ids.isin(training.frame[training.id])]
    if len(labelled):
        raise InputError(
            f"{len(labelled)} of the rows to keep have ids that are already labelled in "
            f"{training.source}",
            file=test,
            values=labelled.tolist(),
            mend="Remove these rows from the test table, or give another one with --test",
        )
    return []
