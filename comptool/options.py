"""Options of the commands, each declared once, as a field of the dataclass of a command.

The command line, the range checks, the recorded arguments and ``--help`` are derived from the
fields; ``commands/options.py`` makes the parameters of a command. Standard library only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from comptool.errors import UsageError, unknown_name

BASIC, ADVANCED, GENERAL = "Options", "Advanced", "General"

# Default places of the chain's files.
FOLDS = Path("folds.csv")
PSEUDO = Path("pseudo.csv")
EMBEDDINGS = Path("embeddings.npy")
SUBMISSIONS = Path("submissions")
PREDS = SUBMISSIONS / "preds.csv"
PREDS_TTA = SUBMISSIONS / "preds_tta.csv"
ENSEMBLE = SUBMISSIONS / "ensemble.csv"
PROBE = SUBMISSIONS / "probe.csv"
RECALIBRATED = SUBMISSIONS / "recalibrated.csv"
FINDINGS = Path("findings.csv")
SHIFT = Path("shift.csv")
REVIEW = Path("review.csv")

Config = TypeVar("Config")
_OPTION, _FILLED = "option", "filled"
TYPED, REST = "typed", "rest"


@dataclass(frozen=True)
class Option:
    """Properties of an option beyond the type and default of its field."""

    help: str
    names: tuple[str, ...] = ()  # as typed; empty: the field name in kebab-case
    min: float | None = None  # bounds: inclusive (min, max) or exclusive (above, below)
    max: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()  # allowed words; a ``Literal`` field has its own
    kind: str = ""  # noun for an unknown word, for choices too many for ``--help``
    panel: str = BASIC  # heading in ``--help``
    shown: str | None = None  # the default in words, if None depends on something
    metavar: str | None = None  # placeholder of the value
    parse: Callable[[str], Any] | None = None  # from text to value; raises ValueError
    positional: bool = False  # an argument, typed without a name

    @property
    def range(self) -> str:
        """The range as a condition, ``0<=x<1``, or empty."""
        low = self._bound(self.min, "<=") or self._bound(self.above, "<")
        high = self._bound(self.max, "<=") or self._bound(self.below, "<")
        if low and high:
            return f"{low[1]:g}{low[0]}x{high[0]}{high[1]:g}"
        if low:
            return f"x{low[0].replace('<', '>')}{low[1]:g}"
        return f"x{high[0]}{high[1]:g}" if high else ""

    @property
    def range_in_words(self) -> str:
        """The range in words, such as "0 or more and below 1", or empty."""
        low = "" if self.min is None else f"{self.min:g} or more"
        low = low if self.above is None else f"above {self.above:g}"
        high = "" if self.max is None else f"at most {self.max:g}"
        high = high if self.below is None else f"below {self.below:g}"
        return " and ".join(filter(None, (low, high)))

    def allows(self, value: float) -> bool:
        """Whether a number is within the range and finite."""
        if not self.range:
            return True
        return (
            math.isfinite(value)
            and (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    @staticmethod
    def _bound(value: float | None, sign: str) -> tuple[str, float] | None:
        return None if value is None else (sign, value)


def option(
    default: Any = None,
    *,
    help: str,
    names: Sequence[str] = (),
    min: float | None = None,
    max: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[str] = (),
    kind: str = "",
    panel: str = BASIC,
    shown: str | None = None,
    metavar: str | None = None,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A field that is an option; parameters as in :class:`Option`."""
    made = Option(
        help, tuple(names), min, max, above, below, tuple(choices), kind, panel, shown, metavar,
        parse,
    )  # fmt: skip
    return field(default=default, metadata={_OPTION: made})


def required_option(*, help: str, names: Sequence[str] = ()) -> Any:
    """A field that is an option without a default."""
    return field(metadata={_OPTION: Option(help, tuple(names))}, kw_only=True)


def argument(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    metavar: str | None = None,
    shown: str | None = None,
) -> Any:
    """A field that is an argument; required without a default."""
    made = Option(help, metavar=metavar, shown=shown, positional=True)
    if default is dataclasses.MISSING:
        return field(metadata={_OPTION: made}, kw_only=True)
    return field(default=default, metadata={_OPTION: made})


def filled(what: Literal["typed", "rest"]) -> Any:
    """A field that is not an option: the ``typed`` fields, or the unknown words (``rest``)."""
    return field(default=(), repr=False, compare=False, metadata={_FILLED: what})


def options_of(kind: type) -> Iterator[tuple[dataclasses.Field[Any], Option]]:
    """The fields of a dataclass that are options, in order."""
    for one in dataclasses.fields(kind):
        if _OPTION in one.metadata:
            yield one, one.metadata[_OPTION]


def filled_by(kind: type) -> dict[str, str]:
    """The :func:`filled` fields, with ``typed`` or ``rest``."""
    found = dataclasses.fields(kind)
    return {one.name: one.metadata[_FILLED] for one in found if _FILLED in one.metadata}


def typed_name(kind: type, name: str) -> str:
    """A field as it is typed.

    >>> typed_name(Output, "dry_run")
    '--dry-run'
    """
    for one, declared in options_of(kind):
        if one.name == name and declared.names:
            return declared.names[0].partition("/")[0]
    return kebab(name)


def kebab(name: str) -> str:
    """The name of a field as an option, ``--grad-accum``."""
    return "--" + name.replace("_", "-")


