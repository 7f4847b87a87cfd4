"""Samples of a competition: one row per image or pair, from tables or folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.bags import (
    ANY,
    Bags,
    bag_column,
    bags_of,
    check_whole,
    is_one_per_row,
    one_row_per_image,
    one_row_per_record_image,
    with_bags,
)
from comptool.competition.class_folders import (
    FILE_NAME,
    HERE,
    class_reader,
    folders_above,
    level_pattern,
)
from comptool.competition.config import Competition
from comptool.competition.filename_patterns import (
    Row,
    can_be_class,
    channels_of,
    collect,
    fill,
    fill_rows,
    find_images,
    is_pattern,
    look_up,
    match,
    placeholders,
    plain_path,
)
from comptool.errors import InputError, counted, quoted
from comptool.io.image_readers import CHANNELS, MEMBER, parts_of, suffixes_of
from comptool.io.image_records import COUNTS, NOTES, holds_records
from comptool.io.names import check_texts
from comptool.io.provenance import TableFacts, facts
from comptool.io.sample_columns import id_of
from comptool.io.tables import check_ids, read_table, refuse_rows
from comptool.tasks.labels import (
    ZERO_IS_UNKNOWN,
    Matrix,
    matrix_of_columns,
    matrix_of_lists,
    matrix_of_numbers,
    says_zero_is_unknown,
    zero_to_unknown,
)
from comptool.tasks.labels import class_counts as class_counts
from comptool.tasks.labels import class_names as class_names


@dataclass(frozen=True)
class Samples:
    """N samples and the meaning of their columns."""

    frame: pd.DataFrame  # table of text with N rows; ``fold``, if present, is an integer column
    folder: Path  # base of image paths
    id: str  # column
    paths: dict[str, str]  # columns by modality, in the model's order; blank: no image
    label: str | None  # column; None: unlabelled, or one column per class
    group: str | None  # column
    source: Path  # table or folder
    labels: tuple[str, ...] = ()  # the K classes of a multi-label table, in class order
    # training treats 0 as not annotated: ``split --map-zero-to-unknown``
    zero_is_unknown: bool = False
    reader: str = ""  # of the user for the images, ``FILE.py:function``
    numbers: tuple[str, ...] = ()  # the T label columns of a table of numbers
    bag: str | None = None  # column: rows with one value have one answer; the id if rows are bags
    notes: tuple[str, ...] = ()  # about rows that were left out, one sentence each

    def __len__(self) -> int:
        return len(self.frame)

    def bags(self) -> Bags:
        """The bags of the rows; ValueError if there is no column of bags."""
        if self.bag is None:
            raise ValueError("the samples have no bags")
        return bags_of(self.frame[self.bag])

    def in_bag_order(self) -> Samples:
        """The samples with the images of each bag one after the other."""
        order = np.argsort(self.bags().of_row, kind="stable")
        return replace(self, frame=self.frame.iloc[order].reset_index(drop=True))

    def by_bag(self) -> Samples:
        """One row per bag, whose id is the bag as well; the samples themselves without bags."""
        if self.bag is None:
            return self
        frame = self.frame.drop_duplicates(self.bag).reset_index(drop=True)
        return replace(self, frame=frame, id=self.bag)

    def label_matrix(self) -> Matrix:
        """Multi-label cells, int8 of shape (N, K), classes as in ``labels``: 1, 0 or -1 (unknown).

        Raises
        ------
        InputError
            Naming the first cell other than 0, 1, -1 and blank, or the first row with an unknown
            class.
        ValueError
            If the samples are not multi-label.
        """
        if not self.labels:
            raise ValueError("the samples have no multi-label classes")
        if self.label is not None:
            return matrix_of_lists(self.source, self.frame[self.label], self.labels)
        return matrix_of_columns(self.source, self.frame, self.labels)

    def number_matrix(self) -> npt.NDArray[np.float64]:
        """Numbers of shape (N, T), columns as in ``numbers``.

        Raises
        ------
        InputError
            Naming the first cell that is not a finite number.
        """
        return matrix_of_numbers(self.source, self.frame, self.numbers)

    def training_matrix(self) -> Matrix:
        """`label_matrix` for training: with ``zero_is_unknown``, 0 becomes -1.

        Validation and metrics use `label_matrix`, the unchanged labels.
        """
        matrix = self.label_matrix()
        return zero_to_unknown(matrix) if self.zero_is_unknown else matrix


def training_samples(competition: Competition) -> Samples:
    """The labelled samples of the download.

    Raises
    ------
    InputError
        If there is no training data, a validation folder is combined with a table, a column is
        missing, an id is blank or repeated, a label is blank or unknown, a path leaves the data
        folder, or an id has no image.
    """
    source = competition.train
    if source is None:
        raise InputError(
            "the competition has no training data",
            file=competition.folder,
            mend="Name it with 'train' in comptool.toml",
        )
    _check_val(competition.val, source)
    notes: list[str] = []
    if source.is_dir():
        frame = from_folders(competition, source, labelled=True)
    else:
        frame = labelled_table(competition, source)
        repeated = frame.duplicated()
        if repeated.any():
            frame = frame[~repeated].reset_index(drop=True)
            rows = counted(int(repeated.sum()), "row")
            notes.append(f"{source}: {rows} repeated in every cell, and taken once")
        _check_ids(competition, source, frame)
        frame = with_bags(competition, source, frame)
        drop = competition.drop_missing
        frame = with_images(
            competition, source, frame, competition.train_images, may_lack=drop, mend=DROP_THEM
        )
        if drop:
            frame, note = _with_images_only(competition, source, frame)
            notes += [note] if note else []
    samples = _samples(competition, frame, competition.folder, source, labelled=True)
    return replace(samples, notes=(*samples.notes, *notes))


def labelled_table(competition: Competition, source: Path) -> pd.DataFrame:
    """The training table, and with a validation table its rows, told apart by a column ``split``.

    Raises
    ------
    InputError
        If a table cannot be read, or the two have different columns.
    """
    frame = _read(competition, source)
    if competition.val is None or competition.val.is_dir():
        return frame
    val = _read(competition, competition.val, required=[str(name) for name in frame.columns])
    parts = [frame.assign(**{SPLIT: "train"}), val[list(frame.columns)].assign(**{SPLIT: "val"})]
    return pd.concat(parts, ignore_index=True)


def _with_images_only(
    competition: Competition, source: Path, frame: pd.DataFrame
) -> tuple[pd.DataFrame, str]:
    """The rows with all of their images, and a sentence about the others."""
    lacking = dangling_rows(competition, frame)
    if not lacking.any():
        return frame, ""
    if lacking.all():
        raise InputError("no row has its images", file=source, mend="Correct [modalities]")
    ids = frame[competition.id][lacking].tolist()
    rows = counted(len(ids), "row")
    note = f"{source}: {rows} of {len(frame)} left out without images ({quoted(ids)})"
    return frame[~lacking].reset_index(drop=True), note


def dangling_rows(competition: Competition, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Mask of rows that name an image that is not there, or have none at all; shape (N,).

    A blank path of one modality is none of them: `comptool.data.image_io.find_missing` counts it.
    """
    paths = frame[[path_column(competition, name) for name in competition.modalities]]
    lacking = (paths == "").all(axis=1).to_numpy(copy=True)
    for column in paths:
        there = [
            not path or all((competition.folder / file).exists() for file, _ in parts_of(path))
            for path in paths[column]
        ]
        lacking |= ~np.array(there, np.bool_)
    return np.asarray(lacking, np.bool_)


