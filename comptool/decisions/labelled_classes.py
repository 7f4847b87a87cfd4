"""One class per test row that a model is sure of, in this round or in one before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.decisions.config import Rule
from comptool.decisions.kept import SOFT, Kept
from comptool.decisions.pseudolabel import NONE, limited, sure
from comptool.decisions.rounds import Labels, read_round
from comptool.errors import UsageError
from comptool.predictions import Predictions
from comptool.samples import Samples


def label_classes(
    predictions: Predictions,
    samples: Samples,
    label: str,
    rule: Rule,
    *,
    previous: Path | None = None,
    soft: bool = False,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> Kept:
    """The rows that are kept, each with its class.

    Parameters
    ----------
    predictions
        In the order of the test table.
    samples
        The test table.
    label
        Name of the label column.
    rule
        Which rows are kept.
    previous
        The table of the round before, or None.
    soft
        Whether the class probabilities are wanted too.
    allowed
        Rows that may be labelled in this round, shape (N,); None for all.

    Raises
    ------
    UsageError
        If the rule has a part that is for multi-label predictions.
    InputError
        If the table of the round before cannot be used.
    """
    if rule.lower is not None:
        raise UsageError("--lower is for multi-label predictions; here one class has a row")
    classes = predictions.classes
    earlier, number = None, 1
    if previous is not None:
        earlier, number = read_round(previous, samples, label, classes, soft=soft)
    labels, counts = decide(predictions, rule, earlier, number, soft, allowed)
    rows = np.flatnonzero(labels.label != NONE)
    shares = () if labels.soft is None else labels.soft[rows].T
    return Kept(
        rows=rows,
        labels={label: np.array(classes, dtype=object)[labels.label[rows]]},
        confidence=labels.confidence[rows],
        round=labels.round[rows],
        number=number,
        counts=counts,
        soft={SOFT + name: share for name, share in zip(classes, shares, strict=False)},
    )


def answers_of(predictions: Predictions) -> npt.NDArray[np.intp]:
    """Class index of each row's ``pred``, else of its most probable class; -1 for no class."""
    answers: npt.NDArray[np.intp] = predictions.probabilities.argmax(axis=1)
    if predictions.pred is not None:
        answers = pd.Index(list(predictions.classes)).get_indexer(pd.Index(predictions.pred))
    return answers


def decide(
    predictions: Predictions,
    rule: Rule,
    earlier: Labels | None,
    number: int,
    soft: bool,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> tuple[Labels, dict[str, list[int]]]:
    """The labels of this round over those of earlier ones, cut to the rule, and the counts.

    Parameters
    ----------
    predictions
        In the order of the test table; what ``pred`` holds are classes.
    rule
        Which rows are kept.
    earlier
        Labels of the rounds before, or None.
    number
        This round's number.
    soft
        Whether the probabilities are wanted.
    allowed
        Rows that may be labelled in this round, shape (N,); None for all.
    """
    probabilities = predictions.probabilities.astype(np.float64)
    num_rows, num_classes = probabilities.shape
    answers = answers_of(predictions)
    chosen = sure(predictions.probabilities, rule, answers)
    if allowed is not None:
        chosen &= allowed
    new = Labels(
        np.where(chosen, answers, NONE),
        probabilities[np.arange(num_rows), answers],
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
