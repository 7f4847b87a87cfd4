"""Tables and images found in a download, tables by role, and facts with their reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from comptool.competition.filename_patterns import (
    find_files,
    is_image_without_suffix,
    looks_like_image,
    tail,
    without_suffix,
)
from comptool.competition.schema import PATH_KEYS
from comptool.errors import InputError, quoted
from comptool.io.image_readers import RECORD_SUFFIXES, suffixes_of
from comptool.io.predictions import RESERVED
from comptool.io.sample_columns import id_of
from comptool.io.tables import read_table
from comptool.io.text_tables import text_form

TABLE_NAME = re.compile(
    r"(.+?)\.(csv|tsv|tab|txt|parquet|json|jsonl|bson)(\.gz|\.zip)?", re.IGNORECASE
)
VALIDATION_NAMES = frozenset("val valid validation dev".split())
TRAIN, VAL, TEST, SAMPLE = "train", "val", "test", "sample-submission"
TITLES = {
    TRAIN: "training table",
    VAL: "validation table",
    TEST: "test table",
    SAMPLE: "sample submission",
}
# Words that say nothing more of a table than its role does.
PLAIN_WORDS = frozenset(
    "train training test testing val valid validation set data labels label csv images image list "
    "metadata meta info information annotations annotation sample submission".split()
)
# Tables of other things, and those that commands write.
NO_TABLES = frozenset("answers solution solutions folds pseudo findings oof runs scores".split())
FINDINGS, RECORD = "findings.csv", ".meta.json"
MAX_TABLE_DEPTH = 3  # folders
NUM_PROBES = 20
# Share of the probed ids; the images of the rest may be missing.
MIN_FOUND = 0.5


@dataclass
class Detection:
    """Facts of ``comptool.toml``, flat, and the sentences that explain them."""

    folder: Path
    facts: dict[str, Any]
    findings: list[str] = field(default_factory=list)

    @cached_property
    def files(self) -> list[str]:
        """Every file of the download, relative to it."""
        return find_files(self.folder)

    @cached_property
    def images(self) -> list[str]:
        """Every image of the download, relative to it."""
        suffixes = suffixes_of(self.facts.get("reader", ""))
        return [
            name
            for name in self.files
            if looks_like_image(name, suffixes) or is_image_without_suffix(self.folder, name)
        ]

    @property
    def table(self) -> Path:
        """The first table or folder that the facts name, for messages."""
        names = [self.facts[key] for key in PATH_KEYS if key in self.facts]
        return self.folder / names[0] if names else self.folder

    def settle(self, key: str, value: object, why: str) -> None:
        """Set a fact that is not given, and report why."""
        if key not in self.facts and value is not None:
            self.facts[key] = value
            self.findings.append(why)


@dataclass
class Tables:
    """The tables of a download, as far as they exist."""

    train: pd.DataFrame | None
    val: pd.DataFrame | None
    test: pd.DataFrame | None
    sample: pd.DataFrame | None

    @property
    def to_predict(self) -> pd.DataFrame | None:
        """The test table, or else the sample submission."""
        return self.sample if self.test is None else self.test


def find_tables(found: Detection) -> Tables:
    """The tables of a download, by the facts, or by file names and what the columns hold."""
    roles: dict[str, list[str]] = {role: [] for role in TITLES}
    others: list[str] = []
    for name in table_names(found.files):
        role = role_of(name)
        (others if role is None else roles[role]).append(name)
    sample = _sample_submission(found, roles[SAMPLE])
    train = _training_table(found, roles[TRAIN])
    test = _test_table(found, roles[TEST], others, train, sample)
    val = None if train is None else _validation_table(found, roles[VAL], train)
    for role, frame in ((TRAIN, train), (VAL, val), (TEST, test), (SAMPLE, sample)):
        if frame is not None:
            found.findings.append(f"{TITLES[role]}: {_described(found, role, len(frame))}")
    return Tables(train, val, test, sample)


def table_names(files: Iterable[str]) -> list[str]:
    """The files that are tables by their suffix and no output of ours, those least deep first."""
    there = list(files)
    outputs = {name.removesuffix(RECORD) for name in there if name.endswith(RECORD)}
    names = [
        name
        for name in there
        if TABLE_NAME.fullmatch(name) and name not in outputs and Path(name).name != FINDINGS
    ]
    # Without one at the top, this is a folder above downloads.
    is_download = any(not _depth(name) and role_of(name) for name in names)
    deepest = MAX_TABLE_DEPTH if is_download else 0
    return [name for name in sorted(names, key=_depth) if _depth(name) <= deepest]


def _depth(name: str) -> int:
    return name.count("/")


def words_of(name: str) -> list[str]:
    """The words of a file name in lower case: ``trainLabels_2015`` is train and labels."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z]+", apart.lower())


