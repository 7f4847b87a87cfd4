"""Bags: several images with one answer, by a column, by several columns, or by a folder each."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.download_tables import MIN_FOUND, Detection, Tables, spread
from comptool.competition.filename_patterns import (
    fill,
    fill_rows,
    is_pattern,
    placeholders,
    plain_path,
    tail,
)
from comptool.errors import InputError, counted
from comptool.io.image_records import COUNTS
from comptool.io.sample_columns import id_of
from comptool.io.tables import refuse_rows

if TYPE_CHECKING:
    from comptool.competition.config import Competition
    from comptool.tasks import Task

# The column of bags that are composed of columns, or are the ids of folders.
BAG = "bag"
ANY = "*"  # in a filename pattern: every image of a folder
NAME_BAG = "Correct 'bag' in comptool.toml, or give --bag"
JOIN = "_"


class Bags(NamedTuple):
    """B bags of N rows, in the order of their first rows."""

    names: npt.NDArray[np.object_]  # (B,)
    of_row: npt.NDArray[np.int64]  # bag of each row, (N,)
    first: npt.NDArray[np.int64]  # first row of each bag, (B,)


def no_bags(option: str) -> str:
    """The message for an option that is for bags, where there are none."""
    return (
        f"{option} is for several images per answer, and comptool.toml names no 'bag' "
        "(init --bag COLUMN)"
    )


def bags_of(column: pd.Series[str]) -> Bags:
    """The bags of a column."""
    of_row, names = pd.factorize(column.to_numpy(dtype=object))
    first = np.unique(of_row, return_index=True)[1]
    return Bags(np.asarray(names, object), of_row.astype(np.int64), first.astype(np.int64))


def pooled_by_bag(
    task: Task, bags: Bags, probabilities: npt.NDArray[np.floating], pool: str
) -> npt.NDArray[np.floating]:
    """Probabilities of N images, (N, K), as those of their bags, (B, K), of the same type."""
    return task.pool(probabilities, bags.of_row, pool).astype(probabilities.dtype)


Table = npt.NDArray[np.floating]


def by_bag(
    batches: Iterable[Sequence[Table]],
    bags: Bags,
    pool: Callable[[Table, npt.NDArray[np.int64]], Table],
) -> Iterator[list[Table]]:
    """Tables of images, batch after batch, as those of their bags, as soon as these are complete.

    The images of a bag follow each other, so that no more than a batch and a bag are in memory.
    ``pool`` takes rows of images, (n, ...), and the bag of each, (n,), 0 and up.
    """
    start, end, waiting = 0, 0, list[Sequence[Table]]()
    for tables in batches:
        waiting.append(tables)
        end += len(tables[0])
        last = end == len(bags.of_row)
        complete = end if last else int(bags.first[bags.of_row[end - 1]])
        if complete <= start:
            continue
        of_row = bags.of_row[start:complete]
        joined = [np.concatenate(parts) for parts in zip(*waiting, strict=True)]
        yield [pool(one[: len(of_row)], of_row - of_row[0]) for one in joined]
        start, waiting = complete, [[one[len(of_row) :] for one in joined]]


# Samples.


def bag_column(competition: Competition) -> str | None:
    """The column of the bags in the samples; None without bags."""
    bag = competition.bag
    return BAG if bag is not None and (is_pattern(bag) or bag == competition.id) else bag


def is_one_per_row(competition: Competition) -> bool:
    """Whether every row of the competition's tables is a bag, with a folder of images."""
    return competition.bag is not None and competition.bag == competition.id


