"""Compilation of networks by ``torch.compile``, and its errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.machine import cache_folder
from comptool.training.config import Compile


class CannotCompileError(UsageError):
    """``torch.compile`` fails on this model."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this model cannot be compiled here ({reason}); continue with --resume --compile off"
        )
        self.reason = reason


def compiled(module: nn.Module, batch_size: int, mode: Compile = "on") -> Callable[..., Tensor]:
    """The module by ``torch.compile`` for full batches; other batch sizes run uncompiled."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    made = torch.compile(
        module, dynamic=False, mode="reduce-overhead" if mode == "reduce-overhead" else None
    )

    def call(*images: Tensor) -> Tensor:
        logits: Tensor = (made if len(images[0]) == batch_size else module)(*images)
        return logits

    return call


@contextmanager
def compiling() -> Iterator[None]:
    """Context of compiled passes; turns errors of the compiler into CannotCompileError."""
    try:
        yield
    # An import at the top would be slow.
    except torch._dynamo.exc.TorchDynamoException as error:
        reason = next(filter(str.strip, str(error).splitlines()), type(error).__name__)
        raise CannotCompileError(reason) from error
