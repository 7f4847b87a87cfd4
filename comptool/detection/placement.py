"""How the images of a download are tied to its tables: by columns or by ids."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from comptool.patterns import fill, looks_like_image, placeholders, tail

NUM_PROBES = 20
# Of the probed ids; the rest may be images that are missing.
MIN_FOUND = 0.5
MAX_MODALITIES = 4
# Radar comes first wherever it is paired with optics (MAVOC's tables, and every example here).
LEADING = "sar"
DATA_FOLDER_NAMES = frozenset("data input dataset download raw".split())
ONE_MODALITY = "image"
PLAIN = frozenset({"", "image", "img", "file", "filename", "path", "id", "name"})


def spread(values: Sequence[str]) -> list[str]:
    """Up to 20 distinct values that are not blank, from all over the sequence."""
    distinct = [value for value in dict.fromkeys(values) if value]
    step = max(1, len(distinct) // NUM_PROBES)
    return distinct[::step][:NUM_PROBES]


def by_columns(folder: Path, frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    """Column by modality, for columns of every table that name images in ``folder``.

    One image that exists is enough: a missing one is a mistake to be told by its row.
    """
    columns = image_columns(frames)
    present = {
        name: any(os.path.exists(folder / value) for value in values)
        for name, values in columns.items()
    }
    return named({name: name for name in columns if present[name]})


def by_file_names(images: Sequence[str], frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    """``"{column}"`` by modality, for columns with file names of images that are in some folder."""
    sources = {}
    for name, values in image_columns(frames).items():
        ends = {tail(image, 1 + values[0].count("/")) for image in images}
        if not ends.isdisjoint(values):
            sources[name] = f"{{{name}}}"
    return named(sources)


def image_columns(frames: Sequence[pd.DataFrame]) -> dict[str, list[str]]:
    """Some values of each column that holds names of image files in every table."""
    shared = [name for name in frames[0].columns if all(name in frame for frame in frames)]
    probes = {name: [v for one in frames for v in spread(one[name].tolist())] for name in shared}
    return {
        name: seen for name, seen in probes.items() if seen and all(map(looks_like_image, seen))
    }


def named(sources: Mapping[str, str]) -> dict[str, str]:
    """Sources under the names of their modalities; the keys are what names are made from."""
    names = [_modality_name(text) for text in sources]
    if len(names) == 1 and is_id_pattern(*sources.values()):
        names = [ONE_MODALITY]
    if len(set(names)) < len(names):
        names = [f"{ONE_MODALITY}{number}" for number in range(1, len(names) + 1)]
    return dict(zip(names, sources.values(), strict=True))


def is_id_pattern(text: str) -> bool:
    """Whether a source is a file-name pattern around the id.

    Examples
    --------
    >>> is_id_pattern("SAR_{id}.png"), is_id_pattern("{file}")
    (True, False)
    """
    return "id" in placeholders(text)


def _modality_name(text: str) -> str:
    """What is left of a column's name or of a pattern's fixed letters, or ``image``."""
    text = re.sub(r"{id}|\.\w+$", "", text)
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word not in PLAIN]
    return "-".join(dict.fromkeys(words)) or ONE_MODALITY


def by_ids(images: Sequence[str], ids: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Modalities whose file names are made of the id, for the ids of every role.

    Parameters
    ----------
    images
        Paths with ``/``.
    ids
        Ids by role, ``train`` or ``test``; one id may be in both.

    Returns
    -------
    dict
        Pattern with ``{id}`` by modality; empty if no pattern fits half of the ids.
    """
    shared: list[str] | None = None
    for role, values in ids.items():
        patterns = _patterns_around(only_role(images, role), spread(values))
        shared = patterns if shared is None else [one for one in shared if one in patterns]
    shared = (shared or [])[:MAX_MODALITIES]
    shared.sort(key=lambda pattern: (LEADING not in pattern.lower(), pattern))
    return named({pattern: pattern for pattern in shared})


def _patterns_around(images: Sequence[str], probes: Sequence[str]) -> list[str]:
    if not probes:
        return []
    longest_first = sorted(probes, key=len, reverse=True)
    any_id = "|".join(re.escape(probe) for probe in longest_first)
    inside = re.compile(rf"(?<![A-Za-z0-9])({any_id})(?![A-Za-z0-9])")
    seen: dict[str, dict[str, list[str]]] = {}
    for image in images:
        above, _, name = image.rpartition("/")
        found = inside.search(name)
        if found:
            template = f"{name[: found.start()]}{{id}}{name[found.end() :]}"
            seen.setdefault(template, {}).setdefault(found[1], []).append(above)
    patterns: list[str] = []
    for template, folders in sorted(seen.items()):
        if len(folders) < MIN_FOUND * len(probes):
            continue
        patterns += _with_sensor_folders(template, folders)
    return patterns


def _with_sensor_folders(template: str, folders: Mapping[str, list[str]]) -> list[str]:
    """``{id}.png`` in SAR and in EO becomes ``SAR/{id}.png`` and ``EO/{id}.png``."""
    if all(len(above) == 1 for above in folders.values()):
        return [template]
    last = Counter(tail(folder, 1) for above in folders.values() for folder in above)
    return [f"{name}/{template}" for name, count in sorted(last.items()) if count == len(folders)]


def images_folder(images: Sequence[str], wanted: Sequence[Sequence[str]]) -> tuple[str, int]:
    """The deepest folder with every wanted image, and how many rows lack an image.

    Parameters
    ----------
    images
        Paths with ``/``.
    wanted
        For each modality, the N last path components that its images should have.
    """
    components = {name.count("/") + 1 for names in wanted for name in names[:1]}
    index = {tail(image, count): image for count in components for image in images}
    above = set()
    missing = set()
    for names in wanted:
        for row, name in enumerate(names):
            if name in index:
                above.add(index[name][: -len(name)].rstrip("/"))
            else:
                missing.add(row)
    return os.path.commonpath(above) if above and "" not in above else "", len(missing)


def only_role(images: Sequence[str], role: str) -> list[str]:
    """Images that do not lie in the folder of the other role (``train`` or ``test``), if any."""
    other = "test" if role == "train" else "train"
    kept = [image for image in images if other not in image.rpartition("/")[0].lower()]
    return kept or list(images)


def filled(pattern: str, frame: pd.DataFrame, id_column: str) -> list[str]:
    """The pattern for every row of a table."""
    names = placeholders(pattern)
    columns = [frame[id_column if name == "id" else name] for name in names]
    rows = zip(*columns, strict=True)
    return [fill(pattern, dict(zip(names, row, strict=True))) for row in rows]
