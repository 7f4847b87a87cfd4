"""The doubtful cells of a review as one page to look at, tick and export corrections from.

The page stands alone: images, style and script are inside it, its security policy forbids it to
load anything, and it works from a local file. Written by hand because label tools need a server.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from comptool.evaluation.thumbnails import data_uri
from comptool.outputs import atomic_output

THUMBNAIL = 192
VERDICTS = {
    "missing": ("marked absent, probably present", "change to present"),
    "extra": ("marked present, probably absent", "change to absent"),
}


@dataclass(frozen=True)
class Gallery:
    """What a page shows.

    Parameters
    ----------
    cells
        Cells on the page.
    without_image
        Ids of cells for which no image could be read; the page says so in their place.
    """

    cells: int
    without_image: tuple[str, ...]


def write_gallery(
    path: Path,
    table: pd.DataFrame,
    images: Mapping[str, Sequence[Path]],
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
    table
        From `comptool.evaluation.label_review.review`.
    images
        Image files of each id, one per modality.
    title
        Its heading.
    limit
        Cells to show, from the top; each costs about 12 kB.
    force
        Whether an existing page is replaced.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    """
    shown = table.head(limit)
    with atomic_output(path, force=force) as temporary:
        thumbnails = {
            name: [uri for image in images.get(name, ()) if (uri := data_uri(image, THUMBNAIL))]
            for name in dict.fromkeys(shown["id"])
        }
        temporary.write_text(page(shown, thumbnails, title, len(table)), encoding="utf-8")
    bare = tuple(name for name, uris in thumbnails.items() if not uris)
    return Gallery(cells=len(shown), without_image=bare)


def page(
    shown: pd.DataFrame, thumbnails: Mapping[str, Sequence[str]], title: str, total: int
) -> str:
    """The page as HTML.

    Parameters
    ----------
    shown
        Cells to show, in order.
    thumbnails
        Data URIs of each id's images.
    title
        Its heading.
    total
        Cells of the whole review.
    """
    counts = shown["class"].value_counts(sort=False)
    options = "".join(
        f'<option value="{_escaped(name)}">{_escaped(name)} ({count})</option>'
        for name, count in sorted(counts.items())
    )
    cells = "".join(_cell(row, thumbnails[row["id"]]) for row in shown.to_dict("records"))
    first = "All" if len(shown) == total else f"The first {len(shown)} of"
    template = resources.files("comptool.evaluation").joinpath("gallery.html")
    return Template(template.read_text(encoding="utf-8")).substitute(
        title=_escaped(title),
        # Ticks are kept by place, so they must not outlive the order of the cells.
        digest=hashlib.sha256(cells.encode()).hexdigest()[:16],
        summary=f"{first} {total} cells that the predictions doubt; of each kind the most doubtful "
        "first.",
        count=len(shown),
        options=options,
        cells=cells,
    )


def _cell(row: Mapping[Any, Any], uris: Sequence[str]) -> str:
    kind = "missing" if row["suggested"] == 1 else "extra"
    verdict, change = VERDICTS[kind]
    name, of_class = _escaped(row["id"]), _escaped(row["class"])
    pictures = "".join(
        f'<img src="{uri}" alt="{name}" loading="lazy" decoding="async">' for uri in uris
    )
    return (
        f'<li class="cell" data-id="{name}" data-class="{of_class}" data-kind="{kind}" '
        f'data-suggested="{row["suggested"]}"><label>'
        f'<span class="images">{pictures or "<span>no image</span>"}</span>'
        f'<span class="facts"><span class="name">{of_class}</span>'
        f'<span class="verdict {kind}">{verdict}</span>'
        f'<span class="numbers">probability {row["probability"]:.3f}, '
        f"score {row['score']:.3f}</span>"
        f'<span class="id">{name}</span></span>'
        f'<span class="tick"><input type="checkbox"> {change}</span></label></li>\n'
    )


def _escaped(text: object) -> str:
    return html.escape(str(text), quote=True)
