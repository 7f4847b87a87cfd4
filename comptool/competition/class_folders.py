"""Training sets without a table: the class is a folder above the image, or part of its name.

A label pattern says where: it is compared with the path of an image from the training folder,
without the suffix; ``{label}`` is the class (also across folders), ``*`` anything within the name
of a folder or of the file, ``**`` anything. ``{label}/*`` is the usual layout, ``*/{label}/*`` has
the class one level deeper, ``{label}/**`` at the top whatever is below, and ``{label}.*`` is the
pattern of ``cat.0.jpg``.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from comptool.competition.download_tables import VALIDATION_NAMES, Detection, words_of
from comptool.competition.filename_patterns import (
    can_be_class,
    looks_like_image,
    match,
    tail,
    without_suffix,
)
from comptool.competition.image_sources import (
    MAX_MODALITIES,
    ONE_MODALITY,
    named,
    ordered,
    shown_modalities,
)
from comptool.errors import InputError, quoted
from comptool.io.sample_columns import answer_table

DATA_FOLDER_NAMES = frozenset("data input dataset download raw".split())
MIN_PAIRED = 0.5
PAIRED_SHAPES = (r"[A-Za-z]+[_-](?P<id>.+)\.\w+", r"(?P<id>.+)[_-][A-Za-z]+\.\w+")
# Share of the names that all class folders have, and their number, where a name is a scene.
MIN_SHARED, MIN_SCENES = 0.9, 3
# The group column of class folders: the name of an image, without the folder of its class.
FILE_NAME = "file_name"
HERE = "."
LABEL, ANY, ANY_LEVELS = "{label}", "*", "**"
USUAL_LAYOUT = "{label}/*"
# Of images that have the class in their names: at least so many of each class.
MIN_PER_CLASS = 2
NUMBERED = {
    r"(?P<label>.*[A-Za-z].*)(?P<between>[._ -]+)\(?\d+\)?": "{label}%s*",
    r"\d+(?P<between>[._ -]+)(?P<label>.*[A-Za-z].*)": "*%s{label}",
}
# Share of a sample submission's answers that are folders of the level of the classes.
MIN_NAMED = 0.5
REST = "*"


@dataclass(frozen=True)
class ClassFolders:
    """A training set whose classes are folders."""

    train: str
    modalities: dict[str, str]
    classes: tuple[str, ...]
    num_images: int
    num_incomplete: int
    label_pattern: str
    left_out: tuple[str, ...] = ()
    several_levels: bool = False  # that could be the class, of which nothing names one
    num_shared: int = 0  # names of images, if all classes have nearly the same; else 0


def class_reader(
    pattern: str, above: str, modalities: Mapping[str, str]
) -> Callable[[str, str], str]:
    """The class of an image, as a function of its modality and its path.

    Parameters
    ----------
    pattern
        Label pattern.
    above
        The training folder, from where the paths are.
    modalities
        Filename patterns; a folder in them, such as that of a sensor, is no level of the classes.

    Raises
    ------
    InputError
        If the path of an image does not fit the pattern.

    Examples
    --------
    >>> class_reader("*/{label}/*", "train", {"image": "{id}.png"})("image", "train/x/cat/1.png")
    'cat'
    """
    prefix = "" if above in ("", HERE) else above.rstrip("/") + "/"
    label = "(.+?)" if ANY_LEVELS in pattern else "(.+)"
    meaning = {LABEL: label, ANY: "[^/]*?", ANY_LEVELS: ".*"}
    parts = re.split(r"(\{label\}|\*\*?)", pattern)
    shape = re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))

    def label_of(modality: str, path: str) -> str:
        inside = path.removeprefix(prefix)
        folders = folders_above(modalities[modality], inside)
        fits = shape.fullmatch("/".join([*folders, without_suffix(tail(inside, 1))]))
        if fits is None:
            raise InputError(
                f"the path does not fit the label pattern '{pattern}'",
                file=path,
                mend="Correct 'label-pattern' in comptool.toml (init --label-pattern)",
            )
        return fits[1]

    return label_of


def level_pattern(
    above: Mapping[str, Iterable[Sequence[str]]], answers: Sequence[set[str]] = ()
) -> tuple[str, bool]:
    """Label pattern of the folders that are the class, and whether other folders may be it.

    The level that the ``answers`` of a sample submission name; else the levels that differ between
    images, but not by their modality: if these are several, their path is the class, and another
    level may be it.

    Parameters
    ----------
    above
        Folders between the training folder and the images, by modality.
    answers
        Possible class names: a set of columns, a set of values.
    """
    rows = [{tuple(one) for one in each} for each in above.values()]
    depths = {len(row) for each in rows for row in each}
    levels = [[{row[level] for row in each if len(row) > level} for each in rows]
              for level in range(max(depths, default=0))]  # fmt: skip
    shares = [
        max((len(one & set().union(*level)) / len(one) for one in answers if one), default=0)
        for level in levels
    ]
    if len(levels) > 1 and max(shares) >= MIN_NAMED:
        best = shares.index(max(shares))
        if len(depths) == 1:
            return _at(best, 1, len(levels)), False
        return "/".join([ANY] * best + [LABEL, ANY_LEVELS]), False
    if len(depths) > 1:
        return USUAL_LAYOUT, True
    varied = [place for place, names in enumerate(levels) if len(set.intersection(*names)) > 1]
    if not varied:
        return USUAL_LAYOUT, False
    first, last = varied[0], varied[-1]
    return _at(first, last - first + 1, len(levels)), len(varied) > 1


def _at(first: int, count: int, depth: int) -> str:
    parts = [ANY] * first + [LABEL] + [ANY] * (depth - first - count)
    return "/".join([*parts, ANY])


def folders_above(pattern: str, path: str) -> list[str]:
    """The folders before the part of a path that a modality's pattern matches."""
    return path.split("/")[: -1 - pattern.count("/")]


