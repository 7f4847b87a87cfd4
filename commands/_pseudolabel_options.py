"""The options of ``comptool pseudolabel``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EVIDENCE = "Evidence"

PredictionsArgument = Annotated[
    Path | None,
    typer.Argument(help="Predictions. [default: ensemble.csv, preds_tta.csv or preds.csv]"),
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Where the labelled rows go.")]
TestOption = Annotated[
    Path | None, typer.Option(help="The predicted table. [default: the competition's]")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Keep rows strictly above it; multi-label: a class is present above it. "
        "[default: 0.96, or none with --quantile]",
    ),
]
LowerOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Multi-label: a class is absent strictly below it, not known between the two. "
        "[default: 1 - threshold, or the threshold if that is smaller]",
    ),
]
QuantileOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Keep each class's rows from this quantile on."),
]
CapOption = Annotated[
    int | None, typer.Option(min=1, help="At most so many rows per class, the surest.")
]
BalanceOption = Annotated[
    bool, typer.Option("--balance", help="Cut every class to the smallest kept count.")
]
SoftOption = Annotated[
    bool, typer.Option("--soft", help="Write class probabilities too, as soft:<class>.")
]
PreviousOption = Annotated[
    Path | None,
    typer.Option(help="The table of the round before; of a row in both, this round's stays."),
]
AllowEmptyOption = Annotated[
    bool, typer.Option("--allow-empty", help="Write a table without rows, not exit code 3.")
]
PrecisionOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        rich_help_panel=EVIDENCE,
        help="Choose the lowest threshold that promises this share of right labels by the "
        "out-of-fold rows, with 97.5 % confidence.",
    ),
]
PerClassOption = Annotated[
    bool,
    typer.Option(
        "--per-class",
        rich_help_panel=EVIDENCE,
        help="precision: a threshold for each class, multi-label two.",
    ),
]
OofOption = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=EVIDENCE,
        help="Run or file with out-of-fold rows. [default: the run of the predictions]",
    ),
]
AgreeOption = Annotated[
    list[Path] | None,
    typer.Option(
        rich_help_panel=EVIDENCE,
        help="More predictions, of folds or members; all have to give the same class, or "
        "multi-label, of each cell the same side of one half.",
    ),
]