# For training rows: a row to be predicted cannot be left out.
DROP_THEM = 'Leave such rows out with missing-images = "drop" in comptool.toml, or correct '


def _read(competition: Competition, source: Path, required: Sequence[str] = ()) -> pd.DataFrame:
    """A table of the download; places of records in it are seen from the data folder."""
    frame = _each_image(competition, read_table(source, required=required))
    prefix = os.path.relpath(source.parent, competition.folder).replace(os.sep, "/")
    if prefix == "." or not holds_records(source):
        return frame
    start = source.name + MEMBER
    inside = {
        str(name): [f"{prefix}/{cell}" if cell.startswith(start) else cell for cell in frame[name]]
        for name in frame.columns
        if frame[name].str.startswith(start).any()
    }
    return frame.assign(**inside)


def _each_image(competition: Competition, frame: pd.DataFrame) -> pd.DataFrame:
    """The table with a row for each image of its records, where a record is a bag."""
    counts = frame.attrs.get(COUNTS, {})
    fields = [source for source in competition.modalities.values() if source in counts]
    if not is_one_per_row(competition) or len(fields) != 1:
        return frame
    return one_row_per_record_image(frame, competition.id, fields[0], counts[fields[0]])


def _check_val(val: Path | None, source: Path) -> None:
    if val is not None and val.is_dir() != source.is_dir():
        raise InputError(
            f"a validation folder needs a training folder; 'train' is {source}",
            file=val,
            mend="Put the split of a table into a column: comptool split --from-column NAME",
        )


