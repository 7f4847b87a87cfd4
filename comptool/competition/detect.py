"""Detection of the competition in a download: from file names, CSV headers, values and folders.

Writes nothing. Every finding and assumption is reported as a sentence, so that a wrong guess can be
corrected with an option or in ``comptool.toml``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from comptool import tasks
from comptool.competition.class_folders import (
    find_class_folders,
    find_test_folder,
    shown_modalities,
)
from comptool.competition.detect_labels import (
    Taken,
    answers_of,
    choose_label,
    columns_of,
    is_joined,
    near_misses,
)
from comptool.competition.download import (
    DATA_FOLDER_NAMES,
    Detection,
    Tables,
    by_columns,
    by_file_names,
    by_ids,
    filled,
    find_tables,
    image_columns,
    images_folder,
    only_role,
)
from comptool.competition.filename_patterns import is_pattern, placeholders
from comptool.competition.schema import PATH_KEYS
from comptool.errors import SHOWN_VALUES, InputError
from comptool.io.tables import read_table


def detect(folder: Path, given: Mapping[str, Any]) -> Detection | None:
    """The competition in ``folder``, around the ``given`` facts, or None if there is none.

    Raises
    ------
    InputError
        If a table, an id or label column, or the images of a competition cannot be determined.
    """
    found = Detection(folder, _seen_from(folder, given))
    tables = find_tables(found)
    if tables.train is None:
        find_class_folders(found)
    if not any(key in found.facts for key in ("train", "test", "sample-submission")):
        return None
    found.settle("name", _name(folder), f"assumed: the name is '{_name(folder)}'")
    _find_id(found, tables)
    _find_modalities(found, tables)
    _find_answers(found, tables)
    found.facts["folder"] = folder.as_posix()
    return found


def detect_table(path: Path, given: Mapping[str, Any]) -> Detection:
    """The competition of one labelled table; images need not be there."""
    frame = read_table(path)
    sources = given.get("modalities", {})
    facts = {key: value for key, value in given.items() if key not in (*PATH_KEYS, "folder")}
    facts["modalities"] = {name: source for name, source in sources.items() if source in frame}
    facts["train"] = path.name
    found = Detection(path.parent, facts)
    tables = Tables(frame, None, None)
    found.settle("name", _name(path.parent), f"assumed: the name is '{_name(path.parent)}'")
    _find_id(found, tables)
    if not facts["modalities"]:
        facts["modalities"] = by_columns(path.parent, [frame])
    _find_answers(found, tables)
    return found


def _seen_from(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with paths relative to ``folder`` instead of the working directory."""
    facts = dict(given)
    for key in PATH_KEYS:
        if key in facts and not (folder / facts[key]).exists() and Path(facts[key]).exists():
            facts[key] = Path(os.path.relpath(facts[key], folder)).as_posix()
    return facts


def _name(folder: Path) -> str:
    resolved = folder.resolve()
    if resolved.name.lower() in DATA_FOLDER_NAMES:
        resolved = resolved.parent
    return re.sub(r"[^a-z0-9]+", "-", resolved.name.lower()).strip("-") or "competition"


def _find_id(found: Detection, tables: Tables) -> None:
    if "id" not in found.facts:
        frames = [frame for frame in (tables.train, tables.test) if frame is not None]
        found.settle("id", *choose_id(frames, tables.sample, found.table))


def _find_modalities(found: Detection, tables: Tables) -> None:
    """Settle ``modalities``, then the image folders for their patterns."""
    frames = [frame for frame in (tables.train, tables.test) if frame is not None]
    if tables.test is None and tables.sample is None and "test" not in found.facts:
        find_test_folder(found)
    if "modalities" not in found.facts:
        modalities = _modalities(found, tables, frames)
        found.settle("modalities", modalities, f"images: {shown_modalities(modalities)}")
    patterns = [source for source in found.facts["modalities"].values() if is_pattern(source)]
    if not patterns:
        return
    test = tables.sample if tables.test is None else tables.test
    for role, frame in (("train", tables.train), ("test", test)):
        if frame is not None and f"{role}-images" not in found.facts:
            _find_images_folder(found, role, patterns, frame)


