"""What can be asked of an ensemble, which of it contradicts itself, and how it is carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from comptool.competition import load
from comptool.decisions.ensemble import POWER, normalised_weights
from comptool.decisions.members import ensemble_files
from comptool.decisions.rows_beside import rows_path
from comptool.errors import UsageError

# Loaded for searched weights alone: scipy and the metrics are half a second.
FILES = "comptool.decisions.ensembles.files"
WEIGHTS_SUFFIX = ".json"


@dataclass(frozen=True)
class Asked:
    """What was asked for; None stands for the default.

    Parameters
    ----------
    method
        How the members are combined; mean by default.
    weights
        Numbers joined by commas, or the path of an ``ensemble.json``.
    search
        ``"greedy"`` or ``"continuous"``.
    out_of_fold
        A run or out-of-fold file per member, in order.
    power
        Of ``--method power``.
    per_class, steps, bags, seed
        See :func:`comptool.decisions.ensembles.search.search`.
    competition
        A ``comptool.toml``.
    """

    method: str | None = None
    power: float | None = None
    weights: str | None = None
    search: str | None = None
    out_of_fold: tuple[str, ...] = ()
    per_class: bool = False
    steps: int | None = None
    bags: int | None = None
    seed: int = 0
    competition: Path | None = None

    @property
    def weights_file(self) -> Path | None:
        """The file of weights, if that is what was given."""
        given = self.weights is not None and self.weights.endswith(WEIGHTS_SUFFIX)
        return Path(str(self.weights)) if given else None

    def numbers(self) -> list[float] | None:
        """The weights that were given as numbers.

        Raises
        ------
        UsageError
            If they are no numbers.
        """
        if self.weights is None or self.weights_file is not None:
            return None
        try:
            return [float(part) for part in self.weights.split(",")]
        except ValueError:
            raise UsageError(
                "--weights must be numbers separated by commas, or an ensemble.json, not "
                f"'{self.weights}'"
            ) from None

    def outputs(self, output: Path) -> list[Path]:
        """The files that will be written, for an ensemble that goes to ``output``."""
        searched = [output.with_suffix(WEIGHTS_SUFFIX), rows_path(output)]
        return [output, *(searched if self.search else [])]

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises
        ------
        UsageError
            If something does.
        """
        searched = {
            "--oof": bool(self.out_of_fold),
            "--per-class": self.per_class,
            "--steps": self.steps is not None,
            "--bags": self.bags is not None,
        }
        foreign = [name for name, given in searched.items() if given]
        if self.search is None and foreign:
            raise UsageError(f"{foreign[0]} belongs to --search")
        if self.search == "continuous" and (self.steps is not None or self.bags is not None):
            raise UsageError("--steps and --bags belong to --search greedy, not to continuous")
        if self.search is not None and self.weights is not None:
            raise UsageError("--search finds the weights, and --weights gives them: take one")
        if self.power is not None and self.method != "power":
            raise UsageError("--power belongs to --method power")
        if self.method not in (None, "mean") and (self.search or self.weights_file):
            raise UsageError(f"searched weights are those of the mean, not of {self.method}")

    def plan(self, paths: Sequence[Path]) -> list[str]:
        """What will be done with these files, line by line.

        Raises
        ------
        UsageError
            If the weights do not fit.
        """
        if self.search is not None or self.weights_file is not None:
            how = f"{self.search} search" if self.search else f"weights of {self.weights_file}"
            return [f"member {path}, {how}" for path in paths]
        shares = normalised_weights(self.numbers(), len(paths))
        return [
            f"member {path}, weight {share:.3f}" for path, share in zip(paths, shares, strict=True)
        ]


def carry_out(
    asked: Asked, paths: Sequence[Path], output: Path, *, force: bool = False
) -> tuple[str, dict[str, object]]:
    """Write the ensemble, and say what it is: for a reader, and for a program.

    Raises
    ------
    UsageError, InputError
        If the members or the weights do not fit.
    """
    members = [str(path) for path in paths]
    if asked.search is not None:
        text, summary = _search(asked, asked.search, paths, output, force)
        return text, {"members": members, "method": "mean", **summary}
    notes: list[str] = []
    if asked.weights_file is not None:
        result, note = import_module(FILES).apply_weights(
            asked.weights_file, paths, output, force=force
        )
        notes.append(note)
    else:
        result = ensemble_files(
            paths,
            output,
            method=asked.method or "mean",
            weights=asked.numbers(),
            power=POWER if asked.power is None else asked.power,
            force=force,
        )
    notes += result.notes
    if len(paths) == 1:
        notes.append("an ensemble of one member is that member")
    summary = {
        "members": members,
        "weights": result.weights,
        "method": asked.method or "mean",
        "rows": len(result.predictions),
        "agreement": result.agreement,
        "notes": notes,
    }
    return "\n".join([*notes, result.text()]), summary


def _search(
    asked: Asked, search: str, paths: Sequence[Path], output: Path, force: bool
) -> tuple[str, dict[str, object]]:
    files = import_module(FILES)
    defaults = files.How()
    how = files.How(
        search,
        asked.per_class,
        defaults.steps if asked.steps is None else asked.steps,
        defaults.bags if asked.bags is None else asked.bags,
        asked.seed,
    )
    made = files.search_files(
        paths, output, load(asked.competition), how, out_of_fold=asked.out_of_fold, force=force
    )
    lines = [*made.evidence.notes, *made.ensemble.notes, made.text(), f"weights: {made.weights}"]
    return "\n".join(lines), made.summary()