def role_of(name: str) -> str | None:
    """Role of a table by its name, or else by the folder that it is in.

    >>> role_of("trainLabels.csv"), role_of("nybg/test/metadata.json"), role_of("latest.csv")
    ('train', 'test', None)
    """
    *folders, file = name.split("/")
    stem = _stem(file)
    words = words_of(stem)
    if "submission" in stem.lower() or ("sample" in stem.lower() and not _says(words, TRAIN)):
        return SAMPLE
    for part in (words, *map(words_of, reversed(folders))):
        if _says(part, TRAIN):
            return TRAIN
        if _says(part, TEST):
            return TEST
        if VALIDATION_NAMES & set(part):
            return VAL
        if part == ["labels"]:
            return TRAIN
    return None


def _stem(file: str) -> str:
    fits = TABLE_NAME.fullmatch(file)
    return fits[1] if fits else file


def _says(words: Sequence[str], role: str) -> bool:
    return any(word.startswith(role) for word in words)


def _rank(name: str) -> tuple[int, int, int, str]:
    """The plainest name first."""
    stem = _stem(name.rpartition("/")[2])
    more = [word for word in words_of(stem) if word not in PLAIN_WORDS]
    return _depth(name), len(more), len(stem), name


def _read(found: Detection, role: str) -> pd.DataFrame | None:
    """The table that the facts name, or None."""
    value = found.facts.get(role)
    if value is None:
        return None
    path = found.folder / value
    if not path.exists():
        raise InputError(
            "there is no such file or folder",
            file=path,
            mend=f"Correct '{role}' in comptool.toml (or its option or variable)",
        )
    return None if path.is_dir() else read_table(path)


def _described(found: Detection, role: str, num_rows: int) -> str:
    """The name of a table, its rows, and how it is written if that is unusual."""
    name = found.facts[role]
    path = found.folder / name
    is_text = path.suffix.lower() not in (*RECORD_SUFFIXES, ".parquet")
    unusual = str(text_form(path)) if is_text else ""
    return f"{name} ({num_rows} rows{f'; {unusual}' if unusual else ''})"


def _choose(found: Detection, role: str, ranked: Sequence[str]) -> None:
    """Take the first table for a role, and name others that may be it."""
    best, *rest = ranked
    found.facts[role] = best
    if rest := [name for name in rest if _depth(name) == _depth(best)]:
        found.findings.append(f"assumed: {best}, not {quoted(rest)}")


def _sample_submission(found: Detection, names: Sequence[str]) -> pd.DataFrame | None:
    if SAMPLE not in found.facts and names:
        _choose(found, SAMPLE, sorted(names, key=_rank))
    return _read(found, SAMPLE)


def _training_table(found: Detection, names: Sequence[str]) -> pd.DataFrame | None:
    """The table of that name with rows of images."""
    if TRAIN not in found.facts:
        known = image_names(found.images)
        usable = [name for name in sorted(names, key=_rank) if _has_rows(found, name, known)]
        if len(usable) > 1:
            tables = {name: _readable(found.folder / name) for name in usable}
            fitting = [n for n, one in tables.items() if one is None or names_images(one, known)]
            usable = [*fitting, *(name for name in usable if name not in fitting)]
        if usable:
            _choose(found, TRAIN, usable)
    return _read(found, TRAIN)


