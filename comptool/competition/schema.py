"""Facts of ``comptool.toml`` and of ``COMPTOOL_*`` variables: keys, checks and comments."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from comptool import tasks
from comptool.errors import InputError, UsageError, unknown_name
from comptool.io.atomic import atomic_output
from comptool.io.documents import read_toml
from comptool.io.image_readers import CHANNELS, READERS
from comptool.limits import PIXELS, UNPACKED
from comptool.metrics.metric_options import from_text as option_from_text
from comptool.metrics.metric_registry import wrong_name
from comptool.registry import is_user_object

POSITIVE = "positive-class"
TOP_KEYS = ("name", "task", "metric", "form", POSITIVE)
METRIC_OPTIONS = "metric-options"
TABLES = ("data", "modalities", "class-folders", METRIC_OPTIONS)
PATH_KEYS = ("train", "val", "test", "sample-submission", "train-images", "test-images")
DATA_KEYS = (
    "folder", *PATH_KEYS, "id", "bag", "label", "label-pattern", "group", "classes",
    "missing-images",
    "reader",
)  # fmt: skip
# An empty text says that there is none, whatever is detected.
MAY_BE_NONE = ("group", "bag")
# What is done with a training row whose images are not there.
MISSING_IMAGES = ("error", "drop")
VARIABLES = {
    f"COMPTOOL_{key.replace('-', '_').upper()}": key
    for key in (*TOP_KEYS, *DATA_KEYS, "modalities", METRIC_OPTIONS)
}
PREFIX = "COMPTOOL_"
# Not facts: the cache of decoded images, limits, weights, and images of tests and benchmarks.
OTHER_VARIABLES = (
    "COMPTOOL_CACHE", "COMPTOOL_CACHE_GB", PIXELS, UNPACKED, "COMPTOOL_REAL_DATA",
    "COMPTOOL_WEIGHTS",
)  # fmt: skip
MODALITY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Facts = dict[str, Any]
COMMENTS = {
    "name": "what submission files are called",
    "task": " or ".join(tasks.names()),
    "metric": "what the organiser ranks by",
    "form": "of the answers; without it, submit chooses",
    POSITIVE: "of one column of probabilities, and of the metric",
    "folder": "the download; what follows is relative to it",
    "train": "a table, or a folder of class folders",
    "val": "as train; 'split --from-column split' takes it as it is",
    "test": "a table, or a folder of images",
    "sample-submission": "the organiser's example; its layout and order are kept",
    "train-images": "where patterns are looked for",
    "test-images": "where patterns are looked for",
    "id": "column",
    "label": "column; multilabel, regression: also a list of columns",
    "label-pattern": "where the class is in a path; * is anything, ** across folders",
    "bag": "column, or columns such as {patient}_{side}: its images have one answer",
    "group": "rows of one group are never torn apart by a split",
    "classes": "all class names",
    "missing-images": "drop: training rows that name an image that is not there are left out",
    "reader": "of the images, FILE.py:function",
}


def read_facts(path: Path) -> Facts:
    """The checked facts of a ``comptool.toml``, flat, by key.

    Raises
    ------
    InputError
        Naming the key that is unknown or has a wrong value.
    """
    if not path.exists():
        raise InputError("there is no such file", file=path, mend="Run 'comptool init'")
    document = read_toml(path)
    data = document.pop("data", {})
    tables = {key: document.pop(key) for key in TABLES[1:] if key in document}
    if not isinstance(data, dict):
        raise InputError("'data' is not a table; write [data] on its own line", file=path)
    for keys, known in ((document, (*TOP_KEYS, *TABLES)), (data, DATA_KEYS)):
        for key in keys:
            if key not in known:
                raise InputError(str(unknown_name("key", key, known)), file=path)
    facts = document | data | tables
    checked(facts, lambda key, what: InputError(f"'{key}' {what}", file=path))
    if "modalities" in facts:
        pairs = facts["modalities"].items()
        facts["modalities"] = {
            name: CHANNELS.join(source) if isinstance(source, list) else source
            for name, source in pairs
        }
    return facts


def from_environment(environment: Mapping[str, str]) -> Facts:
    """The facts in ``COMPTOOL_*`` variables; lists are comma-separated.

    Raises
    ------
    UsageError
        Naming the variable that is unknown or has a wrong value.

    Examples
    --------
    >>> from_environment({"COMPTOOL_MODALITIES": "sar=sar_path,eo=eo_path"})
    {'modalities': {'sar': 'sar_path', 'eo': 'eo_path'}}
    """
    for name in environment:
        if name.startswith(PREFIX) and name not in (*VARIABLES, *OTHER_VARIABLES):
            raise unknown_name("environment variable", name, (*VARIABLES, *OTHER_VARIABLES))
    facts = _from_texts(
        {
            key: environment[variable]
            for variable, key in VARIABLES.items()
            if environment.get(variable) or (key in MAY_BE_NONE and variable in environment)
        }
    )
    names = {key: variable for variable, key in VARIABLES.items()}
    return checked(facts, lambda key, what: UsageError(f"{names[key]} {what}"))


def variable_of(key: str) -> str | None:
    """The variable that sets a fact above ``comptool.toml``, or None."""
    variable = next((name for name, of in VARIABLES.items() if of == key), "")
    return variable if os.environ.get(variable) else None


def from_options(
    options: Mapping[str, str | None],
    modalities: Sequence[str] = (),
    metric_options: Sequence[str] = (),
) -> Facts:
    """The facts in options: text by key, modalities and options of the metric as ``NAME=VALUE``."""
    facts = _from_texts({key: text for key, text in options.items() if text is not None})
    if modalities:
        facts["modalities"] = from_text("modalities", ",".join(modalities))
    if metric_options:
        for text in metric_options:
            if not all(part.strip() for part in (text + " ").split("=", 1)) or "=" not in text:
                raise UsageError(f"--metric-option is '{text}'; it is name=value")
        given = [text.partition("=")[0].strip() for text in metric_options]
        if len(set(given)) < len(given):
            raise UsageError("--metric-option gives the same name twice")
        facts[METRIC_OPTIONS] = from_text(METRIC_OPTIONS, ";".join(metric_options))
    names = {"modalities": "--modality", METRIC_OPTIONS: "--metric-option"}
    return checked(facts, lambda key, what: UsageError(f"{names.get(key, f'--{key}')} {what}"))


def _from_texts(texts: Mapping[str, str]) -> Facts:
    facts: Facts = {key: from_text(key, text) for key, text in texts.items()}
    if isinstance(merged := facts.get("classes"), dict):
        facts |= {"class-folders": merged, "classes": list(merged)}
    return facts


def from_text(key: str, text: str) -> object:
    """The value of a fact from the text of a variable or an option."""
    parts = [part.strip() for part in text.split(",")]
    if key == METRIC_OPTIONS:
        options = [part.partition("=") for part in text.split(";") if part.strip()]
        return {name.strip(): option_from_text(value.strip()) for name, _, value in options}
    if key == "modalities":
        pairs = [part.partition("=") for part in parts]
        return {name.strip(): value.strip() for name, _, value in pairs}
    if key == "classes" and any("=" in part for part in parts):
        return _merged(parts)
    if key == "classes" or (key == "label" and len(parts) > 1):
        return parts
    return text


def _merged(parts: Sequence[str]) -> dict[str, list[str]]:
    """Class folders by class: ``cover=Cover``, ``stego=JUNI+UERD``, ``rest=*``, or a folder."""
    pairs = [part.partition("=") for part in parts]
    return {
        name.strip(): [folder.strip() for folder in (folders or name).split("+")]
        for name, _, folders in pairs
    }


def checked(facts: Facts, complaint: Callable[[str, str], Exception]) -> Facts:
    """The facts, checked; ``complaint(key, what)`` makes the error."""
    for key, value in facts.items():
        what = _wrong(key, value)
        if what:
            raise complaint(key, what)
    return facts


def _wrong(key: str, value: object) -> str | None:
    """Fault of a fact's value, or None."""
    if key == "task":
        known = tasks.names()
        return None if value in known else f"is {value!r}; it can be {', '.join(known)}"
    if key == "metric":
        wrong = wrong_name(value)
        return wrong and f"is wrong: {wrong}"
    if key == METRIC_OPTIONS:
        return _wrong_metric_options(value)
    if key == "modalities":
        return _wrong_modalities(value)
    if key == "class-folders":
        return _wrong_class_folders(value)
    if key == "missing-images":
        if value in MISSING_IMAGES:
            return None
        return f"is {value!r}; it can be {' or '.join(MISSING_IMAGES)}"
    if key == "label-pattern" and (not isinstance(value, str) or value.count("{label}") != 1):
        return f"is {value!r}; a pattern with {{label}} is needed, such as '*/{{label}}/*'"
    if key in MAY_BE_NONE and value == "":
        return None
    if key == "classes" or (key == "label" and isinstance(value, list)):
        texts = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        distinct = isinstance(value, list) and texts and len(set(value)) == len(value) > 1
        return (
            None if distinct else f"is {value!r}; a list of at least two different texts is needed"
        )
    if not isinstance(value, str) or not value:
        return f"is {value!r}; a text is needed"
    if key == "reader" and not is_user_object(value):
        known = [entry.name for entry in (*READERS, *READERS.plugins())]
        return None if value in known else f"is {value!r}; FILE.py:function is needed"
    if key == "name" and ("/" in value or value.startswith(".")):
        return f"is {value!r}; it becomes a file name and cannot hold '/' or begin with '.'"
    return None


