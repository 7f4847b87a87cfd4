"""Activations that are computed again in the backward pass instead of being kept.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174; the work is
``torch.utils.checkpoint``'s. Written here because the second computation would update the running
statistics of batch normalisation a second time: a run that saves memory would end with others than
one that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(block: nn.Module, images: Tensor) -> Tensor:
    """What the block makes of a tensor; its activations are computed again when needed.

    Everything random in the block is drawn as in the first computation.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    output: Tensor = checkpoint(block, images, use_reentrant=False, context_fn=contexts)
    return output


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Batch normalisation still uses the statistics of the batch, and remembers nothing of it."""
    # Not by leaving the statistics out: the layer has to keep as many tensors as the first time.
    layers = [layer for layer in block.modules() if isinstance(layer, _BatchNorm)]
    remembered = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, remembered, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
