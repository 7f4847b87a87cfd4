"""An ensemble as its options ask for it: a mean of given weights, or searched ones."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from comptool.competition import load
from comptool.decisions.ensemble import POWER
from comptool.decisions.ensembles.config import EnsembleConfig
from comptool.decisions.members import ensemble_files

# Loaded for searched weights alone: scipy and the metrics are half a second.
FILES = "comptool.decisions.ensembles.files"


def carry_out(asked: EnsembleConfig, paths: Sequence[Path]) -> tuple[str, dict[str, object]]:
    """Write the ensemble, and say what it is: for a reader, and for a program.

    Raises
    ------
    UsageError, InputError
        If the members or the weights do not fit.
    """
    output, force = asked.output, asked.force
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
    asked: EnsembleConfig, search: str, paths: Sequence[Path], output: Path, force: bool
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
        paths, output, load(asked.competition), how, out_of_fold=asked.oof, force=force
    )
    lines = [*made.evidence.notes, *made.ensemble.notes, made.text(), f"weights: {made.weights}"]
    return "\n".join(lines), made.summary()
