"""Atomic writes of files, alone or together with their records.

Data go to a temporary file in the same folder, are flushed to the disk and renamed, so that no
reader sees half a file.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from comptool.errors import (
    AlreadyDoneError,
    ComptoolError,
    OutputError,
    OutputExistsError,
    UsageError,
)
from comptool.io.leftovers import new_partial_file, remove_leftovers
from comptool.io.names import check_output_name
from comptool.io.verification import difference
from comptool.machine import interrupts_wait

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS}
_OPEN = Path("/proc/self/fd")  # where Linux has the files that this process has open
_IN_WORDS = re.compile(r"\(os error (\d+)\)")  # how libraries written in Rust put it


EXISTS, REPLACE = "exists already", "Replace it with --force"


@dataclass(frozen=True)
class Waiting:
    """A file being written, its final name, and the folders made for it.

    ``repeated``: the running command has made the existing file before.
    """

    temporary: Path
    path: Path
    new_folders: list[Path]
    force: bool = False
    repeated: bool = False

    def discard(self) -> None:
        """Remove the file, and the folders if they are empty."""
        self.temporary.unlink(missing_ok=True)
        remove_empty(self.new_folders)


# Files waiting for the end of a `together`.
_waiting: ContextVar[list[Waiting] | None] = ContextVar("_waiting", default=None)


def refuse_existing(path: Path, force: bool = False) -> bool:
    """Check that ``path`` can be written, before any work is done for it.

    Returns whether it exists and the running command line has made it before: whether it would be
    the same again shows when it is written, and then ends the command, see `together`.

    Raises
    ------
    OutputExistsError
        If it exists and ``force`` is off.
    InputError
        If it is a folder, its folder cannot be made or written, or its name is not one for every
        system.
    """
    check_output_name(path)
    if path.is_dir():
        raise OutputError("is a folder; a file is to be written", file=path)
    repeated = path.exists() and not force
    if repeated and (other := difference(path)) is not None:
        raise OutputExistsError(EXISTS + other, file=path, mend=REPLACE)
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError("is a file where a folder is needed", file=folder)
    if not os.access(folder, os.W_OK):
        raise OutputError("this folder cannot be written to", file=folder, mend="Write elsewhere")
    return repeated


def refuse_inputs(output: Path, inputs: Iterable[Path | None]) -> None:
    """Raise a UsageError if a command would write ``output`` over one of its inputs.

    Inputs that are None or do not exist are skipped; links are followed.
    """
    if not output.exists():
        return
    for path in inputs:
        if path is not None and path.exists() and path.samefile(output):
            also = "" if path == output else f", which is {path},"
            raise UsageError(
                f"{output}{also} is an input of this command and would be lost; "
                "name another output: -o FILE"
            )


@contextmanager
def atomic_output(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary file next to ``path`` that replaces ``path`` when the block succeeds.

    Inside `together` the replacement waits for the end of that block. What killed processes left in
    the folder is removed.

    Yields
    ------
    pathlib.Path
        The temporary file, empty and closed, with the suffix of ``path``.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    InputError
        If the folder cannot be written or the disk is full; ``path`` is unchanged.
    """
    repeated = refuse_existing(path, force)
    waiting = _waiting.get()
    if repeated and waiting is None:
        raise OutputExistsError(EXISTS, file=path, mend=REPLACE)
    new_folders = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        temporary = new_partial_file(path)
    except OSError as error:
        remove_empty(new_folders)
        raise write_error(path, error) from error
    file = Waiting(temporary, path, new_folders, force, repeated)
    try:
        yield file.temporary
        _flush(file.temporary)
        if waiting is None:
            file.temporary.replace(path)
        else:
            waiting.append(file)
    except Exception as error:
        # Each library has its own exception for a full disk.
        if isinstance(error, ComptoolError) or not (
            isinstance(error, OSError) or disk_error(error)
        ):
            raise
        raise write_error(path, error) from error
    finally:
        if waiting is None or file not in waiting:
            file.discard()


@contextmanager
def together() -> Iterator[None]:
    """Publish all files written in this block at its end, or none.

    The last file written appears first, so that an output never exists without its record.

    Raises
    ------
    AlreadyDoneError
        If the running command has made all of its outputs before.
    InputError
        If a file cannot be moved into place.
    """
    if _waiting.get() is not None:
        yield
        return
    waiting: list[Waiting] = []
    token = _waiting.set(waiting)
    try:
        yield
        outputs = [file for file in waiting if not file.force]
        if outputs and all(file.repeated for file in outputs):
            raise AlreadyDoneError([file.path for file in outputs])
        with interrupts_wait():
            while waiting:
                file = waiting[-1]
                try:
                    file.temporary.replace(file.path)
                except OSError as error:
                    raise write_error(file.path, error) from error
                waiting.pop()
    finally:
        _waiting.reset(token)
        for file in waiting:
            file.discard()


def as_written(path: Path) -> Path:
    """The file that ``path`` is to become at the end of a `together`, otherwise ``path``."""
    waiting = waiting_for(path)
    return path if waiting is None else waiting.temporary


def waiting_for(path: Path) -> Waiting | None:
    """The new file that is to become ``path`` at the end of a `together`, or None."""
    return next((file for file in reversed(_waiting.get() or []) if file.path == path), None)


@contextmanager
def named_late(temporary: Path) -> Iterator[IO[bytes]]:
    """A stream into a file of `atomic_output`, unnamed until complete where the file system allows.

    So a killed program leaves nothing behind.
    """
    descriptor = _nameless(temporary.parent)
    if descriptor is None:
        with temporary.open("wb") as stream:
            yield stream
        return
    with open(descriptor, "wb") as stream:
        temporary.unlink()
        yield stream
        stream.flush()
        # With a folder descriptor, unused for an absolute path, Python follows the link.
        os.link(_OPEN / str(descriptor), temporary, src_dir_fd=descriptor)


def _nameless(folder: Path) -> int | None:
    """A new unnamed file in a folder, open for writing; None if not supported."""
    if not hasattr(os, "O_TMPFILE") or not _OPEN.exists():
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError:
        return None


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove unused new folders; the innermost comes first."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # Something else is in it by now.
            return


def _flush(temporary: Path) -> None:
    # mkstemp makes files that only the owner can read.
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())


def disk_error(error: BaseException | None) -> int | None:
    """The errno of a disk error that an exception is, was caused by, or mentions; or None."""
    if error is None:
        return None
    number: int | None = getattr(error, "errno", None)
    if number is None and (told := _IN_WORDS.search(str(error))):
        number = int(told[1])
    if number in _DISK_ERRORS:
        return number
    return disk_error(error.__cause__) or disk_error(error.__context__)


def write_error(path: Path, error: Exception) -> OutputError:
    """The error for an output that could not be written."""
    number = disk_error(error)
    if number == errno.ENOSPC:
        return OutputError(
            "could not be written, the disk is full; nothing was changed",
            file=path,
            mend="Free some space, or write to another disk",
        )
    reason = os.strerror(number) if number else getattr(error, "strerror", None) or str(error)
    return OutputError(f"could not be written ({reason}); nothing was changed", file=path)
