"""Report of ``inspect``: findings in words, and the commands that act on them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from comptool.competition import findings
from comptool.competition.findings import KINDS, TEST, TRAIN
from comptool.competition.overview import described
from comptool.competition.samples import Samples
from comptool.data.image_io import FULL_DEPTH, depth_of
from comptool.errors import quoted
from comptool.inspection.image_scan import MISSING
from comptool.inspection.inspecting import Inspection
from comptool.tasks.labels import class_counts, positive_counts


def advice(output: Path, done: Inspection, folds: Path) -> list[str]:
    """The next command, with an explanation of each part, and other advice on the findings."""
    found, train = done.found, done.sources.tables.get(TRAIN)
    count = Counter(findings.of_training(found, findings.KINDS)["kind"])
    linked = len(findings.links(found))
    if done.sources.folds is not None and findings.FOLD_LEAK not in count:
        linked = 0  # already in one fold
    command = ["comptool", "split", *_table(done), "--findings", output]
    parts = [f"copies stay in one fold (pairs: {linked})"] if linked else []
    for option, kind, why in _options(train, count) if train else []:
        command += [option, kind]
        parts.append(f"{option} {kind}: {why}")
    if folds.exists():
        command.append("--force")
    lines = [shlex.join(map(str, command)), *(f"  {part}" for part in parts)] if parts else []
    return [*lines, *_other_advice(found, count)]


def _table(done: Inspection) -> list[Path]:
    """The table to split, unless it is the competition's."""
    table = done.sources.table
    # A folds table was itself made by split.
    return [] if table is None or "fold" in done.sources.tables[TRAIN].frame else [table]


