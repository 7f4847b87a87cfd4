"""Files of a download: images, tables, and the images of each modality."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from comptool.competition.filename_patterns import (
    fill,
    find_images,
    looks_like_image,
    placeholders,
    tail,
)
from comptool.competition.schema import PATH_KEYS
from comptool.errors import InputError, quoted
from comptool.io.tables import read_table

TABLE_NAME = re.compile(r"(.+?)(\.csv|\.csv\.gz|\.parquet)", re.IGNORECASE)

VALIDATION_NAMES = frozenset("val valid validation dev".split())


@dataclass
class Detection:
    """Facts of ``comptool.toml``, flat, and the sentences that explain them."""

    folder: Path
    facts: dict[str, Any]
    findings: list[str] = field(default_factory=list)

    @cached_property
    def images(self) -> list[str]:
        """Every image of the download, relative to it."""
        return find_images(self.folder)

    @property
    def table(self) -> Path:
        """The first table or folder that the facts name, for messages."""
        names = [self.facts[key] for key in PATH_KEYS if key in self.facts]
        return self.folder / names[0] if names else self.folder

    def settle(self, key: str, value: object, why: str) -> None:
        """Set a fact that is not given, and report why."""
        if key not in self.facts and value is not None:
            self.facts[key] = value
            self.findings.append(why)


@dataclass
class Tables:
    """The tables of a download, as far as they exist."""

    train: pd.DataFrame | None
    test: pd.DataFrame | None
    sample: pd.DataFrame | None


def find_tables(found: Detection) -> Tables:
    """The training table, test table and sample submission, by the facts or the file names."""
    stems = {}
    for name in sorted(os.listdir(found.folder)):
        fits = TABLE_NAME.fullmatch(name)
        if fits and (found.folder / name).is_file():
            stems[name] = fits[1].lower()
    samples = [name for name, stem in stems.items() if "sample" in stem or "submission" in stem]
    others = {name: stem for name, stem in stems.items() if name not in samples}
    candidates = {
        "train": [name for name, stem in others.items() if "train" in stem or stem == "labels"],
        "test": [name for name, stem in others.items() if "test" in stem and "train" not in stem],
        "sample-submission": samples,
    }
    unused = [name for name, stem in others.items() if stem in VALIDATION_NAMES]
    if unused and candidates["train"]:
        found.findings.append(
            f"not used: {quoted(unused)}; append its rows to {candidates['train'][0]}, with "
            "a column 'split' of train and val, for split --from-column split"
        )
    titles = {
        "train": "training table",
        "test": "test table",
        "sample-submission": "sample submission",
    }
    frames = {}
    for key, names in candidates.items():
        _choose_table(found, key, names, stems)
        frame = frames[key] = _read(found, key)
        if frame is not None:
            found.findings.append(f"{titles[key]}: {found.facts[key]} ({len(frame)} rows)")
    return Tables(frames["train"], frames["test"], frames["sample-submission"])


def _choose_table(
    found: Detection, key: str, names: Sequence[str], stems: Mapping[str, str]
) -> None:
    if key in found.facts or not names:
        return
    wanted = key.replace("-", "_")
    best, *rest = sorted(names, key=lambda name: (stems[name] != wanted, len(name), name))
    found.facts[key] = best
    if rest:
        found.findings.append(f"assumed: {best}, not {quoted(rest)}")


def _read(found: Detection, key: str) -> pd.DataFrame | None:
    value = found.facts.get(key)
    if value is None:
        return None
    path = found.folder / value
    if not path.exists():
        raise InputError(
            "there is no such file or folder",
            file=path,
            mend=f"Correct '{key}' in comptool.toml (or its option or variable)",
        )
    return None if path.is_dir() else read_table(path)


NUM_PROBES = 20
# Share of the probed ids; the images of the rest may be missing.
MIN_FOUND = 0.5
MAX_MODALITIES = 4
# Radar comes first where it is paired with optical images, as in MAVOC's tables.
LEADING = "sar"
DATA_FOLDER_NAMES = frozenset("data input dataset download raw".split())
ONE_MODALITY = "image"
PLAIN = frozenset({"", "image", "img", "file", "filename", "path", "id", "name"})


def spread(values: Sequence[str]) -> list[str]:
    """Up to 20 distinct non-blank values, from all over the sequence."""
    distinct = [value for value in dict.fromkeys(values) if value]
    step = max(1, len(distinct) // NUM_PROBES)
    return distinct[::step][:NUM_PROBES]


def by_columns(folder: Path, frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    """Column by modality, for columns of every table with an existing image in ``folder``."""
    columns = image_columns(frames)
    present = {
        name: any(os.path.exists(folder / value) for value in values)
        for name, values in columns.items()
    }
    return named({name: name for name in columns if present[name]})


def by_file_names(images: Sequence[str], frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    """``"{column}"`` by modality, for columns with the file names of images in any folder."""
    sources = {}
    for name, values in image_columns(frames).items():
        ends = {tail(image, 1 + values[0].count("/")) for image in images}
        if not ends.isdisjoint(values):
            sources[name] = f"{{{name}}}"
    return named(sources)


def image_columns(frames: Sequence[pd.DataFrame]) -> dict[str, list[str]]:
    """Some values of each column with image file names in every table."""
    shared = [name for name in frames[0].columns if all(name in frame for frame in frames)]
    probes = {name: [v for one in frames for v in spread(one[name].tolist())] for name in shared}
    return {
        name: seen for name, seen in probes.items() if seen and all(map(looks_like_image, seen))
    }


def named(sources: Mapping[str, str]) -> dict[str, str]:
    """Sources by modality name, which is derived from the keys."""
    names = [_modality_name(text) for text in sources]
    if len(names) == 1 and is_id_pattern(*sources.values()):
        names = [ONE_MODALITY]
    if len(set(names)) < len(names):
        names = [f"{ONE_MODALITY}{number}" for number in range(1, len(names) + 1)]
    return dict(zip(names, sources.values(), strict=True))


def is_id_pattern(text: str) -> bool:
    """Whether a source is a filename pattern around the id, such as ``SAR_{id}.png``."""
    return "id" in placeholders(text)


def _modality_name(text: str) -> str:
    """The informative words of a column's name or of a pattern, or ``image``."""
    text = re.sub(r"{id}|\.\w+$", "", text)
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word not in PLAIN]
    return "-".join(dict.fromkeys(words)) or ONE_MODALITY


def by_ids(images: Sequence[str], ids: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Patterns by modality that fit half of the ids of each role (``train``, ``test``)."""
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
    """The deepest folder with all wanted images, and how many rows lack an image."""
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
    """Images outside the folder of the other role (``train`` or ``test``), if any."""
    other = "test" if role == "train" else "train"
    kept = [image for image in images if other not in image.rpartition("/")[0].lower()]
    return kept or list(images)


def filled(pattern: str, frame: pd.DataFrame, id_column: str) -> list[str]:
    """The pattern for every row of a table."""
    names = placeholders(pattern)
    columns = [frame[id_column if name == "id" else name] for name in names]
    rows = zip(*columns, strict=True)
    return [fill(pattern, dict(zip(names, row, strict=True))) for row in rows]
