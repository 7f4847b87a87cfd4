"""What is called in training: the model itself, or what torch wraps around it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from comptool.data.pixel_cache import cache_folder
from comptool.errors import UsageError
from comptool.models.streams import StreamModel
from comptool.training.processes import Processes


def distributed(model: StreamModel, processes: Processes) -> nn.Module:
    """The model, whose gradients are the mean over all processes."""
    if processes.size == 1:
        return model
    cards = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=cards)


class CannotCompileError(UsageError):
    """A network that ``torch.compile`` does not make."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this model cannot be compiled here ({reason}); go on with --resume --compile off"
        )
        self.reason = reason


def compiled(module: nn.Module, batch_size: int) -> Callable[..., Tensor]:
    """The module through ``torch.compile``, which works at the first passes; see `compiling`.

    It is made for whole batches alone, and what it makes is kept for other runs. Other batches,
    such as the last of an epoch, are computed without it: each size would take as long to make.

    Parameters
    ----------
    module
        A network.
    batch_size
        Images of a whole batch.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    made = torch.compile(module, dynamic=False)

    def call(*images: Tensor) -> Tensor:
        logits: Tensor = (made if len(images[0]) == batch_size else module)(*images)
        return logits

    return call


@contextmanager
def compiling() -> Iterator[None]:
    """Passes of a compiled network, either of which is made when it is first computed.

    Raises
    ------
    CannotCompileError
        If it cannot be made.
    """
    try:
        yield
    # Not imported above, because that takes longer than many a run without compilation.
    except torch._dynamo.exc.TorchDynamoException as error:
        reason = next(filter(str.strip, str(error).splitlines()), type(error).__name__)
        raise CannotCompileError(reason) from error