def test_samples(competition: Competition) -> Samples:
    """The samples to predict.

    The rows of the test table or, without one, of the sample submission (whose images are found by
    filename pattern), otherwise every image of the test folder. Errors as in `training_samples`.
    """
    source, images = competition.test, competition.test_images
    if source is not None and source.is_dir():
        source, images = competition.sample_submission or source, images or source
    source = source or competition.sample_submission
    if source is None:
        raise InputError(
            "the competition has no test data",
            file=competition.folder,
            mend="Name it with 'test' or 'sample-submission' in comptool.toml",
        )
    if source.is_dir():
        frame = from_folders(competition, source, labelled=False)
    else:
        frame = _read(competition, source)
        if competition.id not in frame.columns and source == competition.sample_submission:
            frame = frame.rename(columns={id_of(frame): competition.id})
        if source == competition.sample_submission:
            frame = frame[[competition.id]].copy()
        frame = _images_asked(competition, source, frame)
        frame = with_images(competition, source, frame, images)
    return _samples(competition, frame, competition.folder, source, labelled=False)


def _images_asked(competition: Competition, source: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of images to predict, with their bags, checked."""
    if is_one_per_row(competition) and competition.id in frame.columns:
        # A bag may be asked for once per class.
        frame = frame.drop_duplicates(competition.id).reset_index(drop=True)
    _check_ids(competition, source, frame)
    return with_bags(competition, source, frame)


def read_samples(path: Path, competition: Competition, *, labelled: bool) -> Samples:
    """The samples of ``folds.csv``, ``pseudo.csv`` or any table given by its path.

    Parameters
    ----------
    path
        The table. Its image paths are relative to the data folder that its record names, to the
        competition's folder for the competition's own tables, otherwise to the table's folder.
    competition
        Defines the columns.
    labelled
        Whether the label column is required.

    Raises
    ------
    InputError
        As in `training_samples`; also for a fold that is not a whole number from -1, and for a
        contradictory meaning of 0.
    """
    frame = _each_image(competition, read_table(path))
    if labelled:
        _check_ids(competition, path, frame)
        frame = with_bags(competition, path, frame)
    else:
        frame = _images_asked(competition, path, frame)
    folder = path.parent
    recorded = facts(path, TableFacts)
    if recorded.folder is not None:
        folder = folder / recorded.folder
    elif path.resolve() in _own_tables(competition):
        folder = competition.folder
    if any(
        path_column(competition, name) not in frame.columns
        for name in pattern_modalities(competition)
    ):
        images = competition.train_images if labelled else competition.test_images
        frame = with_images(competition, path, frame, images)
        folder = competition.folder
    frame = _with_folds(path, frame)
    if labelled and recorded.zero_is_unknown:
        _check_mapped(path, frame)
    return _samples(competition, frame, folder, path, labelled=labelled)


def _check_mapped(path: Path, frame: pd.DataFrame) -> None:
    """Refuse a table that lost the column by which its 0 are not annotated."""
    if ZERO_IS_UNKNOWN not in frame.columns:
        raise InputError(
            f"0 is not annotated according to its record, but the column '{ZERO_IS_UNKNOWN}' is "
            "missing",
            file=path,
            mend="Split again: comptool split --map-zero-to-unknown",
        )


def _own_tables(competition: Competition) -> list[Path]:
    tables = (competition.train, competition.test, competition.sample_submission)
    return [table.resolve() for table in tables if table is not None]


def _check_ids(competition: Competition, path: Path, frame: pd.DataFrame) -> None:
    if competition.id not in frame.columns:
        raise InputError(
            f"no column is called '{competition.id}'",
            file=path,
            values=list(frame.columns),
            mend="Name the id column with 'id' in comptool.toml",
        )
    check_ids(path, competition.id, frame[competition.id].to_numpy(dtype=object))


def _samples(
    competition: Competition, frame: pd.DataFrame, folder: Path, source: Path, *, labelled: bool
) -> Samples:
    paths = {name: path_column(competition, name) for name in competition.modalities}
    for column in paths.values():
        check_paths(source, frame, column)
    if paths:
        check_some_image(source, frame, list(paths.values()))
    if labelled:
        competition.kind.check_labels(competition, source, frame)
    group = competition.group if competition.group in frame.columns else None
    bag = bag_column(competition)
    # Outputs hold them, and are written after hours of training.
    named = [competition.id, *paths.values(), group, bag, competition.label if labelled else None]
    for name in dict.fromkeys(named):
        if name in frame.columns:
            check_texts(source, str(name), frame[name])
    if labelled and bag is not None:
        columns = list(competition.labels) or [competition.label]
        check_whole(source, frame, bag, columns, "have different labels")
        check_whole(source, frame, bag, [group] if group else [], "are in different groups")
        check_whole(source, frame, bag, ["fold"], "are in different folds")
    labels = competition.kind.cell_classes(competition, source, frame) if labelled else ()
    return Samples(
        frame=frame.reset_index(drop=True),
        folder=folder,
        id=competition.id,
        paths=paths,
        label=competition.label if labelled and competition.label else None,
        group=group,
        source=source,
        bag=bag,
        labels=labels,
        zero_is_unknown=bool(labels) and says_zero_is_unknown(source, frame),
        reader=competition.reader or "",
        notes=tuple(frame.attrs.get(NOTES, ())),
        numbers=competition.kind.number_columns(competition) if labelled else (),
    )


def _with_folds(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    if "fold" not in frame.columns:
        return frame
    wrong = ~frame["fold"].str.fullmatch(FOLD_NUMBER)
    refuse_rows(path, frame["fold"], wrong, "a fold is -1 (always training) or 0, 1, 2 and so on")
    return frame.assign(fold=frame["fold"].astype(int))


# Column for ``comptool split --from-column``.
SPLIT = "split"


def from_folders(competition: Competition, source: Path, *, labelled: bool) -> pd.DataFrame:
    """One row per id that the patterns match below a folder, by class and then by id.

    With a validation folder, its rows are among the labelled ones, a column ``split`` has ``train``
    or ``val``, and ids that are in both parts become ``<part>/<id>``.
    """
    if not labelled:
        parts = {"test": _rows(competition, source, images_of(competition, source))}
    else:
        images = _training_images(competition, source)
        parts = {"train": _rows(competition, source, images, labelled=True)}
        if (val := competition.val) is not None:
            parts["val"] = _rows(competition, val, images_of(competition, val), labelled=True)
    _tell_apart(parts)
    frame = _table(competition, [row for rows in parts.values() for row in rows], labelled)
    if len(parts) > 1:
        held_out = {row.id for row in parts["val"]}
        frame[SPLIT] = ["val" if one in held_out else "train" for one in frame[competition.id]]
    return frame


def _training_images(competition: Competition, source: Path) -> list[str]:
    """Images below the training folder that are not of another folder in it."""
    images = images_of(competition, source)
    if source.resolve() == competition.folder.resolve():
        images = [one for one in images if "/" not in one or can_be_class(one.split("/")[0])]
    for other in (competition.val, competition.test, competition.test_images):
        if other is None or not other.is_dir() or source.resolve() not in other.resolve().parents:
            continue
        above = os.path.relpath(other, competition.folder).replace(os.sep, "/") + "/"
        images = [one for one in images if not one.startswith(above)]
    return images


def _rows(
    competition: Competition, source: Path, images: list[str], *, labelled: bool = False
) -> list[Row]:
    pieces = {
        (name, place): piece
        for name, text in competition.modalities.items()
        for place, piece in enumerate(channels_of(text))
    }
    keys = {f"{name}{CHANNELS}{place}": key for key in pieces for name, place in [key]}
    patterns = {text: pieces[key] for text, key in keys.items()}
    class_of = _class_of(competition, source, images, patterns) if labelled else None
    rows = collect(patterns, images, class_of)
    for row in rows:
        found = {keys[text]: path for text, path in row.paths.items()}
        row.paths = {
            name: _joined([found.get((name, place), "") for place, _ in enumerate(wanted)], wanted)
            for name, text in competition.modalities.items()
            for wanted in [[fill(piece, {"id": row.id}) for piece in channels_of(text)]]
        }
    if not rows:
        raise InputError(
            "no image matches " + " or ".join(patterns.values()),
            file=source,
            mend="Correct [modalities] in comptool.toml",
        )
    if labelled and competition.class_folders:
        class_of_folder = {
            folder: name for name, each in competition.class_folders.items() for folder in each
        }
        for row in rows:
            row.label = class_of_folder.get(row.label, row.label)
    return rows


def _class_of(
    competition: Competition, source: Path, images: list[str], patterns: Mapping[str, str]
) -> Callable[[str, str], str]:
    pattern = competition.label_pattern
    above = os.path.relpath(source, competition.folder).replace(os.sep, "/")
    if pattern is None:
        prefix = "" if above == HERE else above + "/"
        levels = {
            name: [
                folders_above(text, one.removeprefix(prefix))
                for one in images
                if match(text, one) is not None
            ]
            for name, text in patterns.items()
        }
        pattern, _ = level_pattern(levels)
    return class_reader(pattern, above, patterns)


def _tell_apart(parts: dict[str, list[Row]]) -> None:
    ids = [row.id for rows in parts.values() for row in rows]
    if len(set(ids)) == len(ids):
        return
    for part, rows in parts.items():
        for row in rows:
            row.id, row.name = f"{part}/{row.id}", f"{part}/{row.name}"


def _table(competition: Competition, rows: list[Row], labelled: bool) -> pd.DataFrame:
    order = {name: place for place, name in enumerate(class_names(row.id for row in rows))}
    classes = {name: place for place, name in enumerate(class_names(row.label for row in rows))}
    rows.sort(key=lambda row: (classes[row.label], order[row.id]))
    columns = {competition.id: [row.id for row in rows]}
    for name in competition.modalities:
        columns[f"{name}_path"] = [row.paths.get(name, "") for row in rows]
    if labelled:
        columns[competition.label] = [row.label for row in rows]
    if labelled and competition.group == FILE_NAME:
        columns[FILE_NAME] = [row.name for row in rows]
    return pd.DataFrame(columns, dtype=object)


# Of six digits at most: beyond 64 bits there are no columns of whole numbers.
FOLD_NUMBER = re.compile(r"-1|[0-9]{1,6}")
ABSOLUTE = r"^(?:/|\\|[A-Za-z]:[\\/])"


def check_paths(source: Path, frame: pd.DataFrame, column: str) -> None:
    """Raise an InputError if a path column is missing or a path leaves the data folder."""
    if column not in frame.columns:
        raise InputError(
            f"no column is called '{column}', which should hold the image paths",
            file=source,
            values=list(frame.columns),
            mend="Correct [modalities] in comptool.toml",
        )
    values = frame[column]
    suspects = values.str.contains(ABSOLUTE, regex=True) | values.str.contains("..", regex=False)
    rows = [int(row) for row in np.flatnonzero(suspects.to_numpy()) if _leaves(values.iloc[row])]
    if rows:
        raise InputError(
            "this path leaves the data folder; paths are relative to it",
            file=source,
            row=rows[0] + 1,
            column=column,
            values=values.iloc[rows].tolist(),
        )


def _leaves(path: str) -> bool:
    return any(
        re.match(ABSOLUTE, part) or os.path.normpath(part).split(os.sep)[0] == ".."
        for part in path.split(CHANNELS)
    )


def check_some_image(source: Path, frame: pd.DataFrame, columns: list[str]) -> None:
    """Raise an InputError for the first row without any image."""
    none = np.flatnonzero((frame[columns] == "").all(axis=1).to_numpy())
    if none.size:
        raise InputError(
            "this row has no image path", file=source, row=int(none[0]) + 1, column=columns[0]
        )


def with_images(
    competition: Competition,
    source: Path,
    frame: pd.DataFrame,
    images_folder: Path | None,
    *,
    may_lack: bool = False,
    mend: str = "Correct ",
) -> pd.DataFrame:
    """The table with a ``<modality>_path`` column for each modality that is a pattern.

    ``images_folder`` is where to look; None: the data folder. A row without any image is an error,
    unless ``may_lack``; ``mend`` begins its remedy.
    """
    patterns = pattern_modalities(competition)
    columns = [name for name in competition.modalities if name not in patterns]
    for column in [competition.modalities[name] for name in columns]:
        if column in frame and frame[column].str.contains("\\", regex=False).any():
            check_paths(source, frame, column)
            frame = frame.assign(**{column: frame[column].map(plain_path)})
    if not patterns:
        return frame
    images = []
    if any(is_pattern(competition.modalities[name]) for name in patterns):
        images = images_of(competition, images_folder or competition.folder)
    if any(ANY in competition.modalities[name] for name in patterns):
        return one_row_per_image(competition, source, frame, images, may_lack=may_lack, mend=mend)
    found = {}
    for name in patterns:
        text = competition.modalities[name]
        found[path_column(competition, name)] = _cells(competition, source, frame, text, images)
    missing = np.flatnonzero(np.all([np.array(paths) == "" for paths in found.values()], axis=0))
    if missing.size and len(patterns) == len(competition.modalities) and not may_lack:
        looked_for = " or ".join(competition.modalities[name] for name in patterns)
        raise InputError(
            f"no image {looked_for} below {images_folder or competition.folder}",
            file=source,
            row=int(missing[0]) + 1,
            column=competition.id,
            values=frame[competition.id].iloc[missing].tolist(),
            mend=f"{mend}[modalities] or 'train-images' and 'test-images' in comptool.toml",
        )
    return frame.assign(**found)


def _cells(
    competition: Competition,
    source: Path,
    frame: pd.DataFrame,
    text: str,
    images: Sequence[str],
) -> list[str]:
    """Cells of the path column of a modality: an image, or the files of its channels."""
    wanted, found = [], []
    for piece in channels_of(text):
        if is_pattern(piece):
            wanted.append(_filled(competition, source, frame, piece))
            found.append(look_up(wanted[-1], images, source))
        else:
            check_paths(source, frame, piece)
            wanted.append([plain_path(cell) for cell in frame[piece]])
            found.append(wanted[-1])
    rows = zip(zip(*found, strict=True), zip(*wanted, strict=True), strict=True)
    return [_joined(*row) for row in rows]


def _joined(found: Sequence[str], wanted: Sequence[str]) -> str:
    """The files of an image; one that is not there by the name that was looked for."""
    if not any(found):
        return ""
    return CHANNELS.join(file or name for file, name in zip(found, wanted, strict=True))


def images_of(competition: Competition, images_folder: Path) -> list[str]:
    """Images below a folder, relative to the data folder."""
    prefix = os.path.relpath(images_folder, competition.folder).replace(os.sep, "/")
    images = find_images(images_folder, suffixes_of(competition.reader or ""))
    return images if prefix == "." else [f"{prefix}/{image}" for image in images]


def _filled(competition: Competition, source: Path, frame: pd.DataFrame, pattern: str) -> list[str]:
    """The pattern for every row of a table; an InputError if a column is missing."""
    for column in (competition.id if name == "id" else name for name in placeholders(pattern)):
        if column not in frame.columns:
            raise InputError(
                f"no column is called '{column}', which the pattern '{pattern}' needs",
                file=source,
                values=list(frame.columns),
            )
    return fill_rows(pattern, frame, competition.id)


def pattern_modalities(competition: Competition) -> list[str]:
    """Modalities without a path column of the table: filename patterns, or several columns."""
    return [name for name in competition.modalities if not _is_column(competition, name)]


def _is_column(competition: Competition, modality: str) -> bool:
    text = competition.modalities[modality]
    return not is_pattern(text) and len(channels_of(text)) == 1


def path_column(competition: Competition, modality: str) -> str:
    """The column of a modality's image paths."""
    if _is_column(competition, modality):
        return competition.modalities[modality]
    return f"{modality}_path"
