"""Names of temporary files and folders by their writer, and removal of those of dead writers.

A name is ``.STEM-MACHINE-PID-START-RANDOM.partial.SUFFIX``. START is the start time of the process
in clock ticks since the boot, so that another process with its number is not taken for it. MACHINE
is a digest of host, boot and process namespace: only where it agrees does the number of a process
mean something. Elsewhere, such as on another machine that writes to the same network folder, a
writer counts as alive for a week.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import time

PARTIAL = ".partial"
WEEK = 7 * 24 * 3600.0  # seconds
MOST_BYTES = 120  # of the stem: names have 255 at most
_NAME = re.compile(
    r"\..*?-(?:(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-(?P<start>\d+)-)?[a-z0-9_]{8}"
    r"\.partial(\.[^.]*)?",
    re.DOTALL,
)
_START = 19  # the place of the start time in /proc/PID/stat, after the name of the program


def new_partial_file(path: Path) -> Path:
    """A new empty file in the folder of ``path``, with its suffix; an OSError if impossible."""
    descriptor, name = tempfile.mkstemp(
        dir=path.parent, prefix=_prefix(path.stem), suffix=PARTIAL + path.suffix
    )
    os.close(descriptor)
    return Path(name)


def new_partial_folder(path: Path) -> Path:
    """A new empty folder in the folder of ``path``; an OSError if impossible."""
    return Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path.name), suffix=PARTIAL))


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of dead writers in a folder, but not below it."""
    try:
        with os.scandir(folder) as entries:
            left = [entry for entry in entries if is_leftover(entry)]
    except OSError:
        return
    for entry in left:
        # Another process may remove it, too.
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def is_leftover(entry: os.DirEntry[str] | Path) -> bool:
    """Whether a file or folder is a temporary one whose writer is dead, or unknown for a week."""
    found = _NAME.fullmatch(entry.name)
    if found is None:
        return False
    alive = None
    if found["machine"] == _machine():
        alive = _is_alive(int(found["process"]), int(found["start"]))
    if alive is not None:
        return not alive
    try:
        return time() - entry.stat().st_mtime > WEEK
    except OSError:
        return False


def _prefix(stem: str) -> str:
    short = stem.encode("utf-8", "surrogateescape")[:MOST_BYTES].decode("utf-8", "ignore")
    return f".{short}-{_machine()}-{os.getpid()}-{_start_time(os.getpid()) or 0}-"


@cache
def _machine() -> str:
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        facts.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:8]


def _is_alive(process: int, start: int) -> bool | None:
    """Whether a process of this machine is running; None if unknown."""
    if sys.platform == "win32":  # os.kill would send Ctrl-C
        return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        pass
    now = _start_time(process)
    if now is None or not start:
        return None
    return now == start


def _start_time(process: int) -> int | None:
    """Clock ticks from the boot to the start of a process; None where the system has no /proc."""
    try:
        facts = Path(f"/proc/{process}/stat").read_bytes()
        # The name of the program may hold anything, and ends with the last bracket.
        return int(facts.rpartition(b")")[2].split()[_START])
    except (OSError, ValueError, IndexError):
        return None
