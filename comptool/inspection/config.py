"""Options of ``comptool inspect``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.options import ADVANCED, FINDINGS, Output, WithCompetition, argument, option


@dataclass(frozen=True)
class InspectConfig(Output, WithCompetition):
    """The options of ``comptool inspect``."""

    table: Path | None = argument(
        None, help="Labelled table.", shown="the competition's tables, including the test set"
    )
    output: Path = option(FINDINGS, help="Findings to write.", names=("--output", "-o"))
    folds: Path | None = option(
        help="Table with folds, to find copies in different folds.", shown="folds.csv, if it fits"
    )
    similarity: float = option(
        0.98, help="Correlation from which two images are near-duplicates; 1: off.", min=0.9, max=1
    )
    workers: int | None = option(
        help="Threads that decode images.",
        names=("--workers", "-j"),
        min=1,
        shown="by the number of cores",
        panel=ADVANCED,
    )
