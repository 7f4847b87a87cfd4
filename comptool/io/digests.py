"""SHA-256 of files, each computed once.

A digest is kept in the process by device, inode, size and times of the file; of large files also in
``digests.json`` of the cache folder. A file changed so recently that another change might leave the
same time is hashed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import time_ns

from comptool.errors import InputError
from comptool.io.documents import read_json
from comptool.io.leftovers import new_partial_file, remove_leftovers
from comptool.machine import cache_folder, compute_threads, threads

LARGE = 16 << 20  # bytes, which take about 10 ms
MOST_KEPT = 1000  # large files
# Nanoseconds within which two changes may have one time: a tick of the kernel; where times are
# whole seconds, the two seconds of FAT.
TICK, COARSE_TICK, SECOND = 20_000_000, 2_000_000_000, 1_000_000_000

Key = tuple[int, ...]
_known: dict[Key, str] = {}
_lock = Lock()


def sha256(path: Path, *, anew: bool = False) -> str:
    """Hexadecimal SHA-256 of a file's bytes; ``anew``: not a digest that is kept."""
    seen = path.stat()
    key = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    found = None if anew else _known.get(key)
    if found is not None:
        return found
    large = seen.st_size >= LARGE
    if large and not anew:
        found = _read_kept().get(_name(path, key))
    if found is None:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if not _is_settled(seen) or path.stat().st_mtime_ns != seen.st_mtime_ns:
            return found
        if large:
            _keep(_name(path, key), found)
    _known[key] = found
    return found


def hashes(inputs: Iterable[Path]) -> dict[str, str | None]:
    """SHA-256 of each file by its path as given; None for a folder."""
    paths = list(inputs)
    with threads(compute_threads()) as pool:
        digests = pool.map(lambda path: sha256(path) if path.is_file() else None, paths)
        return dict(zip(map(str, paths), digests, strict=True))


def _is_settled(seen: os.stat_result) -> bool:
    times = (seen.st_mtime_ns, seen.st_ctime_ns)
    tick = COARSE_TICK if seen.st_mtime_ns % SECOND == 0 else TICK
    return time_ns() - max(times) > tick


def _place() -> Path:
    return cache_folder() / "digests.json"


def _name(path: Path, key: Key) -> str:
    # Without the device, whose number changes with the mounts.
    return json.dumps([os.path.realpath(path), *key[1:]])


def _read_kept() -> dict[str, str]:
    try:
        found = read_json(_place())
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def _keep(name: str, digest: str) -> None:
    with _lock, suppress(OSError):
        kept = _read_kept()
        kept[name] = digest
        place = _place()
        place.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(place.parent)
        temporary = new_partial_file(place)
        try:
            latest = dict(list(kept.items())[-MOST_KEPT:])
            temporary.write_text(json.dumps(latest, indent=0), encoding="utf-8")
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)
