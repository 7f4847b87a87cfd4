"""Weights as people have them: where their tensors stand in a file, under which names.

A file holds a state dict at its top or below a key (``state_dict_ema``, ``model``, ...), often with
a prefix before every name (``module.``, ``model.backbone.``) and with a classifier or a loss beside
the backbone. Nothing is unpickled but tensors, numbers and text.
"""

from __future__ import annotations

import argparse
import logging
import pathlib
import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import clean_state_dict
from torch import Tensor

from comptool.errors import InputError, quoted
from comptool.models.weights_places import SUFFIXES

_log = logging.getLogger("comptool")

Weights = dict[str, Tensor]
Shapes = Mapping[str, torch.Size]
ORIGINAL = "Ask for the file as .safetensors"
DEEPEST = 4  # keys above the tensors of a file
# Averaged weights, which generalise better, before those of the last step.
AVERAGED = ("ema", "averaged", "swa")
USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "backbone", "weights")
OTHER = ("optim", "sched", "scaler", "loss", "criterion")
# torch's message for a pickle that calls a function.
_FORBIDDEN = re.compile(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)")
_SCALAR: Any = np.float64(0).__reduce__()[0]
# What training programs put beside the tensors, and what is made of plain values alone.
HARMLESS = [
    argparse.Namespace,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    np.dtype,
    *{type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)},
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # files of numpy 1
]


def read_weights(path: Path) -> Weights:
    """The named tensors of a file; of several sets the averaged one, then the usual key.

    Raises
    ------
    InputError
        If there is none, if the file is something else (which is said), if it would run code, or if
        a tensor holds NaN or infinite values.
    """
    if not path.is_file():
        raise InputError("there is no such weights file", file=path)
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(f"is not a weights file; they end in {', '.join(SUFFIXES)}", file=path)
    _refuse_something_else(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(HARMLESS):
            # torch warns its developers of unknown pickles.
            warnings.simplefilter("ignore", UserWarning)
            if path.suffix.lower() == ".safetensors":
                document = load_file(path)
            else:
                document = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        pickle.UnpicklingError,
    ) as error:
        raise _unreadable(path, error) from error
    sets = sorted(_sets(document, ()), key=_preference)
    if not sets:
        other = [] if not isinstance(document, dict) else [str(key) for key in document]
        raise InputError("holds no named tensors", file=path, values=other)
    place, weights = sets[0]
    bad = [name for name, tensor in weights.items() if not _finite(tensor)]
    if bad:
        raise InputError(
            f"{len(bad)} of its {len(weights)} tensors hold NaN or infinite values",
            file=path,
            values=bad,
            mend="Take another checkpoint of that training, from before it diverged",
        )
    if place:
        averaged = " (averaged weights)" if _preference(sets[0])[0] == 0 else ""
        _log.info("%s: taken from its key '%s'%s", path, ".".join(place), averaged)
    return dict(clean_state_dict(weights))


def _refuse_something_else(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(512)
    text = start.lstrip().lower()
    if not start:
        raise InputError("is empty: its download was interrupted", file=path)
    if start.startswith(b"version https://git-lfs"):
        raise InputError(
            "is a pointer of Git LFS, not the weights themselves",
            file=path,
            mend="Run 'git lfs pull' where it was cloned",
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise InputError(
            "is a web page, such as of a login or an error, saved under this name",
            file=path,
            mend="Download the file itself",
        )
    if start.startswith(b"\x1f\x8b"):
        raise InputError("is compressed by gzip", file=path, mend="Unpack it with gunzip")
    if start.startswith(b"PK") and zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
            return
        if any("/code/" in name for name in names):
            raise InputError("is a TorchScript program, which is code", file=path, mend=ORIGINAL)
        if not any(name.endswith("data.pkl") for name in names):
            raise InputError(
                f"is a zip archive that holds {quoted(names[:3])}", file=path, mend="Unpack it"
            )


def _unreadable(path: Path, error: Exception) -> InputError:
    code = _FORBIDDEN.findall(f"{error} {error.__cause__}")
    if code:
        return InputError(
            "holds more than tensors, and loading it would run code from the file; refused",
            file=path,
            values=list(dict.fromkeys(code)),
            mend=ORIGINAL,
        )
    reason = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, pickle.UnpicklingError):
        reason = "not tensors saved by torch.save"
    return InputError(f"cannot be read as weights ({reason[:200]})", file=path)


def _sets(document: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Weights]]:
    """Every mapping of names to tensors in a document, with the keys above it."""
    if not isinstance(document, Mapping) or len(above) > DEEPEST:
        return
    if document and all(isinstance(value, Tensor) for value in document.values()):
        if all(isinstance(key, str) for key in document):
            yield above, dict(document)
        return
    for key, value in document.items():
        if isinstance(key, str) and not key.lower().startswith(OTHER):
            yield from _sets(value, (*above, key))


