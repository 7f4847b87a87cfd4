"""An inspection as text for a person and as a document for a program, and what to do next."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from comptool import findings
from comptool.data.images import FULL_DEPTH, depth_of
from comptool.detection.overview import described
from comptool.errors import quoted
from comptool.findings import KINDS, TRAIN
from comptool.inspection.advice import advice
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
    lines = [f"findings: {len(done.found)}"]
    for kind, count in done.counts.items():
        of_kind = done.found[done.found["kind"] == kind]
        lines.append(f"  {kind:<{width}}  {count:>6}  {KINDS[kind]}: {quoted(_named(of_kind))}")
    return lines


def _named(of_kind: pd.DataFrame) -> list[str]:
    """Each finding in a few words: a sample, two, or the columns of rows that have the same."""
    if of_kind["kind"].iloc[0] in findings.MASKABLE:
        cells = Counter(zip(of_kind["column"], of_kind["other_column"], strict=True))
        spans = [(first if first == last else f"{first} to {last}") for first, last in cells]
        most = sorted(zip(spans, cells.values(), strict=True), key=lambda one: -one[1])
        return [f"{span} ({count})" for span, count in most]
    one, other = _samples(of_kind, ""), _samples(of_kind, "other_")
    return [f"{here} = {there}" if there else here for here, there in zip(one, other, strict=True)]


def _samples(of_kind: pd.DataFrame, which: str) -> list[str]:
    """The ids, with their tables where there are several; where there is no id, the column."""
    several = len({*of_kind["table"], *of_kind["other_table"]} - {""}) > 1
    names = zip(of_kind[f"{which}table"], of_kind[f"{which}id"], of_kind["column"], strict=True)
    return [
        f"{table} {name}" if several and name else name or ("" if which else column)
        for table, name, column in names
    ]
