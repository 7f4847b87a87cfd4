"""``comptool models``: the models that ``train --model`` takes."""

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

    A name is a backbone, any of timm's included; then -dual for two modalities; then +HEAD for
    another head than 'linear'. With a pattern, timm's backbones that match it follow ours.

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
