"""Locks of run folders, released by the system when their process ends.

The process id in a lock file is for messages only: after a restart or in another container it may
be another process. The lock of the file counts.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout, lock_descriptor

from comptool.errors import InputError
from comptool.io.atomic import remove_empty, write_error

LOCK = ".lock"
# Another `is_held` holds the lock for a moment.
PATIENCE = 1.0  # seconds


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder during a block, where its file system has locks.

    A missing folder is made, and removed if still empty. Forked processes do not hold the lock.

    Raises
    ------
    InputError
        If another process holds it, or it cannot be made.
    """
    new_folders = [one for one in (folder, *folder.parents) if not one.exists()]
    lock = FileLock(folder / LOCK, PATIENCE, fallback_to_soft=False, on_acquired=_sign)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        try:
            lock.acquire()
        except Timeout:
            raise busy(folder) from None
        except OSError:
            # No locks here, or no right to write the file, which another user may have locked.
            if is_held(folder):
                raise busy(folder) from None
        yield
    finally:
        # Before the release: a process waiting for a deleted lock file makes a new one.
        if lock.is_locked or is_held(folder) is None:
            with suppress(OSError):
                (folder / LOCK).unlink()
        lock.release()
        remove_empty(new_folders)


def is_held(folder: Path) -> bool | None:
    """Whether any process, this one or another, holds a folder; None if unknown."""
    if not folder.is_dir():
        return None
    path = folder / LOCK
    try:
        # Network file systems lock only files open for writing.
        descriptor = os.open(path, os.O_RDWR if os.access(path, os.W_OK) else os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        return not _lockable(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _lockable(descriptor: int) -> bool:
    """Whether nobody holds the lock; several may ask at once."""
    if sys.platform == "win32":
        return lock_descriptor(descriptor, blocking=False)
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def busy(folder: Path) -> InputError:
    """The error for a folder that another process holds."""
    what = f"{_holder(folder)} is at work in it"
    return InputError(what, file=folder, mend="Wait for it, or stop it")


def _sign(descriptor: int) -> None:
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())


def _holder(folder: Path) -> str:
    try:
        return (folder / LOCK).read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
