"""Networks on a CUDA device whose kernels are started as one graph.

A small network's kernels take less time than Python needs to start them one by one. Recorded once
for each shape of a batch, they are started together. The first passes of a shape are computed as
they are: cuDNN chooses its kernels there, and a test set of a few batches is through before a
graph would pay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

UNRECORDED = 3  # passes of a shape
Shapes = tuple[tuple[int, ...], ...]
# As `torch.cuda.graph_pool_handle` gives it; None for memory of its own.
Pool = Any
Work = Callable[[Sequence[Tensor]], Tensor]


class Recorded:
    """The kernels of one pass, with the memory that they read and write.

    Parameters
    ----------
    work, inputs
        What was done with tensors of which shapes.
    pool
        Memory that graphs share which are not replayed at the same time.
    """

    def __init__(self, work: Work, inputs: Sequence[Tensor], pool: Pool) -> None:
        self._inputs = [tensor.clone() for tensor in inputs]
        self._graph = torch.cuda.CUDAGraph()
        # Threads that decode ask for page-locked memory meanwhile, which is none of the graph's.
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._output = work(self._inputs)

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        """The same with other tensors of those shapes."""
        for place, tensor in zip(self._inputs, inputs, strict=True):
            place.copy_(tensor)
        self._graph.replay()
        # The next pass of any graph writes over it.
        return self._output.clone()


class Replayed:
    """Work on a CUDA device, started as a graph from the fourth batch of a shape on.

    Parameters
    ----------
    work
        Computes a tensor of tensors, without waiting for the device.
    pool
        Memory that graphs share which are not replayed at the same time.
    record
        Makes the graph of one shape.
    """

    def __init__(
        self,
        work: Work,
        pool: Pool,
        record: Callable[[Work, Sequence[Tensor], Pool], Work] = Recorded,
    ) -> None:
        self._work, self._pool, self._record = work, pool, record
        self._passes: Counter[Shapes] = Counter()
        self._graphs: dict[Shapes, Work] = {}

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        """The work done."""
        shapes = tuple(tuple(tensor.shape) for tensor in inputs)
        if shapes not in self._graphs:
            self._passes[shapes] += 1
            if self._passes[shapes] <= UNRECORDED:
                return self._work(inputs)
            self._graphs[shapes] = self._recorded(inputs)
        return self._graphs[shapes](inputs)

    def _recorded(self, inputs: Sequence[Tensor]) -> Work:
        try:
            return self._record(self._work, inputs, self._pool)
        except torch.OutOfMemoryError:
            return self._work
        # A network that waits for the device, as one that looks at its numbers, has no graph.
        except RuntimeError:
            return self._work
