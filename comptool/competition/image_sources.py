"""Sources of the images of a table: path columns, or filename patterns around the ids."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from comptool.competition.archives import packed
from comptool.competition.download_tables import (
    MIN_FOUND,
    Detection,
    Tables,
    spread,
)
from comptool.competition.filename_patterns import (
    ImageIndex,
    channels_of,
    fill_rows,
    is_pattern,
    looks_like_image,
    placeholders,
    plain_path,
    tail,
    without_suffix,
)
from comptool.errors import SHOWN_VALUES, InputError
from comptool.io.image_readers import CHANNELS, USUAL, parts_of, reader_of
from comptool.io.sample_columns import id_of

MAX_MODALITIES = 4
# Radar comes first where it is paired with optical images, as in MAVOC's tables.
LEADING = "sar"
ONE_MODALITY = "image"
PLAIN = frozenset({"", "image", "images", "img", "imgs", "file", "filename", "path", "id", "name"})


def settle_modalities(found: Detection, tables: Tables) -> None:
    """Settle ``modalities``, then the image folders for their patterns."""
    frames = [frame for frame in (tables.train, tables.test) if frame is not None]
    if "modalities" not in found.facts:
        modalities = _modalities(found, tables, frames)
        found.settle("modalities", modalities, f"images: {shown_modalities(modalities)}")
    sources = found.facts["modalities"].values()
    patterns = [piece for text in sources for piece in channels_of(text) if is_pattern(piece)]
    if not patterns or any("*" in pattern for pattern in patterns):
        return
    train = tables.train
    if train is not None and tables.val is not None:
        train = pd.concat([train, tables.val])
    for role, frame in (("train", train), ("test", tables.to_predict)):
        if frame is not None and f"{role}-images" not in found.facts:
            _settle_images_folder(found, role, patterns, frame)


def _modalities(found: Detection, tables: Tables, frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    id_column = found.facts["id"]
    roles = {"train": tables.train, "test": tables.to_predict}
    ids = {role: _ids(one, id_column) for role, one in roles.items() if one is not None}
    # A path column of train.csv does not locate the test images; a pattern does.
    needs_pattern = tables.test is None and (tables.sample is not None or "test" in found.facts)
    if needs_pattern:
        modalities = by_ids(found.images, ids)
        if modalities:
            return modalities
    modalities = by_columns(found.folder, frames) if frames else {}
    if modalities and needs_pattern:
        found.findings.append("no image has the name of a test id; predictions need a test table")
    modalities = (
        modalities
        or (by_file_names(found.images, frames) if frames else {})
        or by_ids(found.images, ids)
    )
    if not modalities:
        raise _no_images(found, frames, next(iter(ids.values()), []))
    return modalities


def _no_images(found: Detection, frames: Sequence[pd.DataFrame], ids: Sequence[str]) -> InputError:
    mend = packed(found.files) or (
        "Give --modality NAME=COLUMN, or NAME=PATTERN such as 'image={id}.png'"
    )
    for name, values in (image_columns(frames) if frames else {}).items():
        return InputError(
            f"none of these images is below {found.folder}",
            file=found.table,
            column=name,
            values=values[:SHOWN_VALUES],
            mend=mend,
        )
    what = "no images: no column holds image paths, and no image has the name of an id"
    return InputError(
        what, file=found.table, column=found.facts["id"], values=ids[:SHOWN_VALUES], mend=mend
    )


def _ids(frame: pd.DataFrame, id_column: str) -> list[str]:
    return frame[id_column if id_column in frame else id_of(frame)].tolist()


def by_columns(folder: Path, frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    """Column by modality, for columns of every table with an existing image in ``folder``."""
    columns = image_columns(frames)
    present = {
        name: any(os.path.exists(folder / parts_of(value)[0][0]) for value in values)
        for name, values in columns.items()
    }
    return named({name: name for name in columns if present[name]})


def by_file_names(images: Sequence[str], frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    """``"{column}"`` by modality, for columns with the file names of images in any folder."""
    index = ImageIndex(images)
    return named(
        {
            name: f"{{{name}}}"
            for name, values in image_columns(frames).items()
            if any(index.find(value)[0] for value in values)
        }
    )


def image_columns(frames: Sequence[pd.DataFrame]) -> dict[str, list[str]]:
    """Some values of each column with image file names in every table."""
    shared = [name for name in frames[0].columns if all(name in frame for frame in frames)]
    probes = {name: [v for one in frames for v in spread(one[name].tolist())] for name in shared}
    return {name: seen for name, seen in probes.items() if seen and all(map(_names_an_image, seen))}


def _names_an_image(value: str) -> bool:
    """Whether a value is the file name of an image, or the place of one in a record of a table."""
    return looks_like_image(value) or any(member for _, member in parts_of(value))


# What the grey files of one image are called, in the order of its channels.
COLOURS = ("red", "green", "blue", "yellow", "cyan", "magenta", "nir", "rededge", "swir")
CHANNEL = re.compile(rf"(?:{'|'.join(COLOURS)}|(?:b|band|c|ch|channel)-?)(\d*[a-z]?)")


def _are_channels(names: Sequence[str]) -> bool:
    """Whether modalities are the channels of one image, by their names.

    >>> _are_channels(["blue", "green", "red"]), _are_channels(["b01", "b8a"])
    (True, True)
    >>> _are_channels(["sar", "eo"]), _are_channels(["red", "mask"])
    (False, False)
    """
    several = len(names) > 1 and len(set(names)) == len(names)
    return several and all(CHANNEL.fullmatch(name) for name in names)


def _channel_rank(name: str) -> tuple[int, int, str]:
    colour = next(
        (place for place, one in enumerate(COLOURS) if name.startswith(one)), len(COLOURS)
    )
    number = re.search(r"\d+", name)
    return colour, int(number[0]) if number else 0, name


def named(sources: Mapping[str, str]) -> dict[str, str]:
    """Sources by modality name, which is derived from the keys.

    Sources that are called as colours or bands are the channels of one image.
    """
    names = [_modality_name(text) for text in sources]
    if _are_channels(names):
        by_name = dict(zip(names, sources.values(), strict=True))
        return {
            ONE_MODALITY: CHANNELS.join(by_name[name] for name in sorted(names, key=_channel_rank))
        }
    if len(names) == 1 and "id" in placeholders(*sources.values()):
        names = [ONE_MODALITY]
    if len(set(names)) < len(names):
        names = [f"{ONE_MODALITY}{number}" for number in range(1, len(names) + 1)]
    return dict(zip(names, sources.values(), strict=True))


def _modality_name(text: str) -> str:
    """The informative words of a column's name or of a pattern, or ``image``."""
    text = re.sub(r"{id}|\.\w+$", "", text)
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word not in PLAIN]
    return "-".join(dict.fromkeys(words)) or ONE_MODALITY


