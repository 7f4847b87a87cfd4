"""The review page: thumbnails as data URIs in one HTML file.

The doubted labels of a review as one page to look at, tick and export corrections from.

The page stands alone: images, style and script are inside it, its security policy forbids it to
load anything, and it works from a local file. Written by hand because label tools need a server.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import InputError
from comptool.io.atomic import atomic_output
from comptool.io.image_readers import USUAL, load_reader, reader_of
from comptool.label_review.issues import Card, Sheet

QUALITY = 80


def data_uri(path: Path, size: int) -> str | None:
    """The image as a JPEG data URI, or None if there is no readable image.

    Parameters
    ----------
    path
        Of a format in :data:`comptool.io.image_readers.READERS`; more than 8 bits are scaled
        to the brightest pixel.
    size
        Longest side in pixels; a smaller image stays as it is.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    image = _decoded(content, path) if content else None
    if image is None:
        return None
    if image.dtype != np.uint8:
        # To be looked at, so each is stretched to its own range.
        image = cv2.convertScaleAbs(image, alpha=255 / max(float(image.max()), 1e-9))
    height, width = image.shape[:2]
    scale = size / max(height, width)
    if scale < 1:
        shape = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _decoded(content: bytes, path: Path) -> npt.NDArray[Any] | None:
    """The pixels as OpenCV orders them, (H, W, 3); None for a file that cannot be read."""
    if reader_of(path.suffix).name == USUAL:
        # More forgiving than the reader: half of a damaged image is better than none to look at.
        whole = np.frombuffer(content, dtype=np.uint8)
        found = cv2.imdecode(whole, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        return None if found is None else np.asarray(found)
    try:
        pixels = load_reader(path.suffix)(content, path)
    except InputError:
        return None
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))[:, :, ::-1])


THUMBNAIL = 192


@dataclass(frozen=True)
class Gallery:
    """What a page shows.

    Parameters
    ----------
    cards
        Cards on the page.
    without_image
        Ids of cards for which no image could be read; the page says so in their place.
    """

    cards: int
    without_image: tuple[str, ...]


def write_gallery(
    path: Path,
    cards: Sequence[Card],
    images: Mapping[str, Sequence[Path]],
    sheet: Sheet,
    *,
    title: str = "Label review",
    limit: int = 500,
    force: bool = False,
) -> Gallery:
    """Write the page.

    Parameters
    ----------
    path
        Where it goes; ends in ``.html``.
    cards
        What is doubted, in the page's order.
    images
        Image files of each id, one per modality.
    sheet
        What the page is about.
    title
        Its heading.
    limit
        Cards to show, from the top; each costs about 12 kB.
    force
        Whether an existing page is replaced.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    """
    shown = cards[:limit]
    with atomic_output(path, force=force) as temporary:
        thumbnails = {
            name: [uri for image in images.get(name, ()) if (uri := data_uri(image, THUMBNAIL))]
            for name in dict.fromkeys(card.id for card in shown)
        }
        text = page(shown, thumbnails, sheet, title, len(cards))
        temporary.write_text(text, encoding="utf-8")
    bare = tuple(name for name, uris in thumbnails.items() if not uris)
    return Gallery(cards=len(shown), without_image=bare)


def page(
    shown: Sequence[Card],
    thumbnails: Mapping[str, Sequence[str]],
    sheet: Sheet,
    title: str,
    total: int,
) -> str:
    """The page as HTML.

    Parameters
    ----------
    shown
        Cards to show, in order.
    thumbnails
        Data URIs of each id's images.
    sheet
        What the page is about.
    title
        Its heading.
    total
        Cards of the whole review.
    """
    cards = "".join(_card(card, thumbnails[card.id]) for card in shown)
    first = "All" if len(shown) == total else f"The first {len(shown)} of"
    template = resources.files("comptool.label_review").joinpath("gallery.html")
    return Template(template.read_text(encoding="utf-8")).substitute(
        title=_escaped(title),
        # Ticks are kept by place, so they must not outlive the order of the cards.
        digest=hashlib.sha256(cards.encode()).hexdigest()[:16],
        summary=f"{first} {total} {sheet.noun} that the predictions doubt; {sheet.order}.",
        tables="".join(_table(name, table) for name, table in sheet.tables.items()),
        count=len(shown),
        of_class=_escaped(sheet.filters[0]),
        classes=_options(Counter(card.of_class for card in shown), {}),
        kind=_escaped(sheet.filters[1]),
        kinds=_options(Counter(card.kind for card in shown), sheet.kinds),
        header=_escaped(",".join(sheet.exported)),
        exported=_escaped(" ".join(sheet.exported.values())),
        cards=cards,
    )


def _options(counts: Mapping[str, int], names: Mapping[str, str]) -> str:
    return "".join(
        f'<option value="{_escaped(value)}">{_escaped(names.get(value, value))} ({counts[value]})'
        "</option>"
        for value in sorted(counts)
    )


def _table(name: str, table: pd.DataFrame) -> str:
    """A table that opens when it is asked for."""
    head = "".join(f"<th>{_escaped(column)}</th>" for column in table.columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{_escaped(value)}</td>' for value in row)}</tr>"
        for row in table.itertuples(index=False)
    )
    return (
        f"<details><summary>{_escaped(name)}</summary><div><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _card(card: Card, uris: Sequence[str]) -> str:
    name = _escaped(card.id)
    pictures = "".join(
        f'<img src="{uri}" alt="{name}" loading="lazy" decoding="async">' for uri in uris
    )
    return (
        f'<li class="cell" data-id="{name}" data-class="{_escaped(card.of_class)}" '
        f'data-kind="{_escaped(card.kind)}" data-suggested="{_escaped(card.suggested)}"><label>'
        f'<span class="images">{pictures or "<span>no image</span>"}</span>'
        f'<span class="facts"><span class="name">{_escaped(card.heading)}</span>'
        f'<span class="verdict">{_escaped(card.verdict)}</span>'
        f'<span class="numbers">{_escaped(card.numbers)}</span>'
        f'<span class="id">{name}</span></span>'
        f'<span class="tick"><input type="checkbox"> {_escaped(card.change)}</span></label></li>\n'
    )


def _escaped(text: object) -> str:
    return html.escape(str(text), quote=True)
