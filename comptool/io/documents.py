"""Documents: JSON, TOML and YAML files as plain values, read with limits on size and depth.

The parsers recurse: a file of 100,000 brackets ends them all in a RecursionError, and tomllib takes
minutes for one key of 100,000 parts. What a document has to contain is checked by
:mod:`comptool.io.records`.
"""

from __future__ import annotations

import codecs
import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comptool.errors import InputError

# Largest sizes in bytes: of settings that people write, of records, and of tables in JSON.
SETTINGS, RECORD, TABLE = 1 << 20, 1 << 26, 2_000_000_000
DEEPEST = 100
JSON_NAME, TOML_NAME, YAML_NAME = "JSON", "TOML", "YAML"

_BRACKETS = b'[]{}"'
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))
_SQUARE = bytes.maketrans(b"{}", b"[]")
_LONG_KEY = re.compile(
    rf"""(?<![\w.-])(?:(?:"[^"\n]*"|'[^'\n]*'|[\w-]+)[ \t]*\.[ \t]*){{{DEEPEST}}}"""
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class DocumentError(ValueError):
    """Content that is not read; the text says why."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DocumentError(f"an object has the key {json.dumps(twice)} twice")
    return found


# Refuses objects with a repeated key, of which Python would keep the last.
DECODER = json.JSONDecoder(object_pairs_hook=_distinct)


def read_json(
    path: Path, *, limit: int = RECORD, lines: bool = False, mend: str | None = None
) -> Any:
    """The value of a JSON file, in UTF-8 with or without a byte order mark.

    Parameters
    ----------
    path
        The file.
    limit
        Largest size in bytes.
    lines
        Whether each line is a value of its own; the result is a list.
    mend
        Remedy, for messages.

    Raises
    ------
    InputError
        If the file cannot be read, is too large or too deep, is not JSON, or repeats a key.
    """
    with reading(path, JSON_NAME, mend=mend):
        text = _text(path, limit)
        if not lines:
            return from_json(text)
        _check_depth(text.encode())
        return [_line(line, row) for row, line in enumerate(text.split("\n"), 1) if line.strip()]


def _line(text: str, row: int) -> Any:
    try:
        return _decoded(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg}: line {row} column {error.colno}"
    except DocumentError as error:
        reason = f"{error} in line {row}"
    raise DocumentError(reason)


def from_json(text: str) -> Any:
    """The value of a JSON text; a ValueError if it is not JSON, too deep, or repeats a key."""
    _check_depth(text.encode("utf-8", "surrogatepass"))
    return _decoded(text)


def _decoded(text: str) -> Any:
    value = DECODER.decode(text)
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise DocumentError("a text has half of a surrogate pair") from error
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """The value of a TOML file; errors as in :func:`read_json`."""
    with reading(path, TOML_NAME):
        text = _text(path, SETTINGS)
        if _LONG_KEY.search(text):
            raise DocumentError(f"a key has more than {DEEPEST} parts")
        value = tomllib.loads(text)
        _check_value(value, SETTINGS)
        return value


def read_yaml(path: Path) -> Any:
    """The value of a YAML file of standard types; errors as in :func:`read_json`."""
    # A dependency of albumentations, whose policies are the only such files.
    import yaml  # type: ignore[import-untyped]

    with reading(path, YAML_NAME):
        try:
            value = yaml.safe_load(_text(path, SETTINGS))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = "" if mark is None else f": line {mark.line + 1} column {mark.column + 1}"
            reason = getattr(error, "problem", None) or " ".join(str(error).split())
            raise DocumentError(f"{reason}{place}") from error
        _check_value(value, SETTINGS)
        return value


@contextmanager
def reading(path: Path, form: str, *, what: str = "", mend: str | None = None) -> Iterator[None]:
    """Turn the errors of reading a document into an InputError.

    ``form`` is the name of the format, ``what`` the part of the file that is read.
    """
    subject = f"its {what} is" if what else "is"
    try:
        yield
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"
    except RecursionError:
        reason = _too_deep()
    except MemoryError:
        reason = "it does not fit into the memory"
    except OSError as error:
        reason = error.strerror or str(error)
    except InputError:
        raise
    except ValueError as error:
        # Python adds advice for programmers to what it says of huge numbers.
        reason = str(error).partition("; use sys.")[0]
    else:
        return
    raise InputError(f"{subject} not readable as {form} ({reason})", file=path, mend=mend)


def _check_size(path: Path, limit: int) -> None:
    size = path.stat().st_size
    if size > limit:
        raise DocumentError(f"it has {size:,} bytes, and at most {limit:,} are read")


def _text(path: Path, limit: int) -> str:
    _check_size(path, limit)
    return path.read_bytes().decode("utf-8-sig")


def records_text(path: Path) -> tuple[str, int]:
    """The text of a table in JSON that is not too deep, and the bytes of the mark before it."""
    _check_size(path, TABLE)
    content = path.read_bytes()
    _check_depth(content)
    text = content.decode("utf-8-sig")
    return text, 3 if content.startswith(codecs.BOM_UTF8) else 0


def _too_deep() -> str:
    return f"it is nested more than {DEEPEST} levels deep"


def _check_depth(content: bytes) -> None:
    if is_too_deep(content):
        raise DocumentError(_too_deep())


def is_too_deep(content: bytes) -> bool:
    """Whether JSON, complete or not, is nested too deep; takes a fraction of the parser's time."""
    if content.count(b"[") + content.count(b"{") <= DEEPEST:
        return False
    if b"\\" in content:
        content = re.sub(rb"\\.", b"", content, flags=re.DOTALL)
    brackets = content.translate(_SQUARE, _OTHERS)
    # Two quotes in a row change nothing for what follows; the rest are texts with brackets.
    brackets = re.sub(rb'"[^"]*"?', b"", brackets.replace(b'""', b""))
    for _ in range(DEEPEST):
        before = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if len(brackets) == before:
            break
    return b"[]" in brackets or brackets.count(b"[") > DEEPEST


def _check_value(value: Any, limit: int) -> None:
    """Refuse a value that is too deep, or aliases make larger than its text, and huge numbers."""
    left, seen = [(value, 1)], 0
    while left:
        one, depth = left.pop()
        seen += 1
        if seen > limit:
            raise DocumentError("its aliases repeat too much")
        if isinstance(one, int) and one.bit_length() > 63:
            raise DocumentError("a whole number has more than 64 bits")
        if isinstance(one, dict | list):
            if depth > DEEPEST:
                raise DocumentError(_too_deep())
            children = one.values() if isinstance(one, dict) else one
            left += [(child, depth + 1) for child in children]
