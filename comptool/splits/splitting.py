"""The ``split`` command: table, findings and corrections in, ``folds.csv`` out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from comptool.competition.config import Competition, load, of_table
from comptool.competition.findings import links, of_training, read_findings
from comptool.competition.samples import Samples, read_samples, training_samples
from comptool.errors import InputError, quoted
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.provenance import SplitFacts
from comptool.io.tables import write_table
from comptool.label_review.corrections import (
    COLUMNS,
    ROW_COLUMNS,
    apply_corrections,
    apply_to_classes,
    apply_to_lists,
    read_corrections,
)
from comptool.splits.config import LABEL_SEEDS, SplitOptions
from comptool.splits.multilabel_folds import (
    Integers,
    LabelSplit,
    score,
    split_labels,
    split_warnings,
    units_of,
)
from comptool.splits.stratified import (
    LEFT_OUT,
    TRAINING,
    class_warnings,
    given_fold,
    given_warnings,
    labels_of,
    share_deviation,
    split_classes,
    torn_groups,
    under_sample,
    unused_column,
)
from comptool.splits.stratified import Integers as FoldIntegers
from comptool.tasks.label_matrix import (
    PRESENT,
    UNKNOWN,
    ZERO_IS_UNKNOWN,
    Matrix,
    positive_counts,
)
from comptool.tasks.labels import class_counts

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


GROUP = "duplicate_group"
Rows = npt.NDArray[np.intp]


def findings_about(samples: Samples, path: Path) -> pd.DataFrame:
    """The findings of a file, which have to be about these samples.

    Raises
    ------
    InputError
        If the file holds no findings, or those of other samples.
    """
    found = read_findings(path)
    named = of_training(found, found["kind"].unique().tolist())["id"]
    unknown = named[~named.isin(samples.frame[samples.id]) & (named != "")].tolist()
    if unknown:
        raise InputError(
            f"{len(unknown)} of its findings are about samples that {samples.source} lacks",
            file=path,
            values=unknown,
            mend="Look at this table: comptool inspect",
        )
    return found


def without_cells(
    samples: Samples, found: pd.DataFrame, kinds: Sequence[str], file: Path
) -> tuple[Samples, str]:
    """The samples with the cells that findings of some kinds doubt not annotated.

    Parameters
    ----------
    samples
        N samples, here with several labels each.
    found
        From `findings_about`.
    kinds
        Of `comptool.competition.findings.MASKABLE`.
    file
        Where the findings came from, for messages.

    Raises
    ------
    InputError
        If the labels are lists, in which nothing can be unknown, or a finding names a class that
        is not there.
    """
    if samples.label is not None:
        what = f"a list of labels (column '{samples.label}') cannot say that one is not known"
        raise InputError(what, file=samples.source, mend="Leave such rows out with --exclude")
    columns = [str(name) for name in samples.frame.columns if name in samples.labels]
    doubted = of_training(found, kinds)
    cells = [
        (identity, name, "-1")
        for identity, *ends in zip(
            doubted["id"], doubted["column"], doubted["other_column"], strict=True
        )
        for name in _between(columns, ends)
    ]
    said = pd.DataFrame(cells, columns=["id", "class", "label"]).drop_duplicates()
    done = apply_corrections(
        samples.frame, said, id_column=samples.id, classes=samples.labels, file=file
    )
    told = f"{file}: cells that are not annotated ({', '.join(kinds)}): {done.changed}"
    return replace(samples, frame=done.frame), told


def _between(columns: Sequence[str], ends: Sequence[str]) -> Sequence[str]:
    if not set(ends) <= set(columns):
        return ends  # `apply_corrections` tells which class there is not.
    first, last = (columns.index(name) for name in ends)
    return columns[first : last + 1]


def without_rows(
    samples: Samples, found: pd.DataFrame, kinds: Sequence[str], file: Path
) -> tuple[Samples, str]:
    """The samples but for those that findings of some kinds are about.

    Parameters
    ----------
    samples, found, file
        See `without_cells`.
    kinds
        Of `comptool.competition.findings.EXCLUDABLE`.

    Raises
    ------
    InputError
        If no sample is left.
    """
    kept = ~samples.frame[samples.id].isin(of_training(found, kinds)["id"]).to_numpy()
    if not kept.any():
        raise InputError("its findings leave no sample", file=file, values=kinds)
    told = f"{file}: rows left out ({', '.join(kinds)}): {int((~kept).sum())}"
    return replace(samples, frame=samples.frame[kept].reset_index(drop=True)), told


def families(samples: Samples, found: pd.DataFrame) -> pd.Series[int]:
    """The number of the family of copies that each sample belongs to, by its id.

    Copies of one another are of one family, directly or by way of others: also of such that are
    left out afterwards.

    Parameters
    ----------
    samples
        N samples.
    found
        From `findings_about`.
    """
    pairs, ids = links(found), pd.Index(samples.frame[samples.id])
    one, other = (ids.get_indexer(pd.Index(pairs[name])) for name in ("id", "other_id"))
    there = (one >= 0) & (other >= 0)
    return pd.Series(_joined(one[there], other[there], len(ids)), index=ids)


def kept_together(samples: Samples, family: pd.Series[int], file: Path) -> tuple[Samples, str]:
    """The samples with a group column by which copies, and what was a group before, stay together.

    Parameters
    ----------
    samples
        N samples.
    family
        From `families`, of these samples and perhaps of more.
    file
        Where the findings came from, for messages.
    """
    own = family.loc[samples.frame[samples.id]].to_numpy()
    copies = len(own) - len(np.unique(own))
    told = f"{file}: pairs of copies that stay together: {copies}"
    if not copies:
        return samples, told
    rows = np.arange(len(samples))
    keys = [own] if samples.group is None else [own, samples.frame[samples.group].to_numpy()]
    heads = [pd.Series(rows).groupby(key).transform("first") for key in keys]
    parts = _joined(np.tile(rows, len(keys)), np.concatenate(heads), len(rows))
    names = samples.frame[samples.id].groupby(parts).transform("min")
    return replace(samples, frame=samples.frame.assign(**{GROUP: names}), group=GROUP), told


def _joined(one: Rows, other: Rows, count: int) -> npt.NDArray[np.int32]:
    """The number of the part of a graph that each of its nodes belongs to."""
    # SciPy loads `sparse` at its first mention here: a split without findings never waits for it.
    sparse = scipy.sparse
    graph = sparse.coo_array((np.ones(len(one)), (one, other)), (count, count))
    parts: npt.NDArray[np.int32] = sparse.csgraph.connected_components(graph, directed=False)[1]
    return parts


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
    facts = SplitFacts(
        folder=Path(os.path.relpath(samples.folder, output.parent)).as_posix(),
        class_counts=folds.published,
        seed=options.seed,
        strategy=folds.strategy,
        zero_is_unknown=folds.zero_is_unknown if samples.labels else None,
        split=dict(folds.figures) if samples.labels else None,
    )
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


def _given(samples: Samples, column: str) -> tuple[Samples, FoldIntegers, list[str]]:
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


def _take(samples: Samples, rows: FoldIntegers) -> Samples:
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


def _parts(fold: FoldIntegers) -> dict[int, str]:
    """What each fold is called, training first."""
    present = sorted({int(one) for one in fold})
    parts = {one: "training" if one == TRAINING else f"fold {one}" for one in present}
    if set(present) <= {TRAINING, 0}:
        parts[0] = "validation"
    return parts
