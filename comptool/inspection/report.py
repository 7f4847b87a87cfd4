"""An inspection as text for a person and as a document for a program, and what to do next."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from comptool import findings
from comptool.data.images import FULL_DEPTH, depth_of
from comptool.detection.overview import described
from comptool.errors import quoted
from comptool.findings import KINDS, TEST, TRAIN
from comptool.inspection.inspecting import Inspection
from comptool.inspection.looking import MISSING
from comptool.label_matrix import positive_counts
from comptool.samples import Samples, class_counts

MOST_CLASSES, MOST_FORMS = 20, 4


def summary(output: Path, done: Inspection, folds: Path) -> dict[str, object]:
    """The inspection for a program to read."""
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
    """The inspection for a person to read."""
    lines = []
    for name, samples in done.sources.tables.items():
        role = "training" if name == TRAIN else name
        lines.append(described(role, samples, done.sources.competition))
        lines += _class_lines(samples)
        lines += [_image_line(column, one) for column, one in _images(done, name).items()]
    if done.sources.folds is not None:
        lines.append(f"folds: {done.sources.folds.source}")
    lines += done.sources.problems
    lines += ["", *_finding_lines(done)]
    told = advice(output, done, folds)
    return "\n".join([*lines, "", "next", *(f"  {one}" for one in told)] if told else lines)


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
    """How many images of each modality there are, and of which sizes and modes, by column."""
    if done.images is None:
        return {}
    frame = done.images.frame[done.images.frame["table"] == table]
    told = {}
    for column, images in frame.groupby("column"):
        readable = images[images["problem"] == ""]
        told[str(column)] = {
            "images": len(images),
            "missing": int((images["problem"] == MISSING).sum()),
            "unreadable": int((~images["problem"].isin(["", MISSING])).sum()),
            "constant": int((images["constant"] != "").sum()),
            "sizes": readable["size"].value_counts().to_dict(),
            "modes": readable["mode"].value_counts().to_dict(),
            "brightest": int(readable["brightest"].max()) if len(readable) else None,
        }
    return told


def _image_line(column: str, told: dict[str, object]) -> str:
    sizes, modes, brightest = told["sizes"], told["modes"], told["brightest"]
    assert isinstance(sizes, dict) and isinstance(modes, dict)
    parts = [f"{told['images']} images", _forms(sizes), _forms(modes)]
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
        return ["nothing found that is wrong"]
    width = max(map(len, done.counts))
    lines = [f"{len(done.found)} findings"]
    for kind, count in done.counts.items():
        of_kind = done.found[done.found["kind"] == kind]
        lines.append(f"  {kind:<{width}}  {count:>6}  {KINDS[kind]}: {quoted(_named(of_kind))}")
    return lines


def _named(of_kind: pd.DataFrame) -> list[str]:
    """Each finding in a few words; tables are named where there are several."""
    if of_kind["kind"].iloc[0] in findings.MASKABLE:
        cells = of_kind.value_counts(["column", "other_column"], sort=True)
        return [
            f"{first} to {last} ({count})" if first != last else f"{first} ({count})"
            for (first, last), count in cells.items()
        ]
    several = set(of_kind["table"]) | set(of_kind["other_table"]) - {""}
    return [
        _sample(one.id or one.column, one.table, several)
        + (f" = {_sample(one.other_id, one.other_table, several)}" if one.other_id else "")
        for one in of_kind.itertuples()
    ]


def _sample(name: str, table: str, several: set[str]) -> str:
    return f"{table} {name}" if len(several) > 1 else name


def advice(output: Path, done: Inspection, folds: Path) -> list[str]:
    """What to do about the findings: a command, and what each part of it does."""
    found = done.found
    training = findings.of_training(found, KINDS)
    count = training["kind"].value_counts().to_dict()
    linked = len(findings.links(found))
    parts, told = [], []
    if linked:
        told.append(f"{linked} pairs of copies stay in one fold")
    for kind, why in _excluded(done, count):
        parts.append(f"--exclude {kind}")
        told.append(f"--exclude {kind}: {count[kind]} findings, {why}")
    for kind in (k for k in findings.MASKABLE if k in count):
        parts.append(f"--mask {kind}")
        told.append(f"--mask {kind}: the doubtful cells of {count[kind]} rows are not annotated")
    lines = []
    if parts or linked:
        force = ["--force"] if folds.exists() else []
        command = ["comptool split --findings", str(output), *parts, *force]
        lines = [" ".join(command), *(f"  {one}" for one in told)]
    return [*lines, *_other_advice(found, count)]


def _excluded(done: Inspection, count: dict[str, int]) -> list[tuple[str, str]]:
    reasons = {
        findings.MISSING: "which training would refuse",
        findings.UNREADABLE: "which training would refuse",
        findings.LABEL_CONFLICT: "for one of two copies has a wrong label",
    }
    if findings.LABEL_RUN not in count:
        reasons[findings.LABEL_COUNT] = "which have more labels than can be believed"
    if len(done.sources.tables[TRAIN].paths if TRAIN in done.sources.tables else ()) == 1:
        reasons[findings.CONSTANT] = "which show nothing"
    return [(kind, why) for kind, why in reasons.items() if kind in count]


def _other_advice(found: pd.DataFrame, count: dict[str, int]) -> list[str]:
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
        lines.append(f"download {files} test images again")
    copies = findings.copies(found)
    known = (copies["table"] == TEST) & (copies["other_table"] == TRAIN)
    names = copies["id"][known].unique().tolist()
    if names:
        lines.append(f"test samples with an image of a training sample: {quoted(names)}")
    if findings.TORN_GROUP in count:
        lines.append(
            f"comptool split --force keeps the {count[findings.TORN_GROUP]} torn groups whole"
        )
    return lines
