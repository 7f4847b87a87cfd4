"""A process that kills itself at its n-th event that changes a file; imports nothing heavy.

Events are what Python audits (files opened for writing, renamed, linked, removed, folders made)
and flushes to the disk; what libraries write in C or Rust is met by a limit on the size of files,
at which the system ends the process in the middle of a write, without a word.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

EVENTS = {
    "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink",
    "os.chmod", "shutil.rmtree", "shutil.move", "shutil.copyfile",
}  # fmt: skip
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
VARIABLE = "RELIABILITY_KILL"  # read by spawned workers
SYSTEM = ("/dev/", "/proc/", "/sys/")


@dataclass(frozen=True)
class Kill:
    """Where to kill: the n-th event of ``role`` (main or worker), or a file of ``size`` bytes.

    Without either it only counts. Each event, and the kill, adds a line to the file ``log``.
    """

    log: str
    role: str = "main"
    number: int | None = None
    size: int | None = None

    def arm(self) -> None:
        """Watch this process and those that it starts."""
        os.environ[VARIABLE] = json.dumps(asdict(self) | {"main": os.getpid()})
        if self.size is not None:
            # Python ignores the signal of the limit; its default ends the process.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.RLIM_INFINITY))
        _watch(self, os.getpid())


def _watch(kill: Kill, main: int) -> None:
    log = os.open(kill.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    count, owner = 0, os.getpid()

    def see(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count, owner
        process = os.getpid()
        role = "main" if process == main else "worker"
        if not _changes_files(event, arguments, role == "worker"):
            return
        if process != owner:
            count, owner = 0, process
        count += 1
        place = f"{event} {os.path.basename(str(arguments[0]))}"
        struck = (role, count) == (kill.role, kill.number)
        os.write(log, f"{role}\t{process}\t{count}\t{place}\t{'kill' * struck}\n".encode())
        if struck:
            os.kill(process, signal.SIGKILL)

    def flush(descriptor: int, then: Callable[[int], None] = os.fsync) -> None:
        sys.audit("os.fsync", descriptor)
        then(descriptor)

    os.fsync = flush
    sys.addaudithook(see)


def _changes_files(event: str, arguments: tuple[object, ...], reads: bool) -> bool:
    """Workers that load images write nothing: what they read counts, too."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(path, str | bytes | os.PathLike) or not isinstance(flags, int):
            return False
        name = os.fsdecode(path)
        if name.startswith(SYSTEM) or name.endswith((".py", ".pyc", ".so")):
            return False
        return bool(flags & WRITES) or (reads and name.endswith((".png", ".jpg")))
    return event in EVENTS or event == "os.fsync"


# `forked` makes this the main module, which a spawned worker imports again.
if __name__ == "__mp_main__" and VARIABLE in os.environ:
    _given = json.loads(os.environ[VARIABLE])
    _watch(Kill(**{key: value for key, value in _given.items() if key != "main"}), _given["main"])
