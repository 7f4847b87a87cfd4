"""Commands of comptool in forked processes, which spares each the seconds of its imports.

A fork runs the same ``main`` as the program, with its exit codes; an abort ends the fork alone.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from benchmarks.campaign import killing

IMPORTS = (
    "cv2 numpy pandas polars scipy.stats sklearn.model_selection torch torch.utils.data timm"
    " torch._dynamo onnx onnxruntime safetensors.torch matplotlib.pyplot jinja2 albumentations"
    " comptool.commands.app comptool.training.trainer comptool.inference.infer"
    " comptool.models.onnx_export comptool.inference.tta.predict_tta"
).split()
NORMAL_SECONDS = 120.0  # no command of a few images takes a tenth of it
MEMORY = 8 << 30  # bytes; a mutated number that asks for more gets a MemoryError
FILE_SIZE = 1 << 30  # bytes
ENDING_SECONDS = 0.2


def import_once() -> None:
    """Import what the commands need. Nothing may be computed here: threads do not survive a fork.

    Must come before any import of torch, which reads the number of threads.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["MPLBACKEND"] = "Agg"
    for name in [name for name in os.environ if name.startswith("COMPTOOL_")]:
        del os.environ[name]
    for name in IMPORTS:
        import_module(name)


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``code`` is negative for a signal, None for a time-out."""

    code: int | None
    stdout: str
    stderr: str
    seconds: float
    peak_mib: float

    @property
    def fault(self) -> str:
        """``traceback``, ``abort``, ``hang`` or nothing."""
        if self.code is None:
            return "hang"
        if self.code < 0:
            return "abort"
        if self.code == 1 or "Traceback (most recent call last)" in self.stderr:
            return "traceback"
        return ""

    @property
    def message(self) -> str:
        """The last lines that say why it ended."""
        return "\n".join(self.stderr.strip().splitlines()[-2:])[-600:]


@dataclass
class Running:
    """A command at work."""

    pid: int
    start: float
    pipes: dict[int, bytearray] = field(default_factory=dict)

    def wait(self, timeout: float = NORMAL_SECONDS) -> Ended:
        """Wait for its end; its whole session is killed after ``timeout`` seconds."""
        process = os.pidfd_open(self.pid)
        with selectors.DefaultSelector() as selector:
            for key in (process, *self.pipes):
                selector.register(key, selectors.EVENT_READ)
            ended = False
            while not ended:
                left = self.start + timeout - time.perf_counter()
                ready = selector.select(max(left, 0))
                if not ready and left <= 0:
                    break
                for key, _ in ready:
                    if key.fd == process:
                        ended = True
                    elif not self._read(key.fd):
                        selector.unregister(key.fd)
        if not ended:
            os.killpg(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        os.close(process)
        self._end_workers()
        for pipe in self.pipes:
            os.set_blocking(pipe, False)
            while self._read(pipe):
                pass
            os.close(pipe)
        stdout, stderr = (bytes(text).decode(errors="replace") for text in self.pipes.values())
        return Ended(
            os.waitstatus_to_exitcode(status) if ended else None,
            stdout,
            stderr,
            time.perf_counter() - self.start,
            usage.ru_maxrss / 1024,
        )

    def _read(self, pipe: int) -> bool:
        try:
            read = os.read(pipe, 1 << 16)
        except BlockingIOError:
            return False
        self.pipes[pipe] += read
        return bool(read)

    def _end_workers(self) -> None:
        # Those of a killed process notice its end within seconds; nobody waits for them here.
        try:
            os.killpg(self.pid, signal.SIGKILL)
            time.sleep(ENDING_SECONDS)
        except ProcessLookupError:
            pass


def start(
    folder: Path, arguments: Sequence[object], before: Callable[[], None] | None = None
) -> Running:
    """Start ``comptool ARGUMENTS`` in a folder; ``before`` runs first, in the new process."""
    pipes = [os.pipe(), os.pipe()]
    begun = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        try:
            _become(folder, [str(argument) for argument in arguments], pipes, before)
        finally:
            os._exit(1)
    for _, writing in pipes:
        os.close(writing)
    return Running(pid, begun, {reading: bytearray() for reading, _ in pipes})


def run(
    folder: Path,
    arguments: Sequence[object],
    before: Callable[[], None] | None = None,
    timeout: float = NORMAL_SECONDS,
) -> Ended:
    """Run ``comptool ARGUMENTS`` in a folder to its end."""
    return start(folder, arguments, before).wait(timeout)


def apart(work: Callable[[], None]) -> None:
    """Do something in a fork of its own: threads that it starts would break later forks."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError("a part of the campaign itself failed; its traceback is above")


def _become(
    folder: Path,
    arguments: list[str],
    pipes: list[tuple[int, int]],
    before: Callable[[], None] | None,
) -> None:
    """Be the program; this does not return."""
    os.setsid()
    for number, (reading, writing) in enumerate(pipes, start=1):
        os.close(reading)
        os.dup2(writing, number)
        os.close(writing)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    os.environ["COMPTOOL_CACHE"] = str(folder / "cache")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, resource.RLIM_INFINITY))
    sys.argv = ["comptool", *arguments]
    sys.modules["__main__"] = killing
    code: object = 0
    try:
        if before is not None:
            before()
        import_module("comptool.commands.app").main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)
