"""What is told and written of a multi-label grade beside its two figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from comptool import provenance
from comptool.errors import UsageError
from comptool.evaluation.class_table import table_text
from comptool.evaluation.grades import Grade
from comptool.evaluation.label_scoring import LabelGrade
from comptool.outputs import together
from comptool.tables import write_table


@dataclass(frozen=True)
class Report:
    """Texts for the person who asked, and what JSON has of them."""

    texts: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def report(
    graded: Grade,
    submission: Path,
    answers: Path,
    per_class: Path | None = None,
    thresholds: str | None = None,
    *,
    force: bool = False,
) -> Report:
    """Every metric, the table of classes and F1 at thresholds, of a multi-label grade.

    Parameters
    ----------
    graded
        The grade; of one class a row there is nothing more to tell.
    submission, answers
        What was graded, for the record.
    per_class
        Where the table of classes goes, or None.
    thresholds
        Numbers from 0 to 1 separated by commas, or None.
    force
        Whether an existing table is replaced.

    Raises
    ------
    UsageError
        If a table is asked for and the grade is of one class a row, or a threshold is no number
        from 0 to 1.
    InputError
        If the table cannot be written.
    """
    if not isinstance(graded, LabelGrade):
        if per_class is not None or thresholds is not None:
            raise UsageError("--per-class and --thresholds are for multi-label answers")
        return Report()
    told = Report(graded.notes())
    if thresholds is not None:
        table = graded.f_table(_numbers(thresholds))
        told.texts.append("F1\n" + _plain(table))
        told.facts["f1"] = table.to_dict("records")
    if per_class is not None:
        _write(graded.class_table(), per_class, submission, answers, force=force)
        told.texts.append(table_text(graded.class_table()))
        told.facts["per_class"] = str(per_class)
    return told


def _numbers(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [float("nan")]
    if not all(0 <= value <= 1 for value in values):
        raise UsageError(f"--thresholds must be numbers from 0 to 1 with commas, not '{text}'")
    return values


def _plain(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{value:.4f}")


def _write(
    table: pd.DataFrame, path: Path, submission: Path, answers: Path, *, force: bool
) -> None:
    arguments = {"submission": submission, "answers": answers, "per_class": path}
    inputs = provenance.hashes([submission, answers])
    with together():
        write_table(path, table, force=force)
        provenance.record(path, command="score", arguments=arguments, inputs=inputs)
