"""One number or several per image: the outputs of the network on the scale of the labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError, UsageError
from comptool.tasks.task import LabelFacts, Logit, Task

if TYPE_CHECKING:
    import pandas as pd

    from comptool.tasks.task import Floats, Targets

OF_CLASSES = "is for classes"


class Regression(Task):
    """One number or several per image."""

    name = "regression"
    has = "a number"
    numbers = True
    sums_to_one = False
    default_loss = "mse"
    default_metric = "rmse"
    shown_metrics = ("rmse", "mae", "r2", "spearman")
    unit = "rows"
    refused: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "balance",
            "drop_classes",
            "per_class",
            "weighting",
            "class_weights",
            "balanced_mixup",
        ),
        OF_CLASSES,
    )
    steps: ClassVar[Mapping[str, str]] = {
        "grade": "comptool.reports.score:grade_numbers",
        "pool-logits": "comptool.models.bag_pooling:pool_numbers",
    }

    def probabilities(self, logits: Floats) -> Floats:
        return logits

    def activate(self, logits: Logit) -> Logit:
        activated: Logit = logits.float()
        return activated

    def choices(self, logits: Floats) -> Floats:
        return logits

    def chosen(self, shares: Floats) -> Floats:
        return shares

    def answers(self, probabilities: Floats) -> npt.NDArray[Any]:
        return probabilities

    def ballots(self, probabilities: Floats) -> Floats:
        return probabilities

    def normalised(self, scores: Floats) -> Floats:
        return scores

    def pool(self, probabilities: Floats, bags: npt.NDArray[np.integer], how: str) -> Floats:
        from comptool.tasks.pooling import NOISY_OR, pooled

        if how == NOISY_OR:
            raise UsageError(f"--pool {NOISY_OR} is for probabilities, and the task is {self}")
        return pooled(probabilities, bags, how)

    def counts(self, targets: Targets, num_classes: int) -> npt.NDArray[np.int64]:
        return np.full(num_classes, len(targets))

    def annotated(self, targets: npt.NDArray[Any], num_classes: int) -> npt.NDArray[np.int64]:
        return self.counts(targets, num_classes)

    def blank_targets(self, num_rows: int, num_classes: int) -> npt.NDArray[Any]:
        return np.zeros((num_rows, num_classes), np.float32)

    def number_columns(self, facts: LabelFacts) -> tuple[str, ...]:
        return facts.labels or (facts.label,)

    def check_labels(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> None:
        from comptool.io.predictions import RESERVED
        from comptool.tasks.labels import check_columns, matrix_of_numbers

        check_columns(facts, source, frame)
        columns = self.number_columns(facts)
        reserved = [name for name in columns if name in (*RESERVED, facts.id)]
        if reserved:
            raise InputError(
                "a label cannot be called like a column of prediction files",
                file=source,
                values=reserved,
                mend="Rename the column in all tables, and in the submission back",
            )
        matrix_of_numbers(source, frame, columns)

    def classes_of(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        return self.number_columns(facts)

    def cell_classes(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        return ()

    def assumed_metric(
        self, num_answers: int, *, one_probability: bool = False, every_class: bool = False
    ) -> str:
        return self.default_metric
