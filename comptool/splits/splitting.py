"""The ``split`` command: table, findings and corrections in, ``folds.csv`` out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from comptool.competition.bags import check_whole
from comptool.competition.config import Competition, load, of_table
from comptool.competition.findings import links, of_training, read_findings
from comptool.competition.likeness import read_weights
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
from comptool.options import arguments, part
from comptool.splits.config import LABEL_SEEDS, SplitConfig, SplitOptions
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
from comptool.tasks.labels import (
    PRESENT,
    UNKNOWN,
    ZERO_IS_UNKNOWN,
    Matrix,
    class_counts,
    positive_counts,
)

ROWS = "(rows)"


def corrected_samples(samples: Samples, corrections: Path) -> tuple[Samples, str]:
    """The samples with a file's label corrections, and a summary of the changes."""
    table = read_corrections(corrections, COLUMNS if samples.labels else ROW_COLUMNS)
    if samples.bag is not None:
        table = _of_images(table, samples)
    if not samples.labels:
        corrected = apply_to_classes(samples, table, file=corrections)
    elif samples.label is None:
        corrected = apply_corrections(
            samples.frame, table, id_column=samples.id, classes=samples.labels, file=corrections
        )
    else:
        corrected = apply_to_lists(samples, table, file=corrections)
    return replace(samples, frame=corrected.frame), f"{corrections}: {corrected.text()}"


def _of_images(corrections: pd.DataFrame, samples: Samples) -> pd.DataFrame:
    """Corrections of bags as those of their images; those of images are kept."""
    ids = pd.DataFrame({"bag": samples.frame[samples.bag], "image": samples.frame[samples.id]})
    merged = corrections.merge(ids, left_on="id", right_on="bag", how="left")
    merged["id"] = merged["image"].where(merged["image"].notna(), merged["id"])
    return merged[list(corrections.columns)]


def split_table(samples: Samples, matrix: Matrix, options: SplitOptions) -> LabelSplit:
    """Split a multi-label table by the best of many seeds, refined."""
    if not (matrix == PRESENT).any():
        raise InputError(
            "no class is present in any row; there is nothing to learn", file=samples.source
        )
    groups = None
    if samples.group is not None:
        groups = samples.frame[samples.group].to_numpy(dtype=str)
    count = options.num_seeds or LABEL_SEEDS
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
    """The criterion of the seeds and of the exchanges, for JSON."""
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


def label_warnings(samples: Samples, matrix: Matrix, fold: Integers) -> list[str]:
    """Warnings about a multi-label table and its split, one sentence each."""
    warnings = split_warnings(matrix, fold, samples.labels)
    unknown = int((matrix == UNKNOWN).all(axis=1).sum())
    if unknown:
        warnings.append(f"{unknown} rows have no annotated cell: not used in training or scoring")
    empty = int(((matrix != PRESENT).all(axis=1)).sum()) - unknown
    if empty:
        warnings.append(f"{empty} rows have no class that is present")
    return warnings


def label_counts(
    classes: Sequence[str], matrix: Matrix, fold: Integers, parts: Mapping[int, str]
) -> pd.DataFrame:
    """Positives of K classes in each named part of a split; the last row counts all rows."""
    inside = {name: matrix[fold == number] for number, name in parts.items()}
    counts = {
        name: [*positive_counts(part, classes).values(), len(part)] for name, part in inside.items()
    }
    return pd.DataFrame(counts, index=[*classes, ROWS])


GROUP = "duplicate_group"
Rows = npt.NDArray[np.intp]


def findings_about(samples: Samples, path: Path) -> pd.DataFrame:
    """Read findings and check that they are about these samples."""
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
    """The samples with the cells in doubt by some kinds of findings marked as not annotated."""
    if samples.label is not None:
        what = f"a list of labels (column '{samples.label}') cannot mark a label as unknown"
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
    corrections = pd.DataFrame(cells, columns=["id", "class", "label"]).drop_duplicates()
    masked = apply_corrections(
        samples.frame, corrections, id_column=samples.id, classes=samples.labels, file=file
    )
    text = f"{file}: cells masked as not annotated ({', '.join(kinds)}): {masked.changed}"
    return replace(samples, frame=masked.frame), text


def _between(columns: Sequence[str], ends: Sequence[str]) -> Sequence[str]:
    if not set(ends) <= set(columns):
        return ends  # `apply_corrections` reports the missing class.
    first, last = (columns.index(name) for name in ends)
    return columns[first : last + 1]


