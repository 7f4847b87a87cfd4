"""Pretrained weights: downloaded, cached or read from a file, and adapted to the model.

timm and huggingface_hub retry for 46 s without a network (huggingface_hub 2.4: two file names, six
attempts each) and query the hub for files that are cached; `published_file` fails within seconds.
"""

from __future__ import annotations

import functools
import pickle
import re
import sys
import threading
import urllib.request
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError
from safetensors import SafetensorError
from timm.models import load_pretrained, load_state_dict
from torch import Tensor, hub, nn

from comptool import models
from comptool.errors import InputError, quoted
from comptool.io import provenance
from comptool.models.streams import StreamModel

PROBE_SECONDS = 4.0
FILE_NAMES = ("model.safetensors", "pytorch_model.bin")
_DIGEST_IN_NAME = re.compile(r"-([a-f0-9]{8,})\.")
MEND = "Give a local file with --pretrained PATH, or start from random weights with --pretrained no"


class WeightsUnavailableError(InputError):
    """Published weights that are neither cached nor reachable."""


def published_file(
    source: str,
    repository: str | None,
    file_name: str | None,
    url: str | tuple[str, str] | None,
) -> Path:
    """The local file of published weights.

    ``source`` names them in messages; ``url`` is for weights outside the hub, optionally with the
    name to cache them by. Raises `WeightsUnavailableError`, within seconds without a network.
    """
    candidates = (file_name,) if file_name else FILE_NAMES
    try:
        if repository:
            return _cached(repository, candidates) or _from_hub(repository, candidates)
        return _from_url(url or "")
    except Exception as error:
        # Five libraries raise their own errors here.
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise WeightsUnavailableError(
            f"the published weights {source} are not available ({reason})", mend=MEND
        ) from error


def _cached(repository: str, candidates: tuple[str, ...]) -> Path | None:
    for name in candidates:
        cached = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    return None


def _from_hub(repository: str, candidates: tuple[str, ...]) -> Path:
    for name in candidates:
        address = huggingface_hub.hf_hub_url(repository, name)
        # Unlike the download, this request is not retried.
        ask = functools.partial(
            huggingface_hub.get_hf_file_metadata, address, timeout=PROBE_SECONDS
        )
        try:
            _within(PROBE_SECONDS, ask)
        except EntryNotFoundError:
            continue
        return Path(huggingface_hub.hf_hub_download(repository, name))
    raise FileNotFoundError(f"{repository} has none of {', '.join(candidates)}")


def _from_url(url: str | tuple[str, str]) -> Path:
    address, name = (url, url.rsplit("/", 1)[-1]) if isinstance(url, str) else url
    cached = Path(hub.get_dir()) / "checkpoints" / name
    if not cached.exists():
        _within(PROBE_SECONDS, functools.partial(_probe, address))
        cached.parent.mkdir(parents=True, exist_ok=True)
        digest = _DIGEST_IN_NAME.search(name)
        hub.download_url_to_file(
            address, str(cached), digest and digest[1], progress=sys.stderr.isatty()
        )
    return cached


def _probe(address: str) -> None:
    request = urllib.request.Request(address, method="HEAD")
    with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
        return


def _within(seconds: float, ask: Callable[[], object]) -> None:
    # In a thread, because the lookup of a host name has no time limit.
    outcome: list[Exception | None] = []

    def run() -> None:
        try:
            ask()
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:g} s")
    if outcome[0] is not None:
        raise outcome[0]


SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
Weights = dict[str, Tensor]
# torch's message for a pickle that calls a function.
_FORBIDDEN = re.compile(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)")


