"""The split of a multi-label table: its cells, its corrections, and what came of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from comptool.data.config import LABEL_SEEDS, SplitOptions
from comptool.data.label_shares import score
from comptool.data.label_splits import LabelSplit, split_labels, split_warnings
from comptool.data.label_units import Integers, units_of
from comptool.errors import InputError
from comptool.evaluation.label_corrections import (
    COLUMNS,
    ROW_COLUMNS,
    apply_corrections,
    apply_to_classes,
    apply_to_lists,
    read_corrections,
)
from comptool.label_matrix import PRESENT, UNKNOWN, Matrix, positive_counts
from comptool.samples import Samples

ROWS = "(rows)"


def corrected_samples(samples: Samples, corrections: Path) -> tuple[Samples, str]:
    """The samples with a file's corrections, and what these changed, in words.

    Raises
    ------
    InputError
        If the file is no table of corrections, or names an id or a class that is not there.
    """
    said = read_corrections(corrections, COLUMNS if samples.labels else ROW_COLUMNS)
    if not samples.labels:
        done = apply_to_classes(samples, said, file=corrections)
    elif samples.label is None:
        done = apply_corrections(
            samples.frame, said, id_column=samples.id, classes=samples.labels, file=corrections
        )
    else:
        done = apply_to_lists(samples, said, file=corrections)
    return replace(samples, frame=done.frame), f"{corrections}: {done.text()}"


def split_table(samples: Samples, matrix: Matrix, options: SplitOptions) -> LabelSplit:
    """The best split of many seeds, refined.

    Raises
    ------
    InputError
        If no label is present in any row, or nothing can be validated.
    """
    if not (matrix == PRESENT).any():
        raise InputError(
            "no class is present in any row; there is nothing to learn", file=samples.source
        )
    groups = None
    if samples.group is not None:
        groups = samples.frame[samples.group].to_numpy(dtype=str)
    count = LABEL_SEEDS if options.num_seeds is None else options.num_seeds
    return split_labels(
        matrix,
        options.share if options.num_folds is None else None,
        num_folds=options.num_folds,
        groups=groups,
        strategy=options.strategy or "iterative",
        seeds=range(options.seed, options.seed + count),
        refine=options.refine,
    )


def split_figures(split: LabelSplit) -> dict[str, object]:
    """The criterion of the seeds and before and after the exchanges, for a program to read."""
    search, refined = split.search, split.refined
    return {
        "strategy": search.strategy,
        "seeds": len(search.seeds),
        "best": {"seed": search.best, "criterion": float(search.scores.min())},
        "worst": {"seed": search.worst, "criterion": float(search.scores.max())},
        "refined": None
        if refined is None
        else {"before": refined.before, "after": refined.after, "exchanges": refined.swaps},
        "criterion": split.criterion,
    }


def criterion_of(matrix: Matrix, fold: Integers) -> float:
    """Standard deviation over classes of the share differences of a split, percentage points."""
    return score(units_of(matrix), fold)


def label_warnings(samples: Samples, matrix: Matrix, fold: Integers) -> list[str]:
    """What the user should know of a multi-label table and its split, one sentence each."""
    told = split_warnings(matrix, fold, samples.labels)
    unknown = int((matrix == UNKNOWN).all(axis=1).sum())
    if unknown:
        told.append(f"{unknown} rows have no annotated cell: they neither teach nor measure")
    empty = int(((matrix != PRESENT).all(axis=1)).sum()) - unknown
    if empty:
        told.append(f"{empty} rows have no class that is present")
    return told


def label_counts(
    classes: Sequence[str], matrix: Matrix, fold: Integers, parts: Mapping[int, str]
) -> pd.DataFrame:
    """Positives per class in each part of a split; the last row has the number of all rows.

    Parameters
    ----------
    classes
        K class names.
    matrix
        Cells of shape (N, K).
    fold
        Fold of each row, shape (N,).
    parts
        What each fold is called.
    """
    counts = {}
    for number, name in parts.items():
        inside = matrix[fold == number]
        counts[name] = [*positive_counts(inside, classes).values(), len(inside)]
    return pd.DataFrame(counts, index=[*classes, ROWS])
