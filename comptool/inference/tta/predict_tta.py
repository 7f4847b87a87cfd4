"""The ``tta`` command: predictions over views, and the out-of-fold search for views.

``preds_tta.csv`` comes with ``oof_preds_tta.csv``, the out-of-fold rows under the same views, which
ensembles, recalibration and pseudo-labels are tuned on. Of searched views, each row uses weights
chosen without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from comptool.competition.classes import check_classes
from comptool.competition.samples import Samples
from comptool.errors import InputError, UsageError
from comptool.inference.config import Computing
from comptool.inference.infer import write
from comptool.inference.plan import InferencePlan, held_out
from comptool.inference.predict import Prediction, Probabilities, predict
from comptool.inference.tta.policies import IDENTITY, PLAIN, Scheme, views_path
from comptool.io import provenance
from comptool.io.atomic import atomic_output, refuse_existing, together
from comptool.io.predictions import Predictions
from comptool.io.records import RunHeader, ViewWeights, named_by
from comptool.io.runs import BEST, held_out_images
from comptool.io.tables import read_table
from comptool.metrics import Metric
from comptool.postprocess.ensemble.nested_cv import ViewChoice, choose_views
from comptool.postprocess.oof import nested_folds, read_labelled, rows_path, write_rows
from comptool.training.data import FOLD, true_labels


@dataclass(frozen=True)
class ViewEvidence:
    """A metric on out-of-fold rows, without and with test-time augmentation."""

    metric: str  # its name
    num_rows: int  # rows that it is taken over
    plain: float
    augmented: float
    greater_is_better: bool  # which way is up
    # whether the views were chosen on the same rows, which makes the second value optimistic
    in_sample: bool = False

    @property
    def gain(self) -> float:
        """Gain of the metric by augmentation; negative for a loss."""
        change = self.augmented - self.plain
        return change if self.greater_is_better else -change

    def summary(self) -> dict[str, Any]:
        """The figures for a record."""
        return {
            "metric": self.metric,
            "rows": self.num_rows,
            "plain": self.plain,
            "tta": self.augmented,
            "gain": self.gain,
            "in_sample": self.in_sample,
        }

    def __str__(self) -> str:
        figures = (
            f"{self.metric} on {self.num_rows} out-of-fold rows: {self.plain:.4f} plain, "
            f"{self.augmented:.4f} with TTA ({self.augmented - self.plain:+.4f})"
        )
        if self.in_sample:
            figures += "; too good, because these rows chose the views"
        if self.gain < 0:
            return f"{figures}. TTA HURTS this run; submit what 'comptool infer' gives"
        return figures if self.gain else f"{figures}. TTA changes nothing here"


@dataclass(frozen=True)
class HeldOut:
    """The out-of-fold rows of runs under several schemes."""

    ids: npt.NDArray[np.object_]  # of the N rows, in order, shape (N,)
    targets: npt.NDArray[Any]  # class indices of shape (N,), or 1, 0 and -1 of shape (N, K)
    # validation fold of each, shape (N,); None if it differs between runs
    folds: npt.NDArray[np.integer] | None
    tables: list[Probabilities]  # one array of probabilities of shape (N, K) per scheme
    sources: tuple[Path, ...]  # where the labels are from


def predict_held_out(
    plan: InferencePlan, schemes: Sequence[Scheme], computing: Computing
) -> HeldOut:
    """Predict the out-of-fold rows of each member, averaged over members with the same rows."""
    for member in plan.members:
        if member.header.leak:
            raise InputError(str(member.header.leak), file=member.folder)
    rows: dict[str, list[_Row]] = {}
    sources = []
    for member in plan.members:
        samples = held_out(member, plan.competition)
        folds = read_table(held_out_images(member.folder))["fold"].tolist()
        samples = replace(samples, frame=samples.frame.assign(**{FOLD: folds}))
        if plan.bags is not None:
            samples = samples.in_bag_order()
        checking = replace(computing, purpose="validate")
        tables, _ = predict([member], samples, schemes, checking, plan.pool)
        sources.append(samples.source)
        if plan.bags is not None:
            samples = samples.by_bag()
        labels, folds = _targets(samples, member.header), samples.frame[FOLD].tolist()
        for place, identity in enumerate(samples.frame[samples.id]):
            row = _Row(labels[place], int(folds[place]), [table[place] for table in tables])
            rows.setdefault(identity, []).append(row)
    return _merged(rows, len(schemes), tuple(dict.fromkeys(sources)))


def weigh(plan: InferencePlan, held: HeldOut, in_sample: bool) -> ViewEvidence:
    """The plan's metric on rows predicted without and with augmentation."""
    metric = _metric(plan)
    plain, augmented = (metric.score(held.targets, one) for one in held.tables)
    return ViewEvidence(
        metric.name, len(held.ids), plain, augmented, metric.greater_is_better, in_sample
    )


def _metric(plan: InferencePlan) -> Metric:
    """The metric that the runs were validated by, with its options."""
    header = plan.header
    with named_by(plan.members[0].folder / BEST, "metric"):
        return plan.competition.find_metric(
            header.metric, options=header.metric_options, classes=header.classes
        )


def _targets(samples: Samples, header: RunHeader) -> npt.NDArray[Any]:
    if columns := samples.labels or samples.numbers:
        check_classes(samples.source, columns, header.classes, "the run")
    return true_labels(samples, header.classes)


class _Row(NamedTuple):
    label: npt.NDArray[Any]
    fold: int
    tables: list[Probabilities]


