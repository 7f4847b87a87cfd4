"""Typed records: JSON documents as dataclasses, and a sentence for what in them does not fit."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from comptool.errors import InputError, UsageError, nearest

Kind = TypeVar("Kind")
DAMAGED = "is damaged: "
# A number that may be NaN or infinite, such as a score that is not defined; a float may not.
Figure = Annotated[float, "figure"]
# How a JSON value of a Python type is named in a message.
NAMES = {
    str: "text",
    Path: "text",
    int: "a whole number",
    float: "a finite number",
    Figure: "a number",
    bool: "true or false",
    type(None): "null",
}


# Of an image that a network takes.
LARGEST_SIDE, MOST_CHANNELS = 1 << 14, 1 << 14


class MisfitError(ValueError):
    """A value of the wrong type in a document; the text says which and why."""


def parse(
    kind: type[Kind],
    document: object,
    file: Path,
    what: str = "record",
    *,
    place: str = "",
    mend: str | None = None,
    whole: bool = False,
) -> Kind:
    """Parse a JSON document into a dataclass; unknown keys are ignored, if not ``whole``.

    Parameters
    ----------
    kind
        A dataclass with fields of JSON types, ``list[X]``, ``dict[str, X]``, ``Literal``, unions of
        these, tuples and paths, and further dataclasses; a field without a default is required. A
        ``float`` is finite, an ``int`` has at most 64 bits; a :data:`Figure` is any number.
    document
        A value as :func:`comptool.io.documents.read_json` returns it.
    file, what
        Path and name of the document in messages.
    place
        Key in the file, where the document is a part of it.
    mend
        Remedy for a damaged document, for messages.

    Raises
    ------
    InputError
        If it is not an object, lacks a required key, or a value has the wrong type; names the key.
    """
    try:
        if whole and isinstance(document, dict):
            _refuse_unknown(kind, document, place)
        return _object(kind, document, place)
    except MisfitError as error:
        raise InputError(f"its {what} {error}", file=file, mend=mend) from error


def _refuse_unknown(kind: Any, document: dict[str, Any], place: str) -> None:
    known = [one.name for one in fields(kind)]
    if other := next((name for name in document if name not in known), None):
        near = f"; did you mean {' or '.join(nearest(other, known))}?"
        raise MisfitError(f"{DAMAGED}{place or 'it'} has the unknown key {shown(other)}{near}")


def _object(kind: type[Kind], document: object, place: str) -> Kind:
    if not isinstance(document, dict):
        raise MisfitError(misfit(place, "an object", document))
    hints = _hints(kind)  # type: ignore[arg-type]
    needed = [
        one.name
        for one in fields(kind)  # type: ignore[arg-type]
        if one.default is MISSING and one.default_factory is MISSING
    ]
    if missing := [name for name in needed if name not in document]:
        lacking = f"lacks {', '.join(missing)}"
        raise MisfitError(f"{DAMAGED}{place} {lacking}" if place else lacking)
    dot = f"{place}." if place else ""
    return kind(
        **{
            name: _value(hint, document[name], f"{dot}{name}")
            for name, hint in hints.items()
            if name in document
        }
    )


def _value(hint: Any, value: Any, place: str) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is tuple and parts[-1] is Ellipsis:
        return tuple(_value(types.GenericAlias(list, parts[:1]), value, place))
    if is_dataclass(hint):
        return _object(hint, value, place)  # type: ignore[arg-type]
    if origin in (Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        rest = [part for part in parts if part is not type(None)]
        if len(rest) == 1:
            return _value(rest[0], value, place)
        for part in rest:
            with suppress(MisfitError):
                return _value(part, value, place)
    elif origin is Literal:
        if value in parts:
            return value
    elif origin is list:
        if isinstance(value, list):
            return [_value(parts[0], one, f"{place}[{i}]") for i, one in enumerate(value)]
    elif origin is tuple:
        if isinstance(value, list) and len(value) == len(parts):
            return tuple(
                _value(hint, one, f"{place}[{i}]")
                for i, (hint, one) in enumerate(zip(parts, value, strict=True))
            )
    elif hint is Path:
        if isinstance(value, str):
            return Path(value)
    elif origin is dict:
        if isinstance(value, dict):
            return {key: _value(parts[1], one, f"{place}.{key}") for key, one in value.items()}
    elif _fits(hint, value):
        return value
    raise MisfitError(misfit(place, _named(hint), value))


def misfit(place: str, wanted: str, value: object) -> str:
    """What is said of a value that is not what is wanted: ``is damaged: classes must be ...``."""
    return f"{DAMAGED}{place or 'the top level'} must be {wanted}, found {shown(value)}"


def checked_value(hint: Any, value: Any, place: str, file: Path, what: str) -> Any:
    """One value of a document, as in :func:`parse`; ``hint`` is its type."""
    try:
        return _value(hint, value, place)
    except MisfitError as error:
        raise InputError(f"its {what} {error}", file=file) from error


def _fits(hint: Any, value: object) -> bool:
    if hint in (float, Figure, int):
        if isinstance(value, bool) or not isinstance(value, int if hint is int else int | float):
            return False
        # Compared and not converted, which a whole number of 400 digits would end.
        most = sys.maxsize if hint is int else sys.float_info.max
        return hint is Figure or -most <= value <= most
    return isinstance(value, hint)


def _named(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is tuple:
        return f"a list of {len(parts)}"
    if origin is list:
        return "a list"
    if origin is dict:
        return "an object"
    if origin is Literal:
        return " or ".join(str(part) for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(_named(part) for part in parts)
    return NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def shown(value: object) -> str:
    """A value as in JSON, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda one: type(one).__name__)
    except TypeError:  # keys that are not text, in a state of torch
        text = type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@contextmanager
