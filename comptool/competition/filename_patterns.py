"""Images of a download, and the filename patterns that connect them to ids.

A pattern such as ``SAR_{id}.png`` or ``EO/{id}.jpg`` matches the last path components of a file at
any depth below a folder; ``{name}`` is a column of the table, ``{id}`` its id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from comptool.errors import InputError
from comptool.io.image_readers import CHANNELS, IMAGE_SUFFIXES

NOT_DATA = frozenset({"weights", "submissions", "__pycache__"})
MAX_DEPTH = 8
NO_CLASSES = re.compile(
    r"(?<![a-z])(?:test|(?:train|training|val|valid|validation|images?|imgs?)(?![a-z]))"
)


def looks_like_image(name: str, suffixes: Collection[str] = IMAGE_SUFFIXES) -> bool:
    """Whether the file name has the suffix of an image."""
    return os.path.splitext(name)[1].lower() in suffixes


def can_be_class(folder: str) -> bool:
    """Whether a folder at the top of a download may be a class, by its name.

    >>> can_be_class("AnnualCrop"), can_be_class("Test_2"), can_be_class("contest")
    (True, False, True)
    """
    return NO_CLASSES.search(folder.lower()) is None


def find_images(folder: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[str]:
    """Sorted paths of all images below ``folder``, relative to it, with ``/``.

    ``suffixes`` are those of images, with those of a reader of the user. Leaves out hidden folders
    and comptool's own (``weights``, ``submissions``); follows links.
    """
    found: list[str] = []
    for top, folders, files in os.walk(folder, followlinks=True):
        relative = os.path.relpath(top, folder)
        depth = 0 if relative == "." else relative.count(os.sep) + 1
        # The depth is limited because a link may lead to a folder above.
        kept = [
            name for name in folders if name[0] != "." and not (depth == 0 and name in NOT_DATA)
        ]
        folders[:] = sorted(kept) if depth < MAX_DEPTH else []
        prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
        found += [
            prefix + name for name in files if name[0] != "." and looks_like_image(name, suffixes)
        ]
    return sorted(found)


def is_pattern(text: str) -> bool:
    """Whether a modality is a filename pattern rather than a column."""
    return "{" in text


def channels_of(text: str) -> list[str]:
    """The columns or patterns of a modality: one, or those of the channels of its images."""
    return text.split(CHANNELS)


def placeholders(pattern: str) -> list[str]:
    """Names in braces, in order."""
    return re.findall(r"{([^{}]+)}", pattern)


def fill(pattern: str, values: Mapping[str, str]) -> str:
    """The pattern with each ``{name}`` replaced by its value.

    >>> fill("SAR_{id}.png", {"id": "007"})
    'SAR_007.png'
    """
    return re.sub(r"{([^{}]+)}", lambda found: values[found[1]], pattern)


def tail(path: str, components: int) -> str:
    """The last components of a path."""
    return "/".join(path.split("/")[-components:])


def look_up(wanted: Sequence[str], images: Iterable[str], source: Path) -> list[str]:
    """The image whose path ends in each wanted name, or ``""``; InputError if it is ambiguous."""
    images = list(images)
    indices: dict[int, dict[str, str]] = {}
    twice: dict[str, str] = {}
    for components in {name.count("/") + 1 for name in wanted}:
        index = indices[components] = {}
        for image in images:
            name = tail(image, components)
            if index.setdefault(name, image) != image:
                twice[name] = image
    for row, name in enumerate(wanted, start=1):
        if name in twice:
            raise InputError(
                f"two images have the name '{name}'",
                file=source,
                row=row,
                values=[indices[name.count("/") + 1][name], twice[name]],
                mend="Name their folder with 'train-images' or 'test-images' in comptool.toml",
            )
    return [indices[name.count("/") + 1].get(name, "") for name in wanted]


@dataclass
class Row:
    """A sample found in folders: id, class and image of each modality."""

    id: str
    label: str
    paths: dict[str, str]


def collect(patterns: Mapping[str, str], images: Iterable[str], *, labelled: bool) -> list[Row]:
    """The samples that the patterns of all modalities match among the images.

    If an id occurs in several classes (``cats/1.png`` and ``dogs/1.png``), all ids become
    ``<class>/<id>``. ``labelled``: the folder above the matched part is the class.
    """
    rows: dict[tuple[str, str], Row] = {}
    for image in images:
        for modality, pattern in patterns.items():
            found = match(pattern, image)
            if found is None:
                continue
            name, above = found[0], found[1] if labelled else ""
            row = rows.setdefault((above, name), Row(name, above, {}))
            if modality in row.paths:
                raise InputError(
                    f"two images are modality '{modality}' of id '{name}'",
                    values=[row.paths[modality], image],
                )
            row.paths[modality] = image
    collected = list(rows.values())
    if len({row.id for row in collected}) < len(collected):
        for row in collected:
            row.id = f"{row.label}/{row.id}"
    return collected


def match(pattern: str, path: str) -> tuple[str, str] | None:
    """The id in a path, and the folder above the matched part; or None.

    >>> match("SAR/{id}.png", "train/3/SAR/17.png")
    ('17', '3')
    """
    components = pattern.count("/") + 1
    literal = [re.escape(part) for part in pattern.split("{id}")]
    found = re.fullmatch("([^/]+)".join(literal), tail(path, components))
    if not found or not found.groups():
        return None
    above = path.split("/")[:-components]
    return found[1], above[-1] if above else ""