def _wrong_modalities(value: object) -> str | None:
    if not isinstance(value, dict) or not value:
        return f'is {value!r}; a table such as image = "image_path" is needed'
    for name, source in value.items():
        if not MODALITY_NAME.fullmatch(name):
            return f"holds the name {name!r}; a name has letters, digits, '-' and '_'"
        several = source if isinstance(source, list) and source else [source]
        if not all(isinstance(one, str) and one for one in several):
            return (
                f"gives {name!r} as {source!r}; a column or a pattern with {{id}} is needed, or a "
                "list of them for the channels of one image"
            )
    return None


def _wrong_metric_options(value: object) -> str | None:
    if not isinstance(value, dict):
        return f"is {value!r}; a table such as beta = 2 is needed"
    for name, given in value.items():
        cells = given if isinstance(given, list) else [given]
        cells = [cell for row in cells for cell in (row if isinstance(row, list) else [row])]
        if not cells or not all(isinstance(c, (int, float, str)) and c != "" for c in cells):
            return f"gives {name!r} as {given!r}; a number, a list of numbers or a path is needed"
    return None


def _wrong_class_folders(value: object) -> str | None:
    if not isinstance(value, dict) or len(value) < 2:
        return f"is {value!r}; the folders of at least two classes are needed"
    for name, folders in value.items():
        texts = isinstance(folders, list) and all(isinstance(one, str) and one for one in folders)
        if not texts or not folders or not name:
            return f"gives {name!r} as {folders!r}; a list of folders is needed"
    listed = [folder for folders in value.values() for folder in folders]
    twice = next((folder for folder in listed if listed.count(folder) > 1), None)
    return None if twice is None else f"has the folder {twice!r} twice"