def with_bags(competition: Competition, source: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the column of its bags.

    Raises
    ------
    InputError
        If a column is missing, or a bag is blank.
    """
    bag, column = competition.bag, bag_column(competition)
    if bag is None or column is None:
        return frame
    if is_pattern(bag) and not (column in frame and set(placeholders(bag)) - set(frame)):
        frame = frame.assign(**{column: _composed(bag, source, frame)})
    elif column not in frame.columns and is_one_per_row(competition):
        frame = frame.assign(**{column: frame[competition.id]})
    elif column not in frame.columns:
        raise InputError(
            f"no column is called '{column}', which says what images have one answer",
            file=source,
            values=list(frame.columns),
            mend=f"{NAME_BAG}; columns are joined so: --bag '{{patient}}_{{side}}'",
        )
    refuse_rows(source, frame[column], frame[column].str.strip() == "", "the bag is blank")
    return frame


def _composed(bag: str, source: Path, frame: pd.DataFrame) -> list[str]:
    names = placeholders(bag)
    for name in names:
        if name not in frame.columns:
            raise InputError(
                f"no column is called '{name}', which the bag '{bag}' needs",
                file=source,
                values=list(frame.columns),
                mend=NAME_BAG,
            )
        refuse_rows(source, frame[name], frame[name].str.strip() == "", "the bag is blank")
    return fill_rows(bag, frame)


def one_row_per_image(
    competition: Competition,
    source: Path,
    frame: pd.DataFrame,
    images: Sequence[str],
    *,
    may_lack: bool = False,
    mend: str = "Correct ",
) -> pd.DataFrame:
    """A table with a folder of images per row as one with a row per image.

    Ids become ``<id>/<file name>``, in the order of the numbers in the names.

    Raises
    ------
    InputError
        If there are several modalities, two folders of one name, or, unless ``may_lack``, a row
        without images.
    """
    (modality, pattern), *others = competition.modalities.items()
    if others or not is_one_per_row(competition):
        raise InputError(
            f"the pattern '{pattern}' is for the one modality of a competition whose bags are its "
            f"ids; '{ANY}' stands for every image of a folder",
            mend=f"Give --bag {competition.id} and one --modality"
            if not others
            else "Give one --modality",
        )
    folders: dict[str, list[str]] = {}
    depth = pattern.count("/")
    for image in images:
        folders.setdefault(tail(image.rpartition("/")[0], depth), []).append(image)
    rows: list[int] = []
    paths: list[str] = []
    for row, identity in enumerate(frame[competition.id]):
        folder, _, name = fill(pattern, {"id": identity, competition.id: identity}).rpartition("/")
        inside = fnmatch.filter(folders.get(plain_path(folder), ()), f"*/{name}")
        above = sorted({path.rpartition("/")[0] for path in inside})
        if len(above) > 1:
            raise InputError(
                f"two folders have the name '{folder}'",
                file=source,
                row=row + 1,
                values=above,
                mend="Name the folder above with 'train-images' or 'test-images' in comptool.toml",
            )
        if not inside and not may_lack:
            raise InputError(
                f"this bag has no image: none matches {pattern}",
                file=source,
                row=row + 1,
                column=competition.id,
                values=[identity],
                mend=f"{mend}[modalities] or 'train-images' and 'test-images' in comptool.toml",
            )
        found = sorted(inside, key=_by_number) or [""]
        rows += [row] * len(found)
        paths += found
    bags = frame[competition.id].iloc[rows].tolist()
    names = [tail(path, 1) for path in paths]
    stems = [name.rpartition(".")[0] or name for name in names]
    ids = [f"{bag}/{stem}".rstrip("/") for bag, stem in zip(bags, stems, strict=True)]
    if len(set(ids)) < len(ids):
        ids = [f"{bag}/{name}".rstrip("/") for bag, name in zip(bags, names, strict=True)]
    taken = frame.iloc[rows].reset_index(drop=True)
    return taken.assign(**{BAG: bags, competition.id: ids, f"{modality}_path": paths})


def one_row_per_record_image(
    frame: pd.DataFrame, id_column: str, field: str, counts: Sequence[int]
) -> pd.DataFrame:
    """A table of records with several images in a field as one with a row per image.

    Ids become ``<id>/<number>``, from 0, as the places of the images do.
    """
    rows = np.repeat(np.arange(len(frame)), counts)
    numbers = [number for count in counts for number in range(count)]
    taken = frame.iloc[rows].reset_index(drop=True)
    taken.attrs = {}
    bags = taken[id_column]
    places = pd.Series(numbers).astype(str)
    several = np.repeat(np.asarray(counts) > 1, counts)
    cells = taken[field].where(~several, taken[field] + "/" + places)
    return taken.assign(**{BAG: bags, id_column: bags + "/" + places, field: cells})


def _by_number(path: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", path)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def check_whole(
    source: Path, frame: pd.DataFrame, bag: str, columns: Sequence[str], what: str
) -> None:
    """Raise an InputError for the first bag whose rows differ in one of the columns."""
    for column in columns:
        if column == bag or column not in frame.columns:
            continue
        values = frame[column].astype(str).str.strip()
        wrong = np.flatnonzero((values != values.groupby(frame[bag]).transform("first")).to_numpy())
        if wrong.size:
            row = int(wrong[0])
            name = frame[bag].iloc[row]
            raise InputError(
                f"the images of bag '{name}' {what}",
                file=source,
                row=row + 1,
                column=column,
                values=values[frame[bag] == name].unique().tolist(),
            )


# Detection.


def settle_bag(found: Detection, tables: Tables) -> None:
    """Settle bags that the sample submission asks for, before the id column is settled."""
    if "bag" in found.facts:
        return
    folders = _folders(found, tables)
    if folders is not None:
        column, count = folders
        found.settle("id", column, f"id column: {column} (the names of folders of images)")
        found.settle("bag", column, f"several images per answer: {count} a folder, by {column}")
        pattern = f"{{id}}/{ANY}"
        found.settle("modalities", {"image": pattern}, f"images: image = {pattern}")
        return
    sample, test, train = tables.sample, tables.test, tables.train
    if sample is None or test is None:
        return
    asked = id_of(sample)
    held = [] if train is None else list(train.attrs.get(COUNTS, {}).values())
    if train is not None and held and asked in train and train[asked].is_unique:
        found.settle("bag", asked, f"several images per answer: {_range(held[0])} a record")
        found.settle("id", asked, f"id column: {asked} (the first of the sample submission)")
        return
    if asked not in test or found.facts.get("id") == asked:
        return
    per_answer = test[asked].value_counts()
    if per_answer.max() < 2 or not set(sample[asked]) <= set(per_answer.index):
        return
    if not any(test[name].is_unique for name in test.columns):
        return  # these are rows of answers, not of images
    bag: str | None = asked
    composed = ""
    if train is not None and asked not in train:
        bag = _composition(test, train, asked)
        composed = f", composed as {bag}"
    if bag is None:
        found.findings.append(
            f"problem: {asked} has several images per answer, and the training table has no such "
            "column, nor two columns that compose it; --bag names it"
        )
        return
    count = _range(per_answer.tolist())
    found.settle("bag", bag, f"several images per answer: {count} per {asked}{composed}")


def tears(train: pd.DataFrame, column: str, bag: str | None) -> bool:
    """Whether a column of the training table has several values in one bag."""
    if bag is None or not set(placeholders(bag) if is_pattern(bag) else [bag]) <= set(train):
        return False
    keys = [train[name] for name in (placeholders(bag) if is_pattern(bag) else [bag])]
    return bool((train[column].groupby(keys).nunique() > 1).any())


def _range(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return counted(most, "image") if least == most else f"{least} to {most} images"


def _composition(test: pd.DataFrame, train: pd.DataFrame, asked: str) -> str | None:
    """The pattern of two columns of both tables that makes a column of the test table."""
    shared = [str(name) for name in test.columns if name in train and name != asked]
    for one, other in permutations(shared, 2):
        if (test[one] + JOIN + test[other] == test[asked]).all():
            return f"{{{one}}}{JOIN}{{{other}}}"
    return None


def _folders(found: Detection, tables: Tables) -> tuple[str, str] | None:
    """A column of training ids that are folders of numbered images, and how many these have."""
    train = tables.train
    if train is None or not {"id", "modalities"}.isdisjoint(found.facts):
        return None
    inside: dict[str, list[str]] = {}
    for image in found.images:
        above, _, name = image.rpartition("/")
        inside.setdefault(tail(above, 1), []).append(name.rpartition(".")[0] or name)
    for column in map(str, train.columns):
        if not train[column].is_unique:
            continue
        probes = [one for frame in (train, tables.test) for one in _probes(frame, column)]
        there = [probe for probe in probes if probe in inside]
        # Some bags may lack their images, which is reported by name.
        if not there or len(there) < MIN_FOUND * len(probes):
            continue
        frames = [one for one in (train, tables.test) if one is not None and column in one]
        ids = {one for frame in frames for one in frame[column]}
        counts = [len(inside[one]) for one in ids if one in inside]
        # Names that recur in every folder are sensors rather than slices, unless they are numbers.
        if max(counts) > 1 and all(stem.isdigit() for probe in there for stem in inside[probe]):
            return column, _range(counts)
    return None


def _probes(frame: pd.DataFrame | None, column: str) -> list[str]:
    return [] if frame is None or column not in frame else spread(frame[column].tolist())
