"""Options typed as ``name=value``, converted to their types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from comptool.errors import UsageError, unknown_name

TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_WHOLE = re.compile(r"[+-]?\d+")


def parse_assignments(
    option: str, owner: str, texts: Iterable[str], hints: Mapping[str, Any]
) -> dict[str, Any]:
    """The typed values, by name.

    Parameters
    ----------
    option
        As typed, for messages: ``--loss-option``.
    owner
        What the options belong to: ``the loss 'asl'``.
    texts
        Each ``name=value``; a list has commas.
    hints
        Type by name: ``bool``, ``int``, ``float``, ``str``, ``None``, literals, sequences of
        ``float``, or a union of those.

    Raises
    ------
    UsageError
        If a text is not an assignment, an option is repeated or unknown (lists the three nearest),
        or a value has the wrong type.

    Examples
    --------
    >>> parse_assignments("--loss-option", "the loss 'x'", ["gamma=2"], {"gamma": float})
    {'gamma': 2.0}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise UsageError(f"{option} is '{text}'; it is name=value")
        if name not in hints:
            if not hints:
                raise UsageError(f"{option} {name}: {owner} takes no options")
            raise unknown_name(f"option of {owner}", name, hints)
        if name in found:
            raise UsageError(f"{option} gives '{name}' twice")
        try:
            found[name] = _converted(value.strip(), hints[name])
        except ValueError:
            raise UsageError(
                f"{option} {name} is '{value}'; it has to be {_in_words(hints[name])}"
            ) from None
    return found


def _converted(text: str, hint: Any) -> Any:
    """The value of a text; ValueError if it is of none of the hint's types."""
    kinds = _kinds(hint)
    if NoneType in kinds and text.lower() == "none":
        return None
    if bool in kinds and text.lower() in TRUTHS:
        return TRUTHS[text.lower()]
    if int in kinds and _WHOLE.fullmatch(text):
        return int(text)
    for choices in (kind for kind in kinds if get_origin(kind) is Literal):
        if text in get_args(choices):
            return text
    if "," in text and any(get_origin(kind) is Sequence for kind in kinds):
        return [float(part) for part in text.split(",")]
    if float in kinds:
        return float(text)
    if str in kinds:
        return text
    raise ValueError(text)


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _in_words(hint: Any) -> str:
    words = {NoneType: "none", bool: "true or false", int: "a whole number", float: "a number"}
    parts: list[str] = []
    for kind in _kinds(hint):
        if kind in words:
            parts.append(words[kind])
        elif get_origin(kind) is Literal:
            parts += [f"'{choice}'" for choice in get_args(kind)]
        elif get_origin(kind) is Sequence:
            parts.append("numbers joined by commas")
    return " or ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
