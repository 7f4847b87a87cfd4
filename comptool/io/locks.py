"""Locks of run folders: a lock that the system releases when its process ends.

Whether a living process works in a folder, by a lock that the system takes back when it ends.

The number of the process would not tell: after a restart another process has it, and in another
container it is no process, or another one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from comptool.errors import InputError
from comptool.io.atomic import remove_empty, write_error

if sys.platform != "win32":
    import fcntl

# Whoever only looks holds the lock for a moment.
PATIENCE = 1.0  # seconds

_held: set[int] = set()


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a folder during a block, where its file system has locks.

    A folder that is not there is made, and removed if nothing has come into it. What is forked
    meanwhile does not hold it: workers outlive a process that is killed.

    Raises
    ------
    InputError
        If another process holds it, or it cannot be made.
    """
    if sys.platform == "win32":
        yield
        return
    new_folders = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        remove_empty(new_folders)
        raise write_error(folder, error) from error
    _held.add(descriptor)
    try:
        _lock(folder, descriptor)
        yield
    finally:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)
        remove_empty(new_folders)


def is_held(folder: Path) -> bool | None:
    """Whether any process, this one or another, holds a folder; None where nobody can tell."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _lock(folder: Path, descriptor: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                what = "another process is at work in it"
                raise InputError(what, file=folder, mend="Wait for it, or stop it") from None
        except OSError:
            return None
        time.sleep(0.05)


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)
