"""timm's backbones as encoders.

``import timm`` brings in every architecture file, torchvision and torch._dynamo; none of the three
can be left out (its layers import torchvision, which imports dynamo, which an optimizer imports
anyway), so this module is imported only when a model is built.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg
from torch import Tensor, nn
from torch.func import functional_call

from comptool.errors import UsageError, unknown_name
from comptool.models import BACKBONES, DUAL, TIMM, wildcard
from comptool.models.backbones.drop_block import insert_drop_block
from comptool.models.pretrained import MEND, WeightsUnavailableError, load_weights, published_file
from comptool.models.streams import DataConfig, Encoder
from comptool.registry import Entry

SHORT_NAMES = {"mobilenetv2": "mobilenetv2_100"}


def build(
    name: str,
    *,
    in_chans: int,
    pretrained: bool | Path,
    img_size: tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    drop_block: float | None = None,
    grad_checkpointing: bool = False,
) -> Encoder:
    """A timm backbone without its classifier, giving pooled features.

    Parameters
    ----------
    name
        A timm name, with or without a tag, or one of :data:`SHORT_NAMES`.
    in_chans
        Channels of the image. Published weights of the first layer are summed or repeated to it.
    pretrained
        See :func:`comptool.models.create`.
    img_size
        Height and width in pixels: what a backbone of fixed input size is built for, and tried on
        every backbone at once. None leaves the backbone's own size, and tries nothing.
    drop_path_rate
        Share of residual branches dropped in training, in [0, 1); None is the backbone's own.
    drop_block
        For ResNets: share of the last stage's map to drop, see :func:`insert_drop_block`.
    grad_checkpointing
        Whether activations are computed again in the backward pass, not kept. The statistics of
        batch normalisation then see each batch twice.

    Raises
    ------
    UsageError
        If timm has no such backbone, or the backbone takes no such option or image size.
    InputError
        If the weights cannot be had or are not the backbone's.
    """
    known = timm_name(name)
    given: dict[str, Any] = {"num_classes": 0, "in_chans": in_chans, **_drop_path(drop_path_rate)}
    if img_size is not None and published(name).fixed_input_size:
        given["img_size"] = img_size
    if pretrained is True:
        given |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(fetch(name))}}
    module = _create(known, given)
    if isinstance(pretrained, Path):
        load_weights(module, pretrained, known)
    if drop_block is not None:
        insert_drop_block(module, known, drop_block)
    if grad_checkpointing:
        _checkpoint_gradients(module, known)
    if img_size is not None:
        try_size(module, name, in_chans, img_size)
    data_config = _data_config(module.pretrained_cfg)
    shape = (in_chans, *(img_size or data_config.input_size))
    return Encoder(module, module.head_hidden_size, data_config, shape)


def timm_name(name: str) -> str:
    """The name by which timm knows a backbone, with the tag if one was given.

    Raises
    ------
    UsageError
        If timm knows no such backbone or tag; names the three nearest.
    """
    stem, _, tag = name.partition(".")
    stem = SHORT_NAMES.get(stem, stem)
    if not timm.is_model(stem):
        raise unknown_name("model", name, [*BACKBONES.names, *timm.list_models()])
    if not tag:
        return stem
    tagged = f"{stem}.{tag}"
    if not timm.is_model_pretrained(tagged):
        raise unknown_name("model", name, timm.list_pretrained(f"{stem}.*") or [stem])
    return tagged


def published(name: str) -> PretrainedCfg:
    """What timm knows of the weights that are published for a backbone; the default if none."""
    return timm.get_pretrained_cfg(timm_name(name)) or PretrainedCfg()


def source(name: str) -> str | None:
    """Where the published weights of a backbone come from: ``timm/<name>.<tag>``; None if none are.

    Raises
    ------
    UsageError
        As :func:`timm_name`.
    """
    found = published(name)
    if not found.has_weights:
        return None
    return found.hf_hub_id or f"timm/{found.architecture}.{found.tag}"


def fetch(name: str) -> Path:
    """File of the published weights, from the cache or the hub.

    Raises
    ------
    WeightsUnavailableError
        If none are published, or they cannot be reached.
    """
    where = source(name)
    if where is None:
        raise WeightsUnavailableError(f"no weights are published for '{name}'", mend=MEND)
    found = published(name)
    return published_file(where, found.hf_hub_id, found.hf_hub_filename, found.url)


def search(pattern: str) -> list[Entry]:
    """The backbones that timm has beyond our table and whose name holds the pattern.

    A pattern that ends in ``-dual`` finds the names with that ending.
    """
    suffix = DUAL if pattern.endswith(DUAL) else ""
    tags: dict[str, list[str]] = {}
    for tagged in timm.list_pretrained():
        stem, _, tag = tagged.partition(".")
        tags.setdefault(stem, []).append(tag)
    return [
        Entry(name + suffix, TIMM, _summary(tags.get(name, [])), "timm")
        for name in timm.list_models(wildcard(pattern.removesuffix(DUAL)))
        if name not in BACKBONES
    ]


def _summary(tags: list[str]) -> str:
    if not tags:
        return "No published weights."
    return f"Published weights: {', '.join(tags)}."


def _drop_path(rate: float | None) -> dict[str, float]:
    if rate is None:
        return {}
    if not 0 <= rate < 1:
        raise UsageError(f"drop_path_rate is {rate}; it has to be in [0, 1)")
    return {"drop_path_rate": rate}


def _create(name: str, given: dict[str, Any]) -> Any:
    try:
        return timm.create_model(name, **given)
    except TypeError as error:
        for option in ("drop_path_rate", "img_size"):
            if f"'{option}'" in str(error):
                raise UsageError(f"the backbone '{name}' takes no '{option}'") from error
        raise
    except (AssertionError, ValueError) as error:
        if "img_size" not in given:
            raise
        raise _wrong_size(name, given["img_size"], error) from error


class _Checkpointing(nn.Module):
    """In a backbone: has it compute its activations again while it trains, and only then."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self._backbone = (backbone,)  # no child of its own child
        backbone.set_grad_checkpointing(True)

    def train(self, mode: bool = True) -> _Checkpointing:
        """Follow the backbone, of which this is a part."""
        self._backbone[0].set_grad_checkpointing(mode)
        return super().train(mode)