def table_of_images(found: Detection, tables: Tables) -> None:
    """Take a table of any name for the training table, if it names images and has more columns."""
    known = image_names(found.images)
    for name in table_names(found.files):
        if _depth(name) or role_of(name) is not None or NO_TABLES & set(words_of(name)):
            continue
        frame = _readable(found.folder / name)
        is_output = frame is not None and not set(RESERVED).isdisjoint(frame.columns)
        if frame is None or is_output or len(frame.columns) < 2:
            continue
        is_test = tables.sample is not None and holds_ids(frame, tables.sample)
        if not is_test and names_images(frame, known):
            found.facts[TRAIN], tables.train = name, frame
            found.findings.append(
                f"assumed: {name} is the training table ({len(frame)} rows), as it names images"
            )
            return


def _has_rows(found: Detection, name: str, images: frozenset[str]) -> bool:
    """Whether a table may be one of samples; what a CSV has wrong is reported where it is used."""
    if name.lower().endswith(tuple(RECORD_SUFFIXES)) or _depth(name):
        frame = _readable(found.folder / name)
        return (
            frame is not None
            and not frame.empty
            and (not _depth(name) or names_images(frame, images))
        )
    return True


def image_names(images: Iterable[str]) -> frozenset[str]:
    """The file names of images, with and without suffix, in lower case."""
    ends = {tail(image, 1).lower() for image in images}
    return frozenset(ends | {without_suffix(name) for name in ends})


def names_images(frame: pd.DataFrame, names: frozenset[str]) -> bool:
    """Whether a column holds names of images."""
    for column in frame.columns:
        probes = [value.replace("\\", "/").lower() for value in spread(frame[column].tolist())]
        inside = [one for one in probes if without_suffix(tail(one, 1)) in names]
        if probes and len(inside) >= MIN_FOUND * len(probes):
            return True
    return False


def spread(values: Sequence[str]) -> list[str]:
    """Up to 20 distinct non-blank values, from all over the sequence."""
    distinct = [value for value in dict.fromkeys(values) if value]
    step = max(1, len(distinct) // NUM_PROBES)
    return distinct[::step][:NUM_PROBES]


def _test_table(
    found: Detection,
    named: Sequence[str],
    others: Sequence[str],
    train: pd.DataFrame | None,
    sample: pd.DataFrame | None,
) -> pd.DataFrame | None:
    """The table of the rows to predict: it has the ids of the sample submission.

    Without a sample submission, or if no table has its ids, the one named so that shares a column
    with the training table.
    """
    if TEST in found.facts:
        return _read(found, TEST)
    known = image_names(found.images)
    ranked = [name for name in sorted(named, key=_rank) if _has_rows(found, name, known)]
    if sample is not None:
        at_top = [name for name in sorted(others, key=_rank) if not ranked and not _depth(name)]
        for name in (*ranked, *at_top):
            frame = _readable(found.folder / name)
            if frame is None or (train is not None and frame.equals(train)):
                continue
            if holds_ids(frame, sample) and (name in ranked or names_images(frame, known)):
                found.facts[TEST] = name
                return frame
    unused = []
    for name in ranked:
        frame = read_table(found.folder / name)
        if train is None or set(frame.columns) & set(train.columns):
            _choose(found, TEST, [name, *(one for one in ranked if one != name)])
            return frame
        unused.append(name)
    if unused:
        found.findings.append(f"not used: {quoted(unused)}, without a column of the training table")
    return None


def _readable(path: Path) -> pd.DataFrame | None:
    try:
        return read_table(path)
    except InputError:
        return None


def holds_ids(frame: pd.DataFrame, sample: pd.DataFrame) -> bool:
    """Whether a column has the ids of a sample submission."""
    ids = set(sample[id_of(sample)])
    return any(ids.issubset(frame[name]) for name in frame.columns)


def _validation_table(
    found: Detection, names: Sequence[str], train: pd.DataFrame
) -> pd.DataFrame | None:
    """A table of validation rows with the columns of the training table."""
    if VAL in found.facts:
        return _read(found, VAL)
    known = image_names(found.images)
    usable = [name for name in sorted(names, key=_rank) if _has_rows(found, name, known)]
    if not usable:
        return None
    frame = read_table(found.folder / usable[0])
    if set(frame.columns) != set(train.columns):
        found.findings.append(
            f"not used: '{usable[0]}', with other columns than the training table"
        )
        return None
    found.facts[VAL] = usable[0]
    found.findings.append(f"{usable[0]} is a given split: comptool split --from-column split")
    return frame[list(train.columns)]
