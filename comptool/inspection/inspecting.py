"""``comptool inspect``: from tables and images to findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition import findings
from comptool.competition.config import Competition, load
from comptool.competition.findings import TEST, TRAIN
from comptool.competition.samples import Samples, read_samples, test_samples, training_samples
from comptool.errors import InputError
from comptool.inspection.duplicates import image_findings
from comptool.inspection.image_scan import Images, look_at_all
from comptool.inspection.label_rules import label_findings
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.tables import write_table
from comptool.splits.splitting import samples_to_split
from comptool.splits.stratified import torn_groups
from comptool.tasks.labels import PRESENT, UNKNOWN


def label_conflicts(links: pd.DataFrame, samples: Samples) -> pd.DataFrame:
    """Copies with different labels; both are findings, since either label may be wrong.

    A cell that is not annotated contradicts nothing.
    """
    labels = _labels(samples)
    pairs = links[_contradict(links, samples)] if samples.labels else _apart(links, labels)
    turned = pairs.assign(id=pairs["other_id"], other_id=pairs["id"])
    both = pd.concat([pairs, turned], ignore_index=True)
    values = [f"{labels[one]} / {labels[other]}" for one, other in _both(both)]
    return findings.made(
        findings.LABEL_CONFLICT,
        findings.TRAIN,
        both["id"],
        column=samples.label or "",
        other_table=findings.TRAIN,
        other_id=both["other_id"].to_numpy(),
        value=values,
        score=both["score"].to_numpy(),
    )


def _both(links: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(links["id"], links["other_id"], strict=True))


def _apart(links: pd.DataFrame, sides: Mapping[str, str]) -> pd.DataFrame:
    return links[np.array([sides[one] != sides[other] for one, other in _both(links)], np.bool_)]


def _contradict(links: pd.DataFrame, samples: Samples) -> npt.NDArray[np.bool_]:
    """Whether a class is present in one image of a pair and absent in the other."""
    matrix, ids = samples.label_matrix(), pd.Index(samples.frame[samples.id])
    one, other = (matrix[ids.get_indexer(pd.Index(links[name]))] for name in ("id", "other_id"))
    known = (one != UNKNOWN) & (other != UNKNOWN)
    contradict: npt.NDArray[np.bool_] = (known & (one != other)).any(axis=1)
    return contradict


def _labels(samples: Samples) -> dict[str, str]:
    ids = samples.frame[samples.id]
    if not samples.labels:
        return dict(zip(ids, samples.frame[samples.label], strict=True))
    names = np.array(samples.labels, dtype=object)
    rows = samples.label_matrix() == PRESENT
    return {name: ", ".join(names[row]) for name, row in zip(ids, rows, strict=True)}


def crossings(
    kind: str, links: pd.DataFrame, sides: Mapping[str, str], column: str
) -> pd.DataFrame:
    """Copies on different sides (``sides``: fold or group by id) of the border ``column``."""
    pairs = links[links["id"].isin(sides) & links["other_id"].isin(sides)]
    pairs = _apart(pairs, sides)
    return findings.made(
        kind,
        findings.TRAIN,
        pairs["id"],
        column=column,
        other_table=findings.TRAIN,
        other_id=pairs["other_id"].to_numpy(),
        other_column=column,
        value=[f"{sides[one]} / {sides[other]}" for one, other in _both(pairs)],
        score=pairs["score"].to_numpy(),
    )


def torn(folds: Samples) -> pd.DataFrame:
    """Groups with rows in several folds; the named sample is the first of its group."""
    if folds.group is None:
        return findings.made(findings.TORN_GROUP, findings.TRAIN, [])
    names = torn_groups(folds, folds.frame["fold"].to_numpy(np.int64))
    of_group = folds.frame.groupby(folds.group)
    inside = of_group["fold"].unique()
    values = [f"{name}: folds {', '.join(map(str, sorted(inside[name])))}" for name in names]
    ids = of_group[folds.id].min()[names]
    return findings.made(findings.TORN_GROUP, findings.TRAIN, ids, column=folds.group, value=values)


@dataclass(frozen=True)
class Sources:
    """The inspected tables."""

    competition: Competition
    tables: Mapping[str, Samples]  # ``train`` before ``test``
    problems: tuple[str, ...] = ()  # why a table could not be read
    folds: Samples | None = None  # training samples with a column ``fold``
    table: Path | None = None  # labelled table instead of the competition's

    def files(self) -> list[Path]:
        """The files read, without images."""
        read = [samples.source for samples in self.tables.values()]
        return read if self.folds is None else [*read, self.folds.source]


@dataclass(frozen=True)
class Inspection:
    """Result of an inspection."""

    sources: Sources
    images: Images | None  # None: the tables have no images
    # `comptool.competition.findings.COLUMNS`, by kind and sample
    found: pd.DataFrame = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings of each kind."""
        numbers = self.found["kind"].value_counts()
        return {kind: int(numbers[kind]) for kind in findings.KINDS if kind in numbers}


