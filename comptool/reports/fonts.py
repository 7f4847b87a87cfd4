"""Fonts for the letters of names: which installed ones have them, and what none has."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from comptool.errors import quoted

OWN = "DejaVu Sans"  # comes with matplotlib
# Preferred fonts, legible and with whole scripts.
PREFERRED = ("notosanscjk", "notosanskr", "nanumgothic", "malgun", "applesdgothic", "notosans")
# Placeholder and colour fonts, which cannot be drawn.
USELESS = ("last resort", "lastresort", "color emoji", "adobe blank")


def shown(name: str) -> str:
    """A name as one line: NFC, a space for unprintable characters."""
    composed = unicodedata.normalize("NFC", name)
    return "".join(letter if letter.isprintable() else " " for letter in composed)


def families(names: Iterable[str]) -> list[str]:
    """Installed font families that together cover names, as far as possible."""
    return [OWN, *_chosen(_foreign(names))[0]]


def unwritable(names: Sequence[str]) -> str | None:
    """A warning about letters that no installed font has, or None."""
    missing = _chosen(_foreign(names))[1]
    if not missing:
        return None
    concerned = [name for name in names if missing & set(shown(name))]
    return (
        f"no installed font can write {quoted(sorted(missing))} in the pictures, as in "
        f"{quoted(concerned)}: boxes stand for them. Install a font that can, such as the package "
        "fonts-noto-cjk of Debian and Ubuntu"
    )


def _foreign(names: Iterable[str]) -> frozenset[str]:
    letters = frozenset("".join(map(shown, names)))
    if all(map(str.isascii, letters)):
        return frozenset()
    from matplotlib import font_manager

    return letters - _letters(font_manager.findfont(OWN))


@cache
def _chosen(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families that each add letters, and the letters that none has."""
    if not letters:
        return (), letters
    from matplotlib import font_manager

    found = []
    # matplotlib's cached list lacks newly installed fonts.
    for path in sorted(font_manager.findSystemFonts(), key=_rank):
        if letters & _letters(path):
            letters -= _letters(path)
            font_manager.fontManager.addfont(path)
            found.append(font_manager.get_font(path).family_name)
        if not letters:
            break
    return tuple(found), letters


@cache
def _letters(path: str) -> frozenset[str]:
    """Letters of a font; none if unreadable or not drawable."""
    from matplotlib import font_manager

    try:
        font = font_manager.get_font(path)
        if not font.scalable or any(one in font.family_name.lower() for one in USELESS):
            return frozenset()
        return frozenset(map(chr, font.get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def _rank(path: str) -> tuple[int, bool, str]:
    name = Path(path).stem.lower()
    places = [place for place, known in enumerate(PREFERRED) if known in name]
    return min(places, default=len(PREFERRED)), "bold" in name or "italic" in name, path
