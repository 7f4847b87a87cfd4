"""One class per image: class indices, softmax, the most probable class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from comptool.tasks.task import LabelFacts, Logit, Task

if TYPE_CHECKING:
    import pandas as pd

    from comptool.tasks.task import Floats, Targets


BINARY = 2  # classes


class Multiclass(Task):
    """One class per image."""

    name = "multiclass"
    has = "one class"
    cells = False
    sums_to_one = True
    default_loss = "ce"
    default_metric = "accuracy"
    shown_metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "balanced-accuracy",
        "macro-f1",
        "kappa",
    )
    unit = "rows"
    steps: ClassVar[Mapping[str, str]] = {
        "review": "comptool.label_review.confident_learning:review_classes",
        "pseudo-label": "comptool.postprocess.pseudo_labels.selection:label_classes",
        "precision": "comptool.postprocess.pseudo_labels.expected_precision:expect_of_rows",
        "grade": "comptool.reports.score:grade_classes",
        "pool-logits": "comptool.models.bag_pooling:pool_classes",
    }

    def probabilities(self, logits: Floats) -> Floats:
        from scipy.special import softmax

        return np.asarray(softmax(logits, axis=-1))

    def activate(self, logits: Logit) -> Logit:
        activated: Logit = logits.float().softmax(dim=1)
        return activated

    def choices(self, logits: Floats) -> Floats:
        return logits

    def chosen(self, shares: Floats) -> Floats:
        return shares

    def answers(self, probabilities: Floats) -> npt.NDArray[Any]:
        return np.asarray(probabilities.argmax(axis=1))

    def ballots(self, probabilities: Floats) -> Floats:
        return np.asarray(np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)])

    def normalised(self, scores: Floats) -> Floats:
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    def pool(self, probabilities: Floats, bags: npt.NDArray[np.integer], how: str) -> Floats:
        from comptool.tasks.pooling import MEAN, pooled, pooled_in_order

        # Of two classes the second is that of a finding, which one image is enough for.
        if how == MEAN or probabilities.shape[1] > BINARY:
            return self.normalised(pooled(probabilities, bags, how))
        return pooled_in_order(probabilities, bags, how)

    def counts(self, targets: Targets, num_classes: int) -> npt.NDArray[np.int64]:
        return np.bincount(targets, minlength=num_classes)

    def annotated(self, targets: npt.NDArray[Any], num_classes: int) -> npt.NDArray[np.int64]:
        return np.full(num_classes, len(targets))

    def blank_targets(self, num_rows: int, num_classes: int) -> npt.NDArray[Any]:
        return np.zeros(num_rows, np.int64)

    def check_labels(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> None:
        from comptool.tasks.labels import check_label_column

        check_label_column(facts, source, frame)

    def classes_of(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        from comptool.tasks.labels import class_names

        return class_names(frame[facts.label])

    def cell_classes(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        return ()

    def assumed_metric(
        self, num_answers: int, *, one_probability: bool = False, every_class: bool = False
    ) -> str:
        if one_probability:
            return "auc"
        return "logloss" if every_class else self.default_metric
