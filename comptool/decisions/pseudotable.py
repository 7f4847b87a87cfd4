"""``pseudo.csv``: the rows of a test table whose labels a model is sure of.

Columns: the id, the path columns and the group column of the test table; the competition's label
column; ``confidence`` (largest probability, 0 to 1); ``round`` (1, 2, ...: the round in which the
row got the label it has); ``fold``, always -1 (trained on, never validated). With soft labels one
column per class follows, called ``soft:<class>`` (``soft:sedan``), in the checkpoint's class order;
a row's soft values are the probabilities as predicted and sum to one. A class name cannot be
mistaken for another column, as nothing else begins with ``soft:``. The record's facts hold
``folder``, ``classes``, ``class_counts`` (published), ``kept``, ``round`` and ``soft``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import provenance
from comptool.classes import against, competition_classes
from comptool.competition import Competition
from comptool.decisions import sources
from comptool.decisions.histogram import count_table
from comptool.decisions.members import in_order
from comptool.decisions.pseudolabel import NONE, Rule, limited, sure
from comptool.decisions.rounds import CONFIDENCE, ROUND, SOFT, Labels, read_round
from comptool.errors import InputError, UsageError
from comptool.outputs import together
from comptool.predictions import Predictions
from comptool.samples import Samples, read_samples, test_samples, training_samples
from comptool.tables import write_table

FOLD = "fold"


@dataclass(frozen=True)
class PseudoLabels:
    """A pseudo-label table that has been written.

    Parameters
    ----------
    classes
        The K class names.
    round
        This round's number, from 1.
    rows
        Rows of the table.
    counts
        Rows per class by title: ``predicted``, ``sure`` (of this round), ``kept``.
    notes
        Sentences for the person who asked.
    """

    classes: tuple[str, ...]
    round: int
    rows: int
    counts: dict[str, list[int]]
    notes: list[str]

    def text(self) -> str:
        """Notes and counts."""
        return "\n".join([*self.notes, count_table(self.classes, self.counts)])


def pseudolabel_file(
    source: Path,
    output: Path,
    competition: Competition,
    rule: Rule,
    *,
    test: Path | None = None,
    soft: bool = False,
    previous: Path | None = None,
    allow_empty: bool = False,
    force: bool = False,
) -> PseudoLabels:
    """Label the test rows that a prediction file is sure of, and write them with a record.

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
    allow_empty
        Whether a table without rows is written; otherwise it is an error.
    force
        Whether an existing ``output`` is replaced.

    Raises
    ------
    UsageError
        If the competition is multi-label.
    InputError
        If a file cannot be used, classes or ids differ, ids are labelled training ids, or no row
        is kept.
    """
    competition.require_multiclass("pseudolabel")
    samples = (
        test_samples(competition)
        if test is None
        else read_samples(test, competition, labelled=False)
    )
    facts = provenance.facts(source)
    ids = pd.Index(samples.frame[samples.id])
    predictions = in_order(ids, sources.read_multiclass(source, facts), samples.source, source)
    classes, label = predictions.classes, competition.label
    known = competition_classes(competition)
    if known is not None and classes != known:
        raise InputError(
            f"its classes are not those of the competition: {against(classes, known)}", file=source
        )
    earlier, number = None, 1
    if previous is not None:
        earlier, number = read_round(previous, samples, label, classes, soft=soft)
    labels, counts = decide(predictions, rule, earlier, number, soft)
    rows = np.flatnonzero(labels.label != NONE)
    if not rows.size and not allow_empty:
        raise _nothing_kept(source, predictions)
    notes = _refuse_labelled(competition, samples.source, ids[rows])
    read = provenance.hashes(p for p in (source, samples.source, previous) if p is not None)
    with together():
        write_table(output, table(samples, label, classes, labels, rows), force=force)
        provenance.record(
            output,
            command="pseudolabel",
            arguments={**asdict(rule), "threshold": rule.bound, "soft": soft, "previous": previous},
            inputs=read,
            facts={
                **_inherited(facts),
                "folder": os.path.relpath(samples.folder, output.parent),
                "classes": list(classes),
                "kept": dict(zip(classes, counts["kept"], strict=True)),
                "round": number,
                "soft": soft,
            },
        )
    return PseudoLabels(
        classes, number, len(rows), counts, notes + _notes(rule, classes, counts["kept"])
    )


def _nothing_kept(source: Path, predictions: Predictions) -> InputError:
    surest = f"the surest of {len(predictions)} rows has {predictions.probabilities.max():.4f}"
    mend = "Lower --threshold, or accept an empty table with --allow-empty"
    return InputError(f"no row is sure enough to be kept; {surest}", file=source, mend=mend)


def _inherited(facts: Mapping[str, Any]) -> dict[str, object]:
    counts = sources.class_counts(facts)
    inherited: dict[str, object] = {"runs": facts.get("runs", [])}
    return inherited | ({"class_counts": counts} if counts else {})


def decide(
    predictions: Predictions, rule: Rule, earlier: Labels | None, number: int, soft: bool
) -> tuple[Labels, dict[str, list[int]]]:
    """The labels of this round over those of earlier ones, cut to the rule, and the counts.

    Parameters
    ----------
    predictions
        In the order of the test table.
    rule
        Which rows are kept.
    earlier
        Labels of the rounds before, or None.
    number
        This round's number.
    soft
        Whether the probabilities are wanted.
    """
    probabilities = predictions.probabilities.astype(np.float64)
    num_rows, num_classes = probabilities.shape
    answers = probabilities.argmax(axis=1)
    new = Labels(
        np.where(sure(predictions.probabilities, rule), answers, NONE),
        probabilities.max(axis=1),
        np.full(num_rows, number, dtype=np.int64),
        probabilities if soft else None,
    )
    merged = new if earlier is None else new.or_else(earlier)
    kept = replace(merged, label=limited(merged.label, merged.confidence, rule))
    counts = {
        "predicted": np.bincount(answers, minlength=num_classes).tolist(),
        "sure": new.counts(num_classes),
        "kept": kept.counts(num_classes),
    }
    return kept, counts


def table(
    samples: Samples,
    label: str,
    classes: Sequence[str],
    labels: Labels,
    rows: npt.NDArray[np.intp],
) -> pd.DataFrame:
    """The rows of the test table that are kept, with their labels.

    Raises
    ------
    UsageError
        If a column of the competition has a name that this table needs.
    """
    columns = [samples.id, *samples.paths.values(), *([samples.group] if samples.group else [])]
    clash = {label, CONFIDENCE, ROUND, FOLD} & set(columns)
    if clash or label in (CONFIDENCE, ROUND, FOLD):
        names = ", ".join(sorted(clash or {label}))
        raise UsageError(f"a column called {names} cannot be told from a pseudo-label's own")
    frame = samples.frame.loc[rows, columns].reset_index(drop=True)
    frame[label] = np.array(classes, dtype=object)[labels.label[rows]]
    frame[CONFIDENCE] = labels.confidence[rows]
    frame[ROUND] = labels.round[rows]
    frame[FOLD] = -1
    if labels.soft is None:
        return frame
    for index, name in enumerate(classes):
        frame[SOFT + name] = labels.soft[rows, index]
    return frame


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