def shown_modalities(modalities: Mapping[str, str]) -> str:
    """The modalities and their sources, in words."""
    return ", ".join(f"{name} = {source}" for name, source in modalities.items())


def ordered(patterns: Sequence[str]) -> list[str]:
    """Patterns of modalities in the order in which a model takes them."""
    return sorted(patterns, key=lambda pattern: (LEADING not in pattern.lower(), pattern))


def by_ids(images: Sequence[str], ids: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Patterns by modality that fit half of the ids of each role (``train``, ``test``)."""
    shared: list[str] | None = None
    for role, values in ids.items():
        probes = spread([plain_path(value) for value in values])
        inside = only_role(images, role)
        stems = [without_suffix(probe) for probe in probes]
        patterns = _patterns_around(inside, probes) or (
            _patterns_around(inside, stems) if stems != probes else []
        )
        shared = patterns if shared is None else [one for one in shared if one in patterns]
    found = ordered(shared or [])
    if not _are_channels([_modality_name(pattern) for pattern in found]):
        found = ordered((shared or [])[:MAX_MODALITIES])
    return named({pattern: pattern for pattern in found})


def _patterns_around(images: Sequence[str], probes: Sequence[str]) -> list[str]:
    if not probes:
        return []
    longest_first = sorted((re.escape(probe) for probe in probes), key=len, reverse=True)
    # A table that went through a spreadsheet has lost the zeros before a number.
    zeros = "0*" if all(probe.isdigit() for probe in probes) else ""
    inside = re.compile(
        rf"(?<![A-Za-z0-9]){zeros}({'|'.join(longest_first)})(?![A-Za-z0-9])", re.IGNORECASE
    )
    seen: dict[str, dict[str, list[str]]] = {}
    for image in images:
        above, _, name = image.rpartition("/")
        found = inside.search(name)
        if found:
            template = f"{name[: found.start()]}{{id}}{name[found.end() :]}"
            seen.setdefault(template, {}).setdefault(found[1].lower(), []).append(above)
    patterns: list[str] = []
    for template, folders in sorted(_one_per_suffix(seen).items()):
        if len(folders) < MIN_FOUND * len(probes):
            continue
        patterns += _with_sensor_folders(template, folders)
    return patterns


def _one_per_suffix(seen: Mapping[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """Templates that differ in the suffix alone, as one; images are found by any suffix.

    Not those of the same ids, which are modalities; of a common format and another one for the same
    ids, the other one is left out.
    """
    kept: dict[str, dict[str, list[str]]] = {}
    common_first = sorted(seen, key=lambda one: (not _is_common(one), -len(seen[one]), one))
    for template in common_first:
        folders = seen[template]
        stem = without_suffix(template).lower()
        alike = [one for one in kept if without_suffix(one).lower() == stem]
        apart = [one for one in alike if not kept[one].keys() & folders.keys()]
        if apart:
            kept[apart[0]] = kept[apart[0]] | folders
        elif not alike or _is_common(template):
            kept[template] = folders
    return kept


def _is_common(name: str) -> bool:
    return reader_of(os.path.splitext(name)[1]).name == USUAL


def _with_sensor_folders(template: str, folders: Mapping[str, list[str]]) -> list[str]:
    """``{id}.png`` in SAR and in EO becomes ``SAR/{id}.png`` and ``EO/{id}.png``."""
    if all(len(above) == 1 for above in folders.values()):
        return [template]
    last = Counter(tail(folder, 1) for above in folders.values() for folder in above)
    return [f"{name}/{template}" for name, count in sorted(last.items()) if count == len(folders)]


def only_role(images: Sequence[str], role: str) -> list[str]:
    """Images outside the folder of the other role (``train`` or ``test``), if any."""
    other = "test" if role == "train" else "train"
    kept = [image for image in images if other not in image.rpartition("/")[0].lower()]
    return kept or list(images)


def _settle_images_folder(
    found: Detection, role: str, patterns: Sequence[str], frame: pd.DataFrame
) -> None:
    """Settle the deepest folder with all images of a table, and report what is not there."""
    id_column = found.facts["id"] if found.facts["id"] in frame else id_of(frame)
    if any(name not in frame and name != "id" for text in patterns for name in placeholders(text)):
        return
    index = ImageIndex(only_role(found.images, role))
    above: set[str] = set()
    missing: set[int] = set()
    ignored: Counter[str] = Counter()
    for pattern in patterns:
        for row, name in enumerate(fill_rows(pattern, frame, id_column)):
            images, spelling = index.find(name)
            if not images:
                missing.add(row)
                continue
            parts = images[0].split("/")
            above.add("/".join(parts[: len(parts) - plain_path(name).count("/") - 1]))
            if spelling:
                ignored[spelling] += 1
    images_in = os.path.commonpath(above) if above and "" not in above else ""
    if images_in:
        found.settle(f"{role}-images", images_in, f"{role} images: below {images_in}")
    for spelling, count in ignored.items():
        found.findings.append(f"{count} {role} images are found without regard to {spelling}")
    if missing:
        found.findings.append(f"{len(missing)} of {len(frame)} {role} ids lack an image")
