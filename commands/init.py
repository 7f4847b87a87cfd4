"""``comptool init``: from a download to ``comptool.toml``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from comptool.options import Output, argument, option

from .options import give, say

TABLES, COLUMNS = "Files", "Columns and classes"


@dataclass(frozen=True)
class InitConfig(Output):
    """The options of ``comptool init``."""

    folder: Path | None = argument(
        None, help="Folder of the download.", shown="this folder, otherwise data/"
    )
    output: Path = option(
        Path("comptool.toml"),
        help="Description of the competition to write.",
        names=("--output", "-o"),
    )
    name: str | None = option(help="Name of the submission files.")
    task: str | None = option(help="Task: multiclass, multilabel, ordinal or regression.")
    metric: str | None = option(
        help="Metric that the organiser ranks by: a name of comptool metrics or FILE.py:function."
    )
    metric_option: tuple[str, ...] = option(
        (),
        help="Option of the metric, such as beta=2 or cost=cost.csv; repeatable.",
        metavar="NAME=VALUE",
    )
    form: str | None = option(
        help="Answer form of submissions, as in submit --form.",
        metavar="NAME",
        shown="submit chooses",
    )
    positive_class: str | None = option(
        help="Class whose probability a submission with one column has; also that of the metric.",
        metavar="CLASS",
    )
    train: str | None = option(
        help="Training table, or folder with one folder per class.", panel=TABLES
    )
    val: str | None = option(
        help="Validation table, or folder with one folder per class.", panel=TABLES
    )
    test: str | None = option(help="Test table, or folder of images.", panel=TABLES)
    sample_submission: str | None = option(help="The organiser's sample submission.", panel=TABLES)
    train_images: str | None = option(
        help="Folder of the training images, for filename patterns.", panel=TABLES
    )
    test_images: str | None = option(
        help="Folder of the test images, for filename patterns.", panel=TABLES
    )
    id: str | None = option(help="Id column.", panel=COLUMNS)
    bag: str | None = option(
        help="Column of what is answered, if several images have one answer, or a pattern of "
        "columns such as {patient}_{side}; the id column: a folder of images each; '' for none.",
        panel=COLUMNS,
    )
    label: str | None = option(help="Label column; multilabel: all of them, a,b,c.", panel=COLUMNS)
    label_pattern: str | None = option(
        help="Where the class is in a path below the training folder, such as */{label}/* or "
        "{label}.*",
        panel=COLUMNS,
    )
    group: str | None = option(
        help="Group column: rows of one group stay in one fold; '' for none.", panel=COLUMNS
    )
    modality: tuple[str, ...] = option(
        (),
        help="Path column or filename pattern of a modality, such as sar=SAR_{id}.png; repeatable.",
        metavar="NAME=COLUMN|PATTERN",
        panel=COLUMNS,
    )
    classes: str | None = option(
        help="All class names: a,b,c; or class folders that form one class: cover=Cover,stego=A+B "
        "(rest=*: all others).",
        panel=COLUMNS,
    )
    missing_images: str | None = option(
        help="A training row whose images are not there: error, or drop it.", panel=TABLES
    )
    reader: str | None = option(
        help="Reader of the image files: FILE.py:function, or a name.",
        shown="by suffix",
        panel=TABLES,
    )

    def facts(self) -> dict[str, str | None]:
        """The given facts by their keys in ``comptool.toml``; None: not given."""
        keys = (
            "name task metric form positive-class train val test sample-submission train-images "
            "test-images id bag label label-pattern group classes missing-images reader"
        ).split()
        given = {key: getattr(self, key.replace("-", "_")) for key in keys}
        return {**given, "folder": None if self.folder is None else str(self.folder)}


def init(config: InitConfig) -> None:
    """Detect the competition in a download; write comptool.toml.

    Every fact can be given as an option; the others are detected from file names, CSV headers and
    values, class folders and the sample submission. Assumptions are reported.

    Example: comptool init data/ --metric macro-f1
    """
    from comptool.competition.config import detected, dump
    from comptool.competition.detect import ASSUMED_METRIC
    from comptool.competition.sample_summary import summarise
    from comptool.competition.schema import from_environment, from_options
    from comptool.io.atomic import refuse_existing
    from comptool.submission.answer_forms import FORMS

    if config.form is not None:
        FORMS.find(config.form)
    output = config.output
    refuse_existing(output, config.force)
    given = from_environment(os.environ) | from_options(
        config.facts(), config.modality, config.metric_option
    )
    found = detected([Path(), Path("data")], given, unpack=not config.dry_run)
    found.find_metric()
    about = summarise(found)
    sentences = [f"inspecting {found.folder}", *found.findings, *about.lines]
    if f"{ASSUMED_METRIC} {found.metric}" in found.findings:
        sentences.append("Which metric does the organiser rank by? Name it with --metric")
    say("\n".join(sentences), config.quiet)
    if config.dry_run:
        say(f"would write {output}", config.quiet)
    else:
        dump(found, output, force=config.force)
    if about.obstacle is not None:
        written = "" if config.dry_run else f"{output} is written, and training cannot work: "
        say(f"{written}correct it there, or with init --force", config.quiet)
        raise about.obstacle
    if config.dry_run:
        return
    give(output, {"output": str(output), "findings": sentences}, config.json)
