"""Registries: tables of named objects, imported only when requested.

A registry is one table in a module without heavy imports; each entry points to its builder with a
``"package.module:function"`` string. Listing, completion and the nearest name in an error therefore
do not import torch.

Users extend every registry without editing the package, in two ways. ``FILE.py:name`` is accepted
wherever a name is. An installed package registers an entry point of the group ``comptool.plugins``
called ``<kind>.<name>``::

    [project.entry-points."comptool.plugins"]
    "loss.mine" = "my_package.losses:Mine"
"""

from __future__ import annotations

import ast
import inspect
import io
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, get_type_hints

from comptool.errors import InputError, UsageError, UserFunctionError, unknown_name

PLUGINS = "comptool.plugins"
SCRIPT = ".py:"


def is_user_object(spec: str) -> bool:
    """Whether the text is ``FILE.py:name`` and not a name of a registry."""
    return SCRIPT in spec


class _Stderr(io.TextIOBase):
    """Stands in for stdout, so that code that closes it closes nothing of ours."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)


class _Redirection:
    """Of stdout to stderr, while any thread runs code of a user."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_inside = 0
        self._stdout: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._num_inside:
                self._stdout, sys.stdout = sys.stdout, _Stderr()
            self._num_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._num_inside -= 1
            if not self._num_inside:
                sys.stdout = self._stdout


_REDIRECTION = _Redirection()


@contextmanager
def users_code(name: str) -> Iterator[None]:
    """Run code of a user: stdout belongs to the command, so what the code prints goes to stderr.

    Raises
    ------
    UserFunctionError
        If the code calls ``sys.exit``, which would end the command as if it had succeeded.
    """
    try:
        with _REDIRECTION:
            yield
    except SystemExit:
        raise UserFunctionError(f"{name} called sys.exit") from None


def load_user_object(spec: str, kind: str) -> Any:
    """The object of a user's file; executes the file, once per process.

    The folder of the file is appended to ``sys.path``, so that the file can import its neighbours.

    Parameters
    ----------
    spec
        ``FILE.py:name``.
    kind
        ``"loss"``, ``"metric"`` and so on, for messages.

    Raises
    ------
    UsageError
        If the text is malformed, the file lacks the name (lists the nearest), or the object is not
        callable.
    InputError
        If the file does not exist or cannot be imported.
    UserFunctionError
        If the file calls ``sys.exit``.
    """
    text, _, name = spec.rpartition(":")
    if not text.endswith(".py") or not name.isidentifier():
        raise UsageError(f"the {kind} '{spec}' has to be FILE.py:name")
    module = _user_module(Path(text), kind)
    if not hasattr(module, name):
        public = [one for one in vars(module) if not one.startswith("_")]
        raise UsageError(f"{text}: {unknown_name(kind, name, public)}")
    found = getattr(module, name)
    if not callable(found):
        raise UsageError(
            f"the {kind} '{spec}' is of the type {type(found).__name__} and cannot be called"
        )
    return found


def _user_module(path: Path, kind: str) -> ModuleType:
    if not path.is_file():
        raise InputError(
            f"this file of a {kind} does not exist", file=path, mend="Give FILE.py:name"
        )
    full = path.resolve()
    # The path is in the name: two files of one name are two modules.
    name = f"comptool user file {full}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, full)
    assert spec is not None  # the suffix is .py
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    if str(full.parent) not in sys.path:
        sys.path.append(str(full.parent))
    try:
        with users_code(str(path)):
            spec.loader.exec_module(module)
    except UserFunctionError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise InputError(
            f"cannot be imported ({type(error).__name__}: {error})", file=path
        ) from error
    return module