def check(config: Any) -> None:
    """Check the ranges and choices of all options; raises a UsageError with the allowed values."""
    kind = type(config)
    allowed = _choices(kind)  # type: ignore[arg-type]  # a class is hashable
    for one, declared in options_of(kind):
        value = getattr(config, one.name)
        if isinstance(value, int | float) and not declared.allows(value):
            raise UsageError(
                f"{typed_name(kind, one.name)} is {value}; it has to be {declared.range_in_words}"
            )
        words = allowed.get(one.name)
        if words is None or value is None:
            continue
        for word in (value,) if isinstance(value, str) else value:
            if word not in words:
                raise unknown_name(
                    declared.kind or f"value of {typed_name(kind, one.name)}", word, words
                )


def arguments(config: Any) -> dict[str, Any]:
    """The values of the options for the record, by typed name; a list that is not given is None."""
    kind = type(config)
    values = {one.name: getattr(config, one.name) for one, _ in options_of(kind)}
    return {
        typed_name(kind, name).lstrip("-").replace("-", "_"): None if value == () else value
        for name, value in values.items()
    }


@dataclass(frozen=True)
class Invocation:
    """A running command and its options, without defaults and those of `GENERAL`, as JSON values.

    Options are keyed as typed (``--epochs``), arguments by the name of their field. The result of
    the command ``is_file`` if it has an ``--output``, and not a text that is to be printed again.
    """

    command: str
    options: dict[str, Any]
    is_file: bool = True


_running: ContextVar[Invocation | None] = ContextVar("_running", default=None)


def running() -> Invocation | None:
    """The running command; None where Python calls the library."""
    return _running.get()


@contextmanager
def run_as(command: str, config: Any) -> Iterator[None]:
    """Let outputs of a block be known as those of a command with the options ``config``."""
    kind = type(config)
    options = {}
    for one, declared in options_of(kind):
        value = getattr(config, one.name)
        if declared.panel == GENERAL or value == one.default:
            continue
        name = one.name if declared.positional else typed_name(kind, one.name)
        if value is False:
            off = declared.names[0].partition("/")[2] if declared.names else ""
            name, value = off or name.replace("--", "--no-", 1), True
        options[name] = _json_value(value)
    token = _running.set(Invocation(command, options, hasattr(config, "output")))
    try:
        yield
    finally:
        _running.reset(token)


def _json_value(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_json_value(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def to_json(config: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON values: paths are text, tuples lists."""
    return {one.name: _plain(getattr(config, one.name)) for one in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _choices(kind: Any) -> dict[str, tuple[str, ...]]:
    """The allowed words by field."""
    hints = _hints(kind)
    found = {}
    for one, declared in options_of(kind):
        hint = hints[one.name]
        literals = [
            part for part in (hint, *get_args(hint)) if getattr(part, "__origin__", None) is Literal
        ]
        if declared.choices:
            found[one.name] = declared.choices
        elif literals:
            found[one.name] = get_args(literals[0])
    return found


@dataclass(frozen=True)
class WithQuiet:
    """A command that reports on stderr."""

    quiet: bool = option(
        False, help="Print errors and the result only.", names=("--quiet", "-q"), panel=GENERAL
    )


@dataclass(frozen=True)
class WithJson:
    """A command with a result on stdout."""

    json: bool = option(False, help="Print the result as one JSON object.", panel=GENERAL)


@dataclass(frozen=True)
class WithDryRun(WithJson, WithQuiet):
    """A command with a dry run."""

    dry_run: bool = option(
        False, help="Show what would be read and written; write nothing.", panel=GENERAL
    )


@dataclass(frozen=True)
class Output(WithDryRun):
    """A command that writes files."""

    force: bool = option(False, help="Replace existing outputs.", panel=GENERAL)


@dataclass(frozen=True)
class WithCompetition:
    """A command that reads the competition's description."""

    competition: Path | None = option(
        help="Description of the competition.",
        shown="comptool.toml, otherwise detected",
        panel=ADVANCED,
    )


@dataclass(frozen=True)
class WithMaxPixels:
    """A command that decodes images, up to a size; see `comptool.limits`."""

    max_pixels: int | None = option(
        help="Pixels of the largest image that is decoded, against damaged files.",
        min=1,
        shown="COMPTOOL_MAX_PIXELS, otherwise 536870912",
        panel=ADVANCED,
    )


@dataclass(frozen=True)
class WithReader(WithMaxPixels):
    """A command that decodes images, by a reader that may be the user's."""

    reader: str | None = option(
        help="Reader of the image files: FILE.py:function, or a name.",
        shown="the competition's, otherwise by suffix",
        panel=ADVANCED,
    )


@dataclass(frozen=True)
class WithSeed:
    """A command with random choices."""

    seed: int = option(0, help="Random seed.", min=0, panel=ADVANCED)


@dataclass(frozen=True)
class WithDevice:
    """A command with a forward pass."""

    device: str = option("auto", help="Device: auto, cpu, cuda or cuda:N.", panel=ADVANCED)


def part(config: Any, kind: type[Config]) -> Config:
    """The fields of one base class of a config, as that class."""
    return kind(**{one.name: getattr(config, one.name) for one in dataclasses.fields(kind)})  # type: ignore[arg-type]
