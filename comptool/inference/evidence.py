"""Whether test-time augmentation helps, told by the rows that a run has not been trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from comptool.classes import check_classes
from comptool.errors import InputError
from comptool.evaluation import metrics
from comptool.inference.computing import Computing
from comptool.inference.members import held_out
from comptool.inference.plan import Plan
from comptool.inference.predict import Probabilities, predict
from comptool.inference.schemes import Scheme
from comptool.runs import OOF
from comptool.samples import Samples
from comptool.tables import read_table
from comptool.training.labelled import label_indices


@dataclass(frozen=True)
class Evidence:
    """A metric on out-of-fold rows, without and with test-time augmentation.

    Parameters
    ----------
    metric
        Its name.
    num_rows
        Rows that it is taken over.
    plain, augmented
        Its values.
    greater_is_better
        Which way is up.
    in_sample
        Whether the rows chose the views, so that the second value is too good.
    """

    metric: str
    num_rows: int
    plain: float
    augmented: float
    greater_is_better: bool
    in_sample: bool = False

    @property
    def gain(self) -> float:
        """How much better the metric is with augmentation; negative where it hurts."""
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
    """The rows that runs have not been trained on, under several schemes.

    Parameters
    ----------
    ids
        Of the N rows, in order, shape (N,).
    targets
        Class indices of shape (N,), or 1, 0 and -1 of shape (N, K).
    folds
        In which each was validated, shape (N,); None where that differs between runs.
    tables
        One array of probabilities of shape (N, K) per scheme.
    sources
        Where the labels are from.
    """

    ids: npt.NDArray[np.object_]
    targets: npt.NDArray[np.integer]
    folds: npt.NDArray[np.integer] | None
    tables: list[Probabilities]
    sources: tuple[Path, ...]


def predict_held_out(plan: Plan, schemes: Sequence[Scheme], computing: Computing) -> HeldOut:
    """Predict the rows that each member of a plan has held out; every view is computed once.

    A row that several members held out, as the same fold of several runs, gets their mean.

    Raises
    ------
    InputError
        If there is no evidence, and why: a run that held nothing out, or that started from weights
        which had seen its validation; a table or an image that is not here any more.
    """
    for member in plan.members:
        if member.header.get("leak"):
            raise InputError(str(member.header["leak"]), file=member.folder)
    rows: dict[str, list[_Row]] = {}
    sources = []
    for member in plan.members:
        samples = held_out(member, plan.competition)
        tables, _ = predict([member], samples, schemes, replace(computing, purpose="validate"))
        labels = _targets(samples, member.header)
        folds = read_table(member.folder / OOF)["fold"].tolist()
        sources.append(samples.source)
        for place, identity in enumerate(samples.frame[samples.id]):
            row = _Row(labels[place], int(folds[place]), [table[place] for table in tables])
            rows.setdefault(identity, []).append(row)
    return _merged(rows, len(schemes), tuple(dict.fromkeys(sources)))


def weigh(plan: Plan, held: HeldOut, in_sample: bool = False) -> Evidence:
    """The plan's metric on rows that were predicted plain and, second, with augmentation.

    Parameters
    ----------
    plan
        Names the metric.
    held
        From `predict_held_out`.
    in_sample
        Whether these rows chose the views.
    """
    metric = plan.header["metric"]
    plain, augmented = (float(metrics.score(metric, held.targets, one)) for one in held.tables)
    up = bool(metrics.table(plan.header["task"]).find(metric).greater_is_better)
    return Evidence(metric, len(held.ids), plain, augmented, up, in_sample)


def _targets(samples: Samples, header: dict[str, Any]) -> npt.NDArray[np.integer]:
    """Class indices of shape (N,), or multi-label cells of shape (N, K)."""
    classes = header["classes"]
    if header["task"] != "multilabel":
        return label_indices(samples, classes)
    check_classes(samples.source, samples.labels, classes, "the run")
    return samples.label_matrix()


class _Row(NamedTuple):
    label: npt.NDArray[np.integer]
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