def _checkpoint_gradients(module: nn.Module, name: str) -> None:
    try:
        module.add_module("checkpointing", _Checkpointing(module))
    except (AttributeError, AssertionError) as error:
        raise UsageError(f"the backbone '{name}' takes no 'grad_checkpointing'") from error


def try_size(module: nn.Module, name: str, in_chans: int, size: tuple[int, int]) -> None:
    """Raise a UsageError unless a backbone gives pooled features of one image of a size.

    Parameters
    ----------
    module
        The backbone; left in training mode.
    name
        What to call it in a message.
    in_chans
        Channels of the image.
    size
        Its height and width in pixels.
    """
    module.eval()
    try:
        pooled = _trial(module, (1, in_chans, *size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise _wrong_size(name, size, error) from error
    if pooled.ndim != 2:
        raise UsageError(f"the backbone '{name}' gives no pooled features")
    module.train()


@torch.inference_mode()
def _trial(module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """What the module makes of an image; of its shape alone, unless an operation needs values."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
    try:
        image = torch.zeros(shape, device="meta")
        # tie_weights=True would leave empty tensors behind where blocks share a module (CoaT).
        pooled: Tensor = functional_call(module, shapes, image, tie_weights=False)
    except Exception:
        # A wrong size, or an operation that needs values: torch has many ways to say so.
        pooled = module(torch.zeros(shape))
    return pooled


def _wrong_size(name: str, size: tuple[int, int], error: Exception) -> UsageError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return UsageError(
        f"the backbone '{name}' takes no images of {size[0]}x{size[1]} pixels ({reason})"
    )


def _data_config(cfg: dict[str, Any]) -> DataConfig:
    _, height, width = cfg["input_size"]
    return DataConfig(tuple(cfg["mean"]), tuple(cfg["std"]), (height, width))
