"""The `review` command and its page: thumbnails as data URIs in one HTML file.

The doubted labels of a review as one page to look at, tick and export corrections from.

The page stands alone: images, style and script are inside it, its security policy forbids it to
load anything, and it works from a local file. Written by hand because label tools need a server.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.classes import left_out
from comptool.competition.config import Competition
from comptool.competition.samples import Samples
from comptool.errors import InputError, UsageError
from comptool.io import provenance
from comptool.io.atomic import atomic_output, together
from comptool.io.image_readers import USUAL, load_reader, reader_of
from comptool.io.tables import write_table
from comptool.label_review.issues import KINDS, Card, Doubts, Sheet
from comptool.postprocess.oof import OutOfFold, networks_of, read_evidence

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


OTHER_TABLE = "Give the label table that the run was trained with: --labels FILE"


@dataclass(frozen=True)
class ReviewFiles:
    """What a review writes.

    Parameters
    ----------
    table
        The doubted labels, ranked.
    page
        The page of them.
    pairs
        The pairs of classes of the confident joint, or None.
    """

    table: Path
    page: Path
    pairs: Path | None = None

    def __iter__(self) -> Iterator[Path]:
        return (path for path in (self.table, self.page, self.pairs) if path is not None)


@dataclass(frozen=True)
class Reviewed:
    """A review that has been written.

    Parameters
    ----------
    doubts
        What was found.
    gallery
        What its page shows.
    num_rows
        N.
    notes
        What to know of the networks, one sentence each.
    """

    doubts: Doubts
    gallery: Gallery
    num_rows: int
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """What was found and how right it is."""
        lines = [*(f"warning: {note}" for note in self.notes), *self.doubts.lines]
        if self.gallery.without_image:
            lines.append(f"warning: no image of {len(self.gallery.without_image)} ids on the page")
        return "\n".join(lines)


def review_file(
    found: OutOfFold,
    competition: Competition,
    files: ReviewFiles,
    *,
    labels: Path | None = None,
    truth: Path | None = None,
    kinds: Collection[str] = KINDS,
    limit: int = 500,
    force: bool = False,
) -> Reviewed:
    """Rank the labels that the out-of-fold predictions doubt, and write them with a page.

    Parameters
    ----------
    found
        Out-of-fold predictions.
    competition
        Says what the columns are called.
    files
        Where it all goes.
    labels
        The label table; by default the one that the run was trained with.
    truth
        A table with the true labels, to measure the ranking by, or None.
    kinds
        See `comptool.label_review.issues.review`; of several labels per image alone.
    limit
        Cards on the page.
    force
        Whether outputs that exist are replaced.

    Raises
    ------
    UsageError
        If something is asked for that the task has not.
    InputError
        If the predictions are no evidence, no table has their rows, or the classes differ.
    """
    labelled, samples = read_evidence(
        found, competition, labels=labels, whole=False, mend=OTHER_TABLE
    )
    try:
        doubts: Doubts = competition.kind.step("review")(
            labelled, kinds, truth, label=competition.label, pairs=files.pairs is not None
        )
    except UsageError as error:
        raise UsageError(
            f"{error}, and '{competition.name}' has {competition.kind.has} (if that is wrong, "
            "correct 'task' in comptool.toml)"
        ) from error
    read = provenance.hashes(path for path in (found.path, samples.source, truth) if path)
    arguments = {"labels": labels, "truth": truth, "kinds": sorted(kinds), "limit": limit}
    with together():
        write_table(files.table, doubts.table, force=force)
        if files.pairs is not None and doubts.pairs is not None:
            write_table(files.pairs, doubts.pairs, force=force)
        gallery = write_gallery(
            files.page, doubts.cards, _images(samples), doubts.sheet,
            title=f"Label review: {competition.name}", limit=limit, force=force,
        )  # fmt: skip
        for path in files:
            provenance.record(path, command="review", arguments=arguments, inputs=read)
    networks = networks_of(found.path).items()
    notes = tuple(note for folder, header in networks if (note := left_out(folder, header)))
    return Reviewed(doubts, gallery, len(labelled), notes)


def _images(samples: Samples) -> dict[str, list[Path]]:
    columns = [samples.frame[column] for column in samples.paths.values()]
    return {
        name: [samples.folder / path for path in paths if path]
        for name, *paths in zip(samples.frame[samples.id], *columns, strict=True)
    }
