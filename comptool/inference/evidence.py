"""Whether test-time augmentation helps, told by the rows that a run has not been trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from comptool.classes import against
from comptool.errors import InputError
from comptool.evaluation import metrics
from comptool.inference.members import held_out
from comptool.inference.plan import Plan
from comptool.inference.predict import Computing, Probabilities, predict
from comptool.inference.schemes import PLAIN, Scheme
from comptool.samples import Samples
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
    """

    metric: str
    num_rows: int
    plain: float
    augmented: float
    greater_is_better: bool

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
        }

    def __str__(self) -> str:
        figures = (
            f"{self.metric} on {self.num_rows} out-of-fold rows: {self.plain:.4f} plain, "
            f"{self.augmented:.4f} with TTA ({self.augmented - self.plain:+.4f})"
        )
        if self.gain < 0:
            return f"{figures}. TTA HURTS this run; submit what 'comptool infer' gives"
        return figures if self.gain else f"{figures}. TTA changes nothing here"


def weigh(plan: Plan, scheme: Scheme, computing: Computing) -> Evidence:
    """Predict the rows that each member of a plan has held out, without and with ``scheme``.

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
    for member in plan.members:
        samples = held_out(member, plan.competition)
        predicted, _ = predict(
            [member], samples, [PLAIN, scheme], replace(computing, purpose="validate")
        )
        labels = _targets(samples, member.header)
        for place, identity in enumerate(samples.frame[samples.id]):
            row = _Row(labels[place], predicted[0][place], predicted[1][place])
            rows.setdefault(identity, []).append(row)
    labels = np.stack([several[0].label for several in rows.values()])
    plain = [np.mean([row.plain for row in several], axis=0) for several in rows.values()]
    augmented = [np.mean([row.augmented for row in several], axis=0) for several in rows.values()]
    metric = plan.header["metric"]
    return Evidence(
        metric,
        len(rows),
        float(metrics.score(metric, labels, np.stack(plain))),
        float(metrics.score(metric, labels, np.stack(augmented))),
        bool(metrics.table(plan.header["task"]).find(metric).greater_is_better),
    )


def _targets(samples: Samples, header: dict[str, Any]) -> npt.NDArray[np.integer]:
    """Class indices of shape (N,), or multi-label cells of shape (N, K)."""
    classes = header["classes"]
    if header["task"] != "multilabel":
        return label_indices(samples, classes)
    if list(samples.labels) != list(classes):
        raise InputError(
            "its classes are not those of the run: " + against(samples.labels, classes),
            file=samples.source,
        )
    return samples.label_matrix()


class _Row(NamedTuple):
    label: npt.NDArray[np.integer]
    plain: Probabilities
    augmented: Probabilities
