"""A competition: task, metric, tables, columns and modalities.

``comptool.toml`` holds these facts; ``COMPTOOL_*`` variables override it, and detection fills in
the missing ones. Settings of a run do not belong here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from comptool import metrics, tasks
from comptool.competition.archives import packed, unpack_all
from comptool.competition.detect import detect, detect_table
from comptool.competition.download_tables import TABLE_NAME, Detection, role_of
from comptool.competition.schema import (
    METRIC_OPTIONS,
    PATH_KEYS,
    POSITIVE,
    Facts,
    from_environment,
    from_options,
    read_facts,
    write_facts,
)
from comptool.errors import InputError, quoted
from comptool.io.sample_columns import SampleColumns
from comptool.io.tables import read_table
from comptool.metrics import AnswerColumns, Metric
from comptool.metrics.metric_options import is_table
from comptool.tasks import Task
from comptool.tasks.ordinal_task import ONE_TEXT, one_number_twice

FILE = Path("comptool.toml")
DROP = "drop"
NEEDED = ("task", "metric", "id", "label", "modalities")


@dataclass(frozen=True)
class Competition:
    """The facts of one competition; image paths in tables are relative to ``folder``."""

    name: str  # of the submission files
    task: str  # a name in `comptool.tasks`
    metric: str  # that the organiser ranks by
    folder: Path  # the download
    train: Path | None = None  # a table or a folder of images (``train/<class>/...``)
    test: Path | None = None  # a table or a folder of images
    val: Path | None = None  # as ``train``, for validation; the rows have ``split`` = ``val``
    sample_submission: Path | None = None  # the organiser's example
    train_images: Path | None = None  # where filename patterns are looked up; None: ``folder``
    test_images: Path | None = None
    id: str = "id"  # column
    label: str = "label"  # column; empty with ``labels``
    labels: tuple[str, ...] = ()  # the 0/1 columns of several labels, or several numbers
    # where the class is in the path of an image, below a training folder
    label_pattern: str | None = None
    # folders by class, where several form one class
    class_folders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # column, or a pattern of columns: its images have one answer; the id: a folder of images each
    bag: str | None = None
    group: str | None = None  # column: a split keeps its groups whole
    drop_missing: bool = False  # training rows whose images are not there are left out
    # column, or filename pattern with ``{id}``, in the model's order; several with ``|`` between
    # them are the channels of one image
    modalities: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None  # all class names, if fixed
    form: str | None = None  # of the answers; None: by sample submission, metric and task
    # of a submission with one column of probabilities, and of metrics of one class
    positive_class: str | None = None
    reader: str | None = None  # of the user for the images, ``FILE.py:function``
    # values by name: numbers, lists or paths of tables
    metric_options: dict[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()  # detected and assumed facts, one sentence each

    @property
    def kind(self) -> Task:
        """The task as an object."""
        return tasks.find(self.task)

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Files of the download, and the description: no output may replace them."""
        return (FILE, self.train, self.val, self.test, self.sample_submission)

    def find_metric(
        self,
        name: str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Metric:
        """The competition's metric with its options, or another one by name.

        Parameters
        ----------
        name
            None for the competition's own.
        options
            By name; None for those of ``comptool.toml`` if it is the competition's own, else none.
        classes
            The class names in the order of the predictions; None: that of `classes`. Lists in
            ``comptool.toml`` are in its own order.

        Raises
        ------
        UsageError, InputError
            See `comptool.metrics.find`.
        """
        if options is None:
            options = self.metric_options if name in (None, self.metric) else {}
        own, asked = self.classes or self.labels or None, None if classes is None else list(classes)
        moved = own is not None and asked != list(own) and sorted(asked or ()) == sorted(own)
        known = own if moved or asked is None else asked
        found = metrics.find(
            name or self.metric, self.task, options, classes=known, positive=self.positive_class
        )
        if moved and own is not None and asked is not None:
            found = found.subset([own.index(one) for one in asked])
        if found.is_ours:
            return found
        return replace(found, columns=AnswerColumns(self.id, self.label, self._num_answers()))

    def _num_answers(self) -> int | None:
        """Answer columns of the sample submission; None if it is unknown."""
        sample = self.sample_submission
        if sample is None or not sample.is_file():
            return None
        return len(SampleColumns.of(read_table(sample), self.id).answers)


def load(path: Path | None = None, *, reader: str | None = None) -> Competition:
    """The competition of the working directory.

    Parameters
    ----------
    path
        A ``comptool.toml``; by default the one in the working directory, otherwise the competition
        is detected in the working directory or in ``data/``.
    reader
        Reader of the images in place of the competition's.

    Raises
    ------
    InputError
        If the file is missing or not TOML, has an unknown key or a wrong value, or names a missing
        file; or if no competition is found.
    UsageError
        If a ``COMPTOOL_*`` variable has a wrong value.
    """
    environment = from_environment(os.environ)
    if reader is not None:
        environment |= from_options({"reader": reader})
    if path is None and not FILE.exists():
        return detected([Path(), Path("data")], environment)
    path = path or FILE
    facts = read_facts(path) | environment
    folder = path.parent / facts.get("folder", ".")
    findings: tuple[str, ...] = ()
    if any(key not in facts for key in NEEDED) or not _has_a_source(facts):
        found = _detect_in([folder], facts)
        facts, findings = found.facts, tuple(found.findings)
    return assemble(facts, folder, findings)


def detected(folders: list[Path], given: Mapping[str, Any], *, unpack: bool = False) -> Competition:
    """The competition in the first of ``folders`` that is a download; ``given`` facts are kept.

    With ``unpack``, archives are unpacked first.
    """
    is_given = "folder" in given
    if is_given:
        folders = [Path(given["folder"])]
        if not folders[0].is_dir():
            raise InputError("there is no such folder", file=folders[0])
    told = []
    for folder in folders if unpack else ():
        if folder.is_dir():
            told += unpack_all(folder, is_given=is_given)
    found = _detect_in(folders, given)
    return assemble(found.facts, found.folder, (*told, *found.findings))


def of_table(table: Path, path: Path | None = None) -> Competition:
    """The competition as far as one labelled table defines it, with or without images.

    Parameters
    ----------
    table
        The table.
    path
        A ``comptool.toml`` with facts to keep; by default the one in the working directory, if any.

    Raises
    ------
    InputError
        If the table cannot be read, or its id or label column cannot be determined.
    """
    path = path or (FILE if FILE.exists() else None)
    known = {} if path is None else read_facts(path)
    found = detect_table(table, known | from_environment(os.environ))
    return assemble(found.facts, found.folder, tuple(found.findings))


def _detect_in(folders: list[Path], given: Mapping[str, Any]) -> Detection:
    for folder in folders:
        found = detect(folder, given) if folder.is_dir() else None
        if found is not None:
            return found
    files = [one.name for folder in folders if folder.is_dir() for one in folder.iterdir()]
    raise InputError(
        "no competition found in " + " or ".join(f"'{folder}'" for folder in folders) + "; looked "
        "for a table with 'train' or 'test' in its name, a sample submission, and class folders "
        "such as train/<class>/*.png",
        mend=packed(files)
        or f"Go to the folder of the download, or run 'comptool init {_below(folders)}'",
    )


def _below(folders: Iterable[Path]) -> str:
    """The one folder in these with a table of a competition, or a word for it."""
    inside = [
        one
        for folder in folders
        if folder.is_dir()
        for one in folder.iterdir()
        if one.is_dir() and one.name[0] != "."
        if any(role_of(file.name) for file in one.iterdir() if TABLE_NAME.fullmatch(file.name))
    ]
    return inside[0].as_posix() if len(inside) == 1 else "FOLDER"


def _has_a_source(facts: Facts) -> bool:
    return any(key in facts for key in ("train", "test", "sample-submission"))


def assemble(facts: Facts, folder: Path, findings: tuple[str, ...] = ()) -> Competition:
    """A competition from its flat facts; InputError if they name a missing file or folder."""
    paths = {key: _resolve(folder, key, facts.get(key)) for key in PATH_KEYS}
    label = facts["label"]
    several = isinstance(label, list)
    task = tasks.find(facts["task"])
    if several and not (task.cells or task.numbers):
        raise InputError(
            f"the label is {len(label)} columns and the task is {facts['task']}",
            mend='Set task = "multilabel" or "regression", or name one label column',
        )
    classes = facts.get("classes")
    if classes is not None and task.numbers:
        raise InputError(
            f"'classes' are given, and the task is {task}, which has numbers",
            values=classes,
            mend="Leave 'classes' out of comptool.toml, or set task = \"ordinal\"",
        )
    if classes is not None and task.ordered and (same := one_number_twice(classes)):
        raise InputError("two texts of 'classes' are one grade", values=same, mend=ONE_TEXT)
    positive = _positive_class(facts)
    return Competition(
        name=facts.get("name") or folder.resolve().name or "competition",
        task=facts["task"],
        metric=facts["metric"],
        folder=folder,
        train=paths["train"],
        test=paths["test"],
        val=paths["val"],
        sample_submission=paths["sample-submission"],
        train_images=paths["train-images"],
        test_images=paths["test-images"],
        id=facts["id"],
        label="" if several else label,
        labels=tuple(label) if several else (),
        label_pattern=facts.get("label-pattern"),
        class_folders=facts.get("class-folders", {}),
        bag=facts.get("bag") or None,
        group=facts.get("group") or None,
        drop_missing=facts.get("missing-images") == DROP,
        modalities=dict(facts["modalities"]),
        classes=None if classes is None else tuple(classes),
        form=facts.get("form"),
        positive_class=positive,
        reader=facts.get("reader"),
        metric_options={
            name: str(_resolve(folder, METRIC_OPTIONS, value)) if is_table(value) else value
            for name, value in facts.get(METRIC_OPTIONS, {}).items()
        },
        findings=findings,
    )


def _positive_class(facts: Facts) -> str | None:
    """The positive class of the competition, or of its metric alone."""
    own, of_metric = facts.get(POSITIVE), facts.get(METRIC_OPTIONS, {}).get(POSITIVE)
    if own is None or of_metric is None:
        positive = own if of_metric is None else str(of_metric)
    elif own == str(of_metric):
        positive = own
    else:
        raise InputError(
            f"'{POSITIVE}' and that of [{METRIC_OPTIONS}] differ",
            values=[own, of_metric],
            mend=f"Leave {POSITIVE} out of [{METRIC_OPTIONS}]",
        )
    classes = facts.get("classes")
    if positive is not None and classes is not None and positive not in classes:
        raise InputError(
            f"'{POSITIVE}' is none of 'classes'",
            values=[positive],
            mend=f"The classes are {quoted(classes)}",
        )
    return positive


def _resolve(folder: Path, key: str, value: str | None) -> Path | None:
    if value is None:
        return None
    # An option is typed from the working directory, a fact in the file from the data folder.
    for path in (folder / value, Path(value)):
        if path.exists():
            return path
    raise InputError(
        "there is no such file or folder",
        file=folder / value,
        mend=f"Correct '{key}' in comptool.toml (or its option or variable)",
    )


def dump(competition: Competition, path: Path, *, force: bool = False) -> None:
    """Write the competition as ``comptool.toml``; replaces a file only with ``force``."""
    facts: Facts = {
        "name": competition.name,
        "task": competition.task,
        "metric": competition.metric,
        "folder": _relative(competition.folder, path.parent),
        "id": competition.id,
        "label": list(competition.labels) or competition.label,
        "modalities": competition.modalities,
    }
    if competition.form is not None:
        facts["form"] = competition.form
    if competition.positive_class is not None and POSITIVE not in competition.metric_options:
        facts[POSITIVE] = competition.positive_class
    for key in PATH_KEYS:
        value = getattr(competition, key.replace("-", "_"))
        if value is not None:
            facts[key] = _relative(value, competition.folder)
    if competition.label_pattern is not None:
        facts["label-pattern"] = competition.label_pattern
    if competition.class_folders:
        facts["class-folders"] = {k: list(v) for k, v in competition.class_folders.items()}
    if competition.bag is not None:
        facts["bag"] = competition.bag
    if competition.group is not None:
        facts["group"] = competition.group
    if competition.drop_missing:
        facts["missing-images"] = DROP
    if competition.classes is not None:
        facts["classes"] = list(competition.classes)
    if competition.reader is not None:
        facts["reader"] = competition.reader
    facts[METRIC_OPTIONS] = {
        name: _relative(Path(value), competition.folder) if is_table(value) else value
        for name, value in competition.metric_options.items()
    }
    write_facts(facts, path, force=force)


def _relative(path: Path, folder: Path) -> str:
    if path.is_absolute() and not path.resolve().is_relative_to(folder.resolve()):
        return path.as_posix()
    return Path(os.path.relpath(path, folder)).as_posix()
