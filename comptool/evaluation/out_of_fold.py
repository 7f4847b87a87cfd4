"""Out-of-fold predictions with their labels, checked to be evidence.

Every decision after training is weighed by rows that the models have not been trained on. What is
refused here would make a decision look better than it is: members that saw their validation rows,
rows that are missing, folds that are not those of the table, predictions that are all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool import provenance
from comptool.classes import check_classes
from comptool.competition import Competition
from comptool.decisions.sources import read_recorded
from comptool.errors import InputError
from comptool.evaluation.held_out import (
    FOLDS,
    OutOfFold,
    find_out_of_fold,
    labelled_rows,
    networks_of,
    no_table,
)
from comptool.predictions import Predictions
from comptool.samples import Samples
from comptool.tables import read_table

Integers = npt.NDArray[np.integer]

NESTED_FOLDS = 5


@dataclass(frozen=True)
class Labelled:
    """Out-of-fold predictions of M rows and what is known of them.

    Parameters
    ----------
    predictions
        As the runs made them; in the order of their ids, so that the order of files means nothing.
    targets
        Class indices of shape (M,), or 1, 0 and -1 of shape (M, K).
    path
        The out-of-fold file.
    table
        Where the labels are from.
    trained
        Rows, or present cells, per class that the models were trained on, shape (K,); None if no
        run says.
    note
        A sentence where the rows stand in for others; otherwise empty.
    """

    predictions: Predictions
    targets: Integers
    path: Path
    table: Path
    trained: npt.NDArray[np.int64] | None = None
    note: str = ""

    def __len__(self) -> int:
        return len(self.predictions)

    def check_classes(self, classes: Sequence[str], whose: str | Path = "the predictions") -> None:
        """Check that these rows are of the classes of what they are evidence of.

        Raises
        ------
        InputError
            If they are not.
        """
        check_classes(self.path, self.predictions.classes, classes, whose)


def read_labelled(name: str | None, competition: Competition) -> Labelled:
    """The out-of-fold rows of a run, or of a file, with their labels.

    Parameters
    ----------
    name
        A run, or the path of an out-of-fold file; None for the newest run.
    competition
        Says what tables and columns are called.

    Raises
    ------
    InputError
        If there is no such run or file, it is no evidence (and why), its ids, classes or folds are
        not those of the label table, or no table has its rows.
    """
    return read_evidence(find_out_of_fold(name), competition)[0]


def read_evidence(
    found: OutOfFold,
    competition: Competition,
    *,
    labels: Path | None = None,
    whole: bool = True,
    mend: str | None = None,
) -> tuple[Labelled, Samples]:
    """Out-of-fold rows with their labels, and these rows of the label table.

    Parameters
    ----------
    found
        The out-of-fold file.
    competition
        Says what tables and columns are called.
    labels
        The label table; None for the first that has the rows: of the training, of the folds, of
        the competition.
    whole
        Whether all rows of its folds have to be there.
    mend
        What to do where classes differ.

    Raises
    ------
    InputError
        As `read_labelled`.
    """
    if found.leak:
        raise InputError(
            f"is no evidence: {found.leak}",
            file=found.path,
            mend="Leave this run out, or train it anew on these folds",
        )
    predictions = read_recorded(found.path, competition.task, provenance.facts(found.path))
    predictions = predictions.take(np.argsort(predictions.ids.astype(str), kind="stable"))
    samples = _samples(found, predictions, competition, labels)
    targets = _targets(found.path, predictions, samples, mend)
    headers = networks_of(found.path).values()
    dropped = any(_dropped_rows(header) for header in headers)
    _check(found.path, predictions, samples, whole=whole and not dropped)
    trained = trained_counts(headers, predictions.classes)
    return Labelled(predictions, targets, found.path, samples.source, trained), samples


def nested_folds(ids: npt.NDArray[np.object_], fold: npt.NDArray[np.integer] | None) -> Integers:
    """Folds for a nested score, shape (M,): those of the training, or five if these are too few.

    A choice among searches is scored by leaving out two folds at a time, which takes three.

    Parameters
    ----------
    ids
        Of the M rows.
    fold
        In which each was validated, shape (M,), or None.
    """
    if fold is not None and len(np.unique(fold)) > 2:
        return fold
    # By the id alone, so that the order of the rows does not matter.
    digests = (hashlib.sha256(str(name).encode()).digest() for name in ids)
    return np.array([digest[0] % NESTED_FOLDS for digest in digests])


def _samples(
    found: OutOfFold, predictions: Predictions, competition: Competition, labels: Path | None
) -> Samples:
    others = [FOLDS, *([competition.train] if competition.train else [])]
    tables = [*found.tables, *others] if labels is None else [labels]
    ids = predictions.ids.tolist()
    samples = labelled_rows(ids, tables, competition)
    if samples is None:
        raise no_table(ids, found.path, tables, competition)
    return samples


def _targets(path: Path, predictions: Predictions, samples: Samples, mend: str | None) -> Integers:
    """The labels of samples as indices of the predictions' classes, or multi-label cells."""
    if samples.labels:
        check_classes(path, predictions.classes, samples.labels, samples.source, mend=mend)
        return samples.label_matrix()
    places = {name: place for place, name in enumerate(predictions.classes)}
    labels = samples.frame[str(samples.label)].tolist()
    unknown = [label for label in dict.fromkeys(labels) if label not in places]
    if unknown:
        raise InputError(
            f"labels of {samples.source} are no classes of these predictions",
            file=path,
            values=unknown,
            mend=mend,
        )
    return np.array([places[label] for label in labels], np.int64)


