"""Which views of an image are predicted and how they are merged, by name; no torch."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from comptool.errors import InputError, UsageError, unknown_name
from comptool.inference.tta.transforms import CROPS, D4, check_view
from comptool.io.records import ViewWeights, parse
from comptool.postprocess.oof import rows_path

VIEW_FILES = (".json", ".toml")
GROUPS: dict[str, tuple[str, ...]] = {
    "flips": ("identity", "horizontal", "vertical"),
    "d4": tuple(D4),
    "5crop": tuple(CROPS),
    "multiscale": ("scale-0.75", "identity", "scale-1.25"),
}


class Scheme(NamedTuple):
    """Views and their merge: ``mean``, ``gmean`` or ``max``.

    ``weights`` of a mean sum to one; empty for equal ones. ``chosen_on`` are the runs on whose
    out-of-fold rows the weights were chosen.
    """

    views: tuple[str, ...]
    merge: str
    weights: tuple[float, ...] = ()
    chosen_on: tuple[str, ...] = ()

    def used(self) -> Scheme:
        """The scheme without zero-weight views."""
        if not all(self.weights):
            pairs = [pair for pair in zip(self.views, self.weights, strict=True) if pair[1]]
            views, weights = zip(*pairs, strict=True)
            return self._replace(views=views, weights=weights)
        return self


IDENTITY = "identity"
PLAIN = Scheme((IDENTITY,), "mean")


def read_scheme(transforms: str, merge: str) -> Scheme:
    """Parse ``--transforms``: names of `GROUPS` joined by commas, or a JSON or TOML file.

    The file has a list ``views`` and optional ``weights``; in JSON the bare list will do.
    """
    path = Path(transforms)
    if path.suffix not in VIEW_FILES:
        groups = transforms.split(",")
        unknown = next((name for name in groups if name not in GROUPS), None)
        if unknown is not None:
            raise unknown_name("group of views", unknown, GROUPS)
        return Scheme(tuple(dict.fromkeys(v for name in groups for v in GROUPS[name])), merge)
    content = _read(path)
    names, weights = _views_of(path, content), _weights_of(path, content)
    if weights and merge != "mean":
        raise UsageError(f"the weights of {path} are those of the mean, not of {merge}")
    return Scheme(names, merge, weights, tuple(content.runs)).used()


def views_path(output: Path) -> Path:
    """Path of the searched views: ``preds_tta.json`` for ``preds_tta.csv``."""
    return output.with_suffix(".json")


def beside(output: Path, search: str | None) -> list[str]:
    """Further outputs of test-time augmentation or a search of views."""
    return [str(path) for path in (rows_path(output), *([views_path(output)] if search else []))]


def _views_of(path: Path, content: ViewWeights) -> tuple[str, ...]:
    names = content.views
    if not names:
        raise InputError("has no list of view names called 'views'", file=path)
    if len(set(names)) < len(names):
        raise InputError("lists a view twice", file=path, values=_repeated(names))
    for name in names:
        try:
            check_view(name)
        except UsageError as error:
            raise InputError(str(error), file=path) from error
    return tuple(names)


def _weights_of(path: Path, content: ViewWeights) -> tuple[float, ...]:
    weights = content.weights
    if not weights:
        return ()
    if len(weights) != len(content.views):
        raise InputError(
            f"its weights are not one number for each of {len(content.views)} views", file=path
        )
    total = sum(weights)
    if min(weights) < 0 or not 0 < total < float("inf"):
        raise InputError(
            "weights of views are numbers from 0 on, not all 0", file=path, values=weights
        )
    return tuple(number / total for number in weights)


def _read(path: Path) -> ViewWeights:
    if not path.is_file():
        raise InputError("there is no such file of views", file=path)
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise InputError(f"is not readable ({error})", file=path) from error
    named = content if isinstance(content, dict) else {"views": content}
    return parse(ViewWeights, named, path, "list of views")


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
