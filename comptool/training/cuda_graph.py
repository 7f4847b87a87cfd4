"""The step of a small batch as one CUDA graph: recorded once, played again for every batch.

A network of many small layers keeps a GPU waiting for the host, which starts each of a thousand
kernels by itself. A graph starts them all at once; the larger the batch, the less there is to win.

Whatever differs from step to step is in tensors that are filled before each time: images and
targets, mixed already, and the learning rates. What is drawn at random follows from the seed that
the step sets, which a graph reads when it is played. The averaged weights follow outside, for their
decay changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from comptool.data.batches import Batch
from comptool.errors import UsageError
from comptool.training.config import TrainSettings
from comptool.training.optimisation import is_fused
from comptool.training.precision import autocast_dtype
from comptool.training.processes import Processes

if TYPE_CHECKING:
    from comptool.training.session import Session

Say = Callable[[str], None]
Work = Callable[[], Tensor]
WARM_UPS = 3  # steps in which libraries choose their algorithms and the optimizer makes its state
LARGEST = 64  # images; published gains are fivefold at batches of 8 and nothing at 96


class Recorder(Protocol):
    """What records work on a device, and plays it."""

    def warm_up(self, work: Work) -> Tensor:
        """Do the work, where it will be recorded later."""

    def record(self, work: Work) -> tuple[Callable[[], None], Tensor]:
        """Record the work without doing it: what plays it, and the tensor that it then fills.

        Raises
        ------
        RuntimeError
            If it cannot be recorded.
        """


class CudaRecorder:
    """CUDA graphs of one GPU.

    Parameters
    ----------
    device
        The GPU, the current one of the process.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm_up(self, work: Work) -> Tensor:
        """Do the work on the stream that it will be recorded on."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = work()
        current.wait_stream(self._stream)
        return result

    def record(self, work: Work) -> tuple[Callable[[], None], Tensor]:
        """See :class:`Recorder`."""
        graph = torch.cuda.CUDAGraph()
        # The thread that puts batches into page-locked memory goes on meanwhile.
        capture = torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")
        try:
            with capture:
                result = work()
        except RuntimeError:
            # A recording that broke off leaves the generator waiting for its end.
            index = self._stream.device.index
            fresh = torch.Generator(self._stream.device).graphsafe_get_state()
            torch.cuda.default_generators[index].graphsafe_set_state(fresh)
            raise
        return graph.replay, result


class StepGraph:
    """Forward and backward pass and optimizer of whole batches, recorded.

    Parameters
    ----------
    session
        What is trained.
    recorder
        What records.
    say
        Takes messages.
    """

    def __init__(self, session: Session, recorder: Recorder, say: Say) -> None:
        self._session = session
        self._recorder = recorder
        self._say = say
        self._warm_ups = 0
        self._inputs: list[Tensor] = []
        self._loss: Tensor | None = None
        self._replay: Callable[[], None] | None = None
        self._refused = False

    def takes(self, window: Sequence[Batch]) -> bool:
        """Whether an update is of the one shape that is recorded: a single whole batch."""
        whole = self._session.settings.batch_size
        return not self._refused and [self._session.seen(batch) for batch in window] == [whole]

    def run(self, batch: Batch, epoch: int, step: int, eagerly: Work) -> Tensor:
        """Do a step: by itself at first, then recorded.

        Parameters
        ----------
        batch
            A whole one.
        epoch, step
            Its place, from 0.
        eagerly
            Does the same step without a graph.

        Returns
        -------
        Tensor
            The sum of the loss over the images, a float64 scalar on the device.
        """
        with self._session.optimisation.rates_on_device():
            if self._warm_ups < WARM_UPS:
                self._warm_ups += 1
                return self._recorder.warm_up(eagerly)
            with self._session.phase("transfer"):
                images, targets = self._session.see(batch, epoch, step)
            if self._replay is None and not self._record([*images, targets]):
                return eagerly()
            with self._session.phase("graph"):
                return self._play([*images, targets])

    def _record(self, inputs: Sequence[Tensor]) -> bool:
        self._inputs = [tensor.clone() for tensor in inputs]
        try:
            self._replay, self._loss = self._recorder.record(self._work)
        except RuntimeError as error:
            cause = error.__context__ or error  # what broke it off, not that it was broken off
            reason = next(filter(str.strip, str(cause).splitlines()), type(cause).__name__)
            self._say(f"the step cannot be a CUDA graph ({reason}); it goes on without")
            self._refused = True
            self._inputs = []
            self._session.optimisation.clear()
        return not self._refused

    def _work(self) -> Tensor:
        session, (*images, targets) = self._session, self._inputs
        loss = session.loss(images, targets)
        session.optimisation.backward(loss)
        session.optimisation.step()
        return loss

    def _play(self, inputs: Sequence[Tensor]) -> Tensor:
        assert self._replay is not None
        assert self._loss is not None
        for own, new in zip(self._inputs, inputs, strict=True):
            own.copy_(new)
        self._replay()
        return self._loss.detach().double() * len(inputs[-1])


def recorder_of(session: Session) -> Recorder | None:
    """What records the steps of a session, or None where they are not recorded.

    Raises
    ------
    UsageError
        As :func:`is_recorded`.
    """
    recorded = is_recorded(session.settings, session.processes, compiled=session.way.compiled)
    return CudaRecorder(session.processes.device) if recorded else None


def is_recorded(settings: TrainSettings, processes: Processes, *, compiled: bool) -> bool:
    """Whether the steps of a run are recorded.

    Parameters
    ----------
    settings, processes
        Of the run.
    compiled
        Whether its network is compiled.

    Raises
    ------
    UsageError
        If ``--cuda-graph on`` is given and something stands against it.
    """
    if settings.cuda_graph == "off":
        return False
    obstacle = _obstacle(settings, processes, compiled)
    if settings.cuda_graph == "auto":
        return obstacle is None and settings.batch_size <= LARGEST
    if obstacle is not None:
        raise UsageError(f"--cuda-graph on is not for {obstacle}")
    return True


def _obstacle(settings: TrainSettings, processes: Processes, compiled: bool) -> str | None:
    """Why the step cannot be recorded; None if nothing is known to stand against it."""
    device = processes.device
    if device.type != "cuda":
        return f"--device {device}"
    found = {
        "several processes": processes.size > 1,
        "--grad-accum above 1": settings.grad_accum > 1,
        "compiled steps": compiled,
        "--amp fp16, whose loss scale is read after every step": (
            autocast_dtype(settings.amp, device) is torch.float16
        ),
        "--calibrate-gradients, which reads gradients": bool(settings.calibrate_gradients),
        "--defer-weights, which changes the loss": settings.defer_weights > 0,
        f"--optimizer {settings.optimizer}, but for adam, adamw, sgd, momentum and nesterov": (
            not is_fused(settings.optimizer)
        ),
    }
    return next((what for what, stands in found.items() if stands), None)
