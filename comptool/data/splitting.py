"""The split of a training table: by the labels that its rows have, or as a column gives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from comptool.competition import Competition, load, of_table
from comptool.data.class_splits import class_warnings, given_warnings, labels_of, split_classes
from comptool.data.config import SplitOptions
from comptool.data.fold_tables import Folds
from comptool.data.folds import TRAINING, Integers, share_deviation, under_sample
from comptool.data.given_split import LEFT_OUT, given_fold, torn_groups, unused_column
from comptool.data.label_tables import (
    corrected_samples,
    criterion_of,
    label_counts,
    label_warnings,
    split_figures,
    split_table,
)
from comptool.data.mending import (
    families,
    findings_about,
    kept_together,
    without_cells,
    without_rows,
)
from comptool.errors import InputError, quoted
from comptool.label_matrix import ZERO_IS_UNKNOWN, positive_counts
from comptool.samples import Samples, class_counts, read_samples, training_samples


def samples_to_split(table: Path | None, toml: Path | None) -> tuple[Competition, Samples]:
    """The labelled samples of a table, or else of the competition's training data.

    Parameters
    ----------
    table
        A labelled table, which need not name images.
    toml
        The competition's facts; by default those of the working directory.

    Raises
    ------
    InputError
        If there is no such data, or something is wrong in it.
    """
    competition = load(toml) if table is None else of_table(table, toml)
    if table is None:
        return competition, training_samples(competition)
    return competition, read_samples(table, competition, labelled=True)


def make_folds(
    samples: Samples,
    *,
    val: float | None = None,
    num_folds: int | None = None,
    balance: Literal["none", "under"] = "none",
    cap: int | None = None,
    seed: int = 0,
) -> Folds:
    """`split_samples` with the options that most splits are made of; see `SplitOptions`."""
    return split_samples(
        samples, SplitOptions(val=val, num_folds=num_folds, balance=balance, cap=cap, seed=seed)
    )


def split_samples(samples: Samples, options: SplitOptions) -> Folds:
    """Decide for every sample when it is validated.

    Parameters
    ----------
    samples
        Labelled samples; where they have a group column, groups stay whole.
    options
        How they are to be split.

    Raises
    ------
    UsageError
        If options contradict one another, are out of range, or do not fit the labels.
    InputError
        If there is one class only, nothing can be validated, or a table or column that the
        options name cannot be used.
    """
    options.check()
    if samples.labels:
        options.check_for_several_labels()
    else:
        options.check_for_one_label(grouped=samples.group is not None)
    if "fold" in samples.frame and options.from_column != "fold":
        raise InputError(
            "the table has a column 'fold' already",
            file=samples.source,
            mend="Use it as it is (it is a folds table), or rename that column",
        )
    _check_groups(samples)
    notes = []
    unused = None if options.from_column else unused_column(samples)
    if unused:
        notes.append(f"column '{unused}' gives a split; --from-column {unused} would take it")
    made = _several_labels(samples, options) if samples.labels else _one_label(samples, options)
    return replace(made, warnings=(*made.warnings, *notes))


def _check_groups(samples: Samples) -> None:
    if samples.group is None:
        return
    blank = (samples.frame[samples.group].str.strip() == "").to_numpy().nonzero()[0]
    if blank.size:
        row = int(blank[0]) + 1
        raise InputError("the group is blank", file=samples.source, row=row, column=samples.group)


def _one_label(samples: Samples, options: SplitOptions) -> Folds:
    warnings: list[str] = []
    published = class_counts(labels_of(_kept(samples, options)))
    samples, measures = _mended(samples, options)
    if options.from_column is not None:
        samples, fold, warnings = _given(samples, options.from_column)
    labels = labels_of(samples)
    if options.from_column is not None:
        warnings += given_warnings(labels, fold)
    else:
        if options.balance == "under":
            samples = _take(samples, under_sample(labels, options.cap, options.seed))
            labels = labels_of(samples)
        split = split_classes(samples, options)
        fold = split.fold
        if len(split.deviations) > 1:
            measures.append(split.text())
        warnings = class_warnings(labels, fold, options.num_folds, grouped=bool(samples.group))
    deviation = share_deviation(labels, fold)
    measures.append(f"worst deviation of a class's share: {deviation:.2f} percentage points")
    counts = pd.DataFrame({"published": published})
    for number, name in _parts(fold).items():
        counts[name] = pd.Series(class_counts(labels[fold == number]), dtype=int)
    counts = counts.fillna(0).astype(int)
    return Folds(
        frame=samples.frame.assign(fold=fold),
        published=published,
        strategy=_strategy(options, samples.group),
        counts=pd.concat([counts, pd.DataFrame([counts.sum()], index=["all"])]),
        measures=tuple(measures),
        figures={"deviation": deviation},
        warnings=tuple(warnings),
    )


def _several_labels(samples: Samples, options: SplitOptions) -> Folds:
    warnings: list[str] = []
    read = _kept(samples, options)
    labels = read.label_matrix()
    published = positive_counts(labels, read.labels)
    samples, measures = _mended(samples, options)
    if options.from_column is not None:
        samples, fold, warnings = _given(samples, options.from_column)
    matrix = labels if samples is read else samples.label_matrix()
    if options.from_column is None:
        split = split_table(samples, matrix, options)
        fold, figures = split.fold, split_figures(split)
        measures += split.text().splitlines()
    else:
        figures = {"criterion": criterion_of(matrix, fold)}
        measures.append(f"class shares differ by {figures['criterion']:.4f} percentage points")
    unknown = options.zero_is_unknown or samples.zero_is_unknown
    if unknown:
        measures.append(_mapping(samples))
    counts = label_counts(samples.labels, matrix, fold, _parts(fold))
    counts.insert(0, "published", [*published.values(), len(read)])
    # In the table itself, which may be moved without its record.
    mapped = {ZERO_IS_UNKNOWN: "1"} if unknown else {}
    return Folds(
        frame=samples.frame.assign(**mapped, fold=fold),
        published=published,
        strategy=_strategy(options, samples.group),
        counts=counts,
        measures=tuple(measures),
        figures=figures,
        warnings=(*warnings, *label_warnings(samples, matrix, fold)),
        zero_is_unknown=unknown,
    )


def _mended(samples: Samples, options: SplitOptions) -> tuple[Samples, list[str]]:
    """The samples with their findings and corrections, and what these changed, in words.

    What a person has corrected is known, whatever the findings say of it.
    """
    path, told = options.findings, []
    if path is not None:
        found = findings_about(samples, path)
        family = families(samples, found)
        if options.mask:
            samples, done = without_cells(samples, found, options.mask, path)
            told.append(done)
    if options.corrections is not None:
        samples, done = corrected_samples(samples, options.corrections)
        told.append(done)
    if path is not None:
        if options.exclude:
            samples, done = without_rows(samples, found, options.exclude, path)
            told.append(done)
        samples, done = kept_together(samples, family, path)
        told.append(done)
    return samples, told


def _mapping(samples: Samples) -> str:
    """What training makes of 0, and who said so."""
    said = (
        f", as column '{ZERO_IS_UNKNOWN}' of {samples.source} says"
        if samples.zero_is_unknown
        else ""
    )
    return f"0 is taken for not annotated in training{said}; validation keeps it"


def _kept(samples: Samples, options: SplitOptions) -> Samples:
    """The samples without those that a given split leaves out."""
    return samples if options.from_column is None else _given(samples, options.from_column)[0]


def _given(samples: Samples, column: str) -> tuple[Samples, Integers, list[str]]:
    """The rows that a given split does not leave out, their folds, and what to know of it."""
    fold = given_fold(samples, column)
    kept = np.flatnonzero(fold != LEFT_OUT)
    told = []
    if len(kept) < len(fold):
        told.append(f"{len(fold) - len(kept)} rows are 'test' and left out")
    samples, fold = _take(samples, kept), fold[kept]
    torn = torn_groups(samples, fold)
    if torn:
        told.append(f"the given split tears {len(torn)} groups apart ({quoted(torn)})")
    return samples, fold, told


def _take(samples: Samples, rows: Integers) -> Samples:
    return replace(samples, frame=samples.frame.iloc[rows].reset_index(drop=True))


def _strategy(options: SplitOptions, group: str | None) -> str:
    if options.from_column is not None:
        return options.what
    parts = [f"{'random' if options.strategy == 'random' else 'stratified'} {options.what}"]
    if group is not None:
        parts.append(f"grouped by {group}")
    if options.balance == "under":
        cap = f" to at most {options.cap} per class" if options.cap else ""
        parts.append(f"under-sampled{cap}")
    return ", ".join(parts)


def _parts(fold: Integers) -> dict[int, str]:
    """What each fold is called, training first."""
    present = sorted({int(one) for one in fold})
    parts = {one: "training" if one == TRAINING else f"fold {one}" for one in present}
    if set(present) <= {TRAINING, 0}:
        parts[0] = "validation"
    return parts