def without_rows(
    samples: Samples, found: pd.DataFrame, kinds: Sequence[str], file: Path
) -> tuple[Samples, str]:
    """The samples without those that some kinds of findings are about."""
    kept = ~samples.frame[samples.id].isin(of_training(found, kinds)["id"]).to_numpy()
    if not kept.any():
        raise InputError("its findings leave no sample", file=file, values=kinds)
    text = f"{file}: rows left out ({', '.join(kinds)}): {int((~kept).sum())}"
    return _take(samples, np.flatnonzero(kept)), text


def families(samples: Samples, found: pd.DataFrame) -> pd.Series[int]:
    """The duplicate family of each sample, by id.

    Copies are connected directly or through other samples, also those that are left out later.
    """
    pairs, ids = links(found), pd.Index(samples.frame[samples.id])
    ends = np.stack([ids.get_indexer(pd.Index(pairs[name])) for name in ("id", "other_id")])
    known = ends[:, (ends >= 0).all(axis=0)]
    return pd.Series(_components(known[0], known[1], len(ids)), index=ids)


def kept_together(samples: Samples, family: pd.Series[int], file: Path) -> tuple[Samples, str]:
    """The samples with a group column that keeps copies, and the present groups, together."""
    own = family.loc[samples.frame[samples.id]].to_numpy()
    copies = len(own) - len(np.unique(own))
    text = f"{file}: pairs of copies kept together: {copies}"
    if not copies:
        return samples, text
    rows = np.arange(len(samples))
    columns = [name for name in (samples.group, samples.bag) if name is not None]
    keys = [own, *(samples.frame[name].to_numpy() for name in columns)]
    heads = [pd.Series(rows).groupby(key).transform("first") for key in keys]
    parts = _components(np.tile(rows, len(keys)), np.concatenate(heads), len(rows))
    names = samples.frame[samples.id].groupby(parts).transform("min")
    return replace(samples, frame=samples.frame.assign(**{GROUP: names}), group=GROUP), text


def _components(start: Rows, end: Rows, count: int) -> npt.NDArray[np.int32]:
    """The connected component of each of ``count`` nodes, from edges."""
    # SciPy loads `sparse` on first use: a split without findings does not wait for it.
    sparse = scipy.sparse
    graph = sparse.coo_array((np.ones(len(start)), (start, end)), (count, count))
    parts: npt.NDArray[np.int32] = sparse.csgraph.connected_components(graph, directed=False)[1]
    return parts


@dataclass(frozen=True)
class Folds:
    """A training table with its folds."""

    # With a column ``fold``: 0..K-1 validates the row (a hold-out is fold 0), -1 always trains.
    frame: pd.DataFrame
    published: dict[str, int]  # samples per class before corrections and balancing
    strategy: str  # the kind of split in words
    counts: pd.DataFrame  # rows of each class, published and in each part; last the total
    measures: tuple[str, ...]  # criteria as lines of text
    figures: Mapping[str, object]  # criteria for JSON
    warnings: tuple[str, ...] = ()
    zero_is_unknown: bool = False  # whether training treats 0 as "not annotated"


def write_folds(folds: Folds, samples: Samples, asked: SplitConfig) -> None:
    """Write ``folds.csv`` and its record; an OutputExistsError if it exists, without ``--force``.

    The record adds the data folder, relative to the table's own, and the class counts as published.
    """
    output = asked.output
    options = {"table": asked.table, "output": output, **arguments(part(asked, SplitOptions))}
    inputs = provenance.hashes(
        [samples.source, *filter(None, [asked.corrections, asked.findings, asked.like_test])]
    )
    facts = SplitFacts(
        folder=Path(os.path.relpath(samples.folder, output.parent)).as_posix(),
        class_counts={} if samples.numbers else folds.published,
        seed=asked.seed,
        strategy=folds.strategy,
        zero_is_unknown=folds.zero_is_unknown if samples.labels else None,
        split=dict(folds.figures) if samples.labels else None,
    )
    with together():
        write_table(output, folds.frame, force=asked.force)
        provenance.record(output, command="split", arguments=options, inputs=inputs, facts=facts)


def report(folds: Folds) -> str:
    """Rows per class and part, the criteria and the warnings, as text."""
    lines = [folds.strategy, folds.counts.to_string(), *folds.measures]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in folds.warnings)])


def summary(output: Path, folds: Folds) -> dict[str, object]:
    """The content of `report` for JSON."""
    return {
        "output": str(output),
        "rows": len(folds.frame),
        "strategy": folds.strategy,
        "classes": folds.counts.iloc[:-1].to_dict(orient="index"),
        **folds.figures,
        "warnings": list(folds.warnings),
    }


