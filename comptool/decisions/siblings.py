"""The folded sibling of a run on all rows: the same training, but for which rows it held out.

A run on all rows (``train --fold none``) has no out-of-fold rows of its own. It was trained as its
folded sibling was, on a few more rows, so that the sibling's rows tell what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comptool.errors import ComptoolError, InputError
from comptool.runs import BEST, members, read_header

# Settings that say which rows a training held out, how long it was and where it ran, and no more.
# Without a validation nothing can stop a training early, so that its epochs are given.
BESIDE = frozenset({"fold", "seed", "epochs", "patience", "device", "workers", "amp", "compile"})
NEARER = ("seed", "epochs")
ALIKE = ("task", "classes", "modalities", "img_size", "init_from", "dropped")


def folded_sibling(run: Path) -> Path | None:
    """The folded run that differs from a run on all rows in its folds, seed and epochs alone.

    Parameters
    ----------
    run
        Folder of a run that held no rows out.

    Returns
    -------
    Path or None
        The sibling beside it; of several, the one with its seed and epochs.

    Raises
    ------
    InputError
        If there are several and none is nearer than the others; names them.
    """
    own = _header(run)
    if own is None or _settings(own).get("fold") != "none":
        return None
    headers = {other: _header(other) for other in sorted(run.parent.iterdir()) if other != run}
    found = {other: header for other, header in headers.items() if header and _alike(own, header)}
    wanted = {name: _settings(own).get(name) for name in NEARER}
    nearest = [o for o, header in found.items() if wanted.items() <= _settings(header).items()]
    candidates = nearest or list(found)
    if len(candidates) > 1:
        raise InputError(
            "held no rows out, and several runs are its folded siblings",
            file=run,
            values=[str(one) for one in candidates],
            mend="Name a run for each prediction file: --oof RUN",
        )
    return candidates[0] if candidates else None


def _header(run: Path) -> Mapping[str, Any] | None:
    """The header of a run, of its first member if it is folded; None of what is no whole run."""
    try:
        return read_header(members(run)[0]) if run.is_dir() else None
    except ComptoolError:
        return None


def _settings(header: Mapping[str, Any]) -> dict[str, Any]:
    return header.get("arguments") or {}


def _alike(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    one, two = _settings(own), _settings(other)
    return (
        two.get("fold") == "all"
        and all(one.get(name) == two.get(name) for name in (one.keys() | two.keys()) - BESIDE)
        and all(own.get(key) == other.get(key) for key in ALIKE)
        and _tables(own) == _tables(other)
    )


def _tables(header: Mapping[str, Any]) -> dict[str, Any]:
    inputs = header.get("inputs") or {}
    return {name: digest for name, digest in inputs.items() if Path(name).name != BEST}
