"""A backbone's weights from a local file, all of them, without running code from it."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.models import load_pretrained, load_state_dict
from torch import Tensor, nn

from comptool.errors import InputError, quoted

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
Weights = dict[str, Tensor]
# What torch says of a pickle that asks for a function.
_FORBIDDEN = re.compile(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)")


def load_weights(encoder: Any, path: Path, name: str) -> None:
    """Copy a file's weights into a timm backbone that was created without a classifier.

    Written here because timm only logs what does not fit, and leaves those weights random.

    Parameters
    ----------
    encoder
        The backbone; its first layer may have other channels than the file's.
    path
        ``.safetensors``, or ``.pth``, ``.pt`` or ``.bin`` of tensors only; the classifier of the
        backbone, if it is in there, is left out.
    name
        timm's name of the backbone.

    Raises
    ------
    InputError
        If the file is missing, unreadable, holds more than tensors, or a weight is missing, left
        over or of another shape; names up to three of each.
    """
    weights = read_backbone(path)
    for key in _classifier_keys(name, encoder):
        weights.pop(key, None)
    cfg = {**encoder.pretrained_cfg, "state_dict": weights}
    # Without a classifier on either side timm has nothing to drop, and stays strict.
    cfg |= {"num_classes": 0, "label_offset": 0}
    try:
        load_pretrained(
            encoder, cfg, num_classes=0, in_chans=encoder.in_chans, filter_fn=_checked(path, name)
        )
    except (RuntimeError, LookupError, ValueError, AttributeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise _mismatch(path, name, (lines[1:] or lines)[0].strip()) from error


def load_exactly(module: nn.Module, weights: Weights, path: Path, name: str) -> None:
    """Copy weights into a module that has just these.

    Parameters
    ----------
    module
        A network without classifier.
    weights
        By their names in the module; counters of batches may be missing.
    path, name
        What to call the file and the network in a message.

    Raises
    ------
    InputError
        If a weight is missing, left over or of another shape; names up to three.
    """
    expected = module.state_dict()
    _refuse_other_keys(weights, set(expected), path, name)
    wrong = sorted(key for key in weights if weights[key].shape != expected[key].shape)
    if wrong:
        raise _mismatch(path, name, f"of another shape are {quoted(wrong)}")
    module.load_state_dict(weights, strict=False)


def read_backbone(path: Path) -> Weights:
    """As :func:`read_weights`, but refuses a checkpoint of comptool, which is no backbone's."""
    weights = read_weights(path)
    if any(key.startswith("encoders.") for key in weights):
        raise InputError(
            "is a checkpoint of comptool, not of a backbone", file=path, mend="Use --init-from"
        )
    return weights


def read_weights(path: Path) -> Weights:
    """The tensors of a file by name, of the averaged weights where a training checkpoint has them.

    Raises
    ------
    InputError
        As :func:`load_weights`.
    """
    if not path.is_file():
        raise InputError("no such file of weights", file=path)
    if path.suffix not in SUFFIXES:
        raise InputError(f"is no file of weights; they end in {', '.join(SUFFIXES)}", file=path)
    try:
        with warnings.catch_warnings():
            # torch tells its own developers which pickles it has not seen before.
            warnings.simplefilter("ignore", UserWarning)
            found = load_state_dict(str(path), weights_only=True)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError) as error:
        raise _unreadable(path, error) from error
    except (AttributeError, TypeError) as error:
        raise InputError("holds no named tensors", file=path) from error
    other = [key for key, value in found.items() if not isinstance(value, Tensor)]
    if other or not found:
        raise InputError("holds no named tensors", file=path, values=other)
    return dict(found)


def _unreadable(path: Path, error: Exception) -> InputError:
    code = _FORBIDDEN.findall(str(error.__cause__))
    if code:
        return InputError(
            "holds more than tensors, and loading it would run code from the file; refused",
            file=path,
            values=code,
            mend="Ask for the file as .safetensors",
        )
    reason = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error.__cause__, pickle.UnpicklingError):
        reason = "not what torch.save writes of tensors"
    return InputError(f"cannot be read as weights ({reason[:200]})", file=path)


def _classifier_keys(name: str, encoder: Any) -> set[str]:
    with torch.device("meta"):
        complete = timm.create_model(name)
    return set(complete.state_dict()) - set(encoder.state_dict())


def _checked(path: Path, name: str) -> Callable[[Weights, Any], Weights]:
    def convert(weights: Weights, encoder: Any) -> Weights:
        # timm's convention: the file of an architecture whose weights need it has this function.
        module = import_module(type(encoder).__module__)
        older = getattr(module, "checkpoint_filter_fn", None)
        converted: Weights = older(weights, encoder) if older else weights
        _refuse_other_keys(converted, set(encoder.state_dict()), path, name)
        return converted

    return convert


def _refuse_other_keys(weights: Weights, expected: set[str], path: Path, name: str) -> None:
    # torch itself fills in a counter that older files lack.
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing, left_over = sorted(expected - weights.keys() - counters), weights.keys() - expected
    complaints = [f"it lacks {quoted(missing)}"] if missing else []
    complaints += [f"it has {quoted(sorted(left_over))} too many"] if left_over else []
    if complaints:
        raise _mismatch(path, name, "; ".join(complaints))


def _mismatch(path: Path, name: str, complaint: str) -> InputError:
    return InputError(f"does not fit the backbone '{name}': {complaint}", file=path)
