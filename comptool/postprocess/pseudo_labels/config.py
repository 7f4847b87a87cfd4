"""Options of ``comptool pseudolabel`` and their checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.errors import UsageError
from comptool.options import PSEUDO, Output, WithCompetition, argument, option

THRESHOLD = 0.96
RISK = 0.025
EVIDENCE = "Out-of-fold evidence"


@dataclass(frozen=True)
class Rule:
    """Rule that selects pseudo-labels."""

    threshold: float | None = option(
        help="Confidence threshold: rows strictly above it are kept; multi-label: classes strictly "
        "above it are present.",
        min=0,
        max=1,
        shown=f"{THRESHOLD}; none with --quantile",
    )
    quantile: float | None = option(
        help="Quantile of the confidence, per class, from which rows are kept.", min=0, max=1
    )
    per_class_cap: int | None = option(
        help="Largest number of rows per class; the most confident are kept.", min=1
    )
    balance: bool = option(False, help="Cut every class to the size of the smallest class kept.")
    lower: float | None = option(
        help="Multi-label: classes strictly below are absent, those in between not annotated.",
        min=0,
        max=1,
        shown="1 - threshold, at most the threshold",
    )
    # One threshold per class, and its lower one, instead of those for all; 1 keeps none.
    class_thresholds: tuple[float, ...] | None = None
    class_lowers: tuple[float, ...] | None = None

    @property
    def bound(self) -> float | None:
        """The threshold for all classes, if there is one."""
        if self.class_thresholds is not None:
            return None
        if self.threshold is None and self.quantile is None:
            return THRESHOLD
        return self.threshold


@dataclass(frozen=True)
class PrecisionTarget:
    """Target precision, and its out-of-fold rows."""

    precision: float | None = option(
        help="Precision of the labels to reach: takes the lowest threshold that has it by tests on "
        "out-of-fold rows, from the highest threshold down.",
        min=0,
        max=1,
        panel=EVIDENCE,
    )
    risk: float | None = option(
        help="--precision: greatest probability that the threshold breaks the promise; with "
        "--per-class, of each class; multi-label, of each side.",
        above=0,
        max=0.5,
        shown=f"{RISK}",
        panel=EVIDENCE,
    )
    per_class: bool = option(
        False,
        help="--precision: choose a threshold for each class (multi-label: two).",
        panel=EVIDENCE,
    )
    oof: str | None = option(
        help="Run or file with out-of-fold predictions.",
        shown="the run of the predictions",
        panel=EVIDENCE,
    )

    @property
    def risk_of_search(self) -> float:
        """Greatest probability that the precision above the threshold is lower than promised."""
        return RISK if self.risk is None else self.risk

    def check(self, rule: Rule) -> None:
        """Refuse options that contradict the rule."""
        if self.risk is not None and self.precision is None:
            raise UsageError("--risk needs --precision")
        if self.per_class and self.precision is None:
            raise UsageError("--per-class needs --precision")
        if self.precision is None:
            return
        if rule.threshold is not None or rule.quantile is not None or rule.lower is not None:
            raise UsageError(
                "--precision chooses the threshold and excludes --threshold, --quantile and --lower"
            )


@dataclass(frozen=True)
class PseudolabelConfig(Output, WithCompetition, PrecisionTarget, Rule):
    """The options of ``comptool pseudolabel``."""

    predictions: Path | None = argument(
        None, help="Predictions.", shown="ensemble.csv, preds_tta.csv or preds.csv"
    )
    output: Path = option(PSEUDO, help="Pseudo-labels to write.", names=("--output", "-o"))
    test: Path | None = option(help="Table that was predicted.", shown="the competition's test set")
    soft: bool = option(False, help="Also write the class probabilities, as soft:<class>.")
    previous: Path | None = option(
        help="Pseudo-labels of the previous round; a row in both takes this round's label."
    )
    allow_empty: bool = option(
        False, help="Write a table without rows instead of ending with exit code 3."
    )
    agree: tuple[Path, ...] = option(
        (),
        help="Further predictions, of folds or members; rows are kept where all give the same "
        "class (multi-label: cells, the same side of 0.5); repeatable.",
        metavar="FILE",
        panel=EVIDENCE,
    )
