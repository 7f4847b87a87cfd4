"""Options of ``comptool evaluate``, ``score`` and ``review``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comptool.options import (
    REVIEW,
    Output,
    WithCompetition,
    WithSeed,
    argument,
    option,
    required_option,
)


@dataclass(frozen=True)
class EvaluateConfig(WithSeed, Output, WithCompetition):
    """The options of ``comptool evaluate``."""

    source: str | None = argument(
        None,
        help="Run, its oof.csv or, with --answers, predictions.",
        metavar="RUN|PREDS",
        shown="the latest run",
    )
    answers: Path | None = option(
        help="Table of ids and true labels.", shown="the labels of the held-out rows"
    )
    like_test: Path | None = option(
        help="shift.csv of comptool inspect --shift: weight the held-out rows to look like the "
        "test set.",
        metavar="SHIFT",
    )
    pictures: Path | None = option(
        help="Folder for confusion.png and reliability.png, or numbers.png.", shown="none"
    )
    bootstrap: int = option(
        1000, help="Bootstrap resamples for the 95 % confidence intervals; 0: none.", min=0
    )


@dataclass(frozen=True)
class ScoreConfig(Output):
    """The options of ``comptool score``."""

    submission: Path = argument(
        help="Submission: for each id a class, a list of classes, or one probability per class; "
        "multi-label also out-of-fold predictions."
    )
    answers: Path = required_option(help="Table of ids and true labels; no other command reads it.")
    public: float | None = option(
        help="Share of the rows in the public part, by id.",
        min=0,
        max=1,
        shown="the answers' column usage, otherwise 0.3",
    )
    metric: str | None = option(
        help="Metric: a name of comptool metrics or FILE.py:function.",
        shown="the competition's, otherwise accuracy or map",
    )
    per_class: Path | None = option(
        help="Multi-label: CSV of the metrics per class to write, worst first."
    )
    thresholds: str | None = option(
        help="Multi-label: thresholds of macro, micro and sample F1: 0.3,0.5,0.7.",
        metavar="NUMBERS",
    )
    record: bool = option(
        False, help="Add the scores to submissions/scores.csv, see comptool runs."
    )


@dataclass(frozen=True)
class ReviewConfig(Output, WithCompetition):
    """The options of ``comptool review``."""

    predictions: str | None = argument(
        None,
        help="Run, or a file of out-of-fold predictions.",
        metavar="RUN|OOF",
        shown="the latest run",
    )
    output: Path = option(
        REVIEW, help="Table of doubtful labels to write.", names=("--output", "-o")
    )
    page: Path | None = option(help="HTML page to write.", shown="as the output, .html")
    pairs: Path | None = option(
        help="One class per image: CSV of the label noise rates of class pairs to write."
    )
    labels: Path | None = option(help="Label table.", shown="the training table of the run")
    kind: Literal["both", "missing", "extra"] = option(
        "both",
        help="Several labels: missing (marked absent, probably present), extra (the reverse), "
        "or both.",
        metavar="KIND",
    )
    limit: int = option(500, help="Number of labels on the page; the table has all.", min=1)
    truth: Path | None = option(
        help="True labels to measure against, such as complete_labels of a practice competition."
    )
