"""Tables of JSON and BSON files whose records hold their images, and the readers of those records.

A path column of such a table holds ``FILE#START+LENGTH/FIELD``: the bytes of a record in the file,
and the field of it. A record is therefore read without the others, however large the file is.

- JSON: a list of objects, or one object per line; a field with an array of numbers is a channel. A
  flat array of a square number of pixels is a square.
- BSON: documents one after another, as written by mongodump; a field with an encoded image, or a
  list of such, of which the first counts; ``FIELD/1`` is the second.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import InputError, counted
from comptool.io.documents import DECODER, JSON_NAME, is_too_deep, reading, records_text
from comptool.io.image_formats import DAMAGED, package
from comptool.io.image_readers import MEMBER, READERS, RECORD_SUFFIXES, USUAL

NOTES, COUNTS = "notes", "images"
LEAST_PIXELS = 16
HEAD = 1 << 22  # bytes of which the first record is read
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LENGTH = 4  # bytes at the start of a BSON document
BSON, LINES = ".bson", ".jsonl"

Record = Mapping[str, Any]


def holds_records(path: Path) -> bool:
    """Whether a file is BSON, or a list of JSON records of which the first holds an image."""
    suffix = path.suffix.lower()
    if suffix not in RECORD_SUFFIXES or suffix == BSON:
        return suffix == BSON
    try:
        with path.open("rb") as stream:
            text = stream.read(HEAD).removeprefix(BYTE_ORDER_MARK).decode(errors="replace").lstrip()
    except OSError:
        return False
    if not text.startswith("[" if suffix != LINES else "{"):
        return False
    if is_too_deep(text.encode()):
        return False
    try:
        record, _ = DECODER.raw_decode(text, _next(text, 0))
    except ValueError:
        return len(text.encode()) >= HEAD  # a record of megabytes
    return isinstance(record, dict) and any(map(_image_count, record.values()))


def read_record_table(path: Path) -> pd.DataFrame:
    """The records of a JSON or BSON file as a table of text.

    Parameters
    ----------
    path
        A file of records.

    Returns
    -------
    pandas.DataFrame
        One row per record: text of its values, and for each field with an image its place, with the
        name of the file alone. ``attrs["notes"]`` says which images were left out, and
        ``attrs["images"]`` how many there are in each row of a field with several.

    Raises
    ------
    InputError
        If the file does not exist, is damaged, or is not a list of records.
    """
    if not path.is_file():
        raise InputError("there is no such table", file=path)
    seen = path.stat()
    found = _read_once(path, path.resolve(), seen.st_mtime_ns, seen.st_size)
    frame = found.copy()
    frame.attrs |= {NOTES: list(found.attrs[NOTES]), COUNTS: dict(found.attrs[COUNTS])}
    return frame


@lru_cache(maxsize=4)
def _read_once(path: Path, full: Path, modified: int, size: int) -> pd.DataFrame:
    """A command looks at the same file several times, and such files are large."""
    columns: dict[str, list[str]] = {}
    several: dict[str, int] = {}
    counts: dict[str, dict[int, int]] = {}
    for number, (start, length, record) in enumerate(_records(path)):
        for field, value in record.items():
            count = _image_count(value)
            place = f"{path.name}{MEMBER}{start}+{length}/{field}"
            # A field that earlier records lack is blank there.
            columns.setdefault(field, [""] * number).append(place if count else _text(value))
            if count > 1:
                counts.setdefault(field, {})[number] = count
                several[field] = several.get(field, 0) + 1
        for column in columns.values():
            column += [""] * (number + 1 - len(column))
    if not columns:
        raise InputError("holds no records", file=path)
    notes = [
        f"{counted(number, 'record')} of {path} {'has' if number == 1 else 'have'} several images "
        f"in '{field}': the first of each is taken"
        for field, number in several.items()
    ]
    frame = pd.DataFrame(columns, dtype=str)
    frame.attrs[NOTES] = notes
    frame.attrs[COUNTS] = {
        field: [known.get(row, 1) for row in range(len(frame))] for field, known in counts.items()
    }
    return frame


def read_record(path: Path, member: str) -> bytes:
    """The bytes of a record, ``START+LENGTH/FIELD``; an InputError if the file lacks the place."""
    start, _, length = member.partition("/")[0].partition("+")
    if not (start.isdigit() and length.isdigit()):
        raise InputError(f"'{member}' is not a place START+LENGTH/FIELD of a record", file=path)
    with path.open("rb") as stream:
        stream.seek(int(start))
        content = stream.read(int(length))
    if len(content) < int(length):
        raise InputError(
            f"ends before the record {member}; the table was made of another file",
            file=path,
            mend="Make the table again: comptool split",
        )
    return content


def read_json(content: bytes, path: Path) -> npt.NDArray[np.float32]:
    """The array of a field of a JSON record; the path ends in the place of the record."""
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _moved(path, error) from error
    try:
        values = np.array(_field(record, path), np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"this field is no array of numbers with rows of one length ({error})", file=path
        ) from error
    if values.ndim == 1:
        side = math.isqrt(len(values))
        if side * side != len(values):
            raise InputError(
                f"this flat array of {len(values)} numbers is not a square image; nested lists "
                "would give its rows",
                file=path,
            )
        return values.reshape(side, side)
    return values


def read_bson(content: bytes, path: Path) -> npt.NDArray[Any]:
    """The image of a field of a BSON document, decoded by its content."""
    bson = package("bson", "bson", path)
    try:
        record = bson.decode(content)
    except bson.errors.InvalidBSON as error:
        raise _moved(path, error) from error
    above, _, end = path.as_posix().rpartition("/")
    place = int(end) if end.isdigit() and _field_name(path) not in record else None
    images = _encoded(_field(record, path if place is None else Path(above)))
    if (place or 0) >= len(images):
        which = "no image" if place is None else f"{counted(len(images), 'image')}"
        raise InputError(f"this field holds {which}", file=path)
    pixels: npt.NDArray[Any] = READERS.load(USUAL)(images[place or 0], path)
    return pixels


def _field_name(path: Path) -> str:
    return path.as_posix().rpartition(MEMBER)[2].partition("/")[2]


def _field(record: Any, path: Path) -> Any:
    name = _field_name(path)
    if not isinstance(record, Mapping) or name not in record:
        raise InputError(f"this record has no field '{name}'", file=path)
    return record[name]


def _moved(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(
        f"is no longer a record ({reason}); the table was made of another file",
        file=path,
        mend="Make the table again: comptool split",
    )


def _records(path: Path) -> Iterator[tuple[int, int, Record]]:
    """Start, length and content of each record."""
    if path.suffix.lower() == BSON:
        yield from _bson_records(path)
    else:
        yield from _json_records(path)


def _bson_records(path: Path) -> Iterator[tuple[int, int, Record]]:
    bson = package("bson", "bson", path)
    start = 0
    with path.open("rb") as stream:
        while head := stream.read(LENGTH):
            length = int.from_bytes(head, "little")
            content = head + stream.read(max(length - LENGTH, 0))
            try:
                record = bson.decode(content)
            except bson.errors.InvalidBSON as error:
                reason = " ".join(str(error).split())
                raise InputError(
                    f"is damaged at byte {start} ({reason})", file=path, mend=DAMAGED
                ) from error
            yield start, length, record
            start += length


def _json_records(path: Path) -> Iterator[tuple[int, int, Record]]:
    with reading(path, JSON_NAME):
        text, byte = records_text(path)
    place = 0
    while True:
        begin = _next(text, place)
        if begin == len(text) or text[begin] == "]":
            return
        with reading(path, JSON_NAME):
            record, end = DECODER.raw_decode(text, begin)
        if not isinstance(record, dict):
            raise InputError(
                "is not a list of records: a list of objects, or one object per line", file=path
            )
        byte += len(text[place:begin].encode())
        length = len(text[begin:end].encode())
        yield byte, length, record
        byte, place = byte + length, end


def _next(text: str, place: int) -> int:
    """Start of the next record: after white space, commas and the bracket of the list."""
    while place < len(text) and (text[place].isspace() or text[place] in ",["):
        place += 1
    return place


def _image_count(value: Any) -> int:
    """Number of images in a value of a record."""
    if isinstance(value, bytes):
        return 1
    if not isinstance(value, list) or not value:
        return 0
    if isinstance(value[0], list) or len(value) >= LEAST_PIXELS:
        return int(_are_numbers(value))
    return len(_encoded(value))


def _are_numbers(value: Any) -> bool:
    """Whether all that lies in lists of lists is a number."""
    if isinstance(value, list):
        return bool(value) and all(map(_are_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _encoded(value: Any) -> list[bytes]:
    """The encoded images of a BSON value: bytes, or bytes in documents or lists."""
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [image for one in value for image in _encoded(one)]
    return []


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)
