"""timm backbones as encoders.

Imported only when a model is built: ``import timm`` loads every architecture, torchvision and
torch._dynamo.
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
    """A timm backbone without classifier, returning pooled features.

    ``name`` is a timm name, with or without a tag, or one of :data:`SHORT_NAMES`. Published weights
    of the first layer are summed or repeated for ``in_chans``. A backbone of fixed input size is
    built for ``img_size``, and any is tested on it; None is its own size, untested.
    ``drop_path_rate`` is the share of residual branches to drop, ``drop_block`` that of the last
    stage's map of a ResNet. With ``grad_checkpointing`` the statistics of batch normalisation see
    each batch twice.
    """
    full_name = timm_name(name)
    given: dict[str, Any] = {"num_classes": 0, "in_chans": in_chans, **_drop_path(drop_path_rate)}
    if img_size is not None and published(name).fixed_input_size:
        given["img_size"] = img_size
    if pretrained is True:
        given |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(fetch(name))}}
    module = _create(full_name, given)
    if isinstance(pretrained, Path):
        load_weights(module, pretrained, full_name)
    if drop_block is not None:
        insert_drop_block(module, full_name, drop_block)
    if grad_checkpointing:
        _checkpoint_gradients(module, full_name)
    if img_size is not None:
        try_size(module, name, in_chans, img_size)
    data_config = _data_config(module.pretrained_cfg)
    shape = (in_chans, *(img_size or data_config.input_size))
    return Encoder(module, module.head_hidden_size, data_config, shape)


def timm_name(name: str) -> str:
    """The name of a backbone in timm, with the tag if given; a UsageError if unknown."""
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
    """The record of a backbone's published weights; the default if there are none."""
    return timm.get_pretrained_cfg(timm_name(name)) or PretrainedCfg()


def source(name: str) -> str | None:
    """Origin of the published weights, ``timm/<name>.<tag>``; None if there are none."""
    weights = published(name)
    if not weights.has_weights:
        return None
    return weights.hf_hub_id or f"timm/{weights.architecture}.{weights.tag}"


def fetch(name: str) -> Path:
    """File of the published weights, from the cache or the hub."""
    origin = source(name)
    if origin is None:
        raise WeightsUnavailableError(f"no weights are published for '{name}'", mend=MEND)
    weights = published(name)
    return published_file(origin, weights.hf_hub_id, weights.hf_hub_filename, weights.url)


def search(pattern: str) -> list[Entry]:
    """The timm backbones outside our table that match a pattern, as ``-dual`` if it ends so."""
    suffix = DUAL if pattern.endswith(DUAL) else ""
    tags: dict[str, list[str]] = {}
    for tagged in timm.list_pretrained():
        stem, _, tag = tagged.partition(".")
        tags.setdefault(stem, []).append(tag)
    return [
        Entry(
            name + suffix,
            TIMM,
            f"Published weights: {', '.join(tags[name])}."
            if name in tags
            else "No published weights.",
            "timm",
        )
        for name in timm.list_models(wildcard(pattern.removesuffix(DUAL)))
        if name not in BACKBONES
    ]


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
    """Submodule that enables gradient checkpointing of its backbone in training mode only."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self._backbone = (backbone,)  # in a tuple, to not register the parent as a child
        backbone.set_grad_checkpointing(True)

    def train(self, mode: bool = True) -> _Checkpointing:
        """Follow the mode of the backbone."""
        self._backbone[0].set_grad_checkpointing(mode)
        return super().train(mode)


def _checkpoint_gradients(module: nn.Module, name: str) -> None:
    try:
        module.add_module("checkpointing", _Checkpointing(module))
    except (AttributeError, AssertionError) as error:
        raise UsageError(f"the backbone '{name}' takes no 'grad_checkpointing'") from error


def try_size(module: nn.Module, name: str, in_chans: int, size: tuple[int, int]) -> None:
    """Raise a UsageError unless a backbone returns pooled features of one image of a size."""
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
    """Output for an image, on the meta device unless an operation needs values."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
    try:
        image = torch.zeros(shape, device="meta")
        # tie_weights=True would leave empty tensors in blocks that share a module (CoaT).
        pooled: Tensor = functional_call(module, shapes, image, tie_weights=False)
    except Exception:
        # A wrong size, or an operation that needs values: torch raises many types.
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
