"""The files of a download: its images and the tables that their names give away."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from comptool.errors import InputError, quoted
from comptool.facts import PATH_KEYS
from comptool.patterns import find_images
from comptool.tables import read_table

TABLE_NAME = re.compile(r"(.+?)(\.csv|\.csv\.gz|\.parquet)", re.IGNORECASE)

VALIDATION_NAMES = frozenset("val valid validation dev".split())


@dataclass
class Detection:
    """Facts as ``comptool.toml`` has them, flat, and the sentences that explain them."""

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
        """Take a value for a fact that is not given, and say so."""
        if key not in self.facts and value is not None:
            self.facts[key] = value
            self.findings.append(why)


@dataclass
class Tables:
    """The tables of a download, as far as there are any."""

    train: pd.DataFrame | None
    test: pd.DataFrame | None
    sample: pd.DataFrame | None


def find_tables(found: Detection) -> Tables:
    """The training table, test table and sample submission that the facts or file names tell.

    Raises
    ------
    InputError
        If a fact names a file that does not exist, or a table cannot be read.
    """
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
            f"not used: {quoted(unused)}; its rows can be put into {candidates['train'][0]}, with "
            "a column 'split' of train and val that split --from-column split takes"
        )
    said = {
        "train": "training table",
        "test": "test table",
        "sample-submission": "sample submission",
    }
    frames = {}
    for key, names in candidates.items():
        _choose_table(found, key, names, stems)
        frame = frames[key] = _read(found, key)
        if frame is not None:
            found.findings.append(f"{said[key]}: {found.facts[key]} ({len(frame)} rows)")
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
        found.findings.append(f"assumed: {best} is the one, not {quoted(rest)}")


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
