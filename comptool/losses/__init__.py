"""The losses by name; importing this package imports no torch.

Every loss is called ``loss(logits, targets)`` with logits of shape (B, K) and gives one scalar, the
mean over the batch. It computes in float32 or better, whatever autocast or the logits' type say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comptool import tasks
from comptool.errors import ComptoolError, UsageError
from comptool.losses.loss_registry import FROM_ROWS, LOSSES, SINGLE, Loss
from comptool.registry import refuse_unknown_options

if TYPE_CHECKING:
    from torch import nn

__all__ = ["FROM_ROWS", "LOSSES", "Loss", "check_task", "create", "names", "options"]


def names() -> list[str]:
    """The names of the losses, in the table's order."""
    return LOSSES.names


def check_task(name: str, task: str) -> None:
    """Raise a UsageError unless the loss is one for the task."""
    taken = LOSSES.find(name).tasks
    takes = tasks.find(task).takes
    if not takes(taken):
        suited = [entry.name for entry in LOSSES if takes(entry.tasks)]
        labels = "one label" if taken == SINGLE else "several labels"
        raise UsageError(
            f"the loss '{name}' is for {labels} per image and the task is {task}; take "
            f"{', '.join(map(repr, suited[:-1]))} or {suited[-1]!r}"
        )


def options(name: str) -> dict[str, Any]:
    """The options that the loss takes, with their defaults; imports the loss.

    Raises
    ------
    UsageError
        If no loss has that name; names the three nearest.
    """
    return LOSSES.find(name).options()


def create(name: str, **given: Any) -> nn.Module:
    """The loss of that name; what is not given keeps the loss's own default.

    Parameters
    ----------
    name
        One of :func:`names`.
        It may also be ``FILE.py:Class`` or the name of a plugin.
    given
        Any of :func:`options`.

    Raises
    ------
    UsageError
        If no loss has that name, if it does not take an option that was given (names those it
        takes), if a value is out of its range, or if a loss of a user's file is not a
        :class:`torch.nn.Module`.

    Examples
    --------
    >>> create("focal", gamma=2, smoothing=0.1)
    Focal(gamma=2, smoothing=0.1)
    """
    entry = LOSSES.find(name)
    refuse_unknown_options(f"the loss '{name}'", given, entry.options())
    if not entry.is_users:
        loss: nn.Module = entry.load()(**given)
        return loss
    return _users(name, entry.load(), given)


def _users(name: str, made_by: Any, given: dict[str, Any]) -> nn.Module:
    from torch import nn

    if not (isinstance(made_by, type) and issubclass(made_by, nn.Module)):
        raise UsageError(
            f"the loss '{name}' has to be a class that inherits from torch.nn.Module and is "
            "called as loss(logits, targets)"
        )
    try:
        loss: nn.Module = made_by(**given)
    except ComptoolError:
        raise
    except Exception as error:
        raise UsageError(
            f"the loss '{name}' cannot be made with the options {given or 'that it has'} "
            f"({type(error).__name__}: {error})"
        ) from error
    return loss