def samples_to_split(table: Path | None, toml: Path | None) -> tuple[Competition, Samples]:
    """The labelled samples of a table, or by default of the competition's training data."""
    competition = load(toml) if table is None else of_table(table, toml)
    if table is None:
        return competition, training_samples(competition)
    return competition, read_samples(table, competition, labelled=True)


def split_samples(samples: Samples, options: SplitOptions) -> Folds:
    """Assign every labelled sample to a fold; groups, if there is a group column, stay in one.

    Raises
    ------
    UsageError
        If options contradict one another, are out of range, or do not fit the labels.
    InputError
        If there is only one class, nothing to validate, or a table or column that the options
        name is not usable.
    """
    options.check()
    if samples.labels:
        options.check_for_several_labels()
    else:
        options.check_for_one_label(grouped=samples.group is not None)
    if samples.numbers:
        options.check_for_numbers()
    if "fold" in samples.frame and options.from_column != "fold":
        raise InputError(
            "the table has a column 'fold' already",
            file=samples.source,
            mend="Use it as it is (it is a folds table), or rename that column",
        )
    if samples.group is not None:
        blank = np.flatnonzero(samples.frame[samples.group].str.strip() == "")
        if blank.size:
            row, column = int(blank[0]) + 1, samples.group
            raise InputError("the group is blank", file=samples.source, row=row, column=column)
    if samples.bag is not None and options.from_column is not None:
        given = [options.from_column]
        check_whole(samples.source, samples.frame, samples.bag, given, "are in different parts")
    folds = _several_labels(samples, options) if samples.labels else _one_label(samples, options)
    unused = None if options.from_column else unused_column(samples)
    if unused:
        note = f"column '{unused}' holds a split; use it with --from-column {unused}"
        folds = replace(folds, warnings=(*folds.warnings, note))
    return folds


def _one_label(samples: Samples, options: SplitOptions) -> Folds:
    published = class_counts(labels_of(_kept(samples, options).by_bag()))
    images, measures = _cleaned(samples, options)
    samples = images.by_bag()
    if options.from_column is not None:
        samples, fold, warnings = _given(samples, options.from_column)
        labels = labels_of(samples)
        warnings += given_warnings(labels, fold)
    else:
        labels = labels_of(samples)
        weights: npt.NDArray[np.float64] | None = None
        if options.like_test is not None:
            ids = samples.frame[samples.id].to_numpy(object)
            of_unit = pd.Series(read_weights(options.like_test, ids, samples.source), ids)
        if options.balance == "under":
            samples = _take(samples, under_sample(labels, options.cap, options.seed))
            labels = labels_of(samples)
        if options.like_test is not None:
            weights = np.asarray(of_unit.loc[samples.frame[samples.id].tolist()], np.float64)
        split = split_classes(samples, options, weights)
        fold = split.fold
        if weights is not None:
            inside, outside = (weights[part].mean() for part in (fold >= 0, fold < 0))
            measures.append(
                f"mean weight by {options.like_test}: {inside:.2f} in validation, {outside:.2f} in "
                "training"
            )
        if len(split.deviations) > 1:
            measures.append(split.text())
        warnings = class_warnings(labels, fold, options.num_folds, grouped=bool(samples.group))
    deviation = share_deviation(labels, fold)
    unit = "a bin" if samples.numbers else "a class"
    measures.append(f"worst deviation of {unit}'s share: {deviation:.2f} percentage points")
    # Bins are those of the rows that are left.
    published = class_counts(labels) if samples.numbers else published
    counts = pd.DataFrame({"published": published})
    for number, name in _parts(fold).items():
        counts[name] = pd.Series(class_counts(labels[fold == number]), dtype=int)
    counts = counts.fillna(0).astype(int)
    return Folds(
        frame=_with_fold(images, samples, fold),
        published=published,
        strategy=_strategy(options, samples.group),
        counts=pd.concat([counts, pd.DataFrame([counts.sum()], index=["all"])]),
        measures=tuple(measures),
        figures={"deviation": deviation},
        warnings=tuple(warnings),
    )


