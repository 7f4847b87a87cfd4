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
from comptool.competition.bags import settle_bag, tears
from comptool.competition.class_folders import (
    DATA_FOLDER_NAMES,
    holds_downloads,
    settle_class_folders,
    settle_test_folder,
)
from comptool.competition.download_tables import (
    TEST,
    TRAIN,
    Detection,
    Tables,
    find_tables,
    image_names,
    names_images,
    table_of_images,
    words_of,
)
from comptool.competition.filename_patterns import channels_of, placeholders
from comptool.competition.image_sources import by_columns, settle_modalities
from comptool.competition.label_columns import (
    Taken,
    asks_for_one_probability,
    asks_for_ranking,
    choose_label,
    columns_of,
    is_joined,
    near_misses,
    task_by_values,
)
from comptool.competition.organiser_text import Stated, stated_metric
from comptool.competition.schema import PATH_KEYS
from comptool.errors import InputError
from comptool.io.sample_columns import answer_table, id_of
from comptool.io.tables import read_table, refuse_rows
from comptool.io.text_tables import NAMELESS, decimal_commas
from comptool.metrics.metric_registry import wrong_name

ID_NAMES = "id image_id img_id imageid image_name image img filename file_name file name".split()
# Words of group columns: what an image is of before when it was taken and where.
GROUP_RANKS = tuple(
    frozenset(words.split())
    for words in (
        "patient subject individual lesion case specimen user",
        "group scene study series session sequence seq video recording tile slide",
        "site location camera",
    )
)
# With two, one would be trained on and one validated.
MIN_GROUPS = 3
# Share of the rows; a larger group would be a fold by itself.
MAX_GROUP = 0.5
# A few repeated ids are a mistake to report, not a reason for another id column.
NEARLY_UNIQUE = 0.9
# Such a column is a property of the images rather than where they come from.
YES_OR_NO = frozenset({"", "0", "1", "yes", "no", "true", "false"})
ASSUMED_METRIC = "assumed: the metric is"


def detect(folder: Path, given: Mapping[str, Any]) -> Detection | None:
    """The competition in ``folder``, around the ``given`` facts, or None if there is none."""
    found = Detection(folder, _seen_from(folder, given))
    tables = find_tables(found)
    if tables.train is None:
        settle_class_folders(found, tables.sample)
        if "train" not in found.facts and not holds_downloads(found.images):
            table_of_images(found, tables)
    if not any(key in found.facts for key in ("train", "test", "sample-submission")):
        return None
    found.settle("name", _name(folder), f"assumed: the name is '{_name(folder)}'")
    settle_bag(found, tables)
    _settle_id(found, tables)
    if tables.test is None and tables.sample is None and "test" not in found.facts:
        settle_test_folder(found)
    settle_modalities(found, tables)
    _settle_answers(found, tables)
    found.facts["folder"] = folder.as_posix()
    return found


def detect_table(path: Path, given: Mapping[str, Any]) -> Detection:
    """The competition of one labelled table; images need not be there."""
    frame = read_table(path)
    sources = given.get("modalities", {})
    facts = {key: value for key, value in given.items() if key not in (*PATH_KEYS, "folder")}
    facts["modalities"] = {
        name: source
        for name, source in sources.items()
        if all(column in frame for column in channels_of(source))
    }
    facts["train"] = path.name
    found = Detection(path.parent, facts)
    tables = Tables(frame, None, None, None)
    found.settle("name", _name(path.parent), f"assumed: the name is '{_name(path.parent)}'")
    _settle_id(found, tables)
    if not facts["modalities"]:
        facts["modalities"] = by_columns(path.parent, [frame])
    _settle_answers(found, tables)
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


def _settle_id(found: Detection, tables: Tables) -> None:
    if "id" not in found.facts:
        _refuse_missing_header(found, tables)
        frames = [frame for frame in (tables.train, tables.test) if frame is not None]
        # What is answered is no id of images if several images share it.
        sample = None if "bag" in found.facts else tables.sample
        found.settle("id", *choose_id(frames, sample, found.table))


def _refuse_missing_header(found: Detection, tables: Tables) -> None:
    """Refuse a table whose first column is called like one of its images: a row would be lost."""
    for role, frame in ((TRAIN, tables.train), (TEST, tables.test)):
        if frame is None or not names_images(frame.iloc[:, :1], image_names(found.images)):
            continue
        header = list(frame.columns)
        if names_images(pd.DataFrame({"header": header[:1]}), image_names(found.images)):
            raise InputError(
                "has no header: its first row names an image",
                file=found.folder / found.facts[role],
                values=header,
                mend="Write the names of the columns above it",
            )


