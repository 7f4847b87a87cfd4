"""The ``ensemble`` command: an ensemble with given, recorded or searched weights.

``ensemble.json`` holds searched weights and their scores: ``format`` (1), ``task``, ``classes``,
``metric``, ``search`` (settings), ``scores`` (with what was ``recommended`` and what was ``taken``)
and ``members``: for each the prediction file, its ``runs``, its out-of-fold file, its own score and
its ``weight``, a number or one per class by name.
``combination`` has the parameters of a stack or the temperatures of a temperature mean, which then
replace the weights (a stack's ``weight`` is the one that all classes share).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool import tasks
from comptool.competition.config import Competition, load
from comptool.errors import InputError, UsageError
from comptool.io import provenance
from comptool.io.atomic import atomic_output, refuse_existing, together
from comptool.io.documents import read_json
from comptool.io.predictions import Predictions, refuse_ranks
from comptool.io.provenance import PredictionFacts, WeightOrigin
from comptool.io.records import EnsembleWeights, FittedCombination, MemberWeight, parse
from comptool.postprocess.ensemble.combine import POWER
from comptool.postprocess.ensemble.config import WEIGHTS_SUFFIX, EnsembleConfig
from comptool.postprocess.ensemble.nested_cv import (
    ALL_SEARCHES,
    ScoredCombination,
    Searched,
    searched,
    weights_of,
)
from comptool.postprocess.ensemble.search import BAGS, STEPS
from comptool.postprocess.ensemble.stacking import (
    STACK,
    TEMPERATURE_MEAN,
    Combination,
    WeightedMean,
    permuted,
    restored,
)
from comptool.postprocess.inputs import Ensemble, ensemble_files, shared_facts
from comptool.postprocess.oof import (
    nested_folds,
    own_evidence,
    read_labelled,
    rows_path,
    side_by_side,
    write_rows,
)


@dataclass(frozen=True)
class MemberEvidence:
    """Out-of-fold predictions of all members for the same labelled rows."""

    members: list[npt.NDArray[np.floating]]  # (N, K) each
    targets: npt.NDArray[np.integer]  # (N,) class indices, or (N, K) of 1, 0 and -1
    folds: npt.NDArray[np.integer]  # (N,), for nested scores
    paths: list[Path]
    classes: tuple[str, ...]
    rows: Predictions  # those of the first member
    table: Path
    notes: list[str] = field(default_factory=list)


def gather(
    predictions: Sequence[Path],
    facts: Mapping[Path, PredictionFacts],
    named: Sequence[str],
    competition: Competition,
) -> MemberEvidence:
    """The out-of-fold rows of the named runs, or of the runs recorded with the predictions."""
    if named and len(named) != len(predictions):
        raise UsageError(
            f"{len(named)} times --oof for {len(predictions)} prediction files: give one for each, "
            "in their order, or none"
        )
    if named:
        found = [read_labelled(name, competition) for name in named]
    else:
        for path in predictions:
            if not facts[path].traced:
                raise UsageError(
                    f"no run is recorded with {path}: give the run of each member, in the order "
                    "of the files, with --oof RUN"
                )
        found = [own_evidence(None, facts[path], competition) for path in predictions]
    first = found[0]
    warnings = [
        f"warning: {path} was recalibrated, but the out-of-fold rows for its weight were not"
        for path in predictions
        if facts[path].recalibration
    ]
    return MemberEvidence(
        members=[one.probabilities for one in side_by_side(found)],
        targets=first.targets,
        folds=nested_folds(first.predictions.ids, first.predictions.fold),
        paths=[one.path for one in found],
        classes=first.predictions.classes,
        rows=first.predictions,
        table=first.table,
        notes=[*dict.fromkeys(one.note for one in found if one.note), *warnings],
    )


FORMAT = 1

Doubles = npt.NDArray[np.float64]


def write_weights(
    path: Path,
    predictions: Sequence[Path],
    facts: Mapping[Path, PredictionFacts],
    evidence: MemberEvidence,
    found: Searched,
    taken: ScoredCombination,
    how: Mapping[str, object],
    *,
    task: str,
    force: bool = False,
) -> None:
    """Write what was taken, the settings of the search and its scores, atomically."""
    weights = weights_of(taken.combination, len(predictions)).tolist()
    rows = zip(predictions, evidence.paths, found.alone, weights, strict=True)
    members = [
        MemberWeight(
            predictions=str(member),
            runs=facts[member].runs or [],
            out_of_fold=str(held),
            alone=alone,
            weight=dict(zip(evidence.classes, weight, strict=True))
            if isinstance(weight, list)
            else weight,
        )
        for member, held, alone, weight in rows
    ]
    made = EnsembleWeights(
        format=FORMAT,
        task=task,
        classes=list(evidence.classes),
        metric=found.metric,
        search=dict(how),
        scores=scores(found, taken),
        combination=record_of(taken.combination),
        members=members,
    )
    with atomic_output(path, force=force) as temporary:
        document = asdict(made)
        if made.combination is None:
            del document["combination"]
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def record_of(combination: Combination) -> FittedCombination | None:
    """Parameters for a record; None for a mean, whose weights are recorded with the members."""
    return None if isinstance(combination, WeightedMean) else combination.record()


def scores(found: Searched, taken: ScoredCombination) -> dict[str, object]:
    """The scores of a search and what was taken, for a record."""
    return {
        "recommended": found.recommended.name,
        "taken": taken.name,
        "gains": {
            one.name: {
                "nested": one.nested.document(),
                "gain": one.gain.document(),
                **({"log_loss": one.evidence.document()} if found.by_log_loss else {}),
            }
            for one in found.candidates[1:]
        },
        "nested": found.nested.document(),
        "in_sample": found.in_sample,
        "equal_weights": found.equal.document(),
        "best_single": found.single.document(),
        "rows": found.num_rows,
        "folds": found.num_folds,
    }


@dataclass(frozen=True)
class RecordedWeights:
    """Weights of M prediction files, (M,) or (M, K), or what replaces them."""

    weights: Doubles
    combination: FittedCombination | None
    classes: tuple[str, ...]
    note: str


def read_weights(
    path: Path, predictions: Sequence[Path], facts: Mapping[Path, PredictionFacts]
) -> RecordedWeights:
    """Recorded weights for prediction files.

    Files are matched by their runs if all of them are recorded, otherwise by their order.
    """
    read = _read(path)
    members, classes = read.members, tuple(read.classes)
    for one in predictions if read.task is not None else ():
        if facts[one].task not in (None, read.task):
            raise InputError(
                f"has weights for {read.task} predictions, and {one} is {facts[one].task}",
                file=path,
            )
    if len(members) != len(predictions):
        raise InputError(
            f"has weights of {len(members)} members, but {len(predictions)} prediction files are "
            "given",
            file=path,
            values=[member.predictions for member in members],
        )
    runs = [facts[one].runs or [] for one in predictions]
    theirs = [member.runs for member in members]
    order, how = list(range(len(members))), "the weights are assigned in the order of the files"
    if all(runs) and all(theirs) and all(theirs.count(one) == 1 for one in theirs):
        missing = [", ".join(one) for one in runs if one not in theirs]
        if missing or any(runs.count(one) > 1 for one in runs):
            raise InputError(
                "has no weights for these runs, or one run is given twice",
                file=path,
                values=missing or [", ".join(one) for one in runs],
                mend="Give one prediction file of each: " + "; ".join(map(", ".join, theirs)),
            )
        order, how = [theirs.index(one) for one in runs], "each file has the weight of its run"
    given = [members[place].weight for place in order]
    weights = [[w[name] for name in classes] if isinstance(w, dict) else w for w in given]
    combination = read.combination and permuted(read.combination, order)
    return RecordedWeights(np.array(weights), combination, classes, how)


def _read(path: Path) -> EnsembleWeights:
    if not path.is_file():
        raise InputError("there is no such file of weights", file=path)
    provenance.recall(path)
    mend = "Make it: comptool ensemble --search greedy"
    try:
        document = read_json(path, mend=mend)
        read = parse(EnsembleWeights, document, path, "record of weights", mend=mend)
        if read.format != FORMAT or not read.members:
            raise ValueError(f"format {read.format}")
        for place, member in enumerate(read.members):
            given = member.weight if isinstance(member.weight, dict) else read.classes
            if lacking := [name for name in read.classes if name not in given]:
                raise ValueError(f"members[{place}].weight lacks {', '.join(lacking)}")
        if len({isinstance(member.weight, dict) for member in read.members}) > 1:
            raise ValueError("some weights are per class and some are not")
        if read.combination is not None:
            task = tasks.recorded(read.task or tasks.DEFAULT_TASK, path)
            restored(read.combination, len(read.members), len(read.classes), task)
    except ValueError as error:
        raise InputError(
            f"is not a file of ensemble weights ({error})", file=path, mend=mend
        ) from error
    return read


@dataclass(frozen=True)
class SearchedEnsemble:
    """A written ensemble with searched weights, its prediction files and the file of weights."""

    ensemble: Ensemble
    found: Searched
    taken: ScoredCombination
    evidence: MemberEvidence
    weights: Path
    members: tuple[Path, ...]

    @property
    def method(self) -> str:
        """The method that combines the members."""
        record = record_of(self.taken.combination)
        return "mean" if record is None else record.method

    def text(self) -> str:
        """Scores, then each member with its own score and its weight."""
        lines = [self.found.text(), f"taking {self.taken.name}", "alone   weight  member"]
        weights = weights_of(self.taken.combination, len(self.members))
        for path, alone, weight in zip(self.members, self.found.alone, weights, strict=True):
            spread = f"{np.mean(weight):.3f} "
            if np.ndim(weight):
                spread = f"{np.min(weight):.2f}-{np.max(weight):.2f}"
            lines.append(f"{alone:.4f}  {spread}  {path}")
        return "\n".join([*lines, self.ensemble.text()])

    def summary(self) -> dict[str, object]:
        """The result as one JSON object."""
        return {
            "metric": self.found.metric,
            **scores(self.found, self.taken),
            "weights_file": self.weights,
            "weights": weights_of(self.taken.combination, len(self.members)).tolist(),
            "alone": list(self.found.alone),
            "agreement": self.ensemble.agreement,
            "notes": [*self.evidence.notes, *self.ensemble.notes],
        }


def search_files(asked: EnsembleConfig, predictions: Sequence[Path]) -> SearchedEnsemble:
    """Search weights on out-of-fold rows; write them, the ensemble and its out-of-fold rows.

    Each out-of-fold row is weighted by a search that did not use it; which candidate is recommended
    is decided on all of them.
    """
    output, force = asked.output, asked.force
    weights, competition = output.with_suffix(WEIGHTS_SUFFIX), load(asked.competition)
    for path in (output, weights, rows_path(output)):
        refuse_existing(path, force)
    settings: dict[str, Any] = {
        "per_class": asked.per_class,
        "steps": STEPS if asked.steps is None else asked.steps,
        "bags": BAGS if asked.bags is None else asked.bags,
        "seed": asked.seed,
    }
    how = asked.fit or "greedy"
    *beside, last = ALL_SEARCHES if how == "auto" else (how,)
    if competition.kind.numbers:
        beside = [name for name in beside if name != TEMPERATURE_MEAN]
    facts = {path: provenance.facts(path, PredictionFacts) for path in predictions}
    if how in (STACK, TEMPERATURE_MEAN, "auto"):
        for path in predictions:
            refuse_ranks(path, facts[path])
    evidence = gather(predictions, facts, asked.oof, competition)
    found = searched(
        evidence.members,
        evidence.targets,
        competition.find_metric(classes=evidence.classes),
        evidence.folds,
        how=last,
        beside=beside,
        **settings,
    )
    # A method that was asked for by name is taken, like a search under --take searched.
    as_asked = asked.search is None or asked.take == "searched"
    taken = found.candidates[-1] if as_asked else found.recommended
    arguments = {
        "search": how,
        "take": "searched" if as_asked else "recommended",
        "oof": list(asked.oof),
        **settings,
    }
    with together():
        write_weights(
            weights, predictions, facts, evidence, found, taken, arguments,
            task=competition.task, force=force,
        )  # fmt: skip
        made = WeightOrigin(metric=found.metric, search=arguments, scores=scores(found, taken))
        shared, _ = shared_facts(facts)
        rows = write_rows(
            output,
            replace(evidence.rows, probabilities=taken.blend),
            command="ensemble",
            inputs=[evidence.table, *evidence.paths],
            facts=shared,
            force=force,
        )
        recorded = RecordedWeights(
            weights_of(taken.combination, len(predictions)),
            record_of(taken.combination),
            evidence.classes,
            "",
        )
        ensemble = _ensemble(predictions, output, recorded, made, force, rows)
        provenance.record(
            weights, command="ensemble", arguments=arguments, inputs=[*predictions, *evidence.paths]
        )
    return SearchedEnsemble(ensemble, found, taken, evidence, weights, tuple(predictions))


def _ensemble(
    predictions: Sequence[Path],
    output: Path,
    recorded: RecordedWeights,
    made: WeightOrigin,
    force: bool,
    out_of_fold: str | None = None,
) -> Ensemble:
    weights = recorded.weights
    per_class = weights.ndim == 2
    return ensemble_files(
        predictions,
        output,
        weights=(weights.mean(axis=1) if per_class else weights).tolist(),
        class_weights=weights if per_class else None,
        combination=recorded.combination,
        classes=recorded.classes,
        made=made,
        out_of_fold=out_of_fold,
        force=force,
    )


def carry_out(asked: EnsembleConfig, paths: Sequence[Path]) -> tuple[str, dict[str, object]]:
    """Write the ensemble of ``paths``; gives the text and the JSON object.

    Raises a UsageError or an InputError if the members or the weights do not match.
    """
    output, force = asked.output, asked.force
    members = [str(path) for path in paths]
    if asked.fit is not None:
        made = search_files(asked, paths)
        lines = [*made.evidence.notes, *made.ensemble.notes, made.text()]
        text = "\n".join([*lines, f"weights: {made.weights}"])
        return text, {"members": members, "method": made.method, **made.summary()}
    notes: list[str] = []
    method: str = asked.method or "mean"
    if asked.weights_file is not None:
        facts = {path: provenance.facts(path, PredictionFacts) for path in paths}
        recorded = read_weights(asked.weights_file, paths, facts)
        made_by = WeightOrigin(weights_file=str(asked.weights_file))
        with together():
            result = _ensemble(paths, output, recorded, made_by, force)
        notes.append(recorded.note)
        if recorded.combination is not None:
            method = recorded.combination.method
    else:
        result = ensemble_files(
            paths,
            output,
            method=method,
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
        "method": method,
        "rows": len(result.predictions),
        "agreement": result.agreement,
        "notes": notes,
    }
    return "\n".join([*notes, result.text()]), summary
