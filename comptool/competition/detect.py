"""Detection of the competition in a download: from file names, CSV headers, values and folders.

Writes nothing. Every finding and assumption is reported as a sentence, so that a wrong guess can be
corrected with an option or in ``comptool.toml``.
"""

from __future__ import annotations

import os
import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from comptool import tasks
from comptool.competition.filename_patterns import (
    can_be_class,
    fill,
    find_images,
    is_pattern,
    looks_like_image,
    match,
    placeholders,
    tail,
)
from comptool.competition.schema import PATH_KEYS
from comptool.errors import SHOWN_VALUES, InputError, nearest, quoted
from comptool.io.predictions import RENAME_CLASS, RESERVED, RESERVED_CLASS
from comptool.io.tables import read_table
from comptool.tasks.labels import WRITTEN, split_lists

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


LABEL_NAMES = (
    "label class_id class category target labels class_name species class_label y tags "
    "attribute_ids"
).split()
JOINED_NAMES = frozenset("labels tags attribute_ids attributes targets classes".split())
MIN_MULTILABEL_COLUMNS = 2
PRED = "pred"
# So many 0/1 columns are the labels even if another column has the name of a label.
MANY_COLUMNS, MANY_SHARE = 5, 0.75
# A class column of the sample submission may have mistakes, which are reported later.
MOSTLY = 0.5
NUMBERS = re.compile(r"\d+([ ,]+\d+)+")


@dataclass(frozen=True)
class Taken:
    """Columns with another meaning (id, paths), and columns that are also in the test table."""

    meaning: set[str]
    in_test: set[str]


def choose_label(
    train: pd.DataFrame | None, sample: pd.DataFrame | None, taken: Taken, file: Path
) -> tuple[str | list[str], str]:
    """The label column, or the list of 0/1 columns of a multi-label table, and why."""
    answers = answers_of(sample)
    if train is None:
        name = answers[0] if len(answers) == 1 or "score" in answers else "label"
        return name, f"assumed: the label is called {name}"
    # A folds table has a column of folds, perhaps only of -1 and 0.
    columns = [name for name in train.columns if name not in (*taken.meaning, *RESERVED)]
    free = [name for name in columns if name not in taken.in_test]
    if _asks_for_columns(train, answers, columns):
        return _asked(answers, columns, [name for name in free if is_binary(train[name])], file)
    binary = [name for name in free if is_binary(train[name])]
    named = [name for name in (*answers, *LABEL_NAMES) if name in columns]
    if len(binary) >= max(MANY_COLUMNS, MANY_SHARE * len(free)):
        named = [name for name in answers if name in columns]
    if named:
        return named[0], f"label column: {named[0]}"
    if len(binary) >= MIN_MULTILABEL_COLUMNS:
        return _with_blank_ones(train, free, binary)
    if len(free) == 1:
        return free[0], f"assumed: the label column is {free[0]}, the only one left"
    raise InputError(
        "no column has the name of a label; which one is it?",
        file=file,
        values=free,
        mend="Name it with COMPTOOL_LABEL=..., 'label' in comptool.toml or 'comptool init --label'",
    )


def answers_of(sample: pd.DataFrame | None) -> list[str]:
    """The columns of a sample submission after its id."""
    return [] if sample is None else [str(name) for name in sample.columns[1:]]


def is_binary(column: pd.Series[str]) -> bool:
    """Whether all cells of a column can be labels (1, 0, -1 or blank), and not all are blank."""
    values = {text.strip() for text in column.unique()}
    return values <= set(WRITTEN) and values != {""}


