"""Options of ``comptool recalibrate``, and what makes them contradict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comptool.errors import UsageError
from comptool.options import (
    RECALIBRATED,
    Output,
    WithCompetition,
    WithSeed,
    argument,
    filled,
    kebab,
    option,
)
from comptool.postprocess.calibration.methods import CELL_METHODS, METHODS

THRESHOLDS = "thresholds"
QUOTAS = ("quota", "quota-optimal")
TOP_K_HEAD = 4
FRACTION = 0.1
# Panels of --help.
CAN, F_SCORE, EVIDENCE = "Alternating normalisation (can)", "Thresholds", "Out-of-fold evidence"
# Which methods use a setting; those that are not here are used by all.
USED_BY = {
    "top_k_head": QUOTAS,
    "head_classes": QUOTAS,
    "fraction": QUOTAS,
    "alpha": ("can",),
    "entropy_threshold": ("can",),
    "top_k": ("can",),
    "iterations": ("can",),
    "prior": ("can",),
    "average": (THRESHOLDS,),
    "beta": (THRESHOLDS,),
}
# Nothing is presumed of a multi-label test set, and CAN has its own option.
WITHOUT_TARGET = ("can", THRESHOLDS)


@dataclass(frozen=True)
class CalibrationConfig:
    """How predictions are recalibrated; None stands for the method's own default."""

    method: str = option(
        "quota",
        help="Recalibration method, see above; compare them with --compare.",
        choices=tuple(
            dict.fromkeys(
                entry.name
                for registry in (METHODS, CELL_METHODS)
                for entry in registry
                if entry.name != "none"
            )
        ),
        metavar="METHOD",
    )
    top_k_head: int | None = option(
        help="Number of head classes, the most frequent in training.",
        min=0,
        shown=str(TOP_K_HEAD),
    )
    head_classes: str | None = option(
        help="Head classes by name, in the order in which they take rows: a,b,c.", metavar="CLASSES"
    )
    fraction: float | None = option(
        help="Share of the rows that each head class takes (its quota).",
        min=0,
        max=1,
        shown=f"{FRACTION:g}",
    )
    oof: str | None = option(
        help="Run or file with out-of-fold predictions.",
        shown="the run of the predictions",
        panel=EVIDENCE,
    )
    target_prior: str | None = option(
        help="Class shares of the test set: uniform, train, or a table of class and share.",
        shown="unknown; --compare tries uniform and train",
        panel=EVIDENCE,
    )
    alpha: float | None = option(
        help="Exponent of the probabilities; larger sharpens.", above=0, shown="1", panel=CAN
    )
    entropy_threshold: float | None = option(
        help="Entropy, as a share of the largest, above which a row is uncertain.",
        min=0,
        max=1,
        shown="0.9",
        panel=CAN,
    )
    top_k: int | None = option(
        help="Number of probabilities that the entropy is computed from.",
        min=2,
        shown="3",
        panel=CAN,
    )
    iterations: int | None = option(
        help="Number of iterations; each after the first is slow.", min=1, shown="1", panel=CAN
    )
    prior: Literal["uniform", "train"] | None = option(
        help="Presumed class shares.", shown="uniform", panel=CAN
    )
    average: Literal["macro", "micro"] | None = option(
        help="F-score that the thresholds maximise.", shown="by the metric", panel=F_SCORE
    )
    beta: float | None = option(
        help="Beta of the F-score.", shown="1; 2 for the metric f-beta", panel=F_SCORE
    )

    def check(self) -> None:
        """Refuse settings that the method would not use.

        Raises
        ------
        UsageError
            If there is one.
        """
        for name, owners in USED_BY.items():
            if getattr(self, name) is not None and self.method not in owners:
                named = " and ".join(owners)
                raise UsageError(f"{kebab(name)} belongs to --method {named}, not to {self.method}")
        if self.target_prior is not None and self.method in WITHOUT_TARGET:
            raise UsageError(f"--target-prior has no meaning for --method {self.method}")
        self._check_heads()

    def check_compare(self) -> None:
        """Refuse settings that a comparison of methods would not use.

        Raises
        ------
        UsageError
            If there is one.
        """
        for name, owners in USED_BY.items():
            if owners != QUOTAS and getattr(self, name) is not None:
                raise UsageError(
                    f"{kebab(name)} has no meaning for --compare, which takes its default"
                )
        self._check_heads()

    def _check_heads(self) -> None:
        if self.head_classes is not None and self.top_k_head is not None:
            raise UsageError("--head-classes and --top-k-head both say which classes are head")

    def check_cells(self) -> None:
        """Refuse shares of classes where a row may have several.

        Raises
        ------
        UsageError
            If some are given.
        """
        for name in ("top_k_head", "head_classes", "fraction", "target_prior"):
            if getattr(self, name) is not None:
                raise UsageError(
                    f"{kebab(name)} is for one class per image, and here a row has several"
                )


@dataclass(frozen=True)
class RecalibrateConfig(Output, WithCompetition, WithSeed, CalibrationConfig):
    """The options of ``comptool recalibrate``."""

    predictions: Path | None = argument(
        None, help="Predictions.", shown="ensemble.csv, preds_tta.csv or preds.csv"
    )
    output: Path = option(
        RECALIBRATED, help="Recalibrated predictions to write.", names=("--output", "-o")
    )
    compare: bool = option(
        False,
        help="Score all methods, or only --method, on simulated test sets; write nothing.",
        panel=EVIDENCE,
    )
    typed: tuple[str, ...] = filled("typed")
