"""Tables in JSON: rows, ``{id: label}``, and images with annotations in the layout of COCO.

The layout of COCO, also of iNaturalist, Herbarium and iWildCam: ``images`` is a list of records
with an ``id`` (or ``image_id``) and a ``file_name``; ``annotations`` give an ``image_id`` a
``category_id``, whose name is in ``categories``. As a table it has a row per image, with the
columns ``category_id`` and ``category_name``; several categories of an image are joined by ``; ``.
Source: Lin et al. 2014, "Microsoft COCO", arXiv:1405.0312.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from comptool.errors import InputError

JSON = (".json", ".jsonl")
CATEGORY, CATEGORY_NAME = "category_id", "category_name"
JOIN = "; "
ROWS, NAMES, LABELS = "images", "categories", "annotations"
KEYS = ("id", "image_id")


def read_json(path: Path) -> pd.DataFrame:
    """A JSON file as a table of text.

    Raises
    ------
    InputError
        If it is not JSON, or holds no rows in a known layout.
    """
    state = path.stat()
    return _read_once(path, path.resolve(), state.st_mtime_ns, state.st_size).copy()


@lru_cache(maxsize=4)
def _read_once(path: Path, resolved: Path, modified: int, size: int) -> pd.DataFrame:
    """A command looks at the same file several times, and such files are large."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".jsonl":
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            content = json.loads(text)
    # Of numbers with thousands of digits and thousands of brackets ValueError and RecursionError.
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"is not readable as JSON ({error})", file=path) from error
    if isinstance(content, dict) and _are_records(content.get(ROWS)):
        return _of_images(path, content)
    if isinstance(content, dict) and all(map(_is_plain, content.values())):
        rows = {"id": list(content), "label": [_text(one) for one in content.values()]}
        return pd.DataFrame(rows, dtype=object)
    if _are_records(content):
        return _of_records(content)
    raise InputError(
        "holds no table",
        file=path,
        values=list(content)[:3] if isinstance(content, dict) else (),
        mend="A list of records, {id: label}, or 'images' and 'annotations' as in COCO are read",
    )


def _are_records(content: object) -> bool:
    return isinstance(content, list) and all(isinstance(one, dict) for one in content)


def _is_plain(value: object) -> bool:
    return not isinstance(value, dict | list)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _of_records(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [_text(record.get(name)) for record in records] for name in names}
    return pd.DataFrame(columns, dtype=object)


def _of_images(path: Path, content: Mapping[str, Any]) -> pd.DataFrame:
    plain = [
        {key: value for key, value in image.items() if _is_plain(value)} for image in content[ROWS]
    ]
    frame = _of_records(plain)
    annotations = content.get(LABELS) or []
    if frame.empty or not annotations:
        return frame
    key = next((name for name in KEYS if name in frame), None)
    if key is None or not all(_are_annotations(one) for one in annotations):
        raise InputError(
            "an image has no 'id', or an annotation no 'image_id' and 'category_id'",
            file=path,
            mend="Name another table with --train",
        )
    kinds: dict[str, dict[str, None]] = {}
    for one in annotations:
        kinds.setdefault(_text(one["image_id"]), {})[_text(one[CATEGORY])] = None
    of_image = [list(kinds.get(image, ())) for image in frame[key]]
    frame[CATEGORY] = [JOIN.join(one) for one in of_image]
    names = {
        _text(kind.get("id", kind.get(CATEGORY))): _text(kind.get("name"))
        for kind in content.get(NAMES) or []
    }
    if names and all(one in names for row in of_image for one in row):
        frame[CATEGORY_NAME] = [JOIN.join(names[one] for one in row) for row in of_image]
    return frame


def _are_annotations(one: object) -> bool:
    return isinstance(one, dict) and "image_id" in one and CATEGORY in one
