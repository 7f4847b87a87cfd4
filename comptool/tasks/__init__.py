"""Tasks: what one class, several labels, a grade and a number per image need done differently.

A task is one object. What depends on it asks the object; nothing outside this package branches on
a task's name. Metrics, losses and the detection of a download name the tasks that they are for. To
add a task: a file with a subclass of :class:`Task` or of one of its
kinds, and a line in :data:`TASKS`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from comptool.errors import unknown_name
from comptool.io.records import named_by
from comptool.registry import Entry, Registry, is_user_object
from comptool.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["DEFAULT_TASK", "TASKS", "Task", "by_shape", "find", "names", "of_targets", "recorded"]

DEFAULT_TASK = "multiclass"
TASKS = Registry(
    "task",
    Entry(
        "multiclass",
        "comptool.tasks.multiclass_task:Multiclass",
        "One class per image.",
        "softmax over the classes",
    ),
    Entry(
        "multilabel",
        "comptool.tasks.multilabel_task:Multilabel",
        "Several labels per image, each present, absent or not annotated.",
        "a sigmoid of each class",
    ),
    Entry(
        "ordinal",
        "comptool.tasks.ordinal_task:Ordinal",
        "One of several grades in order per image.",
        "conditional sigmoids, Shi, Cao & Raschka 2021, arXiv:2111.08851",
    ),
    Entry(
        "regression",
        "comptool.tasks.regression_task:Regression",
        "One number or several per image.",
        "-",
    ),
)


def names() -> list[str]:
    """The names of the tasks."""
    return TASKS.names


@cache
def find(name: str) -> Task:
    """The task of that name.

    Raises
    ------
    UsageError
        If there is none; names the nearest.
    """
    made: Task = TASKS.load(name)()
    return made


def recorded(name: str, file: Path, key: str = "task") -> Task:
    """The task that a file names; an InputError with the file and the key if there is none."""
    with named_by(file, key):
        if is_user_object(name):  # a record runs no code
            raise unknown_name("task", name, names())
        return find(name)


def by_shape(*, cells: bool, numbers: bool = False) -> Task:
    """The first task whose targets are cells (N, K), numbers (N, T), or class indices (N,)."""
    kinds = map(find, names())
    return next(task for task in kinds if (task.cells, task.numbers) == (cells, numbers))


def of_targets(targets: npt.NDArray[np.integer] | npt.NDArray[np.floating]) -> Task:
    """The first task whose targets have this type and shape."""
    numbers = targets.dtype.kind == "f"
    return by_shape(cells=targets.ndim == 2 and not numbers, numbers=numbers)
