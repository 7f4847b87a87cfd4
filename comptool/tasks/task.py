"""`Task`: targets, activation, answers, labels of a table, and the steps that differ by task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from comptool.errors import UsageError
from comptool.registry import Entry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from comptool.io.predictions import Predictions

    Floats = npt.NDArray[np.floating]
    # Class indices and cells are integers, numbers are float64.
    Targets = npt.NDArray[np.integer[Any] | np.floating[Any]]


# Message of a step that a task does not have.
STEPS = {
    "review": "doubtful labels are found by the probability of each class",
    "pseudo-label": "pseudo-labels are chosen by the probability of each class",
    "precision": "the expected precision is that of classes",
    "grade": "nothing grades these answers",
    "pool-logits": "--bag-size needs to know how the outputs for the images of a bag are pooled",
}


class Logits(Protocol):
    """What an activation needs of a tensor of torch, which is not imported here."""

    def float(self) -> Any:
        """In float32."""


Logit = TypeVar("Logit", bound=Logits)


class LabelFacts(Protocol):
    """What a competition says of its labels."""

    @property
    def id(self) -> str:
        """Id column."""

    @property
    def label(self) -> str:
        """Label column; empty where every class has a column."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label columns where every class has one."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """All class names, if they are given."""

    @property
    def train(self) -> Path | None:
        """Training table or folder."""

    @property
    def sample_submission(self) -> Path | None:
        """Sample submission."""


class Task(ABC):
    """What differs between kinds of answers.

    Of N rows and K classes, targets are int64 of shape (N,), or int8 cells of shape (N, K). A task
    of T numbers has its label columns for classes, K = T; its targets are float64 of shape (N, T),
    also for T = 1, and what is called probabilities elsewhere are the predicted numbers, (N, T).

    Attributes
    ----------
    name
        What comptool.toml calls it.
    like
        Names of other tasks whose metrics fit this one too.
    has
        What an image has, in messages: "one class", "several labels".
    cells
        Whether targets are cells, 1 present, 0 absent, -1 not annotated, and not class indices.
    numbers
        Whether targets and predictions are numbers.
    ordered
        Whether the classes are grades: neighbours are nearer than others.
    sums_to_one
        Whether the probabilities of a row sum to one.
    default_loss, default_metric
        What is taken where nothing is named.
    shown_metrics
        What ``evaluate`` shows besides the competition's own metric.
    unit
        What an answer is given to, in messages: "rows", "cells, image by class".
    refused
        Options of ``train`` that have no meaning for the task, by their names in `TrainSettings`,
        and why, in messages after the option.
    steps
        What is done in another way for every task: ``"package.module:function"`` by name, loaded
        when it is needed.
    """

    name: ClassVar[str]
    like: ClassVar[tuple[str, ...]] = ()
    has: ClassVar[str]
    cells: ClassVar[bool] = False
    numbers: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    sums_to_one: ClassVar[bool]
    default_loss: ClassVar[str]
    default_metric: ClassVar[str]
    shown_metrics: ClassVar[tuple[str, ...]]
    unit: ClassVar[str]
    refused: ClassVar[Mapping[str, str]] = {}
    steps: ClassVar[Mapping[str, str]]

    def __str__(self) -> str:
        return self.name

    def step(self, name: str) -> Any:
        """The function of a step; imports its module.

        Raises
        ------
        UsageError
            If the task has no such step.
        """
        if name not in self.steps:
            raise UsageError(f"{STEPS[name]}, and the task is {self}")
        return Entry(name, self.steps[name], "", "").load()

    def takes(self, tasks: Sequence[str]) -> bool:
        """Whether a metric of these tasks fits."""
        return self.name in tasks or any(other in tasks for other in self.like)

    def read(self, path: Path, expected: Sequence[str] = ()) -> Predictions:
        """Read a prediction file with the checks of the task; errors of `read_predictions`."""
        from comptool.io.predictions import read_predictions

        return read_predictions(
            path, sums_to_one=self.sums_to_one, numbers=self.numbers, expected=expected
        )

    def outputs(self, num_classes: int) -> int:
        """The outputs of a network of K classes."""
        return num_classes

    # Numbers.

    @abstractmethod
    def probabilities(self, logits: Floats) -> Floats:
        """Probabilities of logits of shape (..., K)."""

    @abstractmethod
    def activate(self, logits: Logit) -> Logit:
        """`probabilities` of a tensor, in float32."""

    @abstractmethod
    def choices(self, logits: Floats) -> Floats:
        """Logits (..., K) as choices between the values of the last axis."""

    @abstractmethod
    def chosen(self, shares: Floats) -> Floats:
        """Probabilities (..., K) from those of `choices`."""

    @abstractmethod
    def answers(self, probabilities: Floats) -> npt.NDArray[Any]:
        """Class indices (N,), or whether a class is answered (N, K)."""

    @abstractmethod
    def ballots(self, probabilities: Floats) -> Floats:
        """1 for each class that a row is answered with, else 0, of shape (N, K)."""

    @abstractmethod
    def normalised(self, scores: Floats) -> Floats:
        """Scores of shape (N, K), 0 to 1, as probabilities of the task."""

    @abstractmethod
    def pool(self, probabilities: Floats, bags: npt.NDArray[np.integer], how: str) -> Floats:
        """Probabilities (N, K) of images as those of the B bags that they are in, (B, K).

        Parameters
        ----------
        probabilities
            Those of the images.
        bags
            Bag of each image, shape (N,): 0 to B - 1, each at least once.
        how
            A name in `comptool.tasks.pooling.POOLS`.

        Raises
        ------
        UsageError
            If the name is unknown, or has no meaning for the task.
        """

    @abstractmethod
    def counts(self, targets: Targets, num_classes: int) -> npt.NDArray[np.int64]:
        """Rows that have each class, shape (K,)."""

    @abstractmethod
    def annotated(self, targets: npt.NDArray[Any], num_classes: int) -> npt.NDArray[np.int64]:
        """Rows of which it is known whether they have each class, shape (K,)."""

    @abstractmethod
    def blank_targets(self, num_rows: int, num_classes: int) -> npt.NDArray[Any]:
        """Targets to try a loss on."""

    # Tables.

    def number_columns(self, facts: LabelFacts) -> tuple[str, ...]:
        """The T label columns, where targets are numbers; else none."""
        return ()

    @abstractmethod
    def check_labels(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> None:
        """Check the label columns of a labelled table.

        Parameters
        ----------
        facts
            Say which columns hold labels, and perhaps which classes there are.
        source
            Where ``frame`` was read, for messages.
        frame
            Table of text.

        Raises
        ------
        InputError
            If a column is missing, a label is wrong, or a class is called like a column that
            prediction files need.
        """

    @abstractmethod
    def classes_of(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        """Class names, in class order, by a labelled table of text and what is known besides."""

    @abstractmethod
    def cell_classes(self, facts: LabelFacts, source: Path, frame: pd.DataFrame) -> tuple[str, ...]:
        """`classes_of`, checked, where targets are cells; else none."""

    @abstractmethod
    def assumed_metric(
        self, num_answers: int, *, one_probability: bool = False, every_class: bool = False
    ) -> str:
        """The metric of a competition that names none, by its sample submission.

        Parameters
        ----------
        num_answers
            Its answer columns.
        one_probability
            Whether they are one column of probabilities.
        every_class
            Whether they are the classes.
        """
