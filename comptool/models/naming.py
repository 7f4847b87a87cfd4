"""The names of models: taken apart, listed, searched for, and what each stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import import_module

from comptool.errors import UsageError, counted, unknown_name
from comptool.models.registries import BACKBONES, DEFAULT_HEAD, HEADS, TIMM
from comptool.registry import Entry

DUAL = "-dual"

# timm's names have no hyphen, so a name with one can be refused without importing timm.
_TIMM_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)?")


@dataclass(frozen=True)
class ModelName:
    """A model's name, taken apart.

    Parameters
    ----------
    backbone
        One of :data:`BACKBONES`, or what may be a timm name.
    streams
        Images that the model takes per sample: 1 or 2.
    head
        One of :data:`HEADS`.
    """

    backbone: str
    streams: int
    head: str

    def __str__(self) -> str:
        head = "" if self.head == DEFAULT_HEAD else f"+{self.head}"
        return f"{self.backbone}{DUAL if self.streams == 2 else ''}{head}"


def names() -> list[str]:
    """The names that are listed; any timm name in place of the backbone is one too."""
    return [name + suffix for name in BACKBONES.names for suffix in ("", DUAL)]


def listing(pattern: str = "") -> list[Entry]:
    """The listed models whose name holds the pattern, each ``-dual`` one after its backbone.

    The pattern may have the wildcards of a shell.
    """
    return [
        entry
        for backbone in BACKBONES
        for entry in (backbone, _dual(backbone))
        if fnmatchcase(entry.name, wildcard(pattern))
    ]


def search(pattern: str) -> list[Entry]:
    """The listed models whose name holds the pattern, then timm's backbones; imports timm.

    Raises
    ------
    UsageError
        If there is none; names the three nearest.
    """
    timm_encoder = import_module(TIMM.partition(":")[0])
    found = [*listing(pattern), *timm_encoder.search(pattern)]
    if not found:
        raise unknown_name("model", pattern, names())
    return found


def _dual(backbone: Entry) -> Entry:
    return replace(
        backbone,
        name=backbone.name + DUAL,
        summary=f"Two {backbone.name} encoders, one per modality, joined before the classifier.",
        source=f"two-stream solution of the MAVOC challenge; encoder: {backbone.source}",
    )


def wildcard(pattern: str) -> str:
    """The pattern itself if it has wildcards, else one that finds it anywhere in a name."""
    return pattern if set(pattern) & set("*?[") else f"*{pattern}*"


def parse_name(name: str) -> ModelName:
    """Take a model's name apart, without torch.

    Whether timm knows a backbone that is not ours is seen when the model is created.

    Raises
    ------
    UsageError
        If the head is unknown, or the backbone cannot be one; names the three nearest.

    Examples
    --------
    >>> parse_name("mobilenetv2-dual")
    ModelName(backbone='mobilenetv2', streams=2, head='linear')
    """
    stem, plus, head = name.partition("+")
    backbone = stem.removesuffix(DUAL)
    if backbone not in BACKBONES and not _TIMM_NAME.fullmatch(backbone):
        raise unknown_name("model", stem, names())
    if plus:
        HEADS.find(head)
    return ModelName(backbone, 2 if stem.endswith(DUAL) else 1, head or DEFAULT_HEAD)


def encoder_entry(backbone: str) -> Entry:
    """The entry whose target builds this backbone: ours, or timm's for every other name."""
    if backbone in BACKBONES:
        return BACKBONES.find(backbone)
    return Entry(backbone, TIMM, "A backbone of timm.", "timm")


def check_modalities(name: str, modalities: Sequence[str]) -> None:
    """Raise a UsageError if the model is none for that number of images per sample."""
    parsed = parse_name(name)
    if parsed.streams != len(modalities):
        if parsed.backbone not in BACKBONES:  # only a name that there is can have a twin
            import_module(TIMM.partition(":")[0]).timm_name(parsed.backbone)
        twin = ModelName(parsed.backbone, len(modalities), parsed.head)
        hint = f"; try '{twin}'" if len(modalities) in (1, 2) else ""
        raise UsageError(
            f"the model '{name}' takes {counted(parsed.streams, 'image')} per sample and the "
            f"competition has {len(modalities)}: {', '.join(modalities)}{hint}"
        )