def settle_class_folders(found: Detection, sample: pd.DataFrame | None) -> None:
    """Take ``train``, ``val``, ``test`` and ``modalities`` from a layout of class folders."""
    given = [str(found.facts[key]) for key in ("test", "test-images", "val") if key in found.facts]
    answers = answer_table(sample, found.facts.get("id"))
    layout = class_folders(found, given, _named_by(answers))
    if layout is None or (
        layout.train != found.facts.get("train") and _is_doubtful(found, layout, given)
    ):
        return
    in_names = not layout.label_pattern.endswith(("/*", "/**"))
    where = "classes in file names" if in_names else "class folders"
    shown = f"{len(layout.classes)} classes ({quoted(layout.classes)}), {layout.num_images} images"
    found.findings.append(f"{where} in {layout.train}: {shown}")
    if layout.left_out:
        found.findings.append(
            f"assumed: the folders of images here are the classes, except {quoted(layout.left_out)}"
        )
    found.facts["train"] = layout.train
    found.settle("modalities", layout.modalities, f"images: {shown_modalities(layout.modalities)}")
    if layout.num_incomplete:
        found.findings.append(f"{layout.num_incomplete} ids lack the image of a modality")
    if layout.label_pattern != USUAL_LAYOUT or layout.several_levels:
        why = f"label pattern: {layout.label_pattern}"
        if layout.several_levels:
            why = (
                f"assumed: the class is the path of its folders ('{layout.classes[0]}'); if it is "
                "one of them: --label-pattern, such as '*/{label}/*'"
            )
        found.settle("label-pattern", layout.label_pattern, why)
    place = "in the file name" if in_names else "the name of the class folder"
    found.settle("label", "label", f"label: {place}")
    if layout.num_shared:
        why = f"the {len(layout.classes)} class folders share {layout.num_shared} names of images"
        found.settle(
            "group",
            FILE_NAME,
            f"assumed: {why}, so images of one name are a group; --group '' for none",
        )
    if "class-folders" in found.facts:
        _merge_folders(found, layout.classes)
    elif _may_be_merged(layout.classes, answers):
        found.findings.append(
            "the sample submission answers 0 or 1, and not by these classes; if several of them "
            f"are one: --classes '0={layout.classes[0]},1=*'"
        )
    _settle_validation_folder(found, layout)
    settle_test_folder(found, layout.classes)


def _named_by(answers: pd.DataFrame) -> list[set[str]]:
    """Possible class names in a sample submission: its answer columns, and their cells."""
    return [set(answers), {value for name in answers for value in answers[name]}]


def _may_be_merged(classes: Sequence[str], answers: pd.DataFrame) -> bool:
    """Whether one answer between 0 and 1 is asked for, and there are more than two classes."""
    if len(answers.columns) != 1 or len(classes) < 3:
        return False
    values = pd.to_numeric(answers.iloc[:, 0], errors="coerce")
    return bool(values.between(0, 1).all()) and not set(answers.iloc[:, 0]) & set(classes)