def write_facts(facts: Mapping[str, Any], path: Path, *, force: bool = False) -> None:
    """Write facts as a commented ``comptool.toml``, atomically."""
    lines = ["# Facts of the competition; the settings of a run stand in its shell script."]
    lines += [_line(key, facts[key]) for key in TOP_KEYS if key in facts]
    lines += ["", "[data]", *(_line(key, facts[key]) for key in DATA_KEYS if key in facts)]
    lines += ["", "# In the order in which a model takes them: a column with the images' paths, or"]
    lines += ['# a file-name pattern such as "SAR_{id}.png"; a list for the channels of one image.']
    lines += ["[modalities]"]
    for name, source in facts["modalities"].items():
        several = source.split(CHANNELS)
        lines.append(f"{name} = {_toml(several if len(several) > 1 else source)}")
    if facts.get(METRIC_OPTIONS):
        lines += [
            "",
            "# 'comptool metrics NAME' lists the options of a metric.",
            "[metric-options]",
        ]
        lines += [f"{name} = {_toml(value)}" for name, value in facts[METRIC_OPTIONS].items()]
    if folders := facts.get("class-folders"):
        lines += ["", "# Folders that form one class.", "[class-folders]"]
        lines += [f"{_toml(name)} = {_toml(each)}" for name, each in folders.items()]
    with atomic_output(path, force=force) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(key: str, value: object) -> str:
    return f"{f'{key} = {_toml(value)}':<40}  # {COMMENTS[key]}"


def _toml(value: object) -> str:
    # JSON's strings and lists of strings are TOML's, but for the control character 7F.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
