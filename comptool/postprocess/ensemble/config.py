"""Options of ``comptool ensemble`` and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comptool.errors import UsageError
from comptool.options import ENSEMBLE, Output, WithCompetition, WithSeed, argument, option

WEIGHTS_SUFFIX = ".json"
SEARCH = "Weights searched on out-of-fold rows"
EnsembleMethod = Literal["mean", "gmean", "power", "rank-mean", "vote", "temperature-mean"]


@dataclass(frozen=True)
class EnsembleConfig(WithSeed, Output, WithCompetition):
    """The options of ``comptool ensemble``."""

    predictions: tuple[Path, ...] = argument(
        (), help="Prediction files, or runs.", shown="submissions/preds*.csv"
    )
    output: Path = option(ENSEMBLE, help="Ensemble to write.", names=("--output", "-o"))
    method: EnsembleMethod | None = option(
        help="mean, gmean (geometric), power, rank-mean (per-class ranks, not probabilities), "
        "vote (multi-label: share of members above 0.5), or temperature-mean (members scaled by "
        "out-of-fold rows; writes the temperatures as .json).",
        metavar="METHOD",
        shown="mean",
    )
    power: float | None = option(
        help="--method power: exponent; 1 is the mean, larger favours confident members.", shown="3"
    )
    weights: str | None = option(
        help="Weights of the files, in order (2,1,1), or the .json of a search.", shown="all equal"
    )
    search: Literal["greedy", "continuous", "stack", "auto"] | None = option(
        help="Search weights on out-of-fold rows; writes them as .json. greedy, continuous: of "
        "the mean; stack: a regularised logistic model; auto: compare temperature-mean, greedy "
        "and stack.",
        panel=SEARCH,
    )
    take: Literal["recommended", "searched"] | None = option(
        help="What is written: recommended, the stack where one is fitted, else equal weights, or "
        "what the interval of the gain shows to be better; searched, the search (auto: the stack).",
        metavar="WHICH",
        shown="recommended",
        panel=SEARCH,
    )
    oof: tuple[str, ...] = option(
        (),
        help="Run of each file, in order; repeatable.",
        metavar="RUN",
        shown="the recorded ones",
        panel=SEARCH,
    )
    per_class: bool = option(False, help="Multi-label: weights for each class.", panel=SEARCH)
    steps: int | None = option(
        help="--search greedy: largest number of members added.", min=1, shown="50", panel=SEARCH
    )
    bags: int | None = option(
        help="--search greedy: number of bags, each of half of the members.",
        min=0,
        shown="0, no bagging",
        panel=SEARCH,
    )

    @property
    def fit(self) -> str | None:
        """What is fitted to out-of-fold rows: the search or temperature-mean."""
        return "temperature-mean" if self.method == "temperature-mean" else self.search

    @property
    def weights_file(self) -> Path | None:
        """The file of weights, if one was given."""
        given = self.weights is not None and self.weights.endswith(WEIGHTS_SUFFIX)
        return Path(str(self.weights)) if given else None

    def numbers(self) -> list[float] | None:
        """The weights given as numbers."""
        if self.weights is None or self.weights_file is not None:
            return None
        try:
            return [float(part) for part in self.weights.split(",")]
        except ValueError:
            raise UsageError(
                "--weights must be numbers separated by commas, or an ensemble.json, not "
                f"'{self.weights}'"
            ) from None

    def outputs(self) -> list[Path]:
        """The files that will be written."""
        from comptool.postprocess.oof import rows_path

        searched = [self.output.with_suffix(WEIGHTS_SUFFIX), rows_path(self.output)]
        return [self.output, *(searched if self.fit else [])]

    def check(self) -> None:
        """Refuse contradictory options."""
        searched = {
            "--per-class": self.per_class,
            "--steps": self.steps is not None,
            "--bags": self.bags is not None,
            "--take": self.take is not None,
        }
        foreign = [name for name, given in searched.items() if given]
        if self.fit is None and self.oof:
            raise UsageError("--oof belongs to --search")
        if self.search is None and foreign:
            raise UsageError(f"{foreign[0]} belongs to --search")
        if self.search not in (None, "greedy") and (
            self.steps is not None or self.bags is not None
        ):
            raise UsageError(f"--steps and --bags belong to --search greedy, not to {self.search}")
        if self.search in ("stack", "auto") and self.per_class:
            raise UsageError(
                f"--per-class belongs to --search greedy and continuous, not to {self.search}"
            )
        if self.search is not None and self.weights is not None:
            raise UsageError("--search and --weights exclude each other")
        if self.method == "temperature-mean" and (self.search or self.weights):
            other = "--search" if self.search else "--weights"
            raise UsageError(f"--method temperature-mean and {other} exclude each other")
        if self.power is not None and self.method != "power":
            raise UsageError("--power belongs to --method power")
        if self.method not in (None, "mean") and (self.search or self.weights_file):
            raise UsageError(f"searched weights are for --method mean, not {self.method}")

    def plan(self, paths: Sequence[Path]) -> list[str]:
        """One line per file: its weight or the search."""
        if self.fit is not None or self.weights_file is not None:
            how = f"weights of {self.weights_file}"
            if self.fit is not None:
                how = f"{self.search} search" if self.search else "scaled by its temperature"
            return [f"member {path}, {how}" for path in paths]
        from comptool.postprocess.ensemble.combine import normalised_weights

        shares = normalised_weights(self.numbers(), len(paths))
        return [
            f"member {path}, weight {share:.3f}" for path, share in zip(paths, shares, strict=True)
        ]