def _merge_folders(found: Detection, folders: Sequence[str]) -> None:
    """Check the folders of ``class-folders``, and say which are the rest."""
    merged = found.facts["class-folders"]
    listed = [name for names in merged.values() for name in names if name != REST]
    if unknown := [name for name in listed if name not in folders]:
        raise InputError(
            "there is no such class folder",
            file=found.table,
            values=unknown,
            mend=f"The folders are {quoted(folders)}",
        )
    rest = [name for name in folders if name not in listed]
    found.facts["class-folders"] = {
        name: [one for part in names for one in (rest if part == REST else [part])]
        for name, names in merged.items()
    }
    has_rest = any(REST in names for names in merged.values())
    if rest and not has_rest:
        raise InputError(
            "these class folders belong to no class",
            file=found.table,
            values=rest,
            mend="Name them, or give the rest to a class: --classes 'cover=Cover,stego=*'",
        )
    told = (f"{name} = {quoted(one)}" for name, one in found.facts["class-folders"].items())
    found.findings.append(f"classes of several folders: {'; '.join(told)}")


def _is_doubtful(found: Detection, layout: ClassFolders, given: Sequence[str]) -> bool:
    """Whether folders next to a table of test rows may be sensors rather than classes."""
    next_to_tables = any(key in found.facts for key in ("test", "sample-submission"))
    if not next_to_tables or "train" in layout.train.lower() or "class-folders" in found.facts:
        return False
    # Next to a folder of test images, the others are classes.
    tests = [name for name in layout.left_out if "test" in name.lower() or name in given]
    return layout.train != HERE or not tests


def _settle_validation_folder(found: Detection, layout: ClassFolders) -> None:
    """Take a folder such as ``val`` next to the training folder for a given split."""
    if "val" in found.facts:
        return
    for name in _tops(found.images):
        if name.lower() not in VALIDATION_NAMES or name == layout.train:
            continue
        try:
            inside = _classes_in(found.images, name, label_pattern=layout.label_pattern)
        except InputError:  # images at other levels
            inside = None
        if inside is None or not set(inside.classes) <= set(layout.classes):
            found.findings.append(f"not used: the folder {name}, which has other classes")
        elif inside.modalities != layout.modalities:
            found.findings.append(f"not used: the folder {name}, which has other file names")
        else:
            what = f"validation folder: {name}, {inside.num_images} images"
            how = "use it with: comptool split --from-column split"
            found.settle("val", name, f"{what}; {how}")


def settle_test_folder(found: Detection, classes: Sequence[str] = ()) -> None:
    """Take a folder with ``test`` in its name that is not a class for the test images."""
    tests = [name for name in _tops(found.images) if "test" in name.lower() and name not in classes]
    if tests and "test" not in found.facts:
        key = "test" if "sample-submission" not in found.facts else "test-images"
        found.settle(key, tests[0], f"{key.replace('-', ' ')}: the folder {tests[0]}")


def holds_downloads(images: Sequence[str]) -> bool:
    """Whether this is the folder above a download, so that its other images are not data."""
    return any(name.lower() in DATA_FOLDER_NAMES for name in _tops(images))


def _tops(images: Sequence[str]) -> list[str]:
    return sorted({image.split("/")[0] for image in images if "/" in image})


def class_folders(
    found: Detection, given: Sequence[str] = (), answers: Sequence[set[str]] = ()
) -> ClassFolders | None:
    """The training set whose classes are folders, or None; ``given`` folders are something else."""
    images, train = found.images, found.facts.get("train")
    label_pattern = found.facts.get("label-pattern")
    if train is not None:
        candidates = [train]
    else:
        tops = [name for name in _tops(images) if name not in given]
        candidates = [name for name in tops if "train" in name.lower()]
        if not holds_downloads(images):
            others = [n for n in tops if n not in candidates and "test" not in n.lower()]
            candidates += [name for name in others if name.lower() not in VALIDATION_NAMES]
            candidates.append(HERE)
    for candidate in candidates:
        layout = _classes_in(images, candidate, given, answers, label_pattern)
        if layout is not None:
            return layout
    for candidate in candidates:
        if train is not None or "train" in candidate.lower():
            layout = _classes_in_names(images, candidate)
            if layout is not None:
                return layout
    return None


