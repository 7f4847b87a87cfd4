"""What a person may ask of a split, and which wishes contradict one another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.data.label_search import STRATEGIES
from comptool.errors import UsageError, unknown_name
from comptool.findings import EXCLUDABLE, MASKABLE

BALANCES = ("none", "under")
DEFAULT_VAL = 0.2
# A seed of a 100,000 x 60 table takes a hundredth of a second.
LABEL_SEEDS = 100


@dataclass(frozen=True)
class SplitOptions:
    """How a training table is to be split.

    Parameters
    ----------
    val
        Share to hold out, between 0 and 1; None means 0.2 where there are no folds.
    num_folds
        K for K folds, at least 2, instead of a hold-out.
    from_column
        Column with a split that is given: ``train``, ``val`` and ``test``, or fold numbers.
    balance
        ``"none"``, or ``"under"``: every class is cut to the size of the smallest.
    cap
        With ``"under"``, at most this many per class.
    seed
        Seed of every random choice, and the first of ``num_seeds``.
    num_seeds
        Seeds to try; None means 1 for one label per row and 100 for several.
    strategy
        ``"iterative"`` (None means it) or ``"random"``; multi-label only.
    refine
        Whether rows are exchanged after the search; multi-label only.
    zero_is_unknown
        Whether training is to take 0 for "not annotated"; multi-label only.
    corrections
        Label corrections to be applied first.
    findings
        Findings of ``inspect``, by which copies stay together.
    exclude
        Kinds of findings whose rows are left out.
    mask
        Kinds of findings whose cells become "not annotated"; multi-label only.
    """

    val: float | None = None
    num_folds: int | None = None
    from_column: str | None = None
    balance: str = "none"
    cap: int | None = None
    seed: int = 0
    num_seeds: int | None = None
    strategy: str | None = None
    refine: bool = True
    zero_is_unknown: bool = False
    corrections: Path | None = None
    findings: Path | None = None
    exclude: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of a hold-out."""
        return DEFAULT_VAL if self.val is None else self.val

    @property
    def what(self) -> str:
        """The kind of split in words."""
        if self.from_column is not None:
            return f"split given by column {self.from_column}"
        return (
            f"hold-out of {self.share:g}" if self.num_folds is None else f"{self.num_folds} folds"
        )

    def arguments(self) -> dict[str, object]:
        """The options under the names that the command gives them."""
        renamed = {
            "num_folds": "folds", "num_seeds": "seeds", "zero_is_unknown": "map_zero_to_unknown"
        }  # fmt: skip
        return {renamed.get(name, name): value for name, value in vars(self).items()}

    def check(self) -> None:
        """Check what can be checked before anything is read.

        Raises
        ------
        UsageError
            If options contradict one another or are out of range.
        """
        if self.val is not None and self.num_folds is not None:
            raise UsageError("--val and --folds contradict one another; give one of them")
        if self.val is not None and not 0 < self.val < 1:
            raise UsageError(f"--val {self.val:g} is no share between 0 and 1, both excluded")
        if self.num_folds is not None and self.num_folds < 2:
            raise UsageError(f"--folds {self.num_folds} is too few; at least 2 are needed")
        if self.num_seeds is not None and self.num_seeds < 1:
            raise UsageError(f"--seeds {self.num_seeds} is too few; at least 1 is needed")
        if self.strategy is not None and self.strategy not in STRATEGIES:
            raise unknown_name("split strategy", self.strategy, STRATEGIES)
        self._check_balance()
        self._check_findings()
        if self.from_column is not None:
            self._check_given()

    def _check_balance(self) -> None:
        if self.balance not in BALANCES:
            raise UsageError(
                f"--balance {self.balance} is unknown; it can be {' or '.join(BALANCES)}"
            )
        if self.cap is not None and self.balance != "under":
            raise UsageError("--cap limits under-sampling; give --balance under with it")
        if self.cap is not None and self.cap < 2:
            raise UsageError(f"--cap {self.cap} is too few; at least 2 per class are needed")

    def _check_findings(self) -> None:
        for option, kinds, known in (
            ("--exclude", self.exclude, EXCLUDABLE),
            ("--mask", self.mask, MASKABLE),
        ):
            if kinds and self.findings is None:
                raise UsageError(
                    f"{option} is about findings; give --findings findings.csv with it"
                )
            for kind in kinds:
                if kind not in known:
                    raise unknown_name(f"finding that goes with {option}", kind, known)

    def _check_given(self) -> None:
        others = {
            "--val": self.val is not None,
            "--folds": self.num_folds is not None,
            "--balance": self.balance != "none",
            "--seeds": self.num_seeds is not None,
            "--strategy": self.strategy is not None,
            "--no-refine": not self.refine,
        }
        for name, given in others.items():
            if given:
                raise UsageError(
                    f"--from-column takes a split as it is; {name} does not go with it"
                )

    def check_for_one_label(self, *, grouped: bool) -> None:
        """Refuse what only a multi-label table can be asked.

        Raises
        ------
        UsageError
            Naming the option.
        """
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
                "--seeds finds nothing better here: with one label per row and no group column "
                "every seed gives each class the same share"
            )

    def check_for_several_labels(self) -> None:
        """Refuse what only a table of one label per row can be asked.

        Raises
        ------
        UsageError
            Naming the option.
        """
        if self.balance != "none":
            raise UsageError(
                "--balance under evens out classes of one label per row; here a row has several. "
                "A loss can weigh them instead: comptool train --loss distribution-balanced"
            )