def _asks_for_columns(train: pd.DataFrame, answers: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a sample submission has one column per class, as the training table has."""
    shared = [name for name in answers if name in columns]
    alike = [name for name in shared if _label_share(train[name]) >= MOSTLY]
    return len(shared) >= MIN_MULTILABEL_COLUMNS and len(alike) >= MOSTLY * len(shared)


def _label_share(column: pd.Series[str]) -> float:
    """Share of the cells that can be labels, 0 to 1."""
    labels = [text for text in column.unique() if text.strip() in WRITTEN]
    return float(column.isin(labels).mean())


def _with_blank_ones(
    train: pd.DataFrame, free: Sequence[str], binary: Sequence[str]
) -> tuple[list[str], str]:
    """The 0/1 columns, and the blank columns with 0/1 columns next to them."""
    wholly_blank = {name for name in free if not train[name].str.strip().ne("").any()}
    order = [str(name) for name in train.columns]
    written = [place for place, name in enumerate(order) if name not in wholly_blank]
    blank = []
    for name in filter(wholly_blank.__contains__, order):
        cut = bisect(written, order.index(name))
        neighbours = [order[place] for place in (*written[:cut][-1:], *written[cut:][:1])]
        near = [other for other in neighbours if other in free]
        if near and all(other in binary for other in near):
            blank.append(name)
    labels = [name for name in free if name in binary or name in blank]
    why = f"label columns: {len(labels)} of 0 and 1 ({quoted(labels)})"
    if blank:
        why += f"; blank, assumed to be classes without annotations: {quoted(blank)}"
    return labels, why


def near_misses(
    train: pd.DataFrame, labels: Sequence[str], taken: Taken, answers: Sequence[str]
) -> list[str]:
    """Columns that fail as label columns by their name or a few cells, a sentence each."""
    if set(labels) & set(answers):
        return []
    sentences = []
    mend = "mend the table, or name the labels with --label"
    for name in train.columns:
        if name in (*labels, *taken.meaning, *taken.in_test):
            continue
        written = train[name].str.strip()
        wrong = ~written.isin(list(WRITTEN))
        if name in RESERVED:
            # The others are written by split.
            if name == PRED and not wrong.any():
                sentences.append(
                    f"problem: column '{name}' is not a label: {RESERVED_CLASS}; {mend}"
                )
        elif wrong.any() and not wrong.sum() > (1 - MOSTLY) * written.ne("").sum():
            row = int(wrong.to_numpy().argmax())
            sentences.append(
                f"problem: column '{name}' is not a label column: row {row + 1} has "
                f"'{written.iloc[row]}', not 0, 1, -1 or blank; {mend}"
            )
    return sentences


def _asked(
    answers: list[str], columns: Sequence[str], binary: Sequence[str], file: Path
) -> tuple[list[str], str]:
    """All classes of the sample submission, in its order."""
    lacking = [name for name in answers if name not in columns]
    if reserved := [name for name in lacking if name in RESERVED]:
        raise InputError(RESERVED_CLASS, file=file, values=reserved, mend=RENAME_CLASS)
    if lacking:
        likely = [name for name in nearest(lacking[0], columns) if name not in answers]
        raise InputError(
            "the sample submission has classes without a column in the training table",
            file=file,
            values=lacking,
            mend=f"Its other columns are {quoted(likely)}; the names have to agree"
            if likely
            else "Name the label columns with 'label' in comptool.toml",
        )
    why = f"label columns: {len(answers)} of 0 and 1 ({quoted(answers)})"
    if [name for name in columns if name in answers] != answers:
        why += "; in the order of the sample submission"
    unasked = [name for name in binary if name not in answers]
    if unasked:
        why += f"; not in the sample submission, so not a label: {quoted(unasked)}"
    return answers, why


def columns_of(label: str | list[str]) -> list[str]:
    """The label columns as a list."""
    return [label] if isinstance(label, str) else label


def is_joined(train: pd.DataFrame | None, sample: pd.DataFrame | None, label: str) -> bool:
    """Whether a column holds several labels per cell, joined by blanks or commas.

    True if the sample submission has a column for each part; if all parts are whole numbers; if
    cells have commas and a part recurs in different cells; and with blanks if the column's name is
    plural.
    """
    if train is None or label not in train:
        return False
    cells = sorted(set(train[label].str.strip()) - {""})
    parts = split_lists(pd.Series(cells, dtype=object))
    several = [names for names in parts if len(names) > 1]
    if not several:
        return False
    answers = set(answers_of(sample))
    if len(answers) >= MIN_MULTILABEL_COLUMNS and not answers & set(cells):
        return any(answers.issuperset(names) for names in several)
    if all(NUMBERS.fullmatch(cell) or cell.isdigit() for cell in cells):
        return True
    counts = Counter(name for names in parts for name in set(names))
    recurring = counts.most_common(1)[0][1] > 1
    return recurring and (any("," in cell for cell in cells) or label.lower() in JOINED_NAMES)


def detect(folder: Path, given: Mapping[str, Any]) -> Detection | None:
    """The competition in ``folder``, around the ``given`` facts, or None if there is none."""
    found = Detection(folder, _seen_from(folder, given))
    tables = find_tables(found)
    if tables.train is None:
        find_class_folders(found)
    if not any(key in found.facts for key in ("train", "test", "sample-submission")):
        return None
    found.settle("name", _name(folder), f"assumed: the name is '{_name(folder)}'")
    _find_id(found, tables)
    _find_modalities(found, tables)
    _find_answers(found, tables)
    found.facts["folder"] = folder.as_posix()
    return found


def detect_table(path: Path, given: Mapping[str, Any]) -> Detection:
    """The competition of one labelled table; images need not be there."""
    frame = read_table(path)
    sources = given.get("modalities", {})
    facts = {key: value for key, value in given.items() if key not in (*PATH_KEYS, "folder")}
    facts["modalities"] = {name: source for name, source in sources.items() if source in frame}
    facts["train"] = path.name
    found = Detection(path.parent, facts)
    tables = Tables(frame, None, None)
    found.settle("name", _name(path.parent), f"assumed: the name is '{_name(path.parent)}'")
    _find_id(found, tables)
    if not facts["modalities"]:
        facts["modalities"] = by_columns(path.parent, [frame])
    _find_answers(found, tables)
    return found


def _seen_from(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with paths relative to ``folder`` instead of the working directory."""
    facts = dict(given)
    for key in PATH_KEYS:
        if key in facts and not (folder / facts[key]).exists() and Path(facts[key]).exists():
            facts[key] = Path(os.path.relpath(facts[key], folder)).as_posix()
    return facts


def _name(folder: Path) -> str:
    resolved = folder.resolve()
    if resolved.name.lower() in DATA_FOLDER_NAMES:
        resolved = resolved.parent
    return re.sub(r"[^a-z0-9]+", "-", resolved.name.lower()).strip("-") or "competition"


def _find_id(found: Detection, tables: Tables) -> None:
    if "id" not in found.facts:
        frames = [frame for frame in (tables.train, tables.test) if frame is not None]
        found.settle("id", *choose_id(frames, tables.sample, found.table))


def _find_modalities(found: Detection, tables: Tables) -> None:
    """Settle ``modalities``, then the image folders for their patterns."""
    frames = [frame for frame in (tables.train, tables.test) if frame is not None]
    if tables.test is None and tables.sample is None and "test" not in found.facts:
        find_test_folder(found)
    if "modalities" not in found.facts:
        modalities = _modalities(found, tables, frames)
        found.settle("modalities", modalities, f"images: {shown_modalities(modalities)}")
    patterns = [source for source in found.facts["modalities"].values() if is_pattern(source)]
    if not patterns:
        return
    test = tables.sample if tables.test is None else tables.test
    for role, frame in (("train", tables.train), ("test", test)):
        if frame is not None and f"{role}-images" not in found.facts:
            _find_images_folder(found, role, patterns, frame)


def _modalities(found: Detection, tables: Tables, frames: Sequence[pd.DataFrame]) -> dict[str, str]:
    id_column = found.facts["id"]
    test = tables.sample if tables.test is None else tables.test
    roles = {"train": tables.train, "test": test}
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
    mend = "Give --modality NAME=COLUMN, or NAME=PATTERN such as 'image={id}.png'"
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
    column = id_column if id_column in frame else str(frame.columns[0])
    return [str(value) for value in frame[column]]


def _find_images_folder(
    found: Detection, role: str, patterns: Sequence[str], frame: pd.DataFrame
) -> None:
    id_column = found.facts["id"] if found.facts["id"] in frame else str(frame.columns[0])
    if any(name not in frame and name != "id" for text in patterns for name in placeholders(text)):
        return
    images = only_role(found.images, role)
    wanted = [filled(pattern, frame, id_column) for pattern in patterns]
    images_in, num_missing = images_folder(images, wanted)
    if images_in:
        found.settle(f"{role}-images", images_in, f"{role} images: below {images_in}")
    if num_missing:
        found.findings.append(f"{num_missing} of {len(frame)} {role} ids lack an image")


def _find_answers(found: Detection, tables: Tables) -> None:
    """Settle label, group, task and metric."""
    train, facts = tables.train, found.facts
    if "label" not in facts:
        sources = facts["modalities"].values()
        named = [name for text in sources for name in placeholders(text)]
        test_columns = [] if tables.test is None else list(tables.test.columns)
        taken = Taken({facts["id"], *sources, *named}, set(test_columns))
        found.settle("label", *choose_label(train, tables.sample, taken, found.table))
        if train is not None and isinstance(facts["label"], list):
            answers = answers_of(tables.sample)
            found.findings += near_misses(train, facts["label"], taken, answers)
    if "group" not in facts and train is not None:
        group, why = choose_group(train, {facts["id"], *columns_of(facts["label"])})
        found.settle("group", group, why)
    joined = isinstance(facts["label"], str) and is_joined(train, tables.sample, facts["label"])
    task = tasks.by_shape(cells=joined or isinstance(facts["label"], list)).name
    why = f"task: {task}" + (f" ({facts['label']} holds lists of labels)" if joined else "")
    found.settle("task", task, why)
    if tables.sample is not None and asks_for_one_probability(tables.sample):
        metric = "auc"
    else:
        metric = tasks.find(facts["task"]).assumed_metric(len(answers_of(tables.sample)))
    found.settle("metric", metric, f"assumed: the metric is {metric}")


ID_NAMES = "id image_id img_id imageid image_name image img filename file_name file name".split()
GROUP_NAMES = frozenset(
    "group group_id scene scene_id patient patient_id site site_id location location_id "
    "sequence sequence_id tile tile_id".split()
)
# A few repeated ids are a mistake to report, not a reason for another id column.
NEARLY_UNIQUE = 0.9


def choose_id(
    frames: Sequence[pd.DataFrame], sample: pd.DataFrame | None, file: Path
) -> tuple[str, str]:
    """The id column of the training and test tables, and why; InputError if there is none."""
    first = None if sample is None else str(sample.columns[0])
    if first is not None and all(first in frame for frame in frames):
        return first, f"id column: {first} (the first of the sample submission)"
    if not frames:
        return "id", "assumed: the id is the part of a file name that {id} stands for"
    shared = [name for name in frames[0].columns if all(name in frame for frame in frames)]
    distinct = {name: min(one[name].nunique() / len(one) for one in frames) for name in shared}
    named = [name for name in ID_NAMES if name in distinct and distinct[name] >= NEARLY_UNIQUE]
    if named:
        return named[0], f"id column: {named[0]} (by its name)"
    unique = [name for name in shared if distinct[name] == 1]
    if unique:
        return unique[0], f"id column: {unique[0]} (all values differ)"
    raise InputError(
        "no column has a different value in every row; which one is the id?",
        file=file,
        values=list(frames[0].columns),
        mend="Name it with COMPTOOL_ID=..., 'id' in comptool.toml or 'comptool init --id'",
    )


def choose_group(train: pd.DataFrame, taken: set[str]) -> tuple[str | None, str]:
    """The group column, by its name, and why; or None."""
    for name in train.columns:
        if name.lower() in GROUP_NAMES and name not in taken and not train[name].is_unique:
            count = train[name].nunique()
            return name, f"assumed: {name} is a group column ({count} groups)"
    return None, ""


def asks_for_one_probability(sample: pd.DataFrame) -> bool:
    """Whether a sample submission has one column, of numbers with a decimal point."""
    return len(sample.columns) == 2 and bool(sample.iloc[:, 1].str.fullmatch(r"[01]?\.\d+").all())
