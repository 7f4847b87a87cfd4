"""Options of ``comptool split`` and their checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comptool.errors import UsageError, unknown_name
from comptool.options import (
    FOLDS,
    Output,
    WithCompetition,
    WithSeed,
    argument,
    check,
    option,
)

STRATEGIES = ("iterative", "random")
DEFAULT_VAL = 0.2
# One seed takes 10 ms for a table of 100,000 x 60.
LABEL_SEEDS = 100

# Panels of --help.
BALANCE, LABELS, LOOKED_AT = "Class balance", "Several labels per row", "Findings and corrections"


@dataclass(frozen=True)
class SplitOptions(WithSeed):
    """Options of a split of a training table."""

    val: float | None = option(
        help="Share of each class to hold out.", above=0, below=1, shown="0.2"
    )
    num_folds: int | None = option(
        help="Number of folds, instead of a hold-out.", names=("--folds",), min=2
    )
    from_column: str | None = option(
        help="Column with a given split: train, val and test (left out), or fold numbers."
    )
    like_test: Path | None = option(
        help="shift.csv of comptool inspect --shift: hold out rows that look like the test set, "
        "each class with its share.",
        metavar="SHIFT",
    )
    balance: Literal["none", "under"] = option(
        "none", help="under: undersample every class to the smallest.", panel=BALANCE
    )
    cap: int | None = option(
        help="--balance under: largest number of rows per class.", min=2, panel=BALANCE
    )
    num_seeds: int | None = option(
        help="Number of random seeds to try; the best split is kept.",
        names=("--seeds",),
        min=1,
        shown="1; several labels: 100",
        panel=LABELS,
    )
    strategy: str | None = option(
        help="Stratification: iterative or random.",
        choices=STRATEGIES,
        kind="split strategy",
        shown="iterative",
        panel=LABELS,
    )
    refine: bool = option(
        True,
        help="Improve the best split by exchanging rows.",
        names=("--refine/--no-refine",),
        panel=LABELS,
    )
    zero_is_unknown: bool = option(
        False,
        help="Treat 0 as not annotated in training; adds the column zero_is_unknown.",
        names=("--map-zero-to-unknown",),
        panel=LABELS,
    )
    corrections: Path | None = option(
        help="Label corrections to apply, as exported from the page of comptool review.",
        panel=LOOKED_AT,
    )
    findings: Path | None = option(
        help="Findings of comptool inspect: copies stay in one fold; adds the column "
        "duplicate_group.",
        panel=LOOKED_AT,
    )
    exclude: tuple[str, ...] = option(
        (),
        help="Kind of finding whose rows are left out; repeatable.",
        metavar="KIND",
        panel=LOOKED_AT,
    )
    mask: tuple[str, ...] = option(
        (),
        help="Kind of finding (label-run, label-set) whose cells become -1; repeatable.",
        metavar="KIND",
        panel=LOOKED_AT,
    )

    @property
    def share(self) -> float:
        """Share to hold out."""
        return DEFAULT_VAL if self.val is None else self.val

    @property
    def what(self) -> str:
        """The kind of split in words."""
        if self.from_column is not None:
            return f"split given by column {self.from_column}"
        return f"{self.num_folds} folds" if self.num_folds else f"hold-out of {self.share:g}"

    def check(self) -> None:
        """Check the ranges and combinations of options; raise `UsageError`."""
        check(self)
        if self.val is not None and self.num_folds is not None:
            raise UsageError("--val and --folds contradict one another; give one of them")
        if self.cap is not None and self.balance != "under":
            raise UsageError("--cap limits under-sampling; give --balance under with it")
        if self.like_test is not None and self.num_folds is not None:
            raise UsageError(
                "--like-test chooses a hold-out; with --folds every row is validated. Give --val, "
                "or weight the rows of all folds: comptool evaluate --like-test"
            )
        self._check_findings()
        others = {
            "--like-test": self.like_test is not None,
            "--val": self.val is not None,
            "--folds": self.num_folds is not None,
            "--balance": self.balance != "none",
            "--seeds": self.num_seeds is not None,
            "--strategy": self.strategy is not None,
            "--no-refine": not self.refine,
        }
        for name, given in others.items():
            if given and self.from_column is not None:
                raise UsageError(f"--from-column uses a split as it is; {name} does not apply")

    def _check_findings(self) -> None:
        from comptool.competition.findings import EXCLUDABLE, MASKABLE

        for name, kinds, known in (
            ("--exclude", self.exclude, EXCLUDABLE),
            ("--mask", self.mask, MASKABLE),
        ):
            if kinds and self.findings is None:
                raise UsageError(f"{name} needs findings; give --findings findings.csv with it")
            for kind in kinds:
                if kind not in known:
                    raise unknown_name(f"finding for {name}", kind, known)

    def check_for_one_label(self, *, grouped: bool) -> None:
        """Refuse options for several labels per row; raise `UsageError`."""
        others = {
            "--strategy": self.strategy is not None,
            "--no-refine": not self.refine,
            "--map-zero-to-unknown": self.zero_is_unknown,
            "--mask": bool(self.mask),
        }
        for name, given in others.items():
            if given:
                raise UsageError(
                    f"{name} is for several labels per row; this competition has one "
                    '(if that is wrong, set task = "multilabel" or COMPTOOL_TASK=multilabel)'
                )
        if self.num_seeds is not None and self.num_seeds > 1 and not grouped:
            raise UsageError(
                "--seeds has no effect here: with one label per row and no group column every "
                "seed gives each class the same share"
            )

    def check_for_numbers(self) -> None:
        """Refuse options for classes; raise `UsageError`."""
        if self.balance != "none":
            raise UsageError("--balance under is for classes; this competition has numbers")
        if self.corrections is not None:
            raise UsageError(
                "--corrections are of classes, and this competition has numbers: correct them in "
                "the table"
            )

    def check_for_several_labels(self) -> None:
        """Refuse options for one label per row; raise `UsageError`."""
        if self.like_test is not None:
            raise UsageError(
                "--like-test is for one label per row; here a row has several. Weight the "
                "validated rows instead: comptool evaluate --like-test"
            )
        if self.balance != "none":
            raise UsageError(
                "--balance under is for one label per row; here a row has several. "
                "A loss can weight them instead: comptool train --loss distribution-balanced"
            )


@dataclass(frozen=True)
class SplitConfig(Output, WithCompetition, SplitOptions):
    """The options of ``comptool split``."""

    table: Path | None = argument(
        None, help="Labelled table.", shown="the competition's training data"
    )
    output: Path = option(FOLDS, help="Table with folds to write.", names=("--output", "-o"))
