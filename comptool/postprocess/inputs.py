"""Prediction files as inputs: the latest step of the chain, their records, and ensemble members."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import tasks
from comptool.competition.classes import against, check_classes
from comptool.competition.config import FILE
from comptool.competition.schema import from_environment, read_facts, variable_of
from comptool.errors import ComptoolError, InputError, UsageError, quoted
from comptool.io import provenance, runs
from comptool.io.atomic import together
from comptool.io.predictions import (
    RANKS,
    REMAKE,
    SUFFIXES,
    Predictions,
    classes_in,
    lost,
    refuse_ranks,
    write_predictions,
)
from comptool.io.provenance import EnsembleFacts, EvidenceTrace, PredictionFacts, WeightOrigin
from comptool.io.records import FittedCombination
from comptool.io.runs import find_run
from comptool.machine import compute_threads, threads
from comptool.postprocess.ensemble.combine import (
    POWER,
    Doubles,
    Floats,
    by_class,
    combine,
    normalised_weights,
)
from comptool.postprocess.ensemble.stacking import restored
from comptool.tasks import Task


def latest_step(candidates: Sequence[Path]) -> tuple[Path, str]:
    """The first existing file of ``candidates``, and a sentence on the choice.

    They are prediction files, the last step of the chain first; an InputError if none exists.
    """
    present = [path for path in candidates if path.exists()]
    if not present:
        names = ", ".join(map(str, candidates))
        raise InputError(
            f"no predictions here (looked for {names})", mend="Make them: comptool infer"
        )
    taken = present[0]
    reason = f"taking {taken}, the last step of the chain that exists"
    newer = [path for path in present[1:] if path.stat().st_mtime > taken.stat().st_mtime]
    if newer:
        names = " and ".join(map(str, newer))
        reason += f"; made before {names}, so it may be out of date"
    return taken, reason


def task_here() -> str:
    """The task of ``COMPTOOL_TASK`` or comptool.toml, else the default."""
    known = (read_facts(FILE) if FILE.exists() else {}) | from_environment(os.environ)
    return str(known.get("task", tasks.DEFAULT_TASK))


def task_of(path: Path, facts: PredictionFacts) -> str:
    """The task that is recorded with predictions, else that of here."""
    if facts.task is None:
        return task_here()
    return tasks.recorded(facts.task, provenance.meta_path(path), "facts.task").name


def read_multiclass(path: Path, facts: PredictionFacts) -> Predictions:
    """Predictions of one class per image."""
    task = task_of(path, facts)
    if tasks.find(task).numbers:
        raise InputError(
            f"these predictions are numbers ({task}), but this step is for one class per image",
            file=path,
            mend="Submit them as they are, or average those of several runs: comptool ensemble",
        )
    if tasks.find(task).cells:
        raise InputError(
            "these predictions are multi-label, but this step is for one class per image",
            file=path,
            mend="Their classes are independent: submit the probabilities, or answers above a "
            "threshold (comptool submit --threshold), or recalibrate each class (comptool "
            "recalibrate --method thresholds, temperature, vector or isotonic; --compare estimates "
            "which helps)",
        )
    return read_recorded(path, task, facts)


def read_cells(path: Path, facts: PredictionFacts, task: Task) -> Predictions:
    """Predictions of probabilities of several labels; those of another task are refused."""
    refuse_ranks(path, facts)
    wanted = task if task.cells else tasks.by_shape(cells=True)
    return read_recorded(path, wanted.name, facts)


def read_recorded(
    path: Path, task: str, facts: PredictionFacts, expected: Sequence[str] = ()
) -> Predictions:
    """Predictions whose task and classes are those of their record, if recorded."""
    if facts.task is not None and task_of(path, facts) != task:
        by = f" by {variable}" if (variable := variable_of("task")) else ""
        raise InputError(
            f"these predictions are {facts.task}, and the competition is {task}{by}",
            file=path,
            mend="Give the predictions of a run of this competition",
        )
    predictions = tasks.find(task).read(path, facts.classes or expected)
    recorded = tuple(facts.classes or predictions.classes)
    if predictions.classes != recorded:
        raise InputError(
            "its class columns differ from those of its record: "
            f"{against(predictions.classes, recorded)}",
            file=path,
            mend=f"If the file is right, delete {provenance.meta_path(path)}",
        )
    return predictions


def class_counts(facts: PredictionFacts) -> dict[str, int] | None:
    """Training images of each class before any balancing, by the record or the first run left."""
    counts = facts.class_counts
    for name in [] if counts else facts.runs or []:
        try:
            counts = runs.read_header(runs.members(runs.find_run(name))[0]).class_counts
            break
        except ComptoolError:
            continue
    return dict(counts) if counts else None


def count_vector(
    path: Path, classes: Sequence[str], facts: PredictionFacts, remedy: str
) -> npt.NDArray[np.int64]:
    """Training images of each class, of shape (K,), in the order of ``classes``."""
    counts = class_counts(facts)
    if counts is None:
        raise UsageError(
            f"{path}: neither {provenance.meta_path(path).name} nor a run has the number of "
            f"training images of each class. {remedy}"
        )
    missing = [name for name in classes if name not in counts]
    if missing:
        raise InputError(
            "the recorded class counts lack a class", file=path, values=missing, mend=remedy
        )
    return np.array([counts[name] for name in classes], dtype=np.int64)


def chosen(given: Sequence[Path], folder: Path, output: Path) -> list[Path]:
    """The prediction files of the given files and runs, by default all ``preds*`` in the folder.

    Runs are given by name or folder. The file ``output`` is left out.

    Raises
    ------
    InputError
        If there are no files, a run does not exist, or it has no prediction file or several.
    """
    if given:
        return [
            path if path.is_file() or path.suffix in SUFFIXES else _of_run(path, folder, output)
            for path in given
        ]
    here = (path for suffix in SUFFIXES for path in folder.glob(f"preds*{suffix}"))
    paths = sorted(path for path in here if path != output)
    if not paths:
        raise InputError(f"no preds*.csv in {folder}", mend="Make them: comptool infer")
    return paths


def _of_run(name: Path, folder: Path, output: Path) -> Path:
    run = find_run(name)
    paths = sorted(path for suffix in SUFFIXES for path in folder.glob(f"*{suffix}"))
    here = [path for path in paths if path != output and _is_of(path, run)]
    if not here:
        raise InputError(
            f"no file of {folder} has the predictions of only this run",
            file=run,
            mend=f"Make it: comptool infer {run.name} -o {folder / f'preds_{run.name}.csv'}",
        )
    if len(here) > 1:
        raise InputError(
            "several files have predictions of this run",
            file=run,
            values=[str(path) for path in here],
            mend="Name the file",
        )
    return here[0]


def _is_of(path: Path, run: Path) -> bool:
    record = provenance.recall(path)
    if record is None or record.command not in ("infer", "tta") or path.name.startswith("oof"):
        return False
    return provenance.facts(path, PredictionFacts).runs == [str(run)]


# Of a column of equal numbers, which has no correlation.
TINY = float(np.finfo(np.float64).tiny)
# Facts about how a member was made, which do not apply to the ensemble.
MADE = (
    "ensemble", "recalibration", "views", "merge", "weights", "evidence", "out_of_fold", "computed",
)  # fmt: skip


@dataclass(frozen=True)
class Ensemble:
    """A written ensemble."""

    predictions: Predictions
    weights: list[float]
    # Share, 0 to 1, of rows (multi-label: cells) with the same answer of all; of numbers the least
    # correlation between two members.
    agreement: float
    task: str
    notes: tuple[str, ...]

    def text(self) -> str:
        """Rows and agreement, one sentence."""
        rows, task = len(self.predictions), tasks.find(self.task)
        if task.numbers:
            return f"{rows} rows; the members' numbers correlate by {self.agreement:.3f} or more"
        return f"{rows} rows; all members agree on {self.agreement:.1%} of the {task.unit}"


def ensemble_files(
    paths: Sequence[Path],
    output: Path,
    *,
    method: str = "mean",
    weights: Sequence[float] | None = None,
    power: float = POWER,
    class_weights: Doubles | None = None,
    combination: FittedCombination | None = None,
    classes: Sequence[str] = (),
    made: WeightOrigin | None = None,
    out_of_fold: str | None = None,
    force: bool = False,
) -> Ensemble:
    """Combine prediction files, and write the ensemble with its record.

    ``class_weights`` of shape (M, K), or ``combination``, replace the method; ``classes`` are those
    of the weights, ``made`` is their origin, ``out_of_fold`` the file of the matching out-of-fold
    rows.
    """
    if combination is not None:
        # Those of a stack are no shares: they may be below 0.
        method, weights = combination.method, combination.shared or None
    shares = list(weights) if weights and combination else normalised_weights(weights, len(paths))
    facts = {path: provenance.facts(path, PredictionFacts) for path in paths}
    if combination is not None:
        # Its parameters are those of probabilities; the search refuses ranks, too.
        for path in paths:
            refuse_ranks(path, facts[path])
    task = _common_task(facts)
    # In parallel: one file is checked while the next is parsed.
    with threads(compute_threads()) as pool:
        try:
            members = list(pool.map(tasks.find(task).read, paths))
        except InputError:
            # Without the column of a class nothing sums to one.
            found = [classes_in(path) for path in paths]
            _refuse_lost_classes(found, paths)
            raise
    members = aligned(members, paths)
    if classes:
        check_classes(paths[0], members[0].classes, classes, "the weights")
    tables = [member.probabilities for member in members]
    if combination is not None:
        shape = (len(tables), tables[0].shape[1])
        combined: Floats = restored(combination, *shape, tasks.find(task))(tables)
    elif class_weights is not None:
        combined = by_class(tables, class_weights)
    else:
        combined = combine(tables, method, weights, task, power=power)
    result, notes = _result(members, paths, combined)
    shared, dropped = shared_facts(facts)
    hashes = provenance.hashes(paths)
    arguments: dict[str, object] = {"method": method, "weights": weights}
    if method == "power":
        arguments["power"] = power
    ensemble = EnsembleFacts(
        members=[str(path) for path in paths],
        method=method,
        weights=shares,
        made_of=[
            EvidenceTrace(
                runs=known.runs or None,
                pool=known.pool,
                out_of_fold=known.out_of_fold or None,
                ensemble=known.ensemble,
            )
            for known in facts.values()
        ],
        power=power if method == "power" else None,
        class_weights=None if class_weights is None else class_weights.tolist(),
        combination=combination,
        **vars(made or WeightOrigin()),
    )
    if method == "rank-mean" and len(members) > 1:
        shared = replace(shared, scores=RANKS)
        if tasks.find(task).numbers:
            notes.append("the numbers are mean ranks from 0 to 1: right for spearman alone")
    with together():
        write_predictions(output, result, force=force)
        provenance.record(
            output,
            command="ensemble",
            arguments=arguments,
            inputs=hashes,
            facts=replace(shared, ensemble=ensemble, out_of_fold=out_of_fold),
        )
    return Ensemble(result, shares, _agreement(tables, task), task, (*notes, *dropped))


def _agreement(tables: Sequence[Floats], task: str) -> float:
    if tasks.find(task).numbers:
        # Of two members at a time, number by number; constant numbers correlate with none.
        columns = np.stack(tables).astype(np.float64)  # (M, N, T)
        apart = columns - columns.mean(axis=1, keepdims=True)
        apart /= np.maximum(np.sqrt((apart**2).sum(axis=1, keepdims=True)), TINY)
        return float(np.einsum("ant,bnt->tab", apart, apart).min())
    answers = np.stack([tasks.find(task).answers(table) for table in tables])
    return float((answers == answers[0]).all(axis=0).mean())


def _common_task(facts: Mapping[Path, PredictionFacts]) -> str:
    recorded = {path: task_of(path, known) for path, known in facts.items() if known.task}
    if len(set(recorded.values())) > 1:
        named = ", ".join(f"{path}: {task}" for path, task in recorded.items())
        raise InputError(f"these predictions are of different tasks ({named})")
    return str(next(iter(recorded.values()), None) or task_here())


def _result(
    members: Sequence[Predictions], paths: Sequence[Path], probabilities: Floats
) -> tuple[Predictions, list[str]]:
    first, notes = members[0], []
    if any(member.pred is not None for member in members):
        names = ", ".join(str(p) for p, m in zip(paths, members, strict=True) if m.pred is not None)
        notes.append(f"the decisions (column pred) of {names} are left out")
    fold: Any = first.fold
    # No fold at all is alike, too.
    folds: list[Any] = [member.fold for member in members]
    if not all(np.array_equal(fold, one) for one in folds):
        notes.append("the members' folds differ: the column fold is left out")
        fold = None
    return replace(first, probabilities=probabilities, pred=None, fold=fold), notes


def aligned(members: Sequence[Predictions], paths: Sequence[Path]) -> list[Predictions]:
    """The members with their rows in the order of the first; classes and ids have to agree."""
    first = members[0]
    index = pd.Index(first.ids)
    _refuse_lost_classes([member.classes for member in members], paths)
    for member, path in zip(members[1:], paths[1:], strict=True):
        _check_class_order(first.classes, member.classes, paths[0], path)
    return [first] + [
        in_order(index, member, paths[0], path)
        for member, path in zip(members[1:], paths[1:], strict=True)
    ]


def in_order(index: pd.Index, member: Predictions, first: Path, path: Path) -> Predictions:
    """The rows of ``member``, from ``path``, in the order of the ids of ``first``."""
    if np.array_equal(index.to_numpy(), member.ids):
        return member
    own = pd.Index(member.ids)
    rows = own.get_indexer(index)
    extra = own[index.get_indexer(own) < 0]
    if len(extra):
        raise InputError(f"{len(extra)} ids are not in {first}", file=path, values=extra.tolist())
    missing = index[rows < 0]
    if len(missing):
        raise InputError(f"lacks {len(missing)} ids of {first}", file=path, values=missing.tolist())
    return member.take(rows)


def _refuse_lost_classes(classes: Sequence[Sequence[str]], paths: Sequence[Path]) -> None:
    """Refuse a file without the column of a class that another one has."""
    most = max(range(len(paths)), key=lambda place: len(classes[place]))
    for own, path in zip(classes, paths, strict=True):
        if missing := [name for name in classes[most] if name not in set(own)]:
            what = f"has no column for {lost(missing)}, which {paths[most]} has"
            if other := [name for name in own if name not in set(classes[most])]:
                what += f", and one for {quoted(other)}"
            raise InputError(what, file=path, mend=REMAKE)


def _check_class_order(
    classes: Sequence[str], other: Sequence[str], first: Path, path: Path
) -> None:
    if tuple(classes) != tuple(other):
        raise InputError(
            f"has its classes in another order than {first} ({', '.join(classes)})",
            file=path,
            values=other,
            mend="Make both with the same class order; columns are not reordered",
        )


def shared_facts(facts: Mapping[Path, PredictionFacts]) -> tuple[PredictionFacts, list[str]]:
    """Facts on which the members agree, as far as recorded, and notes on those that are dropped.

    ``runs`` are concatenated; a ``leak`` of a member is a leak of the ensemble.
    """
    documents = [known.document() for known in facts.values()]
    keys = dict.fromkeys(key for known in documents for key in known if key not in MADE)
    shared: dict[str, Any] = {}
    notes = []
    for key in keys:
        values = [known[key] for known in documents if key in known]
        if key == "runs":
            shared[key] = list(dict.fromkeys(run for runs in values for run in runs))
        elif key == "leak":
            shared[key] = next((value for value in values if value), None)
        elif all(value == values[0] for value in values):
            shared[key] = values[0]
        else:
            notes.append(f"the members' {key} differ and are not recorded")
    return PredictionFacts(**shared), notes
