"""A zip with one CSV at its root, as the MAVOC challenges take it."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import pandas as pd

from comptool.errors import InputError, SubmissionError
from comptool.outputs import atomic_output
from comptool.tables import read_table

MEMBER = "results.csv"
# The oldest time that a zip can hold: the bytes must not depend on the clock.
EPOCH = (1980, 1, 1, 0, 0, 0)
READABLE_FILE = 0o100644 << 16
UNIX = 3


def write_zip(path: Path, csv: Path, *, force: bool = False) -> None:
    """Write ``csv`` as ``results.csv`` into a zip; the same content gives the same bytes.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    """
    member = zipfile.ZipInfo(MEMBER, date_time=EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = READABLE_FILE
    member.create_system = UNIX
    with atomic_output(path, force=force) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(member, csv.read_bytes())


def read_submission(path: Path) -> pd.DataFrame:
    """A submission as text, from a CSV or from ``results.csv`` at the root of a zip.

    Raises
    ------
    InputError
        If there is no such file.
    SubmissionError
        If the zip is broken or holds anything else, or the table cannot be read.
    """
    if not path.exists():
        raise InputError("there is no such file", file=path)
    if path.suffix.lower() != ".zip":
        return _read(path, str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if names != [MEMBER]:
                shown = ", ".join(f"'{name}'" for name in names[:3]) or "nothing"
                raise SubmissionError(f"{path}: holds {shown}; one {MEMBER} at its root is wanted")
            content = archive.read(MEMBER)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, RuntimeError) as error:
        raise SubmissionError(f"{path}: is no readable zip ({error})") from error
    with tempfile.TemporaryDirectory() as folder:
        extracted = Path(folder) / MEMBER
        extracted.write_bytes(content)
        return _read(extracted, f"{path}/{MEMBER}")


def _read(path: Path, name: str) -> pd.DataFrame:
    try:
        return read_table(path)
    except InputError as error:
        raise SubmissionError(str(error).replace(str(path), name)) from error
