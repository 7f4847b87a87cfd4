"""Images of a download, and the filename patterns that connect them to ids.

A pattern such as ``SAR_{id}.png`` or ``EO/{id}.jpg`` matches the last path components of a file at
any depth below a folder; ``{name}`` is a column of the table, ``{id}`` its id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comptool.errors import InputError
from comptool.io.image_readers import CHANNELS, IMAGE_SUFFIXES, USUAL, reader_of

if TYPE_CHECKING:
    import pandas as pd

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
    and comptool's own (``weights``, ``submissions``); follows links. A file without a suffix is an
    image if it begins as one.
    """
    names = find_files(folder)
    return [
        name
        for name in names
        if looks_like_image(name, suffixes) or is_image_without_suffix(folder, name)
    ]


def find_files(folder: Path) -> list[str]:
    """Sorted paths of all files below ``folder`` but hidden ones and comptool's own, with ``/``."""
    found: list[str] = []
    for top, folders, files in os.walk(folder, followlinks=True):
        relative = os.path.relpath(top, folder)
        depth = 0 if relative == "." else relative.count(os.sep) + 1
        # The depth is limited because a link may lead to a folder above.
        kept = [
            name
            for name in folders
            if name[0] != "." and name != MAC_FILES and not (depth == 0 and name in NOT_DATA)
        ]
        folders[:] = sorted(kept) if depth < MAX_DEPTH else []
        prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
        found += [prefix + name for name in files if name[0] != "."]
    return sorted(found)


# What an archive made on a Mac holds beside the files.
MAC_FILES = "__MACOSX"
NO_SUFFIX = re.compile(r"(\.\d+)?")
BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"RIFF")


def is_image_without_suffix(folder: Path, name: str) -> bool:
    """Whether a file without a suffix, or with a number for one, begins as an image does."""
    if not NO_SUFFIX.fullmatch(os.path.splitext(name)[1]):
        return False
    try:
        with (folder / name).open("rb") as stream:
            content = stream.read(256)
    except OSError:
        return False
    return content.startswith(BEGINNINGS) or reader_of("", content).name != USUAL


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


def fill_rows(pattern: str, frame: pd.DataFrame, id_column: str = "id") -> list[str]:
    """The pattern with the values of each of N rows; ``{id}`` is the value of the id column."""
    names = placeholders(pattern)
    columns = [frame[id_column if name == "id" else name] for name in names]
    rows = zip(*columns, strict=True)
    return [fill(pattern, dict(zip(names, row, strict=True))) for row in rows]


def tail(path: str, components: int) -> str:
    """The last components of a path."""
    return "/".join(path.split("/")[-components:])


def plain_path(name: str) -> str:
    r"""A path of a table with ``/`` between its parts, and without ``./`` before it.

    >>> plain_path(".\\train\\1.png")
    'train/1.png'
    """
    return name.replace("\\", "/").removeprefix("./")


def without_suffix(name: str) -> str:
    """A name without the suffixes of images at its end: ``a.jpg.png`` becomes ``a``."""
    while looks_like_image(name):
        name = os.path.splitext(name)[0]
    return name


def _without_zeros(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", without_suffix(name.lower()))


# Ways to look for an image: by its exact name, and then ignoring more and more of its spelling.
SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "": lambda name: name,
    "upper and lower case": str.lower,
    "suffixes": lambda name: without_suffix(name.lower()),
    "leading zeros": _without_zeros,
}


class ImageIndex:
    """Images by the end of their path, with ``/``."""

    def __init__(self, images: Iterable[str]) -> None:
        self._images = list(images)
        self._found: dict[tuple[int, str], dict[str, list[str]]] = {}

    def find(self, name: str) -> tuple[list[str], str]:
        """The images whose path ends in a name, and the part of its spelling that was ignored.

        A name that no image has exactly is looked for without regard to upper and lower case, then
        to suffixes (none, ``.jpeg`` for ``.jpg``), then to leading zeros.
        """
        name = plain_path(name)
        components = name.count("/") + 1
        for ignored, spelling in SPELLINGS.items():
            key = spelling(name)
            if key and (images := self._index(components, ignored).get(key)):
                return images, ignored
        return [], ""

    def _index(self, components: int, ignored: str) -> dict[str, list[str]]:
        if (components, ignored) not in self._found:
            index = self._found[components, ignored] = {}
            for image in self._images:
                key = SPELLINGS[ignored](tail(image, components))
                index.setdefault(key, []).append(image)
        return self._found[components, ignored]


def look_up(wanted: Sequence[str], images: Iterable[str], source: Path) -> list[str]:
    """The image whose path ends in each wanted name, or ``""``; InputError if it is ambiguous.

    Spellings as in `ImageIndex.find`.
    """
    index = ImageIndex(images)
    found = [index.find(name) for name in wanted]
    exact = {paths[0] for paths, ignored in found if paths and not ignored}
    chosen = []
    for row, (paths, ignored) in enumerate(found, start=1):
        # The image of another row is not that of a row with a similar name.
        free = [path for path in paths if path not in exact] if ignored else paths
        if len(free) > 1:
            raise InputError(
                f"two images have the name '{wanted[row - 1]}'",
                file=source,
                row=row,
                values=free[:2],
                mend="Name their folder with 'train-images' or 'test-images' in comptool.toml",
            )
        chosen.append(free[0] if free else "")
    return chosen


@dataclass
class Row:
    """A sample found in folders: id, class, image of each modality, and name without the class."""

    id: str
    label: str
    paths: dict[str, str]
    name: str


def collect(
    patterns: Mapping[str, str], images: Iterable[str], class_of: Callable[[str, str], str] | None
) -> list[Row]:
    """The samples that the patterns of all modalities match among the images.

    If an id occurs in several classes (``cats/1.png`` and ``dogs/1.png``), all ids become
    ``<class>/<id>``. ``class_of(modality, path)``: the class of an image; None: unlabelled.
    """
    rows: dict[tuple[str, str], Row] = {}
    for image in images:
        for modality, pattern in patterns.items():
            name = match(pattern, image)
            if name is None:
                continue
            label = class_of(modality, image) if class_of is not None else ""
            row = rows.setdefault((label, name), Row(name, label, {}, name))
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


def match(pattern: str, path: str) -> str | None:
    """The id in a path, or None.

    >>> match("SAR/{id}.png", "train/3/SAR/17.png")
    '17'
    """
    literal = [re.escape(part) for part in pattern.split("{id}")]
    found = re.fullmatch("([^/]+)".join(literal), tail(path, pattern.count("/") + 1))
    return found[1] if found and found.groups() else None