def _settle_answers(found: Detection, tables: Tables) -> None:
    """Settle label, group, task and metric."""
    train, facts = tables.train, found.facts
    answered = answer_table(tables.sample, facts["id"])
    if "label" not in facts:
        sources = [one for text in facts["modalities"].values() for one in channels_of(text)]
        named = [name for text in sources for name in placeholders(text)]
        test_columns = [] if tables.test is None else list(tables.test.columns)
        bag = facts.get("bag", NAMELESS)
        taken = Taken({facts["id"], bag, NAMELESS, *sources, *named}, set(test_columns))
        found.settle("label", *choose_label(train, answered, taken, found.table))
        if train is not None and isinstance(facts["label"], list):
            found.findings += near_misses(train, facts["label"], taken, list(map(str, answered)))
    label = facts["label"]
    if "group" not in facts and train is not None:
        taken_columns = {facts["id"], *columns_of(label)}
        torn = {name for name in train.columns if tears(train, name, facts.get("bag"))}
        group, why = choose_group(train, taken_columns | torn)
        found.settle("group", group, why)
    joined = isinstance(label, str) and is_joined(train, answered, label, facts.get("train", ""))
    stated = stated_metric(found.folder, found.files) if "metric" not in facts else None
    values: dict[str, list[str]] = {}
    if train is not None and not joined:
        values = {
            name: train[name].unique().tolist() for name in columns_of(label) if name in train
        }
    if "task" not in facts:
        if train is not None and isinstance(label, str) and label in train:
            _refuse_decimal_commas(found.table, train[label])
        _settle_task(found, values, answered, stated, joined=joined)
    _settle_metric(found, values, answered, stated, joined=joined)


def _refuse_decimal_commas(file: Path, cells: pd.Series[str]) -> None:
    mend = "Write 3.3 for 3,3; if these are lists of classes, say --task multilabel"
    refuse_rows(file, cells, decimal_commas(cells), "has decimal commas", mend)


def _settle_task(
    found: Detection,
    values: Mapping[str, list[str]],
    answered: pd.DataFrame,
    stated: Stated | None,
    *,
    joined: bool,
) -> None:
    """Settle the task by the ``values`` of the label columns, or else by how many there are."""
    label = found.facts["label"]
    metric = found.facts.get("metric", next(iter(stated.names if stated else ()), None))
    by_column = {task_by_values(one, metric, answered) for one in values.values()}
    by_values = by_column.pop() if len(by_column) == 1 else ""
    task = tasks.by_shape(cells=joined or isinstance(label, list)).name
    why = f"task: {task}" + (f" ({label} holds lists of labels)" if joined else "")
    # Several numbers may be asked for at once, grades of one column alone.
    if by_values and (tasks.find(by_values).numbers or len(values) == 1):
        task, why = by_values, f"task: {by_values} (by the values of {next(iter(values))})"
    found.settle("task", task, why)


def _settle_metric(
    found: Detection,
    values: Mapping[str, list[str]],
    answered: pd.DataFrame,
    stated: Stated | None,
    *,
    joined: bool,
) -> None:
    """Settle the metric that a text names, or that the answers of the sample submission suggest."""
    task = found.facts["task"]
    if stated is not None:
        name, said = stated.metric(task, found.facts.get("metric-options", {}))
        if name is None:
            found.findings.append(said)
        found.settle("metric", name, said)
    labels = next(iter(values.values())) if len(values) == 1 else []
    if number := asks_for_ranking(answered, labels):
        metric = f"map@{number}"
        if wrong_name(metric) is None and not joined:
            found.settle("metric", metric, f"{ASSUMED_METRIC} {metric}")
    metric = tasks.find(task).assumed_metric(
        len(answered.columns),
        one_probability=asks_for_one_probability(answered),
        every_class=len(labels) > 1 and set(answered) == set(labels),
    )
    found.settle("metric", metric, f"{ASSUMED_METRIC} {metric}")


def choose_id(
    frames: Sequence[pd.DataFrame], sample: pd.DataFrame | None, file: Path
) -> tuple[str, str]:
    """The id column of the training and test tables, and why; InputError if there is none."""
    first = None if sample is None else id_of(sample)
    if first is not None and all(first in frame for frame in frames):
        return first, f"id column: {first} (the first of the sample submission)"
    if not frames:
        return "id", "assumed: the id is the part of a file name that {id} stands for"
    shared = [
        name
        for name in frames[0].columns
        if name != NAMELESS and all(name in frame for frame in frames)
    ]
    # Rows that are repeated in every cell are taken once; of one row everything is distinct.
    once = [one.drop_duplicates() for one in frames]
    sizes = [
        len(one) if len(one) > 1 else len(frame) for one, frame in zip(once, frames, strict=True)
    ]
    distinct = {
        name: min(one[name].nunique() / size for one, size in zip(frames, sizes, strict=True))
        for name in shared
    }
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
    """The group column, by its name and values, and why; or None.

    Its name has a word such as patient; its values recur in three groups or more, none of over half
    of the rows, and are neither numbers with a fraction nor yes and no. Of several such columns
    what an image is of comes before where it was taken, then the one with more groups.
    """
    found = []
    for name in map(str, train.columns):
        words = set(words_of(name))
        rank = next((place for place, one in enumerate(GROUP_RANKS) if one & words), None)
        if name in taken or rank is None or "age" in words:
            continue
        sizes = train[name].value_counts()
        values = {value.strip().lower() for value in sizes.index}
        if sizes.max() == 1 or len(sizes) < MIN_GROUPS or values <= YES_OR_NO:
            continue
        is_fraction = train[name].str.fullmatch(r"-?\d*\.\d*[1-9]\d*").any()
        if sizes.max() <= MAX_GROUP * len(train) and not is_fraction:
            found.append((rank, -len(sizes), name))
    if not found:
        return None, ""
    (_, count, name), *others = sorted(found)
    why = f"assumed: {name} is a group column ({-count} groups); --group '' for none"
    if others:
        why += f", or --group {' or '.join(other for *_, other in others)}"
    return name, why