def _several_labels(samples: Samples, options: SplitOptions) -> Folds:
    warnings: list[str] = []
    read = _kept(samples, options).by_bag()
    labels = read.label_matrix()
    published = positive_counts(labels, read.labels)
    images, measures = _cleaned(samples, options)
    unchanged = images is samples and options.from_column is None
    samples = images.by_bag()
    if options.from_column is not None:
        samples, fold, warnings = _given(samples, options.from_column)
    matrix = labels if unchanged else samples.label_matrix()
    if options.from_column is None:
        split = split_table(samples, matrix, options)
        fold, figures = split.fold, split_figures(split)
        measures += split.text().splitlines()
    else:
        figures = {"criterion": score(units_of(matrix), fold)}
        measures.append(f"class shares differ by {figures['criterion']:.4f} percentage points")
    unknown = options.zero_is_unknown or samples.zero_is_unknown
    if unknown:
        origin = f" (column '{ZERO_IS_UNKNOWN}' of {samples.source})"
        measures.append(
            f"training treats 0 as not annotated{origin if samples.zero_is_unknown else ''}; "
            "validation does not"
        )
    counts = label_counts(samples.labels, matrix, fold, _parts(fold))
    counts.insert(0, "published", [*published.values(), len(read)])
    # In the table itself, in case it is moved without its record.
    mapped = {ZERO_IS_UNKNOWN: "1"} if unknown else {}
    return Folds(
        frame=_with_fold(images, samples, fold).assign(**mapped),
        published=published,
        strategy=_strategy(options, samples.group),
        counts=counts,
        measures=tuple(measures),
        figures=figures,
        warnings=(*warnings, *label_warnings(samples, matrix, fold)),
        zero_is_unknown=unknown,
    )


def _with_fold(images: Samples, units: Samples, fold: Integers) -> pd.DataFrame:
    """The rows of images whose bag, or row, is among the units, with the fold of the unit."""
    if images.bag is None:
        return units.frame.assign(fold=fold)
    of_bag = pd.Series(fold, index=units.frame[images.bag])
    kept = images.frame[images.frame[images.bag].isin(of_bag.index)].reset_index(drop=True)
    return kept.assign(fold=kept[images.bag].map(of_bag).to_numpy(np.int64))


def _cleaned(samples: Samples, options: SplitOptions) -> tuple[Samples, list[str]]:
    """The samples after findings and corrections, and a summary of each step.

    Corrections come after the masking: a corrected label is known.
    """
    path, texts = options.findings, []
    if path is not None:
        found = findings_about(samples, path)
        family = families(samples, found)
        if options.mask:
            samples, text = without_cells(samples, found, options.mask, path)
            texts.append(text)
    if options.corrections is not None:
        samples, text = corrected_samples(samples, options.corrections)
        texts.append(text)
    if path is not None:
        if options.exclude:
            samples, text = without_rows(samples, found, options.exclude, path)
            texts.append(text)
        samples, text = kept_together(samples, family, path)
        texts.append(text)
    if samples.bag is not None:
        columns = list(samples.labels) or [str(samples.label)]
        check_whole(samples.source, samples.frame, samples.bag, columns, "get different labels")
        bags = samples.frame[samples.bag].nunique()
        texts.append(f"{len(samples)} images of {bags} bags; a bag counts once")
    return samples, texts


def _kept(samples: Samples, options: SplitOptions) -> Samples:
    """The samples without those that a given split leaves out."""
    return samples if options.from_column is None else _given(samples, options.from_column)[0]


def _given(samples: Samples, column: str) -> tuple[Samples, Integers, list[str]]:
    """The rows that a given split keeps, their folds, and warnings."""
    fold = given_fold(samples, column)
    kept = np.flatnonzero(fold != LEFT_OUT)
    warnings = []
    if len(kept) < len(fold):
        warnings.append(f"{len(fold) - len(kept)} rows are 'test' and left out")
    samples, fold = _take(samples, kept), fold[kept]
    torn = torn_groups(samples, fold)
    if torn:
        warnings.append(f"the given split divides {len(torn)} groups ({quoted(torn)})")
    return samples, fold, warnings


def _take(samples: Samples, rows: Integers) -> Samples:
    return replace(samples, frame=samples.frame.iloc[rows].reset_index(drop=True))


def _strategy(options: SplitOptions, group: str | None) -> str:
    if options.from_column is not None:
        return options.what
    parts = [f"{'random' if options.strategy == 'random' else 'stratified'} {options.what}"]
    if options.like_test is not None:
        parts.append("like the test set")
    if group is not None:
        parts.append(f"grouped by {group}")
    if options.balance == "under":
        cap = f" to at most {options.cap} per class" if options.cap else ""
        parts.append(f"under-sampled{cap}")
    return ", ".join(parts)


def _parts(fold: Integers) -> dict[int, str]:
    """The name of each fold, training first."""
    numbers = sorted({int(number) for number in fold})
    parts = {n: "training" if n == TRAINING else f"fold {n}" for n in numbers}
    if set(numbers) <= {TRAINING, 0}:
        parts[0] = "validation"
    return parts