def _merged(rows: Mapping[str, list[_Row]], num_tables: int, sources: tuple[Path, ...]) -> HeldOut:
    ids = sorted(rows)
    several = [rows[identity] for identity in ids]
    agreed = all(len({row.fold for row in some}) == 1 for some in several)
    return HeldOut(
        ids=np.array(ids, dtype=object),
        targets=np.stack([some[0].label for some in several]),
        folds=np.array([some[0].fold for some in several]) if agreed else None,
        tables=[
            np.stack([np.mean([row.tables[place] for row in some], axis=0) for some in several])
            for place in range(num_tables)
        ],
        sources=sources,
    )


FORMAT = 1


@dataclass(frozen=True)
class Augmented:
    """Result of a plan."""

    findings: list[str]  # sentences about odd images
    scheme: Scheme  # the views that were taken
    evidence: dict[str, Any] | str  # the figures on out-of-fold rows, or why there are none
    verdict: str  # the same in words


def tta(
    plan: InferencePlan,
    scheme: Scheme,
    computing: Computing,
    arguments: Mapping[str, object],
    *,
    search: str | None = None,
    seed: int = 0,
) -> Augmented:
    """Predict the plan's samples with several views and write its output, with its record.

    ``search`` and ``seed`` choose views by `search_views`; None takes all of the scheme. Raises an
    InputError if an image, a checkpoint or the output cannot be used (nothing is written then), a
    UsageError if the device is missing or out of memory, or a network does not take a view.
    """
    if search is not None:
        return search_views(plan, scheme, computing, arguments, how=search, seed=seed)
    refuse_existing(rows_path(plan.output), plan.force)
    provenance.stop_if_done(plan.output, plan.inputs, plan.facts, force=plan.force)
    prediction = Prediction(plan.members, plan.samples, [scheme], computing, plan.pool)
    held, in_sample = None, bool(scheme.chosen_on)
    figures: dict[str, Any] | str
    try:
        held = predict_held_out(plan, [PLAIN, scheme], computing)
        evidence = weigh(plan, held, in_sample)
        figures, verdict = evidence.summary(), str(evidence)
    except InputError as error:
        # The predictions do not need the training images, which may have moved.
        figures = verdict = f"no evidence that TTA helps: {error}"
    with together():
        # The views were chosen on these rows.
        rows = None if held is None or in_sample else _write_rows(plan, held, held.tables[1])
        _write(plan, prediction, scheme, arguments, figures, rows)
    return Augmented(prediction.findings(), scheme, figures, verdict)


def search_views(
    plan: InferencePlan,
    candidates: Scheme,
    computing: Computing,
    arguments: Mapping[str, object],
    *,
    how: str,
    seed: int = 0,
) -> Augmented:
    """Choose views on out-of-fold rows, and predict the plan's samples with those."""
    if candidates.merge != "mean" or candidates.weights:
        raise UsageError(
            "--search finds weights of the mean: take --merge mean and groups of views"
        )
    more = (views_path(plan.output), rows_path(plan.output))
    for path in more:
        refuse_existing(path, plan.force)
    provenance.stop_if_done(plan.output, plan.inputs, plan.facts, also=more, force=plan.force)
    for run in plan.runs:
        read_labelled(str(run), plan.competition, plan.pool)
    names = tuple(dict.fromkeys((IDENTITY, *candidates.views)))
    held = predict_held_out(plan, [Scheme((name,), "mean") for name in names], computing)
    choice = choose_views(
        dict(zip(names, held.tables, strict=True)),
        IDENTITY,
        held.targets,
        _metric(plan),
        nested_folds(held.ids, held.folds),
        how=how,
        seed=seed,
    )
    scheme = Scheme(names, "mean", tuple(choice.weights.tolist())).used()
    prediction = Prediction(plan.members, plan.samples, [scheme], computing, plan.pool)
    figures = choice.summary()
    with together():
        _write_views(plan, scheme, {"how": how, "seed": seed, "candidates": names}, choice)
        rows = _write_rows(plan, held, choice.blend)
        _write(plan, prediction, scheme, arguments, figures, rows)
    return Augmented(prediction.findings(), scheme, figures, choice.text())


def _write(
    plan: InferencePlan,
    prediction: Prediction,
    scheme: Scheme,
    arguments: Mapping[str, object],
    evidence: dict[str, Any] | str,
    out_of_fold: str | None,
) -> None:
    facts = replace(
        plan.facts,
        views=list(scheme.views),
        merge=scheme.merge,
        weights=list(scheme.weights),
        evidence=evidence,
        out_of_fold=out_of_fold,
    )
    write(plan, prediction, command="tta", arguments=arguments, facts=facts)


def _write_rows(plan: InferencePlan, held: HeldOut, table: np.ndarray[Any, Any]) -> str:
    """Write out-of-fold rows and return their path."""
    return write_rows(
        plan.output,
        Predictions(held.ids, tuple(plan.header.classes), table, fold=held.folds),
        command="tta",
        inputs=[*held.sources, *plan.inputs[1:]],
        facts=replace(plan.facts, samples=None),
        force=plan.force,
    )


def _write_views(
    plan: InferencePlan, scheme: Scheme, search: Mapping[str, object], choice: ViewChoice
) -> None:
    made = ViewWeights(
        format=FORMAT,
        views=list(scheme.views),
        weights=list(scheme.weights),
        runs=[str(run) for run in plan.runs],
        search=dict(search),
        scores=choice.summary(),
    )
    with atomic_output(views_path(plan.output), force=plan.force) as temporary:
        temporary.write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8")
    provenance.record(
        views_path(plan.output), command="tta", arguments=search, inputs=plan.inputs[1:]
    )
