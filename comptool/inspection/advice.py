"""What to do about the findings: the next command, and what each part of it does."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from comptool import findings
from comptool.errors import quoted
from comptool.findings import TEST, TRAIN
from comptool.inspection.inspecting import Inspection
from comptool.samples import Samples


def advice(output: Path, done: Inspection, folds: Path) -> list[str]:
    """What to do about the findings: a command, what each part of it does, and what else.

    Parameters
    ----------
    output
        Where the findings are.
    done
        The inspection.
    folds
        What the command would write.
    """
    found, train = done.found, done.sources.tables.get(TRAIN)
    count = Counter(findings.of_training(found, findings.KINDS)["kind"])
    linked = len(findings.links(found))
    if done.sources.folds is not None and findings.FOLD_LEAK not in count:
        linked = 0  # They stay together already.
    command = ["comptool", "split", *_table(done), "--findings", output]
    told = [f"copies stay in one fold (pairs: {linked})"] if linked else []
    for option, kind, why in _options(train, count) if train else []:
        command += [option, kind]
        told.append(f"{option} {kind}: {why}")
    if folds.exists():
        command.append("--force")
    lines = [shlex.join(map(str, command)), *(f"  {one}" for one in told)] if told else []
    return [*lines, *_other_advice(found, count)]


def _table(done: Inspection) -> list[Path]:
    """The table that is to be split, if it is not the competition's."""
    table = done.sources.table
    # A table that has folds came of one without.
    return [] if table is None or "fold" in done.sources.tables[TRAIN].frame else [table]


def _options(train: Samples, count: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Options of ``split`` for the kinds of findings that there are, and what they do."""
    exclude = {
        findings.MISSING: "training would refuse them",
        findings.UNREADABLE: "training would refuse them",
        findings.LABEL_CONFLICT: "one of two copies has a wrong label",
    }
    if len(train.paths) == 1:
        exclude[findings.CONSTANT] = "they show nothing"
    # A run of many labels can be masked, and then the rest of the row is still of use.
    if findings.LABEL_RUN not in count:
        exclude[findings.LABEL_COUNT] = "more labels than can be believed"
    # What a list does not name is absent: it has no cell that could be unknown.
    mask = findings.MASKABLE if train.label is None else ()
    options = [
        *(("--exclude", kind, f"{exclude[kind]} ({count[kind]})") for kind in exclude),
        *(
            ("--mask", kind, f"the doubtful cells are not annotated (rows: {count[kind]})")
            for kind in mask
        ),
    ]
    return [option for option in options if option[1] in count]


def _other_advice(found: pd.DataFrame, count: Mapping[str, int]) -> list[str]:
    lines: list[str] = []
    lost = found["column"][found["kind"] == findings.LOST_LABEL].tolist()
    if lost:
        lines.append(
            f"{quoted(lost)}: rows that should have such a label have lost it; look for a "
            "corrected table"
        )
    broken = found["kind"].isin([findings.MISSING, findings.UNREADABLE])
    files = int((broken & (found["table"] == TEST)).sum())
    if files:
        lines.append(f"test images that have to be downloaded again: {files}")
    copies = findings.copies(found)
    known = (copies["table"] == TEST) & (copies["other_table"] == TRAIN)
    names = copies["id"][known].unique().tolist()
    if names:
        lines.append(f"test samples with an image of a training sample: {quoted(names)}")
    if findings.TORN_GROUP in count:
        lines.append("comptool split --force keeps groups whole")
    return lines
