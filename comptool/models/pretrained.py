"""Pretrained weights: downloaded, cached or read from a file, and adapted to the model.

A published weight file: from the cache, else from the hub, else a quick refusal.

Written here because timm and huggingface_hub retry for 46 s where there is no network (measured
with huggingface_hub 2.4: two file names, six attempts each), and ask the hub again for a file
that is in the cache.
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
    """Published weights that are neither in the cache nor within reach."""


def published_file(
    source: str,
    repository: str | None,
    file_name: str | None,
    url: str | tuple[str, str] | None,
) -> Path:
    """The local file of published weights.

    Parameters
    ----------
    source
        What to call them in a message.
    repository
        On the Hugging Face hub, or None.
    file_name
        In that repository; None: the usual ones.
    url
        Where they are if in no repository, with the name to keep them by if it is another.

    Raises
    ------
    WeightsUnavailableError
        If they are not cached and cannot be downloaded; within seconds without a network.
    """
    candidates = (file_name,) if file_name else FILE_NAMES
    try:
        if repository:
            return _cached(repository, candidates) or _from_hub(repository, candidates)
        return _from_url(url or "")
    except Exception as error:
        # Whatever a download dies of (five libraries' errors), the weights are not to be had.
        raise _unavailable(source, error) from error


def _cached(repository: str, candidates: tuple[str, ...]) -> Path | None:
    for name in candidates:
        found = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _from_hub(repository: str, candidates: tuple[str, ...]) -> Path:
    for name in candidates:
        address = huggingface_hub.hf_hub_url(repository, name)
        # Unlike the download, this question is not repeated where there is no answer.
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
        _within(PROBE_SECONDS, functools.partial(_knock, address))
        cached.parent.mkdir(parents=True, exist_ok=True)
        digest = _DIGEST_IN_NAME.search(name)
        hub.download_url_to_file(
            address, str(cached), digest and digest[1], progress=sys.stderr.isatty()
        )
    return cached


def _knock(address: str) -> None:
    request = urllib.request.Request(address, method="HEAD")
    with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
        return


def _within(seconds: float, ask: Callable[[], object]) -> None:
    # A thread, because looking up a host's name heeds no time limit.
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


def _unavailable(source: str, error: Exception) -> WeightsUnavailableError:
    reason = (str(error) or type(error).__name__).strip().splitlines()[0]
    return WeightsUnavailableError(
        f"the published weights {source} cannot be had ({reason})", mend=MEND
    )


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


RANDOM = "random"


def create_from(
    policy: str, name: str, num_classes: int, *, say: Callable[[str], None], **options: Any
) -> tuple[StreamModel, str]:
    """The model, and what its weights really are.

    Parameters
    ----------
    policy
        ``no``: random weights. ``yes``: the published ones of the backbone. ``auto``: those, or
        random weights where none are published or none can be reached. Else the path of a local
        file of the backbone's weights.
    name, num_classes, options
        As :func:`comptool.models.create`.
    say
        Told what happened in one sentence, and loudly where ``auto`` fell back.

    Returns
    -------
    tuple
        The model and ``"random"``, ``"timm/<name>.<tag>"`` or ``"file:<name> sha256 <digest>"``.

    Raises
    ------
    WeightsUnavailableError
        With ``yes``, if none are published for the backbone or they cannot be had.
    InputError
        With a path, if the file is not the backbone's.
    """
    if policy == "no":
        return models.create(name, num_classes, pretrained=False, **options), RANDOM
    if policy not in ("auto", "yes"):
        path = Path(policy)
        model = models.create(name, num_classes, pretrained=path, **options)
        return model, f"file:{path.name} sha256 {provenance.sha256(path)}"
    return _create_published(policy, name, num_classes, say, options)


def _create_published(
    policy: str, name: str, num_classes: int, say: Callable[[str], None], options: dict[str, Any]
) -> tuple[StreamModel, str]:
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
    """Where the published weights of a model's backbone come from; None if none are published."""
    backbone = models.parse_name(name).backbone
    room = import_module(models.encoder_entry(backbone).target.partition(":")[0])
    source: Callable[[str], str | None] = getattr(room, "source", lambda backbone: None)
    return source(backbone)