@dataclass(frozen=True)
class Entry:
    """One row of a registry; subclasses add the properties of their kind."""

    name: str  # typed by the user
    target: str  # ``"package.module:attribute"`` of the builder
    summary: str  # one line
    source: str  # paper, section or code
    kind: str = field(default="object", kw_only=True)  # for messages
    version: str = field(default="", kw_only=True)  # of the package of a plugin

    @property
    def is_users(self) -> bool:
        """Whether it is an object of a user's file."""
        return is_user_object(self.target)

    def load(self) -> Any:
        """The builder; imports its module. Errors as in :func:`load_user_object`."""
        if self.is_users:
            return load_user_object(self.target, self.kind)
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)

    def options(self) -> dict[str, Any]:
        """Options with their defaults: keyword parameters of the builder that have one.

        Imports the module of the builder.
        """
        parameters = inspect.signature(self.load()).parameters.values()
        named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.kind in named and parameter.default is not parameter.empty
        }

    def option_names(self) -> list[str]:
        """The names of :meth:`options`, parsed from the source without importing it."""
        if self.is_users:
            return list(self.options())  # loaded where it was named
        module, _, attribute = self.target.partition(":")
        spec = find_spec(module)
        tree = ast.parse(Path(str(spec and spec.origin)).read_text(encoding="utf-8"))
        builder = _definition(tree.body, attribute)
        if isinstance(builder, ast.ClassDef):
            builder = _definition(builder.body, "__init__")
        if not isinstance(builder, ast.FunctionDef):
            return list(self.options())  # made or inherited elsewhere
        arguments = builder.args
        positional = [*arguments.posonlyargs, *arguments.args]
        first = len(positional) - len(arguments.defaults)
        with_default = [one.arg for one in positional[first:] if one not in arguments.posonlyargs]
        pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        return [*with_default, *(one.arg for one, default in pairs if default is not None)]

    def types(self) -> dict[str, Any]:
        """The declared type of each of :meth:`options`, or the type of its default."""
        builder = self.load()
        hints = get_type_hints(builder.__init__ if inspect.isclass(builder) else builder)
        return {name: hints.get(name, type(value)) for name, value in self.options().items()}


def _definition(body: list[ast.stmt], name: str) -> ast.stmt | None:
    return next((node for node in body if getattr(node, "name", None) == name), None)


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """An ordered table of entries with distinct names.

    Iteration, ``len`` and ``in`` cover the table alone; :meth:`find` also knows ``FILE.py:name``
    and installed plugins, which have the default properties of an entry.

    Parameters
    ----------
    kind
        Noun for messages and plugins: ``"model"``, ``"loss"``.
    entries
        The rows, in listing order.
    plugins
        Name of the kind for plugins; None: ``kind``.

    Raises
    ------
    ValueError
        If two entries have the same name, or a name has capital letters.
    """

    def __init__(self, kind: str, *entries: E, plugins: str | None = None) -> None:
        self.kind = kind
        self._prefix = f"{(plugins or kind).replace(' ', '-')}."
        self._type: Any = type(entries[0]) if entries else Entry
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
        """All names, in order."""
        return list(self._entries)

    def plugins(self) -> list[E]:
        """The entries of installed packages, without importing them."""
        from importlib.metadata import entry_points

        prefix = self._prefix
        found = sorted(entry_points(group=PLUGINS), key=lambda point: point.name)
        return [
            self._entry(
                point.name.removeprefix(prefix),
                point.value.partition("[")[0].strip(),
                f"From the package {point.dist.name}." if point.dist else "From a package.",
                point.dist.version if point.dist else "",
            )
            for point in found
            if point.name.startswith(prefix)
        ]

    def _entry(self, name: str, target: str, summary: str, version: str = "") -> E:
        made: E = self._type(name, target, summary, target, kind=self.kind, version=version)
        return made

    def find(self, name: str) -> E:
        """The entry, plugin or user's object (not yet loaded) of that name.

        Raises
        ------
        UsageError
            If there is none; lists the three nearest.
        """
        if name in self._entries:
            return self._entries[name]
        if is_user_object(name):
            return self._entry(name, name, "From a file.")
        plugins = {entry.name: entry for entry in self.plugins()}
        if name not in plugins:
            raise unknown_name(self.kind, name, [*self._entries, *plugins])
        return plugins[name]

    def load(self, name: str) -> Any:
        """The builder of that name; imports its module."""
        return self.find(name).load()


def refuse_unknown_options(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise a UsageError for a given option that ``owner`` lacks, listing its options.

    >>> refuse_unknown_options("the loss 'ce'", ["gamma"], ["smoothing"])
    Traceback (most recent call last):
    comptool.errors.UsageError: the loss 'ce' takes no 'gamma'; it takes 'smoothing'
    """
    takes = ", ".join(f"'{name}'" for name in known) or "no options"
    for name in given:
        if name not in known:
            raise UsageError(f"{owner} takes no '{name}'; it takes {takes}")
