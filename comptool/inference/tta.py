"""``comptool tta``: a plan carried out with several views of each image, and what that is worth.

Beside ``preds_tta.csv`` stands ``oof_preds_tta.csv``, the out-of-fold rows under the same views, so
that whatever follows (ensembles, recalibration, pseudo-labels) is weighed by what it starts from;
of searched views, each row is by weights that were chosen without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from comptool import provenance
from comptool.decisions.ensembles.views import ViewChoice, choose_views
from comptool.decisions.rows_beside import rows_path, write_rows
from comptool.errors import InputError, UsageError
from comptool.evaluation.out_of_fold import nested_folds, read_labelled
from comptool.inference.computing import Computing
from comptool.inference.evidence import HeldOut, predict_held_out, weigh
from comptool.inference.infer import write
from comptool.inference.plan import Plan
from comptool.inference.predict import Prediction
from comptool.inference.schemes import IDENTITY, PLAIN, Scheme, views_path
from comptool.outputs import atomic_output, refuse_existing, together
from comptool.predictions import Predictions

FORMAT = 1


@dataclass(frozen=True)
class Augmented:
    """What came of a plan.

    Parameters
    ----------
    num_rows
        Rows predicted.
    findings
        Sentences about odd images.
    scheme
        The views that were taken.
    evidence
        The figures on out-of-fold rows, or why there are none.
    verdict
        The same in words.
    """

    num_rows: int
    findings: list[str]
    scheme: Scheme
    evidence: dict[str, Any] | str
    verdict: str


def tta(
    plan: Plan,
    scheme: Scheme,
    computing: Computing,
    arguments: Mapping[str, object],
    *,
    search: str | None = None,
    seed: int = 0,
) -> Augmented:
    """Predict the plan's samples with several views and write its output, with its record.

    Parameters
    ----------
    plan
        What to predict, and with which runs.
    scheme
        The views, and how they are merged within each network; networks are averaged.
    computing
        Device, precision and the like.
    arguments
        The command's arguments, for the record.
    search, seed
        How views are chosen among those of the scheme, by `search_views`; None takes all.

    Raises
    ------
    InputError
        If an image, a checkpoint or the output cannot be used; nothing is written then.
    UsageError
        If the device is not there or out of memory, or a network does not take a view.
    """
    if search is not None:
        return search_views(plan, scheme, computing, arguments, how=search, seed=seed)
    refuse_existing(rows_path(plan.output), plan.force)
    prediction = Prediction(plan.members, plan.samples, [scheme], computing)
    held, in_sample = None, bool(scheme.chosen_on)
    figures: dict[str, Any] | str
    try:
        held = predict_held_out(plan, [PLAIN, scheme], computing)
        evidence = weigh(plan, held, in_sample)
        figures, verdict = evidence.summary(), str(evidence)
    except InputError as error:
        # Training images may be elsewhere by now; the predictions do not need them.
        figures = verdict = f"no evidence that TTA helps: {error}"
    with together():
        # Rows that chose the views are no evidence of them.
        rows = {} if held is None or in_sample else _write_rows(plan, held, held.tables[1])
        _write(plan, prediction, scheme, arguments, {"evidence": figures, **rows})
    return Augmented(len(plan.samples), prediction.findings(), scheme, figures, verdict)


def search_views(
    plan: Plan,
    candidates: Scheme,
    computing: Computing,
    arguments: Mapping[str, object],
    *,
    how: str,
    seed: int = 0,
) -> Augmented:
    """Choose views on out-of-fold rows, and predict the plan's samples with those alone.

    Parameters
    ----------
    plan
        What to predict, and with which runs.
    candidates
        The views that there are to choose from; the plain image is always one of them.
    computing, arguments
        As for `tta`.
    how, seed
        See :func:`comptool.decisions.ensembles.search.search`.

    Raises
    ------
    InputError
        As `tta`; also if there are no out-of-fold rows, or they are no evidence.
    UsageError
        As `tta`; also if there is nothing to choose, or the views are not merged by their mean.
    """
    if candidates.merge != "mean" or candidates.weights:
        raise UsageError(
            "--search finds weights of the mean: take --merge mean and groups of views"
        )
    for path in (views_path(plan.output), rows_path(plan.output)):
        refuse_existing(path, plan.force)
    for run in plan.runs:
        read_labelled(str(run), plan.competition)
    names = tuple(dict.fromkeys((IDENTITY, *candidates.views)))
    held = predict_held_out(plan, [Scheme((name,), "mean") for name in names], computing)
    choice = choose_views(
        dict(zip(names, held.tables, strict=True)),
        IDENTITY,
        held.targets,
        plan.header["metric"],
        nested_folds(held.ids, held.folds),
        how=how,
        seed=seed,
    )
    scheme = Scheme(names, "mean", tuple(choice.weights.tolist())).used()
    prediction = Prediction(plan.members, plan.samples, [scheme], computing)
    figures = choice.summary()
    with together():
        _write_views(plan, scheme, {"how": how, "seed": seed, "candidates": names}, choice)
        rows = _write_rows(plan, held, choice.blend)
        _write(plan, prediction, scheme, arguments, {"evidence": figures, **rows})
    return Augmented(len(plan.samples), prediction.findings(), scheme, figures, choice.text())


def _write(
    plan: Plan,
    prediction: Prediction,
    scheme: Scheme,
    arguments: Mapping[str, object],
    facts: Mapping[str, Any],
) -> None:
    made = {"views": list(scheme.views), "merge": scheme.merge, "weights": list(scheme.weights)}
    write(plan, prediction, command="tta", arguments=arguments, facts={**made, **facts})


def _write_rows(plan: Plan, held: HeldOut, table: np.ndarray[Any, Any]) -> dict[str, str]:
    """Write out-of-fold rows, and give the fact that says where they are."""
    return write_rows(
        plan.output,
        Predictions(held.ids, tuple(plan.header["classes"]), table, fold=held.folds),
        command="tta",
        inputs=[*held.sources, *plan.inputs[1:]],
        facts=plan.facts,
        force=plan.force,
    )


def _write_views(
    plan: Plan, scheme: Scheme, search: Mapping[str, object], choice: ViewChoice
) -> None:
    document = {
        "format": FORMAT,
        "views": scheme.views,
        "weights": scheme.weights,
        "runs": [str(run) for run in plan.runs],
        "search": search,
        "scores": choice.summary(),
    }
    with atomic_output(views_path(plan.output), force=plan.force) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    provenance.record(
        views_path(plan.output), command="tta", arguments=search, inputs=plan.inputs[1:]
    )
