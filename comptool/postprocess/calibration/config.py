"""Options of ``comptool recalibrate`` and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from comptool.errors import UsageError, unknown_name
from comptool.key_value import parse_assignments
from comptool.options import (
    ADVANCED,
    RECALIBRATED,
    Output,
    WithCompetition,
    WithSeed,
    argument,
    filled,
    kebab,
    option,
)
from comptool.postprocess.calibration.methods import (
    CELL_METHODS,
    METHODS,
    CalibrationMethod,
    owners,
)

THRESHOLDS = "thresholds"
TABLES = (".csv", ".tsv", ".txt", ".parquet", ".gz", ".zip", ".json")
METHOD_OPTION = "--method-option"
# Chance of harm up to which a comparison recommends a method.
RISK = 0.2
# Panels of --help.
CAN, F_SCORE, EVIDENCE = "Alternating normalisation (can)", "Thresholds", "Out-of-fold evidence"
COSTS, GROUPS = "Costs of mistakes (cost)", "Neighbours (context)"


@dataclass(frozen=True)
class CalibrationConfig:
    """Method, its options and the evidence; None is the default of the method."""

    method: str = option("quota", help="Recalibration method, one of the above.", metavar="METHOD")
    top_k_head: int | None = option(
        help="Number of head classes, the most frequent in training.", min=0, shown="4"
    )
    head_classes: str | None = option(
        help="Head classes by name, in order of priority: a,b,c.", metavar="CLASSES"
    )
    fraction: float | None = option(
        help="Quota: share of the rows that each head class takes.", min=0, max=1, shown="0.1"
    )
    oof: str | None = option(
        help="Run or file with out-of-fold predictions.",
        shown="the run of the predictions",
        panel=EVIDENCE,
    )
    target_prior: str | None = option(
        help="Class shares of the test set: uniform, train, estimated (from the predictions), or a "
        "table of class and share.",
        shown="none; --compare: all three",
        panel=EVIDENCE,
    )
    risk: float | None = option(
        help="Chance of harm up to which --compare recommends a method.",
        min=0,
        max=0.5,
        shown=f"{RISK:g}",
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
        help="Number of top probabilities in the entropy.", min=2, shown="3", panel=CAN
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
    by: str | None = option(
        help="Groups: a column of the test and training tables, or FILE.csv:COLUMN.", panel=GROUPS
    )
    pool: Literal["mean", "max", "power"] | None = option(
        help="How the predictions of a group are joined.", shown="mean", panel=GROUPS
    )
    strength: float | None = option(
        help="Weight of the group; 0: no change.",
        min=0,
        max=1,
        shown="the best on out-of-fold rows",
        panel=GROUPS,
    )
    cost: Path | None = option(
        help="CSV of costs with class names: a row per true, a column per answered class.",
        shown="that of the metric expected-cost",
        panel=COSTS,
    )
    tree: Path | None = option(
        help="CSV of a taxonomy: class and parent, or class and a column per level.", panel=COSTS
    )
    beta: float | None = option(
        help="Beta of the F-score.", shown="1; 2 for the metric f-beta", panel=F_SCORE
    )
    method_option: tuple[str, ...] = option(
        (),
        help="Option of a method without a flag of its own; repeatable.",
        metavar="NAME=VALUE",
        panel=ADVANCED,
    )

    def given(self) -> dict[str, str]:
        """The given options of methods, by name, as typed."""
        found = {
            one.name: kebab(one.name)
            for one in fields(self)
            if owners(one.name) and getattr(self, one.name) is not None
        }
        for text in self.method_option:
            name = _option_name(text)
            if name in found:
                raise UsageError(
                    f"{found[name]} and {METHOD_OPTION} {name} are the same option; give one"
                )
            found[name] = f"{METHOD_OPTION} {name}"
        return found

    def options_of(self, method: CalibrationMethod) -> dict[str, Any]:
        """The given options of a method."""
        flags = {name: getattr(self, name, None) for name in method.takes}
        found = {name: value for name, value in flags.items() if value is not None}
        texts = [text for text in self.method_option if _option_name(text) in method.takes]
        if not texts:
            return found
        owner = f"the method '{method.name}'"
        return found | parse_assignments(METHOD_OPTION, owner, texts, method.types())

    def check(self) -> None:
        """Refuse options that the method does not use."""
        _check_name(self.method)
        self._check_owned([self.method])
        uses_target = self.method in METHODS and not METHODS.find(self.method).own_prior
        if self.target_prior is not None and not uses_target:
            raise UsageError(f"--target-prior has no meaning for --method {self.method}")
        if self.oof is not None and self.method in METHODS and not METHODS.find(self.method).rows:
            raise UsageError(f"--oof has no meaning for --method {self.method}")
        self._check_groups([self.method])
        if self.risk is not None:
            raise UsageError("--risk is for --compare")

    def check_compare(self, methods: Sequence[str] | None = None) -> None:
        """Refuse options that a comparison does not use."""
        for name in methods or ():
            _check_name(name)
        self._check_owned(methods or [*METHODS.names, *CELL_METHODS.names])
        if methods:
            self._check_groups(methods)
        for name, typed in self.given().items() if self.by is None else ():
            if all(owner in _grouped() for owner in owners(name)):
                raise UsageError(
                    f"{typed} is for groups: name them with --by COLUMN, or --by FILE.csv:COLUMN"
                )

    def _check_groups(self, methods: Sequence[str]) -> None:
        """Refuse groups without a method for them, and the method without groups."""
        needed = [name for name in methods if name in _grouped()]
        if needed and self.by is None:
            raise UsageError(
                f"--method {needed[0]} needs the groups: --by COLUMN, or --by FILE.csv:COLUMN"
            )
        if self.by is not None and not needed:
            raise UsageError(f"--by has no meaning for --method {' and '.join(methods)}")

    def _check_owned(self, methods: Sequence[str]) -> None:
        """Refuse an option that none of the methods takes."""
        for name, typed in self.given().items():
            owned = owners(name)
            if not owned:
                known = {one for m in (*METHODS, *CELL_METHODS) for one in m.takes}
                raise unknown_name("option of a method", name, sorted(known))
            if not set(owned) & set(methods):
                raise UsageError(
                    f"{typed} belongs to --method {' and '.join(owned)}, not to "
                    f"{' and '.join(methods)}"
                )

        for one, other in (("head_classes", "top_k_head"), ("cost", "tree")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise UsageError(f"{kebab(one)} and {kebab(other)} exclude each other")

    def files(self) -> list[Path]:
        """The tables that options name."""
        groups = None if self.by is None else groups_table(self.by)[0]
        return [path for path in (self.cost, self.tree, groups) if path is not None]

    def check_single(self) -> None:
        """Refuse options for several labels per image."""
        for name, typed in self.given().items():
            if not any(name in method.takes for method in METHODS):
                raise UsageError(f"{typed} is for several labels per image")

    def check_cells(self) -> None:
        """Refuse options for one class per image."""
        taken = {name for method in CELL_METHODS for name in method.takes}
        foreign = [typed for name, typed in self.given().items() if name not in taken]
        if self.target_prior is not None:
            foreign.append("--target-prior")
        if foreign:
            raise UsageError(f"{foreign[0]} is for one class per image; here a row has several")


def groups_table(by: str) -> tuple[Path | None, str]:
    """The table that ``--by`` names, None for those of the competition, and the column."""
    file, colon, column = by.rpartition(":")
    if colon and file.lower().endswith(TABLES):
        return Path(file), column
    return None, by


def _grouped() -> set[str]:
    return {method.name for method in (*METHODS, *CELL_METHODS) if method.grouped}


def _option_name(text: str) -> str:
    return text.partition("=")[0].strip().replace("-", "_")


def _check_name(method: str) -> None:
    tables = (METHODS, CELL_METHODS)
    names = [
        name for name in dict.fromkeys([*METHODS.names, *CELL_METHODS.names]) if name != "none"
    ]
    if method not in names and not any(method == one.name for t in tables for one in t.plugins()):
        raise unknown_name("recalibration method", method, names)


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
        help="Score all methods, or only --method, on simulated test sets; writes nothing.",
        panel=EVIDENCE,
    )
    typed: tuple[str, ...] = filled("typed")
