"""Training sets whose classes are folders: ``train/<class>/*.png``, or ``<class>/*.png``."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from comptool.competition.download import (
    DATA_FOLDER_NAMES,
    LEADING,
    MAX_MODALITIES,
    ONE_MODALITY,
    VALIDATION_NAMES,
    Detection,
    named,
)
from comptool.competition.filename_patterns import can_be_class, looks_like_image, match
from comptool.errors import quoted

MIN_PAIRED = 0.5
PAIRED_SHAPES = (r"[A-Za-z]+[_-](?P<id>.+)\.\w+", r"(?P<id>.+)[_-][A-Za-z]+\.\w+")
HERE = "."


@dataclass(frozen=True)
class ClassFolders:
    """A training set whose classes are folders."""

    train: str
    modalities: dict[str, str]
    classes: tuple[str, ...]
    num_images: int
    num_incomplete: int
    left_out: tuple[str, ...] = ()


def find_class_folders(found: Detection) -> None:
    """Take ``train``, ``val``, ``test`` and ``modalities`` from a layout of class folders."""
    given = [str(found.facts[key]) for key in ("test", "test-images", "val") if key in found.facts]
    layout = class_folders(found.images, found.facts.get("train"), given)
    if layout is None or (
        layout.train != found.facts.get("train") and _is_doubtful(found, layout, given)
    ):
        return
    shown = f"{len(layout.classes)} classes ({quoted(layout.classes)}), {layout.num_images} images"
    found.findings.append(f"class folders in {layout.train}: {shown}")
    if layout.left_out:
        found.findings.append(
            f"assumed: the folders of images here are the classes, except {quoted(layout.left_out)}"
        )
    found.facts["train"] = layout.train
    found.settle("modalities", layout.modalities, f"images: {shown_modalities(layout.modalities)}")
    if layout.num_incomplete:
        found.findings.append(f"{layout.num_incomplete} ids lack the image of a modality")
    found.settle("label", "label", "label: the name of the class folder")
    _find_validation_folder(found, layout)
    find_test_folder(found, layout.classes)


def _is_doubtful(found: Detection, layout: ClassFolders, given: Sequence[str]) -> bool:
    """Whether folders next to a table of test rows may be sensors rather than classes."""
    next_to_tables = any(key in found.facts for key in ("test", "sample-submission"))
    if not next_to_tables or "train" in layout.train.lower():
        return False
    # Next to a folder of test images, the others are classes.
    tests = [name for name in layout.left_out if "test" in name.lower() or name in given]
    return layout.train != HERE or not tests


def _find_validation_folder(found: Detection, layout: ClassFolders) -> None:
    """Take a folder such as ``val`` next to the training folder for a given split."""
    if "val" in found.facts:
        return
    for name in _tops(found.images):
        if name.lower() not in VALIDATION_NAMES or name == layout.train:
            continue
        inside = _classes_in(found.images, name)
        if inside is None or not set(inside.classes) <= set(layout.classes):
            found.findings.append(f"not used: the folder {name}, which has other classes")
        elif inside.modalities != layout.modalities:
            found.findings.append(f"not used: the folder {name}, which has other file names")
        else:
            what = f"validation folder: {name}, {inside.num_images} images"
            how = "use it with: comptool split --from-column split"
            found.settle("val", name, f"{what}; {how}")


def find_test_folder(found: Detection, classes: Sequence[str] = ()) -> None:
    """Take a folder with ``test`` in its name that is not a class for the test images."""
    tests = [name for name in _tops(found.images) if "test" in name.lower() and name not in classes]
    if tests and "test" not in found.facts:
        key = "test" if "sample-submission" not in found.facts else "test-images"
        found.settle(key, tests[0], f"{key.replace('-', ' ')}: the folder {tests[0]}")


def shown_modalities(modalities: dict[str, str]) -> str:
    """The modalities and their sources, in words."""
    return ", ".join(f"{name} = {source}" for name, source in modalities.items())


def _tops(images: Sequence[str]) -> list[str]:
    return sorted({image.split("/")[0] for image in images if "/" in image})


def class_folders(
    images: Sequence[str], train: str | None = None, given: Sequence[str] = ()
) -> ClassFolders | None:
    """The training set whose classes are folders, or None; ``given`` folders are something else."""
    if train is not None:
        return _classes_in(images, train, given)
    tops = [name for name in _tops(images) if name not in given]
    candidates = [name for name in tops if "train" in name.lower()]
    if not any(name.lower() in DATA_FOLDER_NAMES for name in tops):
        # Otherwise this is the folder above a download, and its other images are not data.
        others = [name for name in tops if name not in candidates and "test" not in name.lower()]
        candidates += [name for name in others if name.lower() not in VALIDATION_NAMES]
        candidates.append(HERE)
    for candidate in candidates:
        found = _classes_in(images, candidate, given)
        if found is not None:
            return found
    return None


def _classes_in(
    images: Sequence[str], train: str, given: Sequence[str] = ()
) -> ClassFolders | None:
    left_out: list[str] = []
    if train == HERE:
        left_out = [name for name in _tops(images) if name in given or not can_be_class(name)]
        inside = [image for image in images if image.split("/")[0] not in left_out]
    else:
        prefix = train.rstrip("/") + "/"
        inside = [image[len(prefix) :] for image in images if image.startswith(prefix)]
    firsts = {image.split("/")[0].lower() for image in inside}
    if not inside or any(looks_like_image(first) for first in firsts):
        return None
    if train != HERE and any("test" in first for first in firsts):
        return None
    modalities = _paired_names(inside) or _paired_folders(inside) or _single(inside)
    rows: dict[tuple[str, str], int] = Counter()
    for image in inside:
        for pattern in modalities.values():
            found = match(pattern, image)
            if found:
                rows[found] += 1
    classes = tuple(sorted({above for _, above in rows}))
    if len(classes) < 2 or "" in classes:
        return None
    if train == HERE and {name.lower() for name in classes} != firsts:
        return None
    incomplete = sum(count < len(modalities) for count in rows.values())
    return ClassFolders(
        train, modalities, classes, len(inside), incomplete, tuple(sorted(left_out))
    )


def _paired_names(images: Sequence[str]) -> dict[str, str]:
    """Patterns of ``SAR_<id>.png`` and ``EO_<id>.png``, or of ``<id>_red.png`` and the like."""
    for shape in PAIRED_SHAPES:
        seen: dict[str, set[tuple[str, str]]] = {}
        for image in images:
            *_, above, name = image.split("/")
            found = re.fullmatch(shape, name)
            if not found:
                break
            pattern = f"{name[: found.start('id')]}{{id}}{name[found.end('id') :]}"
            seen.setdefault(pattern, set()).add((above, found["id"]))
        else:
            if _are_paired(list(seen.values())):
                return _ordered(seen)
    return {}


def _paired_folders(images: Sequence[str]) -> dict[str, str]:
    """Patterns of ``<class>/SAR/<id>.png`` and ``<class>/EO/<id>.png``."""
    if any(image.count("/") < 2 for image in images):
        return {}
    seen: dict[str, set[tuple[str, str]]] = {}
    for image in images:
        class_folder, sensor, name = image.split("/")[-3:]
        stem, suffix = os.path.splitext(name)
        seen.setdefault(f"{sensor}/{{id}}{suffix}", set()).add((class_folder, stem))
    sensible = all(re.match("[A-Za-z]", pattern) for pattern in seen)
    return _ordered(seen) if sensible and _are_paired(list(seen.values())) else {}


def _are_paired(keys: Sequence[set[tuple[str, str]]]) -> bool:
    if not 2 <= len(keys) <= MAX_MODALITIES:
        return False
    shared = set.intersection(*keys)
    return len(shared) >= MIN_PAIRED * max(len(one) for one in keys)


def _ordered(patterns: Iterable[str]) -> dict[str, str]:
    ordered = sorted(patterns, key=lambda pattern: (LEADING not in pattern.lower(), pattern))
    return named({pattern: pattern for pattern in ordered})


def _single(images: Sequence[str]) -> dict[str, str]:
    suffixes = {os.path.splitext(image)[1] for image in images}
    return {ONE_MODALITY: "{id}" + suffixes.pop() if len(suffixes) == 1 else "{id}"}
