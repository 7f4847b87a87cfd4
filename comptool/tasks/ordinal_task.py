"""One of several grades in order: conditional sigmoids, and probabilities as for one class.

A network has K - 1 outputs z for K grades: P(y > k | y > k - 1) = sigmoid(z_k) for k = 0..K-2, as
in CORN (Shi, Cao & Raschka 2021, arXiv:2111.08851, equations 3 and 4). The probability of a grade
is a difference of P(y > k), so that rows of K probabilities sum to one whatever the outputs are,
and all that reads class probabilities reads these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.tasks.multiclass_task import Multiclass
from comptool.tasks.task import LabelFacts, Logit

if TYPE_CHECKING:
    import pandas as pd

    from comptool.tasks.task import Floats

ONE_TEXT = "Write each grade in one way"


class Ordinal(Multiclass):
    """One of several grades in order per image."""

    name = "ordinal"
    like = ("multiclass",)
    has = "one grade"
    ordered = True
    default_loss = "corn"
    default_metric = "quadratic-kappa"
    shown_metrics: ClassVar[tuple[str, ...]] = (
        "quadratic-kappa",
        "accuracy",
        "balanced-accuracy",
        "macro-f1",
        "kappa",
    )
    steps: ClassVar[Mapping[str, str]] = {
        **Multiclass.steps,
        "pool-logits": "comptool.models.bag_pooling:pool_grades",
    }
    refused: ClassVar[Mapping[str, str]] = {
        "drop_classes": "leaves a class out, and an output is of all grades above another",
    }

    def outputs(self, num_classes: int) -> int:
        return num_classes - 1

    def probabilities(self, logits: Floats) -> Floats:
        return np.exp(self.choices(logits))

    def choices(self, logits: Floats) -> Floats:
        # log sigmoid(z) is -log(1 + exp(-z)).
        above = -np.logaddexp(0, -logits)
        here = -np.logaddexp(0, logits)
        none = np.zeros_like(logits[..., :1])
        reached = np.concatenate([none, np.cumsum(above, axis=-1)], axis=-1)
        return np.asarray(reached + np.concatenate([here, none], axis=-1))

    def activate(self, logits: Logit) -> Logit:
        outputs = logits.float()
        shares = outputs.new_ones((*outputs.shape[:-1], outputs.shape[-1] + 1))
        shares[..., :-1] = (-outputs).sigmoid()
        shares[..., 1:] *= outputs.sigmoid().cumprod(dim=-1)
        activated: Logit = shares
        return activated

    def pool(self, probabilities: Floats, bags: npt.NDArray[np.integer], how: str) -> Floats:
        from comptool.tasks.pooling import pooled_in_order

        return pooled_in_order(probabilities, bags, how)

    def assumed_metric(
        self, num_answers: int, *, one_probability: bool = False, every_class: bool = False
    ) -> str:
        # Grades are ranked by their distance, whatever stands for them.
        return self.default_metric

    def classes_of(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        if facts.classes is not None:
            return facts.classes
        distinct = sorted(set(frame[facts.label]))
        if same := one_number_twice(distinct):
            raise InputError(
                "two texts are one grade",
                file=source,
                column=facts.label,
                values=same,
                mend=ONE_TEXT,
            )
        unordered = [grade for grade in distinct if not math.isfinite(_number(grade))]
        if unordered:
            raise InputError(
                "the order of these grades is not known",
                file=source,
                column=facts.label,
                values=unordered,
                mend="Write all grades into [data] of comptool.toml, the lowest first: "
                'classes = ["mild", "severe"]',
            )
        return tuple(sorted(distinct, key=_number))


def one_number_twice(classes: Iterable[str]) -> list[str]:
    """The first names of classes that are the same number, such as 1 and 1.0; none if none are."""
    found: dict[float, list[str]] = {}
    for name in classes:
        if math.isfinite(number := _number(name)):
            found.setdefault(number, []).append(name)
    return next((names for names in found.values() if len(names) > 1), [])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def expected_grades(probabilities: Floats) -> Floats:
    """Mean grade, 0 to K - 1, of the probabilities (N, K) of each row: shape (N,)."""
    return np.asarray(probabilities @ np.arange(probabilities.shape[-1]), np.float64)
