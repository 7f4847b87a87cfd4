"""Searched ensembles from file to file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from comptool import provenance
from comptool.classes import check_classes
from comptool.competition import Competition
from comptool.decisions.ensembles.evidence import Evidence, gather
from comptool.decisions.ensembles.nested import Searched, searched
from comptool.decisions.ensembles.weights_file import SUFFIX, read_weights, scores, write_weights
from comptool.decisions.members import Ensemble, ensemble_files, shared_facts
from comptool.decisions.rows_beside import rows_path, write_rows
from comptool.outputs import refuse_existing, together

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class How:
    """Settings of a search; see :func:`comptool.decisions.ensembles.search.search`."""

    search: str = "greedy"
    per_class: bool = False
    steps: int = 50
    bags: int = 0
    seed: int = 0


@dataclass(frozen=True)
class SearchedEnsemble:
    """An ensemble by searched weights that has been written.

    Parameters
    ----------
    ensemble
        The test predictions.
    found
        The weights and what they are worth.
    evidence
        What they were searched on.
    weights
        The file of weights.
    members
        The prediction files.
    """

    ensemble: Ensemble
    found: Searched
    evidence: Evidence
    weights: Path
    members: tuple[Path, ...]

    def text(self) -> str:
        """Scores, then each member with its score alone and its weight."""
        lines = [self.found.text(), "alone   weight  member"]
        rows = zip(self.members, self.found.alone, self.found.weights, strict=True)
        for path, alone, weight in rows:
            spread = f"{np.mean(weight):.3f} "
            if np.ndim(weight):
                spread = f"{np.min(weight):.2f}-{np.max(weight):.2f}"
            lines.append(f"{alone:.4f}  {spread}  {path}")
        return "\n".join([*lines, self.ensemble.text()])

    def summary(self) -> dict[str, object]:
        """The result as one JSON object."""
        return {
            "metric": self.found.metric,
            **scores(self.found),
            "weights_file": self.weights,
            "weights": self.found.weights.tolist(),
            "alone": list(self.found.alone),
            "agreement": self.ensemble.agreement,
            "notes": [*self.evidence.notes, *self.ensemble.notes],
        }


def weights_path(output: Path) -> Path:
    """Where the weights of an ensemble stand: ``ensemble.csv`` has ``ensemble.json``."""
    return output.with_suffix(SUFFIX)


def search_files(
    predictions: Sequence[Path],
    output: Path,
    competition: Competition,
    how: How,
    *,
    out_of_fold: Sequence[str] = (),
    force: bool = False,
) -> SearchedEnsemble:
    """Search weights on the members' out-of-fold rows, and write them and the ensemble.

    Beside these the out-of-fold rows are written, each by weights of a search that did not see it.

    Parameters
    ----------
    predictions
        The members' prediction files.
    output
        Where the ensemble goes; the weights go beside it.
    competition
        Its metric is maximised; it says where labels are found.
    how
        Settings of the search.
    out_of_fold
        Runs or out-of-fold files in the order of the members, if not those of the records.
    force
        Whether existing outputs are replaced.

    Raises
    ------
    UsageError
        If the metric cannot be searched in this way, or the runs are not known.
    InputError
        If a member has no evidence, or the members do not fit together.
    """
    weights = weights_path(output)
    for path in (output, weights, rows_path(output)):
        refuse_existing(path, force)
    facts = {path: provenance.facts(path) for path in predictions}
    evidence = gather(predictions, facts, out_of_fold, competition)
    found = searched(
        evidence.members,
        evidence.targets,
        competition.metric,
        evidence.folds,
        how=how.search,
        per_class=how.per_class,
        steps=how.steps,
        bags=how.bags,
        seed=how.seed,
    )
    settings = asdict(how)
    with together():
        write_weights(weights, predictions, facts, evidence, found, settings, force=force)
        made: dict[str, object] = {
            "metric": found.metric,
            "search": settings,
            "scores": scores(found),
        }
        shared, _ = shared_facts(facts)
        rows = write_rows(
            output,
            replace(evidence.rows, probabilities=found.blend),
            command="ensemble",
            inputs=[evidence.table, *evidence.paths],
            facts=shared,
            force=force,
        )
        ensemble = _ensemble(
            predictions, output, found.weights, evidence.classes, made, force, rows
        )
        provenance.record(
            weights,
            command="ensemble",
            arguments=settings,
            inputs=[*predictions, *evidence.paths],
        )
    return SearchedEnsemble(ensemble, found, evidence, weights, tuple(predictions))


def apply_weights(
    weights: Path, predictions: Sequence[Path], output: Path, *, force: bool = False
) -> tuple[Ensemble, str]:
    """Write the ensemble of these files by weights that were searched before.

    Parameters
    ----------
    weights
        ``ensemble.json``.
    predictions
        The members' prediction files.
    output
        Where the ensemble goes.
    force
        Whether an existing output is replaced.

    Returns
    -------
    Ensemble, str
        The ensemble, and how weights and files were matched.

    Raises
    ------
    InputError
        If the file holds no weights of these members.
    """
    facts = {path: provenance.facts(path) for path in predictions}
    found, classes, how = read_weights(weights, predictions, facts)
    made: dict[str, object] = {"weights_file": str(weights)}
    with together():
        return _ensemble(predictions, output, found, classes, made, force), how


def _ensemble(
    predictions: Sequence[Path],
    output: Path,
    weights: Doubles,
    classes: tuple[str, ...],
    made: dict[str, object],
    force: bool,
    more: Mapping[str, object] | None = None,
) -> Ensemble:
    by_class = weights if weights.ndim == 2 else None
    shares = weights.mean(axis=1) if weights.ndim == 2 else weights
    ensemble = ensemble_files(
        predictions,
        output,
        weights=shares.tolist(),
        class_weights=by_class,
        made=made,
        more=more,
        force=force,
    )
    check_classes(predictions[0], ensemble.predictions.classes, classes, "the weights")
    return ensemble