def _options(train: Samples, count: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Options of ``split`` for the kinds found, and their effect."""
    exclude = {
        findings.MISSING: "training refuses them",
        findings.UNREADABLE: "training refuses them",
        findings.LABEL_CONFLICT: "one of two copies has a wrong label",
    }
    if len(train.paths) == 1:
        exclude[findings.CONSTANT] = "they show nothing"
    # A run of many labels can be masked, which keeps the rest of the row.
    if findings.LABEL_RUN not in count:
        exclude[findings.LABEL_COUNT] = "implausibly many labels"
    # A list has no cell that could be unknown.
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
            f"{quoted(lost)}: rows that should have this label have lost it; look for a "
            "corrected table"
        )
    broken = found["kind"].isin([findings.MISSING, findings.UNREADABLE])
    files = int((broken & (found["table"] == TEST)).sum())
    if files:
        lines.append(f"test images to download again: {files}")
    copies = findings.copies(found)
    known = (copies["table"] == TEST) & (copies["other_table"] == TRAIN)
    names = copies["id"][known].unique().tolist()
    if names:
        lines.append(f"test samples with an image of a training sample: {quoted(names)}")
    if findings.TORN_GROUP in count:
        lines.append("comptool split --force keeps groups whole")
    return lines


MOST_CLASSES, MOST_FORMS = 20, 4


def summary(output: Path, done: Inspection, folds: Path) -> dict[str, object]:
    """The inspection as JSON values."""
    return {
        "output": str(output),
        "tables": {
            name: {
                "source": str(samples.source),
                "rows": len(samples),
                "classes": _class_counts(samples),
                "images": _images(done, name),
            }
            for name, samples in done.sources.tables.items()
        },
        "problems": list(done.sources.problems),
        "findings": done.counts,
        "next": advice(output, done, folds),
    }


def text(output: Path, done: Inspection, folds: Path) -> str:
    """The inspection as text."""
    lines = []
    for name, samples in done.sources.tables.items():
        role = "training" if name == TRAIN else name
        lines.append(described(role, samples))
        lines += _class_lines(samples)
        lines += [_image_line(column, one) for column, one in _images(done, name).items()]
    if done.sources.folds is not None:
        lines.append(f"folds: {done.sources.folds.source}")
    lines += done.sources.problems
    lines += ["", *_finding_lines(done)]
    steps = advice(output, done, folds)
    return "\n".join([*lines, "", "next", *(f"  {step}" for step in steps)] if steps else lines)


def _class_counts(samples: Samples) -> dict[str, int]:
    if samples.labels:
        return positive_counts(samples.label_matrix(), samples.labels)
    return class_counts(samples.frame[samples.label]) if samples.label else {}


def _class_lines(samples: Samples) -> list[str]:
    counts = pd.Series(_class_counts(samples), dtype=int)
    if counts.empty:
        return []
    counts = counts.sort_values(ascending=False, kind="stable")
    shares = [f"{count / len(samples):.1%}" for count in counts]
    table = pd.DataFrame({"rows": counts, "share": shares})
    lines = ["  " + line for line in table.to_string().splitlines()]
    if len(counts) <= MOST_CLASSES:
        return lines
    half = MOST_CLASSES // 2
    return [*lines[: half + 1], f"  ... {len(counts) - MOST_CLASSES} more", *lines[-half:]]


def _images(done: Inspection, table: str) -> dict[str, dict[str, object]]:
    """Number, sizes and modes of the images of each modality, by column."""
    if done.images is None:
        return {}
    frame = done.images.frame[done.images.frame["table"] == table]
    counts = {}
    for column, images in frame.groupby("column"):
        readable = images[images["problem"] == ""]
        counts[str(column)] = {
            "images": len(images),
            "missing": int((images["problem"] == MISSING).sum()),
            "unreadable": int((~images["problem"].isin(["", MISSING])).sum()),
            "constant": int((images["constant"] != "").sum()),
            "sizes": readable["size"].value_counts().to_dict(),
            "modes": readable["mode"].value_counts().to_dict(),
            "brightest": int(readable["brightest"].max()) if len(readable) else None,
        }
    return counts


def _image_line(column: str, counts: dict[str, object]) -> str:
    sizes, modes, brightest = counts["sizes"], counts["modes"], counts["brightest"]
    assert isinstance(sizes, dict) and isinstance(modes, dict)
    parts = [f"{counts['images']} images", _forms(sizes), _forms(modes)]
    if any(f"{FULL_DEPTH} bits" in mode for mode in modes) and isinstance(brightest, int):
        parts.append(f"values up to {brightest} ({depth_of(brightest)} bits)")
    return f"  {column}: " + "; ".join(part for part in parts if part)


def _forms(counts: dict[str, int]) -> str:
    if len(counts) < 2:
        return next(iter(counts), "")
    named = [f"{form} ({count})" for form, count in list(counts.items())[:MOST_FORMS]]
    rest = len(counts) - MOST_FORMS
    return ", ".join(named) + (f" and {rest} more" if rest > 0 else "")


def _finding_lines(done: Inspection) -> list[str]:
    if done.found.empty:
        return ["no findings"]
    width = max(map(len, done.counts))
    lines = [f"findings: {len(done.found)}"]
    for kind, count in done.counts.items():
        of_kind = done.found[done.found["kind"] == kind]
        lines.append(f"  {kind:<{width}}  {count:>6}  {KINDS[kind]}: {quoted(_named(of_kind))}")
    return lines


def _named(of_kind: pd.DataFrame) -> list[str]:
    """Each finding in a few words: one or two samples, or the columns shared by several rows."""
    if of_kind["kind"].iloc[0] in findings.MASKABLE:
        cells = Counter(zip(of_kind["column"], of_kind["other_column"], strict=True))
        spans = [(first if first == last else f"{first} to {last}") for first, last in cells]
        most = sorted(zip(spans, cells.values(), strict=True), key=lambda one: -one[1])
        return [f"{span} ({count})" for span, count in most]
    one, other = _samples(of_kind, ""), _samples(of_kind, "other_")
    return [f"{here} = {there}" if there else here for here, there in zip(one, other, strict=True)]


def _samples(of_kind: pd.DataFrame, which: str) -> list[str]:
    """The ids, with their tables if there are several; the column for findings without id."""
    several = len({*of_kind["table"], *of_kind["other_table"]} - {""}) > 1
    names = zip(of_kind[f"{which}table"], of_kind[f"{which}id"], of_kind["column"], strict=True)
    return [
        f"{table} {name}" if several and name else name or ("" if which else column)
        for table, name, column in names
    ]