def named_by(file: Path, key: str) -> Iterator[None]:
    """Use a name that a file gives: a UsageError about it becomes an InputError with its key."""
    try:
        yield
    except UsageError as error:
        raise InputError(f"its {key} cannot be used: {error}", file=file) from error


def known(record: Any) -> dict[str, Any]:
    """A dataclass as a JSON object for :func:`parse`, without default values."""
    return {
        one.name: _plain(value)
        for one in fields(record)
        if (value := getattr(record, one.name)) != _default(one)
    }


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return known(value)
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class ModelRecord:
    """A model's name and the options it was built with."""

    name: str
    options: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Computed:
    """How a run or predictions were really computed.

    Parameters
    ----------
    device, card
        Such as ``cuda:0``; the name of the card, None on a CPU.
    backend
        ``torch`` or ``onnx``.
    precision
        Of training steps, or of the networks: ``float32``, ``bfloat16`` or ``float16``.
    tf32
        Whether float32 convolutions could round their factors to 10 bits.
    compiled, asynchronous_copies, deterministic
        Whether steps were compiled, batches copied beside the computing, operations deterministic.
    fallbacks
        Sentences on what was turned off or done in a slower way, and why.
    """

    device: str
    card: str | None = None
    backend: str = "torch"
    precision: str
    tf32: bool = False
    compiled: bool = False
    asynchronous_copies: bool = False
    deterministic: bool = False
    fallbacks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunHeader:
    """Header of a checkpoint: all that prediction needs besides the weights.

    Parameters
    ----------
    classes
        The K class names in the order of the logits.
    class_counts
        Training rows per class as published, before balancing.
    modalities
        In the order in which the model takes them; the keys of ``img_size`` (height, width in
        pixels), ``channels``, ``mean`` and ``std`` (per channel, images in [0, 1]) and ``bits``.
    trained_counts
        Rows per class that this network was trained on.
    bits
        Bits in use of 16-bit images, by modality.
    ranges
        Black and white of floating-point images, and of 16-bit ones of neither 1 nor 3 channels, by
        modality: one pair, one per channel, or none if each image has its own.
    reader
        The reader of the user, ``FILE.py:function``, or "".
    metric, metric_options, score, epoch
        Metric with its options, value and epoch of the best checkpoint; no value without
        validation.
    fold
        The validation fold, or None.
    pretrained, init_from
        Source of the initial weights; the run they came from.
    leak
        Why its validation is not evidence; None if it is.
    dropped
        Classes left out of this training.
    arguments, inputs
        Settings of the run; files read, with their SHA-256.
    way
        How its steps were computed (a ``ComputeConfig``).
    fusion_weights
        Fusion weights of balanced attention, by layer.
    """

    model: ModelRecord
    task: str
    classes: list[str]
    class_counts: dict[str, int]
    modalities: list[str]
    img_size: dict[str, list[int]]
    channels: dict[str, int]
    mean: dict[str, list[float]]
    std: dict[str, list[float]]
    comptool: str = ""
    trained_counts: dict[str, int] = field(default_factory=dict)
    bits: dict[str, int] = field(default_factory=dict)
    ranges: dict[str, list[list[float]]] = field(default_factory=dict)
    reader: str = ""
    metric: str = ""
    metric_options: dict[str, Any] = field(default_factory=dict)
    fold: int | None = None
    seed: int | None = None
    pretrained: str | None = None
    init_from: str | None = None
    leak: str | None = None
    dropped: list[str] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str | None] = field(default_factory=dict)
    way: dict[str, Any] | None = None
    score: Figure | None = None
    epoch: int | None = None
    fusion_weights: dict[str, float] = field(default_factory=dict)

    def check(self, file: Path) -> None:
        """Raise an InputError for a value that no training writes; names its key."""
        try:
            self._check_names()
            for name in self.modalities:
                self._check_modality(name)
        except MisfitError as error:
            raise InputError(f"its header {error}", file=file) from error

    def _check_names(self) -> None:
        for key in ("classes", "modalities"):
            names, seen = getattr(self, key), set()
            if not names:
                raise MisfitError(f"{DAMAGED}{key} has no entry")
            for place, name in enumerate(names):
                if not name.strip() or name in seen:
                    wanted = "a text that is not blank and not repeated"
                    raise MisfitError(misfit(f"{key}[{place}]", wanted, name))
                seen.add(name)
        for key in ("class_counts", "trained_counts"):
            for name, count in getattr(self, key).items():
                _check_range(f"{key}.{name}", count, 0, sys.maxsize)
        for key in ("fold", "epoch"):
            if (value := getattr(self, key)) is not None:
                _check_range(key, value, 0, sys.maxsize)
        if (pool := self.arguments.get("pool")) is not None and not isinstance(pool, str):
            raise MisfitError(misfit("arguments.pool", "text or null", pool))

    def _check_modality(self, name: str) -> None:
        for key in ("img_size", "channels", "mean", "std"):
            if name not in getattr(self, key):
                raise MisfitError(f"{DAMAGED}{key} lacks {name}")
        if len(self.img_size[name]) != 2:
            raise MisfitError(misfit(f"img_size.{name}", "height and width", self.img_size[name]))
        for place, side in enumerate(self.img_size[name]):
            _check_range(f"img_size.{name}[{place}]", side, 1, LARGEST_SIDE)
        channels = self.channels[name]
        _check_range(f"channels.{name}", channels, 1, MOST_CHANNELS)
        for key in ("mean", "std"):
            _check_length(f"{key}.{name}", getattr(self, key)[name], channels)
        for place, value in enumerate(self.std[name]):
            if value <= 0:
                raise MisfitError(misfit(f"std.{name}[{place}]", "above 0", value))
        if name in self.bits:
            _check_range(f"bits.{name}", self.bits[name], 1, 16)
        if ranges := self.ranges.get(name):
            if len(ranges) != 1:
                _check_length(f"ranges.{name}", ranges, channels)
            for place, pair in enumerate(ranges):
                if len(pair) != 2 or pair[0] > pair[1]:
                    wanted = "black, and a white that is not less"
                    raise MisfitError(misfit(f"ranges.{name}[{place}]", wanted, pair))

    def document(self) -> dict[str, Any]:
        """The JSON object that :func:`parse` reads."""
        return asdict(self)


