"""What is called in training: the model itself, or what torch wraps around it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.nn.parallel import DistributedDataParallel

from comptool.errors import UsageError
from comptool.models.streams import StreamModel
from comptool.training.processes import Processes


def distributed(model: StreamModel, processes: Processes) -> nn.Module:
    """The model, whose gradients are the mean over all processes."""
    if processes.size == 1:
        return model
    cards = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=cards)


def compiled(module: nn.Module) -> Callable[..., Tensor]:
    """The module through ``torch.compile``, which works at the first call.

    Raises
    ------
    UsageError
        When it is called, if it cannot be compiled.
    """
    made = torch.compile(module)

    def call(*images: Tensor) -> Tensor:
        try:
            logits: Tensor = made(*images)
        except TorchDynamoException as error:
            reason = next(line for line in str(error).splitlines() if line.strip())
            raise UsageError(
                f"this model cannot be compiled here ({reason}); go on with --resume --no-compile"
            ) from error
        return logits

    return call