def load_weights(encoder: Any, path: Path, name: str) -> None:
    """Copy the weights of a file into a timm backbone without classifier.

    A classifier in the file is ignored; the first layer may have other channels. timm only logs
    weights that do not fit and leaves them random; here they raise an `InputError`.
    """
    weights = read_backbone(path)
    for key in _classifier_keys(name, encoder):
        weights.pop(key, None)
    cfg = {**encoder.pretrained_cfg, "state_dict": weights}
    # Without a classifier on either side timm drops nothing and loads strictly.
    cfg |= {"num_classes": 0, "label_offset": 0}
    try:
        load_pretrained(
            encoder, cfg, num_classes=0, in_chans=encoder.in_chans, filter_fn=_checked(path, name)
        )
    except (RuntimeError, LookupError, ValueError, AttributeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise _mismatch(path, name, (lines[1:] or lines)[0].strip()) from error


def load_exactly(module: nn.Module, weights: Weights, path: Path, name: str) -> None:
    """Copy weights into a module with the same keys; raise an `InputError` otherwise.

    Batch counters of BatchNorm may be missing. ``path`` and ``name`` are for messages.
    """
    expected = module.state_dict()
    _refuse_other_keys(weights, set(expected), path, name)
    wrong = sorted(key for key in weights if weights[key].shape != expected[key].shape)
    if wrong:
        raise _mismatch(path, name, f"of another shape: {quoted(wrong)}")
    module.load_state_dict(weights, strict=False)


def read_backbone(path: Path) -> Weights:
    """`read_weights`, but refuse a checkpoint of comptool."""
    weights = read_weights(path)
    if any(key.startswith("encoders.") for key in weights):
        raise InputError(
            "is a checkpoint of comptool, not of a backbone", file=path, mend="Use --init-from"
        )
    return weights


def read_weights(path: Path) -> Weights:
    """The tensors of a file by name; the averaged weights if a training checkpoint has them."""
    if not path.is_file():
        raise InputError("there is no such weights file", file=path)
    if path.suffix not in SUFFIXES:
        raise InputError(f"is not a weights file; they end in {', '.join(SUFFIXES)}", file=path)
    try:
        with warnings.catch_warnings():
            # torch warns its developers of unknown pickles.
            warnings.simplefilter("ignore", UserWarning)
            weights = load_state_dict(str(path), weights_only=True)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError) as error:
        raise _unreadable(path, error) from error
    except (AttributeError, TypeError) as error:
        raise InputError("holds no named tensors", file=path) from error
    other = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if other or not weights:
        raise InputError("holds no named tensors", file=path, values=other)
    return dict(weights)


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
        reason = "not tensors saved by torch.save"
    return InputError(f"cannot be read as weights ({reason[:200]})", file=path)


def _classifier_keys(name: str, encoder: Any) -> set[str]:
    with torch.device("meta"):
        complete = timm.create_model(name)
    return set(complete.state_dict()) - set(encoder.state_dict())


def _checked(path: Path, name: str) -> Callable[[Weights, Any], Weights]:
    def convert(weights: Weights, encoder: Any) -> Weights:
        # timm's convention: modules of architectures with older weight files have this function.
        module = import_module(type(encoder).__module__)
        older = getattr(module, "checkpoint_filter_fn", None)
        converted: Weights = older(weights, encoder) if older else weights
        _refuse_other_keys(converted, set(encoder.state_dict()), path, name)
        return converted

    return convert


def _refuse_other_keys(weights: Weights, expected: set[str], path: Path, name: str) -> None:
    # torch fills in counters that older files lack.
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing, left_over = sorted(expected - weights.keys() - counters), weights.keys() - expected
    complaints = [f"missing {quoted(missing)}"] if missing else []
    complaints += [f"unexpected {quoted(sorted(left_over))}"] if left_over else []
    if complaints:
        raise _mismatch(path, name, "; ".join(complaints))


def _mismatch(path: Path, name: str, complaint: str) -> InputError:
    return InputError(f"does not fit the backbone '{name}': {complaint}", file=path)


RANDOM = "random"


def create_from(
    policy: str, name: str, num_classes: int, *, say: Callable[[str], None], **options: Any
) -> tuple[StreamModel, str]:
    """Create a model (see :func:`comptool.models.create`); also returns the origin of its weights.

    ``policy`` is ``no``: random weights; ``yes``: the published weights of the backbone; ``auto``:
    those, or random weights, with a warning, if none are published or reachable; otherwise the path
    of a weights file. The origin is ``random``, ``timm/<name>.<tag>`` or ``file:<name> sha256
    <digest>``. Raises a WeightsUnavailableError with ``yes`` if no weights are published or they
    are not available, an InputError if a file does not fit the backbone.
    """
    if policy == "no":
        return models.create(name, num_classes, pretrained=False, **options), RANDOM
    if policy not in ("auto", "yes"):
        path = Path(policy)
        model = models.create(name, num_classes, pretrained=path, **options)
        return model, f"file:{path.name} sha256 {provenance.sha256(path)}"
    where = published_source(name)
    try:
        if where is None:
            raise WeightsUnavailableError(f"no weights are published for '{name}'", mend=MEND)
        model = models.create(name, num_classes, pretrained=True, **options)
    except WeightsUnavailableError as error:
        if policy == "yes":
            raise
        say(f"WARNING: {error}\nThe model starts from RANDOM weights.")
        return models.create(name, num_classes, pretrained=False, **options), RANDOM
    say(f"the model starts from the published weights {where}")
    return model, where


def published_source(name: str) -> str | None:
    """Origin of the published weights of a model's backbone; None if there are none."""
    backbone = models.parse_name(name).backbone
    module = import_module(models.encoder_entry(backbone).target.partition(":")[0])
    source: Callable[[str], str | None] = getattr(module, "source", lambda backbone: None)
    return source(backbone)
