"""Digest of samples and their images, by which a long command knows that nothing changed since."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from comptool.competition.samples import Samples
from comptool.data.cache import reader_salt
from comptool.io.image_readers import parts_of
from comptool.machine import threads

CHUNK = 1024  # files per task of a thread


def sample_digest(samples: Samples) -> str:
    """SHA-256 of the ids, bags and image paths of samples, their reader and the state of each file.

    The state of a file is its size and its time of change in whole seconds, as archives keep it.
    The images are not read, which would take as long as to predict them: after a copy that gives
    files new times the digest is another one.
    """
    frame, paths = samples.frame, list(samples.paths.values())
    columns = [samples.id, *([] if samples.bag is None else [samples.bag]), *paths]
    found = hashlib.sha256(reader_salt(samples.reader))
    found.update(repr((columns, list(samples.paths))).encode())
    for row in frame[columns].itertuples(index=False):
        found.update(os.fsencode("\0".join(row) + "\n"))
    cells = (cell for column in paths for cell in frame[column] if cell)
    files = sorted({file for cell in cells for file, _ in parts_of(cell)})
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    with threads(None) as pool:
        for states in pool.map(lambda chunk: list(_states(samples.folder, chunk)), chunks):
            found.update("\n".join(states).encode())
    return found.hexdigest()


def _states(folder: Path, files: list[str]) -> Iterator[str]:
    for file in files:
        try:
            seen = os.stat(folder / file)
        except OSError:
            yield "none"
        else:
            yield f"{seen.st_size} {int(seen.st_mtime)}"
