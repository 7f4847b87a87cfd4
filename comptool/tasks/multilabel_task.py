"""Several labels per image: cells of 1, 0 and -1, a sigmoid of each class, answers above 0.5."""

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

# A class whose probability is above it is answered.
ANSWERED = 0.5


class Multilabel(Task):
    """Several labels per image."""

    name = "multilabel"
    has = "several labels"
    cells = True
    sums_to_one = False
    # bce before asl: its sigmoids are probabilities, as thresholds and pseudo-labels need them.
    # It also ranked better: mAP 0.589 and 0.538 against 0.549 and 0.527 (two seeds of 20 epochs of
    # mobilenetv3_small_100 at 64 pixels on `simulate aicoss --scale 0.01`).
    default_loss = "bce"
    default_metric = "map"
    shown_metrics = ("map", "macro-f1")
    unit = "cells, image by class"
    refused: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("drop_classes", "per_class", "weighting", "class_weights"), "needs one class per image"
    )
    steps: ClassVar[Mapping[str, str]] = {
        "review": "comptool.label_review.issues:review_cells",
        "pseudo-label": "comptool.postprocess.pseudo_labels.selection:label_cells",
        "precision": "comptool.postprocess.pseudo_labels.expected_precision:expect_of_cells",
        "grade": "comptool.reports.score:grade_cells",
        "pool-logits": "comptool.models.bag_pooling:pool_cells",
    }

    def probabilities(self, logits: Floats) -> Floats:
        from scipy.special import expit

        return np.asarray(expit(logits))

    def activate(self, logits: Logit) -> Logit:
        # In half precision a sigmoid would be 1 from a logit of 8.4 on, and such cells would tie.
        activated: Logit = logits.float().sigmoid()
        return activated

    def choices(self, logits: Floats) -> Floats:
        return np.stack([np.zeros_like(logits), logits], axis=-1)

    def chosen(self, shares: Floats) -> Floats:
        return np.asarray(shares[..., 1])

    def answers(self, probabilities: Floats) -> npt.NDArray[Any]:
        return np.asarray(probabilities > ANSWERED)

    def ballots(self, probabilities: Floats) -> Floats:
        return (probabilities > ANSWERED).astype(np.float64)

    def normalised(self, scores: Floats) -> Floats:
        return scores

    def pool(self, probabilities: Floats, bags: npt.NDArray[np.integer], how: str) -> Floats:
        from comptool.tasks.pooling import pooled

        return pooled(probabilities, bags, how)

    def counts(self, targets: Targets, num_classes: int) -> npt.NDArray[np.int64]:
        return np.asarray((targets == 1).sum(axis=0), np.int64)

    def annotated(self, targets: npt.NDArray[Any], num_classes: int) -> npt.NDArray[np.int64]:
        return np.asarray((targets != -1).sum(axis=0), np.int64)

    def blank_targets(self, num_rows: int, num_classes: int) -> npt.NDArray[Any]:
        return np.zeros((num_rows, num_classes), np.float32)

    def check_labels(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> None:
        from comptool.tasks.labels import check_columns

        # Cells are checked where they are read, by comptool.tasks.labels.
        check_columns(facts, source, frame)

    def classes_of(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        from comptool.tasks.labels import joined_classes

        return facts.labels or joined_classes(facts, source, frame[facts.label])

    def cell_classes(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        from comptool.tasks.labels import check_class_names

        classes = self.classes_of(facts, source, frame)
        check_class_names(facts, source, classes)
        return classes

    def assumed_metric(
        self, num_answers: int, *, one_probability: bool = False, every_class: bool = False
    ) -> str:
        # Lists of labels have no order that a mean precision could judge.
        return "macro-f1" if num_answers == 1 else self.default_metric
