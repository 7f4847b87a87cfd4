"""Typed records: JSON documents as dataclasses, and a sentence for what in them does not fit."""

from __future__ import annotations

import types
from contextlib import suppress
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from comptool.errors import InputError

Kind = TypeVar("Kind")
DAMAGED = "is damaged: "
# How a JSON value of a Python type is named in a message.
NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


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
) -> Kind:
    """Parse a JSON document into a dataclass; unknown keys are ignored.

    Parameters
    ----------
    kind
        A dataclass with fields of JSON types, ``list[X]``, ``dict[str, X]``, ``Literal``, unions of
        these and further dataclasses; a field without a default is required.
    document
        A value from ``json.loads``.
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
        return _object(kind, document, place)
    except MisfitError as error:
        raise InputError(f"its {what} {error}", file=file, mend=mend) from error


def _object(kind: type[Kind], document: object, place: str) -> Kind:
    if not isinstance(document, dict):
        raise MisfitError(f"{DAMAGED}{place or 'it'} has to be an object, not {_shown(document)}")
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
    elif origin is dict:
        if isinstance(value, dict):
            return {key: _value(parts[1], one, f"{place}.{key}") for key, one in value.items()}
    elif _fits(hint, value):
        return value
    raise MisfitError(f"{DAMAGED}{place} has to be {_named(hint)}, not {_shown(value)}")


def _fits(hint: Any, value: object) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _named(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is list:
        return "a list"
    if origin is dict:
        return "an object"
    if origin is Literal:
        return " or ".join(str(part) for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(_named(part) for part in parts)
    return NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


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
    score: float | None = None
    epoch: int | None = None
    fusion_weights: dict[str, float] = field(default_factory=dict)

    def check(self, file: Path) -> None:
        """Raise an InputError for a modality without size, channels or statistics."""
        for name in self.modalities:
            for key in ("img_size", "channels", "mean", "std"):
                if name not in getattr(self, key):
                    raise InputError(f"its header is damaged: {key} lacks {name}", file=file)
            if len(self.img_size[name]) != 2:
                raise InputError(
                    f"its header is damaged: img_size.{name} has to be height and width", file=file
                )

    def document(self) -> dict[str, Any]:
        """The JSON object that :func:`parse` reads."""
        return asdict(self)


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
    alone: float | None = None
    weight: float | dict[str, float]


@dataclass(frozen=True, kw_only=True)
class EnsembleWeights:
    """Content of ``ensemble.json``."""

    format: int
    task: str | None = None
    classes: list[str]
    metric: str | None = None
    search: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
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
