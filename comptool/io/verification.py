"""Records of files as they are read: a record counts only with the bytes that it was written for.

A record ``X.meta.json`` has the SHA-256 and the size of ``X``, a finished or running run those of
its files in ``run.json``. Files and records appear one after the other: a process that is killed in
between leaves the record of one file beside another.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from comptool import __version__
from comptool.errors import InputError
from comptool.io.digests import sha256
from comptool.io.records import parse
from comptool.io.seals import read_sealed
from comptool.options import running

MEND = "Delete it, or make the file again"
RUN_JSON = "run.json"
DIGESTS = "digests"  # the key in ``run.json``
# Commands whose tables people edit, as well as the weights in .json of the others.
EDITABLE = ("split", "pseudolabel", "submit", "inspect", "review", "prior")
# Seconds by which the clock of a file server may be ahead of that of its client.
CLOCKS_DIFFER = 60

_log = logging.getLogger("comptool")


class ChangedError(InputError):
    """A file that is not the one of its record."""


@dataclass(frozen=True)
class Provenance:
    """The record of a file."""

    # the subcommand that made it, and its arguments as JSON values
    command: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    # SHA-256 of each input by its path as given; None for a folder
    inputs: dict[str, str | None] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    time: str = ""
    # facts for later commands, see `facts`
    facts: dict[str, Any] = field(default_factory=dict)
    # of the file, in bytes; None for a folder, and in records of older versions
    sha256: str | None = None
    size: int | None = None
    # the command line: values other than the defaults, by typed name
    options: dict[str, Any] | None = None


def meta_path(output: Path) -> Path:
    """Path of the record of ``output``."""
    return output.with_name(output.name + ".meta.json")


def recall(output: Path) -> Provenance | None:
    """The record of ``output``, or None if it has none.

    A record of an older version, without a digest, is not compared with the file. A table for
    people to edit that was changed after its record is used, with a warning.

    Raises
    ------
    ChangedError
        If ``output`` is not the file that its record, or the ``run.json`` beside it, was written
        for; names the command to run again.
    InputError
        If the record is not readable.
    """
    made = read(output)
    if made is not None and not is_recorded(output, made):
        _report(output, made)
    _check_run(output)
    return made


def is_verified(output: Path) -> bool:
    """Whether ``output`` has the bytes that comptool wrote, which not every record can say.

    Raises the errors of `recall`.
    """
    made = recall(output)
    return made is not None and made.sha256 is not None and is_recorded(output, made)


def read(output: Path) -> Provenance | None:
    """The record of ``output``, whatever its file holds by now."""
    path = meta_path(output)
    if not path.exists():
        return None
    return parse(Provenance, read_sealed(path, mend=MEND), path, mend=MEND)


def is_recorded(output: Path, made: Provenance) -> bool:
    """Whether the bytes of ``output`` are the recorded ones, as far as there are both."""
    return _has(output, made.sha256, made.size)


def _has(path: Path, digest: str | None, size: int | None = None) -> bool:
    if digest is None or not path.is_file():
        return True
    if size is not None and path.stat().st_size != size:
        return False
    # A damaged cache of digests is no reason to refuse a file.
    return sha256(path) == digest or sha256(path, anew=True) == digest


def _report(output: Path, made: Provenance) -> None:
    path = meta_path(output)
    is_newer = output.stat().st_mtime_ns >= path.stat().st_mtime_ns or _is_copied(path, made)
    if is_newer and (made.command in EDITABLE or output.suffix == ".json"):
        _log.warning(
            "%s was changed after `comptool %s` wrote it; it is used as it is, with what %s says",
            output, made.command, path.name,
        )  # fmt: skip
        return
    why = "it was changed or damaged" if is_newer else "the writing was interrupted"
    raise ChangedError(
        f"is not the file that {path.name} was written for: {why}",
        file=output,
        mend=f"Make it again: {command_line(made.command, made.options or {}, force=True)}; or "
        f"delete {path} to use it without its record",
    )


def _is_copied(path: Path, made: Provenance) -> bool:
    """Whether a record is younger than its content: its time then tells nothing of its file's.

    As after `git clone` or `cp -r`, which write the files of a folder in any order.
    """
    try:
        written = datetime.fromisoformat(made.time).timestamp()
    except ValueError:
        return False
    return path.stat().st_mtime - written > CLOCKS_DIFFER


def _check_run(output: Path) -> None:
    """Raise a ChangedError if ``run.json`` names another file of this name, or of its folds."""
    digests = run_digests(output.parent)
    if output.name not in digests or not output.is_file():
        return
    folds = {name: digest for name, digest in digests.items() if "/" in name}
    is_own = _has(output, digests[output.name])
    if is_own and all(_names(output.parent / name, digest) for name, digest in folds.items()):
        return
    run = output.parent.parent if output.parent.name.startswith("fold-") else output.parent
    raise ChangedError(
        f"does not belong to {output.with_name(RUN_JSON)}: the training was interrupted while "
        "writing, or a file was changed or damaged",
        file=output,
        mend=f"Go on with it: comptool train --run-name {shlex.quote(run.name)} --resume; if that "
        "changes nothing, train again with --force",
    )


def _names(path: Path, digest: str) -> bool:
    """Whether the ``run.json`` beside a file of a fold, if there is one, has its digest."""
    return run_digests(path.parent).get(path.name, digest) == digest


def run_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a run by name; empty if its ``run.json`` has none."""
    try:
        document = read_sealed(folder / RUN_JSON)
    except InputError:
        return {}
    found = document.get(DIGESTS) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        return {}
    return {name: digest for name, digest in found.items() if isinstance(digest, str)}


