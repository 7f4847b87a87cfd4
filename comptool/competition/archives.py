"""Archives of a download: zip, tar and 7z with images or tables, unpacked beside themselves.

``train.zip`` becomes the folder ``train``, whether the archive has that folder in it or not; an
archive with tables or only archives in it is the whole download, and is unpacked into the
download's folder. What is already there is not unpacked again, and never overwritten. The files go
to a hidden folder first and are renamed: an interruption leaves no half of a file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from comptool.competition.download_tables import TABLE_NAME, role_of, words_of
from comptool.competition.filename_patterns import MAC_FILES, looks_like_image
from comptool.errors import ComptoolError, InputError, OutputError, counted
from comptool.io.atomic import disk_error, write_error
from comptool.io.leftovers import new_partial_folder, remove_leftovers
from comptool.io.packed import reason
from comptool.limits import check_unpacked

ARCHIVE = re.compile(r"(.+?)\.(zip|tar|tar\.gz|tgz|tar\.bz2|tar\.xz|7z)", re.IGNORECASE)
# A part of an archive, and what makes one of all parts or reads them.
PART = re.compile(r"(.+\.(?:zip|7z|tar|tar\.gz|tgz))\.?(?:0*\d{2,3}|part\d+|a[a-z])", re.IGNORECASE)
SHOWN = 3  # names of files in a sentence
LISTED = 2000  # members looked at, of a tar that has to be read for it
GIGABYTE = 1 << 30
DEPTH = 2  # an archive in an archive is unpacked, and none in that
ROLES = frozenset("train training test testing val valid validation images imgs image".split())
UNPACKERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
COMMANDS = {"zip": "unzip", "7z": "7z x", "tar": "tar -xf"}


@dataclass(frozen=True)
class Archive:
    """An archive file, relative to the folder of the download."""

    name: str
    stem: str
    kind: str  # "zip", "tar" or "7z"


def archives_of(files: Iterable[str]) -> list[Archive]:
    """The archives at the top of a download, but for a packed table."""
    found = []
    for name in files:
        fits = ARCHIVE.fullmatch(name)
        if fits and "/" not in name and not TABLE_NAME.fullmatch(name):
            kind = fits[2].lower()
            found.append(Archive(name, fits[1], kind if kind in ("zip", "7z") else "tar"))
    return found


def parts_of(files: Iterable[str]) -> list[str]:
    """A sentence for each archive in parts, with the command that joins it."""
    heads = {fits[1] for name in files if (fits := PART.fullmatch(name))}
    return [
        f"not read: the parts of {head}; join and unpack them: cat {head}* > all && 7z x all"
        for head in sorted(heads)
    ]


def packed(files: Iterable[str]) -> str:
    """How to unpack the archives of a download, as a remedy; blank without any."""
    files = list(files)
    tops = {name.split("/")[0] for name in files}
    found = [one for one in archives_of(files) if one.stem not in tops]
    if not found:
        return ""
    shown = " and ".join(f"{COMMANDS[one.kind]} {one.name}" for one in found[:2])
    return f"Run 'comptool init', which unpacks archives, or: {shown}"


def unpack_all(folder: Path, *, is_given: bool) -> list[str]:
    """Unpack the archives of images and tables of a download; a sentence for each.

    Parameters
    ----------
    folder
        The folder of the download.
    is_given
        Whether the user named it. Otherwise it may be any folder, and without a table of a
        competition only archives called train, test, images and the like are unpacked.

    Raises
    ------
    InputError
        If an archive is damaged, needs a password, has a path outside its folder or one path twice,
        needs more space than there is or than `comptool.limits.check_unpacked` allows, or is 7z
        without py7zr.
    OutputError
        If the folder cannot be written.
    """
    sentences: list[str] = []
    done: set[str] = set()
    # An archive of the whole download has others in it.
    for depth in range(DEPTH + 1):
        files = sorted(one.name for one in folder.iterdir() if one.is_file())
        has_tables = any(TABLE_NAME.fullmatch(name) and role_of(name) for name in files)
        waiting = [one for one in archives_of(files) if one.name not in done]
        if not (is_given or has_tables):
            waiting = [one for one in waiting if ROLES & set(words_of(one.stem))]
        if not waiting or depth == DEPTH:
            left = [f"not unpacked: {one.name}, which was in an archive twice" for one in waiting]
            return [*parts_of(files), *sentences, *left]
        done |= {one.name for one in waiting}
        told = (_unpack_one(folder, one) for one in waiting)
        sentences += [sentence for sentence in told if sentence]
    raise AssertionError


def _unpack_one(folder: Path, archive: Archive) -> str:
    """Unpack an archive if it has images or tables that are not there; what was done."""
    if not _is_empty(folder / archive.stem):
        return ""
    path = folder / archive.name
    with _named(path), _opened(path, archive.kind) as opened:
        names = [name for name in opened.first_names() if not _is_clutter(name)]
        tables = [name for name in names if TABLE_NAME.fullmatch(name)]
        is_outer = bool(names) and len(archives_of(names)) == len(names)
        if not (tables or is_outer or any(map(looks_like_image, names))):
            return ""
        is_whole = is_outer or any("/" not in name and role_of(name) is not None for name in tables)
        if is_whole and all((folder / name).exists() for name in names):
            return ""
        target = folder if is_whole else folder / archive.stem
        count, left = _unpack(opened, folder, target)
    where = "this folder" if is_whole else f"{archive.stem}/"
    kept = f"; left as they were: {_shown(left)}" if left else ""
    return f"unpacked {archive.name} into {where} ({counted(count, 'file')}{kept})"


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _is_empty(folder: Path) -> bool:
    return not folder.is_dir() or next(folder.iterdir(), None) is None


def _is_clutter(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not parts or MAC_FILES in parts or parts[-1].startswith("._")


class _Opened:
    """An archive that is open for reading."""

    def __init__(self, path: Path, kind: str, archive: Any) -> None:
        self.path, self._kind, self._archive = path, kind, archive

    def first_names(self) -> list[str]:
        """Names of the first files, with ``/``."""
        return [name.removeprefix("./") for name, _ in islice(self._files(), LISTED)]

    def _files(self) -> Iterator[tuple[str, int]]:
        """Name and size of each file; a tar is read for it, as far as it is asked."""
        if self._kind == "tar":
            yield from ((one.name, one.size) for one in self._archive if one.isfile())
        elif self._kind == "7z":
            listed = (one for one in self._archive.list() if not one.is_directory)
            yield from ((one.filename.replace("\\", "/"), one.uncompressed) for one in listed)
        else:
            infos = (one for one in self._archive.infolist() if not one.is_dir())
            yield from ((one.filename.replace("\\", "/"), one.file_size) for one in infos)

    def num_bytes(self) -> int:
        """Size of all files, after their names and sizes are checked."""
        total, packed, seen = 0, self.path.stat().st_size, set()
        for name, size in self._files():
            # tarfile takes the leading / away.
            if _leads_out(name.lstrip("/") if self._kind == "tar" else name):
                raise _leading_out(self.path, name)
            plain = PurePosixPath(name)
            if plain in seen:
                what = "has two files of one name; nothing was unpacked"
                raise InputError(what, file=self.path, values=[name])
            seen.add(plain)
            total += size
            check_unpacked(self.path, total, packed)
        return total

    def extract(self, into: Path) -> None:
        """Write all files below a folder."""
        if self._kind == "tar":
            # Refuses links that lead out of the folder, and devices.
            self._archive.extractall(into, filter="data")
        else:
            self._archive.extractall(into)


def _leading_out(path: Path, name: str) -> InputError:
    what = "has a path that leads out of its folder; nothing was unpacked"
    return InputError(what, file=path, values=[name])


def _leads_out(name: str) -> bool:
    windows = PureWindowsPath(name)
    return bool(windows.drive) or name.startswith("/") or ".." in windows.parts


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[_Opened]:
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            yield _Opened(path, kind, archive)
    elif kind == "tar":
        with _tar_stream(path) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            yield _Opened(path, kind, tar)
    else:
        if find_spec("py7zr") is None:
            raise InputError(
                "is a 7z archive, which needs py7zr",
                file=path,
                mend=f"Install it (pip install 'comptool[7z]'), or unpack it: 7z x {path.name}",
            )
        import py7zr

        try:
            with py7zr.SevenZipFile(path) as seven:
                yield _Opened(path, kind, seven)
        except py7zr.PasswordRequired as error:
            raise InputError("is encrypted; unpack it with its password", file=path) from error


@contextmanager
def _tar_stream(path: Path) -> Iterator[Any]:
    """The bytes of a tar file, perhaps packed; no read is longer than what is allowed."""
    with path.open("rb") as stream:
        start = stream.read(max(map(len, UNPACKERS)))
    unpack = next((by for magic, by in UNPACKERS.items() if start.startswith(magic)), open)
    with unpack(path, "rb") as stream:
        yield _TarStream(path, stream)


class _TarStream:
    def __init__(self, path: Path, stream: Any) -> None:
        self._path, self._stream, self._packed = path, stream, path.stat().st_size
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        # The length of a name, too, is a number in the file.
        check_unpacked(self._path, self._stream.tell() + size, self._packed)
        content: bytes = self._stream.read(size)
        return content


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the libraries as errors about the archive."""
    try:
        yield
    except ComptoolError:
        raise
    except tarfile.FilterError as error:
        raise _leading_out(path, error.tarinfo.name) from error
    except OSError as error:
        if disk_error(error) or isinstance(error, PermissionError):
            raise write_error(path.parent, error) from error
        raise InputError(f"cannot be unpacked ({reason(error)})", file=path) from error
    # The libraries raise errors of any type on damaged archives.
    except Exception as error:
        if "password required" in str(error):
            raise InputError("is encrypted; unpack it with its password", file=path) from error
        raise InputError(f"cannot be unpacked ({reason(error)})", file=path) from error