def _preference(one: tuple[tuple[str, ...], Weights]) -> tuple[int, int]:
    """Averaged sets first, then those below a usual key, then others; the largest of each."""
    place, weights = one
    words = {word for key in place for word in key.lower().split("_")}
    rank = 0 if words.intersection(AVERAGED) else 1 if {*place}.intersection(USUAL) else 2
    return rank, -len(weights)


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def fitted(weights: Weights, expected: Shapes, path: Path, *, beside: set[str]) -> Weights:
    """``weights`` under the names of a backbone, and without what is beside it.

    ``expected`` are names and shapes of the backbone, ``beside`` the names of the classifier that
    it would have. A prefix that all names share is removed; where most names differ, tensors are
    mapped by their order, if shapes and last parts of the names (``weight``, ``running_mean``) are
    the same one by one. What was done is said. Names that still differ are left to the caller.
    """
    prefix = _prefix(weights, expected)
    if prefix:
        left = [name for name in weights if not name.startswith(prefix)]
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in weights.items()
            if name.startswith(prefix)
        }
        more = f"; left out {quoted(left)}" if left else ""
        _log.info("%s: names without their prefix '%s'%s", path, prefix, more)
    weights = {name: tensor for name, tensor in weights.items() if name not in beside}
    if 2 * len(expected.keys() & weights.keys()) < len(expected):
        ordered = _by_order(weights, expected)
        if ordered is not None:
            _log.info("%s: %d tensors mapped by their order and shapes", path, len(ordered))
            return ordered
    # Other modules than the backbone's, such as heads; a layer too many of a known one is not left.
    known = {name.partition(".")[0] for name in expected}
    other = [name for name in weights if name.partition(".")[0] not in known]
    missing = [name for name in expected if name not in weights]
    if other and all(name.endswith("num_batches_tracked") for name in missing):
        _log.info("%s: left out %s", path, quoted(other))
        weights = {name: tensor for name, tensor in weights.items() if name not in other}
    return weights


def _prefix(weights: Weights, expected: Shapes) -> str:
    """The prefix under which most tensors have name and shape of an expected one."""
    votes: Counter[str] = Counter()
    by_last: dict[str, list[str]] = {}
    for name in expected:
        by_last.setdefault(name.rpartition(".")[2], []).append(name)
    for name, tensor in weights.items():
        for wanted in by_last.get(name.rpartition(".")[2], ()):
            front = name.removesuffix(wanted)
            if (front == "" or front[-1:] == ".") and name.endswith(wanted):
                votes[front] += tensor.shape == expected[wanted]
    # Fewer are there by accident: many layers are called conv1 somewhere.
    found = [front for front, count in votes.items() if 2 * count > len(expected)]
    if found:
        return max(found, key=lambda front: (votes[front], -len(front)))
    # Names of an older version, which timm knows: a first part that all share is no layer.
    first = {name.partition(".")[0] for name in weights}
    layers = {name.partition(".")[0] for name in expected}
    return f"{first.pop()}." if len(first) == 1 and not first & layers else ""


def _by_order(weights: Weights, expected: Shapes) -> Weights | None:
    mine = [name for name in expected if not name.endswith("num_batches_tracked")]
    theirs = [name for name in weights if not name.endswith("num_batches_tracked")]
    # What follows a whole backbone is at most a classifier: a weight and a bias.
    if not 0 <= len(theirs) - len(mine) <= 2:
        return None
    pairs = list(zip(mine, theirs, strict=False))
    for own, other in pairs:
        if own.rpartition(".")[2] != other.rpartition(".")[2]:
            return None
        if weights[other].shape != expected[own]:
            return None
    return {own: weights[other] for own, other in pairs}
