"""The samples of a download without tables: images in class folders, or in one test folder."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from comptool.competition import Competition
from comptool.errors import InputError
from comptool.image_paths import images_of
from comptool.labels import class_names
from comptool.patterns import Row, can_be_class, collect

# A column that ``comptool split --from-column`` takes.
SPLIT = "split"


def from_folders(competition: Competition, source: Path, *, labelled: bool) -> pd.DataFrame:
    """One row per id that the patterns find below a folder, by class and then by id.

    Where the competition has a validation folder, its rows are among the labelled ones, and a
    column ``split`` holds ``train`` or ``val``; ids that are in both parts become ``<part>/<id>``.

    Raises
    ------
    InputError
        If no image fits, or two images are the same modality of one id.
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
    rows = collect(competition.modalities, images, labelled=labelled)
    if not rows:
        raise InputError(
            "no image fits " + " or ".join(competition.modalities.values()),
            file=source,
            mend="Correct [modalities] in comptool.toml",
        )
    return rows


def _tell_apart(parts: dict[str, list[Row]]) -> None:
    ids = [row.id for rows in parts.values() for row in rows]
    if len(set(ids)) == len(ids):
        return
    for part, rows in parts.items():
        for row in rows:
            row.id = f"{part}/{row.id}"


def _table(competition: Competition, rows: list[Row], labelled: bool) -> pd.DataFrame:
    order = {name: place for place, name in enumerate(class_names(row.id for row in rows))}
    classes = {name: place for place, name in enumerate(class_names(row.label for row in rows))}
    rows.sort(key=lambda row: (classes[row.label], order[row.id]))
    columns = {competition.id: [row.id for row in rows]}
    for name in competition.modalities:
        columns[f"{name}_path"] = [row.paths.get(name, "") for row in rows]
    if labelled:
        columns[competition.label] = [row.label for row in rows]
    return pd.DataFrame(columns, dtype=object)
