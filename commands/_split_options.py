"""The options of ``comptool split`` that no other command has."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ._help import option

LABELS, FINDINGS = "Several labels per row", "Findings"


class Balance(StrEnum):
    """What is done about classes of different size."""

    none = "none"
    under = "under"


Table = Annotated[
    Path | None,
    typer.Argument(help="A labelled table. [default: the competition's training data]"),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where the table with folds goes.")]
Val = Annotated[
    float | None,
    typer.Option(help="Share of each class to hold out, 0 to 1. [default: 0.2]"),
]
Folds = Annotated[int | None, typer.Option(help="K folds instead of a hold-out, at least 2.")]
FromColumn = Annotated[
    str | None,
    typer.Option(help="Column with a given split: train, val, test (left out), or folds."),
]
BalanceOption = Annotated[
    Balance, typer.Option(help="under: cut every class to the size of the smallest.")
]
Cap = Annotated[
    int | None, typer.Option(help="under: at most this many rows of a class, at least 2.")
]
Seeds = Annotated[
    int | None,
    typer.Option(help="Seeds to try; the best is kept. [default: 1; with several labels 100]"),
]
Strategy = Annotated[str | None, option(LABELS, "iterative or random. [default: iterative]")]
Refine = Annotated[bool, option(LABELS, "Exchange rows after the search.", "--refine/--no-refine")]
MapZeroToUnknown = Annotated[
    bool,
    option(
        LABELS,
        "Train on 0 as not annotated; adds the column zero_is_unknown.",
        "--map-zero-to-unknown",
    ),
]
Corrections = Annotated[
    Path | None, typer.Option(help="Label corrections, as the page of review exports them.")
]
Findings = Annotated[
    Path | None,
    option(FINDINGS, "Of inspect: copies stay in one fold; adds the column duplicate_group."),
]
Exclude = Annotated[
    list[str] | None,
    option(FINDINGS, "Leave the rows of findings of this kind out; may be repeated."),
]
Mask = Annotated[
    list[str] | None,
    option(
        FINDINGS,
        "label-run or label-set: the doubtful cells become not annotated; may be repeated.",
    ),
]
