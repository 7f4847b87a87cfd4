"""``folds.csv``: a training table with the fold in which each row is validated, and its record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from comptool import provenance
from comptool.data.config import SplitOptions
from comptool.outputs import together
from comptool.samples import Samples
from comptool.tables import write_table


@dataclass(frozen=True)
class Folds:
    """A training table with its folds.

    Parameters
    ----------
    frame
        Rows that are kept, with an integer column ``fold``: 0..K-1 is the fold in which the row is
        validated (a hold-out is fold 0), -1 a row that is always trained on.
    published
        Number of samples per class as they were read, before corrections and balancing.
    strategy
        How it was made, in words.
    counts
        Rows of each class, as published and in each part; the last row is of all classes.
    measures
        What was tried and reached, line by line.
    figures
        The same for a program to read.
    warnings
        What the user should know, one sentence each.
    zero_is_unknown
        Whether training is to take the 0 of a multi-label table for "not annotated".
    """

    frame: pd.DataFrame
    published: dict[str, int]
    strategy: str
    counts: pd.DataFrame
    measures: tuple[str, ...]
    figures: Mapping[str, object]
    warnings: tuple[str, ...] = field(default=())
    zero_is_unknown: bool = False


def write_folds(
    output: Path,
    folds: Folds,
    samples: Samples,
    *,
    options: SplitOptions,
    arguments: Mapping[str, object],
    force: bool = False,
) -> None:
    """Write ``folds.csv`` and its record.

    The record tells the data folder, relative to the table's own, and the class counts as
    published, which no column of the table holds. That training takes 0 for "not annotated" the
    table says itself, in a column ``zero_is_unknown``.

    Raises
    ------
    OutputExistsError
        If ``output`` exists and ``force`` is off.
    """
    read = [samples.source, *filter(None, [options.corrections, options.findings])]
    # The output may be written over the table.
    inputs = provenance.hashes(read)
    facts = {
        "folder": Path(os.path.relpath(samples.folder, output.parent)).as_posix(),
        "class_counts": folds.published,
        "seed": options.seed,
        "strategy": folds.strategy,
    }
    if samples.labels:
        facts |= {"zero_is_unknown": folds.zero_is_unknown, "split": folds.figures}
    with together():
        write_table(output, folds.frame, force=force)
        provenance.record(output, command="split", arguments=arguments, inputs=inputs, facts=facts)


def report(folds: Folds) -> str:
    """Rows per class and part, what was reached and the warnings, as text to be read."""
    lines = [folds.strategy, folds.counts.to_string(), *folds.measures]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in folds.warnings)])


def summary(output: Path, folds: Folds) -> dict[str, object]:
    """What `report` says, for a program to read."""
    return {
        "output": str(output),
        "rows": len(folds.frame),
        "strategy": folds.strategy,
        "classes": folds.counts.iloc[:-1].to_dict(orient="index"),
        **folds.figures,
        "warnings": list(folds.warnings),
    }
