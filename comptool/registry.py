"""Tables of things that have a name, loaded only when one is asked for.

A registry is written out as one table in a file that imports nothing heavy; each entry points
to its builder with a ``"package.module:function"`` string. Listing, completion and the nearest
name in an error therefore cost no import of torch.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from comptool.errors import UsageError, unknown_name


@dataclass(frozen=True)
class Entry:
    """One row of a registry.

    Parameters
    ----------
    name
        What the user types.
    target
        ``"package.module:attribute"`` of the builder.
    summary
        One line for ``comptool models`` and its kin.
    source
        Paper, section or code where the thing is defined.
    """

    name: str
    target: str
    summary: str
    source: str

    def load(self) -> Any:
        """The builder itself; imports its module."""
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)

    def options(self) -> dict[str, Any]:
        """What a user may set: the builder's keyword-only parameters that have a default.

        Maps each name to its default; imports the builder's module.
        """
        parameters = inspect.signature(self.load()).parameters.values()
        return {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
        }

    def option_names(self) -> list[str]:
        """The names of :meth:`options`, from the source of the builder, which is not imported."""
        module, _, attribute = self.target.partition(":")
        spec = find_spec(module)
        tree = ast.parse(Path(str(spec and spec.origin)).read_text(encoding="utf-8"))
        builder = _definition(tree.body, attribute)
        if isinstance(builder, ast.ClassDef):
            builder = _definition(builder.body, "__init__")
        if not isinstance(builder, ast.FunctionDef):
            return list(self.options())  # made or inherited elsewhere
        pairs = zip(builder.args.kwonlyargs, builder.args.kw_defaults, strict=True)
        return [argument.arg for argument, default in pairs if default is not None]

    def types(self) -> dict[str, Any]:
        """The type that the builder declares of each of :meth:`options`."""
        builder = self.load()
        hints = get_type_hints(builder.__init__ if inspect.isclass(builder) else builder)
        return {name: hints[name] for name in self.options()}


def _definition(body: list[ast.stmt], name: str) -> ast.stmt | None:
    return next((node for node in body if getattr(node, "name", None) == name), None)


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """An ordered table of entries with distinct names.

    Parameters
    ----------
    kind
        What the entries are, for messages: ``"model"``, ``"loss"``.
    entries
        The rows, in the order in which they are listed.

    Raises
    ------
    ValueError
        If two entries have one name; upper and lower case are one.
    """

    def __init__(self, kind: str, *entries: E) -> None:
        self.kind = kind
        self._entries: dict[str, E] = {}
        for entry in entries:
            if entry.name != entry.name.lower():
                raise ValueError(f"{kind} name {entry.name!r} has capital letters")
            if entry.name in self._entries:
                raise ValueError(f"two {kind} entries are called {entry.name!r}")
            self._entries[entry.name] = entry

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> list[str]:
        """Every name, in the table's order."""
        return list(self._entries)

    def find(self, name: str) -> E:
        """The entry of that name.

        Raises
        ------
        UsageError
            If there is none; names the three nearest.
        """
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def load(self, name: str) -> Any:
        """The builder of that name; imports its module."""
        return self.find(name).load()


def refuse_unknown_options(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise a UsageError for a given option that ``owner`` does not take, naming those it takes.

    Examples
    --------
    >>> refuse_unknown_options("the loss 'ce'", ["gamma"], ["smoothing"])
    Traceback (most recent call last):
    comptool.errors.UsageError: the loss 'ce' takes no 'gamma'; it takes 'smoothing'
    """
    takes = ", ".join(f"'{name}'" for name in known) or "no options"
    for name in given:
        if name not in known:
            raise UsageError(f"{owner} takes no '{name}'; it takes {takes}")