def _classes_in(
    images: Sequence[str],
    train: str,
    given: Sequence[str] = (),
    answers: Sequence[set[str]] = (),
    label_pattern: str | None = None,
) -> ClassFolders | None:
    left_out: list[str] = []
    if train == HERE:
        left_out = [name for name in _tops(images) if name in given or not can_be_class(name)]
        inside = [image for image in images if image.split("/")[0] not in left_out]
    else:
        inside = _below(images, train)
    firsts = {image.split("/")[0].lower() for image in inside}
    in_names = label_pattern is not None and not label_pattern.endswith(("/*", "/**"))
    if not inside or (not in_names and any(looks_like_image(first) for first in firsts)):
        return None
    if train != HERE and any("test" in words_of(first) for first in firsts):
        return None
    modalities = _paired_names(inside) or _paired_folders(inside) or _single(inside)
    matched = [
        (modality, name, image)
        for image in inside
        for modality, pattern in modalities.items()
        if (name := match(pattern, image)) is not None
    ]
    several_levels, pattern = False, label_pattern
    if pattern is None:
        above: dict[str, list[list[str]]] = {name: [] for name in modalities}
        for modality, _, image in matched:
            above[modality].append(folders_above(modalities[modality], image))
        if not all(folders for each in above.values() for folders in each):
            return None
        pattern, several_levels = level_pattern(above, answers)
    class_of = class_reader(pattern, HERE, modalities)
    rows = Counter((name, class_of(modality, image)) for modality, name, image in matched)
    classes = tuple(sorted({label for _, label in rows}))
    if len(classes) < 2:
        return None
    if train == HERE and label_pattern is None and {name.lower() for name in classes} != firsts:
        return None
    incomplete = sum(count < len(modalities) for count in rows.values())
    return ClassFolders(
        train, modalities, classes, len(inside), incomplete, pattern,
        tuple(sorted(left_out)), several_levels, _num_shared(rows),
    )  # fmt: skip


def _num_shared(rows: Iterable[tuple[str, str]]) -> int:
    """Number of names that all classes share, if these are nearly all names; else 0."""
    of_class: dict[str, set[str]] = {}
    for name, label in rows:
        of_class.setdefault(label, set()).add(name)
    shared, every = set.intersection(*of_class.values()), set.union(*of_class.values())
    return len(shared) if len(shared) >= max(MIN_SCENES, MIN_SHARED * len(every)) else 0


def _below(images: Sequence[str], train: str) -> list[str]:
    prefix = train.rstrip("/") + "/"
    return [image[len(prefix) :] for image in images if image.startswith(prefix)]


def _classes_in_names(images: Sequence[str], train: str) -> ClassFolders | None:
    """Images such as ``cat.0.jpg``, whose names are a class and a number; but test images are not.

    A name that test images have as well is rather that of a sensor.
    """
    inside = [image for image in _below(images, train) if "/" not in image]
    others = [tail(image, 1) for image in images if "test" in words_of(image.rpartition("/")[0])]
    for shape, pattern in NUMBERED.items():
        fits = [re.fullmatch(shape, without_suffix(image)) for image in inside]
        labels = Counter(one["label"] for one in fits if one is not None)
        between = {one["between"] for one in fits if one is not None}
        if (
            len(between) == 1
            and all(fits)
            and len(labels) > 1
            and min(labels.values()) >= MIN_PER_CLASS
            and not any(re.fullmatch(shape, without_suffix(name)) for name in others)
        ):
            modalities = _single(inside)
            label_pattern = pattern % between.pop()
            classes = tuple(sorted(labels))
            return ClassFolders(train, modalities, classes, len(inside), 0, label_pattern)
    return None


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
                return _modalities(seen)
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
    return _modalities(seen) if sensible and _are_paired(list(seen.values())) else {}


def _are_paired(keys: Sequence[set[tuple[str, str]]]) -> bool:
    if not 2 <= len(keys) <= MAX_MODALITIES:
        return False
    shared = set.intersection(*keys)
    return len(shared) >= MIN_PAIRED * max(len(one) for one in keys)


def _modalities(patterns: Iterable[str]) -> dict[str, str]:
    return named({pattern: pattern for pattern in ordered(list(patterns))})


def _single(images: Sequence[str]) -> dict[str, str]:
    suffixes = {os.path.splitext(image)[1] for image in images}
    return {ONE_MODALITY: "{id}" + suffixes.pop() if len(suffixes) == 1 else "{id}"}