def _check(path: Path, predictions: Predictions, samples: Samples, *, whole: bool) -> None:
    if len(predictions) > 1 and not np.ptp(predictions.probabilities, axis=0).any():
        raise InputError(
            f"all {len(predictions)} rows have the same probabilities: nothing has been learnt",
            file=path,
        )
    _check_folds(path, predictions, samples)
    if whole and predictions.fold is not None and "fold" in samples.frame.columns:
        _check_whole(path, predictions, samples)


def _check_folds(path: Path, predictions: Predictions, samples: Samples) -> None:
    """Every row is validated in the fold that the table has it in, where both have folds."""
    if predictions.fold is None or "fold" not in samples.frame.columns:
        return
    own = np.asarray(predictions.fold).astype(str)
    folds = samples.frame["fold"].astype(str).to_numpy()
    other = np.flatnonzero(folds != own)
    if other.size:
        raise InputError(
            f"{other.size} rows were validated in another fold than {samples.source} has them in, "
            "so that a model may have been trained on them",
            file=path,
            values=predictions.ids[other].tolist(),
            mend="Train on the folds that are there now",
        )


def _check_whole(path: Path, predictions: Predictions, samples: Samples) -> None:
    """No row of the folds that are there is missing."""
    own = np.asarray(predictions.fold).astype(str)
    table = read_table(samples.source)
    held = table.loc[table["fold"].isin(set(own)), samples.id]
    missing = held[~held.isin(set(predictions.ids))]
    if len(missing):
        raise InputError(
            f"lacks {len(missing)} rows of its folds in {samples.source}",
            file=path,
            values=missing.tolist(),
            mend="Let the run finish: comptool train --resume",
        )


def _dropped_rows(header: Mapping[str, Any]) -> bool:
    """Whether rows without an image were left out of the training, and so of its folds."""
    arguments = header.get("arguments") or {}
    return bool(arguments.get("missing_modality") == "drop")


def trained_counts(
    headers: Iterable[Mapping[str, Any]], classes: Sequence[str]
) -> npt.NDArray[np.int64] | None:
    """Rows per class, shape (K,), that networks were trained on together; None if none tells."""
    totals = np.zeros(len(classes), np.int64)
    for header in headers:
        counts = header.get("trained_counts") or {}
        totals += np.array([counts.get(name, 0) for name in classes], np.int64)
    return totals if totals.any() else None
