"""Which views of an image are predicted and how they are merged, by name; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from comptool.errors import InputError, UsageError, unknown_name
from comptool.io.documents import read_json, read_toml
from comptool.io.records import ViewWeights, parse
from comptool.io.verification import recall
from comptool.postprocess.oof import rows_path

CROP_SHARE = 0.875
SCALE_PREFIX = "scale-"
LARGEST_SCALE = 4.0


class Turn(NamedTuple):
    """An element of D4: transposition, then each axis reversed or not."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False


D4 = {
    "identity": Turn(),
    "horizontal": Turn(columns_reversed=True),
    "vertical": Turn(rows_reversed=True),
    "rotate-90": Turn(True, rows_reversed=True),
    "rotate-180": Turn(rows_reversed=True, columns_reversed=True),
    "rotate-270": Turn(True, columns_reversed=True),
    "transpose": Turn(True),
    "anti-transpose": Turn(True, True, True),
}
# Position of the crop, 0 to 1 from the top left; it is resized to the image's size.
CROPS = {
    "crop-top-left": (0.0, 0.0),
    "crop-top-right": (0.0, 1.0),
    "crop-bottom-left": (1.0, 0.0),
    "crop-bottom-right": (1.0, 1.0),
    "crop-centre": (0.5, 0.5),
}
VIEW_NAMES = (*D4, *CROPS)


def seen_box(view: str, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of the part of an image that a view shows, in pixels."""
    if view not in CROPS:
        return 0, 0, height, width
    rows, columns = round(CROP_SHARE * height), round(CROP_SHARE * width)
    down, right = CROPS[view]
    return round(down * (height - rows)), round(right * (width - columns)), rows, columns


def seen_size(view: str, height: int, width: int) -> tuple[int, int]:
    """Height and width at which a view shows an image; a UsageError for an unknown view."""
    if view in CROPS:
        return height, width
    if view in D4:
        return (width, height) if D4[view].transposed else (height, width)
    factor = scale_of(view)
    return max(1, round(factor * height)), max(1, round(factor * width))


def scale_of(view: str) -> float:
    """The factor of ``scale-FACTOR``."""
    if not view.startswith(SCALE_PREFIX):
        raise unknown_name("view", view, (*VIEW_NAMES, f"{SCALE_PREFIX}1.25"))
    try:
        factor = float(view.removeprefix(SCALE_PREFIX))
    except ValueError:
        factor = 0.0
    if not 0 < factor <= LARGEST_SCALE:
        raise UsageError(f"the view '{view}' needs a factor above 0 and up to {LARGEST_SCALE:g}")
    return factor


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


def further_outputs(output: Path, search: str | None) -> list[str]:
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
            seen_size(name, 1, 1)
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
    recall(path)
    content = read_json(path) if path.suffix == ".json" else read_toml(path)
    named = content if isinstance(content, dict) else {"views": content}
    return parse(ViewWeights, named, path, "list of views")


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
