"""Losses by name; importing this package does not import torch.

Every loss is called as ``loss(logits, targets)`` with logits (B, K) and returns a scalar, the mean
over the batch, computed in float32 or better, also inside autocast.
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
    """The names of the losses, in the registry's order."""
    return LOSSES.names


def check_task(name: str, task: str) -> None:
    """Raise a UsageError unless the loss supports the task."""
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
    """The options of a loss with their defaults; imports the loss."""
    return LOSSES.find(name).options()


def create(name: str, **given: Any) -> nn.Module:
    """Create a loss by name.

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


def _users(name: str, factory: Any, given: dict[str, Any]) -> nn.Module:
    from torch import nn

    if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
        raise UsageError(
            f"the loss '{name}' has to be a class that inherits from torch.nn.Module and is "
            "called as loss(logits, targets)"
        )
    try:
        loss: nn.Module = factory(**given)
    except ComptoolError:
        raise
    except Exception as error:
        raise UsageError(
            f"the loss '{name}' cannot be made with the options {given or 'that it has'} "
            f"({type(error).__name__}: {error})"
        ) from error
    return loss