def _unpack(opened: _Opened, folder: Path, target: Path) -> tuple[int, list[str]]:
    """Unpack into the target by way of a hidden folder.

    The number of files, and the names of those that are not among them, as they were there.
    """
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f"cannot be written to, and {opened.path.name} has to be unpacked",
            file=folder,
            mend="Copy the download to a folder of yours",
        )
    needed, free = opened.num_bytes(), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"needs {needed / GIGABYTE:.1f} GB unpacked, and {free / GIGABYTE:.1f} GB are free",
            file=opened.path,
            mend="Free some space, or move the download to another disk",
        )
    with _hidden_folder(folder) as temporary:
        inside = temporary / target.name
        opened.extract(inside)
        for clutter in (*inside.rglob(MAC_FILES), *inside.rglob("._*")):
            if clutter.is_dir():
                shutil.rmtree(clutter)
            else:
                clutter.unlink(missing_ok=True)
        count = sum(len(files) for _, _, files in os.walk(inside))
        if target == folder:
            left = [file.relative_to(inside).as_posix() for file in _merge(inside, folder)]
            return count - len(left), sorted(left)
        tops = list(inside.iterdir())
        is_inside = [one.name for one in tops] == [target.name] and tops[0].is_dir()
        if target.is_dir():
            target.rmdir()
        (tops[0] if is_inside else inside).rename(target)
        return count, []


@contextmanager
def _hidden_folder(folder: Path) -> Iterator[Path]:
    remove_leftovers(folder)
    temporary = new_partial_folder(folder / "unpacking")
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary)


def _merge(source: Path, target: Path) -> Iterator[Path]:
    """Move what a folder holds into another one, except the files whose names are taken: these."""
    for one in list(source.iterdir()):
        place = target / one.name
        if not os.path.lexists(place):
            one.rename(place)
        elif one.is_dir() and place.is_dir():
            yield from _merge(one, place)
        else:
            yield from filter(Path.is_file, one.rglob("*")) if one.is_dir() else [one]