def _check_range(place: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        wanted = f"{least} or more" if value < least else f"at most {most}"
        raise MisfitError(misfit(place, wanted, value))


def _check_length(place: str, values: list[Any], channels: int) -> None:
    if len(values) != channels:
        raise MisfitError(misfit(place, f"a list of {channels}, one for each channel", values))


def header_of(document: object, file: Path) -> RunHeader:
    """Parse the header of a checkpoint; an InputError names a missing key or a wrong type."""
    header = parse(RunHeader, document, file, "header")
    header.check(file)
    return header


@dataclass(frozen=True, kw_only=True)
class MemberWeight:
    """A member in ``ensemble.json``; ``weight`` is one number, or one for each class by name.

    ``alone`` is the metric of the member on its own out-of-fold rows.
    """

    predictions: str = ""
    runs: list[str] = field(default_factory=list)
    out_of_fold: str | None = None
    alone: Figure | None = None
    weight: float | dict[str, float]


@dataclass(frozen=True, kw_only=True)
class FittedCombination:
    """Parameters of `comptool.postprocess.ensemble.stacking`, in order of members and classes."""

    method: Literal["temperature-mean", "stack"]
    temperatures: list[float] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)
    bias: list[float] = field(default_factory=list)
    per_class: list[list[float]] = field(default_factory=list)
    across: list[list[list[float]]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class EnsembleWeights:
    """Content of ``ensemble.json``; ``combination`` replaces the mean with the weights."""

    format: int
    task: str | None = None
    classes: list[str]
    metric: str | None = None
    search: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    combination: FittedCombination | None = None
    members: list[MemberWeight]


@dataclass(frozen=True, kw_only=True)
class ViewWeights:
    """Content of ``preds_tta.json`` or of a handwritten list of views.

    ``format`` is None if handwritten; ``weights`` has one number per view, or is empty. ``runs``,
    ``search`` and ``scores`` record the search on out-of-fold rows.
    """

    format: int | None = None
    views: list[str]
    weights: list[float] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    search: dict[str, Any] | None = None
    scores: dict[str, Any] | None = None
