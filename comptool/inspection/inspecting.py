"""A download from its tables to findings: what is read, in which order, and what is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from comptool import findings, provenance
from comptool.competition import Competition, load
from comptool.data.splitting import samples_to_split
from comptool.errors import InputError
from comptool.findings import TEST, TRAIN
from comptool.inspection import leaks
from comptool.inspection.image_findings import image_findings
from comptool.inspection.label_findings import label_findings
from comptool.inspection.looking import Images, look_at_all
from comptool.outputs import together
from comptool.samples import Samples, read_samples, test_samples, training_samples
from comptool.tables import write_table


@dataclass(frozen=True)
class Sources:
    """The tables that are looked at.

    Parameters
    ----------
    competition
        What their columns mean.
    tables
        Samples, ``train`` before ``test``.
    problems
        Why a table could not be read, one sentence each.
    folds
        The training samples with a column ``fold``, or None.
    table
        The labelled table that was asked for instead of the competition's, or None.
    """

    competition: Competition
    tables: Mapping[str, Samples]
    problems: tuple[str, ...] = ()
    folds: Samples | None = None
    table: Path | None = None

    def files(self) -> list[Path]:
        """What was read, images aside."""
        read = [samples.source for samples in self.tables.values()]
        return read if self.folds is None else [*read, self.folds.source]


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Parameters
    ----------
    sources
        What was looked at.
    images
        What was seen of the images, or None where the tables name none.
    found
        Table of `comptool.findings.COLUMNS`, by kind, then by sample.
    """

    sources: Sources
    images: Images | None
    found: pd.DataFrame = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings of each kind that there is."""
        numbers = self.found["kind"].value_counts()
        return {kind: int(numbers[kind]) for kind in findings.KINDS if kind in numbers}


def read_sources(
    table: Path | None, toml: Path | None, folds: Path | None, usual_folds: Path
) -> Sources:
    """The tables of a competition, or one labelled table.

    Parameters
    ----------
    table
        A labelled table instead of the competition's.
    toml
        The competition's facts; by default those of the working directory.
    folds
        A table with folds of the training samples.
    usual_folds
        Where such a table is looked for otherwise; one of other samples is left alone.

    Raises
    ------
    InputError
        If no table can be read, or ``folds`` is no folds table of the training samples.
    """
    competition, tables, problems = _tables(table, toml)
    train, found = tables.get(TRAIN), None
    if folds is not None:
        found = _folds(folds, competition, train)
    elif train is not None and usual_folds.is_file():
        try:
            found = _folds(usual_folds, competition, train)
        except InputError as error:
            problems.append(f"not looked at: {error}")
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
    return competition, tables, [f"not looked at: {error}" for error in errors]


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
    """Look at the images, labels and folds of some tables.

    Parameters
    ----------
    sources
        From `read_sources`.
    similarity
        See `comptool.inspection.duplicates.nearly_identical`.
    workers
        Threads that decode images; None leaves the number to `concurrent.futures`.
    quiet
        Whether there is no progress bar.

    Raises
    ------
    InputError
        If no image of a table is there, or a label cannot be understood.
    """
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
    told = [leaks.label_conflicts(links, train)]
    if folds is not None:
        sides = _by_id(folds, folds.frame["fold"].astype(str))
        told += [leaks.crossings(findings.FOLD_LEAK, links, sides, "fold"), leaks.torn(folds)]
    if train.group is not None:
        sides = _by_id(train, train.frame[train.group])
        told.append(leaks.crossings(findings.GROUP_LEAK, links, sides, train.group))
    return told


def _by_id(samples: Samples, values: pd.Series[str]) -> dict[str, str]:
    return dict(zip(samples.frame[samples.id], values, strict=True))


def _in_order(found: pd.DataFrame) -> pd.DataFrame:
    """The findings by kind, then by sample: not in the order of the rows of a table."""
    rank = {kind: place for place, kind in enumerate(findings.KINDS)}
    # Training before test, as images are.
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
    """Write ``findings.csv`` and its record.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    """
    inputs = provenance.hashes(done.sources.files())
    with together():
        write_table(path, done.found, force=force)
        provenance.record(path, command="inspect", arguments=arguments, inputs=inputs)
