"""Pretrained weights: downloaded, cached or read from a file, and adapted to the model.

timm and huggingface_hub retry for 46 s without a network (huggingface_hub 2.4: two file names, six
attempts each) and query the hub for files that are cached; `published_file` fails within seconds.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError
from timm.models import load_pretrained
from torch import hub, nn

from comptool import models
from comptool.errors import InputError, quoted
from comptool.io import provenance
from comptool.models.streams import StreamModel
from comptool.models.weights_file import Shapes, Weights, fitted, read_weights
from comptool.models.weights_places import PACKAGE, POLICIES, folder_file, package_file

_log = logging.getLogger("comptool")

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


def load_weights(encoder: Any, path: Path, name: str) -> None:
    """Copy the weights of a file into a timm backbone without classifier.

    A classifier in the file is ignored; the first layer may have other channels. timm only logs
    weights that do not fit and leaves them random; here they raise an `InputError`.
    """
    weights = read_backbone(path, shapes(encoder), beside=_classifier_keys(name, encoder))
    cfg = {**encoder.pretrained_cfg, "state_dict": weights}
    # Without a classifier on either side timm drops nothing and loads strictly.
    cfg |= {"num_classes": 0, "label_offset": 0}
    check = _checked(path, name, cfg)
    try:
        load_pretrained(encoder, cfg, num_classes=0, in_chans=encoder.in_chans, filter_fn=check)
    except (RuntimeError, LookupError, ValueError, AttributeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise _mismatch(path, name, (lines[1:] or lines)[0].strip()) from error


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    """Names and shapes of the tensors of a module."""
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


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


def read_backbone(path: Path, expected: Shapes, *, beside: Iterable[str] = ()) -> Weights:
    """The tensors of a file for a backbone, see :func:`comptool.models.weights_file.fitted`.

    Raises an `InputError` as `read_weights` does, and for a checkpoint of comptool.
    """
    weights = read_weights(path)
    if any(key.startswith("encoders.") for key in weights):
        raise InputError(
            "is a checkpoint of comptool, not of a backbone", file=path, mend="Use --init-from"
        )
    return fitted(weights, expected, path, beside=set(beside))


def _classifier_keys(name: str, encoder: Any) -> set[str]:
    with torch.device("meta"):
        complete = timm.create_model(name)
    return set(complete.state_dict()) - set(encoder.state_dict())


def _checked(path: Path, name: str, cfg: dict[str, Any]) -> Callable[[Weights, Any], Weights]:
    def convert(weights: Weights, encoder: Any) -> Weights:
        # timm's convention: modules of architectures with older weight files have this function.
        module = import_module(type(encoder).__module__)
        older = getattr(module, "checkpoint_filter_fn", None)
        converted: Weights = older(weights, encoder) if older else weights
        _refuse_other_keys(converted, set(encoder.state_dict()), path, name)
        _tell_channels(converted, encoder, cfg, path)
        return converted

    return convert


def _tell_channels(weights: Weights, encoder: Any, cfg: dict[str, Any], path: Path) -> None:
    """Let timm adapt the first layer from the channels of the file, which may not be three."""
    layers = cfg.get("first_conv") or ()
    for layer in (layers,) if isinstance(layers, str) else layers:
        module, weight = encoder.get_submodule(layer), weights.get(f"{layer}.weight")
        if weight is None or weight.ndim != 4 or not isinstance(module, nn.Conv2d):
            continue
        # A first layer that folds space into channels has a multiple of them.
        channels = weight.shape[1] * module.groups * encoder.in_chans // module.in_channels
        size = cfg.get("input_size") or (3, 224, 224)
        cfg["input_size"] = (channels, *size[1:])
        if channels != encoder.in_chans:
            how = (
                "summed"
                if encoder.in_chans == 1
                else f"the first {encoder.in_chans}, rescaled"
                if encoder.in_chans < channels
                else "repeated and rescaled"
            )
            _log.info(
                "%s: first layer adapted from %d to %d channels (%s)",
                path,
                channels,
                encoder.in_chans,
                how,
            )


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
    of a weights file, or ``package:NAME``. A file for the model in ``$COMPTOOL_WEIGHTS`` comes
    before the published weights. The origin is ``random``, ``timm/<name>.<tag>`` or
    ``file:<name> sha256 <digest>``.

    Raises
    ------
    WeightsUnavailableError
        With ``yes``, if no weights are published or they are not available.
    InputError
        If a file does not fit the backbone.
    """
    if policy == "no":
        return models.create(name, num_classes, pretrained=False, **options), RANDOM
    chosen = policy_file(policy, name)
    if chosen is not None:
        path = chosen
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


def policy_file(policy: str, name: str) -> Path | None:
    """The file that ``--pretrained`` names, or that ``$COMPTOOL_WEIGHTS`` has for a model.

    None: without a file. Raises a UsageError for a package or folder that is not there.
    """
    if policy.startswith(PACKAGE):
        return package_file(policy)
    if policy == "no":
        return None
    if policy not in POLICIES:
        return Path(policy)
    found = folder_file(_names(models.parse_name(name).backbone))
    if found is not None:
        _log.info("the model starts from %s", found)
    return found


def _names(backbone: str) -> list[str]:
    """Names under which the weights of a backbone may lie, the most exact first."""
    source = published_source(backbone)
    tagged = [] if source is None else [source.rpartition("/")[2], source.replace("/", "_")]
    return list(
        dict.fromkeys([*tagged, backbone, *([tagged[0].partition(".")[0]] if tagged else [])])
    )


def published_source(name: str) -> str | None:
    """Origin of the published weights of a model's backbone; None if there are none."""
    backbone = models.parse_name(name).backbone
    module = import_module(models.encoder_entry(backbone).target.partition(":")[0])
    source: Callable[[str], str | None] = getattr(module, "source", lambda backbone: None)
    return source(backbone)
