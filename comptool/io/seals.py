"""Seals: a record in JSON holds the digest of its own values, so that none of them changes unseen.

The digests of a record show a changed file, but not a changed record: another value that is as
plausible, a name, a score or a number of classes, would be taken for what was computed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comptool.errors import InputError
from comptool.io.documents import read_json

SEAL = "seal"


def seal_text(document: Mapping[str, Any]) -> str:
    """The JSON text of a record with its seal; values that JSON does not know become text.

    >>> seal_text({"score": 1.0}).splitlines()[1]
    '  "score": 1.0,'
    """
    plain = json.loads(json.dumps(dict(document), default=str))
    return json.dumps(plain | {SEAL: _digest(plain)}, indent=2) + "\n"


def read_sealed(path: Path, *, mend: str | None = None) -> Any:
    """The value of a record without its seal.

    A record without a seal, of an older version or written by hand, is taken as it is.

    Raises
    ------
    InputError
        As `read_json`, or if the values are not those that were sealed; names the remedy.
    """
    document = read_json(path, mend=mend)
    if not isinstance(document, dict) or SEAL not in document:
        return document
    values = {name: value for name, value in document.items() if name != SEAL}
    if not _fits(document[SEAL], values):
        raise InputError(
            "was changed or damaged after comptool wrote it: its values are not those of its seal",
            file=path,
            mend=f"{mend}; or delete its key `{SEAL}` to use it as it is"
            if mend
            else f"Delete its key `{SEAL}` to use it as it is",
        )
    return values


def _fits(seal: Any, values: Mapping[str, Any]) -> bool:
    return bool(seal == _digest(values))


def _digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of the values, whatever the order of the keys and the blanks between them."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