def _modalities(found: Detection, tables: Tables, frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    id_column = found.facts["id"]
    test = tables.sample if tables.test is None else tables.test
    roles = {"train": tables.train, "test": test}
    ids = {role: _ids(one, id_column) for role, one in roles.items() if one is not None}
    # A path column of train.csv does not locate the test images; a pattern does.
    needs_pattern = tables.test is None and (tables.sample is not None or "test" in found.facts)
    if needs_pattern:
        modalities = by_ids(found.images, ids)
        if modalities:
            return modalities
    modalities = by_columns(found.folder, frames) if frames else {}
    if modalities and needs_pattern:
        found.findings.append("no image has the name of a test id; predictions need a test table")
    modalities = (
        modalities
        or (by_file_names(found.images, frames) if frames else {})
        or by_ids(found.images, ids)
    )
    if not modalities:
        raise _no_images(found, frames, next(iter(ids.values()), []))
    return modalities


def _no_images(found: Detection, frames: Sequence[pd.DataFrame], ids: Sequence[str]) -> InputError:
    mend = "Give --modality NAME=COLUMN, or NAME=PATTERN such as 'image={id}.png'"
    for name, values in (image_columns(frames) if frames else {}).items():
        return InputError(
            f"none of these images is below {found.folder}",
            file=found.table,
            column=name,
            values=values[:SHOWN_VALUES],
            mend=mend,
        )
    what = "no images: no column holds image paths, and no image has the name of an id"
    return InputError(
        what, file=found.table, column=found.facts["id"], values=ids[:SHOWN_VALUES], mend=mend
    )


def _ids(frame: pd.DataFrame, id_column: str) -> list[str]:
    column = id_column if id_column in frame else str(frame.columns[0])
    return [str(value) for value in frame[column]]


def _find_images_folder(
    found: Detection, role: str, patterns: Sequence[str], frame: pd.DataFrame
) -> None:
    id_column = found.facts["id"] if found.facts["id"] in frame else str(frame.columns[0])
    if any(name not in frame and name != "id" for text in patterns for name in placeholders(text)):
        return
    images = only_role(found.images, role)
    wanted = [filled(pattern, frame, id_column) for pattern in patterns]
    images_in, num_missing = images_folder(images, wanted)
    if images_in:
        found.settle(f"{role}-images", images_in, f"{role} images: below {images_in}")
    if num_missing:
        found.findings.append(f"{num_missing} of {len(frame)} {role} ids lack an image")


def _find_answers(found: Detection, tables: Tables) -> None:
    """Settle label, group, task and metric."""
    train, facts = tables.train, found.facts
    if "label" not in facts:
        sources = facts["modalities"].values()
        named = [name for text in sources for name in placeholders(text)]
        test_columns = [] if tables.test is None else list(tables.test.columns)
        taken = Taken({facts["id"], *sources, *named}, set(test_columns))
        found.settle("label", *choose_label(train, tables.sample, taken, found.table))
        if train is not None and isinstance(facts["label"], list):
            answers = answers_of(tables.sample)
            found.findings += near_misses(train, facts["label"], taken, answers)
    if "group" not in facts and train is not None:
        group, why = choose_group(train, {facts["id"], *columns_of(facts["label"])})
        found.settle("group", group, why)
    joined = isinstance(facts["label"], str) and is_joined(train, tables.sample, facts["label"])
    task = "multilabel" if joined or isinstance(facts["label"], list) else tasks.DEFAULT_TASK
    why = f"task: {task}" + (f" ({facts['label']} holds lists of labels)" if joined else "")
    found.settle("task", task, why)
    if tables.sample is not None and asks_for_one_probability(tables.sample):
        metric = "auc"
    else:
        metric = tasks.find(facts["task"]).assumed_metric(len(answers_of(tables.sample)))
    found.settle("metric", metric, f"assumed: the metric is {metric}")


ID_NAMES = "id image_id img_id imageid image_name image img filename file_name file name".split()
GROUP_NAMES = frozenset(
    "group group_id scene scene_id patient patient_id site site_id location location_id "
    "sequence sequence_id tile tile_id".split()
)
# A few repeated ids are a mistake to report, not a reason for another id column.
NEARLY_UNIQUE = 0.9


def choose_id(
    frames: Sequence[pd.DataFrame], sample: pd.DataFrame | None, file: Path
) -> tuple[str, str]:
    """The id column of the training and test tables, and why; InputError if there is none."""
    first = None if sample is None else str(sample.columns[0])
    if first is not None and all(first in frame for frame in frames):
        return first, f"id column: {first} (the first of the sample submission)"
    if not frames:
        return "id", "assumed: the id is the part of a file name that {id} stands for"
    shared = [name for name in frames[0].columns if all(name in frame for frame in frames)]
    distinct = {name: min(one[name].nunique() / len(one) for one in frames) for name in shared}
    named = [name for name in ID_NAMES if name in distinct and distinct[name] >= NEARLY_UNIQUE]
    if named:
        return named[0], f"id column: {named[0]} (by its name)"
    unique = [name for name in shared if distinct[name] == 1]
    if unique:
        return unique[0], f"id column: {unique[0]} (all values differ)"
    raise InputError(
        "no column has a different value in every row; which one is the id?",
        file=file,
        values=list(frames[0].columns),
        mend="Name it with COMPTOOL_ID=..., 'id' in comptool.toml or 'comptool init --id'",
    )


def choose_group(train: pd.DataFrame, taken: set[str]) -> tuple[str | None, str]:
    """The group column, by its name, and why; or None."""
    for name in train.columns:
        if name.lower() in GROUP_NAMES and name not in taken and not train[name].is_unique:
            count = train[name].nunique()
            return name, f"assumed: {name} is a group column ({count} groups)"
    return None, ""


def asks_for_one_probability(sample: pd.DataFrame) -> bool:
    """Whether a sample submission has one column, of numbers with a decimal point."""
    return len(sample.columns) == 2 and bool(sample.iloc[:, 1].str.fullmatch(r"[01]?\.\d+").all())
