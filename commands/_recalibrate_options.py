"""The options of ``comptool recalibrate``, by what they belong to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ._help import option

QUOTA, CAN, THRESHOLDS = "Quotas", "Alternating normalisation", "Thresholds"
EVIDENCE = "Evidence"


class Method(StrEnum):
    """How the answers are recalibrated."""

    quota = "quota"
    quota_optimal = "quota-optimal"
    prior = "prior"
    logit_adjust = "logit-adjust"
    sinkhorn = "sinkhorn"
    can = "can"
    temperature = "temperature"
    vector = "vector"
    isotonic = "isotonic"
    thresholds = "thresholds"


class Prior(StrEnum):
    """Which class shares the test set is presumed to have."""

    uniform = "uniform"
    train = "train"


class Average(StrEnum):
    """Which F-score thresholds are best for."""

    macro = "macro"
    micro = "micro"


PredictionsArgument = Annotated[
    Path | None,
    typer.Argument(help="Predictions. [default: ensemble.csv, preds_tta.csv or preds.csv]"),
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="Where the decided predictions go.")
]
MethodOption = Annotated[
    Method | None,
    typer.Option(help="See above; --compare tells which helps. [default: quota]"),
]
CompareOption = Annotated[
    bool,
    option(
        EVIDENCE,
        "Score all methods, or --method, on simulated test sets; write nothing.",
        "--compare",
    ),
]
OofOption = Annotated[
    str | None,
    option(EVIDENCE, "Run or file with out-of-fold rows. [default: the run of the predictions]"),
]
TargetPriorOption = Annotated[
    str | None,
    option(
        EVIDENCE,
        "Test classes' shares: uniform, train or a table of class and share. [default: unknown; "
        "--compare tries both]",
    ),
]
TopKHeadOption = Annotated[
    int | None, option(QUOTA, "How many frequent classes are head. [default: 4]", min=0)
]
HeadClassesOption = Annotated[
    str | None, option(QUOTA, "Head classes by name, in the order they take rows: a,b,c.")
]
FractionOption = Annotated[
    float | None, option(QUOTA, "Share of rows of each. [default: 0.1]", min=0, max=1)
]
AlphaOption = Annotated[float | None, option(CAN, "Power, above 0; larger sharpens. [default: 1]")]
EntropyOption = Annotated[
    float | None, option(CAN, "Entropy of an uncertain row. [default: 0.9]", min=0, max=1)
]
TopKOption = Annotated[
    int | None, option(CAN, "Probabilities that the entropy looks at. [default: 3]", min=2)
]
IterationsOption = Annotated[
    int | None, option(CAN, "Rounds; each after the first is slow. [default: 1]", min=1)
]
PriorOption = Annotated[Prior | None, option(CAN, "Presumed class shares. [default: uniform]")]
AverageOption = Annotated[
    Average | None, option(THRESHOLDS, "F-score that is to be best. [default: by the metric]")
]
BetaOption = Annotated[
    float | None, option(THRESHOLDS, "Of the F-score. [default: 1, 2 for f-beta]")
]
