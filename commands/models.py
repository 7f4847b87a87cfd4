"""``comptool models``: the models for ``train --model``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from comptool.options import WithJson, WithQuiet, argument

from .options import give_entries, say


@dataclass(frozen=True)
class ModelsConfig(WithJson, WithQuiet):
    """The options of ``comptool models``."""

    pattern: str | None = argument(
        None, help="Part of a name, or a name with * and ?; searches timm too."
    )


def models(config: ModelsConfig) -> None:
    """List the models, one per line: name, summary and source.

    A model is a backbone (also any of timm), then -dual for several modalities, then +HEAD for
    a head other than linear. With a pattern, the matching backbones of timm are listed, too.

    Example: comptool models 'mobilenet*'
    """
    from comptool.models import HEADS, listing, search

    if not config.pattern:
        heads = [replace(head, name=f"+{head.name}") for head in HEADS]
        give_entries({"models": listing(), "heads": heads}, config.json)
        say("any backbone of timm works too; find one with: comptool models PATTERN", config.quiet)
        return
    say("reading timm's names", config.quiet)
    give_entries({"models": search(config.pattern)}, config.json)