def is_consistent(run: Path) -> bool:
    """Whether a run has all files that its ``run.json`` names."""
    digests = run_digests(run)
    return all((run / name).is_file() and _has(run / name, digests[name]) for name in digests)


def command_line(command: str, options: Mapping[str, Any], *, force: bool = False) -> str:
    """A command as it is typed.

    >>> command_line("infer", {"runs": ["a"], "--output": "b c.csv", "--tta": True}, force=True)
    "comptool infer a --output 'b c.csv' --tta --force"
    """
    words = ["comptool", command, *_words(options)]
    if force and not (command == "train" and "--resume" in options):
        words.append("--force")
    return shlex.join(words)


def _words(options: Mapping[str, Any]) -> list[str]:
    words = []
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            is_option = name.startswith("--")
            words += [name] if is_option else []
            words += [] if is_option and one is True else [str(one)]
    return words


def difference(output: Path) -> str | None:
    """What tells ``output`` from the output of the running command; None if nothing is known to.

    A clause for a message, or empty where the record does not say.
    """
    now = running()
    try:
        made = read(output)
    except InputError:
        return ""
    if (
        now is None
        or not now.is_file
        or made is None
        or made.sha256 is None
        or made.options is None
    ):
        return ""
    if not is_recorded(output, made):
        return ", and was changed since comptool wrote it"
    change = options_changed(made.command, made.options)
    if change:
        return change
    version = made.versions.get("comptool")
    return None if version == __version__ else f", made by comptool {version}"


def options_changed(command: str, options: Mapping[str, Any]) -> str:
    """What tells a recorded command line from the running one, as a clause; empty if nothing."""
    now = running()
    if now is None or (command == now.command and dict(options) == now.options):
        return ""
    made = command_line(command, options)
    if command != now.command:
        return f", made by `{made}`"
    other = {name: value for name, value in now.options.items() if options.get(name) != value}
    words = shlex.join(_words(other))
    gone = [name for name in options if name not in now.options]
    parts = [f"`{words}`"] if words else []
    parts += [f"without {', '.join(gone)}"] if gone else []
    return f", made by `{made}`, now {' and '.join(parts)}"