def read_sources(
    table: Path | None, toml: Path | None, folds: Path | None, usual_folds: Path
) -> Sources:
    """The tables of a competition, or one labelled table.

    ``folds`` is a folds table of the training samples; by default ``usual_folds``, if it matches
    them.
    """
    competition, tables, problems = _tables(table, toml)
    train, found = tables.get(TRAIN), None
    if folds is not None:
        found = _folds(folds, competition, train)
    elif train is not None and usual_folds.is_file():
        try:
            found = _folds(usual_folds, competition, train)
        except InputError as error:
            problems.append(f"not inspected: {error}")
    return Sources(competition, tables, tuple(problems), found, table)


def _tables(
    table: Path | None, toml: Path | None
) -> tuple[Competition, dict[str, Samples], list[str]]:
    if table is not None:
        competition, samples = samples_to_split(table, toml)
        return competition, {TRAIN: samples}, []
    competition = load(toml)
    readers: dict[str, Callable[[Competition], Samples]] = {}
    if competition.train is not None:
        readers[TRAIN] = training_samples
    if competition.test is not None or competition.sample_submission is not None:
        readers[TEST] = test_samples
    tables, errors = {}, []
    for name, read in readers.items():
        try:
            tables[name] = read(competition)
        except InputError as error:
            errors.append(error)
    if not tables:
        raise errors[0]
    return competition, tables, [f"not inspected: {error}" for error in errors]


def _folds(path: Path, competition: Competition, train: Samples | None) -> Samples:
    folds = read_samples(path, competition, labelled=False)
    if "fold" not in folds.frame:
        what = "no column is called 'fold'"
        raise InputError(what, file=path, mend="Make a folds table with 'comptool split'")
    known = set() if train is None else set(train.frame[train.id])
    others = folds.frame[folds.id][~folds.frame[folds.id].isin(known)].tolist()
    if others:
        what = f"{len(others)} of its samples are not in the training data"
        raise InputError(what, file=path, column=folds.id, values=others)
    return folds


def inspect(sources: Sources, *, similarity: float, workers: int | None, quiet: bool) -> Inspection:
    """Inspect the images, labels and folds of tables."""
    found: list[pd.DataFrame] = []
    train = sources.tables.get(TRAIN)
    if train is not None and train.labels:
        found += label_findings(train)
    with_images = {name: one for name, one in sources.tables.items() if one.paths}
    images = look_at_all(with_images, workers, quiet) if with_images else None
    if images is not None:
        found += image_findings(images, similarity)
    if train is not None:
        found += _leaks(findings.links(_together(found)), train, sources.folds)
    return Inspection(sources, images, _in_order(_together(found)))


def _together(found: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([findings.made(findings.MISSING, TRAIN, []), *found], ignore_index=True)


def _leaks(links: pd.DataFrame, train: Samples, folds: Samples | None) -> list[pd.DataFrame]:
    found = [label_conflicts(links, train)]
    if folds is not None:
        sides = _by_id(folds, folds.frame["fold"].astype(str))
        found += [crossings(findings.FOLD_LEAK, links, sides, "fold"), torn(folds)]
    if train.group is not None:
        sides = _by_id(train, train.frame[train.group])
        found.append(crossings(findings.GROUP_LEAK, links, sides, train.group))
    return found


def _by_id(samples: Samples, values: pd.Series[str]) -> dict[str, str]:
    return dict(zip(samples.frame[samples.id], values, strict=True))


def _in_order(found: pd.DataFrame) -> pd.DataFrame:
    """The findings by kind, then by sample, independent of the order of rows."""
    rank = {kind: place for place, kind in enumerate(findings.KINDS)}
    order = np.lexsort(
        (
            found["other_id"],
            found["column"],
            found["id"],
            found["table"] != TRAIN,
            found["kind"].map(rank).astype(int),
        )
    )
    return found.iloc[order].reset_index(drop=True)


def write_findings(
    path: Path, done: Inspection, arguments: Mapping[str, object], *, force: bool
) -> None:
    """Write ``findings.csv`` and its record."""
    inputs = provenance.hashes(done.sources.files())
    with together():
        write_table(path, done.found, force=force)
        provenance.record(path, command="inspect", arguments=arguments, inputs=inputs)
