"""Packed tables, ``.gz``, ``.bz2``, ``.xz`` or ``.zip`` with one file, as streams with a limit.

A zip inside is not opened.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from comptool.errors import InputError
from comptool.limits import check_unpacked

ZIP = ".zip"
OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open,
}  # fmt: skip
# Of the standard library on damaged files.
UNREADABLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # encrypted, or an unknown compression
    ValueError,
    OverflowError,
)


def is_packed(path: Path) -> bool:
    """Whether a table is packed, by its suffix."""
    return path.suffix.lower() in (*OPENERS, ZIP)


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The content of a table, packed or not.

    Raises an InputError, also while it is read, if the file is damaged or encrypted, a zip has not
    just one file, or the content is larger than `comptool.limits.check_unpacked` allows.
    """
    suffix = path.suffix.lower()
    if suffix not in OPENERS and suffix != ZIP:
        with path.open("rb") as stream:
            yield stream
        return
    with unpacking(path):
        if suffix != ZIP:
            with OPENERS[suffix](path) as stream:
                yield _limited(path, stream)
            return
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise InputError("holds more than one file, or none", file=path, values=names)
            with member(path, archive, names[0]) as stream:
                yield stream


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Convert errors of damaged archives in this block to an InputError."""
    try:
        yield
    except UNREADABLE as error:
        raise InputError(f"cannot be unpacked ({reason(error)})", file=path) from error


def reason(error: BaseException) -> str:
    """The words of a library for a damaged file, in one line."""
    if "password required" in str(error):
        return "it is encrypted; unpack it with its password"
    # The end of a file comes without words.
    return " ".join(str(error).split())[:200].removesuffix(":") or "its end is missing"


@contextmanager
def member(path: Path, archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """A file in an open zip, with a limit."""
    check_unpacked(path, archive.getinfo(name).file_size, path.stat().st_size)
    with archive.open(name) as stream:
        yield _limited(path, stream)


def _limited(path: Path, stream: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(_Limited(path, stream), io.DEFAULT_BUFFER_SIZE * 16)


class _Limited(io.RawIOBase):
    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream
        self._packed, self._seen = path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._seen += len(content)
        check_unpacked(self._path, self._seen, self._packed)
        buffer[: len(content)] = content
        return len(content)
