"""``comptool init``: from a download to ``comptool.toml``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import DryRunOption, ForceOption, JsonOption, QuietOption


def init(
    folder: Annotated[
        Path | None, typer.Argument(help="The download. [default: this folder, else data/]")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the facts go.")] = Path(
        "comptool.toml"
    ),
    name: Annotated[str | None, typer.Option(help="What submission files are called.")] = None,
    task: Annotated[str | None, typer.Option(help="multiclass or multilabel.")] = None,
    metric: Annotated[str | None, typer.Option(help="What the organiser ranks by.")] = None,
    train: Annotated[
        str | None, typer.Option(help="Training table, or folder of class folders.")
    ] = None,
    val: Annotated[
        str | None, typer.Option(help="Folder of class folders given for validation.")
    ] = None,
    test: Annotated[str | None, typer.Option(help="Test table, or folder of images.")] = None,
    sample_submission: Annotated[
        str | None, typer.Option(help="The organiser's example of a submission.")
    ] = None,
    train_images: Annotated[
        str | None, typer.Option(help="Folder in which training patterns are looked for.")
    ] = None,
    test_images: Annotated[
        str | None, typer.Option(help="Folder in which test patterns are looked for.")
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Id column.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Label column; for multilabel all of them: a,b,c.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose rows a split must not tear apart.")
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(help="NAME=COLUMN or NAME=PATTERN, such as sar=SAR_{id}.png; repeat it."),
    ] = None,
    classes: Annotated[str | None, typer.Option(help="All class names: a,b,c.")] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Look at a download and write what was found to comptool.toml.

    Every fact can be given as an option; what is not given is found in file names, CSV headers and
    values, class folders and the sample submission, and what had to be assumed is said.

    Example: comptool init data/ --metric macro-f1
    """
    from comptool.competition import detected, dump
    from comptool.detection.overview import overview
    from comptool.facts import from_environment, from_options
    from comptool.outputs import refuse_existing

    refuse_existing(output, force)
    options = {
        "name": name,
        "task": task,
        "metric": metric,
        "folder": None if folder is None else str(folder),
        "train": train,
        "val": val,
        "test": test,
        "sample-submission": sample_submission,
        "train-images": train_images,
        "test-images": test_images,
        "id": id_column,
        "label": label,
        "group": group,
        "classes": classes,
    }
    given = from_environment(os.environ) | from_options(options, modality or ())
    found = detected([Path(), Path("data")], given)
    sentences = [f"looking at {found.folder}", *found.findings, *overview(found)]
    _options.say("\n".join(sentences), quiet)
    if dry_run:
        _options.say(f"would write {output}", quiet)
        return
    dump(found, output, force=force)
    _options.give(output, {"output": str(output), "findings": sentences}, json)
